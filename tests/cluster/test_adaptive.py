"""A cluster that scales with the work there is, on a scripted batch system with real workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

import pytest
from distributed import Client, Event, wait

from jobclusters.batch.local_machine import processes_by_job
from jobclusters.errors import InvalidRequest
from jobclusters.scaling.model import Decision, Policy
from jobclusters.state import JobState
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until


@pytest.fixture
def queue():
    return ScriptedQueue()


@pytest.fixture
def cluster(queue):
    with ScriptedCluster(queue, cores=1, memory="1 GiB") as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        yield made


QUICK = {"interval": "100ms", "idle": "300ms"}


def done(cluster):
    """Add up what was decided."""
    steps = [step.decision for step in cluster.history]
    return tuple(sum(counts) for counts in zip(*((s.submit, len(s.cancel), len(s.retire)) for s in steps), strict=True))


def test_jobs_come_with_work_and_go_when_idle(cluster, client, queue):
    cluster.adapt(maximum_jobs=2, **QUICK)
    futures = client.map(lambda x: (time.sleep(0.05), x)[1], range(40))
    assert client.submit(sum, futures).result(timeout=PATIENCE) == 780
    del futures
    until(lambda: not cluster.scheduler.workers and not queue.living())
    assert done(cluster) == (2, 0, 2)
    first = next(step.decision for step in cluster.history if step.decision.submit)
    assert "s of work" in first.because
    assert cluster.history[-1].decision.because.startswith("no work, for ")
    assert cluster.usage["default"].jobs == 2


def test_three_bursts_in_a_slow_queue_are_one_submission(cluster, client, queue):
    """dask-jobqueue makes four submissions and three cancels of this."""
    queue.hold = True
    cluster.adapt(maximum_jobs=3, patience="1 minute", **QUICK)
    for _ in range(3):
        futures = client.map(lambda x: x, range(40), pure=False)
        until(lambda: cluster.scheduler.unrunnable or cluster.scheduler.queued)
        until(queue.living)
        client.cancel(futures)
        until(lambda: not cluster.scheduler.tasks)
        until(lambda: cluster.history[-1].decision.need == 0)
    assert [command for command in queue.commands if command[0] in ("submit", "cancel")] == [("submit", 3)]
    assert len(queue.living()) == 3
    assert done(cluster) == (3, 0, 0)


def test_results_that_nobody_else_can_hold_keep_the_last_job(cluster, client):
    cluster.adapt(maximum_jobs=2, **QUICK)
    event = Event()
    futures = client.map(lambda _: (event.wait(), bytes(1000))[1], range(40), pure=False)
    client.wait_for_workers(2, timeout=PATIENCE)  # one that came when the work is done would be let go at once
    event.set()
    wait(futures, timeout=PATIENCE)
    until(lambda: "results need the memory of 1" in cluster.history[-1].decision.because)
    until(lambda: len(cluster.scheduler.workers) == 1)
    assert {future.status for future in futures} == {"finished"}
    del futures
    until(lambda: not cluster.scheduler.workers)


def test_failures_stop_the_scaler_too(cluster, client, queue):
    queue.hold = True
    cluster.adapt(maximum_jobs=2, **QUICK)
    future = client.submit(lambda: 1)
    for _ in range(3):
        queue.end(until(queue.living)[0], JobState.FAILED, 1)
    until(lambda: cluster.pool.stopped(cluster.pool.groups["default"]))
    until(lambda: not cluster.worker_spec)
    time_to_go = time.monotonic() + 1
    until(lambda: time.monotonic() > time_to_go)
    assert [count for verb, count in queue.commands if verb == "submit"] == [1, 1, 1]
    future.cancel()


def test_the_scaler_asks_for_nothing_in_the_place_of_a_job_whose_end_is_still_being_read(
    cluster, client, queue, monkeypatch
):
    """A file system may take its time to show what a job printed, and this end may be the last that is allowed."""
    queue.hold = True
    steps, explain = [], cluster.pool._failures.explain

    def slowly(records):
        steps.clear()
        until(lambda: len(steps) > 2)
        return explain(records)

    monkeypatch.setattr(cluster.pool._failures, "explain", slowly)
    adaptive = cluster.adapt(maximum_jobs=2, **QUICK)
    step = adaptive._step
    monkeypatch.setattr(adaptive, "_step", lambda *words: (step(*words), steps.append(1)))
    future = client.submit(lambda: 1)
    for number in range(1, 4):
        until(lambda job=str(number): queue.living() == [job])
        queue.end(str(number), JobState.FAILED, 1)
    until(lambda: cluster.pool.stopped(cluster.pool.groups["default"]))
    until(lambda: not cluster.worker_spec)
    assert [count for verb, count in queue.commands if verb == "submit"] == [1, 1, 1]
    future.cancel()


def test_scale_ends_adaptivity(cluster, client, caplog):
    caplog.set_level(logging.INFO, "jobclusters")
    cluster.adapt(maximum_jobs=2, **QUICK)
    cluster.scale(jobs=1)
    client.wait_for_workers(1)
    time_to_go = time.monotonic() + 1
    until(lambda: time.monotonic() > time_to_go)
    assert len(cluster.worker_spec) == 1
    assert cluster.groups["default"].policy is None


def test_a_group_comes_for_the_tasks_that_need_it(cluster, client):
    cluster.add_group("fast", cores=2, memory="1 GiB", processes=2, worker_options={"resources": {"fast": 1}})
    cluster.scale(jobs=1)
    cluster.adapt(group="fast", maximum=3, **QUICK)
    client.wait_for_workers(1)
    plain = client.submit(lambda: 1, pure=False)
    assert plain.result(timeout=PATIENCE) == 1
    assert [name for name in cluster.worker_spec if cluster.groups["fast"].owns(name)] == []
    event = Event()
    futures = [client.submit(event.wait, resources={"fast": 1}, pure=False) for _ in range(2)]
    client.wait_for_workers(3, timeout=PATIENCE)
    assert cluster.observed == cluster.plan
    assert sorted(len(entry.get("group", [1])) for entry in cluster.worker_spec.values()) == [1, 2]
    event.set()
    wait(futures, timeout=PATIENCE)
    del futures
    until(lambda: len(cluster.scheduler.workers) == 1)
    assert {step.group for step in cluster.history} == {"fast"}


def test_a_group_has_what_the_cluster_was_given_for_its_person_and_site(queue, tmp_path):
    with ScriptedCluster(queue, cores=1, memory="1 GiB", log_directory=str(tmp_path / "logs"), job_name="me") as made:
        made.add_group("large", cores=2, memory="2 GiB")
        spec = made.groups["large"].spec
        assert (spec.log_directory, spec.job_name, spec.cores) == (str(tmp_path / "logs"), "me", 2)


def test_a_group_that_could_not_be_made_is_not_there(queue, tmp_path):
    (tmp_path / "file").write_text("")
    with ScriptedCluster(queue, cores=1, memory="1 GiB") as made:
        with pytest.raises(InvalidRequest, match="n_jobs must be a whole number, not 'few'"):
            made.add_group("more", n_jobs="few", cores=1, memory="1 GiB")
        with pytest.raises(InvalidRequest, match="can't be made"):
            made.add_group("more", n_jobs=1, cores=1, memory="1 GiB", log_directory=str(tmp_path / "file" / "logs"))
        made.add_group("more", n_jobs=1, cores=1, memory="1 GiB")
        assert made.groups["more"].wanted == 1


def test_tasks_that_nobody_can_run_are_reported_once(cluster, client):
    messages = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Handler()
    logging.getLogger("jobclusters.cluster.adaptive").addHandler(handler)
    cluster.adapt(maximum_jobs=1, **QUICK)
    future = client.submit(lambda: 1, resources={"TPU": 1})
    until(lambda: messages)
    logging.getLogger("jobclusters.cluster.adaptive").removeHandler(handler)
    assert "Tasks (1) ask for resources that no group's workers have" in messages[0]
    assert not cluster.worker_spec
    future.cancel()


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda c: c.scale(1, group="gpu"), "unknown group 'gpu': Valid: default; add_group() makes another"),
        (lambda c: c.adapt(group="defalt"), "unknown group 'defalt': did you mean 'default'?"),
        (lambda c: c.add_group("default", worker_size="medium"), "there is a group 'default' already"),
        (lambda c: c.add_group("1", worker_size="medium"), "group '1' must be a name"),
        (lambda c: c.add_group("r1", worker_size="medium"), "group 'r1' must be a name"),
        (lambda c: c.add_group("a-b", worker_size="medium"), "group 'a-b' must be a name"),
        (lambda c: c.add_group("g", worker_size="medum"), "unknown size 'medum'"),
        (lambda c: c.add_group("g", worker_size="medium", interface="lo"), "interface: these concern the cluster"),
        (lambda c: c.adapt(minimum=3, maximum=2), "the minimum, 3 jobs, is above the maximum, 2"),
    ],
)
def test_bad_calls(cluster, call, problem):
    with pytest.raises(InvalidRequest) as caught:
        call(cluster)
    assert problem in str(caught.value)


def test_results_are_handed_over_when_a_job_gets_a_term(cluster, client, queue):
    cluster.scale(jobs=2)
    client.wait_for_workers(2)
    names = sorted(worker.name for worker in cluster.scheduler.workers.values())
    futures = [client.submit(lambda i: i, i, workers=[names[i % 2]], pure=False) for i in range(20)]
    wait(futures)
    for process in processes_by_job(queue.token)[f"{queue.token}.{cluster.pool.records[names[0]].job_id}"]:
        os.kill(process.pid, signal.SIGTERM)
    until(lambda: names[0] not in {worker.name for worker in cluster.scheduler.workers.values()})
    assert {future.status for future in futures} == {"finished"}


def test_a_busy_job_that_goes_finishes_its_task_first_and_gets_no_other(cluster, client, queue, monkeypatch, tmp_path):
    monkeypatch.setattr("jobclusters.scaling.rules.STEADY", 0.5)
    cluster.scale(jobs=2)
    client.wait_for_workers(2)
    event, runs = Event(), tmp_path / "runs"

    def work(number):
        with runs.open("a") as file:
            file.write(f"{number}\n")
        event.wait()
        return number

    futures = [client.submit(work, number, pure=False) for number in range(2)]
    until(lambda: sum(len(ws.processing) for ws in cluster.scheduler.workers.values()) == 2 and runs.exists())
    until(lambda: len(runs.read_text().split()) == 2)
    cluster.adapt(maximum_jobs=2, target_duration="1 hour", **QUICK)  # one of them would do
    until(lambda: any(step.decision.retire for step in cluster.history))
    until(lambda: len(cluster.scheduler.running) == 1)
    more = client.map(lambda x: x, range(20), pure=False)
    event.set()
    assert client.gather(futures) == [0, 1]
    assert client.gather(more) == [*range(20)]
    until(lambda: len(queue.living()) == 1)
    assert sorted(runs.read_text().split()) == ["0", "1"], "no task ran twice"


def test_two_numbers_of_workers_are_limits(queue):
    queue.hold = True
    with ScriptedCluster(queue, cores=2, processes=2, memory="1 GiB", n_workers=[3, 9]) as cluster:
        until(lambda: len(queue.living()) == 2)
        policy = cluster.groups["default"].policy
        assert (policy.minimum, policy.maximum) == (2, 4)
        assert (cluster._adaptive.minimum, cluster._adaptive.maximum) == (4, 8), "Dask's own are in workers"


@pytest.mark.parametrize(
    ("n_workers", "problem"),
    [
        ([9, 3], "minimum=9, maximum=3: the minimum, 9 jobs, is above the maximum, 3"),
        ([1, 2, 3], "n_workers must be a whole number"),
        (["few", 3], "minimum must be a whole number, not 'few'"),
    ],
)
def test_bad_limits_are_reported_before_anything_is_submitted(queue, n_workers, problem):
    with pytest.raises(InvalidRequest) as caught:
        ScriptedCluster(queue, cores=1, memory="1 GiB", n_workers=n_workers)
    assert problem in str(caught.value)
    assert queue.commands == []


def test_a_cluster_that_is_awaited_later_than_made_gets_what_it_was_asked_for(queue, caplog):
    async def main():
        cluster = ScriptedCluster(queue, cores=1, memory="1 GiB", n_jobs=1, asynchronous=True)
        for _ in range(10):  # then what was asked for has been looked at
            await asyncio.sleep(0)
        async with cluster:
            await cluster.wait_for_workers(1, timeout=PATIENCE)

    asyncio.run(main())
    assert not [record for record in caplog.records if record.exc_info and record.levelno >= logging.WARNING]


def test_jobs_that_the_scaler_gives_up_cost_one_command(queue):
    queue.hold = True
    with ScriptedCluster(queue, cores=1, memory="1 GiB", n_jobs=100) as cluster:
        group = cluster.groups["default"]
        until(lambda: len(queue.living()) == 100)
        cluster.pool.adapt(group, Policy(threads=1, cores=1, memory=2**30))
        cluster.pool.obey(group, Decision(cancel=tuple(record.name for record in cluster.pool.members(group)[10:])))
        until(lambda: len(queue.living()) == 10)
        assert [command for command in queue.commands if command[0] == "cancel"] == [("cancel", 90)]
        assert (group.wanted, len(cluster.worker_spec)) == (10, 10)


def test_a_decision_that_scale_has_overtaken_is_not_carried_out(queue):
    queue.hold = True
    with ScriptedCluster(queue, cores=1, memory="1 GiB") as cluster:
        cluster.adapt(maximum_jobs=5, interval="1 hour")
        cluster.scale(jobs=1)
        cluster.pool.obey(cluster.groups["default"], Decision(submit=4))
        assert len(cluster.worker_spec) == 1
