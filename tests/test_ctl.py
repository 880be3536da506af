"""dask-ctl finds clusters that run, and does with them what it does with all; names connect without making any."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import test_lifecycle
from test_lifecycle import PATIENCE, stale, standing, until

from jobclusters import Cluster, InvalidRequest, LocalQueueCluster, SLURMCluster, ctl, finding
from jobclusters.entry import Standing
from jobclusters.registry import Presence, claim, directory, new_entry

started, make = test_lifecycle.started, test_lifecycle.make  # fixtures


#: Without it, dask-ctl 2024.1, the latest, does not start with today's Dask, which has lost a function.
REPAIR = "import distributed.cli.utils as u; u.install_signal_handlers = getattr(u, 'install_signal_handlers', id)\n"


def python(code, *words):
    environment = {**os.environ, "COLUMNS": "250"}
    command = [sys.executable, "-c", REPAIR + code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=2 * PATIENCE)
    return done.returncode, done.stdout, done.stderr


def dask(*words):
    """Run ``dask cluster``."""
    return python("from dask_ctl.cli import cluster; cluster()", *words)[:2]


def discovered():
    async def names():
        return sorted([name async for name, _ in ctl.discover()])

    return asyncio.run(names())


def test_dask_ctl_lists_scales_and_deletes(make):
    cluster = make("a", n_jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    code, listed = dask("list", "jobclusters")
    assert code == 0
    row = re.search(r"^ +a +(tls://\S+) +(\S+) +jobclusters +1 +1 +(\S+ \S+) +(.*?) +Running", listed, re.MULTILINE)
    assert row[1] == cluster.scheduler_address
    code, told = dask("scale", "a", "2")
    assert (code, "to 2 workers" in told) == (0, True)
    assert len(cluster.plan) == 2
    code, snippet = dask("snippet", "a")
    assert "Cluster.from_name('a')" in snippet
    code, told = dask("delete", "a")
    assert (code, told) == (0, "Deleted cluster a.\n")
    assert standing("a") is Standing.ENDED
    assert dask("delete", "a")[0] != 0


def test_python_through_dask_ctl_leaves_the_cluster_alone_until_it_is_closed(make):
    cluster = make("a")
    code = """
import json
from dask_ctl import config, lifecycle
(found,) = [each for each in lifecycle.list_clusters() if each.name == "a"]
same = lifecycle.get_cluster("a")
print(json.dumps([found.scheduler_address, same.scheduler_address, same.status.name]))
"""
    _, out, errors = python(code)
    assert "Traceback" not in errors
    address = cluster.scheduler_address
    assert json.loads(out.splitlines()[-1]) == [address, address, "running"]
    assert standing("a") is Standing.RUNNING


def test_what_dask_ctl_is_told_of(monkeypatch):
    """Only those that run: it would wait for others."""
    monkeypatch.setattr(finding, "ANSWER", 0.2)
    assert discovered() == []
    claim(new_entry("starting", "local", "detached"))
    claim(entry := new_entry("ended", "local", "detached"))
    Presence(directory("ended"), entry).ended("closed")
    stale(host="another")
    directory("broken").make()
    directory("broken").write("entry.json", "{")
    claim(entry := new_entry("good", "local", "detached"))
    Presence(directory("good"), entry).note(scheduler="tcp://127.0.0.1:9")

    left = []

    async def look(files):
        if files.path.name == "a":
            try:
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                left.append(files.path.name)
                raise
        found = await original(files)
        return found and (found._replace(standing=Standing.RUNNING) if files.path.name == "good" else found)

    original = finding.look
    monkeypatch.setattr(finding, "look", look)
    monkeypatch.setattr(ctl, "PATIENCE", 1.0)
    assert discovered() == ["good"]
    assert left == ["a"], "one that is slow holds up no other"


def test_the_entry_point_is_cheap():
    (found,) = [ep for ep in entry_points(group="dask_cluster_discovery") if ep.name == "jobclusters"]
    assert found.load() is ctl.discover
    code = "import distributed, jobclusters.ctl, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert not {"dask_jobqueue", "cryptography"} & set(done.stdout.split())


@pytest.mark.parametrize("cls", [Cluster, LocalQueueCluster])
def test_connecting_by_name(make, cls):
    mine = make("a")
    with cls.from_name("a") as other:
        assert other.scheduler_address == mine.scheduler_address
    assert standing("a") is Standing.RUNNING
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
    until(lambda: not discovered())
