from __future__ import annotations

import random
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.errors import JobsFailed, Refused, SubmitLimit
from jobclusters.jobs.failures import (
    MOST_AVOIDED,
    MOST_EXPLAINED,
    MOST_FAILURES,
    MOST_NODE_FAILURES,
    NODE_TIMEOUT,
    Failures,
)
from jobclusters.jobs.record import job_of
from jobclusters.jobs.submitter import JobRecord
from jobclusters.state import JobState, JobStatus


@pytest.mark.parametrize(
    ("worker", "jobs", "job"),
    [
        ("C-3", {"C-3"}, "C-3"),
        ("C-3-0", {"C-3"}, "C-3"),
        ("C-3-11", {"C-3"}, "C-3"),
        ("C-3-r1", {"C-3"}, "C-3"),
        ("C-3-r12-0", {"C-3"}, "C-3"),
        ("C-31", {"C-3"}, None),
        ("C-3", {"C-31"}, None),
        ("C-3-x", {"C-3"}, None),
        ("C-3-0-0", {"C-3"}, None),
        ("C-3-1", {"C-3", "C-3-1"}, "C-3-1"),  # a cluster whose name ends like a job
        ("my-r2-7", {"my-r2-7"}, "my-r2-7"),  # ... or like a requeue
        ("my-r2-7-r1-0", {"my-r2-7"}, "my-r2-7"),
        (7, {"7"}, "7"),
        ("", {"C-3"}, None),
        ("C-3-0", ["C-3"], "C-3"),
        ("C-3-0", {"C-3": None}, "C-3"),
    ],
)
def test_job_of(worker, jobs, job):
    assert job_of(worker, jobs) == job


def record(state, number=0, *, had_worker=False, leaving=False, **status):
    return JobRecord(
        f"C-{number}",
        number,
        spec=None,
        job_id=str(100 + number),
        status=JobStatus(state, **status),
        had_worker=had_worker,
        leaving=leaving,
    )


DEATH = record(JobState.FAILED, exit_code=127)
LOSS = record(JobState.NODE_FAIL, 1, had_worker=True)
CANCEL = record(JobState.CANCELLED, 2)
LIMIT = SubmitLimit("too many jobs")


def keeper_after(*events):
    failures = Failures(lambda _: "env: 'python': No such file or directory")
    for event in events:
        if isinstance(event, Exception):
            failures.refused(event)
        elif event == "worked":
            failures.worked(group="C")
        elif event == "reset":
            failures.reset()
        elif event == "other worked":
            failures.worked(group="C-gpu")
        else:
            failures.ended([event])
    return failures


@pytest.mark.parametrize(
    ("events", "stopped"),
    [
        ([], False),
        ([DEATH] * (MOST_FAILURES - 1), False),
        ([DEATH] * MOST_FAILURES, True),
        ([DEATH] * (MOST_FAILURES + 1), True),
        ([DEATH, DEATH, "other worked", DEATH], True),
        ([DEATH, DEATH, *[LOSS] * 10, DEATH], True),  # a worker came to that one before
        ([CANCEL] * MOST_FAILURES, True),
        ([LOSS] * 10, False),
        ([DEATH, DEATH, "worked", DEATH, DEATH], False),
        ([DEATH] * MOST_FAILURES + ["reset"], False),
        ([DEATH] * MOST_FAILURES + ["reset"] + [DEATH] * (MOST_FAILURES - 1), False),
        ([DEATH] * MOST_FAILURES + ["reset"] + [DEATH] * MOST_FAILURES, True),
    ],
)
def test_budget_of_failures(events, stopped):
    assert bool(keeper_after(*events).stopped) is stopped


# -- how many failures are too many ------------------------------------------------------------------------------------

ENDS = st.lists(st.lists(st.sampled_from(["", "n1", "n2", "n3"]), min_size=1, max_size=6), min_size=1, max_size=12)


def polled(failures, polls, working=0, group="C"):
    """Let jobs of these nodes end before a worker came, those of one poll at once; give the counts of all until a stop."""
    seen = []
    for nodes in polls:
        if failures.stopped_for(group):
            break
        dead = [
            JobRecord(f"{group}-{n}", n, None, status=JobStatus(JobState.FAILED, node=node))
            for n, node in enumerate(nodes)
        ]
        failures.ended(dead, {}, {group: working})
        seen.append(len(dead))
    return seen


@given(ENDS)
def test_where_nothing_works_three_failures_stop_it_however_they_are_seen(polls):
    failures = Failures(lambda _: None)
    seen = polled(failures, polls)
    assert bool(failures.stopped_for("C")) is (sum(map(len, polls)) >= MOST_FAILURES)
    assert sum(seen[:-1]) < MOST_FAILURES


@given(ENDS, st.integers(1, 40))
def test_where_others_work_it_goes_on_until_as_many_have_failed(polls, working):
    failures = Failures(lambda _: None)
    seen = polled(failures, polls, working)
    failed, events = sum(seen), len(seen)
    if failed < max(MOST_FAILURES, working):
        assert not failures.stopped
    if events >= max(MOST_FAILURES, working):  # jobs that fail again and again are not submitted for ever
        assert failures.stopped


@given(ENDS, st.integers(0, 40))
def test_a_worker_that_comes_ends_the_count(polls, working):
    once, again = Failures(lambda _: None), Failures(lambda _: None)
    polled(again, [["n1"] * (MOST_FAILURES - 1)], working)
    again.worked(group="C")
    assert polled(once, polls, working) == polled(again, polls, working)
    assert bool(once.stopped) is bool(again.stopped)


@given(ENDS, ENDS, st.integers(0, 40))
def test_groups_fail_by_themselves(polls, others, working):
    alone, both = Failures(lambda _: None), Failures(lambda _: None)
    polled(alone, polls, working)
    for mine, other in zip_longest(polls, others, fillvalue=None):
        if other:
            polled(both, [other], group="C-gpu")
            both.worked(group="C-cpu")
        if mine:
            polled(both, [mine], working)
    assert bool(alone.stopped_for("C")) is bool(both.stopped_for("C"))


def test_three_jobs_of_hundreds_are_replaced():
    """A node that dies takes with it the jobs whose workers still start there."""
    failures = Failures(lambda _: None)
    polled(failures, [["n7"] * 30, ["", "", ""]], working=300)
    assert not failures.stopped


@pytest.mark.parametrize(
    ("events", "records", "kind", "words"),
    [
        ([], [], None, ""),
        ([LOSS], [], None, ""),
        ([CANCEL], [], None, ""),
        ([DEATH], [], JobsFailed, "exit code 127.*Python was not found.*No such file"),
        ([DEATH, "worked"], [], None, ""),  # others do work: no reason to give up waiting
        (["worked", DEATH], [], None, ""),
        (["worked", DEATH, DEATH, DEATH], [], JobsFailed, "no more jobs are submitted after 3 failures in a row"),
        ([Refused("bad partition")], [], Refused, "^bad partition$"),
        ([LIMIT], [], SubmitLimit, "^too many jobs$"),
        ([DEATH, DEATH, Refused("bad partition")], [], Refused, "^bad partition$"),
        ([Refused("bad partition"), "reset"], [], None, ""),
        ([], [record(JobState.PENDING, reason="Resources")], None, ""),
        ([], [record(JobState.PENDING, reason="Never")], JobsFailed, "job 100 can never start.* says Never"),
        ([], [record(JobState.PENDING, reason="Never"), record(JobState.RUNNING, 1)], None, ""),
        ([], [record(JobState.PENDING, reason="Never"), record(JobState.RUNNING, 1, leaving=True)], JobsFailed, "100"),
        ([], [record(JobState.PENDING, reason="Never", leaving=True)], None, ""),
        ([], [record(JobState.RUNNING, reason="Never")], None, ""),
    ],
)
def test_trouble(events, records, kind, words):
    trouble = keeper_after(*events).trouble(records, {"Never"})
    if kind is None:
        assert trouble is None
    else:
        assert type(trouble) is kind
        with pytest.raises(kind, match=f"(?s){words}"):
            raise trouble


@pytest.mark.parametrize(
    ("nodes", "bad"),
    [
        ([], set()),
        (["c1"] * (MOST_NODE_FAILURES - 1), set()),
        (["c1"] * MOST_NODE_FAILURES, {"c1"}),
        (["c1", "c2"] * MOST_NODE_FAILURES, {"c1", "c2"}),
        ([""] * 2 * MOST_NODE_FAILURES, set()),
        (["c1$(x)", "c1)", "c 1", "-c1", "ć1", "c1\n", "c1"] * MOST_NODE_FAILURES, {"c1"}),
    ],
)
def test_nodes_on_which_jobs_fail(nodes, bad):
    failures = keeper_after(*(record(JobState.FAILED, node=node) for node in nodes))
    assert failures.bad_nodes == set(), "while nothing has worked anywhere, it may not be the nodes"
    failures.worked("c9", "C")
    assert failures.bad_nodes == bad
    failures.reset()
    assert failures.bad_nodes == set()


@pytest.mark.parametrize(("state", "had_worker"), [(JobState.CANCELLED, False), (JobState.FAILED, True)])
def test_nodes_that_are_not_to_blame(state, had_worker):
    ends = [record(state, node="c1", had_worker=had_worker)] * 2 * MOST_NODE_FAILURES
    assert keeper_after(*ends).bad_nodes == set()


def test_each_failure_is_logged_with_the_end_of_its_output(caplog):
    keeper_after(DEATH, LOSS, Refused("bad partition"))
    dead, lost, refused = (message.getMessage() for message in caplog.records)
    assert "job 100: FAILED, exit code 127" in dead
    assert "    | env: 'python': No such file or directory" in dead
    assert lost == "Job 101 ended: NODE_FAIL."
    assert refused.endswith("bad partition")


def test_the_stop_is_reported_once(caplog):
    keeper_after(*[DEATH] * (MOST_FAILURES + 3))
    assert sum("No more jobs are submitted" in message.getMessage() for message in caplog.records) == 1


@pytest.mark.parametrize(
    ("excludes", "words"), [(True, "new jobs stay away from it"), (False, "new jobs can't be kept away from it here")]
)
def test_only_what_the_batch_system_can_do_is_promised(excludes, words, caplog):
    failures = Failures(lambda _: None, excludes=excludes)
    failures.worked("c2", "C")
    failures.ended([record(JobState.FAILED, number, node="c1") for number in range(MOST_NODE_FAILURES)])
    assert words in caplog.text


def failed_on(*nodes):
    return [record(JobState.FAILED, number, node=node) for number, node in enumerate(nodes)]


def test_the_last_node_that_is_known_to_work_is_not_left_out():
    failures = Failures(lambda _: None)
    failures.worked("c1", "C")
    failures.ended(failed_on("c1", "c1", "c1"))
    assert failures.bad_nodes == set()
    failures.worked("c2", "C")
    assert failures.bad_nodes == {"c1"}
    failures.ended(failed_on("c2", "c2"))
    assert failures.bad_nodes == set()


def test_the_last_node_that_is_known_to_hold_a_group_is_not_left_out():
    failures = Failures(lambda _: None)
    failures.worked("c1", "C-cpu")
    failures.worked("g1", "C")
    failures.ended(failed_on("g1", "g1"))
    assert failures.bad_nodes == set(), "c1 may have no GPU"
    failures.worked("g2", "C")
    assert failures.bad_nodes == {"g1"}


def test_a_node_is_forgiven_when_a_worker_comes_from_it_and_after_a_time(monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr("jobclusters.jobs.failures.time.monotonic", lambda: clock[0])
    failures = Failures(lambda _: None)
    failures.worked("c9", "C")
    failures.ended(failed_on("c1", "c1", "c2", "c2"))
    assert failures.bad_nodes == {"c1", "c2"}
    failures.worked("c1", "C")
    assert failures.bad_nodes == {"c2"}
    clock[0] += NODE_TIMEOUT - 1
    failures.review_nodes()
    assert failures.bad_nodes == {"c2"}
    clock[0] += 2
    failures.review_nodes()
    assert failures.bad_nodes == set()
    failures.ended(failed_on("c2"))
    assert failures.bad_nodes == set(), "it begins anew"


def test_only_some_nodes_are_left_out_at_once():
    failures = Failures(lambda _: None)
    failures.worked("good", "C")
    for number in range(3 * MOST_AVOIDED):
        failures.ended(failed_on(f"n{number}", f"n{number}"))
        failures.worked("good", "C")
    assert failures.bad_nodes == {f"n{number}" for number in range(2 * MOST_AVOIDED, 3 * MOST_AVOIDED)}


def test_a_month_of_random_failures_leaves_most_nodes_in(monkeypatch):
    """0.1 had left out 81 of 100 nodes in the end, and kept all explanations."""
    clock = [0.0]
    monkeypatch.setattr("jobclusters.jobs.failures.time.monotonic", lambda: clock[0])
    chance = random.Random(1)
    failures = Failures(lambda _: "x" * 16000)
    for _ in range(30 * 24):
        clock[0] += 3600
        for _ in range(40):
            failures.worked(f"n{chance.randrange(100)}", "C")
        failures.ended([record(JobState.PREEMPTED, node=f"n{chance.randrange(100)}")])
        failures.worked("n0", "C")
        assert len(failures.bad_nodes) <= 1
    kept = [value for value in vars(failures).values() if isinstance(value, (dict, list, str))]
    assert sum(map(len, kept)) < 20_000


def test_a_thousand_ends_read_and_log_only_some(caplog):
    read = []
    failures = Failures(lambda each: read.append(each) or "x" * 16000)
    failures.ended([record(JobState.FAILED, number, node=f"n{number % 50}") for number in range(1000)])
    assert len(read) == MOST_EXPLAINED
    logged = [message.getMessage() for message in caplog.records]
    assert len(logged) < MOST_EXPLAINED + 5
    assert f"{1000 - MOST_EXPLAINED} more jobs ended at the same time: {1000 - MOST_EXPLAINED} FAILED." in logged
    assert sum(map(len, logged)) < 10 * 16000
    assert failures.stopped
