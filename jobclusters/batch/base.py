"""The protocol of every batch system: submit, cancel, states, find, detail."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from jobclusters.dialects.base import Dialect
from jobclusters.errors import Refused
from jobclusters.state import JobStatus


class BatchSystem(Protocol):
    """Submits, cancels and polls jobs, on a batch system or in this machine's queue."""

    dialect: Dialect
    #: The least seconds between two polls: a controller is shared.
    interval: float
    #: The most jobs of one submission.
    largest_array: int

    def check(self) -> None:
        """Raise NoBatchSystem if there is none here."""

    async def submit(self, script: str, count: int) -> list[str]:
        """Submit a script as ``count`` jobs, and give their ids, in the order of their index."""

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs. An ended or unknown one is no error."""

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Query the states of jobs, without those that the batch system doesn't know."""

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Query all jobs with this name."""

    async def detail(self, job_id: str) -> JobStatus | None:
        """Query all details of one job; None if there are no more."""

    def log_files(
        self, job_id: str, log_directory: str | None, job_name: str, directives: Sequence[str] = ()
    ) -> list[str]:
        """Give the paths of a job's output, also where the user's own directives name them."""


def working_directory() -> str:
    """Give the directory from which jobs are submitted, and in which they work; raise Refused if it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        text = "the directory in which this program works is no longer there, and jobs work in it: change to another"
        raise Refused(text) from None
