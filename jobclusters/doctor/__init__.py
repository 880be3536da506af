"""Checks the way from this machine to a worker, and says what to set.

``examination.py`` looks at this machine, and then at a node, where ``probe.py`` runs in a worker's place; what is found
is judged in the modules that are named after verdicts.
"""

from __future__ import annotations

from jobclusters.doctor.directories import shared_directory
from jobclusters.doctor.examination import examine
from jobclusters.doctor.verdict import Verdict

__all__ = ["Verdict", "examine", "shared_directory"]
