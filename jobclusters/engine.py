"""All jobs of a cluster, in one object: it submits, cancels, watches, remembers and explains them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from jobclusters.batchqueue import BatchQueue
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.commandqueue import Verbs
from jobclusters.errors import QueueError
from jobclusters.group import Group
from jobclusters.janitor import Janitor
from jobclusters.keeper import Keeper, job_of, run_of
from jobclusters.observe import Observer
from jobclusters.output import Output
from jobclusters.record import JobRecord
from jobclusters.retirement import Retirement
from jobclusters.scaling import victims
from jobclusters.spec import JobSpec
from jobclusters.state import JobState, JobStatus
from jobclusters.usage import Meter
from jobclusters.waits import Waits
from jobclusters.walltime import stranded
from jobclusters.watch import Watch

logger = logging.getLogger(__name__)

#: Ended jobs that are remembered.
REMEMBERED = 1000


class Lost(Protocol):
    """Who hears of jobs that are over without having been asked to leave."""

    def __call__(self, names: Sequence[str], *, replace: bool) -> None:
        """Forget the jobs of these names, and ask for others if they are to be replaced."""


class Engine:
    """All jobs of a cluster.

    Parameters
    ----------
    verbs
        The batch system, or this machine's queue.
    render
        Prints the script of a spec.
    scheduler
        Gives the Dask scheduler, or None before it is there.
    lost
        Told of jobs that are over without having been asked to leave.
    token
        Makes job names unique.
    lost_after
        Seconds after which a running job without its workers is given up.
    files
        Of the cluster, where submissions are written down; None for nowhere.
    guarded
        Whether the jobs are cancelled if this process dies.
    """

    def __init__(
        self,
        verbs: Verbs,
        render: Callable[[JobSpec], str],
        scheduler: Callable[[], Any],
        lost: Lost,
        token: str,
        lost_after: float,
        files: ClusterFiles | None = None,
        *,
        guarded: bool = True,
    ) -> None:
        self.verbs = verbs
        self._output = Output(verbs)
        self.keeper = Keeper(self._output.end, excludes=verbs.dialect.excludes)
        self._janitor = Janitor(verbs.dialect.name, getattr(verbs, "token", ""), files, starts=guarded)
        self.queue = BatchQueue(verbs, render, self, self._janitor, token)
        self.watch = Watch(self.queue, self.count_workers, self._ended, self._requeued, lost_after)
        self.observer = Observer(self.queue.records, self._workers)
        self._retirement = Retirement(scheduler, lambda: self.queue.closing)
        self._waits: defaultdict[str | None, Waits] = defaultdict(Waits)
        self._ages: dict[str | None, list[float]] = {}
        self.meter = Meter()
        self._scheduler = scheduler
        self._lost = lost
        self._past: dict[str, JobRecord] = {}
        self._watching: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Future[Any]] = set()

    def start(self) -> None:
        """Begin to watch."""
        self._watching = asyncio.get_running_loop().create_task(self.watch.run())

    async def close(self) -> None:
        """Cancel all jobs, make sure, and say which could not be cancelled. Never raises for what jobs did."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        if not await self.queue.close():
            self._janitor.goodbye()
        # else the janitor stays, and goes on trying when this process has ended

    async def release(self) -> None:
        """Let the jobs go on without us."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._janitor.goodbye()

    def reset(self) -> None:
        """Start afresh: the person asked for something new."""
        self.keeper.reset()
        self.queue.exclude = frozenset()

    # -- what is known ------------------------------------------------------------------------------------------

    def jobs(self) -> dict[str, JobStatus]:
        """Give how each job stands, those that ended included, by id; by name before there is an id."""
        counts = self.count_workers()
        past = {job_id: record.status for job_id, record in list(self._past.items())}
        live = sorted(self.queue.records.values(), key=lambda record: record.number)
        return past | {r.job_id or r.name: self._status(r, counts[r.name]) for r in live}

    def _status(self, record: JobRecord, workers: int) -> JobStatus:
        """Add what only we know to what the batch system says of a job."""
        since = None if record.arrived is None else time.monotonic() - record.arrived
        return replace(record.status, workers=workers, ends=record.walltime_over(since, datetime.now()))

    def summary(self) -> str:
        """Say how the jobs stand: ``7 running, 3 pending: QOSMaxCpuPerUserLimit``."""
        held_back = self.queue.waiting
        records = [record for record in list(self.queue.records.values()) if not record.leaving]
        live = [record.status for record in records if record not in held_back]
        by_state = Counter(status.state for status in live)
        reasons = Counter(s.reason for s in live if s.state is JobState.PENDING and s.reason)
        order = (JobState.RUNNING, JobState.COMPLETING, JobState.UNKNOWN, JobState.PENDING)
        text = ", ".join(f"{by_state[state]} {state.lower()}" for state in order if by_state[state])
        if reasons:
            text += f": {reasons.most_common(1)[0][0]}"
        if held_back:
            text += f"{'; ' if text else ''}{len(held_back)} held back by a submit limit"
        starts = [status.estimated_start for status in live if status.estimated_start is not None]
        if starts:
            text += f", the first expected to start at {min(starts):%Y-%m-%d %H:%M}"
        notes = {"refused": self.keeper.refusal, "stopped": self.keeper.stopped}
        told = [f"{note}: {why.splitlines()[0]}" for note, why in notes.items() if why]
        return "; ".join(filter(None, [text, *told])) or "none"

    def trouble(self) -> QueueError | None:
        """Give what a person who waits for workers must know, or None."""
        return self.keeper.trouble(list(self.queue.records.values()), self.verbs.dialect.never)

    def _workers(self) -> list[Any]:
        scheduler = self._scheduler()
        return [] if scheduler is None else list(scheduler.workers.values())

    def count_workers(self) -> Counter[str]:
        """Count the registered workers of each job."""
        names = self.queue.records.keys()
        return Counter(job for worker in self._workers() if (job := job_of(worker.name, names)) is not None)

    def arrived(self, workers: Sequence[str]) -> None:
        """Hear of workers that registered."""
        for worker in workers:
            if (job := job_of(worker, self.queue.records)) is not None:
                record = self.queue.records[job]
                record.comes(run_of(worker, job))
                if record.run:  # workers of earlier runs, of a frozen node say, are forgotten
                    self._bury([job], before=record.run)
                record.had_worker = True
                self.keeper.worked()
                if record.arrived is None:
                    record.arrived = time.monotonic()
                    if record.asked is not None:
                        self._waits[record.spec.queue].saw(record.arrived - record.asked)

    def victims(self, names: Sequence[str]) -> list[str]:
        """Give these jobs in the order in which they go: those first that haven't even been asked for."""
        unborn = [name for name in reversed(names) if name not in self.queue.records]
        # Of all that are followed: some may have been let go a moment ago, and not have left yet.
        jobs, among = self.observer.jobs(time.monotonic()), set(names)
        return unborn + [name for name in victims(jobs, len(jobs)) if name in among]

    def look(self, groups: Mapping[str, Group]) -> None:
        """Note what the groups use, and for how long jobs have been pending."""
        now = time.monotonic()
        jobs = self.observer.jobs(now)
        by_group = {name: [job for job in jobs if group.owns(job.name)] for name, group in groups.items()}
        self.meter.look(now, by_group, {name: group.spec.cores for name, group in groups.items()})
        self._ages = {}
        for record in list(self.queue.records.values()):
            if record.arrived is None and record.asked is not None and not record.leaving:
                self._ages.setdefault(record.spec.queue, []).append(now - record.asked)

    def expected_wait(self, queue: str | None) -> float:
        """Give the seconds after which a job that is asked for now may have its workers."""
        return self._waits[queue].estimate(self._ages.get(queue, ()))

    # -- output -------------------------------------------------------------------------------------------------

    def logs(self, job_id: str | None, tail: int | None) -> dict[str, str]:
        """Read what jobs printed."""
        known = {**self._past, **{str(r.job_id): r for r in list(self.queue.records.values()) if r.job_id}}
        return self._output.read(known, job_id, tail)

    # -- what happens -------------------------------------------------------------------------------------------

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let the workers go."""
        await self._retirement.retire(records)

    def tell_stranded(self) -> None:
        """Say once which jobs end with results that nobody can take."""
        now = time.monotonic()
        jobs = {job.name: job for job in self.observer.jobs(now)}
        for name in stranded(jobs.values(), now):
            record, job = self.queue.records[name], jobs[name]
            if not record.stranded and (job.held or job.busy):
                record.stranded = True
                logger.warning(
                    "The walltime of job %s ends, and no other job has come that could take its results: they are"
                    " computed again. A longer walltime, or a larger jobclusters.walltime-margin, leaves the queue more"
                    " time.",
                    record.job_id,
                )

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:
        """Hear that these will not be submitted."""
        self.keeper.refused(error)
        self._lost([record.name for record in records], replace=False)

    def _ended(self, records: Sequence[JobRecord]) -> None:
        self.keeper.ended(records)
        self.queue.exclude = self.keeper.bad_nodes
        self._bury([record.name for record in records])
        self._lost([record.name for record in records], replace=not self.keeper.stopped)

    def over(self, record: JobRecord) -> None:
        """Remember a job that is over."""
        if record.job_id is not None:
            self._past[record.job_id] = record
        while len(self._past) > REMEMBERED:
            del self._past[next(iter(self._past))]

    def _requeued(self, record: JobRecord) -> None:
        """Forget the workers of a job's last run, unless those of the next one have come before the news."""
        if record.requeued(time.monotonic()) and record.status.state is JobState.PENDING:
            self._bury([record.name])

    def _bury(self, jobs: Sequence[str], before: float = math.inf) -> None:
        """Take workers out of the scheduler whose job is over: those of a frozen node would stay for minutes.

        Where a job runs anew, only those of runs before that one.
        """
        scheduler, names = self._scheduler(), set(jobs)
        for worker in self._workers():
            job = job_of(worker.name, names)
            if job is None or run_of(worker.name, job) >= before:
                continue
            removing = scheduler.remove_worker(worker.address, stimulus_id="jobclusters-job-over", expected=True)
            self._burials.add(task := asyncio.ensure_future(removing))
            task.add_done_callback(self._burials.discard)
