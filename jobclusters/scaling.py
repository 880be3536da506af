"""Decides which jobs come and go. Pure: a snapshot in, a decision and its reason out.

The rules, in the order in which they matter (docs/scaling.md explains them with pictures):

1. A job is worth asking for if there will be work left for it when it starts; queues' waits are observed. Up to a
   tenth more than there are must have been needed for ten seconds.
2. Pending jobs are supply, too. One is given up only after demand stayed low for a while, the youngest first.
3. Running jobs go whole, when they are idle and not soon needed again, and if the others can take what they hold; at
   once, where they come too late for work. Where fewer have been enough for a while, some get no new tasks and go when
   theirs are done.
4. A job whose walltime ends before a new one would start is no longer supply: its replacement is asked for now, and
   it hands over and goes when that one is there (:mod:`jobclusters.walltime`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobclusters.needs import expected, highest, lowest
from jobclusters.snapshot import Decision, JobSnapshot, Policy, Snapshot
from jobclusters.state import JobState
from jobclusters.walltime import relieved

#: The share of workers' memory that results may fill before more jobs are needed (as in Dask's Adaptive).
FULL = 0.6
#: The share by which demand varies in steady work: of what there is, so much more must be needed for some seconds.
NOISE, LACK = 0.1, 10.0
#: Seconds for which demand must be low before jobs that have work are let go once it is done.
DRAIN = 60.0
#: Seconds that a task is believed to take before any of its kind was seen (as in Dask).
UNKNOWN = 0.5
#: What a wait is worth: work that a new job would spend this share of its wait on is worth asking for.
STRETCH = 0.1
#: Seconds that a job must be able to run, of what is left of the budget.
LEAST_RUN = 60.0


def decide(snapshot: Snapshot, policy: Policy, now: float) -> Decision:
    """Decide which jobs come and go.

    Parameters
    ----------
    snapshot
        What there is.
    policy
        What is wanted.
    now
        The moment, in seconds of the snapshot's clock.
    """
    crowd = _look(snapshot, now)
    decision = _decide(snapshot, crowd, policy, now)
    if not crowd.due:
        return decision
    gone = {*decision.cancel, *decision.retire}
    due = tuple(relieved((job for job in snapshot.jobs if job.name not in gone), snapshot.wait, now))
    if not due:
        return decision
    because = f"{decision.because}; {len(due)} hand over, as their walltime ends"
    return replace(decision, retire=decision.retire + due, because=because)


@dataclass(frozen=True)
class _Crowd:
    """The jobs, and what is to be known of all of them; there may be thousands, and this is done each second.

    Attributes
    ----------
    pending, running
        All of them.
    lasting
        How many of those that run will still be there when a new one could start.
    due
        How many of them are to hand over, as their walltime ends.
    busy
        Seconds, in all, for which they will be there until then.
    held
        Bytes of results.
    """

    pending: list[JobSnapshot]
    running: list[JobSnapshot]
    lasting: int
    due: int
    busy: float
    held: int


def _look(snapshot: Snapshot, now: float) -> _Crowd:
    """Sort and count the jobs, once."""
    wait, soon = snapshot.wait, now + snapshot.wait
    pending, running = [], []
    lasting = due = held = 0
    busy = 0.0
    for job in snapshot.jobs:
        held += job.held
        if job.state is not JobState.RUNNING and job.waits:
            pending.append(job)
            continue
        running.append(job)
        ends = job.ends
        if ends is None or ends > soon:
            lasting += 1
            busy += wait
        elif ends > now:
            busy += ends - now
        else:
            due += 1
    return _Crowd(pending, running, lasting, due, busy, held)


def _decide(snapshot: Snapshot, crowd: _Crowd, policy: Policy, now: float) -> Decision:
    """Decide which jobs come and go, but for those that are replaced."""
    pending, running = crowd.pending, crowd.running
    supply = len(pending) + crowd.lasting
    useful, worth, why = _need(crowd, snapshot, policy)
    need, ask = (min(max(each, policy.minimum), policy.maximum) for each in (useful, worth))
    if policy.max_core_hours is not None and snapshot.core_hours >= policy.max_core_hours:
        leave = victims(running, max(0, len(running) - _holders(crowd, policy)))
        because = f"the budget of {policy.max_core_hours:g} core-hours is spent"
        return Decision(0, tuple(victims(pending, len(pending))), tuple(leave), need, because)
    if 0 < ask - supply <= NOISE * supply:
        steady = min(ask, max(supply, policy.minimum, lowest(snapshot.needs, LACK, now, need)))
        why, ask = why + (f", not all of them needed for {LACK:g} s yet" if steady < ask else ""), steady
    if ask > supply:
        most = max(0, policy.maximum - snapshot.leaving - supply)
        submit, short = _affordable(min(ask - supply, most), len(pending), snapshot, policy)
        return Decision(submit, need=need, because=why + short)
    if need < supply:
        return _shrink(crowd, snapshot, policy, now, need, supply, why)
    return Decision(need=need, because=why)


def _lasts(job: JobSnapshot, snapshot: Snapshot, now: float) -> bool:
    """Say whether a running job will still be there when a new one could start."""
    return job.ends is None or job.ends > now + snapshot.wait


def _need(crowd: _Crowd, snapshot: Snapshot, policy: Policy) -> tuple[int, int, str]:
    """Say how many jobs would have something to do, how many are worth asking for, and why.

    As Dask's Adaptive, enough threads to be done in the target duration, but no more than there are tasks. What the
    running jobs will have done before a new one could start asks for none; of what is left then, each new job is to
    get at least a tenth of its wait.
    """
    running, holders = crowd.running, _holders(crowd, policy)
    if not snapshot.tasks:
        return holders, holders, f"no work{f', but results need the memory of {holders}' if holders else ''}"
    guess = UNKNOWN if running else max(UNKNOWN * policy.threads, STRETCH * snapshot.wait)
    seconds = snapshot.seconds + guess * snapshot.unknown
    work = f"{snapshot.tasks} tasks, {seconds:.3g} s of work"
    at_once = math.ceil(snapshot.tasks / policy.threads)
    useful = max(1, min(at_once, math.ceil(seconds / (policy.threads * policy.target_duration))))
    flow = snapshot.rate * seconds / snapshot.tasks
    left = max(0.0, seconds + flow * snapshot.wait - policy.threads * crowd.busy)
    stretch = max(policy.target_duration, STRETCH * snapshot.wait)
    later = max(
        min(at_once, math.ceil(left / (policy.threads * stretch))), math.ceil(flow / policy.threads), not running
    )
    worth = min(useful, max(crowd.lasting, later))
    if holders > worth:
        return max(useful, holders), holders, f"{work}, and results that need the memory of {holders}"
    if worth < useful:
        rest = f"{left:.3g} s of it are left when a new job could start, in about {snapshot.wait:.3g} s"
        return useful, worth, f"{work}, worth {worth}: {rest}"
    return useful, worth, f"{work} for {worth}"


def _holders(crowd: _Crowd, policy: Policy) -> int:
    """Say how many jobs it takes to hold the results there are."""
    return math.ceil(crowd.held / (FULL * policy.memory))


def _affordable(wanted: int, pending: int, snapshot: Snapshot, policy: Policy) -> tuple[int, str]:
    """Cut a number of jobs to what may be submitted, and say what cuts it most."""
    if snapshot.stopped:
        return 0, f"; but nothing is submitted after {snapshot.stopped}"
    room: dict[str, int] = {}
    if policy.max_pending is not None:
        room[f"only {policy.max_pending} may wait at once"] = policy.max_pending - pending
    if policy.max_core_hours is not None:
        left = policy.max_core_hours - snapshot.core_hours
        most = int(left * 3600 / (policy.cores * LEAST_RUN)) - len(snapshot.jobs)
        room[f"only {left:.3g} core-hours are left"] = most
    why, most = min(room.items(), key=lambda item: item[1], default=("", wanted))
    return max(0, min(wanted, most)), f"; {why}" if most < wanted else ""


def _shrink(
    crowd: _Crowd, snapshot: Snapshot, policy: Policy, now: float, need: int, supply: int, why: str
) -> Decision:
    """Give up pending jobs after a while, and running ones that were idle for as long as a new one would wait."""
    pending, running = crowd.pending, crowd.running
    patience = max(policy.patience, snapshot.wait)
    low = max(highest(snapshot.needs, patience, now, need), policy.minimum)
    cancel = victims(pending, max(0, min(len(pending), supply - low)))
    stay = max(need, _holders(crowd, policy), policy.minimum)
    hold = min(snapshot.wait, policy.patience)
    if len(running) > stay:
        stay = expected(snapshot.needs, hold, now, stay, len(running))
    retire = _unused(running, stay, snapshot, policy, now, need)
    low = max(highest(snapshot.needs, max(hold, DRAIN), now, need), policy.minimum)
    drained: list[str] = []
    if len(running) - len(retire) > low:
        busy = [job for job in running if job.busy]
        rest = [job for job in running if job.name not in retire]
        drained = _leaving(busy, rest, max(low, stay), snapshot, now)
        retire += drained
    if not cancel and not retire:
        return Decision(need=need, because=f"{why}; {supply - need} more than that stay for now")
    lasted = patience if cancel else max(hold, DRAIN) if drained else policy.idle
    return Decision(0, tuple(cancel), tuple(retire), need, f"{why}, for {lasted:.3g} s")


def _unused(
    running: Sequence[JobSnapshot], stay: int, snapshot: Snapshot, policy: Policy, now: float, need: int
) -> list[str]:
    """Choose who goes of those that have no work: who came too late for any, and who has been idle for long enough."""
    resting = [job for job in running if not job.busy and job.idle_since is not None]
    low = max(stay, highest(snapshot.needs, policy.idle, now, need))
    late = _leaving([job for job in resting if job.fresh], running, low, snapshot, now)
    idle = [job for job in resting if job.name not in late and now - (job.idle_since or 0.0) >= policy.idle]
    return late + _leaving(idle, [job for job in running if job.name not in late], stay, snapshot, now)


def _leaving(
    some: Sequence[JobSnapshot], running: Sequence[JobSnapshot], stay: int, snapshot: Snapshot, now: float
) -> list[str]:
    """Choose who goes: those first that end before a new one could start; of the others as many stay as must."""
    spare = len(running) - stay
    if not some or spare <= 0:
        return []
    ending = [job for job in some if not _lasts(job, snapshot, now)]
    out = victims(ending, spare)
    more = min(spare - len(out), sum(_lasts(job, snapshot, now) for job in running) - stay)
    return out + victims([job for job in some if _lasts(job, snapshot, now)], max(0, more))


def victims(jobs: Iterable[JobSnapshot], count: int) -> list[str]:
    """Choose the jobs that go: failed ones, the youngest pending, idle ones, those that hold the least, that end first.

    Parameters
    ----------
    jobs
        All jobs.
    count
        How many must go.

    Returns
    -------
    list of str
        Their names, in the order in which they go.
    """

    def order(job: JobSnapshot) -> tuple[int, int, float, int]:
        if job.state.ended:
            return (0, 0, 0, -job.number)
        if job.waits:
            return (1, 0, 0, -job.number)
        return (3 if job.busy else 2, job.held, math.inf if job.ends is None else job.ends, -job.number)

    return [job.name for job in sorted(jobs, key=order)[:count]]
