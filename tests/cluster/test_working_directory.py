"""What workers find in the working directory, where a person's own files are, and perhaps other people's."""

from __future__ import annotations

import os
import sys

import dask.config
import pytest

from jobclusters import LocalQueueCluster, Refused, SLURMCluster
from tests.helpers.waiting import PATIENCE

SHADOWS = ("click", "json", "logging", "multiprocessing", "runpy", "select", "signal", "struct", "yaml")

MINE = """
import multiprocessing
import subprocess
import os
import sys
from distributed import Worker

class MyWorker(Worker): pass
def double(number): return 2 * number
def double_elsewhere(number):  # in a process of the worker's own
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(double, [number])
def path_of_child():
    code = "import sys; print(sys.path[0])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A directory with a program's module and with files that have the names of modules of Python and of Dask."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__name__)\nraise SystemExit")
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import mine

    monkeypatch.setattr(sys, "path", sys.path[1:])  # the client has it, and its own processes find nothing there
    yield mine
    del sys.modules["mine"]


@pytest.mark.parametrize(
    "keywords",
    [
        {"worker_class": "mine.MyWorker"},
        {"worker_class": "mine.MyWorker", "nanny": False, "processes": 1},
        {"processes": 2, "worker_options": {"preload": "mine"}},
        {"processes": 2, "worker_class": "mine.MyWorker", "forks": False},
        {"python": f"env A=1 {sys.executable}"},
    ],
)
def test_workers_find_a_programs_modules_there_and_none_in_the_place_of_pythons(program, tmp_path, keywords):
    keywords = {**keywords}
    settings = {"jobclusters.local.oversubscribe": True, "jobclusters.fork-workers": keywords.pop("forks", True)}
    with (
        dask.config.set(settings),
        LocalQueueCluster(cores=2, memory="600 MiB", n_workers=1, **keywords) as cluster,
        cluster.get_client() as client,
    ):
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert client.submit(program.double, 4).result(PATIENCE) == 8
        if keywords.get("nanny") is False:  # those of nannies may have no children
            assert client.submit(program.double_elsewhere, 4).result(PATIENCE) == [8]
        assert client.submit(program.path_of_child).result(PATIENCE) == "", (
            "programs that tasks start find their modules as ever"
        )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("cls", [LocalQueueCluster, SLURMCluster])
def test_a_directory_that_is_gone_is_said_to_be(tmp_path, monkeypatch, cls):
    (tmp_path / "gone").mkdir()
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 7\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with (
        pytest.raises(Refused, match="directory in which this program works is no longer there"),
        cls(cores=1, memory="512 MB", n_workers=1, interface="lo") as cluster,
    ):
        cluster.wait_for_workers(1, timeout=PATIENCE)
