"""Lets workers go without a loss: they finish their tasks where they may, and their results are moved to others."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from jobclusters.jobs.record import JobRecord
from jobclusters.jobs.scheduler_view import SchedulerView

logger = logging.getLogger(__name__)

#: Seconds that moving results away from leaving workers may take.
RETIRE_TIMEOUT = 300.0
#: Seconds between two attempts to move results, where the other workers are full, or busy taking.
RETIRE_INTERVAL = 1.0
#: Seconds between two looks whether busy workers that leave have finished.
DRAIN_INTERVAL = 0.2


class Retirement:
    """Lets the workers of jobs go; once the cluster is ``closing``, their tasks needn't be finished."""

    def __init__(self, view: SchedulerView, closing: Callable[[], bool]) -> None:
        self._view = view
        self._closing = closing

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let the workers go."""
        jobs = {record.name for record in records}
        await self._drain([record for record in records if record.draining])
        deadline = asyncio.get_running_loop().time() + RETIRE_TIMEOUT
        while names := [each.name for each in self._view.workers(jobs)]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                lost = ", ".join(map(str, names))
                logger.error("Results could not be moved from %s within %g s, and are lost.", lost, RETIRE_TIMEOUT)
                return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._view.retire(names), left)
            if len(self._view.workers(jobs)) == len(self._view.workers()):
                return  # no other worker is there that could take anything
            if self._view.workers(jobs):
                await asyncio.sleep(RETIRE_INTERVAL)  # Dask has given up for now

    async def _drain(self, records: Sequence[JobRecord]) -> None:
        """Give jobs' workers no more tasks, and wait until they have done those they have, or their walltime ends."""
        jobs = {record.name for record in records}
        until = min((record.leaves_at for record in records if record.leaves_at is not None), default=math.inf)
        self._view.give_no_more_tasks(jobs)
        while jobs and not self._closing() and time.monotonic() < until and self._view.busy(jobs):  # noqa: ASYNC110 -- Dask has no event
            await asyncio.sleep(DRAIN_INTERVAL)
