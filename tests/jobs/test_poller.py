"""What a pool makes of answers that lack jobs, of cancels without an answer, and of many ends at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from jobclusters.errors import Unavailable
from jobclusters.jobs import failures, submitter
from jobclusters.jobs.groups import Group
from jobclusters.jobs.pool import JobPool
from jobclusters.jobs.record import JobRecord
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedQueue
from tests.helpers.waiting import PATIENCE
from tests.jobs.test_pool_properties import SPEC


@pytest.fixture
def queue():
    queue = ScriptedQueue(hold=True)
    queue.interval = 0.01
    return queue


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(submitter, "CANCEL_TIMEOUT", 0.3)
    monkeypatch.setattr(submitter, "BELIEVE_TIMEOUT", 0.1)
    monkeypatch.setattr(submitter, "VERIFY_INTERVAL", (0.02, 0.05))
    monkeypatch.setattr("jobclusters.jobs.poller.SLOWEST_INTERVAL", 0.05)


async def happens(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.01)


def play(queue, story, **keywords):
    """Let a story happen to a pool of jobs."""

    async def main():
        pool = JobPool(
            queue,
            render=lambda spec: f"#!/bin/sh\n#JOB --name={spec.job_name}\n",
            token="t",
            lost_after=60.0,
            guarded=False,
            **keywords,
        )
        pool.groups["default"] = Group("default", "C", SPEC)
        pool.start()
        await story(pool)
        await pool.close()

    asyncio.run(main())


async def scaled(pool, queue, jobs):
    pool.want(pool.groups["default"], jobs)
    await happens(lambda: len(queue.living()) == jobs and all(r.seen for r in pool.records.values()))


def count(queue, verb):
    return [each for each, _ in queue.commands].count(verb)


def test_a_job_that_answers_leave_out_for_a_while_lives(queue):
    """0.1 called it GONE after two of them, within seconds."""

    async def story(pool):
        await scaled(pool, queue, 2)
        queue.hidden = {"1_0"}
        asked = count(queue, "states")
        await happens(lambda: count(queue, "states") > asked + 5)
        assert pool.records["C-0"].missing > 2
        queue.hidden = set()
        await happens(lambda: pool.records["C-0"].absent_since is None)
        assert queue.living() == ["1_0", "1_1"]
        assert count(queue, "submit") == 1

    play(queue, story)


def test_a_job_that_is_given_up_as_absent_is_cancelled_to_be_sure(queue, caplog):
    async def story(pool):
        await scaled(pool, queue, 2)
        queue.hidden = {"1_0"}
        with queue.silent("cancel"):
            await happens(lambda: "2" in queue.living())
            assert pool.jobs()["1_0"].state is JobState.GONE
            await happens(lambda: count(queue, "cancel") > 1)
        await happens(lambda: queue.living() == ["1_1", "2"])
        assert caplog.text.count("Cancelling jobs failed") == 1

    play(queue, story, absent_after=0.1)
    assert queue.living() == []


def test_a_job_that_comes_back_after_it_was_given_up_is_cancelled_again(queue):
    async def story(pool):
        await scaled(pool, queue, 1)
        queue.hidden = {"1"}
        await happens(lambda: "2" in queue.living() and "1" not in queue.living())
        with queue._lock:
            queue._jobs["1"].status = JobStatus(JobState.PENDING)
        queue.hidden = set()
        await happens(lambda: queue.living() == ["2"])

    play(queue, story, absent_after=0.1)


def test_an_absent_job_whose_worker_is_connected_lives(queue):
    worker = SimpleNamespace(name="C-0", address="C-0", processing=(), nbytes=0)
    scheduler = SimpleNamespace(workers={"C-0": worker}, transition_counter=0)

    async def story(pool):
        await scaled(pool, queue, 1)
        queue.hidden = {"1"}
        asked = count(queue, "states")
        await happens(lambda: count(queue, "states") > asked + 10)
        assert pool.records["C-0"].status.state is JobState.PENDING
        assert queue.living() == ["1"]
        scheduler.workers.clear()
        await happens(lambda: queue.living() == ["2"])

    play(queue, story, absent_after=0.1, scheduler=lambda: scheduler)


def test_a_job_that_was_never_listed_is_given_longer(queue):
    queue.hidden = {"1"}

    async def story(pool):
        pool.want(pool.groups["default"], 1)
        await happens(lambda: pool.records["C-0"].absent_since is not None)
        since, record = pool.records["C-0"].absent_since, pool.records["C-0"]
        await happens(lambda: record.status.state is JobState.GONE)
        assert time.monotonic() - since >= 0.6

    play(queue, story, absent_after=0.2)


def test_the_end_of_an_absent_job_that_can_be_looked_up_is_no_guess(queue, monkeypatch):
    async def detail(job_id):
        return JobStatus(JobState.TIMEOUT)

    monkeypatch.setattr(queue, "detail", detail)

    async def story(pool):
        await scaled(pool, queue, 1)
        queue.end("1", JobState.TIMEOUT)
        queue.hidden = {"1"}
        await happens(lambda: queue.living() == ["2"])
        assert pool.jobs()["1"].state is JobState.TIMEOUT

    play(queue, story, absent_after=3600.0)


def test_a_cancel_without_an_answer_is_made_up_for_as_soon_as_there_is_one(queue, caplog):
    """0.1 gave it up after a minute, also in close()."""

    async def story(pool):
        await scaled(pool, queue, 3)
        with queue.silent("cancel", "states"):
            pool.want(pool.groups["default"], 1)
            await happens(lambda: "not known to be cancelled: 1_" in pool.summary())
            assert len(queue.living()) == 3
        await happens(lambda: queue.living() == ["1_0"])
        await happens(lambda: "not known" not in pool.summary())
        assert caplog.text.count("Cancelling is tried again") == 1

    play(queue, story)


def test_close_cancels_what_could_not_be_cancelled_before(queue):
    async def story(pool):
        await scaled(pool, queue, 3)
        with queue.silent("cancel", "states"):
            pool.want(pool.groups["default"], 1)
            await happens(lambda: pool._submitter._unverified)
            pool._poller.poll = lambda: asyncio.sleep(0)  # close() alone must do it

    play(queue, story)
    assert queue.living() == []


def test_a_cancel_that_is_accepted_but_cannot_be_checked_is_believed(queue, caplog):
    seen = {}

    async def story(pool):
        seen["pool"] = pool
        await scaled(pool, queue, 2)
        with queue.silent("states"):
            await pool.close()

    play(queue, story)
    assert queue.living() == []
    assert caplog.text.count("Cancelling is tried again") == 1
    assert "Cancelled these jobs; could not be checked: 1_0, 1_1" in caplog.text
    assert seen["pool"].jobs()["1_0"].sentence() == "CANCELLED (cancelled; could not be checked)"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.COMPLETED])
def test_what_we_cancelled_is_cancelled_whatever_its_code(queue, monkeypatch, state):
    async def cancel(ids):
        for job_id in ids:
            queue.end(job_id, state, exit_code=143)

    monkeypatch.setattr(queue, "cancel", cancel)

    async def story(pool):
        await scaled(pool, queue, 2)
        pool.want(pool.groups["default"], 1)
        await happens(lambda: "1_1" in pool.jobs() and "C-1" not in pool.records)
        assert pool.jobs()["1_1"].sentence() == "CANCELLED"

    play(queue, story)


def test_close_never_raises_and_cancels_all_whatever_came_before(queue, monkeypatch, caplog):
    async def story(pool):
        await scaled(pool, queue, 3)
        monkeypatch.setattr(pool, "measure", lambda: 1 / 0)
        monkeypatch.setattr(pool._janitor, "goodbye", lambda: 1 / 0)
        pool._tasks[0].cancel()
        pool.let_go(["C-0"])

    play(queue, story)
    assert queue.living() == []
    assert "Leaving the janitor failed" in caplog.text


def test_a_batch_system_that_answers_slowly_is_asked_less_often(queue, monkeypatch):
    states, answered, rests = queue.states, [], []

    async def slow(ids):
        rests.extend(time.monotonic() - last for last in answered[-1:])
        found = await states(ids)
        queue.interval = 0.4  # as commands that take long have it
        answered.append(time.monotonic())
        return found

    async def story(pool):
        await scaled(pool, queue, 1)
        monkeypatch.setattr(queue, "states", slow)
        for number in (1, 2, 3):
            pool.hurry()
            await happens(lambda number=number: len(answered) > number)
        assert min(rests) >= 0.4  # before the cluster closes, which asks whether its jobs are gone

    play(queue, story)


def test_a_thousand_ends_in_one_moment_cost_a_few_questions_and_words(queue, monkeypatch, caplog):
    """0.1 read and printed all their outputs: 16 MB of log, and a gap of 9 s of the event loop."""
    read = []
    monkeypatch.setattr(queue, "log_files", lambda *_: read.append(1) or [])
    monkeypatch.setattr(failures, "MOST_FAILURES", 10_000)

    async def story(pool):
        await scaled(pool, queue, 1000)
        caplog.clear()
        with queue._lock:
            for job in queue._jobs.values():
                job.status = replace(job.status, state=JobState.FAILED, exit_code=1, node="n1")
        await happens(lambda: len(queue.living()) == 1000)
        assert len(read) <= failures.MOST_EXPLAINED
        assert count(queue, "detail") <= 5
        assert len(caplog.records) <= failures.MOST_EXPLAINED + 3
        assert [number for verb, number in queue.commands if verb == "submit"] == [1000, 1000]

    play(queue, story)


def test_a_submission_that_fails_again_and_again_is_reported(queue, monkeypatch):
    """0.1 left it "being submitted" for ever."""

    async def submit(script, number):
        raise UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed")

    monkeypatch.setattr(queue, "submit", submit)
    monkeypatch.setattr(submitter, "LOOKUP_INTERVAL", (0.01, 0.02))

    async def story(pool):
        pool.want(pool.groups["default"], 1)
        await happens(lambda: pool.trouble() is not None)
        assert "the submission failed 2 times: UnicodeEncodeError" in str(pool.trouble())
        assert pool.records == {}

    play(queue, story)


def test_a_submission_that_cannot_be_looked_up_either_is_reported_and_left_to_the_janitor(queue, monkeypatch):
    async def broken(*_):
        raise KeyError("jobs")

    monkeypatch.setattr(queue, "submit", broken)
    monkeypatch.setattr(queue, "find", broken)
    monkeypatch.setattr(submitter, "LOOKUP_INTERVAL", (0.01, 0.02))
    handed = []

    async def story(pool):
        pool._janitor.hand_over = lambda: handed.append(1) or True
        pool.want(pool.groups["default"], 1)
        await happens(lambda: pool.trouble() is not None)
        assert isinstance(pool.trouble(), Unavailable)
        assert "it is not known whether the jobs named job-t-0 exist" in str(pool.trouble())
        assert "not known to exist: job-t-0" in pool.summary()

    play(queue, story)
    assert handed


def test_jobs_that_are_refused_as_nodes_are_left_out_are_submitted_without(queue, monkeypatch):
    monkeypatch.setattr(failures, "MOST_FAILURES", 1000)

    async def story(pool):
        await scaled(pool, queue, 1)
        pool._failures.worked("n1", "C")
        pool._failures.ended([JobRecord("C-9", 9, SPEC, job_id="9", status=JobStatus(JobState.FAILED, node="n2"))] * 2)
        pool._review_nodes()
        assert "left out: n2" in pool.summary()
        queue.refuse("Requested node configuration is not available")
        queue.end("1", JobState.NODE_FAIL)
        await happens(lambda: queue.living() == ["2"])
        assert count(queue, "submit") == 3
        assert not pool._failures.refusal

    play(queue, story)


def test_three_jobs_that_fail_at_once_are_replaced_where_others_work(queue):
    workers = {
        f"C-{number}": SimpleNamespace(name=f"C-{number}", address=f"C-{number}", processing=(), nbytes=0)
        for number in range(10)
    }

    async def story(pool):
        await scaled(pool, queue, 14)
        with queue.silent("states"):  # so that one answer tells of all
            for number in 10, 11, 12:
                queue.end(f"1_{number}", JobState.FAILED, 1)
        await happens(lambda: len(queue.living()) == 14)
        assert not pool.stopped(pool.groups["default"])
        workers.clear()
        with queue.silent("states"):
            for number in 0, 1, 2:
                pool.records[f"C-{number}"].had_worker = False
                queue.end(f"1_{number}", JobState.FAILED, 1)
        await happens(lambda: pool.stopped(pool.groups["default"]))
        assert pool.groups["default"].wanted == 11

    play(queue, story, scheduler=lambda: SimpleNamespace(workers=workers))
