"""A cluster of 100,000 jobs in 30 days, by a scripted clock: what is kept, and what a decision costs, stay as they are."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from jobclusters.jobs import failures, poller, pool, submitter
from jobclusters.jobs.groups import Group
from jobclusters.jobs.pool import JobPool
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.journal import JOURNAL
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedQueue
from tests.jobs.test_pool_properties import SPEC

JOBS = 250
ROUNDS = 400  # each replaces all jobs
ROUND = 30 * 86400 / ROUNDS


class Batch:
    """A batch system that starts jobs at once, of which some fail; 1 in 200 fails before its worker comes."""

    interval = 1.0
    dialect = ScriptedQueue.dialect
    largest_array = 1000

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.status = {}
        self.names = {}
        self.made = 0
        self.calls = Counter()

    async def submit(self, script, count):
        _, worker, first = script.split()
        ids = [f"{self.made}_{index}" for index in range(count)] if count > 1 else [str(self.made)]
        self.made += 1
        for index, job_id in enumerate(ids):
            name = f"{worker}-{int(first) + index}" if count > 1 else worker
            node = f"n{(self.made * 7 + index) % 100}"
            self.names[job_id] = name
            if (self.made + index) % 200 == 0:
                self.status[job_id] = JobStatus(JobState.FAILED, exit_code=1, node=node)
            else:
                self.status[job_id] = JobStatus(JobState.RUNNING, node=node)
                self.scheduler.workers[name] = SimpleNamespace(name=name, address=name, processing=(), nbytes=0)
        return ids

    async def cancel(self, ids):
        self.end(ids, JobState.CANCELLED)

    def end(self, ids, state):
        for job_id in ids:
            if not self.status[job_id].state.ended:
                self.status[job_id] = JobStatus(state)
                self.scheduler.workers.pop(self.names[job_id], None)

    async def states(self, ids):
        self.calls["states"] += 1
        return {job_id: self.status[job_id] for job_id in ids if job_id in self.status}

    async def detail(self, job_id):
        return self.status.get(job_id)

    def log_files(self, *_):
        return []

    def forget(self):
        """Forget what has ended, as batch systems do."""
        for job_id in [job_id for job_id, status in self.status.items() if status.state.ended]:
            del self.status[job_id], self.names[job_id]


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    for module in (submitter, poller, pool, failures):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(submitter, "GATHER_INTERVAL", 0.0)
    return now


def test_a_month_of_100_000_jobs_costs_no_more_at_its_end(clock, tmp_path, caplog):
    caplog.set_level("CRITICAL")
    files = ClusterFiles(tmp_path / "cluster")
    files.make()
    scheduler = SimpleNamespace(workers={}, transition_counter=0)
    batch = Batch(scheduler)

    async def remove_worker(address, **_):
        scheduler.workers.pop(address, None)

    scheduler.remove_worker = remove_worker

    async def main():
        jobs = JobPool(
            batch,
            render=lambda spec: f"{spec.job_name} {spec.worker_name} {spec.first or 0}",
            token="t",
            lost_after=60.0,
            scheduler=lambda: scheduler,
            files=files,
            guarded=False,
        )
        group = jobs.groups["default"] = Group("default", "C", SPEC)
        jobs._loop = asyncio.get_running_loop()  # its own rounds are played here
        jobs.want(group, JOBS)
        await jobs.settle()
        kept, costs = [], []
        for number in range(ROUNDS):
            started = time.process_time()
            await turn(jobs)
            clock[0] += ROUND
            batch.end(list(batch.status), JobState.TIMEOUT if number % 2 else JobState.COMPLETED)
            costs.append(time.process_time() - started)
            if number % 3 == 0:
                batch.forget()
            if number in (ROUNDS // 4, ROUNDS - 1):
                gc.collect()
                kept.append((len(gc.get_objects()), files.path.joinpath(JOURNAL).stat().st_size))
        return jobs, group, kept, costs

    async def turn(jobs):
        """Poll until all jobs run that there should be."""
        for _ in range(5):
            clock[0] += 61
            await jobs._poller.poll()
            await jobs.settle()
            jobs.arrived([name for name in scheduler.workers if jobs.records[name].arrived_at is None])
            if len(scheduler.workers) == JOBS:
                break
        jobs.renew()

    jobs, group, kept, costs = asyncio.run(main())
    assert group.made > 100_000
    assert len(jobs.wanted()) == JOBS
    assert jobs._failures.stopped == ""
    (objects, journal), (objects_later, journal_later) = kept
    assert objects_later < 1.1 * objects, "what is kept grows"
    assert journal_later < 2 * journal + 200_000, "the journal grows"
    quarter = ROUNDS // 4
    early, late = sorted(costs[quarter : 2 * quarter]), sorted(costs[-quarter:])
    assert late[quarter // 2] < 2 * early[quarter // 2], "a round costs more and more"
    assert len(jobs._failures.bad_nodes) < 10
