"""Checks the way from this machine to a worker, and says what to set."""

from __future__ import annotations

from jobclusters.doctor.examination import examine, shared_directory
from jobclusters.doctor.verdicts import Verdict

__all__ = ["Verdict", "examine", "shared_directory"]
