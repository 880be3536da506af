"""What happens as walltimes end: when a job hands over what it holds, and which ones go. Pure.

The rules (docs/scaling.md says why):

1. A job is due once its walltime ends within the margin. Its replacement has been asked for before.
2. It goes once its replacement is there. Of those that are still awaited, as many are for jobs that end later as end
   before a new one could start; the others are for due jobs, which stay until then.
3. In the second half of the time until their workers would leave by themselves, all due jobs go.
4. No job goes while no job that lasts is there, to take what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobclusters.scaling.model import JobSnapshot


def handing_over(jobs: Iterable[JobSnapshot], wait: float, now: float) -> list[str]:
    """Choose the jobs that hand over and go, as their walltime ends; those first that end first.

    ``jobs`` are all of a group that are wanted. A job that is asked for now has its workers after ``wait`` seconds: so
    long before they are due, others are replaced. ``now`` is on the jobs' clock.
    """
    due, lasting, awaited = [], False, 0
    for job in jobs:
        if not job.has_workers:
            awaited += 1
        elif job.handover_at is not None and job.handover_at <= now:
            due.append((job.handover_at, job.number, job))
        else:
            lasting = True
            awaited -= job.handover_at is not None and job.handover_at <= now + wait
    if not lasting:
        return []
    late = sum(ends + (job.leaves_at or ends) <= 2 * now for ends, _, job in due)
    return [job.name for *_, job in sorted(due, key=lambda each: each[:2])[: max(late, len(due) - max(0, awaited))]]


def stranded(jobs: Iterable[JobSnapshot], now: float) -> list[str]:
    """Name the jobs of a cluster whose workers leave by themselves now, while no job could take what they hold."""
    present = [job for job in jobs if job.has_workers]
    if any(job.handover_at is None or job.handover_at > now for job in present):
        return []
    return [job.name for job in present if job.leaves_at is not None and job.leaves_at <= now]
