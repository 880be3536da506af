"""How much is fuzzed, and from which seed: ``make fuzz SEED=7 ROUNDS=500`` says both."""

from __future__ import annotations

import os
import random

SEED = os.environ.get("JOBCLUSTERS_FUZZ_SEED", "1")


def rounds(usual):
    """Give how often each case is tried."""
    return int(os.environ.get("JOBCLUSTERS_FUZZ_ROUNDS", usual))


def chances(*case):
    """Give the random numbers of a case: those of the seed, whatever else runs."""
    return random.Random("/".join([SEED, *map(str, case)]))
