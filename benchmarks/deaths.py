"""A thousand jobs that end in one moment: for how long the event loop is blocked, and what is logged.

On a scripted batch system, with a Dask scheduler but without workers' processes; each job has printed 16 kB. Prints a
row of a Markdown table for each number of jobs.

    python benchmarks/deaths.py [N ...]
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from jobclusters.state import JobState
from jobclusters.testing import ScriptedCluster, ScriptedQueue


class Log(logging.Handler):
    """Counts what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a message."""
        self.size += len(record.getMessage())


def write(names: list[str]) -> None:
    """Write what a job has printed."""
    for name in names:
        Path(name).write_text("x" * 16_000)


async def measure(count: int, directory: str) -> tuple[float, float, int]:
    """Let jobs end; give the longest gap in seconds, the processor time in seconds, and the size of the log."""
    queue, log = ScriptedQueue(hold=True), Log()
    options = {"dashboard": False, "dashboard_address": ":0"}
    logging.getLogger("jobclusters").addHandler(log)
    async with ScriptedCluster(
        queue, cores=1, memory="1 GiB", log_directory=directory, asynchronous=True, scheduler_options=options
    ) as cluster:
        cluster.scale(jobs=count)
        await cluster
        while any(record.job_id is None for record in cluster.pool.records.values()):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        for job_id in queue.living():
            write(queue.log_files(job_id, directory, ""))
        gap, last, log.size, processor = 0.0, time.perf_counter(), 0, time.process_time()
        for job_id in queue.living():
            queue.end(job_id, JobState.FAILED, exit_code=1)
        cluster.pool.hurry()
        until = time.perf_counter() + 60
        while not (cluster.pool.stopped and not cluster.pool.records) and time.perf_counter() < until:
            last = time.perf_counter()
            await asyncio.sleep(0.001)
            gap = max(gap, time.perf_counter() - last - 0.001)
        processor = time.process_time() - processor
        size = log.size
        logging.getLogger("jobclusters").removeHandler(log)
    return gap, processor, size


def main() -> None:
    """Measure each number of jobs."""
    logging.getLogger("jobclusters").propagate = False
    print("| jobs that end at once | longest gap, ms | processor time, ms | log, kB |")
    print("|--:|--:|--:|--:|")
    for count in [int(argument) for argument in sys.argv[1:]] or [100, 1000]:
        with tempfile.TemporaryDirectory() as directory:
            gap, processor, size = asyncio.run(measure(count, directory))
        print(f"| {count} | {1000 * gap:.0f} | {1000 * processor:.0f} | {size / 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
