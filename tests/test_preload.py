from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster, wait

from jobclusters import LocalQueueCluster, preload
from jobclusters.batch.script import render
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.registry import liveness
from jobclusters.registry.record import Liveness
from tests.helpers.golden import NEEDED, SMALL, site
from tests.helpers.waiting import PATIENCE, until

TERM, INT, USR2 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR2
EPILOGUE = {"job_script_epilogue": ["true"]}


@pytest.fixture(scope="module")
def scheduler():
    """A scheduler with one worker, which takes what jobs hand over."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler


@pytest.mark.parametrize(
    ("system", "keywords", "signals", "status"),
    [
        ("lsf", {"processes": 2, "cores": 2}, [INT, INT, TERM], -INT),
        ("lsf", {"nanny": False}, [INT, TERM], -INT),
        ("lsf", EPILOGUE, [USR2, INT, TERM], -USR2),
        ("sge", {}, [USR2], -USR2),
    ],
)
def test_a_job_hands_over_what_it_holds(scheduler, tmp_path, system, keywords, signals, status):
    """All its processes get what the batch system sends; its script, which gets it too, forwards a TERM."""
    dialect = DIALECTS[system]
    call = {**SMALL, **NEEDED.get(system, {}), **keywords}
    here = replace(site(dialect), python=sys.executable, versions=None)
    text = render(resolve(dialect, call, here, "job", scheduler.address), dialect)
    log = tmp_path / "log"
    with (
        Client(scheduler.address) as client,
        log.open("wb") as output,
        subprocess.Popen(
            ["/bin/bash", "-x", "-s"], stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        ) as job,
    ):
        job.stdin.write(text.encode())
        job.stdin.close()
        try:

            def workers():
                return [name for each in scheduler.workers.values() if (name := str(each.name)).startswith("job")]

            until(lambda: len(workers()) == keywords.get("processes", 1))
            name = workers()[0]
            futures = [client.submit(bytes, 2**20 + i, workers=[name]) for i in range(10)]
            wait(futures)
            # LSF sends the next one 10 s later; of two at the same moment bash heeds one, now and then.
            heeded = f"+ warned={signals[0].name.removeprefix('SIG')}\n".encode()
            for number in signals:
                with suppress(ProcessLookupError):
                    os.killpg(job.pid, number)
                until(lambda: all(text in log.read_bytes() for text in (b"The job is about to end", heeded)))
            assert job.wait(60) == status
            until(lambda: workers() == [])
            assert {future.status for future in futures} == {"finished"}, log.read_text()
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)


@pytest.mark.parametrize("there", [True, False])
def test_results_are_handed_over_only_where_a_scheduler_listens(monkeypatch, there):
    """Dask would try for half a minute to reach one that is gone, and the job stay in the queue for so long."""
    asked, ended = [], []

    async def retire_workers(**how):
        asked.append(how["names"])

    async def main():
        with socket.socket() as taken:  # a port of nobody else
            taken.bind(("127.0.0.1", 0))
            if there:
                taken.listen()
            await hand_over(taken.getsockname()[1])

    async def hand_over(port):
        scheduler = SimpleNamespace(address=f"tls://127.0.0.1:{port}", retire_workers=retire_workers)
        monkeypatch.setattr(preload, "_servers", [SimpleNamespace(name="job-0", scheduler=scheduler)])
        await preload._hand_over(lambda *arguments: ended.append(arguments))

    asyncio.run(main())
    assert asked == ([["job-0"]] if there else [])
    assert ended == [(signal.SIGTERM, None)]


def test_a_head_that_gets_a_term_waits_for_nothing_more(monkeypatch, tmp_path):
    """The head is gone, its node perhaps not: whoever clears up cancels this job, too, and waits until it has ended."""
    asked = []

    async def look(files):
        asked.append(files.path)
        return SimpleNamespace(liveness=Liveness.SILENT)

    async def main():
        scheduler = SimpleNamespace(address="tls://127.0.0.1:1")
        monkeypatch.setattr(preload, "_announced", asyncio.Event())
        asyncio.get_running_loop().call_later(0.1, preload._announced.set)
        await preload.dask_teardown(SimpleNamespace(scheduler=scheduler))
        await preload.dask_teardown(SimpleNamespace(scheduler=scheduler))

    monkeypatch.setenv(preload.VARIABLE, str(tmp_path))
    monkeypatch.setattr(preload, "LOOK_INTERVAL", 1000.0)
    monkeypatch.setattr(liveness, "check", look)
    asyncio.run(asyncio.wait_for(main(), 60))
    assert asked == [tmp_path]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nanny", [True, False])
def test_workers_leave_nothing_of_ours_in_their_scratch_directory(tmp_path, nanny):
    with LocalQueueCluster(
        cores=1, memory="512 MB", nanny=nanny, local_directory=str(tmp_path), n_workers=1
    ) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert [*tmp_path.rglob("*.py")] == []
        assert [*tmp_path.rglob("__pycache__")] == []


@pytest.mark.parametrize("nanny", [True, False])
def test_a_jobs_log_begins_with_what_its_worker_is(nanny):
    with LocalQueueCluster(cores=1, memory="512 MB", nanny=nanny, n_workers=1) as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        (log,) = cluster.get_job_logs().values()
        found = [line for line in log.splitlines() if "preload" in line.lower()]
        assert len(found) <= nanny, found  # a nanny's process notes it before it runs the module


def test_workers_of_a_python_without_this_package_start_all_the_same(scheduler, tmp_path):
    """A site's Python may have it on the PYTHONPATH of the login node alone."""
    (tmp_path / "jobclusters.py").write_text("raise ImportError('not here')")
    dialect = DIALECTS["slurm"]
    here = replace(site(dialect), python=sys.executable, versions=None)
    text = render(resolve(dialect, {**SMALL, "death_timeout": 60}, here, "lone", scheduler.address), dialect)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    with Client(scheduler.address) as client, (tmp_path / "log").open("wb") as output:
        job = subprocess.Popen(["/bin/bash", "-c", text], stdout=output, stderr=output, cwd=tmp_path, env=environment)
        try:
            until(lambda: job.poll() is not None or "lone" in names_of(client))
            assert job.poll() is None, (tmp_path / "log").read_text()
        finally:
            job.terminate()
            job.wait()


def names_of(client):
    return {worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()}
