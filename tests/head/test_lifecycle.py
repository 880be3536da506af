"""Clusters whose head is another process: made, found again, lost and ended, on this machine's own queue."""

from __future__ import annotations

import _thread
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import dask.config
import psutil
import pytest
from distributed import Client, Event
from distributed.core import Status

from jobclusters import Cluster, InvalidRequest, JobsFailed, LocalQueueCluster, QueueError, Refused, SLURMCluster
from jobclusters.cluster import connected
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.cluster.job_cluster import JobCluster
from jobclusters.head.client import HeadClient
from jobclusters.registry import liveness, names
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.names import Presence, claim, directory, new_record
from jobclusters.registry.record import Liveness, Phase
from jobclusters.state import JobState
from tests.helpers.heads import SMALL, secrets, stale, standing
from tests.helpers.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("started", "soon")


@pytest.fixture
def notebook(tmp_path):
    """Run programs that do what a notebook does; each line that one prints is a JSON value."""
    running = []

    def run(text):
        path = tmp_path / f"notebook{len(running)}.py"
        lines = [
            "import gc, json, os, sys, time, dask.config",
            "from distributed import Client, Scheduler, Worker",
            "from jobclusters import LocalQueueCluster",
            "from jobclusters.cluster.systems import LocalQueueJob",
            "def tell(value): print(json.dumps(value), flush=True)",
            f"SMALL = {SMALL!r}",
            "if __name__ == '__main__':",
            *("    " + line for line in textwrap.dedent(text).strip().splitlines()),
        ]
        path.write_text("\n".join(lines))
        process = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
        running.append(process)
        process.tell = lambda: json.loads(process.stdout.readline())
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def plus(number):
    return number + 1


plus.__module__ = "__main__"  # the workers don't have this file

# -- made and found again ------------------------------------------------------------------------------------------


def test_a_notebook_is_killed_and_another_process_fetches_the_result(notebook, make, started):
    first = notebook("""
        cluster = LocalQueueCluster(name="a", head="detached", n_jobs=1, **SMALL)
        client = Client(cluster)
        client.datasets["answer"] = client.submit(lambda: 42)
        tell(client.datasets["answer"].result())
        time.sleep(600)
    """)
    assert first.tell() == 42
    first.kill()
    first.wait()
    mine, other = make("a"), make("a", cls=Cluster, head=None)
    assert mine.scheduler_address == other.scheduler_address
    with Client(mine) as client, Client(other) as second:
        assert client.datasets["answer"].result(timeout=PATIENCE) == 42
        assert second.submit(plus, client.datasets["answer"].result()).result(timeout=PATIENCE) == 43
    assert mine.jobs.keys() == other.jobs.keys()
    other.close()  # the name existed: it only disconnects
    assert standing("a") is Liveness.RUNNING
    LocalQueueCluster(name="a", shutdown_on_close=True).close()
    record = directory("a").record()
    assert (record.phase, record.why) == (Phase.ENDED, f"closed by process {os.getpid()} on {socket.gethostname()}")
    until(lambda: mine.status is Status.closed)
    assert "closed by process" in repr(mine)
    assert secrets() == []
    until(lambda: not started())


def test_what_close_does_to_the_cluster(make):
    make("a", shutdown_on_close=False).close()
    assert standing("a") is Liveness.RUNNING
    make("a").close()
    assert standing("a") is Liveness.RUNNING
    make("a", shutdown_on_close=False).close()
    assert standing("a") is Liveness.RUNNING
    with make("a", shutdown_on_close=True):
        assert standing("a") is Liveness.RUNNING
    assert standing("a") is Liveness.ENDED
    make("a").close()  # made here
    assert standing("a") is Liveness.ENDED


def test_a_cluster_of_a_notebook_is_found_by_name_and_ends_with_the_notebook(notebook, make, started):
    first = notebook("""
        cluster = LocalQueueCluster(name="a", n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=120)
        tell(cluster.scheduler_address)
        time.sleep(600)
    """)
    address = first.tell()
    mine = make("a", head=None)
    assert (type(mine), mine.scheduler_address) == (ConnectedCluster, address)
    assert mine.observed == {"a-0"}
    first.kill()
    until(lambda: mine.status is Status.closed)
    assert re_made(make).scheduler_address != address
    until(lambda: not started("dask_worker"))


def re_made(make):
    cluster = make("a", head="process")
    assert isinstance(cluster, LocalQueueCluster)
    return cluster


def test_two_processes_make_the_same_name_at_once(notebook):
    text = """
        cluster = LocalQueueCluster(name="a", head="detached", **SMALL)
        tell([cluster.scheduler_address, cluster.shutdown_on_close])
        sys.stdin.read()
        cluster.close()
    """
    both = [notebook(text), notebook(text)]
    answers = [each.tell() for each in both]
    assert answers[0][0] == answers[1][0]
    assert sorted(made for _, made in answers) == [False, True], "one has made it, the other is connected"
    for each in both:
        each.communicate(timeout=PATIENCE)
    assert standing("a") is Liveness.ENDED


def test_eight_at_once(make):
    with ThreadPoolExecutor(8) as pool:
        clusters = list(pool.map(make, (f"h{i}" for i in range(8))))
        assert len({cluster.scheduler_address for cluster in clusters}) == 8
        assert names.names() == [f"h{i}" for i in range(8)]
        list(pool.map(ConnectedCluster.close, clusters))
    assert {standing(name) for name in names.names()} == {Liveness.ENDED}


@pytest.mark.parametrize("head", ["detached", "process"])
def test_a_cluster_without_a_name_leaves_nothing(make, head):
    with make(head=head, n_jobs=1) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert len(names.names()) == 1
    assert names.names() == []


# -- lost ----------------------------------------------------------------------------------------------------------


def test_the_head_is_killed(make, started):
    mine, other = make("a", n_jobs=1), make("a")
    mine.wait_for_workers(1, timeout=PATIENCE)
    assert secrets() != []
    pid = directory("a").record().pid
    psutil.Process(pid).kill()
    with pytest.raises(QueueError, match=r"cluster a (is|was) closed.* \(?(its head|the process)"):
        mine.wait_for_workers(2, timeout=PATIENCE)
    until(lambda: mine.status is other.status is Status.closed)
    record = directory("a").record()
    assert record.phase is Phase.ENDED
    assert secrets() == []
    assert re_made(make).status is Status.running
    until(lambda: not started("dask_worker"))


def test_the_head_gets_a_term(make, started):
    mine = make("a", n_jobs=1)
    mine.wait_for_workers(1, timeout=PATIENCE)
    psutil.Process(directory("a").record().pid).terminate()
    until(lambda: mine.status is Status.closed)
    until(lambda: directory("a").record().phase is Phase.ENDED)
    assert directory("a").record().why.startswith("its head was ended: ")
    until(lambda: not started())
    assert secrets() == []


def test_a_head_that_was_suspended_when_it_was_asked_to_close_closes(make, started, monkeypatch):
    """A busy one, too, takes no connection for a while; the question was lost, and its asker waited in vain."""
    mine = make("a", n_jobs=1)
    mine.wait_for_workers(1, timeout=PATIENCE)
    record = directory("a").record()
    asked, ask = [], HeadClient.call

    def counted(head, name, **keywords):
        asked.append(name)
        return ask(head, name, **keywords)

    monkeypatch.setattr(liveness, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(HeadClient, "call", counted)
    monkeypatch.setattr("jobclusters.head.client.CLOSE_TIMEOUT", PATIENCE / 2)
    head = psutil.Process(record.pid)
    head.suspend()
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(lambda: asyncio.run(HeadClient(directory("a"), record).end()))
        try:
            until(lambda: asked.count("close") >= 2 or ending.done())
        finally:
            head.resume()
        ending.result()
    assert directory("a").record().phase is Phase.ENDED
    until(lambda: not started())


@pytest.mark.parametrize(
    ("changes", "age", "why"),
    [
        ({"ticks": 1}, 0, r"process \d+ on \S+, is gone"),  # the number is another's now
        ({"pid": 2**22 + 1}, 0, "is gone"),
        ({"host": "another"}, 3600, r"on another, has given no sign of life for 3\d{3} seconds"),
    ],
)
def test_what_a_machine_left_that_was_rebooted(make, changes, age, why, caplog):
    stale(**changes)
    os.utime(directory("a").path / "entry.json", (time.time() - age,) * 2)
    with caplog.at_level("INFO", "jobclusters"):
        cluster = re_made(make)
    assert cluster.status is Status.running
    assert re.search(why, caplog.text)
    assert "key.pem" not in secrets()


@pytest.mark.parametrize("head", ["process", "detached"])
def test_in_an_event_loop_the_name_is_taken_when_the_cluster_starts(head):
    """One that is never awaited keeps no name, and what the last one left is cleared away without blocking the loop."""
    stale(pid=2**22 + 1)

    async def main():
        def made():
            return LocalQueueCluster(name="a", head=head, asynchronous=True, n_jobs=1, **SMALL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(liveness, "check_and_sweep", None)  # it asks others, and waits for them
            forgotten, cluster, other = made(), made(), made()
        assert "key.pem" in secrets()
        await forgotten.close()
        async with cluster:
            assert "key.pem" not in secrets()
            await cluster.wait_for_workers(1, timeout=PATIENCE)
            if head == "process":
                with pytest.raises(InvalidRequest, match=r"there is a cluster 'a' already \(its scheduler answers\)"):
                    await other
                assert other.status is Status.closed
            else:
                async with other:
                    assert (other.scheduler_address, other.made_here) == (cluster.scheduler_address, False)
            assert directory("a").record().phase is Phase.RUNNING
        assert directory("a").record().phase is Phase.ENDED

    asyncio.run(main())
    assert secrets() == []


@pytest.mark.parametrize("head", ["process", "detached"])
def test_in_an_event_loop_nobody_is_asked_before_the_start(monkeypatch, head):
    stale(host="another")
    monkeypatch.setattr(connected, "CONNECT_TIMEOUT", 0.0)

    async def main():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(liveness, "check_and_sweep", None)
            clusters = [
                LocalQueueCluster(name="a", head=head, asynchronous=True, **SMALL),
                Cluster(name="a", asynchronous=True, **SMALL),
                Cluster.from_name("a", asynchronous=True),
            ]
        for cluster in clusters:
            with pytest.raises(QueueError, match=r"can't be reached from here: its scheduler at .* does not answer"):
                await cluster
            await cluster.close()
        os.utime(directory("a").path / "entry.json", (0, 0))
        with pytest.raises(QueueError, match=r"has given no sign of life for .*Its name is free again"):
            await ConnectedCluster(directory("a"), kind="Cluster", asynchronous=True)

    asyncio.run(main())


def test_in_an_event_loop_a_class_with_an_init_of_its_own_takes_its_name_when_it_starts():
    class Mine(LocalQueueCluster):
        def __init__(self, **keywords):
            super().__init__(**keywords)

    async def main():
        first, second = (Mine(name="a", asynchronous=True, **SMALL) for _ in range(2))
        assert names.names() == []
        async with first:
            with pytest.raises(InvalidRequest, match="there is a cluster 'a' already"):
                await second
            with pytest.raises(InvalidRequest, match="there is a cluster 'a' already"):
                Mine(name="a", asynchronous=True, **SMALL)

    asyncio.run(main())


def test_a_cluster_that_cannot_be_reached_is_reported_and_left_alone(make, monkeypatch):
    stale(host="another")
    monkeypatch.setattr(connected, "CONNECT_TIMEOUT", 0.0)
    message = r"cluster 'a' can't be reached from here: its scheduler at tcp://127.0.0.1:9 does not answer, but process"
    with pytest.raises(RuntimeError, match=message):
        make("a", head="process")
    assert directory("a").record().phase is Phase.RUNNING


def test_the_owner_and_its_janitor_are_killed(notebook, started):
    first = notebook("""
        cluster = LocalQueueCluster(n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=120)
        tell(1)
        time.sleep(600)
    """)
    first.tell()
    for process in started("jobclusters.registry.janitor"):
        process.kill()
    first.kill()
    first.wait()
    (name,) = names.names()
    found = asyncio.run(liveness.check_and_sweep(directory(name)))
    assert found.liveness is Liveness.ENDED
    assert names.names() == []
    until(lambda: not started())


def test_a_janitor_leaves_the_next_cluster_of_the_name_alone(notebook, started):
    """It may come late: meanwhile others have cleared up, and another cluster has the name."""
    first = notebook("""
        cluster = LocalQueueCluster(name="a", n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=120)
        tell(1)
        time.sleep(600)
    """)
    first.tell()
    (janitor,) = started("jobclusters.registry.janitor")
    janitor.suspend()
    first.kill()
    first.wait()
    with LocalQueueCluster(name="a", **SMALL):
        record = directory("a").record()
        janitor.resume()
        psutil.wait_procs([janitor], PATIENCE)
        assert directory("a").record() == record


def test_a_head_that_nobody_can_find_any_more_closes(make, monkeypatch):
    monkeypatch.setattr("jobclusters.head.registration.HEARTBEAT_INTERVAL", 0.1)
    record = new_record("a", "local", "detached")
    assert claim(record) is None
    cluster = LocalQueueCluster.as_head(Presence(directory("a"), record), name="a", **SMALL)
    assert type(cluster) is LocalQueueCluster
    directory("a").remove()
    until(lambda: cluster.status is Status.closed)
    assert not directory("a").path.exists()


# -- not started ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", None])
def test_a_head_that_cannot_start_is_reported(make, name, started):
    with pytest.raises(
        JobsFailed,
        match=r"the head of cluster \S+ has ended: InvalidRequest: scheduler_class='nosuch.Scheduler' can't be",
    ) as raised:
        make(name, scheduler_class="nosuch.Scheduler")
    assert "Traceback" in str(raised.value), "its last lines"
    until(lambda: not started())
    assert secrets() == []
    assert names.names() == ([name] if name else [])
    if name:
        assert standing(name) is Liveness.ENDED
        assert re_made(make).status is Status.running


def test_what_a_head_noted_counts_though_it_has_ended_meanwhile(make, started, monkeypatch):
    read = ClusterFiles.record

    def slowly(files):
        record = read(files)
        until(lambda: not started())
        return record

    monkeypatch.setattr(ClusterFiles, "record", slowly)
    with pytest.raises(JobsFailed, match=r"the head of cluster a has ended: .*nosuch"):
        make("a", scheduler_class="nosuch.Scheduler")


def test_a_head_that_does_not_find_a_class_is_reported(notebook, tmp_path):
    (tmp_path / "vanishing.py").write_text(
        "from jobclusters.cluster.systems import LocalQueueJob\nclass Job(LocalQueueJob): pass"
    )
    first = notebook("""
        import vanishing
        os.unlink("vanishing.py")
        try:
            LocalQueueCluster(name="a", head="detached", job_cls=vanishing.Job, **SMALL)
        except Exception as error:
            tell([type(error).__name__, str(error)])
    """)
    kind, text = first.tell()
    assert kind == "JobsFailed"
    assert "No module named 'vanishing'" in text
    assert standing("a") is Liveness.ENDED


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"head": "elsewhere"}, r"unknown head 'elsewhere'.* Valid: detached, job, process"),
        ({"head": "job"}, r"head='job': this machine's queue ends with the process .* head='detached'"),
        ({"head": "process", "shutdown_on_close": False}, r"the head is in this process, and ends with it"),
        ({"name": "my cluster"}, r"say 'my-cluster'"),
        ({"idle_timeout": "soon"}, r"idle_timeout must be a time such as '20 minutes', or None for never"),
        ({"no_client_timeout": 0}, r"no_client_timeout must be a time"),
    ],
)
def test_wrong_calls_leave_nothing(make, keywords, message):
    with pytest.raises(InvalidRequest, match=message):
        make(**{"name": "a", **keywords})
    assert names.names() == []


def test_ctrl_c_once_the_head_runs_ends_it(make, monkeypatch):
    async def interrupted(cluster):
        _thread.interrupt_main()
        await asyncio.sleep(PATIENCE)

    with monkeypatch.context() as patch:
        patch.setattr(ConnectedCluster, "_wait_until_running", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make("a")
    assert standing("a") is Liveness.ENDED


def test_a_cluster_that_cannot_be_made_here_leaves_its_name_free(make):
    with pytest.raises(InvalidRequest, match="interface"):
        make("a", head="process", interface="nosuch0")
    assert standing("a") is Liveness.ENDED
    assert re_made(make).status is Status.running


class Mine(LocalQueueCluster):
    """A class with keywords of its own."""

    def __init__(self, jobs=0, **keywords):
        super().__init__(n_jobs=jobs, **keywords)


def test_a_class_with_an_init_of_its_own_is_made_here(make):
    with pytest.raises(InvalidRequest, match="Mine has an __init__ of its own, so that another process can't make it"):
        make("a", cls=Mine)
    with make("a", cls=Mine, head="process", jobs=1) as cluster:
        assert type(cluster) is Mine
        assert len(cluster.plan) == 1
        with pytest.raises(InvalidRequest, match=r"there is a cluster 'a' already; Cluster\(name='a'\) connects"):
            make("a", cls=Mine, head="process")
        assert make("a", cls=Cluster, head=None).scheduler_address == cluster.scheduler_address
    assert standing("a") is Liveness.ENDED


# -- what is carried to the head -----------------------------------------------------------------------------------


def test_what_is_carried_to_the_head(notebook, tmp_path, started):
    first = notebook("""
        class Scheduling(Scheduler): moon = "full"
        class Job(LocalQueueJob): pass
        class Mine(LocalQueueCluster): pass
        dask.config.set({"distributed.scheduler.allowed-failures": 17, "jobclusters.idle-timeout": "3 hours"})
        cluster = Mine(
            head="detached", job_cls=Job, scheduler_class=Scheduling, worker_class="distributed.Worker", n_jobs=1,
            log_directory="logs", idle_timeout=None, **{**SMALL, "nanny": True},
            scheduler_options={"dashboard_address": ":0"},
        )
        client = Client(cluster)
        client.wait_for_workers(1, timeout=120)
        moon = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.moon)
        failures = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)
        worker = client.run(lambda dask_worker: type(dask_worker).__name__)
        tell([moon, failures, list(worker.values()), type(cluster).__name__, cluster.ends, repr(cluster)])
        tell([client.run_on_scheduler(gc.isenabled), *client.run(gc.isenabled).values()])
        cluster.add_group("more", worker_class=Worker, **SMALL)
        tell([cluster.explain()[key][0].__name__ for key in ("job_cls", "scheduler_class")])
        cluster.close()
        tell(os.listdir("logs"))
    """)
    moon, failures, workers, kind, ends, text = first.tell()
    assert (moon, failures, workers) == ("full", 17, ["Worker"])
    assert (kind, ends) == ("ConnectedCluster", None)
    assert text.startswith("Mine(")
    assert first.tell() == [True, True], "garbage is collected, once all is imported"
    assert first.tell() == ["Job", "Scheduling"]
    assert len(first.tell()) == 1, "a relative directory is the notebook's"
    until(lambda: not started("jobclusters.head"))


# -- idle ----------------------------------------------------------------------------------------------------------


class Clock:
    """Time for the clusters of this process: no cluster here closes before a test lets it pass."""

    def __init__(self):
        self.now = 1000.0

    def passes(self, cluster, seconds):
        """Let time pass, and wait until the cluster has been looked at."""
        looks = count_looks(cluster)
        self.now += seconds
        until(lambda: self.now in looks or cluster.status is Status.closed)


def count_looks(cluster):
    looks = []
    look = cluster.registration._monitor.check

    def counted(now, activity):
        advice = look(now, activity)
        looks.append(now)
        return advice

    cluster.registration._monitor.check = counted
    return looks


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("jobclusters.head.registration.IDLE_INTERVAL", 0.05)
    monkeypatch.setattr(
        "jobclusters.head.registration.time", SimpleNamespace(monotonic=lambda: clock.now, time=time.time)
    )
    return clock


def test_an_idle_cluster_closes_with_its_pending_jobs(make, clock, caplog, started):
    with dask.config.set({"jobclusters.local.cores": 1}):
        cluster = make("a", head="process", n_jobs=2, idle_timeout="20 s", silence_logs=False)
        cluster.wait_for_workers(1, timeout=PATIENCE)
        clock.passes(cluster, 0)
        clock.passes(cluster, 16)
        until(lambda: "Cluster a: it closes when there was no work for 20 seconds (idle_timeout)" in caplog.text)
        clock.passes(cluster, 5)
        until(lambda: cluster.status is Status.closed)
    assert {status.state for status in cluster.jobs.values()} == {JobState.CANCELLED}
    assert "Cluster a closes: there was no work for 20 seconds (idle_timeout)" in caplog.text
    assert directory("a").record().why == "there was no work for 20 seconds (idle_timeout)"
    until(lambda: not started())


def test_a_head_closes_before_its_walltime_ends_it(monkeypatch):
    monkeypatch.setattr("jobclusters.head.registration.IDLE_INTERVAL", 0.05)
    record = replace(new_record("a", "local", "detached"), ends=time.time() + 1)
    assert claim(record) is None
    cluster = LocalQueueCluster.as_head(Presence(directory("a"), record), name="a", **SMALL)
    assert cluster.ends == directory("a").record().ends == record.ends
    until(lambda: cluster.status is Status.closed)
    assert time.time() > record.ends
    why = "the walltime of its head's job is over; scheduler_walltime= makes it longer"
    assert cluster.why == directory("a").record().why == why


def test_a_detached_head_closes_by_itself_and_says_so(make, started):
    try:
        mine = make("a", idle_timeout="1 s")
    except QueueError as error:  # it may be so quick where the machine pauses
        said = str(error)
    else:
        until(lambda: mine.status is Status.closed)
        said = repr(mine)
    assert "no work for 1 seconds (idle_timeout)" in said
    until(lambda: not started())


def test_waiting_in_the_queue_is_not_idling(make, clock):
    with dask.config.set({"jobclusters.local.cores": 1}):
        first = make(head="process", n_jobs=1, idle_timeout=None)
        first.wait_for_workers(1, timeout=PATIENCE)
        waits = make("a", head="process", n_jobs=1, idle_timeout="20 s")
        until(lambda: waits.jobs)
        for _ in range(3):
            clock.passes(waits, 1000)
        assert [status.state for status in waits.jobs.values()] == [JobState.PENDING]
        assert waits.status is Status.running


def test_work_is_not_idling(make, clock):
    with make(head="process", n_jobs=1, idle_timeout="20 s") as cluster, Client(cluster) as client:
        event = Event()
        future = client.submit(lambda: event.wait(PATIENCE))
        until(lambda: cluster.activity().tasks)
        for _ in range(3):
            clock.passes(cluster, 1000)
        assert cluster.status is Status.running
        event.set()
        assert future.result(timeout=PATIENCE) is True


def test_a_cluster_without_clients_closes(make, clock):
    cluster = make("a", head="process", idle_timeout=None, no_client_timeout="20 s")
    with Client(cluster):
        for _ in range(3):
            clock.passes(cluster, 1000)
        assert cluster.status is Status.running
    until(lambda: not cluster.activity().clients)
    clock.passes(cluster, 21)
    until(lambda: cluster.status is Status.closed)
    assert directory("a").record().why == "there was no client for 20 seconds (no_client_timeout)"


@pytest.mark.parametrize(
    ("keywords", "configuration", "seconds"),
    [
        ({}, {}, 1200),
        ({"idle_timeout": None}, {}, None),
        ({"idle_timeout": "2 hours"}, {}, 7200),
        ({"scheduler_options": {"idle_timeout": 30}}, {}, 30),
        ({"scheduler_options": {"idle_timeout": None}}, {}, None),
        ({"scheduler_options": {"idle_timeout": 30}, "idle_timeout": 60}, {}, 60),
        ({}, {"jobclusters.idle-timeout": None}, None),
        ({}, {"jobclusters.idle-timeout": "5 minutes"}, 300),
        ({"idle_timeout": None}, {"jobclusters.idle-timeout": "5 minutes"}, None),
    ],
)
def test_where_the_idle_timeout_is_said(make, keywords, configuration, seconds):
    with dask.config.set(configuration), make(head="process", **keywords) as cluster:
        assert cluster.registration._monitor._limits[0] == seconds
        assert cluster.scheduler.idle_timeout is None, "Dask's own would close the scheduler while jobs wait"


def test_an_idle_timeout_of_a_saved_configuration(make, tmp_path):
    from jobclusters.config.saved import save_configuration

    save_configuration("mine", idle_timeout="3 hours")
    with make(head="process", configuration="mine") as cluster:
        assert cluster.registration._monitor._limits[0] == 10800


# -- the same either way -------------------------------------------------------------------------------------------


@pytest.fixture(params=["process", "detached"])
def either(request, make):
    return make("a", head=request.param)


def test_the_same_methods_give_the_same(either):
    cluster = either
    cluster.scale(jobs=2)
    assert cluster.plan == {"a-0", "a-1"}
    until(lambda: cluster.requested == {"a-0", "a-1"})
    cluster.wait_for_workers(2, timeout=PATIENCE)
    assert cluster.observed == {"a-0", "a-1"}
    until(lambda: [status.state for status in cluster.jobs.values()] == [JobState.RUNNING] * 2)
    assert repr(cluster).startswith("LocalQueueCluster(a, 'tls://127.0.0.1:")
    assert "workers=2, threads=2" in repr(cluster)
    assert "jobs: 2 running" in repr(cluster)
    assert cluster.job_script().startswith("#!")
    job = min(cluster.jobs)
    assert list(cluster.get_job_logs(job_id=job)) == [job]
    until(lambda: all(cluster.get_job_logs(tail=1).values()))
    assert cluster.explain()["cores"] == (1, "keyword")
    assert str(cluster.explain()).count("\n") > 5
    assert cluster.usage["default"].jobs == 2
    cluster.add_group("large", cores=2, memory="1 GB", n_jobs=0)
    assert sorted(cluster.groups) == ["default", "large"]
    assert cluster.groups["large"].spec.cores == 2
    assert not cluster.history
    adaptive = cluster.adapt(minimum=1, maximum=3, interval="100ms")
    until(lambda: cluster.history)
    assert cluster.history[-1].decision.because
    adaptive.stop()
    cluster.scale(0)
    until(lambda: cluster.observed == set())
    assert cluster.plan == set()


def test_workers_that_a_client_has_waited_for_are_observed(make, monkeypatch):
    """Dask tells a cluster of them by a message, which comes after the scheduler's answer to others."""
    monkeypatch.setattr(JobCluster, "_update_worker_status", lambda *_: None)
    with make(head="process") as cluster:
        cluster.scale(jobs=1)
        with Client(cluster.scheduler_address, security=cluster.security) as client:
            client.wait_for_workers(1, timeout=PATIENCE)
            assert cluster.observed == cluster.plan


@pytest.mark.parametrize("head", ["process", "detached"])
def test_a_client_that_is_still_open_ends_with_its_cluster(make, head, caplog):
    caplog.set_level("INFO", "distributed.client")
    cluster = make(head=head, n_jobs=1)
    client = cluster.get_client()
    assert client.submit(plus, 1).result(timeout=PATIENCE) == 2
    cluster.close()
    until(lambda: client.status == "closed")
    assert "Reconnecting" not in caplog.text
    assert cluster.status is Status.closed


@pytest.mark.parametrize(
    ("keywords", "told"), [("", True), (", shutdown_on_close=False", False), (", shutdown_on_close=True", False)]
)
def test_a_program_that_leaves_its_cluster_behind_says_so(tmp_path, keywords, told):
    path = tmp_path / "program.py"
    make = f"LocalQueueCluster(name='left', head='detached', cores=1, memory='256 MB'{keywords})"
    path.write_text(f"from jobclusters import LocalQueueCluster\ncluster = {make}\nraise KeyboardInterrupt\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, timeout=PATIENCE)
    line = "Cluster left goes on without this program: jobclusters close left ends it"
    assert (line in done.stderr) is told
    with Cluster.from_name("left") as cluster:
        cluster.shutdown()


@pytest.mark.parametrize("head", ["process", "detached"])
@pytest.mark.parametrize("sent", [True, False])
def test_workers_get_what_the_program_has_set(make, head, sent):
    ours = {"distributed.worker.memory.target": 0.42, "mine.key": [1]}
    with dask.config.set(ours):
        cluster = make("a", head=head, n_jobs=1, send_dask_config=sent)
        client = cluster.get_client()
        client.wait_for_workers(1)
        [mine] = client.run(lambda: dask.config.get("mine.key", None)).values()
        assert mine == ([1] if sent else None)
        [target] = client.run(lambda dask_worker: dask_worker.memory_manager.memory_target_fraction).values()
        assert (target == 0.42) is sent
    path = cluster.files.path
    assert [(file.stat().st_mode & 0o777) for file in path.glob("*.secret")] == [0o600] * sent
    cluster.shutdown() if head == "detached" else cluster.close()
    until(lambda: not [*path.glob("*.secret")])


@pytest.mark.parametrize("head", ["process", "detached"])
def test_tasks_that_wait_in_vain_are_told(make, head, caplog):
    cluster = make("a", head=head)
    with cluster.get_client() as client:
        future = client.submit(plus, 1)
        until(lambda: "Cluster a: tasks wait, and no jobs are asked for" in caplog.text)
        cluster.scale(jobs=1)
        assert future.result(timeout=PATIENCE) == 2


@pytest.mark.parametrize("head", ["process", "detached"])
def test_a_client_of_the_bare_address_has_the_credentials(make, head):
    cluster = make(head=head, n_jobs=1)
    with Client(cluster.scheduler_address, timeout=PATIENCE) as client:
        assert client.submit(plus, 1).result(timeout=PATIENCE) == 2


def test_a_loader_of_the_users_own_is_left_alone(make):
    with dask.config.set({"distributed.client.security-loader": "mine.load"}):
        make()
        assert dask.config.get("distributed.client.security-loader") == "mine.load"


@pytest.mark.parametrize("head", ["process", "detached"])
def test_what_the_queue_refuses_is_reported(make, head):
    cluster = make(head=head, n_jobs=1, job_extra_directives=["--cores=many"])
    with pytest.raises(Refused, match="invalid int value: 'many'"):
        cluster.wait_for_workers(1, timeout=PATIENCE)


def test_errors_keep_class_and_text_through_the_connection(make):
    connected, here = make("a"), make("b", head="process")
    for ask in (
        lambda cluster: cluster.scale(-1),
        lambda cluster: cluster.scale(jobs=1, group="nosuch"),
        lambda cluster: cluster.adapt(minimum=3, maximum=1),
        lambda cluster: cluster.add_group("c", cores="many", memory="lots"),
        lambda cluster: cluster.get_job_logs("77"),
    ):
        errors = []
        for cluster in (connected, here):
            with pytest.raises(InvalidRequest) as raised:
                ask(cluster)
            errors.append((type(raised.value), str(raised.value), raised.value.problems))
        assert errors[0] == errors[1]


def test_in_an_event_loop():
    async def main():
        async with LocalQueueCluster(name="a", head="detached", asynchronous=True, **SMALL) as cluster:
            await cluster.scale(jobs=1)
            await cluster.wait_for_workers(1, timeout=PATIENCE)
            async with Client(cluster, asynchronous=True) as client:
                assert await client.submit(plus, 6) == 7
            assert (await cluster.explain())["cores"][0] == 1
            assert list(await cluster.get_job_logs())
            assert "dask" in await cluster.job_script()
            await cluster.add_group("b", cores=1, memory="1 GB")
            adaptive = await cluster.adapt(maximum=2)
            await adaptive.stop()
            with pytest.raises(InvalidRequest):
                await cluster.scale(-1)
        assert cluster.status is Status.closed

    asyncio.run(main())
    assert standing("a") is Liveness.ENDED


def test_from_several_threads(make):
    cluster = make("a")
    views = []
    threads = [threading.Thread(target=lambda: views.append((cluster.jobs, cluster.plan))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert views == [({}, set())] * 8


# -- connecting by name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Cluster, LocalQueueCluster])
def test_connecting_by_name(make, cls):
    mine = make("a")
    with cls.from_name("a") as other:
        assert other.scheduler_address == mine.scheduler_address
    assert standing("a") is Liveness.RUNNING
    with pytest.raises(InvalidRequest, match=r"unknown cluster 'aa': did you mean 'a'\? Valid: a"):
        cls.from_name("aa")
    with pytest.raises(InvalidRequest, match="cluster 'a' runs on local, not on slurm"):
        SLURMCluster.from_name("a")
    cls.from_name("a", shutdown_on_close=True).close()
    with pytest.raises(InvalidRequest, match="cluster 'a' has ended: closed by process"):
        cls.from_name("a")


def test_connecting_by_name_in_an_event_loop(make):
    mine = make("a")

    async def address():
        async with Cluster.from_name("a", asynchronous=True) as other:
            return other.scheduler_address

    assert asyncio.run(address()) == mine.scheduler_address


def test_a_name_of_nothing_makes_nothing(home):
    with pytest.raises(InvalidRequest, match="unknown cluster 'a': Valid: none"):
        LocalQueueCluster.from_name("a")
    assert not (home / ".jobclusters").exists()
