"""The job engine: submits, cancels and watches all jobs of a cluster, many with one command.

What arrives within a moment becomes one array submission, or one cancel. Nothing here blocks the event loop, and
nobody waits for the batch system who doesn't want to: a :class:`JobRecord` says how a job stands.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

from jobclusters.commandqueue import Verbs
from jobclusters.errors import NoBatchSystem, QueueError, Refused, SubmitLimit, TemplateError, Unavailable
from jobclusters.record import JobRecord, Log, Owner, arrays
from jobclusters.spec import JobSpec
from jobclusters.state import JobState, JobStatus
from jobclusters.submission import submit_for_sure

logger = logging.getLogger(__name__)

#: Seconds in which submissions and cancels are gathered.
MOMENT = 0.01
#: Seconds between attempts to submit what a limit held back, if no job of ours ends before.
LIMIT_RETRY = 30.0
#: Seconds for which a cancel is verified, and repeated, before it is reported as failed.
VERIFY = 60.0


class BatchQueue:
    """Submits and cancels jobs, many with one command.

    Parameters
    ----------
    verbs
        The batch system, or this machine's queue.
    render
        Prints the script of a spec.
    owner
        Told what a batch system refused; asked to retire workers.
    log
        Told of every submission before it is tried.
    token
        Makes job names unique.
    """

    def __init__(self, verbs: Verbs, render: Callable[[JobSpec], str], owner: Owner, log: Log, token: str) -> None:
        self.verbs = verbs
        self.records: dict[str, JobRecord] = {}
        self.changed = asyncio.Event()
        self.closing = False
        #: Why jobs wait that the batch system wouldn't take yet; "" if none do.
        self.held_back = ""
        #: Nodes that new jobs stay away from.
        self.exclude: frozenset[str] = frozenset()
        self._render = render
        self._owner = owner
        self._log = log
        self._token = token
        self._serial = itertools.count()
        self._to_submit: list[JobRecord] = []
        self._to_leave: list[JobRecord] = []
        #: Jobs that a submit limit holds back.
        self.waiting: list[JobRecord] = []
        self._flush: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- asked for by jobs, gathered ----------------------------------------------------------------------------

    def submit(self, record: JobRecord) -> None:
        """Ask for a job; returns at once."""
        record.asked = time.monotonic()
        self.records[record.name] = record
        self._to_submit.append(record)
        self._soon()

    def leave(self, record: JobRecord) -> None:
        """Let a job go, its workers first; returns at once."""
        if record.leaving:
            return
        record.leaving = True
        for waiting in (self._to_submit, self.waiting):
            if record in waiting:
                waiting.remove(record)
                self.forget(record, JobState.CANCELLED)
                return
        if record.job_id is not None:  # else it is being submitted, and leaves when its id is known
            self._to_leave.append(record)
            self._soon()

    def forget(self, record: JobRecord, state: JobState | None = None) -> None:
        """Stop following a job that has ended, or never was."""
        if state is not None:
            record.status = replace(record.status, state=state, reason="")
        self.records.pop(record.name, None)
        self._owner.over(record)
        if self.waiting and self._retry is not None:  # an end makes room under a submit limit
            self._retry.cancel()
            self._retry = asyncio.get_running_loop().call_later(MOMENT, self._submit_waiting)
        self.changed.set()

    def _soon(self) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(MOMENT, self._send)

    def _send(self) -> None:
        """Turn what was gathered into commands."""
        self._flush = None
        submit, self._to_submit = self._to_submit, []
        leave, self._to_leave = self._to_leave, []
        for array in arrays(submit, self.verbs.dialect.largest_array):
            self._spawn(self._submit(array))
        for record in leave:
            if record.draining:  # each finishes in its own time
                self._spawn(self._let_go([record]))
        if at_once := [record for record in leave if not record.draining]:
            self._spawn(self._let_go(at_once))

    def _spawn(self, coroutine: Coroutine[object, object, object]) -> None:
        async def guarded() -> None:
            try:
                await coroutine
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if "interpreter shutdown" in str(error):  # no thread, nor process, can be begun: the program ends
                    return
                logger.exception("A step of the job engine failed; please report this")

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until everything asked for has been answered, or waits for room."""
        while self._flush is not None or self._tasks:
            if self._tasks:
                await asyncio.wait(set(self._tasks))
            else:
                await asyncio.sleep(MOMENT)

    # -- submitting ---------------------------------------------------------------------------------------------

    async def _submit(self, records: Sequence[JobRecord]) -> bool:
        """Submit one array; give False if a limit holds jobs back."""
        job_name = f"{records[0].spec.job_name}-{self._token}-{next(self._serial)}"
        for record in records:
            record.job_name = job_name
            record.status = JobStatus(JobState.PENDING, reason="being submitted")
        spec = records[0].spec
        array = len(records) > 1
        name = records[0].name.rpartition("-")[0] if array else records[0].name
        first = records[0].number if array else None
        exclude = tuple(sorted(self.exclude))
        try:
            await self._log.submitting(job_name)
        except OSError as error:  # too many processes, say; without that one, jobs might outlive their owner
            no_janitor = f"this machine can't start the process that clears up after a dead owner: {error.strerror}"
            return await self._refused(records, Refused(f"nothing was submitted: {no_janitor}"))
        try:
            spec = replace(spec, job_name=job_name, worker_name=name, exclude=exclude)
            script = self._render(replace(spec, first=first, count=len(records)))
            ids = await submit_for_sure(self.verbs, script, job_name, len(records), lambda: self.closing)
        except (Refused, NoBatchSystem) as error:
            self._log.refused(job_name)
            return await self._refused(records, error)
        except TemplateError as error:  # it may show with an array, or with nodes to stay away from
            self._log.refused(job_name)
            return await self._refused(records, Refused(f"no job script could be made: {error}"))
        except Unavailable as error:  # only at the end; the janitor goes on looking when this process has ended
            logger.error("%s.", error)  # noqa: TRY400 -- a traceback would tell nothing
            return True
        self._log.submitted(job_name, ids)
        for record, job_id in zip(records, ids, strict=False):
            record.job_id = job_id
            record.status = JobStatus(JobState.PENDING)
            if record.leaving:
                self._to_leave.append(record)
                self._soon()
        self.changed.set()
        if missing := records[len(ids) :]:
            short = Refused(f"only {len(ids)} of {len(records)} jobs named {job_name} exist")
            return await self._refused(missing, short)
        return True

    async def _refused(self, records: Sequence[JobRecord], error: QueueError) -> bool:
        """Split what is too much at once; hold back what a limit refuses; tell the owner of the rest."""
        too_large = any(words in str(error) for words in self.verbs.dialect.array_words)
        if len(records) > 1 and (too_large or isinstance(error, SubmitLimit)):
            half = len(records) // 2
            if await self._submit(records[:half]) or too_large:
                return await self._submit(records[half:])
            self._hold_back(records[half:], error)
            return False
        if isinstance(error, SubmitLimit) and not self.closing:
            self._hold_back(records, error)
            return False
        for record in records:
            self.forget(record, JobState.FAILED)
            record.status = replace(record.status, reason=str(error))
        self._owner.refused(records, error)
        return True

    def _hold_back(self, records: Sequence[JobRecord], error: QueueError) -> None:
        if not self.held_back:
            logger.warning("The batch system takes no more jobs for now; the rest follows as jobs end. %s", error)
        self.held_back = str(error)
        for record in records:
            if record.leaving:
                self.forget(record, JobState.CANCELLED)
                continue
            record.status = JobStatus(JobState.PENDING, reason="held back by a submit limit")
            self.waiting.append(record)
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(LIMIT_RETRY, self._submit_waiting)

    def _submit_waiting(self) -> None:
        self._retry = None
        waiting, self.waiting = self.waiting, []
        self._spawn(self._try_again(waiting))

    async def _try_again(self, waiting: list[JobRecord]) -> None:
        went = True
        for array in arrays(waiting, self.verbs.dialect.largest_array):
            if went:
                went = await self._submit(array)
            else:
                self._hold_back(array, SubmitLimit(self.held_back))
        if went:
            self.held_back = ""

    # -- cancelling ---------------------------------------------------------------------------------------------

    async def _let_go(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Retire the workers, cancel the jobs, and make sure; give those that could not be cancelled."""
        if not self.closing:
            await self._owner.retire(records)
        left = [record for record in records if not record.status.state.ended]
        started = asyncio.get_running_loop().time()
        pause = 0.1
        cancel_at = 0.0
        while left:
            elapsed = asyncio.get_running_loop().time() - started
            if elapsed > VERIFY:
                names = ", ".join(str(record.job_id) for record in sorted(left, key=lambda each: each.number))
                logger.error("Could not cancel these jobs, please do it by hand: %s", names)
                return left
            try:
                if elapsed >= cancel_at:
                    await self.verbs.cancel([str(record.job_id) for record in left])
                    cancel_at = elapsed + 10
                left = await self._still_there(left)
            except QueueError as error:
                logger.warning("%s. Cancelling is tried again.", error)
            if left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)
        return left

    async def _still_there(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Ask which of these jobs are still in the queue; those being ended have left it."""
        states = await self.verbs.states([str(record.job_id) for record in records])
        left = []
        for record in records:
            status = states.get(str(record.job_id))
            if status is None or status.state.ended or status.state is JobState.COMPLETING:
                self.forget(record, JobState.CANCELLED if status is None or not status.state.ended else status.state)
            else:
                left.append(record)
        return left

    async def close(self) -> list[JobRecord]:
        """Cancel all jobs, without retiring, and make sure; give those that could not be cancelled."""
        self.closing = True
        for record in list(self.records.values()):
            self.leave(record)
        if self._retry is not None:
            self._retry.cancel()
        await self.settle()
        return list(self.records.values())
