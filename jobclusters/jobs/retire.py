"""Lets workers go without a loss: they finish their tasks where they may, and their results are moved to others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
#: Workers that are told without a pause to take no more tasks.
SLICE = 100


class Retirement:
    """Lets the workers of jobs go; once the cluster is ``closing``, their tasks needn't be finished."""

    def __init__(self, view: SchedulerView, closing: Callable[[], bool]) -> None:
        self._view = view
        self._closing = closing

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Move what the jobs' workers hold to others, and let the workers go."""
        jobs = {record.name for record in records}
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

    async def drained(self, records: Sequence[JobRecord]) -> AsyncIterator[list[JobRecord]]:
        """Give jobs' workers no more tasks; give those that have done what they had, or whose walltime ends."""
        left = {record.name: record for record in records}
        for number, worker in enumerate(self._view.workers(left), 1):
            self._view.give_no_more_tasks(worker)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        while left:
            busy = set[str]() if self._closing() else self._view.busy(left)
            now = time.monotonic()
            done = [
                record
                for name, record in left.items()
                if name not in busy or (record.leaves_at is not None and now >= record.leaves_at)
            ]
            for record in done:
                del left[record.name]
            if done:
                yield done
            if left:
                await asyncio.sleep(DRAIN_INTERVAL)  # Dask has no event
