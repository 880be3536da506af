"""What it costs until a job's workers have registered, side by side with dask-jobqueue in one run.

The same job of 1, 4 and 16 workers, once by dask-jobqueue's script and once by ours, on this machine and in turns:
processor seconds and memory of all its processes, and the files that they have opened, which strace counts. Without
pages of a dashboard on both sides. Prints a Markdown table.

    python benchmarks/starts.py [WORKERS ...]
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from dask_jobqueue.slurm import SLURMJob
from distributed import LocalCluster

from jobclusters.batch.script import render
from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS

#: Rounds with times, of which the median counts, for each number of workers.
ROUNDS = 3
#: Seconds after which a job counts as broken.
START_TIMEOUT = 300


def theirs(workers: int, scheduler: str) -> str:
    """Give dask-jobqueue's script."""
    job = SLURMJob(
        scheduler,
        name="theirs",
        cores=workers,
        processes=workers,
        memory=f"{workers} GiB",
        python=sys.executable,
        worker_extra_args=["--no-dashboard"],
    )
    return str(job.job_script())


def ours(workers: int, scheduler: str) -> str:
    """Give the script of jobclusters."""
    dialect = DIALECTS["slurm"]
    keywords = {"cores": workers, "processes": workers, "memory": f"{workers} GiB"}
    return render(resolve(dialect, keywords, settings.site(dialect), "ours", scheduler), dialect)


SIDES: dict[str, Callable[..., str]] = {"dask-jobqueue": theirs, "jobclusters": ours}


@dataclass
class Cost:
    """What a job has cost until all of its workers had registered."""

    cpu: float = 0.0
    memory: float = 0.0
    wall: float = 0.0
    files: float = 0.0


@contextmanager
def running(text: str, prefix: tuple[str, ...] = ()) -> Iterator[psutil.Process]:
    """Run a job's script as a session of its own."""
    with tempfile.TemporaryDirectory() as directory, Path(directory, "log").open("w+b") as log:
        job = subprocess.Popen(
            [*prefix, "/bin/bash", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            start_new_session=True,
        )
        try:
            yield psutil.Process(job.pid)
        except BaseException:
            log.seek(0)
            print(log.read().decode(), file=sys.stderr)
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGTERM)
            try:
                job.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()


def until_registered(cluster: LocalCluster, count: int) -> None:
    """Wait until a number of workers have registered."""
    deadline = time.monotonic() + START_TIMEOUT
    while len(cluster.scheduler.workers) != count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(cluster.scheduler.workers)} of {count} workers have registered")
        time.sleep(0.005)


def measure(text: str, count: int, cluster: LocalCluster) -> Cost:
    """Run a job until its workers have registered, and see what its processes have used."""
    cost, started = Cost(), time.perf_counter()
    with running(text) as job:
        until_registered(cluster, count)
        cost.wall = time.perf_counter() - started
        for process in [job, *job.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                cost.cpu += sum(process.cpu_times()[:4])
                cost.memory += process.memory_full_info().pss / 2**20
    until_registered(cluster, 0)
    return cost


def opened(text: str, count: int, cluster: LocalCluster) -> float:
    """Count the files that a job's processes have opened until its workers have registered."""
    with tempfile.TemporaryDirectory() as directory:
        strace = (
            "strace",
            "-f",
            "-q",
            "-e",
            "trace=openat,open",
            "-e",
            "status=successful",
            "-o",
            f"{directory}/calls",
        )
        with running(text, strace):
            until_registered(cluster, count)
            calls = Path(directory, "calls").read_text(errors="replace")
        until_registered(cluster, 0)
    return float(sum("open" in line and " = " in line and "/proc/" not in line for line in calls.splitlines()))


def main() -> None:
    """Measure both sides, and print a row for each."""
    counts = [int(argument) for argument in sys.argv[1:]] or [1, 4, 16]
    print("| workers | | processor time, s | memory, MiB | files opened | wall time, s |")
    print("|--:|---|--:|--:|--:|--:|")
    with LocalCluster(
        n_workers=0, host="127.0.0.1", protocol="tcp", dashboard_address=None, silence_logs=50
    ) as cluster:
        for count in counts:
            found: dict[str, list[Cost]] = {side: [] for side in SIDES}
            for _ in range(ROUNDS):
                for side, script in SIDES.items():
                    found[side].append(measure(script(count, cluster.scheduler_address), count, cluster))
            medians = {}
            for side, costs in found.items():
                cost = Cost(*(statistics.median(getattr(each, key) for each in costs) for key in vars(Cost())))
                if shutil.which("strace"):
                    cost.files = opened(SIDES[side](count, cluster.scheduler_address), count, cluster)
                medians[side] = cost
                row = f"{cost.cpu:.1f} | {cost.memory:.0f} | {cost.files:.0f} | {cost.wall:.1f}"
                print(f"| {count} | {side} | {row} |", flush=True)
            a, b = medians["dask-jobqueue"], medians["jobclusters"]
            ratios = [getattr(b, key) / (getattr(a, key) or 1) for key in ("cpu", "memory", "files", "wall")]
            print(f"| {count} | *ratio* | {' | '.join(f'*{each:.2f}*' for each in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
