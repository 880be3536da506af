"""A batch system reached by its commands: the verbs that the embedded queue has too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Protocol

from jobclusters import shell
from jobclusters.dialect import Dialect, Reply
from jobclusters.errors import NoBatchSystem, Unavailable
from jobclusters.state import JobStatus


class Verbs(Protocol):
    """What a queue does, be it a batch system or this machine's."""

    dialect: Dialect
    #: Seconds between two questions, at least: asking a shared controller more often is unkind.
    interval: float

    def check(self) -> None:
        """Raise NoBatchSystem if there is none here."""

    async def submit(self, script: str, count: int) -> list[str]:
        """Submit a script as ``count`` jobs; give their ids, in order of their index."""

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs. That one has ended or isn't known is no error."""

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Ask how jobs stand; those the queue doesn't know are missing from the answer."""

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Ask for all jobs with this name."""

    async def detail(self, job_id: str) -> JobStatus | None:
        """Ask for all there is to know of one job."""

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Give the paths of a job's output."""


class CommandQueue:
    """A batch system reached by its commands.

    Parameters
    ----------
    dialect
        Of the batch system.
    timeout
        Seconds that any command may take.
    """

    interval = 1.0

    def __init__(self, dialect: Dialect, timeout: float = 30.0) -> None:
        self.dialect = dialect
        self.timeout = timeout
        self.directory = os.getcwd()

    def check(self) -> None:
        """Make sure that the batch system's commands are on this machine.

        Raises
        ------
        NoBatchSystem
            If they aren't.
        """
        if shutil.which(self.dialect.probe) is None:
            raise NoBatchSystem(
                f"no {self.dialect.title} here: {self.dialect.probe} is not on the PATH of this machine;"
                " LocalQueueCluster runs on this machine"
            )

    async def _run(self, argv: Sequence[str], stdin: str | None = None) -> Reply:
        return await shell.run(argv, stdin=stdin, timeout=self.timeout, env=self.dialect.environment(os.environ))

    async def submit(self, script: str, count: int) -> list[str]:
        """Submit a script as ``count`` jobs, in one command.

        Raises
        ------
        Refused
            If the batch system said no.
        Unavailable
            If the outcome is unclear: the jobs may exist.
        """
        reply = await self._run(self.dialect.submit_argv(count), script)
        return self.dialect.parse_submit(reply, count)

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs, in one command. Some systems lie about the outcome: ask for the states afterwards."""
        reply = await self._run(self.dialect.cancel_argv(ids))
        if reply.status is None:
            raise Unavailable(reply.sentence())

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Ask how jobs stand, in one command.

        Raises
        ------
        Unavailable
            If there was no answer.
        """
        return self._states(await self._run(self.dialect.query_argv(ids)))

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Ask for all jobs with this name, in one command."""
        return self._states(await self._run(self.dialect.find_argv(job_name)))

    def _states(self, reply: Reply) -> dict[str, JobStatus]:
        if reply.status is None:
            raise Unavailable(reply.sentence())
        return self.dialect.parse_states(reply)

    async def detail(self, job_id: str) -> JobStatus | None:
        """Ask for all there is to know of one job; None if there is nothing more."""
        argv = self.dialect.detail_argv(job_id)
        return None if argv is None else self.dialect.parse_detail(await self._run(argv))

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Give the paths of a job's output."""
        names = self.dialect.log_files(job_id, log_directory, job_name)
        return [os.path.join(self.directory, name) for name in names]
