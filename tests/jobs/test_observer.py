"""What is seen of jobs and of work, through a scheduler."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobclusters.jobs.observer import Observer
from jobclusters.jobs.record import JobRecord
from jobclusters.scaling.demand import SAMPLE, Work, count, work
from jobclusters.scaling.model import Census, JobSnapshot
from jobclusters.state import JobState, JobStatus


def task(seconds=2.0, longest=-1.0, **resources):
    prefix = Prefix(name="f", duration_average=seconds, max_exec_time=longest)
    return SimpleNamespace(prefix=prefix, resource_restrictions=resources or None)


class Prefix(SimpleNamespace):
    """It has an identity, as Dask's has."""

    __hash__ = object.__hash__


def found(queued=(), unrunnable=(), *processing):
    """Give the work of each group, and what none can do."""
    workers = {str(number): SimpleNamespace(processing=tasks) for number, tasks in enumerate(processing)}
    scheduler = SimpleNamespace(queued=queued, unrunnable=unrunnable, workers=workers)
    todo = work(count(scheduler, GROUPS), 0.5)
    return {name: todo.get(name, Work()) for name in GROUPS}, todo.get(None, Work())


GROUPS = {"default": {}, "gpu": {"GPU": 1.0}, "large": {"GPU": 4.0, "fast": 1.0}}


def test_tasks_go_to_the_first_group_that_has_what_they_ask_for():
    tasks = [task(), task(GPU=1), task(GPU=2), task(fast=1)]
    todo, unclaimed = found(tasks[:1], tasks[1:], [task(3.0)])
    assert todo == {"default": Work(2, 5.0), "gpu": Work(1, 2.0), "large": Work(2, 4.0)}
    assert unclaimed == Work()


def test_what_a_gpu_worker_does_for_others_asks_for_no_gpu():
    todo, _ = found([], [], [task(), task(GPU=1)])
    assert (todo["default"].tasks, todo["gpu"].tasks) == (1, 1)


def test_what_nobody_has_is_nobodys():
    todo, unclaimed = found([], [task(TPU=1)])
    assert unclaimed.tasks == 1
    assert not any(each.tasks for each in todo.values())


def test_of_unknown_tasks_the_longest_that_runs_is_the_best_guess():
    assert found([task(-1, 40.0)])[0]["default"] == Work(1, 40.0)
    assert found([task(-1, 0.1)])[0]["default"] == Work(1, 0.5)
    assert found([task(-1, -1)])[0]["default"] == Work(1, 0.0, unknown=1)


def test_of_many_tasks_some_are_looked_at():
    many = [task(), task(GPU=1)] * (5 * SAMPLE)
    todo, _ = found([], many)
    assert (todo["default"].tasks, todo["gpu"].tasks) == (5 * SAMPLE, 5 * SAMPLE)
    assert todo["gpu"].seconds == 10 * SAMPLE


def worker(name, processing=(), nbytes=0):
    return SimpleNamespace(name=name, processing=processing, nbytes=nbytes)


SPEC = SimpleNamespace(due=80, lifetime=100, lifetime_stagger=5)


def record(name, **more):
    return JobRecord(name, int(name[-1]), SPEC, status=JobStatus(JobState.RUNNING), **more)


def look(observer, now):
    observer.look(now)
    return {job.name: job for job in observer.censuses["C"]}


def test_jobs_are_idle_when_all_their_workers_are():
    records = {name: record(name) for name in ("C-0", "C-1", "C-2")}
    workers = [worker("C-0-0", ["x"], 5), worker("C-0-1", (), 6), worker("C-1-r1-0", (), 7), worker("other")]
    observer = Observer(records, lambda: workers)
    seen = look(observer, 10.0)
    assert [(seen[name].busy, seen[name].held, seen[name].idle_since) for name in records] == [
        (True, 11, None),
        (False, 7, 10.0),
        (False, 0, None),
    ]
    workers[0].processing = []
    seen = look(observer, 20.0)
    assert [seen[name].idle_since for name in records] == [20.0, 10.0, None]
    workers[0].processing = ["x"]
    look(observer, 30.0)
    workers[0].processing = []
    assert look(observer, 40.0)["C-0"].idle_since == 40.0


def test_when_jobs_end_and_who_leaves():
    records = {"C-0": record("C-0", arrived_at=5.0), "C-1": record("C-1"), "C-2": record("C-2", leaving=True)}
    observer = Observer(records, list)
    seen = look(observer, 10.0).values()
    assert {(job.name, job.handover_at, job.leaves_at) for job in seen} == {("C-0", 70.0, 85.0), ("C-1", None, None)}, (
        "80 s, and 100 s less the stagger, both less the slack"
    )
    assert list(observer.leaving) == ["C-2"]


@settings(max_examples=200)
@given(st.data())
def test_what_has_changed_is_seen_as_if_all_were_looked_at(data):
    """Whatever happens to jobs and workers between two looks, in any order, and to jobs while some are looked at."""
    records, workers, made = {}, [], 0
    observer = Observer(records, lambda: workers)
    idle = {}
    of_jobs = ["new", "over", "leaves", "asked", "arrives", "state"]
    for now in range(data.draw(st.integers(1, 6))):
        steps = [[*of_jobs, "worker", "gone", "tasks"]] * data.draw(st.integers(0, 8))
        steps += [[*of_jobs, "some", "some", "some"]] * data.draw(st.integers(0, 6))
        for kinds_of_steps in steps:
            some = sorted(records)
            what = data.draw(st.sampled_from(kinds_of_steps))
            if what == "some":
                observer.look(now, data.draw(st.integers(1, 2)))
                continue
            if what == "new" or not some:
                group = data.draw(st.sampled_from(["C", "C-gpu"]))
                name, made = f"{group}-{made}", made + 1
                records[name] = JobRecord(name, made, SPEC)
                observer.follow({name: records[name]})
                continue
            job = records[data.draw(st.sampled_from(some))]
            if what == "over":
                del records[job.name]
            elif what == "leaves":
                job.leaving = True
            elif what == "asked":
                job.asked_at = float(now)
            elif what == "arrives":
                job.arrived_at = float(now)
            elif what == "state":
                job.status = JobStatus(data.draw(st.sampled_from([JobState.RUNNING, JobState.PENDING])))
            elif what == "worker":
                workers.append(worker(f"{job.name}-{data.draw(st.integers(0, 1))}", (), data.draw(st.integers(0, 2))))
            elif workers:
                one = data.draw(st.sampled_from(workers))
                if what == "gone":
                    workers.remove(one)
                else:
                    one.processing = [] if one.processing else ["x"]
        observer.look(now)
        held, busy = Counter(), set()
        for each in workers:
            held[each.name.rpartition("-")[0]] += each.nbytes
            busy |= {each.name.rpartition("-")[0]} if each.processing else set()
        idle = {job: idle.get(job, now) for job in held if job not in busy}
        expected = [
            JobSnapshot(
                r.name, r.number, r.status.state, r.name in busy, held.get(r.name, 0),
                idle.get(r.name), r.handover_at, r.leaves_at, None if r.arrived_at is not None else r.asked_at,
            )
            for r in records.values()
            if not r.leaving
        ]  # fmt: skip
        described = {job.name: job for census in observer.censuses.values() for job in census}
        assert described == {job.name: job for job in expected}
        assert set(observer.leaving) == {r.name for r in records.values() if r.leaving}
        for group, census in observer.censuses.items():
            same = Census.of(job for job in expected if job.name.rpartition("-")[0] == group)
            assert census.held == same.held
            for ours, theirs in zip(kinds(census), kinds(same), strict=True):
                assert [job.ends for job in ours] == [job.ends for job in theirs]
                assert {job.name for job in ours} == {job.name for job in theirs}


def kinds(census):
    return census.waiting, census.starting, census.idle, census.busy


def test_at_rest_no_job_is_described_anew(monkeypatch):
    """A look at thousands each second costs what has changed."""
    records = {f"C-{number}": JobRecord(f"C-{number}", number, SPEC) for number in range(50)}
    workers = [worker(name, ["x"]) for name in records]
    observer = Observer(records, lambda: workers)
    observer.look(1.0)
    before, described = observer.censuses["C"], []
    snapshot = observer._snapshot
    monkeypatch.setattr(observer, "_snapshot", lambda record: described.append(record.name) or snapshot(record))
    for each in records.values():  # the same news again
        each.status = replace(each.status, reason="Priority")
    observer.look(2.0)
    assert observer.censuses["C"] is before
    workers[7].processing = []
    records["C-9"].leaving = True
    observer.look(3.0)
    assert described == ["C-7"]


def test_where_workers_start_slowly_the_walltime_counts_from_the_start_of_the_job():
    slow, quick = record("C-0", began_at=5.0, arrived_at=65.0), record("C-1", began_at=64.0, arrived_at=65.0)
    assert (slow.handover_at, slow.leaves_at) == (85.0, 100.0)
    assert (quick.handover_at, quick.leaves_at) == (130.0, 145.0)


def test_an_error_loses_no_job_from_the_counts():
    """A job that wasn't counted would be asked for anew."""

    class Spec:
        due = 80
        broken = False

        @property
        def lifetime(self):
            if self.broken:
                raise OSError("no answer")
            return None

    spec = Spec()
    records = {
        f"C-{number}": JobRecord(f"C-{number}", number, spec, arrived_at=0.0, began_at=0.0) for number in range(3)
    }
    observer = Observer(records, list)
    observer.look(1.0)
    spec.broken = True
    records["C-1"].status = JobStatus(JobState.RUNNING)
    records["C-2"].leaving = True
    with pytest.raises(OSError, match="no answer"):
        observer.look(2.0)
    assert (len(observer.censuses["C"]), len(observer.leaving)) == (3, 0)
    spec.broken = False
    observer.look(3.0)
    census = observer.censuses["C"]
    assert (len(census.waiting), len(census.starting), list(observer.leaving)) == (1, 1, ["C-2"])
