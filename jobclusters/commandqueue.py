"""A batch system reached by its commands: the verbs that the embedded queue has too."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from jobclusters import shell
from jobclusters.dialect import Dialect, Reply
from jobclusters.errors import NoBatchSystem, Unavailable
from jobclusters.state import JobState, JobStatus

#: Characters of ids in one command: Linux takes 128 KiB in one argument, and a shell wrapper may take less.
LONGEST = 100_000


#: Seconds in which details are not waited for, after the wait for some was in vain.
IMPATIENT = 60.0


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
        self._removed: set[str] = set()
        self._impatient_until = 0.0

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
        groups = [list(ids)]
        if self.dialect.cancel_only_listed:
            states = await self.states(ids)
            listed = {job_id: states[job_id].state for job_id in ids if job_id in states}
            alive = {job_id: state for job_id, state in listed.items() if not state.ended}
            waiting = [job_id for job_id, state in alive.items() if state is JobState.PENDING]
            # A running job may end before the command names it; it is not to stand beside a waiting one then.
            groups = [waiting, [job_id for job_id in alive if job_id not in set(waiting)]]
        for group in groups:
            for part in _parts(group):
                reply = await self._run(self.dialect.cancel_argv(part))
                if reply.status is None:
                    raise Unavailable(reply.sentence())

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Ask how jobs stand, in one command.

        Raises
        ------
        Unavailable
            If there was no answer.
        """
        found: dict[str, JobStatus] = {}
        for part in _parts(ids):
            reply = await self._ask(lambda ids=part: self.dialect.query_argv(ids))  # type: ignore[misc]
            found |= self.dialect.parse_states(reply)
        return found | await self._remove_failed({job_id: found[job_id] for job_id in ids if job_id in found})

    async def _remove_failed(self, states: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
        """Delete the jobs that failed and would stay in the queue all the same; give why they did."""
        failed = [job_id for job_id, status in states.items() if status.state is JobState.FAILED]
        if not self.dialect.failed_stay or not failed:
            return {}
        reasons = self.dialect.parse_stuck(await self._run(self.dialect.stuck_argv(failed)))
        reply = await self._run(self.dialect.cancel_argv(failed))
        if reply.status is None:
            raise Unavailable(reply.sentence())
        self._removed.update(failed)
        return {job_id: replace(states[job_id], reason=reasons.get(job_id, states[job_id].reason)) for job_id in failed}

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Ask for all jobs with this name, in one command."""
        reply = await self._ask(lambda: self.dialect.find_argv(job_name))
        return self.dialect.parse_find(reply, job_name)

    async def _ask(self, question: Callable[[], Sequence[str]]) -> Reply:
        """Ask; if the answer shows a variant of the batch system, ask again as that understands it."""
        reply = await self._run(question())
        if (variant := self.dialect.variant(reply)) is not None:
            self.dialect = variant
            reply = await self._run(question())
        if reply.status is None:
            raise Unavailable(reply.sentence())
        return reply

    async def detail(self, job_id: str) -> JobStatus | None:
        """Ask for all there is to know of one job; None if there is nothing more."""
        argv = self.dialect.detail_argv(job_id)
        if argv is None or job_id in self._removed:
            return None
        now = asyncio.get_running_loop().time
        # One job that is never told of, such as one that never ran, must not hold up the others.
        deadline = now() + (self.dialect.detail_delay if now() > self._impatient_until else 0)
        found = self.dialect.parse_detail(await self._run(argv))
        while found is None and now() < deadline:
            await asyncio.sleep(1)
            found = self.dialect.parse_detail(await self._run(argv))
        if found is None and self.dialect.detail_delay:
            self._impatient_until = now() + IMPATIENT
        return found

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Give the paths of a job's output."""
        names = self.dialect.log_files(job_id, log_directory, job_name)
        return [os.path.join(self.directory, name) for name in names]


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids so that those of each part fit into a command."""
    start = length = 0
    for end, job_id in enumerate(ids):
        if length + len(job_id) > LONGEST and end > start:
            yield ids[start:end]
            start, length = end, 0
        length += len(job_id) + 1
    if start < len(ids):
        yield ids[start:]
