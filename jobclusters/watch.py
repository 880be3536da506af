"""Watches jobs: one question for all of them, only while there is something to learn, slower when nothing changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from jobclusters.batchqueue import BatchQueue
from jobclusters.errors import QueueError
from jobclusters.record import JobRecord
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

#: Seconds between two questions while nothing changes, and when all jobs run and have their workers:
#: then Dask itself tells of most losses, at once.
SLOWEST = 30.0
AT_REST = 60.0
#: Ended jobs asked about one by one after a question; the rest of a mass death is explained by these.
DETAILS = 5


class Watch:
    """Keeps the records of a :class:`~jobclusters.batchqueue.BatchQueue` true.

    Parameters
    ----------
    queue
        Whose jobs.
    count_workers
        Gives the number of registered workers, by the name of their job.
    ended
        Told of jobs that have ended, or lost all their workers, without our asking.
    requeued
        Told of jobs that went back to the queue, with the same id.
    lost_after
        Seconds after which a running job without the workers it had is given up.
    """

    def __init__(
        self,
        queue: BatchQueue,
        count_workers: Callable[[], Mapping[str, int]],
        ended: Callable[[Sequence[JobRecord]], None],
        requeued: Callable[[JobRecord], None],
        lost_after: float,
    ) -> None:
        self._queue = queue
        self._count_workers = count_workers
        self._ended = ended
        self._requeued = requeued
        self._lost_after = lost_after
        self._lost_since: dict[str, float] = {}
        self._interval = queue.verbs.interval
        self._silent = False

    def hurry(self) -> None:
        """Ask soon: something happened."""
        self._interval = self._queue.verbs.interval
        self._queue.changed.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._pause()
            followed = [record for record in self._queue.records.values() if record.job_id is not None]
            if not followed:
                continue
            try:
                states = await self._queue.verbs.states([str(record.job_id) for record in followed])
            except QueueError as error:  # no answer is no information: nothing is declared dead
                self._no_answer(error)
                continue
            except Exception as error:
                logger.exception("What the batch system answered can't be read; please report this")
                self._no_answer(error)
                continue
            if self._silent:
                self._silent = False
                logger.warning("The batch system answers again.")
            await self._learn(followed, states)

    async def _pause(self) -> None:
        """Wait for the next question: at least the queue's interval, then until something happens or time is up."""
        await asyncio.sleep(self._queue.verbs.interval)
        followed = any(record.job_id is not None for record in self._queue.records.values())
        # Not asyncio.wait_for: before Python 3.12 it can swallow a cancellation that comes together with the event.
        changed = asyncio.ensure_future(self._queue.changed.wait())
        try:
            await asyncio.wait([changed], timeout=self._interval if followed else None)
        finally:
            changed.cancel()
        if self._queue.changed.is_set():
            self._interval = self._queue.verbs.interval
        self._queue.changed.clear()

    def _no_answer(self, error: Exception) -> None:
        if not self._silent:
            self._silent = True
            logger.warning("The batch system does not answer; its jobs are left as they are. %s", error)
        self._interval = min(2 * self._interval, SLOWEST)

    async def _learn(self, followed: Sequence[JobRecord], states: Mapping[str, JobStatus]) -> None:
        workers = self._count_workers()
        before = [record.status for record in followed]
        ended = [record for record in followed if self._update(record, states.get(str(record.job_id)), workers)]
        gone = [record for record in ended if not record.leaving]
        await self._explain(gone)
        for record in ended:
            self._lost_since.pop(record.name, None)
            self._queue.forget(record)
        if gone:
            self._ended(gone)
        if [record.status for record in followed] != before:
            self._interval = self._queue.verbs.interval
        elif all(record.status.state is JobState.RUNNING and record.status.workers for record in followed):
            self._interval = AT_REST
        else:
            self._interval = min(1.5 * self._interval, SLOWEST)

    def _update(self, record: JobRecord, status: JobStatus | None, workers: Mapping[str, int]) -> bool:
        """Bring a record up to date; tell whether its job is over."""
        if record.name not in self._queue.records:  # it ended by our own doing while the question was under way
            return False
        count = workers.get(record.name, 0)
        record.had_worker |= count > 0
        if status is None:  # once may be the batch system's delay
            record.missing += 1
            if record.missing < 2:
                return False
            record.status = replace(record.status, state=JobState.GONE, workers=count)
            return True
        record.missing = 0
        if status.state is JobState.UNKNOWN:
            status = replace(record.status, reason=status.reason)
        again = _requeued(record.status, status)
        restarts = max(status.restarts, record.status.restarts + again)
        record.status = replace(status, restarts=restarts, workers=count)
        if again or status.state is JobState.PENDING:
            record.began = None
        if status.state is JobState.RUNNING and record.began is None:
            record.began = time.monotonic()
        if again:
            logger.warning("Job %s went back to the queue (%s).", record.job_id, status.reason or "requeued")
            self._requeued(record)
        return status.state.ended or self._lost(record)

    def _lost(self, record: JobRecord) -> bool:
        """Tell whether a running job has been without the workers it had for too long; cancel it then."""
        if (
            record.status.state is not JobState.RUNNING
            or not record.had_worker
            or record.status.workers
            or record.leaving
        ):
            self._lost_since.pop(record.name, None)
            return False
        now = asyncio.get_running_loop().time()
        since = self._lost_since.setdefault(record.name, now)
        if now - since < self._lost_after:
            return False
        self._lost_since.pop(record.name, None)
        record.status = replace(record.status, reason="its workers are gone")
        self._queue.leave(record)
        self._ended([record])
        return False

    async def _explain(self, records: Sequence[JobRecord]) -> None:
        """Ask for exit codes of jobs that failed."""
        failed = [record for record in records if record.status.state is not JobState.COMPLETED]
        for record in failed[:DETAILS]:
            with suppress(QueueError):
                detail = await self._queue.verbs.detail(str(record.job_id))
                if detail is not None and detail.state.ended:
                    record.status = replace(detail, workers=record.status.workers)


def _requeued(before: JobStatus, now: JobStatus) -> bool:
    """Tell whether a job went back to the queue. If it already runs again, its start or its restarts tell."""
    if before.state not in (JobState.RUNNING, JobState.COMPLETING):
        return False
    anew = before.started is not None and now.started != before.started
    return now.state is JobState.PENDING or (now.state is JobState.RUNNING and (anew or now.restarts > before.restarts))
