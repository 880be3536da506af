"""What happens as walltimes end: when a job hands over what it holds, and which ones go. Pure.

The rules (docs/scaling.md says why):

1. A job is due once its walltime ends within the margin. Its replacement has been asked for before.
2. It goes once its replacement is there. Of those that are still awaited, as many are for jobs that end later as end
   before a new one could start; the others are for due jobs, which stay until then.
3. In the second half of the time until their workers would leave by themselves, all due jobs go.
4. Nobody goes while there is nobody who lasts, and could take what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from jobclusters.snapshot import JobSnapshot
from jobclusters.units import UNLIMITED


class Terms(NamedTuple):
    """Seconds after its start; all None, and 0, for a job whose workers stay.

    Attributes
    ----------
    due
        From then on it hands over.
    lifetime, stagger
        Then its workers leave by themselves, and by how much that varies, so that they don't leave all at once.
    """

    due: int | None = None
    lifetime: int | None = None
    stagger: int = 0


def terms(walltime: timedelta | None, margin: timedelta | None) -> Terms:
    """Give a job's terms.

    Half of the margin is for the replacement to come and for tasks to be done, then workers leave one after another;
    the last third is for those that leave last to hand over their results.

    Parameters
    ----------
    walltime
        Of the job.
    margin
        None takes a tenth of the walltime, at least 40 seconds and at most 10 minutes.

    Examples
    --------
    >>> terms(timedelta(hours=1), None)
    Terms(due=3240, lifetime=3450, stagger=30)
    >>> terms(timedelta(minutes=2), None), terms(timedelta(minutes=1), None)
    (Terms(due=80, lifetime=103, stagger=3), Terms(due=None, lifetime=None, stagger=0))
    """
    if walltime is None or walltime == UNLIMITED:
        return Terms()
    seconds = walltime.total_seconds()
    spare = min(600.0, max(40.0, seconds / 10)) if margin is None else margin.total_seconds()
    if seconds <= 2 * spare:
        return Terms()
    stagger = int(spare / 12)
    return Terms(int(seconds - spare), int(seconds - spare / 2) + stagger, stagger)


def relieved(jobs: Iterable[JobSnapshot], wait: float, now: float) -> list[str]:
    """Choose the jobs that hand over and go, as their walltime ends; those first that end first.

    Parameters
    ----------
    jobs
        All of a group that are wanted.
    wait
        Seconds until a job that is asked for now has its workers: so long before they are due, others are replaced.
    now
        The moment, in seconds of the jobs' clock.
    """
    due, lasting, awaited = [], False, 0
    for job in jobs:
        if not job.here:
            awaited += 1
        elif job.ends is not None and job.ends <= now:
            due.append((job.ends, job.number, job))
        else:
            lasting = True
            awaited -= job.ends is not None and job.ends <= now + wait
    if not lasting:
        return []
    late = sum(ends + (job.leaves or ends) <= 2 * now for ends, _, job in due)
    return [job.name for *_, job in sorted(due, key=lambda each: each[:2])[: max(late, len(due) - max(0, awaited))]]


def stranded(jobs: Iterable[JobSnapshot], now: float) -> list[str]:
    """Name the jobs whose workers leave by themselves now, and nobody is there who could take what they hold.

    Parameters
    ----------
    jobs
        All of a cluster that are wanted.
    now
        The moment, in seconds of the jobs' clock.
    """
    here = [job for job in jobs if job.here]
    if any(job.ends is None or job.ends > now for job in here):
        return []
    return [job.name for job in here if job.leaves is not None and job.leaves <= now]
