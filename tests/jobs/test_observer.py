"""What is seen of jobs and of work, through a scheduler."""

from __future__ import annotations

from types import SimpleNamespace

from jobclusters.jobs.observer import Observer
from jobclusters.jobs.record import JobRecord
from jobclusters.scaling.demand import SAMPLE, Work, work
from jobclusters.state import JobState, JobStatus


def task(seconds=2.0, longest=-1.0, **resources):
    prefix = SimpleNamespace(name="f", duration_average=seconds, max_exec_time=longest)
    return SimpleNamespace(prefix=prefix, resource_restrictions=resources or None)


def scheduler(queued=(), unrunnable=(), *processing):
    workers = {str(i): SimpleNamespace(processing=tasks) for i, tasks in enumerate(processing)}
    return SimpleNamespace(queued=list(queued), unrunnable=list(unrunnable), workers=workers, UNKNOWN_TASK_DURATION=0.5)


GROUPS = {"default": {}, "gpu": {"GPU": 1.0}, "large": {"GPU": 4.0, "fast": 1.0}}


def test_tasks_go_to_the_first_group_that_has_what_they_ask_for():
    tasks = [task(), task(GPU=1), task(GPU=2), task(fast=1)]
    found, unclaimed = work(scheduler(tasks[:1], tasks[1:], [task(3.0)]), GROUPS)
    assert found == {"default": Work(2, 5.0), "gpu": Work(1, 2.0), "large": Work(2, 4.0)}
    assert unclaimed == Work()


def test_what_a_gpu_worker_does_for_others_asks_for_no_gpu():
    found, _ = work(scheduler([], [], [task(), task(GPU=1)]), GROUPS)
    assert (found["default"].tasks, found["gpu"].tasks) == (1, 1)


def test_what_nobody_has_is_nobodys():
    found, unclaimed = work(scheduler([], [task(TPU=1)]), GROUPS)
    assert unclaimed.tasks == 1
    assert not any(each.tasks for each in found.values())


def test_of_unknown_tasks_the_longest_that_runs_is_the_best_guess():
    assert work(scheduler([task(-1, 40.0)]), GROUPS)[0]["default"] == Work(1, 40.0)
    assert work(scheduler([task(-1, 0.1)]), GROUPS)[0]["default"] == Work(1, 0.5)
    assert work(scheduler([task(-1, -1)]), GROUPS)[0]["default"] == Work(1, 0.0, unknown=1)


def test_of_many_tasks_some_are_looked_at():
    many = [task(), task(GPU=1)] * (5 * SAMPLE)
    found, _ = work(scheduler([], many), GROUPS)
    assert (found["default"].tasks, found["gpu"].tasks) == (5 * SAMPLE, 5 * SAMPLE)
    assert found["gpu"].seconds == 10 * SAMPLE


def worker(name, processing=(), nbytes=0):
    return SimpleNamespace(name=name, processing=processing, nbytes=nbytes)


def record(name, **more):
    spec = SimpleNamespace(due=80, lifetime=100, lifetime_stagger=5)
    return JobRecord(name, int(name[-1]), spec, status=JobStatus(JobState.RUNNING), **more)


def test_jobs_are_idle_when_all_their_workers_are():
    records = {name: record(name) for name in ("C-0", "C-1", "C-2")}
    workers = [worker("C-0-0", ["x"], 5), worker("C-0-1", (), 6), worker("C-1-r1-0", (), 7), worker("other")]
    observer = Observer(records, lambda: workers)
    seen = {job.name: job for job in observer.jobs(10.0)}
    assert [(job.busy, job.held, job.idle_since) for job in seen.values()] == [
        (True, 11, None),
        (False, 7, 10.0),
        (False, 0, None),
    ]
    workers[0].processing = []
    seen = {job.name: job for job in observer.jobs(20.0)}
    assert [job.idle_since for job in seen.values()] == [20.0, 10.0, None]
    workers[0].processing = ["x"]
    observer.jobs(30.0)
    workers[0].processing = []
    assert observer.jobs(40.0)[0].idle_since == 40.0


def test_when_jobs_end_and_who_leaves():
    records = {"C-0": record("C-0", arrived_at=5.0), "C-1": record("C-1"), "C-2": record("C-2", leaving=True)}
    seen = Observer(records, list).jobs(10.0)
    assert [(job.name, job.handover_at, job.leaves_at) for job in seen] == [("C-0", 70.0, 85.0), ("C-1", None, None)], (
        "80 s, and 100 s less the stagger, both less the slack"
    )


def test_where_workers_start_slowly_the_walltime_counts_from_the_start_of_the_job():
    slow, quick = record("C-0", began_at=5.0, arrived_at=65.0), record("C-1", began_at=64.0, arrived_at=65.0)
    assert (slow.handover_at, slow.leaves_at) == (85.0, 100.0)
    assert (quick.handover_at, quick.leaves_at) == (130.0, 145.0)
