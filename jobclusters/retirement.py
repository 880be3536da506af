"""Lets workers go without a loss: they finish their tasks where they may, and their results are moved to others."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from distributed.core import Status

from jobclusters.keeper import job_of
from jobclusters.record import JobRecord

logger = logging.getLogger(__name__)

#: Seconds that moving results away from leaving workers may take.
RETIRE = 300.0
#: Seconds between two looks whether busy workers that leave have finished.
DRAINED = 0.2


class Retirement:
    """Lets the workers of jobs go.

    Parameters
    ----------
    scheduler
        Gives the Dask scheduler, or None where there is none.
    closing
        Tells whether the cluster is to close: then tasks needn't be finished.
    """

    def __init__(self, scheduler: Callable[[], Any], closing: Callable[[], bool]) -> None:
        self._scheduler = scheduler
        self._closing = closing

    def _workers(self, jobs: Collection[str] | None = None) -> list[Any]:
        """List the registered workers of some jobs, or all."""
        scheduler = self._scheduler()
        workers = [] if scheduler is None else list(scheduler.workers.values())
        return workers if jobs is None else [each for each in workers if job_of(each.name, jobs) is not None]

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let the workers go."""
        jobs = {record.name for record in records}
        await self._drain([record for record in records if record.draining])
        deadline = asyncio.get_running_loop().time() + RETIRE
        while (names := [each.name for each in self._workers(jobs)]) and (scheduler := self._scheduler()) is not None:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                logger.error("Results could not be moved from %s within %g s, and are lost.", ", ".join(names), RETIRE)
                return
            retiring = scheduler.retire_workers(names=names, close_workers=True, remove=True)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(retiring, left)
            if len(self._workers(jobs)) == len(self._workers()):
                return  # nobody is left who could take anything
            if self._workers(jobs):
                await asyncio.sleep(1)  # the others are full, or busy taking; Dask has given up for now

    async def _drain(self, records: Sequence[JobRecord]) -> None:
        """Give jobs' workers no more tasks, and wait until they have done those they have, or their walltime ends."""
        names = {record.name for record in records}
        until = min((record.leaves for record in records if record.leaves is not None), default=math.inf)

        def busy() -> bool:
            return time.monotonic() < until and any(worker.processing for worker in self._workers(names))

        for worker in self._workers(names):
            self._scheduler().handle_worker_status_change(
                Status.closing_gracefully, worker, stimulus_id="jobclusters-drain"
            )
        while names and not self._closing() and busy():  # noqa: ASYNC110 -- Dask tells nobody
            await asyncio.sleep(DRAINED)
