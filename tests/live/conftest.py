"""Live tests: on real batch systems, as a normal user of a login node. ``docs/testing.md`` says how to run them.

``JOBCLUSTERS_LIVE=slurm,sge`` names the batch systems that there must be: one that is missing fails its tests. The
tests of others aren't there at all, nor are, without ``JOBCLUSTERS_LIVE_LEVERS``, those that need our containers.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from .systems import SYSTEMS
from .tools import PATIENCE, Drill, Messages, Seen, until

WANTED = os.environ.get("JOBCLUSTERS_LIVE", "").replace(",", " ").split()
#: Whether another version of the batch system runs all tests: modules are left out that say ``ONE_VERSION``.
AGAIN = os.environ.get("JOBCLUSTERS_LIVE_AGAIN", "")
#: The socket of ci/slurm-docker/levers: tests may break the cluster, and know how it is made.
LEVERS = os.environ.get("JOBCLUSTERS_LIVE_LEVERS", "")


def pytest_configure(config):
    config.addinivalue_line("markers", "containers: needs what ci/*-docker has, and may break it")
    config.addinivalue_line("markers", "queues: needs queues, which not every batch system has")
    config.addinivalue_line("markers", "breaks: stops the daemon or nodes for a while, or takes all nodes")
    config.addinivalue_line(
        "markers", "long: takes minutes, mostly of waiting, on nodes that no other test uses, or on none"
    )


def pytest_generate_tests(metafunc):
    if "system" in metafunc.fixturenames:
        only = getattr(metafunc.module, "ONLY", None)
        metafunc.parametrize("system", [name for name in WANTED if only in (name, None)], indirect=True)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.timeout(5 * PATIENCE))
            if {"daemon", "on_nodes"} & {*item.fixturenames}:
                item.add_marker(pytest.mark.breaks)
    items[:] = [item for item in items if here not in item.path.parents or _asked_for(item)]


def pytest_terminal_summary(terminalreporter):
    """Show what the drills found."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "drill":
                    terminalreporter.write_line(value)


def _asked_for(item):
    name = item.callspec.params["system"]  # not a text if there is none to run it on
    if name not in WANTED or (AGAIN and getattr(item.module, "ONE_VERSION", False)):
        return False
    ours = "lever" in item.fixturenames or item.get_closest_marker("containers")
    gpus = "gpus" in item.fixturenames
    if item.get_closest_marker("queues") and name in SYSTEMS and not SYSTEMS[name].queues:
        return False
    return (LEVERS or not ours) and (not gpus or name not in SYSTEMS or SYSTEMS[name].setting("GPU"))


@pytest.fixture(scope="session")
def system(request):
    """The batch system as the tests see it."""
    if request.param not in SYSTEMS:
        pytest.fail(f"JOBCLUSTERS_LIVE={request.param}: known are {', '.join(SYSTEMS)}")
    found = SYSTEMS[request.param]
    if not shutil.which(found.probe):
        pytest.fail(f"JOBCLUSTERS_LIVE={found.name}, but there is no {found.probe} here")
    seen = []
    found.seen = lambda token: seen.append(Seen(found, token)) or seen[-1]
    yield found
    for each in seen:
        until(lambda: not each.all())


@pytest.fixture
def gpus(system):
    """How many GPUs a job may ask for."""
    return int(system.setting("GPU"))


@pytest.fixture
def shared(system, monkeypatch):
    """A directory that the nodes see, as the working directory."""
    path = Path(system.setting("DIR", Path.home()), f"jobclusters-live-{system.name}-{time.time_ns()}")
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    yield path
    monkeypatch.undo()
    until(lambda: shutil.rmtree(path, ignore_errors=True) or not path.exists())  # a job may still write


@pytest.fixture
def keywords(system, shared):
    """Give the keywords of a small job here, with others over them."""

    def merge(**others):
        both = [*system.keywords.get("job_extra_directives", ()), *others.pop("job_extra_directives", ())]
        # On a busy machine a worker may take longer to start than the minute that Dask allows.
        given = {"log_directory": str(shared / "logs"), "death_timeout": int(PATIENCE)}
        merged = {**system.keywords, **given, **others}
        if not merged.keys() & {"cores", "worker_size", "worker_cpu"}:
            merged |= {"cores": 1}
        if "cores" in merged:
            merged.setdefault("memory", "2 GB")
        return merged | ({"job_extra_directives": both} if both else {})

    return merge


@pytest.fixture
def make(system, keywords):
    """Make a cluster, and close it whatever happens."""
    made = []

    def make_cluster(**others):
        made.append(system.cluster(**keywords(**others)))
        return made[-1]

    yield make_cluster
    for cluster in made:
        cluster.close()


@pytest.fixture
def look(system):
    """Follow a cluster's jobs with the batch system's own commands."""
    return lambda cluster: system.seen(cluster.pool.token)


@pytest.fixture
def drill(request, record_property):
    name = request.node.name.removeprefix("test_drill_").replace("_", " ")
    return Drill(name, lambda found: record_property("drill", found))


@pytest.fixture
def lever(system):
    """Pull a lever on the host: ``lever("pause", "slurmctld")``; every container is brought back afterwards."""
    pulled = {}

    def pull(verb, what):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(LEVERS)
            connection.sendall(f"{verb} {what}\n".encode())
            answer = connection.makefile().readline().strip()
        assert answer == "0", f"docker {verb} {what} failed: {answer}"
        pulled[what] = verb

    yield pull
    undo = {"pause": "unpause", "stop": "start", "kill": "start"}
    for what, verb in list(pulled.items()):
        if verb in undo:
            pull(undo[verb], what)
    if pulled:
        until(system.answers)
        until(system.nodes_up)


@pytest.fixture
def daemon(system, lever):
    """Pull a lever on the daemon that answers the commands: ``daemon("pause")``."""
    return lambda verb: lever(verb, system.daemon)


@pytest.fixture(autouse=True)
def messages():
    handler = Messages()
    logging.getLogger("jobclusters").addHandler(handler)
    yield handler
    logging.getLogger("jobclusters").removeHandler(handler)
