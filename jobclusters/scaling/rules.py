"""Decides which jobs come and go. Pure: a snapshot in, a decision and its reason out.

The rules, in the order in which they matter; docs/scaling.md explains them with pictures, and says what each is worth:

1. A job is worth asking for if there will be work left for it when it starts. The last eighth must have been worth it
   for a minute.
2. Pending jobs are supply, too. They are given up, the youngest first, once demand has stayed low for a while.
3. Idle jobs go when fewer have been enough for two seconds, and the others can hold the results.
4. Busy jobs go when fewer have been enough for half a minute: they get no new tasks, and finish what they have. Those
   that end soon go first, and also where the others are an eighth too few for a moment: that much isn't asked for.
5. A job whose walltime ends before a new one would start is no supply: its replacement is asked for now, and it hands
   over when that is there (:mod:`jobclusters.scaling.handover`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from jobclusters.scaling.handover import handing_over
from jobclusters.scaling.history import highest, lowest, pause
from jobclusters.scaling.model import ByEnd, Census, Decision, JobSnapshot, Policy, Snapshot, ending
from jobclusters.spec.units import counted

#: The share of workers' memory that results may fill before more jobs are needed (as in Dask's Adaptive).
FULL = 0.6
#: The share by which demand varies where work is steady, and the seconds for which that much, an eighth of the whole,
#: must have been needed before it is asked for. For half of them fewer jobs must have been enough before busy ones get
#: no more tasks.
NOISE, STEADY = 0.15, 60.0
#: Seconds that a task is believed to take before one of its kind was seen (as in Dask). Where no job runs it is at
#: least this share of the wait: learning it one wait later would be dear.
UNKNOWN, UNKNOWN_SHARE = 0.5, 0.1
#: Seconds that a job must be able to run, of what is left of the budget.
LEAST_RUN = 60.0


def decide(snapshot: Snapshot, policy: Policy, now: float) -> Decision:
    """Decide which jobs come and go.

    Parameters
    ----------
    snapshot
        The jobs, the work and what was needed before.
    policy
        The limits, and what is preferred.
    now
        The moment, in seconds of the snapshot's clock.
    """
    jobs = _Jobs(snapshot.jobs, snapshot.wait, now)
    need, worth, because = _need(jobs, snapshot, policy)
    # As jobs end, what there is says less of demand than what has been needed.
    sure = max(jobs.supply, policy.minimum, lowest(snapshot.needs, STEADY, now, need))
    ask = min(max(min(worth, sure), math.ceil(worth / (1 + NOISE))), policy.maximum)
    not_yet = f", not all of them needed for {STEADY:g} s yet" * (ask < min(worth, policy.maximum))
    if policy.max_core_hours is not None and snapshot.core_hours >= policy.max_core_hours:
        decision = _give_up(jobs, policy, need)
    elif ask > jobs.supply:
        decision = _grow(jobs, snapshot, policy, ask - jobs.supply, need, because + not_yet)
    elif need < len(snapshot.jobs):
        decision = _shrink(jobs, snapshot, policy, now, need, because)
    else:
        decision = Decision(need=need, because=because + not_yet)
    if not jobs.due:
        return decision
    going = {*decision.cancel, *decision.retire}
    due = tuple(handing_over(snapshot.jobs.without(going), snapshot.wait, now))
    if not due:
        return decision
    because = f"{decision.because}; {len(due)} hand over, as their walltime ends"
    return replace(decision, retire=decision.retire + due, because=because)


class _Jobs:
    """What a decision counts of the jobs.

    Attributes
    ----------
    census
        All of them.
    now, soon
        The moment, and when a new one could start.
    pending
        How many are in the queue.
    lasting, ending
        How many run, and will still be there then; and how many won't.
    due
        How many are to hand over now, as their walltime ends.
    seconds
        For which the running ones will be there until then; in all.
    """

    def __init__(self, census: Census, wait: float, now: float) -> None:
        self.census = census
        self.now = now
        self.soon = now + wait
        self.pending = len(census.waiting)
        self.lasting = self.ending = self.due = 0
        self.seconds = 0.0
        for jobs in (census.starting, census.idle, census.busy):
            count, due = ending(jobs, self.soon), ending(jobs, now)
            self.lasting += len(jobs) - count
            self.ending += count
            self.due += due
            self.seconds += wait * (len(jobs) - count) + sum(job.ends - now for job in jobs[due:count])

    @property
    def waited(self) -> float:
        """For how long the pending ones will be there before a new one: as long as they have waited longer; in all."""
        now, wait = self.now, self.soon - self.now
        return sum(min(wait, now - job.asked_at) for job in self.census.waiting if job.asked_at is not None)

    @property
    def supply(self) -> int:
        """How many there will be when a new one could start."""
        return self.pending + self.lasting

    @property
    def running(self) -> int:
        """How many there are now."""
        return self.lasting + self.ending

    def holders(self, policy: Policy) -> int:
        """Count the jobs that it takes to hold the results."""
        return math.ceil(self.census.held / (FULL * policy.memory))

    def split(self, jobs: ByEnd) -> tuple[ByEnd, ByEnd]:
        """Tell those that will still be there when a new one could start from those that won't."""
        count = ending(jobs, self.soon)
        return jobs[count:], jobs[:count]


def _need(jobs: _Jobs, snapshot: Snapshot, policy: Policy) -> tuple[int, int, str]:
    """Count the jobs that have something to do, which stay, and those worth asking for, if any number may be; say why.

    As in Dask's Adaptive there are enough threads to be done in the target duration, but no more than there are tasks.
    What the running jobs will have done before a new one could start asks for none; where core-hours are preferred,
    what the pending ones will have done doesn't, either.
    """

    def limited(count: int) -> int:
        return min(max(count, policy.minimum), policy.maximum)

    holders, tasks = jobs.holders(policy), snapshot.tasks
    if not tasks:
        because = f"no work, but results need the memory of {holders}" if holders else "no work"
        return limited(holders), max(holders, policy.minimum), because
    guess = UNKNOWN if jobs.running else max(UNKNOWN * policy.threads, UNKNOWN_SHARE * snapshot.wait)
    seconds = snapshot.seconds + guess * snapshot.unknown
    comes = snapshot.rate * snapshot.wait * seconds / tasks
    until = jobs.seconds + (jobs.waited if policy.prefer == "core-hours" else 0.0)
    left = max(0.0, seconds + comes - policy.threads * until)
    useful, later = (
        min(math.ceil(tasks / policy.threads), math.ceil(each / (policy.threads * policy.target_duration)))
        for each in (seconds, left)
    )
    useful = max(1, useful)
    worth = min(useful, max(jobs.lasting, later, int(not jobs.running)))
    because = f"{counted(tasks, 'task')}, {seconds:.3g} s of work"
    if holders > worth:
        because += f", and results that need the memory of {holders}"
    elif worth < useful:
        because += f", worth {worth}: {left:.3g} s of it are left when a new job could start,"
        because += f" in about {snapshot.wait:.3g} s"
    else:
        because += f" for {worth}"
    return limited(max(useful, holders)), max(worth, holders, policy.minimum), because


def _give_up(jobs: _Jobs, policy: Policy, need: int) -> Decision:
    """Let all jobs go but those that must hold results."""
    because = f"the budget of {policy.max_core_hours:g} core-hours is spent"
    census = jobs.census
    cancel = victims(census.waiting, jobs.pending)
    retire = victims([*census.starting, *census.idle, *census.busy], jobs.running - jobs.holders(policy))
    return Decision(0, tuple(cancel), tuple(retire), need, because)


def _grow(jobs: _Jobs, snapshot: Snapshot, policy: Policy, more: int, need: int, because: str) -> Decision:
    """Ask for more jobs, as far as the limits allow; say which limit cuts them most."""
    if snapshot.stopped:
        return Decision(need=need, because=f"{because}; but nothing is submitted after {snapshot.stopped}")
    more = min(more, policy.maximum - snapshot.leaving - jobs.supply)
    room = {"": more}
    if policy.max_pending is not None:
        room[f"; only {policy.max_pending} may wait at once"] = policy.max_pending - jobs.pending
    if policy.max_core_hours is not None:
        left = policy.max_core_hours - snapshot.core_hours
        affordable = int(left * 3600 / (policy.cores * LEAST_RUN)) - len(snapshot.jobs)
        room[f"; only {left:.3g} core-hours are left"] = affordable
    limit, most = min(room.items(), key=lambda item: item[1])
    return Decision(max(0, most), need=need, because=because + limit)


def _shrink(jobs: _Jobs, snapshot: Snapshot, policy: Policy, now: float, need: int, because: str) -> Decision:
    """Give up pending jobs after a while, and let idle ones go, and busy ones that are too many."""

    def needed(seconds: float) -> int:
        return max(policy.minimum, highest(snapshot.needs, seconds, now, need))

    if policy.prefer == "time":
        patience, hold = max(policy.patience, snapshot.wait), min(policy.patience, snapshot.wait)
    else:
        patience, hold = policy.idle, 0.0
    cancel = victims(jobs.census.waiting, min(jobs.pending, jobs.supply - needed(patience)))
    kept = min(1, needed(min(hold, 1.5 * pause(snapshot.needs, hold))))
    stay = max(need, kept, jobs.holders(policy))
    enough = max(stay, needed(policy.idle))
    settled = max(STEADY / 2, policy.idle)  # else busy jobs would go in favour of idle ones that stay
    most = needed(settled)
    # What wouldn't be asked for isn't kept until its walltime ends.
    steady = max(stay, math.ceil(most / (1 + NOISE)))
    # A job that runs and has no worker yet can't hold results: none goes in its favour.
    (idle, idle_ending), (busy, busy_ending) = jobs.split(jobs.census.idle), jobs.split(jobs.census.busy)
    lasting = len(idle) + len(busy)
    there = lasting + len(idle_ending) + len(busy_ending)
    retire = victims(idle, lasting - enough)
    lasting -= len(retire)
    retire += victims(idle_ending, there - enough)
    drained = victims(busy_ending, there - len(retire) - steady) + victims(busy, lasting - max(stay, most))
    if not cancel and not retire and not drained:
        surplus = jobs.supply - need
        return Decision(need=need, because=because + f"; {surplus} more than that stay for now" * (surplus > 0))
    lasted = patience if cancel else settled if drained else policy.idle
    return Decision(0, tuple(cancel), (*retire, *drained), need, f"{because}, for {lasted:.3g} s")


def victims(jobs: Iterable[JobSnapshot], count: int) -> list[str]:
    """Name the jobs that go, in the order in which they go.

    Failed ones go first, then the youngest pending, then idle ones: those that hold the least, that end first.
    """

    def order(job: JobSnapshot) -> tuple[int, int, float, int]:
        if job.state.ended:
            return (0, 0, 0, -job.number)
        if job.waits:
            return (1, 0, 0, -job.number)
        return (3 if job.busy else 2, job.held, math.inf if job.handover_at is None else job.handover_at, -job.number)

    return [job.name for job in sorted(jobs, key=order)[:count]] if count > 0 else []
