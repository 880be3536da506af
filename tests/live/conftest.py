"""Live tests: on a real batch system, as a normal user of its login node.

``JOBCLUSTERS_LIVE=slurm`` (or ``sge``) says that there must be one: without it these tests fail rather than skip. The
queue, the shared directory and so on come from the environment, so that a site can run them on its own cluster:
``JOBCLUSTERS_LIVE_QUEUE`` (default "normal", on Grid Engine "all.q"), ``JOBCLUSTERS_LIVE_PE`` (Grid Engine's parallel
environment, default "smp").
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from jobclusters import SLURMCluster

LEVERS = Path.home() / ".levers"
#: The batch systems, with the command that shows that one is there.
PROBES = {"slurm": "sbatch", "sge": "qconf"}
WANTED = os.environ.get("JOBCLUSTERS_LIVE", "").replace(",", " ").split()


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            system = "sge" if item.path.name == "test_sge.py" else "slurm"
            if WANTED and system not in WANTED:
                item.add_marker(pytest.mark.skip(f"JOBCLUSTERS_LIVE asks for {WANTED}, not {system}"))


@pytest.fixture(scope="session", autouse=True)
def batch_system():
    if not WANTED:
        pytest.skip("needs a batch system: make test runs these, or set JOBCLUSTERS_LIVE=slurm on a login node")
    for system in WANTED:
        if system not in PROBES:
            pytest.fail(f"JOBCLUSTERS_LIVE={system}: known are {', '.join(PROBES)}")
        if not shutil.which(PROBES[system]):
            pytest.fail(f"JOBCLUSTERS_LIVE={system}, but there is no {PROBES[system]} here")


@pytest.fixture
def live_queue():
    return os.environ.get("JOBCLUSTERS_LIVE_QUEUE", "normal")


@pytest.fixture
def shared(monkeypatch):
    """A directory that the nodes see, as the working directory."""
    path = Path.home() / "live" / f"{time.time_ns()}"
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    yield path
    monkeypatch.undo()
    shutil.rmtree(path)


def until(condition, seconds=60.0, poll=0.1):
    """Wait for a condition, and fail if it doesn't come."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"what was waited for did not happen within {seconds:g} s"
        time.sleep(poll)
    return value


def squeue(name_part, *options):
    """Give the lines of squeue for jobs of this name: (id, state, restarts)."""
    command = ["squeue", "-h", "-r", "-o", "%j|%F_%K|%T", *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split("|")[1:] for line in lines if name_part in line.partition("|")[0]]


def living(cluster):
    """Give the ids of the cluster's jobs that squeue shows as pending or running."""
    return [job for job, state in squeue(token(cluster)) if state not in ("COMPLETING", "COMPLETED", "CANCELLED")]


def submitted(cluster):
    """Give the ids of all jobs that the cluster ever submitted."""
    return [job for job, _ in squeue(token(cluster), "-t", "all")]


def token(cluster):
    return cluster.engine.queue._token


class Drill:
    """Counts what a drill found, prints it, and fails if anything was duplicated, orphaned or lost."""

    def __init__(self, name):
        self.name = name

    def tell(self, *, asked, seen, duplicated=0, orphaned=0, lost=0):
        print(
            f"\ndrill {self.name}: asked {asked}, seen {seen},"
            f" duplicated {duplicated}, orphaned {orphaned}, results lost {lost}"
        )
        assert (duplicated, orphaned, lost) == (0, 0, 0)
        assert seen >= asked

    def report(self, cluster, *, asked, results_lost=0, extra=0, seen=None):
        """Close the cluster and look; ``extra`` jobs more than asked for replaced others."""
        if seen is None:  # pending elements that are cancelled one by one leave no trace in squeue
            seen = len(submitted(cluster))
        cluster.close()
        orphans = living(cluster)
        self.tell(
            asked=asked,
            seen=seen,
            duplicated=max(0, seen - asked - extra),
            orphaned=len(orphans),
            lost=results_lost,
        )


@pytest.fixture
def drill(request):
    return Drill(request.node.name.removeprefix("test_drill_").replace("_", " "))


@pytest.fixture
def lever():
    """Pull a lever on the host: ``lever("pause", "slurmctld")``; every container is brought back afterwards."""
    pulled = []

    def pull(verb, what):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(LEVERS))
            connection.sendall(f"{verb} {what}\n".encode())
            answer = connection.makefile().readline().strip()
        assert answer == "0", f"docker {verb} {what} failed: {answer}"
        pulled.append((verb, what))

    yield pull
    undo = {"pause": "unpause", "stop": "start", "kill": "start"}
    open_ = {what: undo.get(verb) for verb, what in pulled}
    for what, verb in open_.items():
        if verb:
            pull(verb, what)
    if pulled:
        until(controller_answers, 120)
        until(nodes_up, 120)


def controller_answers():
    return subprocess.run(["squeue", "-h"], capture_output=True, check=False).returncode == 0


def nodes_up():
    states = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], capture_output=True, text=True, check=False)
    return states.returncode == 0 and not any("down" in line or "*" in line for line in states.stdout.splitlines())


@pytest.fixture
def make(shared, live_queue):
    """Make a SLURMCluster, and close it whatever happens."""
    made = []

    def make_cluster(**keywords):
        keywords = {"queue": live_queue, "walltime": "00:20:00", "log_directory": str(shared / "logs"), **keywords}
        if not keywords.keys() & {"cores", "worker_size", "worker_cpu"}:
            keywords |= {"cores": 1, "memory": "500 MB"}
        made.append(SLURMCluster(**keywords))
        return made[-1]

    yield make_cluster
    for cluster in made:
        cluster.close()


class Messages(logging.Handler):
    """What the package said. Not caplog: Dask silences its handler together with its own."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record):
        self.text += record.getMessage() + "\n"


@pytest.fixture(autouse=True)
def messages():
    handler = Messages()
    logging.getLogger("jobclusters").addHandler(handler)
    yield handler
    logging.getLogger("jobclusters").removeHandler(handler)
