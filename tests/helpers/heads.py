"""Clusters whose head is another process: making them, looking at what they are, and at what they leave behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from distributed.comm import parse_host_port
from distributed.core import Status

from jobclusters import LocalQueueCluster
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.registry import liveness
from jobclusters.registry.files import ORDER, SECURITY, root
from jobclusters.registry.names import Presence, claim, directory, new_record
from jobclusters.registry.record import Phase
from tests.helpers.waiting import PATIENCE, until

SMALL = {"cores": 1, "memory": "1 GB", "nanny": False}


def processes(home):
    """Find what a test has started, by its home directory."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = " ".join(process.cmdline())
    return found


@pytest.fixture
def started(home):
    """Give what has been started; nothing of it may be left, and nothing of it is."""
    yield lambda word="": [process for process, line in processes(home).items() if word in line]
    try:
        until(lambda: not processes(home))
    except AssertionError:
        left = processes(home)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        pytest.fail(f"left behind: {sorted(left.values())}")


@pytest.fixture
def soon(monkeypatch):
    """Ask a scheduler that is there until it answers, and do not wait for one that isn't: all is on one machine."""
    asks = liveness._answers

    async def answers(files, record):
        deadline = time.monotonic() + PATIENCE
        while await listens(record.scheduler) and time.monotonic() < deadline:
            if await asks(files, record):
                return True
        return False

    monkeypatch.setattr(liveness, "_answers", answers)
    monkeypatch.setattr(liveness, "ANSWER_TIMEOUT", 2.0)


async def listens(address):
    """Tell whether a process listens at an address of this machine."""
    try:
        _, writer = await asyncio.open_connection(*parse_host_port(address))
    except OSError:
        return False
    writer.close()
    return True


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


def standing(name):
    found = asyncio.run(liveness.check(directory(name)))
    return found and found.liveness


def secrets():
    """Name all files that must not outlive a cluster."""
    return [path.name for path in root().rglob("*") if path.suffix == ".pem" or path.name in (ORDER, SECURITY)]


def stale(**changes):
    """Note a cluster as a process has left it that was ended by a power cut."""
    record = replace(new_record("a", "local", "detached"), **changes)
    assert claim(record) is None
    Presence(directory("a"), record).note(phase=Phase.RUNNING, scheduler="tcp://127.0.0.1:9")
    directory("a").write("key.pem", "secret")
