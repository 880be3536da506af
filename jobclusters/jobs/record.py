"""One job from the wish to its end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Protocol

from jobclusters.errors import QueueError
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.units import UNLIMITED
from jobclusters.state import JobState, JobStatus

#: Seconds by which a job may have started before its first worker registers: its walltime counts from then.
REGISTRATION_SLACK = 15.0

#: Answers in a row without a job after which its end is looked up.
ABSENCES = 2
#: How much longer a job may be absent that no answer has ever held: it may not be listed yet.
UNSEEN = 3


#: Of a job that nothing is known of yet: one object for all, as thousands may be asked for at once.
NOT_SUBMITTED = JobStatus(JobState.PENDING, reason="not submitted yet")


class _WeaklyKept:
    """May be a key of a mapping that doesn't keep it. Only from Python 3.11 on, dataclasses with slots have that."""

    __slots__ = ("__weakref__",)


@dataclass(eq=False, slots=True)
class JobRecord(_WeaklyKept):
    """One job, from the wish to its end. It has slots, as thousands may be made at once.

    Attributes
    ----------
    name
        The cluster's name for it; its workers' names begin with it.
    number
        The name's number.
    spec
        What is submitted.
    job_id
        The batch system's id; None before.
    job_name
        The unique name of its submission; "" before.
    status
        Its state, as far as it is known.
    had_worker
        Whether any of its workers ever registered.
    run
        Of which run its workers are, as their names are marked: see :func:`jobclusters.jobs.record.run_of`.
    ahead
        1 if workers of that run came before the batch system's news of it, -1 if the news came and they haven't.
    leaving
        Whether it is no longer wanted.
    draining
        Whether its workers may finish their tasks then.
    stranded
        Whether the log has warned that no other job can take what it holds.
    cancelled
        Whether it was cancelled, as far as we know: the command was sent.
    seen
        Whether any answer of the batch system has ever held it.
    missing
        How many successful questions in a row didn't know it.
    absent_since
        Since when that is so, without a connected worker; in seconds of the monotonic clock, None if it isn't.
    worked_on
        The node on which a worker of this run has registered; "" before that is known.
    asked_at, began_at, arrived_at
        When it was asked for (or went back to the queue), when it was first seen to run, and when its first worker
        registered, in seconds of the event loop's clock; None before.
    notice
        Is given its name when something has changed on which decisions depend, once it is followed.
    """

    name: str
    number: int
    spec: JobSpec
    job_id: str | None = None
    job_name: str = ""
    status: JobStatus = NOT_SUBMITTED
    had_worker: bool = False
    run: int = 0
    ahead: int = 0
    leaving: bool = False
    draining: bool = False
    stranded: bool = False
    cancelled: bool = False
    seen: bool = False
    missing: int = 0
    absent_since: float | None = None
    worked_on: str = ""
    asked_at: float | None = None
    began_at: float | None = None
    arrived_at: float | None = None
    notice: Callable[[str], None] | None = field(default=None, repr=False)

    def follow(self, notice: Callable[[str], None]) -> None:
        """Give notice of each change on which decisions depend, from now on."""
        self.notice = notice
        self.__class__ = FollowedRecord  # not before: what thousands of new ones begin with is no change

    @property
    def group(self) -> str:
        """What the names of all jobs of its group begin with."""
        return self.name.rpartition("-")[0]

    @property
    def suffixes(self) -> list[str]:
        """What the names of its workers end in; nothing where it has one worker, which is named as the job."""
        return [f"-{number}" for number in range(self.spec.processes)] if self.spec.processes > 1 else []

    @property
    def workers(self) -> list[str]:
        """The names of its workers, but for the mark of a requeue."""
        return [self.name + suffix for suffix in self.suffixes] or [self.name]

    @property
    def handover_at(self) -> float | None:
        """From when on it hands over, as its walltime ends; None if that isn't known."""
        start = self._start
        return None if start is None or self.spec.due is None else start + self.spec.due

    @property
    def leaves_at(self) -> float | None:
        """When its first worker may leave by itself, as its walltime ends; None if that isn't known."""
        start = self._start
        if start is None or self.spec.lifetime is None:
            return None
        return start + self.spec.lifetime - self.spec.lifetime_stagger

    @property
    def _start(self) -> float | None:
        """The time from which its walltime counts: where Python starts slowly, it was seen to run long before."""
        if self.arrived_at is None:
            return None
        return (
            self.arrived_at - REGISTRATION_SLACK
            if self.began_at is None
            else min(self.began_at, self.arrived_at - REGISTRATION_SLACK)
        )

    def note_run(self, run: int) -> None:
        """Note the run of a worker that registered."""
        if run > self.run:
            if self.ahead < 0:
                self.ahead = 0
            elif self.arrived_at is not None:
                self.ahead, self.asked_at = 1, None
            self.run, self.began_at, self.arrived_at, self.worked_on = run, None, None, ""

    def requeued(self, now: float) -> bool:
        """Note that it went back to the queue; tell whether that is new: workers of its next run may come before."""
        if self.ahead > 0:
            self.ahead = 0
            return False
        self.ahead = -1
        self.asked_at = now
        if self.status.state is JobState.PENDING:
            self.arrived_at = None
        else:  # it runs again: the workers there are may be the new ones, and others are forgotten when those come
            self.arrived_at = now if self.status.workers else None
        self.had_worker = False  # its next one may take as long as the first
        return True

    def listed(self) -> None:
        """Note that an answer of the batch system holds it."""
        self.seen, self.missing, self.absent_since = True, 0, None

    def absent(self, now: float, after: float, workers: int = 0) -> bool:
        """Note that an answer doesn't hold it; tell whether that has lasted so long that it counts as gone.

        Batch systems leave living jobs out of their answers, after a restart say: absence says little at once, and
        nothing against a worker that is connected.

        Parameters
        ----------
        now
            The moment, in seconds of the monotonic clock.
        after
            Seconds of absence after which it counts as gone.
        workers
            Number of its connected workers.
        """
        self.missing += 1
        if workers:
            self.absent_since = None
            return False
        if self.absent_since is None:
            self.absent_since = now
        return self.missing >= ABSENCES and now - self.absent_since >= after * (1 if self.seen else UNSEEN)

    def walltime_ends_at(self, since_arrival: float | None, now: datetime) -> datetime | None:
        """Tell when its walltime is over; None if that isn't known.

        ``since_arrival`` are the seconds since its first worker registered: where the batch system doesn't date a job's
        start, that is the best there is; the job began a moment before.
        """
        started = self.status.started
        if started is None and since_arrival is not None:
            started = now - timedelta(seconds=since_arrival)
        return walltime_end(self.status.state, started, self.spec.walltime)


def walltime_end(state: JobState, started: datetime | None, walltime: timedelta | None) -> datetime | None:
    """Tell when the walltime of a job in a state is over; None if that isn't known."""
    if state is not JobState.RUNNING or started is None or walltime is None or walltime == UNLIMITED:
        return None
    with suppress(OverflowError):  # a walltime beyond the calendar is none
        return started + walltime
    return None


def _decisive(name: str, part: Callable[[Any], object] | None = None) -> Any:
    """Make of an attribute one of which each change is noticed.

    Parameters
    ----------
    name
        Of the attribute.
    part
        Gives what counts of its value, unless all does.
    """
    slot = JobRecord.__dict__[name]
    read, write = slot.__get__, slot.__set__

    def change(record: FollowedRecord, value: object) -> None:
        before = read(record)
        write(record, value)
        if before is not value and (before != value if part is None else part(before) != part(value)):
            record.notice(record.name)

    return property(read, change)


class FollowedRecord(JobRecord):
    """What a record becomes that gives notice of each change on which decisions depend.

    What its workers do, no record can tell.
    """

    __slots__ = ()

    notice: Callable[[str], None]
    status = _decisive("status", attrgetter("state"))
    leaving = _decisive("leaving")
    asked_at = _decisive("asked_at")
    began_at = _decisive("began_at")
    arrived_at = _decisive("arrived_at")


class Owner(Protocol):
    """Owns the jobs that a submitter submits and cancels."""

    def drained(self, records: Sequence[JobRecord]) -> AsyncIterator[list[JobRecord]]:
        """Give the jobs' workers no more tasks; give those that have none any more, some at a time, until all have."""

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let them go."""

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:
        """Note that these will not be submitted."""

    def over(self, record: JobRecord) -> None:
        """Note that a job is over, or never was."""


class Journal(Protocol):
    """Remembers what was submitted if this process dies."""

    async def submitting(self, job_name: str) -> None:
        """A submission with this name is about to be tried."""

    def goes_to(self, clusters: Collection[str]) -> None:
        """Its script goes to one of these other clusters of the site."""

    def submitted(self, job_name: str, ids: Sequence[str]) -> None:
        """It became these jobs."""

    def refused(self, job_name: str) -> None:
        """It became none."""

    def ended(self, job_name: str, job_id: str | None) -> None:
        """One of its jobs is over."""


def number_of(name: str) -> int:
    """Give the number that a job's name ends in; 0 if it ends in none.

    >>> number_of("C-gpu-12"), number_of("C")
    (12, 0)
    """
    last = name.rpartition("-")[2]
    return int(last) if re.fullmatch("[0-9]{1,18}", last) else 0


def element(job_id: str) -> tuple[int, ...]:
    """Give what ids of an array's elements are sorted by.

    >>> [element(job_id) for job_id in ("7_12", "7[12].server1", "7.server1", "7.12", "7")]
    [(7, 12), (7, 12), (7,), (7, 12), (7,)]
    """
    match = re.match(r"\d+(?:[_.\[]\d+)?", job_id)
    return tuple(int(number) for number in re.findall(r"\d+", match[0])) if match else ()


def alike(one: JobRecord, other: JobRecord) -> bool:
    """Tell whether two jobs are of one spec."""
    return one.spec is other.spec or one.spec == other.spec  # that takes longer


def arrays(records: Sequence[JobRecord], largest: int) -> list[list[JobRecord]]:
    """Cut jobs into arrays: of one spec, with consecutive numbers, none larger than the batch system takes."""
    cut: list[list[JobRecord]] = []
    for record in sorted(records, key=lambda each: each.number):
        last = cut[-1] if cut else None
        if last and alike(last[-1], record) and last[-1].number + 1 == record.number and len(last) < largest:
            last.append(record)
        else:
            cut.append([record])
    return cut


class Worker(Protocol):
    """What is needed of the scheduler's WorkerState."""

    name: object
    address: str


def job_of(worker: object, jobs: Iterable[str]) -> str | None:
    """Find the job that a worker belongs to: its name, without a requeue's mark and its number in the job.

    >>> job_of("C-3-r1-0", {"C-3"}), job_of("C-3", {"C-3"}), job_of("C-3-0", {"C-3"}), job_of("C-31", {"C-3"})
    ('C-3', 'C-3', 'C-3', None)
    """
    name = str(worker)
    known = jobs if isinstance(jobs, (set, frozenset, dict, Mapping)) else set(jobs)
    if name in known:
        return name
    base, _, last = name.rpartition("-")
    if not last.removeprefix("r").isdecimal():
        return None
    if base in known:
        return base
    base, _, mark = base.rpartition("-")
    return base if last.isdecimal() and mark[:1] == "r" and mark[1:].isdecimal() and base in known else None


def run_of(worker: object, job: str) -> int:
    """Read the mark of a run in a worker's name: 0 in the first run, and more in each one that follows.

    On SLURM it counts, on Grid Engine and LSF it is the time; PBS has no such variable: there it is 0.

    >>> run_of("C-3-r12-0", "C-3"), run_of("C-3-0", "C-3"), run_of("C-3-r1", "C-3")
    (12, 0, 1)
    """
    mark = re.match(r"-r(\d+)", str(worker)[len(job) :])
    return int(mark[1]) if mark else 0


def job_name(processes: int, worker: Worker) -> str:
    """Name the job that a worker belongs to, where only their number in a job is known (and pickled to the scheduler).

    >>> from types import SimpleNamespace
    >>> job_name(2, SimpleNamespace(name="C-3-r1-0"))
    'C-3-r1'
    """
    return re.sub(r"-\d+$", "", str(worker.name)) if processes > 1 else str(worker.name)
