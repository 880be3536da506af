"""Submitting and cancelling N jobs, side by side with dask-jobqueue in one run.

On the batch system whose ``sbatch`` is on the PATH, and on a scripted one whose commands cost next to nothing. Jobs
are held back by ``--begin``, so that only the batch system's commands are measured. Prints Markdown tables.

    python benchmarks/jobs.py [N ...]
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dask_jobqueue

import jobclusters

KEYWORDS: dict[str, Any] = {
    "cores": 1,
    "memory": "500 MB",
    "queue": "big",
    "walltime": "00:10:00",
    "job_extra_directives": ["--begin=now+1hour"],
    "asynchronous": True,
    "scheduler_options": {"dashboard": False, "dashboard_address": ":0"},
}

SBATCH = """#!/bin/sh
cat ${1:+"$@"} >/dev/null 2>&1 || cat >/dev/null
count=1
for option; do case $option in --array=0-*) count=$((${option#--array=0-} + 1));; esac; done
id=$(($(ls "$JOBS" | wc -l) + 1))
while ! mkdir "$JOBS/$id" 2>/dev/null; do id=$((id + 1)); done
echo "$count" >"$JOBS/$id/count"
echo "$id"
"""
SCANCEL = """#!/bin/sh
for id; do rm -rf "$JOBS/${id%%_*}/count"; done
"""
SQUEUE = """#!/bin/sh
state='PENDING||N/A|N/A|N/A|BeginTime'
[ -e "$JOBS/../running" ] && state='RUNNING|n1|2026-11-29T05:00:00|2026-11-29T05:00:00|2026-11-30T05:00:00|None'
for job in "$JOBS"/*; do
  [ -e "$job/count" ] && awk -v id="${job##*/}" -v state="$state" '{for (i = 0; i < $1; i++)
    print id "|" ($1 > 1 ? i : "N/A") "|" state}' "$job/count"
done
exit 0
"""


class Loop:
    """Watches the event loop: its longest gap, and the processes started from it."""

    def __init__(self) -> None:
        self.gap = 0.0
        self.processes = 0
        self.seconds = 0.0

    @asynccontextmanager
    async def watched(self) -> Any:
        """Watch a stretch of time."""
        real = asyncio.create_subprocess_exec

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.processes += 1
            return await real(*args, **kwargs)

        async def tick() -> None:
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                self.gap = max(self.gap, now - last - 0.001)
                last = now

        asyncio.create_subprocess_exec = counted  # type: ignore[assignment]
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0.01)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds = time.perf_counter() - started
            await asyncio.sleep(0.01)
            ticking.cancel()
            asyncio.create_subprocess_exec = real


async def when(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    while not condition():
        await asyncio.sleep(0.002)


async def measure(
    make: Callable[..., Awaitable[Any]], submitted: Callable[[Any], int], left: Callable[[Any], int], count: int
) -> tuple[Loop, Loop]:
    """Submit and cancel jobs; give what was seen of each."""
    cluster = await make(**KEYWORDS)
    await asyncio.sleep(0.2)
    submit, cancel = Loop(), Loop()
    async with submit.watched():
        cluster.scale(jobs=count)
        await when(lambda: submitted(cluster) == count)
    async with cancel.watched():
        cluster.scale(jobs=0)
        await when(lambda: left(cluster) == 0)
    await cluster.close()
    return submit, cancel


SIDES: dict[str, tuple[Any, Callable[[Any], int], Callable[[Any], int]]] = {
    "dask-jobqueue": (
        dask_jobqueue.SLURMCluster,
        lambda cluster: sum(job.job_id is not None for job in cluster.workers.values()),
        lambda cluster: len(cluster.workers),
    ),
    "jobclusters": (
        jobclusters.SLURMCluster,
        lambda cluster: sum(record.job_id is not None for record in cluster.pool.records.values()),
        lambda cluster: len(cluster.pool.records),
    ),
}


def table(title: str, counts: list[int]) -> None:
    """Measure both sides, and print a row for each."""
    print(f"\n**{title}**\n")
    print("| jobs | | submit: processes | s | longest gap, ms | cancel: processes | s | longest gap, ms |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for count in counts:
        seconds = {}
        for name, (make, submitted, left) in SIDES.items():
            submit, cancel = asyncio.run(measure(make, submitted, left, count))
            seconds[name] = (submit.seconds, cancel.seconds)
            cells = [f"{each.processes} | {each.seconds:.3f} | {1000 * each.gap:.0f}" for each in (submit, cancel)]
            print(f"| {count} | {name} | {' | '.join(cells)} |", flush=True)
        ratios = [theirs / ours for theirs, ours in zip(seconds["dask-jobqueue"], seconds["jobclusters"], strict=True)]
        print(f"| {count} | *times faster* | | *{ratios[0]:.0f}* | | | *{ratios[1]:.0f}* | |", flush=True)


def install(directory: Path) -> None:
    """Put the scripted batch system first on the PATH. Its jobs run while there is a file ``running``."""
    for name, text in {"sbatch": SBATCH, "scancel": SCANCEL, "squeue": SQUEUE, "scontrol": "#!/bin/sh\n"}.items():
        path = directory / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    jobs = directory / "jobs"
    jobs.mkdir()
    os.environ["JOBS"] = str(jobs)
    os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"


def main() -> None:
    """Run on what is here, then on the scripted system."""
    counts = [int(argument) for argument in sys.argv[1:]] or [10, 100, 1000]
    if shutil.which("sbatch"):
        table("The dockerized SLURM", counts)
    with tempfile.TemporaryDirectory() as directory:
        install(Path(directory))
        table("A scripted batch system", counts)


if __name__ == "__main__":
    main()
