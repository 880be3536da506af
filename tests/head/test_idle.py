"""When a cluster closes by itself; without a clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.errors import InvalidRequest
from jobclusters.head.idle import Activity, IdleMonitor
from jobclusters.spec.units import read_timeout

HOUR = 3600.0
BUSY, IDLE = Activity(tasks=1, workers=1, clients=1), Activity(workers=1, clients=1)
WAITS, ALONE = Activity(expected=True, clients=1), Activity(tasks=1, workers=1)

LOST = Activity(tasks=1, clients=1, supplied=False)

LOST_NOTICE = (
    "tasks wait, and no jobs are asked for: cluster.scale(jobs=...) asks for some, cluster.adapt() for as many as there"
    " is work for"
)
CLOSES_SOON = "it closes when there was no work for 20 minutes (idle_timeout)"
NO_WORK = "there was no work for 20 minutes (idle_timeout)"
ENDS_SOON = "it ends soon, with the walltime of its head's job: save what you need"


def monitor(idle=1200.0, alone=None, ends=None):
    return IdleMonitor(idle_timeout=idle, no_client_timeout=alone, ends=ends, began=0.0)


@pytest.mark.parametrize(
    ("idle", "looks", "close", "notice"),
    [
        (monitor(), [(0, IDLE), (899, IDLE)], "", ""),
        (monitor(), [(0, IDLE), (900, IDLE)], "", CLOSES_SOON),
        (monitor(), [(0, IDLE), (1199, IDLE)], "", CLOSES_SOON),
        (monitor(), [(0, IDLE), (1200, IDLE)], NO_WORK, ""),
        (monitor(), [(600, BUSY), (1700, IDLE)], "", CLOSES_SOON),
        (monitor(), [(600, BUSY), (1800, IDLE)], NO_WORK, ""),
        (monitor(), [(1199, BUSY)], "", ""),
        # Tasks that came and went between two looks.
        (monitor(), [(0, IDLE), (1199, Activity(transitions=4, workers=1)), (1300, Activity(transitions=4, workers=1))], "", ""),
        # To wait in the queue is not to be idle; with a worker there, jobs that wait are no work.
        (monitor(), [(t, WAITS) for t in range(0, 9000, 600)], "", ""),
        (monitor(), [(0, IDLE), (1200, Activity(workers=1, expected=True))], NO_WORK, ""),
        # When a worker comes the count begins anew: who waits for it has to be warned first.
        (monitor(), [(5000, WAITS), (5001, IDLE), (6100, IDLE)], "", CLOSES_SOON),
        (monitor(), [(0, IDLE), (1100, Activity(workers=2)), (2200, Activity(workers=2))], "", CLOSES_SOON),
        # One that goes is no work.
        (monitor(), [(0, Activity(workers=2)), (1100, IDLE), (1201, IDLE)], NO_WORK, ""),
        (monitor(), [(1200, Activity())], NO_WORK, ""),
        (monitor(None), [(10**9, IDLE)], "", ""),
        (monitor(20.0), [(0, IDLE), (20, IDLE)], "there was no work for 20 seconds (idle_timeout)", ""),
        (monitor(90.0), [(0, IDLE), (90, IDLE)], "there was no work for 1.5 minutes (idle_timeout)", ""),
        (monitor(None, 600.0), [(0, ALONE), (449, ALONE)], "", ""),
        (monitor(None, 600.0), [(0, ALONE), (450, ALONE)], "", "it closes when there was no client for 10 minutes (no_client_timeout)"),
        (monitor(None, 600.0), [(0, ALONE), (600, ALONE)], "there was no client for 10 minutes (no_client_timeout)", ""),
        (monitor(None, 600.0), [(599, IDLE), (1000, ALONE)], "", ""),
        (monitor(ends=4 * HOUR), [(3 * HOUR - 1, BUSY)], "", ""),
        (monitor(ends=4 * HOUR), [(3 * HOUR, BUSY)], "", ENDS_SOON),
        (monitor(ends=48 * HOUR), [(47 * HOUR - 1, BUSY)], "", ""),
        (monitor(ends=48 * HOUR), [(47 * HOUR, BUSY)], "", ENDS_SOON),
        (monitor(ends=HOUR), [(0.75 * HOUR - 1, BUSY)], "", ""),
        (monitor(ends=HOUR), [(0.75 * HOUR, BUSY)], "", ENDS_SOON),
        (monitor(ends=HOUR), [(HOUR, BUSY)], "the walltime of its head's job is over; scheduler_walltime= makes it longer", ""),
        # Tasks for which no jobs are asked: a moment may pass until they are.
        (monitor(), [(0, LOST), (3, LOST)], "", ""),
        (monitor(), [(0, LOST), (5, LOST)], "", LOST_NOTICE),
        (monitor(), [(0, LOST), (5, LOST), (6, Activity(tasks=1, clients=1))], "", ""),
        (monitor(), [(0, LOST), (3, Activity(supplied=False)), (5, LOST)], "", ""),
        # What closes it now comes before what will.
        (monitor(ends=1250.0), [(0, IDLE), (1200, IDLE)], NO_WORK, ""),
    ],
)  # fmt: skip
def test_what_is_decided(idle, looks, close, notice):
    for now, activity in looks:
        advice = idle.check(float(now), activity)
    assert (advice.close, advice.notice) == (close, notice)


ACTIVITIES = st.builds(
    Activity,
    tasks=st.booleans(),
    transitions=st.integers(0, 3),
    workers=st.integers(0, 3),
    expected=st.booleans(),
    clients=st.booleans(),
)
STEPS = st.lists(st.tuples(st.floats(0.1, 700), ACTIVITIES), min_size=1, max_size=30)


@given(STEPS)
def test_it_never_closes_a_cluster_with_work_or_one_that_waits(steps):
    idle, now = monitor(600.0), 0.0
    for seconds, activity in steps:
        now += seconds
        advice = idle.check(now, activity)
        if activity.tasks or (activity.expected and not activity.workers):
            assert (advice.close, advice.notice) == ("", "")


@given(STEPS)
def test_it_closes_none_that_had_work_within_the_timeout(steps):
    idle, now, worked = monitor(600.0), 0.0, 0.0
    for seconds, activity in steps:
        now += seconds
        worked = now if activity.tasks else worked
        if idle.check(now, activity).close:
            assert now - worked >= 600


@given(STEPS, st.floats(1, 5000))
def test_without_timeouts_it_closes_at_the_end_of_the_walltime_alone(steps, ends):
    idle, now = monitor(None, None, ends), 0.0
    for seconds, activity in steps:
        now += seconds
        assert bool(idle.check(now, activity).close) == (now >= ends)


@given(STEPS)
def test_nothing_closes_that_was_not_announced_if_it_is_looked_at_often_enough(steps):
    idle, now, announced = monitor(600.0, 900.0, 9000.0), 0.0, False
    for _, activity in steps:
        for _ in range(40):
            now += 10
            advice = idle.check(now, activity)
            if advice.close:
                assert announced
                return
            announced = bool(advice.notice)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), (False, None), (30, 30.0), (0.5, 0.5), ("20 minutes", 1200.0), ("2h", 7200.0), ("90", 90.0),
        ("1500ms", 1.5), (timedelta(minutes=5), 300.0),
    ],
)  # fmt: skip
def test_timeouts(value, seconds):
    assert read_timeout("idle_timeout", value) == seconds


@pytest.mark.parametrize(
    "value", [0, -5, "-5 minutes", "soon", "", True, float("inf"), float("nan"), [], {}, "never", object]
)
def test_what_is_no_timeout(value):
    with pytest.raises(InvalidRequest, match=r"^idle_timeout must be a time such as '20 minutes', or None for never"):
        read_timeout("idle_timeout", value)
