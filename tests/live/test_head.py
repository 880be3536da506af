"""Heads in jobs of their own, and names: made, found again from other processes, lost and ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import suppress

import dask.config
import psutil
import pytest
from distributed import Client
from distributed.core import Status

from jobclusters import Cluster, JobsFailed, QueueError
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.registry import liveness
from jobclusters.registry.files import ORDER, SECURITY
from jobclusters.registry.names import directory, names
from jobclusters.registry.record import SILENCE_TIMEOUT, Liveness, Phase

from .systems import call
from .tools import PATIENCE, heads, kill, until

ONE_VERSION = True
#: Seconds within which everything of a dead head is gone.
MINUTE = 60


@pytest.fixture(autouse=True)
def place(shared):
    """What is noted of these clusters is on the file system that the nodes see, and nothing of it stays."""
    path = shared / "noted"
    with dask.config.set({"jobclusters.directory": str(path)}):
        yield path
        left = [file.name for file in path.rglob("*") if file.suffix == ".pem" or file.name in (ORDER, SECURITY)]
        assert left == []
    until(lambda: not heads(path))


class Named:
    """A cluster's jobs as the batch system tells of them: the head's, and the workers'."""

    def __init__(self, system, name):
        self.heads = system.seen(f"dask-head-{name}")
        self.workers = system.seen(f"live-{name}")

    def living(self):
        return self.heads.living() + self.workers.living()

    def until_gone(self):
        until(lambda: not self.living(), MINUTE)


@pytest.fixture
def name(place):
    """Name a cluster; no job of an earlier run is called like this."""
    return f"h{time.time_ns() // 10**6 % 10**9}"


@pytest.fixture
def head(system, keywords, name):
    """Make clusters with a head in a job, or connect to them; end them whatever happens."""
    made = []

    def make_cluster(cls=None, **others):
        own = {"scheduler_cpu": 1, "scheduler_memory": "1 GB", "job_name": f"live-{name}"}
        made.append((cls or system.cluster)(name=name, **keywords(**{**own, **others})))
        return made[-1]

    yield make_cluster
    for cluster in made:
        if isinstance(cluster, ConnectedCluster) and cluster.status is Status.running:
            cluster.shutdown()
        cluster.close()
    for job in Named(system, name).living():
        with suppress(AssertionError):  # it has just ended
            system.cancel(job)
    Named(system, name).until_gone()  # a job's end looks into its directory, on Grid Engine


@pytest.fixture
def seen(system, name):
    return Named(system, name)


@pytest.fixture
def notebook(system, keywords, place, name):
    """Run programs that do what a notebook does; each line that one prints is a JSON value."""
    running = []

    def run(text, **others):
        own = {"scheduler_cpu": 1, "scheduler_memory": "1 GB", "job_name": f"live-{name}"}
        given = keywords(**{**own, **others})
        program = "\n".join(
            [
                "import json, os, time, dask.config",
                "from distributed import Client",
                f"from jobclusters import {system.cluster.__name__} as Cluster",
                "def tell(value): print(json.dumps(value), flush=True)",
                "if __name__ == '__main__':",
                f"    dask.config.set({{'jobclusters.directory': {str(place)!r}}})",
                f"    cluster = Cluster(name={name!r}, **{given!r})",
                *("    " + line.strip() for line in text.strip().splitlines()),
            ]
        )
        path = place.with_name(f"notebook-{name}.py")
        path.write_text(program)
        process = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.tell = lambda: json.loads(process.stdout.readline())
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def standing(name):
    found = asyncio.run(liveness.check(directory(name)))
    return found and found.liveness


def test_drill_notebook_killed_and_reconnected(head, notebook, seen, name):
    first = notebook(
        """
        cluster.scale(jobs=2)
        client = Client(cluster)
        client.wait_for_workers(2, timeout=120)
        client.datasets["answer"] = client.submit(lambda: 42)
        tell(client.datasets["answer"].result())
        time.sleep(600)
        """,
    )
    assert first.tell() == 42
    first.kill()
    assert (len(seen.heads.living()), len(seen.workers.living())) == (1, 2)
    mine, other = head(), head(cls=Cluster)
    with Client(mine) as client, Client(other) as second:
        assert client.datasets["answer"].result(timeout=PATIENCE) == 42
        assert second.datasets["answer"].result(timeout=PATIENCE) == 42
        scheduler = client.run_on_scheduler(lambda: os.uname().nodename)
    assert scheduler != os.uname().nodename
    mine.close()
    assert standing(name) is Liveness.RUNNING
    other.shutdown_on_close = True
    other.close()  # the second ends it
    seen.until_gone()
    assert directory(name).record().why.startswith("closed by process")


def _held(system):
    """Give a job that waits for ever."""
    return {"job_extra_directives": list(system.held)}


def _die():
    """Die with all that could still clear up."""
    here = psutil.Process()
    for process in [*here.children(), here]:
        with suppress(psutil.Error):  # one that has just ended, or is the batch system's
            process.kill()


_die.__module__ = "__main__"  # the node need not have this file


@pytest.mark.parametrize("how", ["cancelled", "killed"])
def test_drill_head_lost(system, head, seen, keywords, how, name):
    cluster = head(n_jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    other = head()
    other.add_group("waiting", n_jobs=1, **keywords(job_name=f"live-{name}", **_held(system)))
    until(lambda: len(seen.living()) == 3)
    record = directory(name).record()
    assert seen.heads.living() == [record.job_id]
    if how == "cancelled":
        system.cancel(record.job_id)
    else:
        with Client(cluster) as client, suppress(Exception):
            client.run_on_scheduler(_die)
    seen.until_gone()
    until(lambda: cluster.status is other.status is Status.closed)
    ended = directory(name).record()
    assert ended.phase is Phase.ENDED
    assert "its head" in ended.why
    assert "its head" in repr(cluster)


def test_drill_login_node_reboots(head, notebook, seen, place, name):
    """Notebook and janitor die at once; who asks for the name next clears up, and gets it."""
    first = notebook(
        """
        cluster.wait_for_workers(1, timeout=120)
        tell(1)
        time.sleep(600)
        """,
        head="process",
        scheduler_cpu=None,
        scheduler_memory=None,
        n_jobs=1,
    )
    first.tell()
    before = seen.workers.living()
    assert len(before) == 1
    for process in psutil.Process().children():
        if process.pid == first.pid:
            kill(*process.children(), process)
    assert standing(name) is Liveness.GONE
    with head(head="process", scheduler_cpu=None, scheduler_memory=None) as cluster:
        assert not isinstance(cluster, ConnectedCluster)
        assert not set(before) & set(seen.workers.living())
    seen.until_gone()


def test_drill_idle_with_pending_jobs(system, head, seen, keywords, name):
    cluster = head(n_jobs=1, idle_timeout="15 s", scheduler_size="medium", scheduler_cpu=None, scheduler_memory=None)
    cluster.add_group("waiting", n_jobs=1, **keywords(job_name=f"live-{name}", **_held(system)))
    if system.name == "slurm":
        shown = call("scontrol", "show", "job", directory(name).record().job_id)
        assert "NumCPUs=2 " in shown
        assert "Requeue=0" in shown
    until(lambda: cluster.status is Status.closed)
    assert directory(name).record().why == "there was no work for 15 seconds (idle_timeout)"
    seen.until_gone()


@pytest.mark.parametrize("stays", [False, pytest.param(True, marks=pytest.mark.long)])
def test_drill_notebook_killed_while_the_head_waits(system, head, notebook, seen, stays, name):
    first = notebook(
        "",
        scheduler_extra_directives=list(system.held),
        shutdown_on_close=not stays,
    )
    until(seen.heads.living)
    until(lambda: directory(name).record().job_id)
    first.kill()
    if stays:
        first.wait()
        assert standing(name) is Liveness.STARTING
        (job,) = seen.heads.living()
        system.cancel(job)
    seen.until_gone()
    # Where the batch system lists no job that never ran, its absence counts once it has lasted.
    ended = lambda: asyncio.run(liveness.check_and_sweep(directory(name))).liveness is Liveness.ENDED  # noqa: E731
    until(ended, SILENCE_TIMEOUT + PATIENCE)


def test_drill_a_directory_that_the_nodes_do_not_see(head, seen, tmp_path, name):
    with dask.config.set({"jobclusters.directory": str(tmp_path)}):
        with pytest.raises(QueueError, match=r"Do all nodes see .* If not, set jobclusters\.directory"):
            head()
        assert standing(name) is Liveness.ENDED
    seen.until_gone()


def test_drill_nodes_without_the_commands(head, seen, name):
    with pytest.raises(JobsFailed, match=r"is not on the PATH of \S+, where the head runs: .* head='detached'"):
        head(job_script_prologue=["export PATH=/nowhere"])
    assert standing(name) is Liveness.ENDED
    seen.until_gone()


def test_drill_names_of_heads_on_this_machine(head, seen, name):
    """Where nodes may not submit: a process of the login node."""
    none = {"scheduler_cpu": None, "scheduler_memory": None}
    with head(head="detached", n_jobs=1, **none) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        psutil.Process(directory(name).record().pid).kill()
        until(lambda: cluster.status is Status.closed)
    seen.until_gone()
    assert names() == [name]
