"""How a wait for workers stands, in lines of text; and how many workers are meant. Pure."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import SupportsIndex

from dask.utils import parse_timedelta

from jobclusters.errors import InvalidRequest
from jobclusters.state import JobState, JobStatus

#: Reasons that are told; the rarer ones are counted.
REASONS = 3

#: In which order states are told.
ORDER = (JobState.RUNNING, JobState.COMPLETING, JobState.PENDING, JobState.UNKNOWN)


@dataclass(frozen=True)
class Progress:
    """How a wait for workers stands.

    Attributes
    ----------
    arrived, wanted
        Workers that are there, and that are waited for.
    jobs
        How each job stands, by id; without those that had ended before.
    now
        The time.
    """

    arrived: int
    wanted: int
    jobs: Mapping[str, JobStatus] = field(default_factory=dict)
    now: datetime = field(default_factory=datetime.now)


def lines(progress: Progress) -> list[str]:
    """Say it, the counts first, then what is waited for.

    >>> pending = JobStatus(JobState.PENDING, "Resources", "waits for free nodes")
    >>> for line in lines(Progress(2, 6, {"1": JobStatus(JobState.RUNNING, workers=2), "2": pending, "3": pending})):
    ...     print(line)
    2 of 6 workers; jobs: 1 running, 2 pending
      2 wait: Resources: waits for free nodes
    """
    jobs = progress.jobs.values()
    pending = [job for job in jobs if job.state is JobState.PENDING]
    reasons = Counter(reason(job) for job in pending).most_common()
    told = [f"{count} wait: {text}" for text, count in reasons[:REASONS] if text]
    if more := sum(count for _, count in reasons[REASONS:]):
        told.append(f"{more} wait for other reasons")
    starts = [job.estimated_start for job in pending if job.estimated_start is not None]
    if starts:
        told.append(f"the first is expected to start at {moment(min(starts), progress.now)}")
    if coming := sum(job.state is JobState.RUNNING and not job.workers for job in jobs):
        told.append(f"{coming} running, the workers are starting")
    ended = Counter(job.sentence() for job in jobs if job.state.ended and job.state is not JobState.CANCELLED)
    told += [f"{count} ended: {text}" for text, count in ended.most_common(REASONS)]
    first = f"{progress.arrived} of {progress.wanted} workers; jobs: {counts(progress.jobs)}"
    return [first, *(f"  {printable(line)}" for line in told)]


def counts(jobs: Mapping[str, JobStatus]) -> str:
    """Count the jobs that haven't ended, by state.

    >>> counts({"1": JobStatus(JobState.RUNNING), "2": JobStatus(JobState.FAILED)}), counts({})
    ('1 running', 'none')
    """
    by_state = Counter(job.state for job in jobs.values())
    return ", ".join(f"{by_state[state]} {state.lower()}" for state in ORDER if by_state[state]) or "none"


def reason(job: JobStatus) -> str:
    """Give the batch system's words for why a job waits or ended, and what they mean."""
    return ": ".join(filter(None, (job.reason, job.meaning)))


def moment(when: datetime, now: datetime) -> str:
    """Say when; the day only if it is another one.

    >>> now = datetime(2030, 1, 1, 9, 30)
    >>> moment(datetime(2030, 1, 1, 14, 5), now), moment(datetime(2030, 1, 2), now)
    ('14:05', '2030-01-02 00:00')
    """
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"


def printable(text: str) -> str:
    r"""Take out what would move a terminal's cursor.

    >>> printable("held\x1b[2J by\nroot")
    'held [2J by root'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def workers_meant(asked: object, there_should_be: int) -> int:
    """Tell how many workers are meant: a number of them, or a fraction of those that there should be.

    Raises
    ------
    InvalidRequest
        If it's neither, or a fraction of nothing.

    Examples
    --------
    >>> workers_meant(3, 10), workers_meant(0.5, 5), workers_meant(1.0, 10)
    (3, 3, 10)
    """
    fraction = isinstance(asked, float)
    if fraction and 0 < asked <= 1:  # type: ignore[operator]
        if not there_should_be:
            raise InvalidRequest(
                f"wait_for_workers({asked}) waits for a fraction of the workers that were asked for, and none were:"
                " scale() or adapt() the cluster first"
            )
        # So that 0.07 of 100 are 7, in spite of what 0.07 is in binary.
        return max(1, math.ceil(round(float(asked) * there_should_be, 9)))  # type: ignore[arg-type]
    number = None
    if isinstance(asked, SupportsIndex) and not isinstance(asked, bool):
        number = operator.index(asked)
    if number is None or number < 1:
        raise InvalidRequest(
            f"wait_for_workers() takes a number of workers, at least 1, or a fraction of those that were asked for,"
            f" above 0.0 and at most 1.0; not {asked!r}"
        )
    return number


def check_timeout(timeout: object) -> None:
    """Refuse a timeout that is no time.

    Raises
    ------
    InvalidRequest
        If it isn't None, and no time of 0 or more.
    """
    try:
        seconds = 0.0 if timeout is None else float(parse_timedelta(timeout))
    except (TypeError, ValueError, KeyError, AttributeError, LookupError):  # as the parser meets lists or ""
        seconds = -1.0
    if isinstance(timeout, bool) or not seconds >= 0:
        raise InvalidRequest(f"timeout must be a number of seconds, or text such as '10 minutes', not {timeout!r}")
