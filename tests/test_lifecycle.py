"""Clusters whose head is another process: made, found again, lost and ended, on this machine's own queue."""

from __future__ import annotations

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
from contextlib import suppress
from dataclasses import replace

import dask.config
import psutil
import pytest
from distributed import Client
from distributed.core import Status

from jobclusters import (
    Cluster,
    InvalidRequest,
    JobsFailed,
    LocalQueueCluster,
    QueueError,
    Refused,
    connected,
    finding,
    registry,
)
from jobclusters.clusterfiles import ClusterFiles, root
from jobclusters.connected import ConnectedCluster
from jobclusters.entry import Phase, Standing
from jobclusters.lasting import Held
from jobclusters.registry import Presence, claim, directory, new_entry
from jobclusters.state import JobState

SMALL = {"cores": 1, "memory": "1 GB", "nanny": False}
PATIENCE = 60.0


def until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.05)
    return value


def processes(home):
    """Find what a test has started, by its home directory."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = " ".join(process.cmdline())
    return found


@pytest.fixture(autouse=True)
def started(home):
    """Give what has been started; nothing of it may be left, and nothing of it is."""
    yield lambda word="": [process for process, line in processes(home).items() if word in line]
    try:
        until(lambda: not processes(home), 20)
    except AssertionError:
        left = processes(home)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        pytest.fail(f"left behind: {sorted(left.values())}")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A scheduler that isn't there need not be waited for, where all is on one machine."""
    monkeypatch.setattr(finding, "ANSWER", 2.0)


@pytest.fixture
def make():
    """Make clusters, and end them whatever happens."""
    made = []

    def make_cluster(name=None, cls=LocalQueueCluster, **keywords):
        made.append(cls(name=name, **{**SMALL, "head": "detached", **keywords}))
        return made[-1]

    yield make_cluster
    for cluster in made:
        if isinstance(cluster, ConnectedCluster) and cluster.status is Status.running:
            cluster.shutdown()
        cluster.close()


@pytest.fixture
def notebook(tmp_path):
    """Run programs that do what a notebook does; each line that one prints is a JSON value."""
    running = []

    def run(text):
        path = tmp_path / f"notebook{len(running)}.py"
        lines = [
            "import json, os, sys, time, dask.config",
            "from distributed import Client, Scheduler, Worker",
            "from jobclusters import LocalQueueCluster",
            "from jobclusters.clusters import LocalQueueJob",
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


def standing(name):
    found = asyncio.run(finding.look(directory(name)))
    return found and found.standing


def secrets():
    """Name all files that must not outlive a cluster."""
    return [path.name for path in root().rglob("*") if path.suffix in (".pem", ".pickle")]


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
    assert standing("a") is Standing.RUNNING
    LocalQueueCluster(name="a", shutdown_on_close=True).close()
    entry = directory("a").entry()
    assert (entry.phase, entry.why) == (Phase.ENDED, f"closed by process {os.getpid()} on {socket.gethostname()}")
    until(lambda: mine.status is Status.closed)
    assert "closed by process" in repr(mine)
    assert secrets() == []
    until(lambda: not started())


def test_what_close_does_to_the_cluster(make):
    make("a", shutdown_on_close=False).close()
    assert standing("a") is Standing.RUNNING
    make("a").close()
    assert standing("a") is Standing.RUNNING
    make("a", shutdown_on_close=False).close()
    assert standing("a") is Standing.RUNNING
    with make("a", shutdown_on_close=True):
        assert standing("a") is Standing.RUNNING
    assert standing("a") is Standing.ENDED
    make("a").close()  # made here
    assert standing("a") is Standing.ENDED


def test_a_cluster_of_a_notebook_is_found_by_name_and_ends_with_the_notebook(notebook, make, started):
    first = notebook("""
        cluster = LocalQueueCluster(name="a", n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=60)
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
    told = [each.tell() for each in both]
    assert told[0][0] == told[1][0]
    assert sorted(made for _, made in told) == [False, True], "one has made it, the other is connected"
    for each in both:
        each.communicate(timeout=PATIENCE)
    assert standing("a") is Standing.ENDED


def test_eight_at_once(make):
    with ThreadPoolExecutor(8) as pool:
        clusters = list(pool.map(make, (f"h{i}" for i in range(8))))
        assert len({cluster.scheduler_address for cluster in clusters}) == 8
        assert registry.names() == [f"h{i}" for i in range(8)]
        list(pool.map(ConnectedCluster.close, clusters))
    assert {standing(name) for name in registry.names()} == {Standing.ENDED}


@pytest.mark.parametrize("head", ["detached", "process"])
def test_a_cluster_without_a_name_leaves_nothing(make, head):
    with make(head=head, n_jobs=1) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert len(registry.names()) == 1
    assert registry.names() == []


# -- lost ----------------------------------------------------------------------------------------------------------


def test_the_head_is_killed(make, started):
    mine, other = make("a", n_jobs=1), make("a")
    mine.wait_for_workers(1, timeout=PATIENCE)
    assert secrets() != []
    pid = directory("a").entry().pid
    psutil.Process(pid).kill()
    with pytest.raises(QueueError, match=r"cluster a (is|was) closed.* \(?(its head|the process)"):
        mine.wait_for_workers(2, timeout=PATIENCE)
    until(lambda: mine.status is other.status is Status.closed)
    entry = directory("a").entry()
    assert entry.phase is Phase.ENDED
    assert secrets() == []
    assert re_made(make).status is Status.running
    until(lambda: not started("dask_worker"))


def test_the_head_is_told_to_end(make, started):
    mine = make("a", n_jobs=1)
    mine.wait_for_workers(1, timeout=PATIENCE)
    psutil.Process(directory("a").entry().pid).terminate()
    until(lambda: mine.status is Status.closed)
    until(lambda: directory("a").entry().phase is Phase.ENDED)
    assert directory("a").entry().why.startswith("its head was told to end")
    until(lambda: not started())
    assert secrets() == []


def stale(**changes):
    """Note a cluster as a process has left it that was ended by a power cut."""
    entry = replace(new_entry("a", "local", "detached"), **changes)
    assert claim(entry) is None
    Presence(directory("a"), entry).note(phase=Phase.RUNNING, scheduler="tcp://127.0.0.1:9")
    directory("a").write("key.pem", "secret")


@pytest.mark.parametrize(
    ("changes", "age", "why"),
    [
        ({"process_began": 1000.0}, 0, r"process \d+ on \S+, is gone"),  # the number is another's now
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
            patch.setattr(finding, "find", None)  # it asks others, and waits for them
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
            assert directory("a").entry().phase is Phase.RUNNING
        assert directory("a").entry().phase is Phase.ENDED

    asyncio.run(main())
    assert secrets() == []


@pytest.mark.parametrize("head", ["process", "detached"])
def test_in_an_event_loop_nobody_is_asked_before_the_start(monkeypatch, head):
    stale(host="another")
    monkeypatch.setattr(connected, "PATIENCE", 0.0)

    async def main():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finding, "find", None)
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
        assert registry.names() == []
        async with first:
            with pytest.raises(InvalidRequest, match="there is a cluster 'a' already"):
                await second
            with pytest.raises(InvalidRequest, match="there is a cluster 'a' already"):
                Mine(name="a", asynchronous=True, **SMALL)

    asyncio.run(main())


def test_a_cluster_that_cannot_be_reached_is_told_and_left_alone(make):
    stale(host="another")
    told = r"cluster 'a' can't be reached from here: its scheduler at tcp://127.0.0.1:9 does not answer, but process"
    with pytest.raises(RuntimeError, match=told):
        make("a", head="process")
    assert directory("a").entry().phase is Phase.RUNNING


def test_the_owner_and_its_janitor_are_killed(notebook, started):
    first = notebook("""
        cluster = LocalQueueCluster(n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=60)
        tell(1)
        time.sleep(600)
    """)
    first.tell()
    for process in started("jobclusters.janitor"):
        process.kill()
    first.kill()
    first.wait()
    (name,) = registry.names()
    found = asyncio.run(finding.find(directory(name)))
    assert found.standing is Standing.ENDED
    assert registry.names() == []
    until(lambda: not started())


def test_a_janitor_leaves_the_next_cluster_of_the_name_alone(notebook, started):
    """It may come late: meanwhile others have cleared up, and somebody has the name."""
    first = notebook("""
        cluster = LocalQueueCluster(name="a", n_jobs=1, **SMALL)
        cluster.wait_for_workers(1, timeout=60)
        tell(1)
        time.sleep(600)
    """)
    first.tell()
    (janitor,) = started("jobclusters.janitor")
    janitor.suspend()
    first.kill()
    first.wait()
    with LocalQueueCluster(name="a", **SMALL):
        entry = directory("a").entry()
        janitor.resume()
        psutil.wait_procs([janitor], PATIENCE)
        assert directory("a").entry() == entry


def test_a_head_that_nobody_can_find_any_more_closes(make, monkeypatch):
    monkeypatch.setattr("jobclusters.lasting.HEARTBEAT", 0.1)
    entry = new_entry("a", "local", "detached")
    assert claim(entry) is None
    cluster = make("a", head=Held(Presence(directory("a"), entry)))
    assert type(cluster) is LocalQueueCluster
    directory("a").remove()
    until(lambda: cluster.status is Status.closed)
    assert not directory("a").path.exists()


# -- not started ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", None])
def test_a_head_that_cannot_start_is_told(make, name, started):
    with pytest.raises(
        JobsFailed,
        match=r"the head of cluster \S+ has ended: InvalidRequest: scheduler_class='nosuch.Scheduler' can't be",
    ) as raised:
        make(name, scheduler_class="nosuch.Scheduler")
    assert "Traceback" in str(raised.value), "its last lines"
    until(lambda: not started())
    assert secrets() == []
    assert registry.names() == ([name] if name else [])
    if name:
        assert standing(name) is Standing.ENDED
        assert re_made(make).status is Status.running


def test_what_a_head_noted_counts_though_it_has_ended_meanwhile(make, started, monkeypatch):
    read = ClusterFiles.entry

    def slowly(files):
        entry = read(files)
        until(lambda: not started())
        return entry

    monkeypatch.setattr(ClusterFiles, "entry", slowly)
    with pytest.raises(JobsFailed, match=r"the head of cluster a has ended: .*nosuch"):
        make("a", scheduler_class="nosuch.Scheduler")


def test_a_head_that_does_not_find_a_class_is_told(notebook, tmp_path):
    (tmp_path / "vanishing.py").write_text(
        "from jobclusters.clusters import LocalQueueJob\nclass Job(LocalQueueJob): pass"
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
    assert standing("a") is Standing.ENDED


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"head": "elsewhere"}, r"unknown head 'elsewhere'.* Valid: detached, job, process"),
        ({"head": "job"}, r"head='job': this machine's queue ends with the process .* head='detached'"),
        ({"head": "detached", "scheduler_cpu": 2}, r"head='detached' has no job, but scheduler_cpu asks for one"),
        ({"head": "process", "shutdown_on_close": False}, r"the head is in this process, and ends with it"),
        ({"name": "my cluster"}, r"say 'my-cluster'"),
        ({"idle_timeout": "soon"}, r"idle_timeout must be a time such as '20 minutes', or None for never"),
        ({"no_client_timeout": 0}, r"no_client_timeout must be a time"),
    ],
)
def test_wrong_calls_leave_nothing(make, keywords, told):
    with pytest.raises(InvalidRequest, match=told):
        make(**{"name": "a", **keywords})
    assert registry.names() == []


def test_a_cluster_that_cannot_be_made_here_leaves_its_name_free(make):
    with pytest.raises(InvalidRequest, match="interface"):
        make("a", head="process", interface="nosuch0")
    assert standing("a") is Standing.ENDED
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
    assert standing("a") is Standing.ENDED


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
        client.wait_for_workers(1, timeout=60)
        moon = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.moon)
        failures = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)
        worker = client.run(lambda dask_worker: type(dask_worker).__name__)
        tell([moon, failures, list(worker.values()), type(cluster).__name__, cluster.ends, repr(cluster)])
        cluster.add_group("more", worker_class=Worker, **SMALL)
        tell([cluster.explain()[key][0].__name__ for key in ("job_cls", "scheduler_class")])
        cluster.close()
        tell(os.listdir("logs"))
    """)
    moon, failures, workers, kind, ends, text = first.tell()
    assert (moon, failures, workers) == ("full", 17, ["Worker"])
    assert (kind, ends) == ("ConnectedCluster", None)
    assert text.startswith("Mine(")
    assert first.tell() == ["Job", "Scheduling"]
    assert len(first.tell()) == 1, "a relative directory is the notebook's"
    until(lambda: not started("jobclusters.head"))


# -- idle ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("jobclusters.lasting.LOOK", 0.05)


def test_an_idle_cluster_closes_with_its_pending_jobs(make, quick, caplog, started):
    with dask.config.set({"jobclusters.local.cores": 1}):
        cluster = make("a", head="process", n_jobs=2, idle_timeout="1 s")
        until(lambda: cluster.status is Status.closed)
    assert {status.state for status in cluster.jobs.values()} == {JobState.CANCELLED}
    assert "Cluster a: it closes when there was no work for 1 seconds (idle_timeout)" in caplog.text
    assert "Cluster a closes: there was no work for 1 seconds (idle_timeout)" in caplog.text
    assert directory("a").entry().why == "there was no work for 1 seconds (idle_timeout)"
    until(lambda: not started())


def test_a_detached_head_closes_by_itself_and_says_so(make, started):
    mine = make("a", idle_timeout="1 s")
    until(lambda: mine.status is Status.closed)
    assert "no work for 1 seconds (idle_timeout)" in repr(mine)
    until(lambda: not started())


def count_looks(cluster):
    looks = []
    look = cluster._vigil.look

    def counted(now, activity):
        verdict = look(now, activity)
        looks.append(now)
        return verdict

    cluster._vigil.look = counted
    return looks


def test_waiting_in_the_queue_is_not_idling(make, quick):
    with dask.config.set({"jobclusters.local.cores": 1}):
        first = make(head="process", n_jobs=1)
        first.wait_for_workers(1, timeout=PATIENCE)
        waits = make("a", head="process", n_jobs=1, idle_timeout="0.3 s")
        looks = count_looks(waits)
        until(lambda: looks and looks[-1] - looks[0] > 1)
        assert [status.state for status in waits.jobs.values()] == [JobState.PENDING]
        assert waits.status is Status.running


def test_work_is_not_idling(make, quick):
    with make(head="process", n_jobs=1, idle_timeout="1 s") as cluster, Client(cluster) as client:
        assert client.submit(time.sleep, 2).result(timeout=PATIENCE) is None
        assert cluster.status is Status.running


def test_a_cluster_without_clients_closes(make, quick):
    cluster = make("a", head="process", idle_timeout=None, no_client_timeout="0.5 s")
    looks = count_looks(cluster)
    with Client(cluster):
        began = len(looks)
        until(lambda: looks[began:] and looks[-1] - looks[began] > 1)
        assert cluster.status is Status.running
    until(lambda: cluster.status is Status.closed)
    assert directory("a").entry().why == "there was no client for 0.5 seconds (no_client_timeout)"


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
        assert cluster._vigil._limits[0] == seconds
        assert cluster.scheduler.idle_timeout is None, "Dask's own would close the scheduler while jobs wait"


def test_an_idle_timeout_of_a_saved_configuration(make, tmp_path):
    from jobclusters.configurations import save_configuration

    save_configuration("mine", idle_timeout="3 hours")
    with make(head="process", configuration="mine") as cluster:
        assert cluster._vigil._limits[0] == 10800


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


@pytest.mark.parametrize("head", ["process", "detached"])
def test_what_the_queue_refuses_is_told(make, head):
    cluster = make(head=head, n_jobs=1, job_extra_directives=["--nonsense"])
    with pytest.raises(Refused, match="unrecognized arguments: --nonsense"):
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
    assert standing("a") is Standing.ENDED


def test_from_several_threads(make):
    cluster = make("a")
    views = []
    threads = [threading.Thread(target=lambda: views.append((cluster.jobs, cluster.plan))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert views == [({}, set())] * 8
