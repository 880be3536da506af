"""What happens as walltimes end: when a job hands over what it holds, and which ones go. Pure.

The rules (docs/scaling.md says why):

1. A job is due once its walltime ends within the margin. Its replacement has been asked for before.
2. It goes once its replacement is there. Of those that are still awaited, as many are for jobs that end later as end
   before a new one could start; the others are for due jobs, which stay until then.
3. In the second half of the time until their workers would leave by themselves, all due jobs go.
4. No job goes while no job that lasts is there, to take what it holds.
"""

from __future__ import annotations

from collections.abc import Collection

from jobclusters.scaling.model import Census, JobSnapshot, ending


def handing_over(jobs: Census, wait: float, now: float) -> list[str]:
    """Choose the jobs that hand over and go, as their walltime ends; those first that end first.

    ``jobs`` are all of a group that are wanted. A job that is asked for now has its workers after ``wait`` seconds: so
    long before they are due, others are replaced. ``now`` is on the jobs' clock.
    """
    counts = [(some, ending(some, now), ending(some, now + wait)) for some in (jobs.idle, jobs.busy)]
    if all(due == len(some) for some, due, _ in counts):
        return []
    due = [job for some, count, _ in counts for job in some[:count]]
    due.sort(key=lambda job: (job.ends, job.number))
    awaited = len(jobs.waiting) + len(jobs.starting) - sum(soon - count for _, count, soon in counts)
    late = sum(job.ends + (job.leaves_at or job.ends) <= 2 * now for job in due)
    return [job.name for job in due[: max(late, len(due) - max(0, awaited))]]


def stranded(groups: Collection[Census], now: float) -> list[JobSnapshot]:
    """List the jobs of a cluster whose workers leave by themselves now, while no job could take what they hold."""
    present = [some for jobs in groups for some in (jobs.idle, jobs.busy)]
    if any(ending(some, now) < len(some) for some in present):
        return []
    return [job for some in present for job in some if job.leaves_at is not None and job.leaves_at <= now]
