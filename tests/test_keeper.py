from __future__ import annotations

import pytest

from jobclusters.batchqueue import JobRecord
from jobclusters.errors import JobsFailed, Refused, SubmitLimit
from jobclusters.keeper import FAILURES, NODE_FAILURES, Keeper, job_of
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
    keeper = Keeper(lambda _: "env: 'python': No such file or directory")
    for event in events:
        if isinstance(event, Exception):
            keeper.refused(event)
        elif event in ("worked", "reset"):
            getattr(keeper, event)()
        else:
            keeper.ended([event])
    return keeper


@pytest.mark.parametrize(
    ("events", "stopped"),
    [
        ([], False),
        ([DEATH] * (FAILURES - 1), False),
        ([DEATH] * FAILURES, True),
        ([DEATH] * (FAILURES + 1), True),
        ([DEATH, Refused("no"), DEATH], True),
        ([CANCEL] * FAILURES, True),
        ([LOSS] * 10, False),
        ([DEATH, DEATH, "worked", DEATH, DEATH], False),
        ([DEATH, DEATH, LOSS, DEATH, DEATH], False),
        ([DEATH] * FAILURES + ["reset"], False),
        ([DEATH] * FAILURES + ["reset"] + [DEATH] * (FAILURES - 1), False),
        ([DEATH] * FAILURES + ["reset"] + [DEATH] * FAILURES, True),
    ],
)
def test_budget_of_failures(events, stopped):
    assert bool(keeper_after(*events).stopped) is stopped


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
        (["c1"] * (NODE_FAILURES - 1), set()),
        (["c1"] * NODE_FAILURES, {"c1"}),
        (["c1", "c2"] * NODE_FAILURES, {"c1", "c2"}),
        ([""] * 2 * NODE_FAILURES, set()),
    ],
)
def test_nodes_on_which_jobs_fail(nodes, bad):
    keeper = keeper_after(*(record(JobState.FAILED, node=node) for node in nodes))
    assert keeper.bad_nodes == bad
    keeper.reset()
    assert keeper.bad_nodes == set()


@pytest.mark.parametrize(("state", "had_worker"), [(JobState.CANCELLED, False), (JobState.FAILED, True)])
def test_nodes_that_are_not_to_blame(state, had_worker):
    ends = [record(state, node="c1", had_worker=had_worker)] * 2 * NODE_FAILURES
    assert keeper_after(*ends).bad_nodes == set()


def test_each_failure_is_logged_with_the_end_of_its_output(caplog):
    keeper_after(DEATH, LOSS, Refused("bad partition"))
    dead, lost, refused = (message.getMessage() for message in caplog.records)
    assert "job 100: FAILED, exit code 127" in dead
    assert "    | env: 'python': No such file or directory" in dead
    assert lost == "Job 101 ended: NODE_FAIL."
    assert refused.endswith("bad partition")


def test_the_stop_is_told_once(caplog):
    keeper_after(*[DEATH] * (FAILURES + 3))
    assert sum("No more jobs are submitted" in message.getMessage() for message in caplog.records) == 1


@pytest.mark.parametrize(
    ("excludes", "words"), [(True, "new jobs stay away from it"), (False, "new jobs can't be kept away from it here")]
)
def test_only_what_the_batch_system_can_do_is_promised(excludes, words, caplog):
    keeper = Keeper(lambda _: None, excludes=excludes)
    keeper.ended([record(JobState.FAILED, number, node="c1") for number in range(NODE_FAILURES)])
    assert words in caplog.text
