"""The embedded queue of this machine: no commands, only what its scripts look like.

:mod:`jobclusters.localqueue` reads the directives and does what a batch system would.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobclusters.dialect import Dialect, Reply
from jobclusters.state import JobStatus


class Local(Dialect):
    """The queue of this machine."""

    name = "local"
    title = "this machine"
    probe = ""
    directive = "#JOB"
    clock = "minutes, MM:SS"
    unlimited = True
    index_variable = "JOBCLUSTERS_TASK_ID"

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``--output`` names; else the queue's own directory has it."""
        return [] if log_directory is None else [f"{log_directory}/{job_name}-{job_id}.out"]

    def submit_argv(self, count: int) -> list[str]:
        """Never called: there is no command."""
        raise NotImplementedError

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Never called: there is no command."""
        raise NotImplementedError

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Never called: there is no command."""
        raise NotImplementedError

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Never called: there is no command."""
        raise NotImplementedError

    def find_argv(self, job_name: str) -> list[str]:
        """Never called: there is no command."""
        raise NotImplementedError

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Never called: there is no command."""
        raise NotImplementedError
