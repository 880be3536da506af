"""All jobs of one cluster, wanted and live: what submits, cancels, polls, replaces and explains them.

It is long because one lock makes each change of what is wanted one step: a second module would share it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from jobclusters.batch.base import BatchSystem
from jobclusters.errors import QueueError
from jobclusters.guard import Guard
from jobclusters.jobs.failures import Failures
from jobclusters.jobs.groups import Group
from jobclusters.jobs.logs import Output
from jobclusters.jobs.observer import Observer
from jobclusters.jobs.poller import Poller
from jobclusters.jobs.record import JobRecord, job_of, run_of
from jobclusters.jobs.retire import Retirement
from jobclusters.jobs.scheduler_view import SchedulerView
from jobclusters.jobs.submitter import Submitter, shortened
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.janitor import Janitor
from jobclusters.scaling.handover import handing_over, stranded
from jobclusters.scaling.history import Waits
from jobclusters.scaling.model import Census, Decision, Policy, ending
from jobclusters.scaling.rules import victims
from jobclusters.scaling.usage import Meter, Usage
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.units import counted
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

#: Ended jobs that are remembered.
MOST_ENDED_JOBS = 1000

#: Workers taken out of the scheduler, and jobs described for those who decide, without a pause.
REMOVED_AT_ONCE = 20
DESCRIBED_AT_ONCE = 1000

#: Seconds between two looks at what is used, and at jobs whose walltime ends.
RENEWAL_INTERVAL = 2.0


class JobPool:
    """All jobs of one cluster, wanted and live.

    Any thread may want jobs or let them go: that is seen at once, by every thread. The commands that this takes go out
    on the event loop; what is wanted before :meth:`start` goes out with it.

    Parameters
    ----------
    batch_system
        The batch system, or this machine's queue.
    render
        Prints the script of a spec.
    token
        Makes job names unique.
    lost_after
        Seconds after which a running job without its workers is given up.
    scheduler
        Gives the Dask scheduler, or None while there is none.
    prepare
        Makes what the jobs of a group need to be there, or raises why it can't be.
    files
        Of the cluster, where submissions are written down; None for nowhere.
    guarded
        Whether the jobs are cancelled if this process dies.
    absent_after
        Seconds after which a job is given up that the batch system doesn't list.

    Attributes
    ----------
    groups
        The groups of jobs, by name; each knows how many jobs it should have.
    records
        All jobs by name, from the wish until they are over. Those that are to leave are among them.
    closing
        Whether nothing is submitted any more, as the cluster closes.
    """

    def __init__(
        self,
        batch_system: BatchSystem,
        render: Callable[[JobSpec], str],
        token: str,
        lost_after: float,
        scheduler: Callable[[], Any] = lambda: None,
        prepare: Callable[[Group], None] = lambda group: None,  # noqa: ARG005 -- it is called with it
        files: ClusterFiles | None = None,
        *,
        guarded: bool = True,
        absent_after: float = 60.0,
    ) -> None:
        self.batch_system = batch_system
        self.token = token
        self.groups: dict[str, Group] = {}
        self.records: dict[str, JobRecord] = {}
        self.closing = False
        self._prepare = prepare
        self._lock = threading.RLock()
        #: Jobs that are wanted, or are to leave, and of which the submitter doesn't know yet.
        self._to_submit: dict[str, JobRecord] = {}
        self._to_cancel: list[JobRecord] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._view = SchedulerView(scheduler)
        self._output = Output(batch_system)
        self._failures = Failures(self._output.end, excludes=batch_system.dialect.excludes)
        self._janitor = Janitor(batch_system.dialect.name, getattr(batch_system, "token", ""), files, starts=guarded)
        self._submitter = Submitter(batch_system, render, self, self._janitor, token)
        self._poller = Poller(self._submitter, self, lost_after, absent_after)
        self._arrivals = 0
        self._observer = Observer(self.records, self._view.workers, lambda: (self._view.news, self._arrivals))
        self._looking = asyncio.Lock()
        self._retirement = Retirement(self._view, lambda: self._submitter.closing)
        self._meter = Meter()
        self._waits: defaultdict[str | None, Waits] = defaultdict(Waits)
        self._ages: dict[str | None, list[float]] = {}
        self._past: dict[str, JobRecord] = {}
        self._removals: set[asyncio.Future[Any]] = set()
        self._renewing = Guard("Replacing jobs whose walltime ends")
        self._replacing = Guard("Replacing jobs that have ended")
        self._measuring = Guard("Adding up what jobs use")
        self._noting = Guard("Noting that jobs have ended")
        self._removing = Guard("Taking workers of ended jobs out of the scheduler")

    # -- beginning and end --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Submit what is wanted, and begin to poll and to renew; the event loop that runs now does all from now on."""
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(self._poller.run()), self._loop.create_task(self._keep_renewing())]
        self.send()

    def stop(self) -> None:
        """Want no jobs any more: the cluster closes. Those there are stay until :meth:`close` cancels them."""
        with self._lock:
            if self.closing:
                return
            with self._measuring:
                self.measure()
            self.closing = True
            for group in list(self.groups.values()):
                group.wanted, group.policy = 0, None
            for record in self._to_submit.values():
                del self.records[record.name]
            self._to_submit.clear()
            for record in self.records.values():
                record.leaving = True

    async def close(self) -> None:
        """Cancel all jobs, make sure, and log which could not be cancelled. Never raises, whatever came before."""
        left = [record.name for record in self.records.values() if record.job_name]
        with Guard("Ending what submits and polls jobs", "they are cancelled all the same"):
            self.stop()
            await self._end_tasks()
        with Guard("Cancelling the jobs", "what is left is left to the janitor"):
            left = await self._submitter.close(list(self.records.values()))
        with Guard("Leaving the janitor", "it leaves when this process ends"):
            if not left:
                await self._janitor.goodbye()
            elif self._janitor.hand_over():
                logger.warning("A process of its own goes on cancelling these: %s.", shortened(left))
            else:
                logger.error("Please cancel these by hand: %s.", ", ".join(left))

    async def release(self) -> None:
        """Let the jobs go on without us."""
        await self._end_tasks()
        await self._janitor.goodbye()

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what is wanted, from any thread ------------------------------------------------------------------------

    def want(self, group: Group, jobs: int) -> None:
        """Have so many jobs of a group, besides those whose walltime ends soon, and forget failures; returns at once.

        Raise InvalidRequest if something that the jobs need can't be made.
        """
        if jobs and not self.closing:
            self._prepare(group)
        with self._lock:
            if self.closing:
                return
            self._reset_failures()
            if group.policy is not None:
                logger.info("Group %s no longer scales with the work: scale() was called.", group.name)
                group.policy = None
            group.wanted = jobs
            self._fill(group)
        self._send_soon()

    def adapt(self, group: Group, policy: Policy) -> None:
        """Let a group follow the scaler from now on, and forget failures."""
        with self._lock:
            if not self.closing:
                self._reset_failures()
                group.policy = policy

    def obey(self, group: Group, decision: Decision) -> None:
        """Do what the scaler has decided; returns at once."""
        if decision.submit and not self.closing:
            self._prepare(group)
        with self._lock:
            if group.policy is None:  # meanwhile a fixed number was asked for, or the cluster closes
                return
            self._leave(decision.cancel)
            self._leave(decision.retire, draining=True)
            self._add(group, decision.submit)
            group.wanted = len(self.members(group))
        self._send_soon()

    def let_go(self, names: Iterable[str]) -> None:
        """Let jobs go, or the jobs of these workers, and have so many less; returns at once."""
        with self._lock:
            jobs = {job for name in names if (job := job_of(name, self.records)) is not None}
            going = [self.records[job] for job in jobs]
            self._leave(jobs)
            self._want_less(going)
        self._send_soon()

    def add(self, records: Iterable[JobRecord]) -> None:
        """Have these jobs, which are of no group: none of them is ever replaced."""
        added = {record.name: record for record in records}
        with self._lock:
            self.records.update(added)
            self._to_submit.update(added)
            self._observer.follow(added)
        self._send_soon()

    def _reset_failures(self) -> None:
        self._failures.reset()
        self._submitter.exclude = frozenset()

    def _fill(self, group: Group) -> None:
        """Have as many jobs that last as the group should have."""
        lasting = self._lasting(group) if group.wanted else self.members(group)
        surplus = len(lasting) - group.wanted
        if not group.wanted:  # there is none to choose
            self._leave([record.name for record in lasting])
        elif surplus > 0:
            self._leave(self._victims(group)[:surplus])
        else:
            self._add(group, -surplus)

    def _refill(self, group: Group) -> None:
        """Replace the jobs that a group lacks, unless the scaler finds out whether they are needed."""
        with self._replacing:  # what fails is tried again with the next renewal
            if group.wanted and not self.closing:
                self._prepare(group)
            with self._lock:
                if group.policy is None and not self.closing:
                    self._fill(group)
            self._send_soon()

    def _add(self, group: Group, count: int) -> None:
        if count > 0:
            self.add(group.new_jobs(count))
            self._meter.asked(group.name, count)

    def _leave(self, names: Iterable[str], *, draining: bool = False) -> None:
        """Want these jobs no more; if they are draining, their workers may finish what they do."""
        for name in names:
            record = self.records.get(name)
            if record is None or record.leaving:
                continue
            record.leaving, record.draining = True, draining
            if self._to_submit.pop(name, None) is not None:  # it never was
                del self.records[name]
            else:
                self._to_cancel.append(record)

    def _send_soon(self) -> None:
        if self._loop is not None and not self.closing and (self._to_submit or self._to_cancel):
            self._loop.call_soon_threadsafe(self.send)

    def send(self) -> None:
        """Hand what is wanted to the submitter, on the event loop; before the start there is none."""
        if self._loop is None:
            return
        with self._lock:
            submit, self._to_submit = self._to_submit, {}
            cancel, self._to_cancel = self._to_cancel, []
        self._submitter.submit(submit.values())
        self._submitter.cancel(record for record in cancel if record.name in self.records)

    async def settle(self) -> None:
        """Wait until everything asked for has been answered, or waits for room."""
        self.send()
        await self._submitter.settle()

    # -- what is known ------------------------------------------------------------------------------------------

    def wanted(self) -> list[JobRecord]:
        """List the jobs that there should be."""
        return list(self.iter_wanted())

    def iter_wanted(self) -> Iterator[JobRecord]:
        """Go through the jobs that there should be, which takes no time where the first ones say enough."""
        return (record for record in list(self.records.values()) if not record.leaving)

    def requested(self) -> list[JobRecord]:
        """List those of them that the submitter has got."""
        waiting = self._to_submit
        return [record for record in self.wanted() if record.name not in waiting]

    def members(self, group: Group) -> list[JobRecord]:
        """List the jobs that there should be of a group; those that hand over as their walltime ends are among them."""
        return [record for record in self.wanted() if group.owns(record.name)]

    def jobs(self) -> dict[str, JobStatus]:
        """Give the state of each job, those that ended included, by id; by name before there is an id."""
        counts, now = self.count_workers(), datetime.now()
        past = {job_id: record.status for job_id, record in list(self._past.items())}
        live = sorted(self.records.values(), key=attrgetter("number"))
        return past | {r.job_id or r.name: self._status(r, counts.get(r.name, 0), now) for r in live}

    def _status(self, record: JobRecord, workers: int, now: datetime) -> JobStatus:
        """Add what only we know to what the batch system says of a job."""
        status = record.status
        if workers and status.state is JobState.PENDING:  # the last answer is older than they are
            status = replace(status, state=JobState.RUNNING, reason="", estimated_start=None)
        ends = status.ends
        if ends is None and status.state is JobState.RUNNING:
            since = None if record.arrived_at is None else time.monotonic() - record.arrived_at
            ends = record.walltime_ends_at(since, now)
        if workers == status.workers and ends is status.ends:  # so it is of most, and there may be thousands
            return status
        return replace(status, workers=workers, ends=ends)

    def summary(self) -> str:
        """Count the jobs by state, with what keeps them: ``7 running, 3 pending: QOSMaxCpuPerUserLimit``."""
        held_back = self._submitter.waiting
        records, counts, now = self.wanted(), self.count_workers(), datetime.now()
        live = [self._status(record, counts.get(record.name, 0), now) for record in records if record not in held_back]
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
        notes = {
            "refused": self._failures.refusal,
            "stopped": self._failures.stopped,
            "ended jobs can't be replaced yet": str(self._replacing.error or ""),
            "left out": ", ".join(sorted(self._submitter.exclude)),
        }
        known = [f"{note}: {why.splitlines()[0]}" for note, why in notes.items() if why]
        return "; ".join(filter(None, [text, *known, self._submitter.left])) or "none"

    def trouble(self) -> QueueError | None:
        """Give why workers won't come, for those who wait for them; None while they may."""
        return self._failures.trouble(list(self.records.values()), self.batch_system.dialect.never)

    def stopped(self, group: Group) -> str:
        """Give why a group's jobs are submitted no more, until the next ``scale()``; "" while they are."""
        return self._failures.stopped_for(group.prefix)

    def preview(self, group: Group) -> str:
        """Print the script of a group's next job, as it would be submitted alone."""
        return self._submitter.preview(replace(group.spec, worker_name=group.next_name))

    def logs(self, job_id: str | None, tail: int | None) -> dict[str, str]:
        """Read what jobs printed."""
        known = {**self._past, **{str(r.job_id): r for r in list(self.records.values()) if r.job_id}}
        return self._output.read(known, job_id, tail)

    def count_workers(self) -> Counter[str]:
        """Count the registered workers of each job."""
        return self._view.count(self.records)

    def count_tasks(self) -> int:
        """Count the tasks that workers have."""
        return sum(len(worker.processing) for worker in self._view.workers())

    def worker_names(self) -> set[str]:
        """Give the names of the workers that are registered at this moment."""
        return {worker.name for worker in self._view.workers()}

    def usage(self) -> dict[str, Usage]:
        """Give what each group has asked for and used until now."""
        self.measure()
        return dict(self._meter.groups)

    @property
    def core_hours(self) -> float:
        """What all groups have used, as of the last look."""
        return self._meter.core_hours

    def measure(self, now: float | None = None) -> None:
        """Note what the groups use, and for how long jobs have been pending."""
        now = time.monotonic() if now is None else now
        self._look(now)
        groups, censuses = dict(self.groups), dict(self._observer.censuses)
        by_group = {name: censuses.get(group.prefix, Census()) for name, group in groups.items()}
        self._meter.add(now, by_group, {name: group.spec.cores for name, group in groups.items()})
        ages: dict[str | None, list[float]] = {}
        for job in (job for census in censuses.values() for job in (*census.waiting, *census.starting)):
            record = self.records.get(job.name)
            if record is not None and record.arrived_at is None and record.asked_at is not None:
                ages.setdefault(record.spec.queue, []).append(now - record.asked_at)
        self._ages = ages

    async def look(self) -> None:
        """Look at the jobs that have changed, some at a time: thousands at once would hold up Dask's scheduler.

        Whoever needs a census meanwhile looks at all that are left.
        """
        async with self._looking:
            now = time.monotonic()
            while True:
                if self._look(now, DESCRIBED_AT_ONCE):
                    return
                await asyncio.sleep(0)

    def _look(self, now: float, most: int | None = None) -> bool:
        with self._lock:
            return self._observer.look(now, most)

    def expected_wait(self, queue: str | None) -> float:
        """Give the seconds after which a job that is asked for now may have its workers."""
        return self._waits[queue].estimate(self._ages.get(queue, ()))

    def census(self, group: Group, now: float) -> Census:
        """Describe the jobs of a group at a moment in seconds of the event loop's clock."""
        self._look(now)
        return self._observer.censuses[group.prefix]

    def leaving(self, group: Group, now: float) -> int:
        """Count the jobs of a group that are to leave, and still run; but for those whose walltime ends."""
        leaving = [each for each in list(self._observer.leaving.values()) if group.owns(each.name)]
        return sum(record.handover_at is None or record.handover_at > now for record in leaving)

    def _lasting(self, group: Group) -> list[JobRecord]:
        """List the jobs that won't have left, their walltime over, when a new one could start."""
        soon = time.monotonic() + self.expected_wait(group.spec.queue)
        return [each for each in self.members(group) if (end := each.handover_at) is None or end > soon]

    def _victims(self, group: Group) -> list[str]:
        """Name the jobs of a group in the order in which they go."""
        jobs = self.census(group, time.monotonic())
        return victims(jobs, len(jobs))

    # -- what happens, on the event loop ------------------------------------------------------------------------

    def arrived(self, workers: Sequence[str]) -> None:
        """Note workers that registered."""
        self._arrivals += 1
        for worker in workers:
            if (job := job_of(worker, self.records)) is not None:
                record = self.records[job]
                record.note_run(run_of(worker, job))
                if record.run:  # workers of earlier runs, of a frozen node say, are forgotten
                    self._remove_workers([job], before=record.run)
                record.had_worker = True
                self._failures.worked(record.status.node, record.group)
                if record.arrived_at is None:
                    record.arrived_at = time.monotonic()
                    if record.asked_at is not None:
                        self._waits[record.spec.queue].saw(record.arrived_at - record.asked_at)

    def hurry(self) -> None:
        """Poll soon: something has happened."""
        self._poller.hurry()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL)
            with self._renewing:
                await self.look()
                self.renew()

    def renew(self) -> None:
        """Look at what is used; replace jobs in time whose walltime is about to end, and let those go that were."""
        now = time.monotonic()
        with self._measuring:
            self.measure(now)
        if self.closing:
            return
        self._review_nodes()
        for group in list(self.groups.values()):
            if group.policy is None:  # else the scaler does both
                if self._lacks(group, now) and not self.stopped(group):
                    self._refill(group)
                self._relieve(group, now)
        self._warn_of_stranded()

    def _lacks(self, group: Group, now: float) -> bool:
        """Tell whether a group has too few jobs, or soon will: some won't be there when a new one could start."""
        soon = now + self.expected_wait(group.spec.queue)
        census = self.census(group, now)
        kinds = (census.waiting, census.starting, census.idle, census.busy)
        return len(census) - sum(ending(jobs, soon) for jobs in kinds) < group.wanted

    def _relieve(self, group: Group, now: float) -> None:
        """Let jobs hand over whose walltime ends."""
        with self._lock:
            due = handing_over(self.census(group, now), self.expected_wait(group.spec.queue), now)
            self._leave(due, draining=True)
        if due:
            logger.info("Group %s: handing over %s near the end of the walltime.", group.name, counted(len(due), "job"))
            self._send_soon()

    def _warn_of_stranded(self) -> None:
        """Warn once of each job that ends with results that no other job can take."""
        now = time.monotonic()
        for job in stranded(self._observer.censuses.values(), now):
            record = self.records.get(job.name)
            if record is not None and not record.stranded and (job.held or job.busy):
                record.stranded = True
                logger.warning(
                    "The walltime of job %s ends, and no other job has come that could take its results: they are"
                    " computed again. A longer walltime, or a larger jobclusters.walltime-margin, leaves the queue more"
                    " time.",
                    record.job_id,
                )

    def drained(self, records: Sequence[JobRecord]) -> AsyncIterator[list[JobRecord]]:
        """Give the jobs' workers no more tasks; give those that have none any more, some at a time, until all have."""
        return self._retirement.drained(records)

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let the workers go."""
        await self._retirement.retire(records)

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:
        """Note that these will not be submitted: as many less are wanted."""
        self._failures.refused(error, {record.group for record in records})
        self._want_less(records)

    async def ended(self, records: Sequence[JobRecord]) -> None:
        """Note jobs that have ended without our asking, which are still among the records."""
        explanations: Mapping[str, str] = {}
        with self._noting:
            explanations = await asyncio.to_thread(self._failures.explain, records)  # a file system may hang
        self._count_ends(records, explanations)

    def _count_ends(self, records: Sequence[JobRecord], explanations: Mapping[str, str]) -> None:
        with self._noting:
            counts, over = self.count_workers(), {record.name for record in records}
            working = Counter(each.group for each in self.wanted() if counts[each.name] and each.name not in over)
            self._failures.ended(records, explanations, working)
            self._review_nodes()

    def replace_ended(self, records: Sequence[JobRecord]) -> None:
        """Let others take the places of jobs that have ended, within the budget of failures."""
        self._remove_workers([record.name for record in records])
        for group in self._groups_of(records):
            if self.stopped(group):
                self._want_less([record for record in records if group.owns(record.name)])
            else:
                self._refill(group)

    def worked(self, record: JobRecord) -> None:
        """Note that a worker of a job has registered, and on which node."""
        self._failures.worked(record.status.node, record.group)
        self._review_nodes()

    def _review_nodes(self) -> None:
        self._failures.review_nodes()
        self._submitter.exclude = self._failures.bad_nodes

    def lost_workers(self, record: JobRecord) -> None:
        """Give up a running job that has been without its workers for too long."""
        with self._lock:
            self._leave([record.name])
        self._send_soon()
        self._count_ends([record], {})
        self.replace_ended([record])

    def over(self, record: JobRecord) -> None:
        """Remember a job that is over, or never was."""
        with self._lock:
            self.records.pop(record.name, None)
        if record.status.ends is not None:
            record.status = replace(record.status, ends=None)
        if record.job_id is not None:
            self._past[record.job_id] = record
        while len(self._past) > MOST_ENDED_JOBS:
            del self._past[next(iter(self._past))]
        with self._noting:
            if record.status.state is not JobState.GONE:  # else it may only have been missing in an answer
                self._janitor.ended(record.job_name, record.job_id)

    def requeued(self, record: JobRecord) -> None:
        """Forget the workers of a job's last run, unless those of the next one have come before the news."""
        if record.requeued(time.monotonic()) and record.status.state is JobState.PENDING:
            self._remove_workers([record.name])

    def _want_less(self, gone: Iterable[JobRecord]) -> None:
        """Want no more jobs than there are, in the groups of those that are not to be replaced."""
        with self._lock:
            for group in self._groups_of(gone):
                group.wanted = min(group.wanted, len(self.members(group)))

    def _groups_of(self, records: Iterable[JobRecord]) -> list[Group]:
        names = [record.name for record in records]
        return [group for group in list(self.groups.values()) if any(map(group.owns, names))]

    def _remove_workers(self, jobs: Collection[str], before: float = math.inf) -> None:
        """Take workers out of the scheduler whose job is over: those of a frozen node would stay for minutes.

        Where a job runs anew, only those of runs before that one.
        """
        names = set(jobs)
        with self._removing:
            dead = [
                worker.address
                for worker in self._view.workers(names)
                if run_of(worker.name, str(job_of(worker.name, names))) < before
            ]
            if dead:
                self._removals.add(task := asyncio.ensure_future(self._remove(dead)))
                task.add_done_callback(self._removals.discard)

    async def _remove(self, addresses: Iterable[str]) -> None:
        """Take workers out of the scheduler, some at a time: thousands would hold it up."""
        for number, address in enumerate(addresses, 1):
            with self._removing:
                await self._view.remove(address)
            if number % REMOVED_AT_ONCE == 0:
                await asyncio.sleep(0)
