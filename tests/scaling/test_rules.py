from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.scaling.history import remember
from jobclusters.scaling.model import Census, Decision, JobSnapshot, Policy, Snapshot
from jobclusters.scaling.policy import PREFER
from jobclusters.scaling.rules import STEADY, decide, victims
from jobclusters.state import JobState

FAILED = JobSnapshot("failed", 0, JobState.FAILED)
GONE = JobSnapshot("gone", 1, JobState.GONE)
OLD = JobSnapshot("pending-old", 2, JobState.PENDING)
YOUNG = JobSnapshot("pending-young", 9, JobState.PENDING)
IDLE = JobSnapshot("idle", 3, JobState.RUNNING)
IDLE_YOUNG = JobSnapshot("idle-young", 8, JobState.RUNNING)
HOLDS = JobSnapshot("idle-holds", 4, JobState.RUNNING, held=10**9)
BUSY = JobSnapshot("busy", 5, JobState.RUNNING, busy=True)
BUSY_HOLDS = JobSnapshot("busy-holds", 6, JobState.RUNNING, busy=True, held=1)

ALL = [BUSY_HOLDS, HOLDS, OLD, IDLE, GONE, BUSY, YOUNG, FAILED, IDLE_YOUNG]


@pytest.mark.parametrize(
    ("jobs", "count", "go"),
    [
        (ALL, 0, []),
        (ALL, 2, ["gone", "failed"]),
        (ALL, 3, ["gone", "failed", "pending-young"]),
        (ALL, 5, ["gone", "failed", "pending-young", "pending-old", "idle-young"]),
        (ALL, 7, ["gone", "failed", "pending-young", "pending-old", "idle-young", "idle", "idle-holds"]),
        ([BUSY_HOLDS, BUSY, HOLDS], 1, ["idle-holds"]),
        ([BUSY_HOLDS, BUSY], 1, ["busy"]),
        ([IDLE], 5, ["idle"]),
        ([], 3, []),
    ],
)
def test_victims(jobs, count, go):
    assert victims(jobs, count) == go
    assert victims(reversed(jobs), count) == go


@pytest.mark.parametrize(
    "state",
    [JobState.PENDING, JobState.UNKNOWN, JobState.COMPLETING],
)
def test_a_job_with_busy_workers_is_no_pending_job(state):
    """The batch system's answer may be a minute old; workers that work are the newer news."""
    assert victims([JobSnapshot("busy", 1, state, busy=True, held=1), IDLE], 1) == ["idle"]


# -- decide ----------------------------------------------------------------------------------------------------------

GB = 10**9
NOW = 1000.0
POLICY = Policy(threads=2, cores=2, memory=10 * GB, maximum=10)
CHEAP = replace(POLICY, prefer="core-hours")
#: There was no work for half a minute, and now for some seconds.
PAUSES = {seconds: ((0.0, 1), (500.0, 0), (530.0, 1), (NOW - seconds, 0)) for seconds in (20, 50)}
#: Nothing but this was ever needed.
ALWAYS = {need: ((0.0, need),) for need in range(11)}


def seen(*work, jobs=(), **more):
    return Snapshot(*work, jobs=Census.of(jobs), **more)


def pending(*numbers, asked_at=None):
    return [JobSnapshot(f"p{number}", number, JobState.PENDING, asked_at=asked_at) for number in numbers]


def busy(*numbers, handover_at=None, leaves_at=None):
    return [
        JobSnapshot(f"b{number}", number, JobState.RUNNING, busy=True, handover_at=handover_at, leaves_at=leaves_at)
        for number in numbers
    ]


def idle(*numbers, since=0.0, held=0, handover_at=None):
    return [
        JobSnapshot(f"i{number}", number, JobState.RUNNING, held=held, idle_since=since, handover_at=handover_at)
        for number in numbers
    ]


TABLE = {
    "nothing to do": (seen(), POLICY, Decision(because="no work")),
    "enough threads for the target duration": (
        seen(tasks=100, seconds=45.0),
        POLICY,
        Decision(5, need=5, because="100 tasks, 45 s of work for 5"),
    ),
    "no more than there are tasks": (
        seen(tasks=3, seconds=1e4),
        POLICY,
        Decision(2, need=2, because="3 tasks, 1e+04 s of work for 2"),
    ),
    "one job for a moment's work": (
        seen(tasks=3, seconds=0.001),
        POLICY,
        Decision(1, need=1, because="3 tasks, 0.001 s of work for 1"),
    ),
    "never beyond the maximum": (
        seen(tasks=1000, seconds=1e6, jobs=busy(1, 2)),
        POLICY,
        Decision(8, need=10, because="1000 tasks, 1e+06 s of work for 500"),
    ),
    "never below the minimum": (seen(), replace(POLICY, minimum=2), Decision(2, need=2, because="no work")),
    "pending jobs are supply": (
        seen(tasks=100, seconds=45.0, jobs=pending(1, 2, 3)),
        POLICY,
        Decision(2, need=5, because="100 tasks, 45 s of work for 5"),
    ),
    "a few more than there are aren't asked for at once": (
        seen(tasks=44, seconds=440.0, jobs=busy(*range(20)), needs=((0.0, 20), (NOW - 55, 22))),
        replace(POLICY, maximum=30),
        Decision(need=22, because="44 tasks, 440 s of work for 22, not all of them needed for 60 s yet"),
    ),
    "but when it has been needed for a minute": (
        seen(tasks=44, seconds=440.0, jobs=busy(*range(20)), needs=((0.0, 20), (NOW - 65, 21))),
        replace(POLICY, maximum=30),
        Decision(1, need=22, because="44 tasks, 440 s of work for 22, not all of them needed for 60 s yet"),
    ),
    "nor where many jobs have ended: what has been needed is asked for": (
        seen(tasks=44, seconds=440.0, jobs=busy(*range(15)), needs=((0.0, 20), (NOW - 55, 22))),
        replace(POLICY, maximum=30),
        Decision(5, need=22, because="44 tasks, 440 s of work for 22, not all of them needed for 60 s yet"),
    ),
    "a larger rise is asked for at once, but for the last eighth of all jobs": (
        seen(tasks=48, seconds=480.0, jobs=busy(*range(20)), needs=((0.0, 20),)),
        replace(POLICY, maximum=30),
        Decision(1, need=24, because="48 tasks, 480 s of work for 24, not all of them needed for 60 s yet"),
    ),
    "and at once where there is work for many more than the maximum": (
        seen(tasks=200, seconds=2000.0, jobs=busy(*range(20)), needs=((0.0, 20),)),
        replace(POLICY, maximum=30),
        Decision(10, need=30, because="200 tasks, 2e+03 s of work for 100"),
    ),
    "a job that ended is replaced at once": (
        seen(tasks=40, seconds=400.0, jobs=busy(*range(19)), needs=((0.0, 20),)),
        replace(POLICY, maximum=30),
        Decision(1, need=20, because="40 tasks, 400 s of work for 20"),
    ),
    "and a minimum is no matter of demand": (
        seen(jobs=busy(*range(20)), needs=((0.0, 0),)),
        replace(POLICY, minimum=21, maximum=30),
        Decision(1, need=21, because="no work"),
    ),
    "work that is done before a new job starts asks for none": (
        seen(tasks=40, seconds=40.0, jobs=busy(1), wait=60.0),
        POLICY,
        Decision(
            need=4,
            because="40 tasks, 40 s of work, worth 1: 0 s of it are left when a new job could start, in about 60 s",
        ),
    ),
    "a job about to end is replaced in time": (
        seen(tasks=1000, seconds=1e5, jobs=busy(1, 2, handover_at=NOW + 50), wait=60.0),
        replace(POLICY, maximum=2),
        Decision(2, need=2, because="1000 tasks, 1e+05 s of work for 500"),
    ),
    "a job that ends after its work is done isn't replaced": (
        seen(tasks=4, seconds=8.0, jobs=busy(1, handover_at=NOW + 50), wait=60.0),
        POLICY,
        Decision(
            need=1,
            because="4 tasks, 8 s of work, worth 0: 0 s of it are left when a new job could start, in about 60 s",
        ),
    ),
    "a pending job isn't given up at once": (
        seen(jobs=pending(1, 2), needs=((0.0, 2), (NOW - 100, 0))),
        POLICY,
        Decision(because="no work; 2 more than that stay for now"),
    ),
    "nor where nothing is known of before": (
        seen(jobs=pending(1, 2)),
        POLICY,
        Decision(because="no work; 2 more than that stay for now"),
    ),
    "the youngest pending jobs are given up when demand stayed low": (
        seen(tasks=2, seconds=1.0, jobs=pending(1, 2, 3), needs=((0.0, 5), (NOW - 130, 1))),
        POLICY,
        Decision(0, ("p3", "p2"), (), 1, "2 tasks, 1 s of work for 1, for 120 s"),
    ),
    "demand that came back for a moment counts": (
        seen(jobs=pending(1, 2, 3), needs=((0.0, 0), (NOW - 60, 3), (NOW - 50, 0))),
        POLICY,
        Decision(because="no work; 3 more than that stay for now"),
    ),
    "a busy job stays": (
        seen(tasks=2, seconds=1.0, jobs=busy(1, 2), needs=((0.0, 2), (NOW - 25, 1))),
        POLICY,
        Decision(need=1, because="2 tasks, 1 s of work for 1; 1 more than that stay for now"),
    ),
    "until fewer have been enough for half a minute: then one finishes what it has, and goes": (
        seen(tasks=2, seconds=1.0, jobs=busy(1, 2), needs=((0.0, 2), (NOW - 35, 1))),
        POLICY,
        Decision(0, (), ("b2",), 1, "2 tasks, 1 s of work for 1, for 30 s"),
    ),
    "a rise that nothing is asked for keeps no job that ends soon": (
        seen(
            tasks=40,
            seconds=400.0,
            jobs=[*busy(*range(20)), *busy(20, handover_at=NOW + 50)],
            wait=60.0,
            needs=((0.0, 20), (NOW - 25, 22), (NOW - 15, 20)),
        ),
        replace(POLICY, maximum=30),
        Decision(0, (), ("b20",), 20, "40 tasks, 400 s of work for 20, for 30 s"),
    ),
    "one that lasts stays": (
        seen(tasks=40, seconds=400.0, jobs=busy(*range(21)), needs=((0.0, 20), (NOW - 25, 22), (NOW - 15, 20))),
        replace(POLICY, maximum=30),
        Decision(need=20, because="40 tasks, 400 s of work for 20; 1 more than that stay for now"),
    ),
    "no busy job goes in favour of idle ones that stay": (
        seen(tasks=2, seconds=1.0, jobs=[*busy(1), *idle(*range(2, 11))], needs=((0.0, 10), (NOW - 35, 1))),
        replace(POLICY, idle=600.0),
        Decision(need=1, because="2 tasks, 1 s of work for 1; 9 more than that stay for now"),
    ),
    "of too many busy jobs those go that end first": (
        seen(
            tasks=4,
            seconds=400.0,
            jobs=[*busy(1, 2), *busy(3, handover_at=NOW + 50)],
            wait=60.0,
            needs=((0.0, 3), (NOW - 35, 2)),
        ),
        POLICY,
        Decision(0, (), ("b3",), 2, "4 tasks, 400 s of work for 2, for 30 s"),
    ),
    "but not while their replacements are awaited": (
        seen(
            tasks=4,
            seconds=400.0,
            jobs=[*busy(1), *pending(2), *busy(3, handover_at=NOW + 50)],
            wait=60.0,
            needs=((0.0, 3), (NOW - 70, 2)),
        ),
        POLICY,
        Decision(need=2, because="4 tasks, 400 s of work for 2"),
    ),
    "pending jobs do no work where time is preferred": (
        seen(tasks=40, seconds=400.0, jobs=pending(1, 2, asked_at=NOW - 100), wait=100.0),
        POLICY,
        Decision(8, need=10, because="40 tasks, 400 s of work for 20"),
    ),
    "where core-hours are preferred they do, as they start before a new one": (
        seen(tasks=40, seconds=400.0, jobs=pending(1, 2, asked_at=NOW - 100), wait=100.0),
        CHEAP,
        Decision(
            need=10,
            because="40 tasks, 400 s of work, worth 1: 0 s of it are left when a new job could start, in about 100 s",
        ),
    ),
    "but no longer than they have waited": (
        seen(tasks=40, seconds=400.0, jobs=pending(1, 2, asked_at=NOW - 75), wait=100.0, needs=ALWAYS[10]),
        CHEAP,
        Decision(
            8,
            need=10,
            because="40 tasks, 400 s of work, worth 10: 100 s of it are left when a new job could start, in about 100 s",
        ),
    ),
    "idle jobs go": (
        seen(jobs=idle(1, 2), needs=ALWAYS[0]),
        POLICY,
        Decision(0, (), ("i2", "i1"), 0, "no work, for 2 s"),
    ),
    "also those that end before a new one could start": (
        seen(tasks=2, seconds=2.0, jobs=[*busy(1), *idle(2, handover_at=NOW + 50)], wait=60.0, needs=ALWAYS[1]),
        POLICY,
        Decision(0, (), ("i2",), 1, "2 tasks, 2 s of work for 1, for 2 s"),
    ),
    "and where no job lasts for as long as a new one waits": (
        seen(jobs=idle(1, 2, handover_at=NOW + 1000), wait=3600.0, needs=ALWAYS[0]),
        POLICY,
        Decision(0, (), ("i2", "i1"), 0, "no work, for 2 s"),
    ),
    "but stay if there was work for them a moment ago": (
        seen(tasks=2, seconds=2.0, jobs=[*busy(1), *idle(2, 3)], needs=((0.0, 3), (NOW - 2.5, 2), (NOW - 1, 1))),
        POLICY,
        Decision(0, (), ("i3",), 1, "2 tasks, 2 s of work for 1, for 2 s"),
    ),
    "who comes too late for work goes at once": (
        seen(tasks=2, seconds=2.0, jobs=[*busy(1), *idle(2, 3, since=NOW)], needs=((0.0, 3), (NOW - 2.5, 1))),
        POLICY,
        Decision(0, (), ("i3", "i2"), 1, "2 tasks, 2 s of work for 1, for 2 s"),
    ),
    "but who is only starting stays": (
        seen(jobs=[JobSnapshot("s1", 1, JobState.RUNNING)], needs=ALWAYS[0]),
        POLICY,
        Decision(because="no work; 1 more than that stay for now"),
    ),
    "but one stays where work came back before after such a pause": (
        seen(jobs=idle(1, 2, since=NOW - 20), needs=PAUSES[20], wait=60.0),
        POLICY,
        Decision(0, (), ("i2",), 0, "no work, for 2 s"),
    ),
    "unless the pause is longer this time": (
        seen(jobs=idle(1, since=NOW - 50), needs=PAUSES[50], wait=60.0),
        POLICY,
        Decision(0, (), ("i1",), 0, "no work, for 2 s"),
    ),
    "or a new one would be there as soon": (
        seen(jobs=idle(1, since=NOW - 20), needs=PAUSES[20], wait=15.0),
        POLICY,
        Decision(0, (), ("i1",), 0, "no work, for 2 s"),
    ),
    "or core-hours are preferred": (
        seen(jobs=idle(1, since=NOW - 20), needs=PAUSES[20], wait=60.0),
        CHEAP,
        Decision(0, (), ("i1",), 0, "no work, for 2 s"),
    ),
    "where core-hours are preferred pending jobs are given up as soon as idle ones": (
        seen(jobs=[*pending(1, 2), *idle(3, since=NOW - 3)], needs=((0.0, 3), (NOW - 3, 0)), wait=60.0),
        CHEAP,
        Decision(0, ("p2", "p1"), ("i3",), 0, "no work, for 2 s"),
    ),
    "steady work keeps jobs for what comes": (
        seen(
            tasks=20, seconds=200.0, rate=2.0, jobs=busy(*range(10), handover_at=NOW + 30), wait=60.0, needs=ALWAYS[10]
        ),
        replace(POLICY, maximum=20),
        Decision(
            10,
            need=10,
            because="20 tasks, 200 s of work for 10",
        ),
    ),
    "tasks of an unknown kind are worth a tenth of the wait": (
        seen(tasks=100, unknown=100, wait=600.0),
        POLICY,
        Decision(10, need=10, because="100 tasks, 6e+03 s of work for 50"),
    ),
    "who still finishes its work counts until it has": (
        seen(tasks=1000, seconds=1e6, jobs=busy(1, 2), leaving=3),
        POLICY,
        Decision(5, need=10, because="1000 tasks, 1e+06 s of work for 500"),
    ),
    "a job whose walltime ends goes when its replacement is there": (
        seen(tasks=20, seconds=100.0, jobs=[*busy(1, handover_at=NOW - 1, leaves_at=NOW + 30), *busy(2), *busy(3)]),
        replace(POLICY, maximum=2),
        Decision(retire=("b1",), need=2, because="20 tasks, 100 s of work for 10; 1 hand over, as their walltime ends"),
    ),
    "and stays until then": (
        seen(tasks=20, seconds=100.0, jobs=[*busy(1, handover_at=NOW - 1, leaves_at=NOW + 30), *busy(2), *pending(3)]),
        replace(POLICY, maximum=2),
        Decision(need=2, because="20 tasks, 100 s of work for 10"),
    ),
    "also while others are asked for": (
        seen(
            tasks=20,
            seconds=100.0,
            jobs=[*busy(1, handover_at=NOW - 20, leaves_at=NOW + 10), *busy(2)],
            needs=ALWAYS[10],
        ),
        POLICY,
        Decision(
            9, retire=("b1",), need=10, because="20 tasks, 100 s of work for 10; 1 hand over, as their walltime ends"
        ),
    ),
    "of idle jobs the one that ends first goes": (
        seen(
            tasks=1,
            seconds=1.0,
            jobs=[*idle(1, handover_at=NOW + 900), *idle(2, handover_at=NOW + 5000)],
            needs=ALWAYS[1],
        ),
        POLICY,
        Decision(0, (), ("i1",), 1, "1 task, 1 s of work for 1, for 2 s"),
    ),
    "who holds results stays if the others can't take them": (
        seen(jobs=idle(1, 2, 3, held=4 * GB), needs=ALWAYS[0]),
        POLICY,
        Decision(0, (), ("i3",), 2, "no work, but results need the memory of 2, for 2 s"),
    ),
    "the last one stays while it holds anything": (
        seen(jobs=idle(1, held=1), needs=ALWAYS[0]),
        POLICY,
        Decision(need=1, because="no work, but results need the memory of 1"),
    ),
    "results ask for memory": (
        seen(tasks=2, seconds=1.0, jobs=[busy(1)[0]._replace(held=7 * GB)]),
        POLICY,
        Decision(1, need=2, because="2 tasks, 1 s of work, and results that need the memory of 2"),
    ),
    "only so many wait at once": (
        seen(tasks=100, seconds=45.0, jobs=pending(1)),
        replace(POLICY, max_pending=2),
        Decision(1, need=5, because="100 tasks, 45 s of work for 5; only 2 may wait at once"),
    ),
    "nothing is asked for after failures": (
        seen(tasks=100, seconds=45.0, stopped="3 failures"),
        POLICY,
        Decision(0, need=5, because="100 tasks, 45 s of work for 5; but nothing is submitted after 3 failures"),
    ),
    "only what the budget pays for": (
        seen(tasks=100, seconds=45.0, core_hours=9.85),
        replace(POLICY, max_core_hours=10.0),
        Decision(4, need=5, because="100 tasks, 45 s of work for 5; only 0.15 core-hours are left"),
    ),
    "all go when the budget is spent, but for who must hold results": (
        seen(tasks=9, seconds=9.0, jobs=[*busy(1), *pending(2), *idle(3, held=GB)], core_hours=10.0),
        replace(POLICY, max_core_hours=10.0),
        Decision(0, ("p2",), ("i3",), 1, "the budget of 10 core-hours is spent"),
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_decide(case):
    snapshot, policy, decision = TABLE[case]
    assert decide(snapshot, policy, NOW) == decision


JOBS = st.lists(
    st.builds(
        JobSnapshot,
        name=st.uuids().map(str),
        number=st.integers(0, 50),
        state=st.sampled_from([JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN, JobState.COMPLETING]),
        busy=st.booleans(),
        held=st.integers(0, 20 * GB),
        idle_since=st.none() | st.floats(0, NOW),
        handover_at=st.none() | st.floats(NOW - 10, NOW + 1000),
        leaves_at=st.just(NOW + 1000),
    ),
    max_size=20,
)
SNAPSHOTS = st.builds(
    seen,
    tasks=st.integers(0, 1000),
    seconds=st.floats(0, 1e6),
    unknown=st.integers(0, 100),
    rate=st.floats(0, 100),
    leaving=st.integers(0, 5),
    jobs=JOBS,
    wait=st.floats(0, 4000),
    needs=st.lists(st.tuples(st.floats(0, NOW), st.integers(0, 20)), max_size=5).map(sorted),
    core_hours=st.floats(0, 20),
    stopped=st.sampled_from(["", "3 failures"]),
)
POLICIES = st.builds(
    lambda prefer, minimum, more, pending, hours: Policy(
        3, 4, 8 * GB, minimum, minimum + more, max_pending=pending, max_core_hours=hours, prefer=prefer
    ),
    st.sampled_from(PREFER),
    st.integers(0, 5),
    st.integers(0, 10),
    st.none() | st.integers(0, 5),
    st.none() | st.floats(1, 20),
)


@given(SNAPSHOTS, POLICIES)
def test_what_always_holds(snapshot, policy):
    decision = decide(snapshot, policy, NOW)
    jobs = {job.name: job for job in snapshot.jobs}
    going = {*decision.cancel, *decision.retire}
    waiting = [job for job in snapshot.jobs if job.waits]
    lasting = [
        job
        for job in snapshot.jobs
        if not job.waits and (job.handover_at is None or job.handover_at > NOW + snapshot.wait)
    ]
    spent = policy.max_core_hours is not None and snapshot.core_hours >= policy.max_core_hours
    assert decision.because
    due = {
        job.name for job in snapshot.jobs if job.has_workers and job.handover_at is not None and job.handover_at <= NOW
    }
    assert not (decision.submit and going - due)
    assert len(going) == len(decision.cancel) + len(decision.retire)
    if decision.submit:  # never beyond the maximum, nor more than may wait
        assert len(waiting) + len(lasting) + snapshot.leaving + decision.submit <= policy.maximum
        assert policy.max_pending is None or len(waiting) + decision.submit <= policy.max_pending
        assert not snapshot.stopped
        assert not spent
    if not spent:
        recent = max((need for moment, need in snapshot.needs if moment > NOW - STEADY / 2), default=0)
        drained = sum(jobs[name].busy for name in going - due)
        assert not drained or 1.1 * (len(snapshot.jobs) - len(waiting) - len(decision.retire)) >= recent
        staying = [job for job in (*waiting, *lasting) if job.name not in going]
        assert len(staying) >= min(policy.minimum, len(waiting) + len(lasting))
    assert all(jobs[name].waits for name in decision.cancel)
    held = sum(job.held for job in snapshot.jobs)
    assert not held or len(decision.retire) < len(jobs)


@given(st.integers(1, 500), st.floats(0.01, 1e5), st.floats(0, 4000), POLICIES)
def test_settles_under_constant_demand(tasks, seconds, wait, policy):
    """Jobs that are asked for start at once; after one round nothing changes any more."""
    jobs, needs = [], []
    rounds = []
    for round_ in range(6):
        now = NOW + 200 * round_
        decision = decide(seen(tasks, seconds, jobs=jobs, wait=wait, needs=tuple(needs)), policy, now)
        needs.append((now, decision.need))
        jobs = jobs + busy(*range(len(jobs), len(jobs) + decision.submit))
        rounds.append(decision.submit + len(decision.cancel) + len(decision.retire))
    if policy.max_pending is None and policy.max_core_hours is None:
        assert rounds[2:] == [0] * 4


@pytest.mark.parametrize("ends", [None, NOW + 1], ids=["lasting", "ending"])
def test_no_job_goes_before_the_one_that_takes_its_place_has_a_worker(ends):
    """Where Python starts slowly, the batch system calls a job running long before it can hold a result."""
    old = idle(1, held=1, handover_at=ends)
    starting, arrived = JobSnapshot("new", 2, JobState.RUNNING), idle(2)
    snapshot = seen(needs=ALWAYS[1], wait=10.0)
    assert decide(replace(snapshot, jobs=Census.of((*old, starting))), POLICY, NOW).retire == ()
    gone = decide(replace(snapshot, jobs=Census.of((*old, *arrived))), POLICY, NOW).retire
    assert gone == (("i2",) if ends is None else ("i1",))


@pytest.mark.parametrize(("interval", "wait"), [(1.0, 600.0), (0.1, 10.0)])
def test_demand_that_changes_at_each_look_is_known_for_long_enough(interval, wait):
    """Else the last eighth is never asked for, and no job that waits in a slow queue is ever given up."""
    needs = []
    for number in range(int(700 / interval)):
        remember(needs, number * interval, 20 + number % 2)
    policy = replace(POLICY, maximum=200)
    few, many = busy(*range(18)), pending(*range(100))
    work = {"tasks": 40, "seconds": 1e5, "wait": wait, "needs": tuple(needs)}
    assert decide(seen(jobs=few, **work), policy, 700.0).submit == 2
    assert len(decide(seen(jobs=many, **work), policy, 700.0).cancel) == 100 - 21
