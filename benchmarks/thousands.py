"""A thousand jobs, and ten thousand: commands, gaps of the event loop, memory, and what it costs to watch them.

On a scripted batch system whose commands cost next to nothing, with a Dask scheduler that holds a worker for each job,
but without workers' processes. Times are this process's CPU time, which other processes of a busy machine don't add to;
gaps are the event loop's thread's: where a thread of ours works beside it, Python lets that wait for 5 ms at most.
Prints a Markdown table, and the same for the last number of jobs as a multiple of the first.

    python -m benchmarks.thousands [N ...]
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed.core import Status
from distributed.scheduler import WorkerState

import jobclusters
from benchmarks.jobs import KEYWORDS, install, when
from jobclusters.head.registration import IDLE_INTERVAL
from jobclusters.jobs.observer import MOST_STALE
from jobclusters.jobs.poller import REST_INTERVAL
from jobclusters.jobs.pool import RENEWAL_INTERVAL

TRIES = 7
ROWS = (
    "commands that submit",
    "commands that cancel",
    "longest gap, submitting, ms",
    "longest gap, polling, ms",
    "longest gap, cancelling, ms",
    "longest garbage collection, ms",
    "memory of a job, kB",
    "cluster.jobs, ms",
    "the cluster's repr, ms",
    "a decision while tasks start and end, ms",
    "a decision at rest, ms",
    "a renewal, ms",
    "a look whether it is used, ms",
    "a poll, ms",
    "watching at rest, % of a core",
)


class Collector:
    """Adds up the CPU time of Python's garbage collector in this thread, and keeps its longest run in any.

    That goes through all that Dask's scheduler holds, whatever we do: it is told apart from our own gaps.
    """

    def __init__(self) -> None:
        self.seconds = self.longest = 0.0
        self._began = 0.0
        self._thread = threading.get_ident()
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: object) -> None:
        now = time.thread_time()
        if phase == "start":
            self._began = now
        else:
            if threading.get_ident() == self._thread:
                self.seconds += now - self._began
            self.longest = max(self.longest, now - self._began)


COLLECTOR = Collector()


class Watch:
    """Watches the event loop: its longest gap in CPU time, and the processes that are started from it."""

    def __init__(self) -> None:
        self.gap = 0.0
        self.processes: Counter[str] = Counter()

    @asynccontextmanager
    async def watched(self) -> Any:
        """Watch a stretch of time."""
        loop = asyncio.get_running_loop()
        real = loop.subprocess_exec

        async def counted(*args: Any, **keywords: Any) -> Any:
            self.processes[args[1]] += 1
            return await real(*args, **keywords)

        async def tick() -> None:
            last = time.thread_time() - COLLECTOR.seconds
            while True:
                await asyncio.sleep(0.001)
                now = time.thread_time() - COLLECTOR.seconds
                self.gap = max(self.gap, now - last)
                last = now

        loop.subprocess_exec = counted  # type: ignore[assignment,method-assign]
        ticking = asyncio.ensure_future(tick())
        await asyncio.sleep(0.01)
        try:
            yield
        finally:
            await asyncio.sleep(0.01)
            ticking.cancel()
            loop.subprocess_exec = real  # type: ignore[method-assign]


@contextmanager
def workers(cluster: Any) -> Iterator[None]:
    """Let the scheduler hold a worker of each job that has a task to do; it has no process."""
    scheduler, pool = cluster.scheduler, cluster.pool
    for number, record in enumerate(list(pool.records.values())):
        worker = WorkerState(
            address=f"tcp://10.0.0.1:{number}",
            status=Status.running,
            pid=0,
            name=record.name,
            nthreads=1,
            memory_limit=10**9,
            local_directory="",
            nanny="",
            server_id=str(number),
            scheduler=scheduler,
        )
        task = scheduler.new_task(f"task-{number}", None, "processing")
        worker.processing.add(task)
        scheduler.workers[worker.address] = worker
    pool.arrived([record.name for record in pool.records.values()])
    try:
        yield
    finally:
        scheduler.workers.clear()
        scheduler.tasks.clear()
        scheduler.task_groups.clear()
        scheduler.task_prefixes.clear()


async def timed(step: Callable[[], Any]) -> float:
    """Give the milliseconds of CPU time that a step takes, the least of several tries."""
    found = []
    for _ in range(TRIES):
        began = time.process_time()
        if asyncio.iscoroutine(result := step()):
            await result
        found.append(time.process_time() - began)
    return 1000 * min(found)


async def measure(count: int, directory: Path, *, memory: bool) -> tuple[float, ...]:
    """Submit jobs, watch them, cancel them; give what was seen, or the memory of a job in kB alone."""
    dask.config.set({"distributed.scheduler.active-memory-manager.start": False})  # of workers that have no metrics
    cluster = await jobclusters.SLURMCluster(**KEYWORDS)
    pool = cluster.pool
    submit, poll, cancel = Watch(), Watch(), Watch()
    await asyncio.sleep(0.2)
    gc.collect()
    if memory:
        tracemalloc.start()
    async with submit.watched():
        cluster.scale(jobs=count)
        await when(lambda: sum(record.job_id is not None for record in pool.records.values()) == count)
    pool._tasks[0].cancel()  # noqa: SLF001 -- the poller's: from here on it is asked
    (directory / "running").touch()
    async with poll.watched():
        await pool._poller.poll()  # noqa: SLF001
    held = 0.0
    with workers(cluster):
        pool.renew()
        if memory:
            gc.collect()
            found = tracemalloc.take_snapshot().statistics("filename")
            others = (os.path.dirname(distributed.__file__), os.path.dirname(__file__), tracemalloc.__file__)
            held = sum(each.size for each in found if not each.traceback[0].filename.startswith(others)) / count
            tracemalloc.stop()
        renewal = await timed(pool.renew)
        polling = await timed(pool._poller.poll)  # noqa: SLF001
        looking = await timed(cluster.activity)
        shown = await timed(lambda: cluster.jobs and None), await timed(lambda: repr(cluster) and None)
        scaler = cluster.adapt(minimum_jobs=count, maximum_jobs=count, interval="1h")
        deciding = await timed(scaler.adapt)

        async def news() -> None:
            cluster.scheduler.transition_counter += 1
            await scaler.adapt()

        working = await timed(news)
        scaler.stop()
    async with cancel.watched():
        cluster.scale(jobs=0)
        await when(lambda: not pool.records)
    (directory / "running").unlink()
    await cluster.close()
    if memory:
        return (held / 1000,)
    looks = (working - deciding) / 10 / MOST_STALE
    rest = looks + deciding / 10 + renewal / 10 / RENEWAL_INTERVAL + looking / 10 / IDLE_INTERVAL
    rest += polling / 10 / REST_INTERVAL
    gaps = (1000 * each.gap for each in (submit, poll, cancel))
    return (
        submit.processes["sbatch"],
        cancel.processes["scancel"],
        *gaps,
        *shown,
        working,
        deciding,
        renewal,
        looking,
        polling,
        rest,
    )


def main() -> None:
    """Print the table."""
    counts = [int(argument) for argument in sys.argv[1:]] or [1000, 10_000]
    found = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        install(directory)
        for count in counts:
            seen = [*asyncio.run(measure(count, directory, memory=False))]
            seen.insert(5, 1000 * COLLECTOR.longest)
            COLLECTOR.longest = 0.0
            seen[6:6] = asyncio.run(measure(count, directory, memory=True))
            found.append(seen)
    print(f"| | {' | '.join(f'{count:,} jobs' for count in counts)} | ratio |\n|---|{'--:|' * (len(counts) + 1)}")
    for row, *values in zip(ROWS, *found, strict=True):
        cells = [f"{value:.3g}" for value in (*values, values[-1] / values[0])]
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
