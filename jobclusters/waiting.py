"""Waits for workers, and shows how it stands meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

from distributed.core import Status
from distributed.deploy.cluster import Cluster

from jobclusters.display import Display, open_display
from jobclusters.errors import QueueError
from jobclusters.progress import Progress, check_timeout, workers_meant

#: Seconds between two looks.
INTERVAL = 0.25
#: Seconds after which something is shown: waits that are over before need no words.
SHOWN_AFTER = 0.5


class WaitingCluster(Cluster):  # type: ignore[misc]
    """The part of a cluster that waits for workers.

    It uses what is public of a cluster alone: ``jobs``, ``groups``, ``plan`` and ``scheduler_info``.
    """

    def wait_for_workers(
        self, n_workers: float, timeout: float | str | None = None, *, progress: bool | None = None
    ) -> Any:
        """Wait for workers; show those that arrive, what others wait for, and when they are expected.

        Parameters
        ----------
        n_workers
            How many; or a fraction of those that were asked for, such as ``0.5`` (rounded up). ``1`` is one worker,
            ``1.0`` all of them.
        timeout
            Seconds, or text such as ``"10 minutes"``; no limit unless given.
        progress
            False shows nothing; True also shows it where there is neither a terminal nor a notebook. Unless given,
            ``jobclusters.progress`` of the configuration says it.

        Raises
        ------
        InvalidRequest
            If ``n_workers`` is neither, or ``timeout`` no time.
        JobsFailed, Refused
            If they won't come, with the reason.
        distributed.WorkerStartTimeoutError
            After the timeout.
        """
        wanted = workers_meant(n_workers, _asked_for(self))
        check_timeout(timeout)
        if self.status in (Status.closing, Status.closed):
            raise QueueError(f"cluster {self.name} is closed{because(self)}: no workers will come")
        display = open_display(progress)
        look = _looks(self, wanted)
        if self.asynchronous:
            return self._wait_showing(wanted, timeout, display, look)
        # Not on the event loop: a terminal that is stopped by Ctrl-S would hold it up, and Dask's scheduler with it.
        loop = self.loop.asyncio_loop
        waiting = asyncio.run_coroutine_threadsafe(self._wait_for_workers(wanted, timeout), loop)
        with _shown(display, waiting) as show:
            while not futures.wait([waiting], INTERVAL).done:
                if self.status is Status.closed:
                    raise QueueError(f"cluster {self.name} was closed{because(self)}: no more workers will come")
                looking = asyncio.run_coroutine_threadsafe(_on_loop(look), loop)
                if looking in futures.wait([waiting, looking], INTERVAL, futures.FIRST_COMPLETED).done:
                    show(looking.result())
            waiting.result()
            show(asyncio.run_coroutine_threadsafe(_on_loop(look), loop).result())
        return None

    async def _wait_showing(
        self, wanted: int, timeout: float | str | None, display: Display, look: Callable[[], Progress]
    ) -> None:
        waiting = asyncio.ensure_future(self._wait_for_workers(wanted, timeout))
        with _shown(display, waiting) as show:
            while not (await asyncio.wait([waiting], timeout=INTERVAL))[0]:
                show(look())
            await waiting
            show(look())


@contextmanager
def _shown(display: Display, waiting: Any) -> Iterator[Callable[[Progress], None]]:
    """Show progress, but not that of a short wait; whatever happens, the wait is over at the end."""
    began = time.monotonic()

    def show(progress: Progress) -> None:
        if time.monotonic() - began > SHOWN_AFTER:
            display.show(progress)

    try:
        yield show
    finally:
        waiting.cancel()
        display.end()


async def _on_loop(look: Callable[[], Progress]) -> Progress:
    return look()


def _looks(cluster: Any, wanted: int) -> Callable[[], Progress]:
    """Look at the cluster, leaving out the jobs that have ended before now."""
    before = {job_id for job_id, status in cluster.jobs.items() if status.state.ended}

    def look() -> Progress:
        jobs = {job_id: status for job_id, status in cluster.jobs.items() if job_id not in before}
        return Progress(len(cluster.scheduler_info["workers"]), wanted, jobs)

    return look


def _asked_for(cluster: Any) -> int:
    """Count the workers that there should be; adaptive groups will have their minimum, at least."""
    total = 0
    for group in list(cluster.groups.values()):
        least = 0 if group.policy is None else group.policy.minimum
        total += max(group.wanted, least) * group.spec.processes
    return total


def because(cluster: Any) -> str:
    """Say why a cluster has closed, where it knows."""
    why = getattr(cluster, "_why", "")
    return f" ({why})" if why else ""
