"""What a cluster does until its first result: nothing that isn't needed, nothing twice, and no wait for a poll."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from jobclusters import LocalQueueCluster
from jobclusters.batch.local_queue import LocalQueue
from tests.helpers.waiting import PATIENCE

#: A program; it prints what it has imported, which files it has parsed or compiled, and what it has started.
PROGRAM = """
import json, sys
files, programs = [], []

def note(event, arguments):
    if event == "compile" and str(arguments[1]).endswith(".j2"):
        files.append(str(arguments[1]))
    elif event == "open" and str(arguments[0]).endswith((".yaml", ".j2")) and "r" in str(arguments[1]):
        files.append(str(arguments[0]))
    elif event == "subprocess.Popen":
        programs.append([str(word) for word in arguments[1]])

from jobclusters import LocalQueueCluster, SLURMCluster
sys.addaudithook(note)
{code}
print(json.dumps([sorted(sys.modules), files, programs]))
"""

RESULT = """
with LocalQueueCluster(cores=1, memory="1 GiB", n_workers=1) as cluster, cluster.get_client() as client:
    assert client.submit(sum, [1, 2]).result() == 3
"""

#: What only some programs need.
NOT_NEEDED = {
    *("bokeh", "rich", "IPython", "ipywidgets"),
    *("jobclusters.cli", "jobclusters.discovery", "jobclusters.doctor", "jobclusters.cluster.widget"),
}


def seen(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(code=code)],
        stdout=subprocess.PIPE, text=True, check=True, timeout=2 * PATIENCE,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("code", ["SLURMCluster(cores=1, memory='1 GiB').close()", RESULT], ids=["cluster", "result"])
def test_nothing_is_imported_that_is_not_needed(code):
    assert NOT_NEEDED.isdisjoint(seen(code)[0])


def test_a_cluster_without_encryption_imports_no_cryptography():
    code = "SLURMCluster(cores=1, memory='1 GiB', security=False).close()"
    assert "cryptography" not in seen(code)[0]


def test_nothing_is_read_twice():
    """A template is opened and compiled, and so counts twice; our defaults are read and copied for their user."""
    _, files, _ = seen("SLURMCluster(cores=1, memory='1 GiB').close()\n" + 2 * RESULT)
    own = Counter(file for file in files if "/jobclusters/" in file or "/dask_jobqueue/" in file)
    assert {file.rpartition("/")[2]: times for file, times in own.items()} == {
        "jobqueue.yaml": 1,
        **dict.fromkeys(("jobclusters.yaml", "base.sh.j2", "local.sh.j2", "slurm.sh.j2"), 2),
    }


def test_a_cluster_starts_its_janitor_and_its_jobs_and_nothing_else():
    _, _, programs = seen(RESULT)
    ours = [words for words in programs if words[0] != "uname"]  # with which Dask's client asks for the processor
    assert len(ours) == 2
    assert "jobclusters.registry.janitor_process" in ours[0]
    assert ours[1][-1].endswith(".sh")


def test_no_poll_is_waited_for(monkeypatch):
    """A job starts when it is submitted, and its worker counts when it registers."""
    monkeypatch.setattr(LocalQueue, "interval", 1000 * PATIENCE)
    with LocalQueueCluster(cores=1, memory="1 GiB", n_workers=1) as cluster, cluster.get_client() as client:
        assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3
