"""Polls jobs: one question for all of them, only while there is something to learn, slower when nothing changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from jobclusters.errors import QueueError, describe
from jobclusters.guard import Guard
from jobclusters.jobs.record import ABSENCES, JobRecord, walltime_end
from jobclusters.jobs.submitter import Submitter
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

#: Seconds between two questions while nothing changes, and when all jobs run and have their workers:
#: then Dask itself reports most losses, at once.
SLOWEST_INTERVAL = 30.0
REST_INTERVAL = 60.0
#: Ended jobs asked about one by one after a question; the rest of a mass death is explained by these.
MOST_LOOKED_UP = 5
#: Jobs of an answer that are read without a pause: Dask's scheduler has its turn between them.
SLICE = 200


class Subscriber(Protocol):
    """Has the jobs that a poller asks about, and is given what it learns."""

    @property
    def records(self) -> Mapping[str, JobRecord]:
        """All jobs, by name."""

    def count_workers(self) -> Mapping[str, int]:
        """Count the registered workers of each job."""

    async def ended(self, records: Sequence[JobRecord]) -> None:
        """Note jobs that have ended without our asking, before they are forgotten: the scaler may look at any time."""

    def replace_ended(self, records: Sequence[JobRecord]) -> None:
        """Let others take the places of jobs that have ended, and are forgotten."""

    def worked(self, record: JobRecord) -> None:
        """Note that a worker of a job has registered, and on which node."""

    def lost_workers(self, record: JobRecord) -> None:
        """Give up a running job that has been without its workers for too long."""

    def requeued(self, record: JobRecord) -> None:
        """Note that a job went back to the queue, with the same id."""


class Poller:
    """Keeps the records of jobs up to date.

    Parameters
    ----------
    submitter, subscriber
        Of the jobs: the subscriber has their records, and is given what becomes of them.
    lost_after
        Seconds after which a running job without the workers it had is given up.
    absent_after
        Seconds after which a job is given up that the batch system's answers don't hold, and that has no connected
        worker.
    """

    def __init__(
        self, submitter: Submitter, subscriber: Subscriber, lost_after: float, absent_after: float = 60.0
    ) -> None:
        self._submitter = submitter
        self._batch_system = submitter.batch_system
        self._subscriber = subscriber
        self._lost_after = lost_after
        self._absent_after = absent_after
        #: Absent jobs whose end was looked up.
        self._looked_up: set[JobRecord] = set()
        self._alike = _Alike()
        self._guard = Guard("Polling the jobs")
        self._looking_up = Guard("Looking up how jobs ended", "they count as ended all the same")
        self._lost_since: dict[str, float] = {}
        self._interval = submitter.batch_system.interval
        self._silent = False

    def hurry(self) -> None:
        """Ask soon: something happened."""
        self._interval = self._batch_system.interval
        self._submitter.changed.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            with self._guard:
                await self._pause()
                await self.poll()
            if self._guard.error is not None:
                await asyncio.sleep(self._batch_system.interval)

    async def poll(self) -> None:
        """Ask once, and act upon the answer."""
        followed = self._followed()
        asked = [*followed, *self._submitter.given_up]
        if not asked:
            return
        asked_at = time.monotonic()
        try:
            states = await self._batch_system.states([str(record.job_id) for record in asked])
        except Exception as error:  # no answer is no information: nothing is declared dead
            self._no_answer(error)
            return
        if self._silent:
            self._silent = False
            logger.warning("The batch system answers again.")
        self._submitter.answered(states)
        await self._learn(followed, states, asked_at)

    def _followed(self) -> list[JobRecord]:
        return [record for record in list(self._subscriber.records.values()) if record.job_id is not None]

    async def _pause(self) -> None:
        """Wait for the next question: at least the queue's interval, then until something happens or time is up."""
        await asyncio.sleep(self._batch_system.interval)
        asks = bool(self._followed() or self._submitter.given_up)
        # Not asyncio.wait_for: before Python 3.12 it can swallow a cancellation that comes together with the event.
        changed = asyncio.ensure_future(self._submitter.changed.wait())
        try:
            await asyncio.wait([changed], timeout=self._interval if asks else None)
        finally:
            changed.cancel()
        if self._submitter.changed.is_set():
            self._interval = self._batch_system.interval
        self._submitter.changed.clear()

    def _no_answer(self, error: Exception) -> None:
        if not self._silent:
            self._silent = True
            if isinstance(error, QueueError):
                logger.warning("The batch system does not answer; its jobs are left as they are. %s", describe(error))
            else:
                logger.error("What the batch system answered can't be read; please report this", exc_info=error)
        self._interval = min(2 * self._interval, SLOWEST_INTERVAL)
        self._learn_from_workers()

    def _learn_from_workers(self) -> None:
        """Count the workers of jobs without the batch system: a job whose workers are connected runs."""
        workers = self._subscriber.count_workers()
        for record in self._followed():
            count = workers.get(record.name, 0)
            record.had_worker |= count > 0
            waits = record.status.state is JobState.PENDING
            if count and waits:
                record.began_at = record.began_at or time.monotonic()
            state = JobState.RUNNING if count and waits else record.status.state
            if (state, count) != (record.status.state, record.status.workers):
                reason = "" if count and waits else record.status.reason
                record.status = replace(record.status, state=state, reason=reason, workers=count)

    async def _learn(self, followed: Sequence[JobRecord], states: Mapping[str, JobStatus], asked_at: float) -> None:
        workers = self._subscriber.count_workers()
        before = [record.status for record in followed]
        ended: list[JobRecord] = []
        fault: Exception | None = None
        for number, record in enumerate(followed):
            try:
                if self._update(record, states.get(str(record.job_id)), workers, asked_at):
                    ended.append(record)
            except Exception as error:  # one job's must not keep the others from being looked at
                fault = error
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        self._alike.clear()
        ended += await self._look_up_absent(followed)
        gone = [record for record in ended if not record.leaving]
        await self._explain(gone)
        if gone:
            await self._subscriber.ended(gone)
        for number, record in enumerate(ended):
            self._lost_since.pop(record.name, None)
            self._looked_up.discard(record)
            if record.status.state is JobState.GONE and not record.leaving:
                self._submitter.give_up_absent(record)
            self._submitter.forget(record)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        if gone:
            self._subscriber.replace_ended(gone)
        self._set_interval(followed, before)
        if fault is not None:
            raise fault

    def _set_interval(self, followed: Sequence[JobRecord], before: Sequence[JobStatus]) -> None:
        if [record.status for record in followed] != before:
            self._interval = self._batch_system.interval
        elif all(record.status.state is JobState.RUNNING and record.status.workers for record in followed):
            self._interval = REST_INTERVAL
        else:
            self._interval = min(1.5 * self._interval, SLOWEST_INTERVAL)

    def _update(self, record: JobRecord, status: JobStatus | None, workers: Mapping[str, int], asked_at: float) -> bool:
        """Bring a record up to date by an answer to a question of that moment; tell whether its job is over."""
        if record.name not in self._subscriber.records:  # it ended by our own doing while the question was under way
            return False
        count = workers.get(record.name, 0)
        record.had_worker |= count > 0
        if status is None:
            gone = record.absent(time.monotonic(), self._absent_after, count)
            if gone:
                record.status = replace(record.status, state=JobState.GONE, workers=0)
            return gone
        record.listed()
        self._looked_up.discard(record)
        if status.state is JobState.UNKNOWN:
            status = replace(record.status, reason=status.reason)
        # Its workers may come and go between two answers: none has shown it running then.
        ran = not count and record.arrived_at is not None and record.arrived_at < asked_at
        again = _requeued(record.status, status) or (ran and status.state is JobState.PENDING)
        restarts = max(status.restarts, record.status.restarts + again)
        ends = walltime_end(status.state, status.started, record.spec.walltime)
        status = self._alike.completed(status, restarts, count, ends)
        if status != record.status:  # the same object says that nothing has changed
            record.status = status
        if count and status.node and record.worked_on != status.node:
            record.worked_on = status.node
            self._subscriber.worked(record)
        if again or status.state is JobState.PENDING:
            record.began_at = None
        if status.state is JobState.RUNNING and record.began_at is None:
            record.began_at = time.monotonic()
        if again:
            logger.warning("Job %s went back to the queue (%s).", record.job_id, status.reason or "requeued")
            self._subscriber.requeued(record)
        return status.state.ended or self._lost(record)

    async def _look_up_absent(self, followed: Sequence[JobRecord]) -> list[JobRecord]:
        """Ask for the ends of some absent jobs, once each; give those that have ended, which is no guess then."""
        absent = [
            record
            for record in followed
            if record.absent_since is not None
            and record.missing >= ABSENCES
            and not record.status.state.ended
            and record.name in self._subscriber.records
            and record not in self._looked_up
        ][:MOST_LOOKED_UP]
        self._looked_up.update(absent)
        return [record for record in absent if await self._look_up(record)]

    async def _look_up(self, record: JobRecord) -> bool:
        """Ask for all there is to know of a job that may have ended; tell whether it has."""
        with self._looking_up:
            try:
                detail = await self._batch_system.detail(str(record.job_id))
            except QueueError:
                return False
            if detail is not None and detail.state.ended:
                record.status = replace(detail, workers=record.status.workers)
                return True
        return False

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
        self._subscriber.lost_workers(record)
        return False

    async def _explain(self, records: Sequence[JobRecord]) -> None:
        """Ask for exit codes of jobs that failed."""
        failed = [record for record in records if record.status.state is not JobState.COMPLETED]
        for record in failed[:MOST_LOOKED_UP]:
            await self._look_up(record)


class _Alike:
    """Completes the states of an answer; jobs of the same one share an object, as there may be thousands."""

    def __init__(self) -> None:
        #: By what they are made of; the state is kept with them, as another object could have its identity later.
        self._known: dict[tuple[object, ...], tuple[JobStatus, JobStatus]] = {}

    def completed(self, status: JobStatus, restarts: int, workers: int, ends: datetime | None) -> JobStatus:
        """Add what the answer doesn't hold."""
        made_of = id(status), restarts, workers, ends
        if made_of not in self._known:
            self._known[made_of] = status, replace(status, restarts=restarts, workers=workers, ends=ends)
        return self._known[made_of][1]

    def clear(self) -> None:
        """Forget what is made of an answer that has been read."""
        self._known.clear()


def _requeued(before: JobStatus, now: JobStatus) -> bool:
    """Tell whether a job went back to the queue. If it already runs again, its start or its restarts show it."""
    if before.state not in (JobState.RUNNING, JobState.COMPLETING):
        return False
    anew = before.started is not None and now.started != before.started
    return now.state is JobState.PENDING or (now.state is JobState.RUNNING and (anew or now.restarts > before.restarts))
