"""Waits on conditions, with limits that a busy machine keeps."""

from __future__ import annotations

import time

#: Seconds for which a test waits for anything: they pass only where something is broken.
PATIENCE = 120.0


def until(condition, seconds=PATIENCE):
    """Wait for a condition and give its value; fail if it does not come."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)
    return value
