"""One job from the wish to its end, and who hears of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from jobclusters.errors import QueueError
from jobclusters.spec import JobSpec
from jobclusters.state import JobState, JobStatus
from jobclusters.units import UNLIMITED

#: Seconds by which a job may have started before its first worker registers: from then on its terms count.
SLACK = 15.0


@dataclass(eq=False)
class JobRecord:
    """One job, from the wish to its end.

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
        How it stands.
    had_worker
        Whether any of its workers ever registered.
    run
        Of which run its workers are, as their names are marked: see :func:`jobclusters.keeper.run_of`.
    ahead
        1 if workers of that run came before the batch system told of it, -1 if it has told of one that hasn't come.
    leaving
        Whether it is no longer wanted.
    draining
        Whether its workers may finish their tasks then.
    stranded
        Whether it was said that nobody can take what it holds.
    missing
        How many successful questions in a row didn't know it.
    asked, began, arrived
        When it was asked for (or went back to the queue), when it was first seen to run, and when its first worker
        registered, in seconds of the event loop's clock; None before.
    """

    name: str
    number: int
    spec: JobSpec
    job_id: str | None = None
    job_name: str = ""
    status: JobStatus = field(default_factory=lambda: JobStatus(JobState.PENDING, reason="not submitted yet"))
    had_worker: bool = False
    run: int = 0
    ahead: int = 0
    leaving: bool = False
    draining: bool = False
    stranded: bool = False
    missing: int = 0
    asked: float | None = None
    began: float | None = None
    arrived: float | None = None

    @property
    def ends(self) -> float | None:
        """From when on it hands over, as its walltime ends; None if that isn't known."""
        return None if self._start is None or self.spec.due is None else self._start + self.spec.due

    @property
    def leaves(self) -> float | None:
        """When its first worker may leave by itself, as its walltime ends; None if that isn't known."""
        if self._start is None or self.spec.lifetime is None:
            return None
        return self._start + self.spec.lifetime - self.spec.lifetime_stagger

    @property
    def _start(self) -> float | None:
        """The time from which its terms count: where Python starts slowly, it was seen to run long before."""
        if self.arrived is None:
            return None
        return self.arrived - SLACK if self.began is None else min(self.began, self.arrived - SLACK)

    def comes(self, run: int) -> None:
        """Note of which run a worker is that registered."""
        if run > self.run:
            if self.ahead < 0:
                self.ahead = 0
            elif self.arrived is not None:
                self.ahead, self.asked = 1, None
            self.run, self.began, self.arrived = run, None, None

    def requeued(self, now: float) -> bool:
        """Note that it went back to the queue; tell whether that is news: workers of its next run may have come before.

        Parameters
        ----------
        now
            The moment, in seconds of the event loop's clock.
        """
        if self.ahead > 0:
            self.ahead = 0
            return False
        self.ahead = -1
        self.asked = now
        if self.status.state is JobState.PENDING:
            self.arrived = None
        else:  # it runs again: the workers there are may be the new ones, and others are forgotten when those come
            self.arrived = now if self.status.workers else None
        self.had_worker = False  # its next one may take as long as the first
        return True

    def walltime_over(self, since_arrival: float | None, now: datetime) -> datetime | None:
        """Tell when its walltime is over; None if that isn't known.

        Parameters
        ----------
        since_arrival
            Seconds since its first worker registered. Where the batch system doesn't date a job's start, that is the
            best there is; the job began a moment before.
        now
            The time.
        """
        walltime, started = self.spec.walltime, self.status.started
        if self.status.state is not JobState.RUNNING or walltime is None or walltime == UNLIMITED:
            return None
        if started is None and since_arrival is not None:
            started = now - timedelta(seconds=since_arrival)
        with suppress(OverflowError):  # a walltime beyond the calendar is none
            return None if started is None else started + walltime
        return None


class Owner(Protocol):
    """Who the jobs belong to."""

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let them go."""

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:
        """Hear that these will not be submitted."""

    def over(self, record: JobRecord) -> None:
        """Hear that a job is over, or never was."""


class Log(Protocol):
    """Who remembers what was submitted if this process dies."""

    async def submitting(self, job_name: str) -> None:
        """A submission with this name is about to be tried."""

    def submitted(self, job_name: str, ids: Sequence[str]) -> None:
        """It became these jobs."""

    def refused(self, job_name: str) -> None:
        """It became none."""


def number_of(name: str) -> int:
    """Give the number that a job's name ends in; 0 if it ends in none.

    >>> number_of("C-gpu-12"), number_of("C")
    (12, 0)
    """
    last = name.rpartition("-")[2]
    return int(last) if last.isdigit() else 0


def element(job_id: str) -> tuple[int, ...]:
    """Give what ids of an array's elements are sorted by.

    >>> [element(job_id) for job_id in ("7_12", "7[12].server1", "7.server1", "7.12", "7")]
    [(7, 12), (7, 12), (7,), (7, 12), (7,)]
    """
    match = re.match(r"\d+(?:[_.\[]\d+)?", job_id)
    return tuple(int(number) for number in re.findall(r"\d+", match[0])) if match else ()


def arrays(records: Sequence[JobRecord], largest: int) -> list[list[JobRecord]]:
    """Cut jobs into arrays: of one spec, with consecutive numbers, none larger than the batch system takes."""
    cut: list[list[JobRecord]] = []
    for record in sorted(records, key=lambda each: each.number):
        last = cut[-1] if cut else None
        if last and last[-1].spec == record.spec and last[-1].number + 1 == record.number and len(last) < largest:
            last.append(record)
        else:
            cut.append([record])
    return cut
