"""Decides which jobs come and go. Pure: a snapshot in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jobclusters.state import JobState


@dataclass(frozen=True)
class Candidate:
    """A job that may have to go.

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
    """

    name: str
    number: int
    state: JobState
    busy: bool = False
    held: int = 0


def victims(candidates: Iterable[Candidate], count: int) -> list[str]:
    """Choose the jobs that go: failed ones, the youngest pending, idle ones, those that hold the least.

    Parameters
    ----------
    candidates
        All jobs.
    count
        How many must go.

    Returns
    -------
    list of str
        Their names, in the order in which they go.
    """

    def order(job: Candidate) -> tuple[int, int, int]:
        if job.state.ended:
            return (0, 0, -job.number)
        # The batch system's answer may be older than what the job's workers do.
        if job.state is not JobState.RUNNING and not job.busy and not job.held:
            return (1, 0, -job.number)
        return (3 if job.busy else 2, job.held, -job.number)

    return [job.name for job in sorted(candidates, key=order)[:count]]
