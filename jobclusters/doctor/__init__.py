"""Checks the way from this machine to a worker, and recommends settings.

``examination.py`` examines this machine, and then a node, where ``probe.py`` runs in a worker's place; the verdicts on
the facts are in ``node_verdicts.py``.
"""

from __future__ import annotations

from jobclusters.doctor.batchsystem import shared_directory
from jobclusters.doctor.examination import examine
from jobclusters.doctor.report import Verdict

__all__ = ["Verdict", "examine", "shared_directory"]
