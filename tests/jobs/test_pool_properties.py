"""Whatever a batch system does, there are in the end as many jobs as were asked for, each submitted once."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from jobclusters.jobs import submitter
from jobclusters.jobs.groups import Group
from jobclusters.jobs.pool import JobPool
from jobclusters.spec.job_spec import JobSpec
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until

ASK = st.tuples(st.just("scale"), st.integers(0, 6))
END = st.tuples(st.just("end"), st.integers(0, 5))
SILENCE = st.tuples(st.just("silence"), st.sampled_from(["submit", "cancel", "states", "submit, carried out"]))
LIMIT = st.tuples(st.just("limit"), st.sampled_from([1, 3, None]))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let nothing take long, and no failure end a test."""
    for name, value in {"LOOKUP_INTERVAL": (0.02, 0.05), "RETRY_INTERVAL": 0.2, "GATHER_INTERVAL": 0.001}.items():
        monkeypatch.setattr(submitter, name, value)
    monkeypatch.setattr("jobclusters.jobs.failures.MOST_FAILURES", 1000)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(ASK | END | SILENCE | LIMIT, min_size=1, max_size=8))
def test_as_many_as_asked_for(steps):
    queue = ScriptedQueue(hold=True)
    queue.interval = 0.01
    options = {"dashboard": False}
    with ScriptedCluster(queue, cores=1, memory="1 GiB", scheduler_options=options) as cluster:
        wanted = 0
        for what, how in steps:
            if what == "scale":
                cluster.scale(jobs=how)
                wanted = how
            elif what == "end" and queue.living():
                living = queue.living()
                queue.end(living[how % len(living)])
            elif what == "silence":
                verb, _, carried_out = how.partition(", ")
                with queue.silent(verb, carried_out=bool(carried_out)):
                    time.sleep(0.02)
            elif what == "limit":
                queue.most_jobs = how
        queue.most_jobs = None
        until(lambda: len(queue.living()) == wanted)
        until(lambda: {record.job_id for record in cluster.pool.records.values()} == set(queue.living()))
        assert len(cluster.worker_spec) == wanted
    assert queue.living() == []


SPEC = JobSpec(
    system="local",
    job_name="job",
    worker_name="C",
    scheduler="tcp://127.0.0.1:8786",
    cores=1,
    memory=1,
    processes=1,
    nthreads=1,
    memory_limit=1,
    shebang="#!/bin/sh",
    python=(),
    worker_command=(),
)


class Scaling(RuleBasedStateMachine):
    """Threads want jobs and let them go while the batch system does what it likes: no two views ever differ."""

    def __init__(self):
        super().__init__()
        self.queue = ScriptedQueue(hold=True)
        self.queue.interval = 0.01
        self.pool = JobPool(
            self.queue, render=lambda spec: f"# {spec.worker_name}", token="t", lost_after=60.0, guarded=False
        )
        self.group = self.pool.groups["default"] = Group("default", "C", SPEC)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.started = False
        self.seen, self.gone = set(), set()

    @rule(numbers=st.lists(st.sampled_from([0, 1, 5, 200]), min_size=1, max_size=4))
    def scale(self, numbers):
        together = threading.Barrier(len(numbers))

        def want(jobs):
            together.wait()
            self.pool.want(self.group, jobs)

        with ThreadPoolExecutor(len(numbers)) as threads:
            list(threads.map(want, numbers))
        assert self.group.wanted in numbers

    @rule(number=st.integers(0, 50))
    def let_go(self, number):
        if jobs := self.pool.members(self.group):
            self.pool.let_go([jobs[number % len(jobs)].name])

    @rule(number=st.integers(0, 50))
    def end(self, number):
        if living := self.queue.living():
            self.queue.end(living[number % len(living)])

    @rule(most=st.sampled_from([1, 3, None]))
    def limit(self, most):
        self.queue.most_jobs = most

    @precondition(lambda self: not self.started)
    @rule()
    def start(self):
        self.loop.call_soon_threadsafe(self.pool.start)
        self.started = True

    @invariant()
    def views_agree(self):
        with self.pool._lock:
            wanted = {record.name for record in self.pool.wanted()}
            assert {record.name for record in self.pool.requested()} <= wanted <= self.pool.records.keys()
            assert wanted == {record.name for record in self.pool.members(self.group)}
        self.gone |= self.seen - wanted
        self.seen |= wanted
        assert not self.gone & wanted, "no name is used twice"

    def teardown(self):
        self.queue.most_jobs = None
        if not self.started:
            assert not self.queue.commands, "nothing goes out before the start"
            self.start()
        until(lambda: len(self.queue.living()) == self.group.wanted == len(self.pool.wanted()))
        until(lambda: {record.job_id for record in self.pool.records.values()} == set(self.queue.living()))
        asyncio.run_coroutine_threadsafe(self.pool.close(), self.loop).result(PATIENCE)
        assert (self.queue.living(), self.pool.records, self.pool.wanted()) == ([], {}, [])
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_all_views_agree_whatever_threads_and_the_batch_system_do():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns at every moment, not only at the rare ones
    try:
        run_state_machine_as_test(Scaling, settings=settings(max_examples=40, stateful_step_count=12))
    finally:
        sys.setswitchinterval(interval)


def test_a_job_that_is_let_go_leaves_the_number_of_others_as_it_is():
    pool = JobPool(ScriptedQueue(hold=True), render=str, token="t", lost_after=60.0, guarded=False)
    one, other = Group("one", "C-one", SPEC), Group("other", "C-other", replace(SPEC, due=60, lifetime=100))
    pool.groups.update(one=one, other=other)
    pool.want(one, 3)
    pool.want(other, 1)
    pool.records["C-other-0"].arrived_at = time.monotonic() - 100
    pool.renew()
    assert [record.name for record in pool.members(other)] == ["C-other-0", "C-other-1"], "its walltime ends"
    pool.let_go(["C-one-1"])
    assert [record.name for record in pool.members(one)] == ["C-one-0", "C-one-2"]
    assert (one.wanted, other.wanted) == (2, 1)
