"""Looks at the jobs and their workers through the Dask scheduler, for whoever decides about them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobclusters.group import Group
from jobclusters.keeper import job_of
from jobclusters.record import JobRecord, number_of
from jobclusters.snapshot import JobSnapshot
from jobclusters.state import JobState

#: Tasks that are looked at one by one; of more, the rest is taken to be like these.
SAMPLE = 1000


class Observer:
    """Looks at jobs, and remembers since when each has been idle, and which have had work.

    Parameters
    ----------
    records
        The jobs, by name.
    workers
        Gives the scheduler's workers.
    """

    def __init__(self, records: Mapping[str, JobRecord], workers: Callable[[], Iterable[Any]]) -> None:
        self._records = records
        self._workers = workers
        self._idle: dict[str, float] = {}
        self._worked: set[str] = set()
        self._known: dict[str, JobSnapshot] = {}

    def jobs(self, now: float) -> list[JobSnapshot]:
        """Give the jobs that are not told to leave, at a moment in seconds of the event loop's clock."""
        held: Counter[str] = Counter()
        present, busy = set(), set()
        for worker in self._workers():
            if (job := job_of(worker.name, self._records)) is not None:
                present.add(job)
                held[job] += worker.nbytes
                if worker.processing:
                    busy.add(job)
        self._idle = {job: self._idle.get(job, now) for job in present - busy}
        self._worked = (self._worked | busy) & self._records.keys()
        self._known = {
            record.name: self._snapshot(record, busy=record.name in busy, held=held.get(record.name, 0))
            for record in list(self._records.values())
            if not record.leaving
        }
        return list(self._known.values())

    def wanted(self, names: Sequence[str], now: float) -> list[JobSnapshot]:
        """Give the jobs of these names, those included that aren't asked for yet."""
        among = set(names)
        known = [job for job in self.jobs(now) if job.name in among]
        unborn = among - self._records.keys()
        return known + [JobSnapshot(name, number_of(name), JobState.PENDING) for name in unborn]

    def leaving(self, group: Group, now: float) -> int:
        """Count the jobs of a group that have been told to leave, and still run; but for those whose walltime ends."""
        leaving = [each for each in self._records.values() if each.leaving and group.owns(each.name)]
        return sum(record.ends is None or record.ends > now for record in leaving)

    def _snapshot(self, record: JobRecord, *, busy: bool, held: int) -> JobSnapshot:
        """Describe a job; of thousands few change from one look to the next, and making one anew takes longer."""
        before, idle, ends = self._known.get(record.name), self._idle.get(record.name), record.ends
        if (
            before is not None
            and before.busy is busy
            and before.state is record.status.state
            and before.held == held
            and before.idle_since == idle
            and before.ends == ends
        ):
            return before
        return JobSnapshot(
            record.name,
            record.number,
            record.status.state,
            busy,
            held,
            idle,
            ends=ends,
            leaves=record.leaves,
            fresh=idle is not None and record.name not in self._worked,
        )


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes
    ----------
    tasks
        That run or could run.
    seconds
        Of one thread, as far as Dask can tell from tasks of the same kind.
    unknown
        Tasks of kinds of which none has run yet; they aren't in the seconds.
    """

    tasks: int = 0
    seconds: float = 0.0
    unknown: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.tasks + other.tasks, self.seconds + other.seconds, self.unknown + other.unknown)


def work(scheduler: Any, groups: Mapping[str, Mapping[str, float]]) -> tuple[dict[str, Work], Work]:
    """Find what there is to do for each group of jobs.

    A task goes to the first group that has the resources which it asks for; one that asks for none to the first of
    all, even where another group's worker runs it now.

    Parameters
    ----------
    scheduler
        The Dask scheduler.
    groups
        The resources of a worker, by group; the default group first.

    Returns
    -------
    dict of str to Work
        By group.
    Work
        What no group can do.
    """
    found = dict.fromkeys(groups, Work())
    nobodys = Work()
    first = next(iter(groups))
    crowds = [scheduler.queued, scheduler.unrunnable, *(worker.processing for worker in scheduler.workers.values())]
    for crowd in crowds:
        share: dict[str | None, Work] = {}
        for task in islice(crowd, SAMPLE):
            group = _group(task, groups, first)
            share[group] = share.get(group, Work()) + _work(task, scheduler.UNKNOWN_TASK_DURATION)
        more = len(crowd) / min(len(crowd), SAMPLE) if crowd else 1
        for group, some in share.items():
            all_of_them = Work(math.ceil(some.tasks * more), some.seconds * more, math.ceil(some.unknown * more))
            if group is None:
                nobodys += all_of_them
            else:
                found[group] += all_of_them
    return found, nobodys


def _group(task: Any, groups: Mapping[str, Mapping[str, float]], first: str) -> str | None:
    wanted: Mapping[str, float] = task.resource_restrictions or {}
    if not wanted:
        return first
    return next((g for g, has in groups.items() if all(has.get(k, 0) >= v for k, v in wanted.items())), None)


def _work(task: Any, unknown: float) -> Work:
    """Take Dask's average for this kind of task; where there is none, at least what the longest one has run."""
    average, longest = float(task.prefix.duration_average), float(task.prefix.max_exec_time)
    if average >= 0:
        return Work(1, average)
    return Work(1, max(unknown, longest)) if longest >= 0 else Work(1, 0.0, 1)


def finished(scheduler: Any) -> int:
    """Count the tasks that were ever done."""
    counts = (prefix.state_counts for prefix in scheduler.task_prefixes.values())
    return sum(each["memory"] + each["erred"] for each in counts)
