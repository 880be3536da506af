"""Jobs that go back to the queue: which workers are of the run before, however the news come."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime
from types import SimpleNamespace

import pytest

from jobclusters.jobs.pool import JobPool
from jobclusters.jobs.record import JobRecord
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedQueue

PENDING, RUNNING, COMPLETING = JobState.PENDING, JobState.RUNNING, JobState.COMPLETING
NINE, TEN = datetime(2030, 1, 1, 9), datetime(2030, 1, 1, 10)


class Scheduler:
    """Workers that are registered."""

    def __init__(self):
        self.workers = {}
        self.transition_counter = 0

    def add(self, name):
        self.workers[name] = SimpleNamespace(name=name, address=name, processing=(), nbytes=0)

    async def remove_worker(self, address, **_):
        self.workers.pop(address, None)


class Drill:
    """A job of a cluster, of which the batch system and its workers tell."""

    def __init__(self):
        self.scheduler = Scheduler()
        self.pool = JobPool(
            batch_system=ScriptedQueue(hold=True),
            render=str,
            scheduler=lambda: self.scheduler,
            token="t",
            lost_after=60.0,
        )
        spec = SimpleNamespace(queue=None, walltime=None, due=80, lifetime=100, lifetime_stagger=5)
        self.record = JobRecord("C-3", 3, spec, job_id="7", asked_at=0.0)
        self.pool.records["C-3"] = self.record

    async def polled(self, *args, asked_at=math.inf, **more):
        self.pool._poller._update(self.record, JobStatus(*args, **more), self.pool.count_workers(), asked_at)
        await asyncio.sleep(0)

    async def comes(self, *names):
        for name in names:
            self.scheduler.add(name)
        self.pool.arrived(names)
        await asyncio.sleep(0)

    def goes(self, name):
        self.scheduler.workers.pop(name)

    @property
    def workers(self):
        return sorted(self.scheduler.workers)


def drill(play):
    """Run a test in an event loop."""

    def run():
        async def main():
            await play(Drill())

        asyncio.run(main())

    run.__name__ = play.__name__
    return run


@drill
async def test_workers_are_forgotten_as_soon_as_their_job_waits_again(job):
    await job.polled(RUNNING)
    await job.comes("C-3-0", "C-3-1")
    await job.polled(PENDING, "BeginTime")
    assert job.workers == []
    assert job.record.status.restarts == 1
    assert not job.record.had_worker, "else it would be given up for having lost its workers"
    assert job.record.began_at is job.record.arrived_at is None, "its walltime begins again"
    await job.comes("C-3-r1-0", "C-3-r1-1")
    assert job.workers == ["C-3-r1-0", "C-3-r1-1"]
    assert job.record.arrived_at is not None


@drill
async def test_new_workers_may_come_before_the_news(job):
    await job.polled(RUNNING, started=NINE)
    await job.comes("C-3")
    first = job.record.arrived_at
    await job.comes("C-3-r1")
    assert job.workers == ["C-3-r1"]
    assert job.record.arrived_at > first
    await job.polled(PENDING)  # an answer that is older than they are
    assert job.workers == ["C-3-r1"]
    await job.polled(RUNNING, started=TEN)
    await job.polled(PENDING)
    assert job.workers == []
    assert job.record.status.restarts == 2


@pytest.mark.parametrize("again", [{"started": TEN}, {"started": NINE, "restarts": 1}])
def test_a_requeue_within_one_poll_is_counted(again):
    @drill
    async def play(job):
        await job.polled(RUNNING, started=NINE)
        await job.comes("C-3")
        await job.polled(RUNNING, **again)
        assert job.record.status.restarts == 1
        assert job.workers == ["C-3"], "it may be the new one where names have no mark, as on PBS"
        assert job.record.arrived_at is not None
        assert not job.record.had_worker
        await job.polled(RUNNING, **again)
        assert job.record.status.restarts == 1
        await job.comes("C-3-r1")
        assert job.workers == ["C-3-r1"]

    play()


@drill
async def test_a_second_rerun_differs_from_the_first_by_its_time(job):
    """On Grid Engine and LSF the mark is the time; the worker of a frozen node stays registered."""
    await job.polled(RUNNING, started=NINE)
    await job.comes("C-3")
    await job.polled(RUNNING, started=TEN, restarts=1)
    await job.comes("C-3-r1790000000-0", "C-3-r1790000000-1")
    assert job.workers == ["C-3-r1790000000-0", "C-3-r1790000000-1"]
    await job.comes("C-3-r1790000060-0")
    await job.comes("C-3-r1790000060-1")
    assert job.workers == ["C-3-r1790000060-0", "C-3-r1790000060-1"]


@drill
async def test_a_worker_of_an_earlier_run_that_comes_back_is_not_taken(job):
    """A node that thaws starts its workers anew."""
    await job.polled(RUNNING)
    await job.comes("C-3-r2")
    await job.comes("C-3-r1")
    assert job.workers == ["C-3-r2"]


@drill
async def test_a_job_requeued_before_it_had_a_worker_is_nothing_special(job):
    await job.polled(RUNNING)
    await job.polled(PENDING)
    await job.polled(RUNNING)
    await job.comes("C-3-r1")
    await job.polled(PENDING)
    assert job.workers == []


@drill
async def test_a_requeue_counts_though_no_answer_has_shown_the_job_running(job):
    """Its workers came and went between two answers."""
    await job.polled(PENDING, "Resources")
    await job.comes("C-3")
    job.goes("C-3")
    await job.polled(PENDING, "Resources", asked_at=job.record.arrived_at - 1)
    assert job.record.status.restarts == 0, "the question is older than the worker"
    for _ in range(2):
        await job.polled(PENDING, "BeginTime")
        assert job.record.status.restarts == 1
    assert job.record.arrived_at is None
    await job.comes("C-3-r1")
    await job.polled(PENDING, "BeginTime")  # as of batch systems that tell it later than workers do
    await job.polled(RUNNING)
    assert job.record.status.restarts == 1


@drill
async def test_other_jobs_keep_their_workers(job):
    await job.comes("C-31", "C-3", "other")
    await job.comes("C-3-r1")
    assert job.workers == ["C-3-r1", "C-31", "other"]
