"""The scaler's view of jobs and work, its limits, and its decisions. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from jobclusters.scaling.history import Needs
from jobclusters.state import JobState


class JobSnapshot(NamedTuple):
    """What is known of a job at a moment; times are seconds of one clock. Thousands may be made in one look.

    Attributes
    ----------
    name, number
        Of the job; a higher number is younger.
    state
        Of the job.
    busy
        Whether any of its workers has work.
    held
        Bytes of results that its workers hold.
    idle_since
        Since when all its workers have been without work; None while they aren't, or before there are any.
    handover_at
        From when on it hands over, as its walltime ends; None if it has none, or hasn't started.
    leaves_at
        When its workers leave by themselves.
    asked_at
        When it was asked for; None if that isn't known, or it has its workers.
    """

    name: str
    number: int
    state: JobState
    busy: bool = False
    held: int = 0
    idle_since: float | None = None
    handover_at: float | None = None
    leaves_at: float | None = None
    asked_at: float | None = None

    @property
    def has_workers(self) -> bool:
        """Whether any of its workers is registered."""
        return self.busy or self.held > 0 or self.idle_since is not None

    @property
    def waits(self) -> bool:
        """Whether it is in the queue. The batch system's answer may be older than what the job's workers do."""
        return self.state is not JobState.RUNNING and not self.has_workers

    @property
    def ends(self) -> float:
        """From when on it hands over; infinite if that isn't known."""
        return math.inf if self.handover_at is None else self.handover_at


#: Jobs in the order in which they end.
ByEnd = Sequence[JobSnapshot]
_END = attrgetter("ends")


def ending(jobs: ByEnd, moment: float) -> int:
    """Count the jobs that are to hand over by a moment: they are the first ones."""
    return bisect_right(jobs, moment, key=_END)


#: Of so many jobs, one may come without all being sorted anew.
FEW = 16


@dataclass(frozen=True)
class Census:
    """All wanted jobs by what they do, without those that are to leave; each list in the order in which they end.

    There may be thousands, and they are decided about each second: what has changed is sorted in, and counts are read
    off, so that no decision has to look at each job.

    Attributes
    ----------
    waiting
        Those in the queue.
    starting
        Those that run, but have no workers yet.
    idle, busy
        Those whose workers are all idle, and the others.
    held
        Bytes of results, in all.

    Examples
    --------
    >>> queued, works = JobSnapshot("a", 0, JobState.PENDING), JobSnapshot("b", 1, JobState.RUNNING, busy=True, held=5)
    >>> census = Census.of([queued, works])
    >>> len(census), len(census.waiting), len(census.busy), census.held
    (2, 1, 1, 5)
    >>> later = census.changed([queued], [JobSnapshot("a", 0, JobState.RUNNING)])
    >>> len(later.waiting), len(later.starting)
    (0, 1)
    """

    waiting: ByEnd = ()
    starting: ByEnd = ()
    idle: ByEnd = ()
    busy: ByEnd = ()
    held: int = 0

    @classmethod
    def of(cls, jobs: Iterable[JobSnapshot]) -> Census:
        """Sort jobs."""
        return cls().changed((), list(jobs))

    def changed(self, gone: Collection[JobSnapshot], come: Collection[JobSnapshot]) -> Census:
        """Give what there is when some jobs have gone and others have come; one that has changed does both."""
        names = {job.name for job in gone}
        left = {_kind(job) for job in gone}
        entered: tuple[list[JobSnapshot], ...] = ([], [], [], [])
        for job in come:
            entered[_kind(job)].append(job)
        lists: list[list[JobSnapshot]] = []
        for kind, jobs in enumerate((self.waiting, self.starting, self.idle, self.busy)):
            stay = [job for job in jobs if job.name not in names] if kind in left else list(jobs)
            new = entered[kind]
            if FEW * len(new) < len(stay):
                for job in new:
                    insort(stay, job, key=_END)
            elif new:
                stay = sorted([*stay, *new], key=_END)
            lists.append(stay)
        held = self.held + sum(job.held for job in come) - sum(job.held for job in gone)
        waiting, starting, idle, busy = lists
        return Census(waiting, starting, idle, busy, held)

    def without(self, names: Collection[str]) -> Census:
        """Give what there is without some jobs."""
        return self.changed([job for job in self if job.name in names], ()) if names else self

    def __len__(self) -> int:
        return len(self.waiting) + len(self.starting) + len(self.idle) + len(self.busy)

    def __iter__(self) -> Iterator[JobSnapshot]:
        for jobs in (self.waiting, self.starting, self.idle, self.busy):
            yield from jobs


def _kind(job: JobSnapshot) -> int:
    """Give to which list of a census a job belongs."""
    if job.busy:
        return 3
    return 2 if job.has_workers else int(job.state is JobState.RUNNING)


@dataclass(frozen=True)
class Snapshot:
    """What a decision depends on; times are seconds of one clock.

    Attributes
    ----------
    tasks
        Tasks that could run now: those that run, and those that are ready.
    seconds
        Of one thread, that these will take; those whose durations aren't known aren't among them.
    unknown
        Tasks of kinds that none of has run yet.
    rate
        Tasks that became ready per second, steadily, for about as long as a new job would wait.
    leaving
        Jobs that are to leave, and still have work to finish; but for those that hand over as their walltime
        ends: like them, their replacements aren't counted.
    jobs
        All wanted jobs.
    wait
        Seconds until a job that is asked for now has its workers, as observed; 0.0 while nothing is known.
    needs
        What the decisions before found: moments, and the jobs that had something to do then.
    core_hours
        Spent until now.
    stopped
        Why nothing is submitted any more; "" while it is.
    """

    tasks: int = 0
    seconds: float = 0.0
    unknown: int = 0
    rate: float = 0.0
    leaving: int = 0
    jobs: Census = field(default_factory=Census)
    wait: float = 0.0
    needs: Needs = ()
    core_hours: float = 0.0
    stopped: str = ""


@dataclass(frozen=True)
class Policy:
    """How to scale.

    Attributes
    ----------
    threads, cores, memory
        Of a job; memory is what its workers may use, in bytes.
    minimum, maximum
        Jobs to have at least and at most. A job about to end isn't counted: its replacement is.
    target_duration
        Seconds in which the work should be done, once jobs have started.
    patience
        Seconds for which demand must stay low before a pending job is given up, where time is preferred.
    idle
        Seconds for which fewer jobs must have been enough before idle ones go; busy ones too, but not before half a
        minute.
    max_pending
        Jobs that may wait at once; None for no limit.
    max_core_hours
        To spend at most; None for no limit.
    prefer
        ``"time"`` lets pending jobs wait on for a while, and keeps one job over short pauses. With ``"core-hours"`` all
        go as soon as there is no work for them, and none is asked for if those that wait will have done the work.
    """

    threads: int
    cores: int
    memory: int
    minimum: int = 0
    maximum: int = 100
    target_duration: float = 5.0
    patience: float = 120.0
    idle: float = 2.0
    max_pending: int | None = None
    max_core_hours: float | None = None
    prefer: str = "time"


@dataclass(frozen=True)
class Decision:
    """What is to be done, and because of what.

    Attributes
    ----------
    submit
        How many jobs to ask for.
    cancel, retire
        Names of pending jobs to give up, and of running ones to let go; of these, busy ones finish first.
    need
        Jobs that would have something to do now, within the limits.
    because
        A sentence.
    """

    submit: int = 0
    cancel: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()
    need: int = 0
    because: str = ""


class Step(NamedTuple):
    """A decision that changed something, or found another need or that work began or ended: when, which group, why."""

    time: datetime
    group: str
    decision: Decision
