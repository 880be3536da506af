"""Jobs whose walltime ends: who goes and when, and that nothing is lost, on a scripted queue with real workers."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import dask.config
import pytest
from distributed import Client, Event, wait

from jobclusters.scaling.handover import handing_over, stranded
from jobclusters.scaling.model import Census, JobSnapshot
from jobclusters.spec.units import UNLIMITED, handover_times
from jobclusters.state import JobState
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until

NOW = 1000.0
#: Due for 10 s; in 20 s its workers leave by themselves.
DUE = JobSnapshot("due", 1, JobState.RUNNING, busy=True, handover_at=NOW - 10, leaves_at=NOW + 20)
SECOND = DUE._replace(name="second", number=2)
#: Late: of the time until its workers leave by themselves more than half is over.
LATE = JobSnapshot("late", 0, JobState.RUNNING, held=1, handover_at=NOW - 20, leaves_at=NOW + 10)
OVER = LATE._replace(name="over", handover_at=NOW - 40, leaves_at=NOW - 10)
YOUNG = JobSnapshot("young", 5, JobState.RUNNING, idle_since=NOW, handover_at=NOW + 100, leaves_at=NOW + 130)
#: A job that is asked for now would come too late for it.
SOON = YOUNG._replace(name="soon", handover_at=NOW + 50, leaves_at=NOW + 80)
LASTING = JobSnapshot("lasting", 6, JobState.RUNNING, busy=True)
PENDING = JobSnapshot("pending", 7, JobState.PENDING)
#: It runs, but its worker hasn't registered.
STARTING = JobSnapshot("starting", 8, JobState.RUNNING)

TABLE = {
    "none is due": ([YOUNG, LASTING], [], []),
    "a due job stays while its replacement waits": ([DUE, YOUNG, PENDING], [], []),
    "and until that has a worker": ([DUE, YOUNG, STARTING], [], []),
    "then it goes": ([DUE, YOUNG, LASTING], ["due"], []),
    "one goes for each that has come; who ends first goes first": ([SECOND, DUE, YOUNG, PENDING], ["due"], []),
    "who waits is there for those that end soon, too": ([DUE, SOON, YOUNG, PENDING], ["due"], []),
    "and the rest for those that are due": ([DUE, SOON, YOUNG, PENDING, STARTING], [], []),
    "in the second half of its time it goes all the same": ([DUE, LATE, YOUNG, PENDING, STARTING], ["late"], []),
    "none goes where none lasts": ([DUE, LATE, PENDING], [], []),
    "and that is logged when workers leave by themselves": ([DUE, OVER, PENDING], [], ["over"]),
    "but not where others could take it": ([OVER, LASTING], ["over"], []),
    "no jobs": ([], [], []),
}


@pytest.mark.parametrize("case", TABLE)
def test_who_goes(case):
    jobs, go, stuck = TABLE[case]
    assert handing_over(Census.of(jobs), 60.0, NOW) == go
    assert handing_over(Census.of(reversed(jobs)), 60.0, NOW) == go
    assert [job.name for job in stranded([Census.of(jobs)], NOW)] == stuck
    assert [job.name for job in stranded([Census.of([job]) for job in jobs], NOW)] == stuck, "in groups of their own"


@pytest.mark.parametrize(
    ("walltime", "margin", "expected"),
    [
        (None, None, (None, None, 0)),
        (UNLIMITED, None, (None, None, 0)),
        (timedelta(minutes=2), None, (80, 103, 3)),
        (timedelta(hours=1), None, (3240, 3450, 30)),
        (timedelta(days=1), None, (85800, 86150, 50)),
        (timedelta(minutes=10), timedelta(minutes=1), (540, 575, 5)),
        (timedelta(minutes=10), timedelta(minutes=5), (None, None, 0)),
    ],
)
def test_terms(walltime, margin, expected):
    due, lifetime, stagger = found = handover_times(walltime, margin)
    assert found == expected
    if lifetime is not None:
        spare = walltime.total_seconds() - due
        assert due < lifetime - stagger < lifetime + stagger <= walltime.total_seconds() - spare / 3 + 1


# -- with real workers -------------------------------------------------------------------------------------------------


@pytest.fixture
def queue():
    return ScriptedQueue()


@pytest.fixture
def cluster(queue, monkeypatch):
    """Jobs of an hour; tests say that it is nearly over."""
    monkeypatch.setattr("jobclusters.jobs.pool.RENEWAL_INTERVAL", 0.1)
    with ScriptedCluster(queue, cores=1, memory="1 GiB", walltime="01:00:00") as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster) as made:
        yield made


def age(cluster, name, seconds):
    """Make a job as old as if it had had its first worker so long ago."""
    cluster.pool.records[name].arrived_at = time.monotonic() - seconds


def hold(client, cluster, runs):
    """Spread results over all workers; give them, and a function that counts those that were made again."""

    def make(number):
        with runs.open("a") as file:
            file.write(f"{number}\n")
        return number

    names = [worker.name for worker in cluster.scheduler.workers.values()]
    futures = [client.submit(make, i, workers=[names[i % len(names)]], allow_other_workers=True) for i in range(20)]
    wait(futures)
    return futures, lambda: len(runs.read_text().split()) - 20


DUE_AT, LEAVES_AT = 3240 - 15, 3420 - 15


def test_scaled_jobs_go_when_their_replacements_are_there(cluster, client, queue, tmp_path, monkeypatch):
    cluster.scale(jobs=2)
    client.wait_for_workers(2)
    old = set(cluster.worker_spec)
    futures, lost = hold(client, cluster, tmp_path / "runs")
    queue.hold = True
    for name in old:
        age(cluster, name, DUE_AT + 1)
    until(lambda: len(queue.living()) == 4)
    looks, relieve = [], cluster.pool._relieve
    monkeypatch.setattr(cluster.pool, "_relieve", lambda *some: (relieve(*some), looks.append(some)))
    until(lambda: len(looks) > 3)
    assert old <= set(cluster.worker_spec), "they stay while their replacements wait"
    queue.hold = False
    queue._wake.set()
    until(lambda: not old & set(cluster.worker_spec))
    until(lambda: len(queue.living()) == 2 and len(cluster.scheduler.workers) == 2)
    assert client.gather(futures) == list(range(20))
    assert lost() == 0
    assert len(cluster.worker_spec) == 2


def test_a_task_is_finished_before_its_job_hands_over(cluster, client, queue, tmp_path):
    cluster.scale(jobs=1)
    client.wait_for_workers(1)
    (old,) = cluster.worker_spec
    runs, event = tmp_path / "runs", Event()

    def work():
        with runs.open("a") as file:
            file.write("once\n")
        event.wait()
        return 1

    future = client.submit(work)
    until(runs.exists)
    age(cluster, old, DUE_AT + 1)
    until(lambda: old not in cluster.worker_spec)
    until(lambda: [str(ws.status.name) for ws in cluster.scheduler.workers.values()].count("closing_gracefully") == 1)
    event.set()
    until(lambda: len(queue.living()) == 1)
    assert future.result(timeout=PATIENCE) == 1
    assert runs.read_text().split() == ["once"]


def test_a_task_that_takes_longer_starts_again_elsewhere(cluster, client, tmp_path):
    cluster.scale(jobs=1)
    client.wait_for_workers(1)
    (old,) = cluster.worker_spec
    runs = tmp_path / "runs"

    def work(event):
        with runs.open("a") as file:
            file.write("again\n")
        event.wait()
        return 1

    event = Event()
    future = client.submit(work, event)
    until(runs.exists)
    age(cluster, old, LEAVES_AT - 1)
    until(lambda: len(runs.read_text().split()) == 2)
    event.set()
    assert future.result(timeout=PATIENCE) == 1


def test_results_stay_as_long_as_possible_where_no_replacement_comes(cluster, client, queue, caplog, tmp_path):
    caplog.set_level(logging.WARNING, "jobclusters")
    cluster.scale(jobs=2)
    client.wait_for_workers(2)
    old = set(cluster.worker_spec)
    futures, lost = hold(client, cluster, tmp_path / "runs")
    queue.hold = True
    for name in old:
        age(cluster, name, LEAVES_AT + 1)
    until(lambda: caplog.text.count("no other job has come that could take its results") == 2)
    assert "jobclusters.walltime-margin" in caplog.text
    assert old <= set(cluster.worker_spec)
    queue.hold = False  # at the last it comes
    queue._wake.set()
    until(lambda: not old & set(cluster.worker_spec))
    until(lambda: len(cluster.scheduler.workers) == 2)
    assert client.gather(futures) == list(range(20))
    assert lost() == 0
    assert caplog.text.count("no other job has come") == 2, "once for each"


def test_adaptive_jobs_hand_over_too(cluster, client, queue, tmp_path):
    cluster.adapt(maximum_jobs=1, interval="100ms", idle="300ms")
    future = client.submit(lambda: 1)
    client.wait_for_workers(1)
    futures, lost = hold(client, cluster, tmp_path / "runs")
    (old,) = cluster.worker_spec
    age(cluster, old, DUE_AT + 1)
    until(lambda: old not in cluster.worker_spec)
    until(lambda: len(queue.living()) == 1 and len(cluster.scheduler.workers) == 1)
    assert client.gather(futures) == list(range(20))
    assert lost() == 0
    assert any(old in step.decision.retire for step in cluster.history), (
        "as its walltime ends, or as it is idle by then"
    )
    del future


def test_a_computation_outlives_its_jobs(queue, monkeypatch, tmp_path):
    """Jobs of a minute, by the clock: all are replaced, and no result is made twice."""
    monkeypatch.setattr("jobclusters.jobs.pool.RENEWAL_INTERVAL", 0.2)
    with dask.config.set({"jobclusters.walltime-margin": 29}):
        made = ScriptedCluster(queue, cores=1, memory="1 GiB", walltime="00:01:00", n_jobs=2)
    with made as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        first = set(cluster.worker_spec)
        futures, lost = hold(client, cluster, tmp_path / "runs")
        until(lambda: not first & set(cluster.worker_spec))
        until(lambda: not first & {worker.name for worker in cluster.scheduler.workers.values()})
        assert client.gather(futures) == list(range(20))
        assert lost() == 0
