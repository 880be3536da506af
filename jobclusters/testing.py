"""A batch system that follows a test's script, for the tests of this package and of yours.

It really runs the job scripts, on this machine, with real workers; and it can refuse, be slow, not answer, hold jobs,
and end them from outside.

Examples
--------
>>> from jobclusters.testing import ScriptedCluster, ScriptedQueue
>>> queue = ScriptedQueue()
>>> with ScriptedCluster(queue, cores=1, memory="256 MiB") as cluster:  # doctest: +SKIP
...     with queue.silent("submit", carried_out=True):
...         cluster.scale(jobs=2)
...     cluster.wait_for_workers(2)
...     queue.end("1_0", JobState.NODE_FAIL)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from jobclusters.batch.local_queue import LocalQueue
from jobclusters.cluster.systems import LocalQueueCluster
from jobclusters.config.call import Call
from jobclusters.config.machine import Machine
from jobclusters.errors import Refused, SubmitLimit, Unavailable
from jobclusters.state import JobState, JobStatus

#: Room for any test.
LARGE = Machine(cores=10_000, memory=10**15, gpus=64)


class ScriptedQueue(LocalQueue):
    """A batch system that follows a test's script.

    Parameters
    ----------
    machine
        What it offers to jobs.
    hold
        Leave jobs pending: for tests of many jobs, without processes.

    Attributes
    ----------
    commands : list of tuple
        Every command so far: the verb, and the number of its jobs.
    most_jobs : int or None
        Submissions that would put more into the queue are refused whole, as SLURM does.
    delay : float
        Seconds that each command takes.
    hidden : set of str
        Ids of jobs that answers leave out, as those of a server that has just restarted do.
    """

    interval = 0.05

    def __init__(self, machine: Machine = LARGE, *, hold: bool = False) -> None:
        super().__init__(machine)
        self.commands: list[tuple[str, int]] = []
        self.most_jobs: int | None = None
        self.delay = 0.0
        self.hold = hold
        self.hidden: set[str] = set()
        self._refusals: list[Refused] = []
        self._silent: dict[str, bool] = {}

    def refuse(self, words: str, times: int = 1) -> None:
        """Refuse the next submissions, in these words."""
        self._refusals += [Refused(words)] * times

    @contextmanager
    def silent(self, *verbs: str, carried_out: bool = False) -> Iterator[None]:
        """Answer no command of these verbs (all unless given): submit, cancel, states, find, detail.

        Parameters
        ----------
        *verbs
            Those without an answer.
        carried_out
            Whether submissions and cancels take effect all the same.
        """
        names = verbs or ("submit", "cancel", "states", "find", "detail")
        self._silent.update(dict.fromkeys(names, carried_out))
        try:
            yield
        finally:
            for verb in names:
                self._silent.pop(verb, None)

    def end(self, job_id: str, state: JobState = JobState.CANCELLED, exit_code: int | None = None) -> None:
        """End a job from outside, as an administrator or a dying node would."""
        with self._lock:
            job = self._jobs[job_id]
            if job.status.state is JobState.RUNNING:
                job.outcome = state
                job.status = replace(job.status, state=JobState.COMPLETING)
            else:
                job.status = replace(job.status, state=state, exit_code=exit_code)
        self._wake.set()

    def forget(self, job_id: str) -> None:
        """Forget an ended job."""
        with self._lock:
            del self._jobs[job_id]

    def states_now(self) -> dict[str, JobStatus]:
        """Give the status of all jobs, without a command."""
        with self._lock:
            return {job.id: job.status for job in self._jobs.values()}

    def living(self) -> list[str]:
        """List the ids of all jobs that haven't ended."""
        return [job_id for job_id, status in self.states_now().items() if not status.state.ended]

    # -- the verbs ----------------------------------------------------------------------------------------------

    async def _command(self, verb: str, count: int) -> None:
        self.commands.append((verb, count))
        if self.delay:
            await asyncio.sleep(self.delay)
        if self._silent.get(verb) is False:
            raise Unavailable(f"{verb}: no answer")

    def _answer(self, verb: str) -> None:
        if verb in self._silent:
            raise Unavailable(f"{verb}: carried out, but no answer")

    async def submit(self, script: str, count: int) -> list[str]:
        """Queue a script, as the test's script says."""
        await self._command("submit", count)
        if self._refusals:
            raise self._refusals.pop(0)
        most = self.most_jobs  # a test may change it at any time, from another thread
        if most is not None and len(self.living()) + count > most:
            raise SubmitLimit(f"QOSMaxSubmitJobPerUserLimit: {count} more jobs")
        ids = await super().submit(script, count)
        self._answer("submit")
        return ids

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs, as the test's script says."""
        await self._command("cancel", len(ids))
        await super().cancel(ids)
        self._answer("cancel")

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Give the states of jobs, as the test's script says."""
        await self._command("states", len(ids))
        return {job_id: status for job_id, status in (await super().states(ids)).items() if job_id not in self.hidden}

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Give the states of all jobs with this name, as the test's script says."""
        await self._command("find", 1)
        return {job.id: job.status for job in list(self._jobs.values()) if job.name == job_name}

    async def detail(self, job_id: str) -> JobStatus | None:
        """Give the state of one job, as the test's script says."""
        await self._command("detail", 1)
        return None if job_id in self.hidden else self.states_now().get(job_id)

    def _schedule(self) -> list[Any]:
        return [] if self.hold else super()._schedule()


class ScriptedCluster(LocalQueueCluster):
    """A cluster on a :class:`ScriptedQueue`.

    Parameters
    ----------
    batch_system
        The queue.
    **keywords
        As for any cluster.
    """

    def __init__(self, batch_system: ScriptedQueue, **keywords: Any) -> None:
        self._batch_system = batch_system
        super().__init__(**keywords)

    @classmethod
    def check(cls, call: Call) -> None:
        """Accept any size: the queue decides."""

    def _make_batch_system(self) -> ScriptedQueue:
        return self._batch_system
