"""Submits and cancels jobs, many with one command.

It is long because a cancel meets jobs in each stage of their submission: both go by the same lists.

What arrives within a moment becomes one array submission, or one cancel. Nothing here blocks the event loop or waits
for the batch system: a :class:`~jobclusters.jobs.record.JobRecord` holds the state of a job.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace

from jobclusters.batch.base import BatchSystem
from jobclusters.errors import (
    LongName,
    NoArrays,
    NoBatchSystem,
    QueueError,
    Refused,
    SubmitLimit,
    Unavailable,
    describe,
)
from jobclusters.guard import Guard, ends_program
from jobclusters.jobs.record import JobRecord, Journal, Owner, alike, arrays, element
from jobclusters.spec.job_spec import JobSpec
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

#: Seconds between two look-ups of a submission of unclear outcome, and the most between two later ones.
LOOKUP_INTERVAL = (2.0, 30.0)

#: Seconds for which such a look-up goes on when the cluster is to close.
LOOKUP_TIMEOUT = 60.0

#: Times that a submission, or a look-up, may fail in a way that isn't foreseen.
MOST_ATTEMPTS = 2


async def submit_for_sure(
    batch_system: BatchSystem, script: str, job_name: str, count: int, closing: Callable[[], bool]
) -> list[str]:
    """Submit a script as so many jobs, and give their ids.

    An outcome that isn't clear, for whatever reason, is looked up by the jobs' name, which only this submission has,
    before anything is tried again; nothing is once the cluster is ``closing``.

    Raises
    ------
    Refused
        If the batch system refuses, or the cluster was to close before there was an answer. It is a SubmitLimit if the
        command gave up, or was given up, as there was no room for the jobs, and there are none.
    Unavailable
        If it isn't known at the end whether the jobs exist.
    """
    failed = 0
    while True:
        reason: Exception
        try:
            return await batch_system.submit(script, count)
        except Unavailable as error:
            logger.warning("%s. Looking for the jobs by their name before trying again.", error)
            reason = error
        except QueueError:
            raise
        except Exception as error:
            if ends_program(error):
                raise
            failed += 1
            reason = error
            logger.exception("A submission failed; the jobs are looked for by their name. Please report this")
        if found := await _look_up(batch_system, job_name, count, closing):
            return found
        if closing():
            raise Refused("the cluster was closed before the batch system answered")
        if isinstance(reason, Unavailable) and batch_system.dialect.is_limit(str(reason)):
            raise SubmitLimit(str(reason))
        if failed == MOST_ATTEMPTS:
            raise Refused(f"the submission failed {MOST_ATTEMPTS} times: {describe(reason)}")


async def _look_up(batch_system: BatchSystem, job_name: str, count: int, closing: Callable[[], bool]) -> list[str]:
    """Find the jobs of a submission; give none, or only some, after two clear answers of that kind."""
    unclear, failed, pause = 0, 0, LOOKUP_INTERVAL[0]
    found: Mapping[str, JobStatus] = {}
    deadline = asyncio.get_running_loop().time() + LOOKUP_TIMEOUT
    while unclear < 2:
        if closing() and asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"it is not known whether the jobs named {job_name} exist; please look for them")
        await asyncio.sleep(pause)
        try:
            found = await batch_system.find(job_name)
        except (Unavailable, NoBatchSystem) as error:
            logger.debug("still no answer: %s", error)
            pause = min(2 * pause, LOOKUP_INTERVAL[1])
            continue
        except Exception as error:
            failed += 1
            logger.exception("Looking for jobs by their name failed; please report this")
            if failed == MOST_ATTEMPTS:
                raise Unavailable(
                    f"it is not known whether the jobs named {job_name} exist, please look for them: {describe(error)}"
                ) from error
            continue
        if len(found) >= count:
            if len(found) > count:
                logger.warning(
                    "%d jobs are named %s, but %d were submitted: %s", len(found), job_name, count, ", ".join(found)
                )
            break
        unclear, pause = unclear + 1, LOOKUP_INTERVAL[0]
    return sorted(found, key=element)


#: Seconds in which submissions and cancels are gathered.
GATHER_INTERVAL = 0.01

#: Jobs that are noted to be gone without a pause.
SLICE = 200

#: Arrays that are submitted at once, of the few commands that may run: what cancels and asks need not wait for all.
SUBMITTED_AT_ONCE = 3

#: Seconds between attempts to submit what a limit held back, if no job of ours ends before.
RETRY_INTERVAL = 30.0

#: Seconds for which a cancel is verified, and repeated, before it is left to the next answer of the batch system.
CANCEL_TIMEOUT = 60.0

#: Seconds after which a cluster that closes believes the batch system that it has cancelled jobs, as it can't be asked.
BELIEVE_TIMEOUT = 10.0

#: Seconds between two cancels of the same jobs, and between two looks whether they are gone, at most.
CANCEL_INTERVAL = 10.0
VERIFY_INTERVAL = (2.0, 10.0)  # if the batch system answers, and if it doesn't

#: Seconds for which jobs are asked about that were given up as absent, and how many.
GIVEN_UP_TIMEOUT = 600.0
MOST_GIVEN_UP = 1000


class Submitter:
    """Submits and cancels jobs, many with one command. It keeps no list of them: its owner does.

    Parameters
    ----------
    batch_system, render
        Takes the jobs; prints the script of a spec.
    owner
        Is given what the batch system refused and which jobs are over; retires workers.
    journal
        Notes every submission before it is tried.
    token
        Makes job names unique.
    """

    def __init__(
        self, batch_system: BatchSystem, render: Callable[[JobSpec], str], owner: Owner, journal: Journal, token: str
    ) -> None:
        self.batch_system = batch_system
        #: Set when there is something new to ask the batch system about.
        self.changed = asyncio.Event()
        self.closing = False
        self._closes = asyncio.Event()
        #: Why jobs wait that the batch system wouldn't take yet; "" if none do.
        self.held_back = ""
        #: Nodes that new jobs stay away from.
        self.exclude: frozenset[str] = frozenset()
        self._render = render
        self._owner = owner
        self._journal = journal
        self._token = token
        self._submitted = 0
        #: The most characters of a job's name; 0 while no limit is known.
        self._longest_name = batch_system.dialect.longest_job_name
        self._to_submit: dict[JobRecord, None] = {}
        self._to_cancel: list[JobRecord] = []
        #: Jobs that are to leave, and haven't yet.
        self._leaving: set[JobRecord] = set()
        #: Those of them that are being cancelled now; and those whose cancel could not be verified, with the time from
        #: which on it is tried again.
        self._cancelling: set[JobRecord] = set()
        self._unverified: dict[JobRecord, float] = {}
        #: Jobs that were given up as absent, and until when they are asked about.
        self._given_up: dict[JobRecord, float] = {}
        #: What may be in the queue though nothing more is done about it here: names of submissions, ids of jobs.
        self._unclear: list[str] = []
        self._unchecked: list[str] = []
        self._unsure = False
        self._steps = Guard("A step of submitting")
        self._submitting = Guard("A submission", "its jobs are given up")
        self._cancels = Guard("Cancelling jobs", "it is tried again when the batch system answers")
        self._moving = Guard("Moving results from jobs that leave", "they are cancelled all the same")
        self._noting = Guard("Noting what was submitted")
        #: Jobs that a submit limit holds back; and those of them that are tried as soon as others have been taken.
        self.waiting: dict[JobRecord, None] = {}
        self._next: set[JobRecord] = set()
        self._flush: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._turns = asyncio.Semaphore(SUBMITTED_AT_ONCE)
        #: Arrays whose turn hasn't come, by their first job.
        self._in_line: dict[JobRecord, Sequence[JobRecord]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- asked for, and gathered --------------------------------------------------------------------------------

    def submit(self, records: Iterable[JobRecord]) -> None:
        """Ask for jobs; returns at once."""
        asked = dict.fromkeys(records)
        if asked:
            self._to_submit.update(asked)
            self._soon()
            now = time.monotonic()
            for record in asked:
                record.asked_at = now

    def cancel(self, records: Iterable[JobRecord]) -> None:
        """Let jobs go, their workers first; returns at once."""
        for record in records:
            if record in self._leaving:
                continue
            record.leaving = True
            if record in self._to_submit or record in self.waiting:
                self._to_submit.pop(record, None)
                self.waiting.pop(record, None)
                self.forget(record, JobState.CANCELLED)
                continue
            self._leaving.add(record)
            if record.job_id is not None:  # else it is being submitted, and leaves when its id is known
                self._to_cancel.append(record)
                self._soon()

    def forget(self, record: JobRecord, state: JobState | None = None) -> None:
        """Stop following a job that has ended, or never was."""
        if state is not None:
            record.status = replace(record.status, state=state, reason="")
        if record.job_id is not None and record.leaving and record.status.state in _ENDED_BY_A_CANCEL:
            record.status = replace(record.status, state=JobState.CANCELLED, exit_code=None, signal=None)
        self._leaving.discard(record)
        self._unverified.pop(record, None)
        self._owner.over(record)
        self._hurry_waiting()  # an end makes room under a submit limit
        self.changed.set()

    def _soon(self) -> None:
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(GATHER_INTERVAL, self._send)

    def _send(self) -> None:
        """Turn what was gathered into commands."""
        self._flush = None
        submit, self._to_submit = self._to_submit, {}
        cancel, self._to_cancel = self._to_cancel, []
        for array in arrays(list(submit), self.batch_system.largest_array):
            self._spawn(self._in_turn(array), self._steps)
        if draining := [record for record in cancel if record.draining]:
            self._spawn(self._drain(draining), self._cancels)
        if at_once := [record for record in cancel if not record.draining]:
            self._spawn(self._cancel(at_once), self._cancels)

    def _spawn(self, coroutine: Coroutine[object, object, object], guard: Guard) -> None:
        async def guarded() -> None:
            with guard:
                await coroutine

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until everything asked for has been answered, or waits for room."""
        while self._flush is not None or self._tasks:
            if self._tasks:
                await asyncio.wait(set(self._tasks))
            else:
                await asyncio.sleep(GATHER_INTERVAL)

    # -- submitting ---------------------------------------------------------------------------------------------

    async def _in_turn(self, array: Sequence[JobRecord]) -> None:
        """Submit one array once few others are being submitted, unless a limit holds back others of its spec."""
        first = next(iter(self.waiting), None)
        if first is not None and alike(first, array[0]):
            self._hold_back(array, SubmitLimit(self.held_back))
            return
        self._in_line[array[0]] = array
        async with self._turns:
            if self._in_line.pop(array[0], None) is not None:  # else a limit holds it back with others
                await self._submit(array)

    async def _submit(self, records: Sequence[JobRecord]) -> bool:
        """Submit one array; give False if a limit holds jobs back. None stays without an outcome."""
        if all(record.leaving for record in records):  # as the cluster closes before it is their turn
            for record in records:
                self.forget(record, JobState.CANCELLED)
            return True
        try:
            return await self._submit_array(records)
        except Exception as error:
            self._submitting.fail(error)
            if not ends_program(error):
                lost = [each for each in records if each.job_id is None and not each.status.state.ended]
                self._report_refusal(lost, Refused(f"the submission failed: {describe(error)}"))
            return True

    def preview(self, spec: JobSpec) -> str:
        """Print the script with which a job would be submitted now, alone."""
        name = self._unique_name(spec.job_name)
        return self._render(replace(spec, job_name=name, exclude=tuple(sorted(self.exclude))))

    async def _submit_array(self, records: Sequence[JobRecord], exclude: frozenset[str] | None = None) -> bool:
        job_name = self._unique_name(records[0].spec.job_name)
        self._submitted += 1
        being_submitted, submitted = JobStatus(JobState.PENDING, reason="being submitted"), JobStatus(JobState.PENDING)
        for record in records:
            record.job_name = job_name
            record.status = being_submitted
        array = len(records) > 1
        name = records[0].name.rpartition("-")[0] if array else records[0].name
        first = records[0].number if array else None
        exclude = self.exclude if exclude is None else exclude
        try:
            spec = replace(records[0].spec, job_name=job_name, worker_name=name, exclude=tuple(sorted(exclude)))
            script = self._render(replace(spec, first=first, count=len(records)))
        except Exception as error:  # it may show with an array, with nodes to stay away from, or if files are away
            logger.debug("no job script", exc_info=error)
            return await self._refused(records, Refused(f"no job script could be made: {describe(error)}"))
        try:
            await self._journal.submitting(job_name)
        except OSError as error:  # too many processes, say; without that one, jobs might outlive their owner
            no_janitor = f"this machine can't start the process that clears up after a dead owner: {error.strerror}"
            return await self._refused(records, Refused(f"nothing was submitted: {no_janitor}"))
        if clusters := self.batch_system.dialect.other_clusters(script, os.environ):
            with self._noting:
                self._journal.goes_to(clusters)
        try:
            ids = await submit_for_sure(self.batch_system, script, job_name, len(records), lambda: self.closing)
        except (Refused, NoBatchSystem) as error:
            with self._noting:
                self._journal.refused(job_name)
            if isinstance(error, LongName) and self._shorten(job_name, error):
                return await self._submit_array(records, exclude)
            if exclude and isinstance(error, Refused) and not isinstance(error, SubmitLimit):
                logger.info("%s. It is tried without leaving out %s.", error, ", ".join(sorted(exclude)))
                return await self._submit_array(records, frozenset())
            return await self._refused(records, error)
        except Unavailable as error:  # the janitor goes on looking when this cluster has closed
            logger.error("%s.", error)  # noqa: TRY400 -- a traceback would not help
            self._unclear.append(job_name)
            self._report_refusal(records, error)
            return True
        for record, job_id in zip(records, ids, strict=False):
            record.job_id = job_id
            record.status = submitted
            if record in self._leaving:
                self._to_cancel.append(record)
                self._soon()
        with self._noting:
            self._journal.submitted(job_name, ids)
        self.changed.set()
        if missing := records[len(ids) :]:
            short = Refused(f"only {len(ids)} of {len(records)} jobs named {job_name} exist")
            return await self._refused(missing, short)
        return True

    def _unique_name(self, name: str) -> str:
        """Give a job's name its unique ending; before it, as much of the name is kept as may be."""
        ending = f"-{self._token}-{self._submitted}"
        kept = max(0, self._longest_name - len(ending)) if self._longest_name else len(name)
        return (name[:kept] + ending).lstrip("-")

    def _shorten(self, refused: str, error: LongName) -> bool:
        """Note the longest name that a refusal allows; tell whether names become shorter by that."""
        if len(refused) <= error.longest or (self._longest_name and self._longest_name <= error.longest):
            return False
        logger.warning("Jobs get names of %d characters at most from now on. %s", error.longest, error)
        self._longest_name = error.longest
        return True

    async def _refused(self, records: Sequence[JobRecord], error: QueueError) -> bool:
        """Split what is too much at once; hold back what a limit refuses; report the rest to the owner."""
        if len(records) > 1 and isinstance(error, NoArrays):
            return await self._submit_one_by_one(records)
        if len(records) > 1 and any(words in str(error) for words in self.batch_system.dialect.array_words):
            half = len(records) // 2
            await self._submit(records[:half])
            return await self._submit(records[half:])
        if isinstance(error, SubmitLimit) and not (self.closing and len(records) == 1):
            behind = [first for first in self._in_line if alike(first, records[0])]
            held = [*records, *(record for first in behind for record in self._in_line.pop(first))]
            self._hold_back(held, error)  # all at once, as each try may take minutes
            return len(records) > 1 and await self._submit_held_back(held, (len(records) + 1) // 2)
        self._report_refusal(records, error)
        return True

    async def _submit_one_by_one(self, records: Sequence[JobRecord]) -> bool:
        for start in range(0, len(records), SUBMITTED_AT_ONCE):
            end = start + SUBMITTED_AT_ONCE
            if not all(await asyncio.gather(*(self._submit([record]) for record in records[start:end]))):
                self._hold_back(records[end:], SubmitLimit(self.held_back))
                return False
        return True

    def _report_refusal(self, records: Sequence[JobRecord], error: QueueError) -> None:
        """Report to the owner that these will not be submitted."""
        for record in records:
            self.forget(record, JobState.FAILED)
            record.status = replace(record.status, reason=str(error))
        if records:
            self._owner.refused(records, error)

    def _hold_back(self, records: Sequence[JobRecord], error: QueueError) -> None:
        for record in records:
            if record in self._leaving:
                self.forget(record, JobState.CANCELLED)
                continue
            record.status = JobStatus(JobState.PENDING, reason="held back by a submit limit")
            self.waiting[record] = None
        if self.waiting and not self.held_back:
            logger.warning("The batch system takes no more jobs for now; the rest follows as jobs end. %s", error)
        self.held_back = str(error)
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(RETRY_INTERVAL, self._submit_waiting)

    def _hurry_waiting(self) -> None:
        """Try soon again what is held back."""
        if self.waiting and self._retry is not None:
            self._retry.cancel()
            self._retry = asyncio.get_running_loop().call_later(GATHER_INTERVAL, self._submit_waiting)

    def _submit_waiting(self) -> None:
        self._retry = None
        waiting = [record for record in self.waiting if record not in self._next]
        self._spawn(self._submit_held_back(waiting, self.batch_system.largest_array), self._steps)

    async def _submit_held_back(self, records: Sequence[JobRecord], largest: int) -> bool:
        """Submit jobs that are held back, in arrays up to a size, until a limit refuses one; give False if one does."""
        self._next.update(records)
        try:
            for some in arrays(records, largest):
                while left := [record for record in some if record in self.waiting]:  # others were let go meanwhile
                    array = arrays(left, largest)[0]
                    for record in array:
                        del self.waiting[record]
                    if not await self._submit(array):
                        return False
        finally:
            self._next.difference_update(records)
        if not self.waiting:
            self.held_back = ""
        elif not self._next:  # what came meanwhile wasn't tried
            self._hurry_waiting()
        return True

    # -- cancelling ---------------------------------------------------------------------------------------------

    async def _drain(self, records: Sequence[JobRecord]) -> None:
        """Let each job finish in its own time; those that have by the same moment go together."""
        left = dict.fromkeys(records)
        self._cancelling.update(left)
        try:
            with self._moving:
                async for done in self._owner.drained(records):
                    for record in done:
                        del left[record]
                    self._spawn(self._cancel(done), self._cancels)
            if left:
                await self._cancel(list(left))
        finally:
            self._cancelling.difference_update(left)

    async def _cancel(self, records: Sequence[JobRecord]) -> None:
        """Retire the workers, cancel the jobs, and make sure; what can't be made sure is tried again later."""
        self._cancelling.update(records)
        try:
            if not self.closing:
                with self._moving:
                    await self._retire(records)
            await self._cancel_for_sure(records)
        finally:
            self._cancelling.difference_update(records)
            now = time.monotonic()
            self._unverified.update((each, now) for each in records if each in self._leaving)

    async def _retire(self, records: Sequence[JobRecord]) -> None:
        """Retire the workers; when the cluster closes, there is nothing to wait for."""
        retiring = asyncio.ensure_future(self._owner.retire(records))
        closing = asyncio.ensure_future(self._closes.wait())
        try:
            await asyncio.wait([retiring, closing], return_when=asyncio.FIRST_COMPLETED)
            if retiring.done():
                retiring.result()
        finally:
            retiring.cancel()
            closing.cancel()

    async def _cancel_for_sure(self, records: Sequence[JobRecord]) -> None:
        left = [record for record in records if not record.status.state.ended]
        started = asyncio.get_running_loop().time()
        pause, cancel_at, sent = 0.1, 0.0, False
        while left:
            elapsed = asyncio.get_running_loop().time() - started
            if elapsed > CANCEL_TIMEOUT or (self.closing and sent and self._unsure and elapsed > BELIEVE_TIMEOUT):
                self._leave_unverified(left, sent=sent)
                return
            most = VERIFY_INTERVAL[0]
            try:
                if elapsed >= cancel_at:
                    for record in left:
                        record.cancelled = True
                    await self.batch_system.cancel([str(record.job_id) for record in left])
                    cancel_at, sent = elapsed + CANCEL_INTERVAL, True
                left = await self._still_there(left)
                self._unsure = False
            except Exception as error:
                most = VERIFY_INTERVAL[1]
                self._warn_of_silence(error)
            if left:
                await asyncio.sleep(min(pause, most))
                pause = min(2 * pause, most)

    def _warn_of_silence(self, error: Exception) -> None:
        """Log once, until an answer comes, that cancels are not answered."""
        if not self._unsure:
            trace = None if isinstance(error, QueueError) else error
            logger.warning("%s. Cancelling is tried again until the jobs are gone.", describe(error), exc_info=trace)
        self._unsure = True

    def _leave_unverified(self, records: Sequence[JobRecord], *, sent: bool) -> None:
        """Log that it isn't known whether jobs are gone; a cluster that closes leaves them to its janitor."""
        ids = [str(record.job_id) for record in sorted(records, key=lambda each: each.number)]
        if not self.closing:
            logger.warning("Could not cancel these jobs yet; it is tried again: %s", ", ".join(ids))
            return
        self._unchecked += ids
        if sent:
            logger.warning("Cancelled these jobs; could not be checked: %s", ", ".join(ids))
            for record in records:
                self.forget(record, JobState.CANCELLED)
                record.status = replace(record.status, reason="cancelled; could not be checked")
        else:
            logger.error("Could not cancel these jobs: %s", ", ".join(ids))

    async def _still_there(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Ask which of these jobs are still in the queue; those being ended have left it."""
        states = await self.batch_system.states([str(record.job_id) for record in records])
        left = []
        for number, record in enumerate(records, 1):
            if not self._has_left(record, states.get(str(record.job_id))):
                left.append(record)
            if number % SLICE == 0:  # Dask's scheduler has its turn
                await asyncio.sleep(0)
        return left

    def _has_left(self, record: JobRecord, status: JobStatus | None) -> bool:
        """Forget a job that was cancelled, if an answer says that it has left the queue."""
        if status is None or status.state.ended or status.state is JobState.COMPLETING:
            self.forget(record, JobState.CANCELLED if status is None or not status.state.ended else status.state)
            return True
        return False

    @property
    def given_up(self) -> list[JobRecord]:
        """Jobs that were given up as absent, and are still asked about."""
        return list(self._given_up)

    def give_up_absent(self, record: JobRecord) -> None:
        """Cancel a job, to be sure, that the batch system doesn't list any more; look whether it comes back."""
        self._given_up[record] = time.monotonic() + GIVEN_UP_TIMEOUT
        while len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]
        record.cancelled = False

    def answered(self, states: Mapping[str, JobStatus]) -> None:
        """Cancel again what should be gone and isn't, as the batch system answers."""
        now = time.monotonic()
        for record, again in list(self._unverified.items()):
            if not self._has_left(record, states.get(str(record.job_id))) and now >= again:
                del self._unverified[record]
                self._to_cancel.append(record)
                self._soon()
        self._check_given_up(states, now)

    def _check_given_up(self, states: Mapping[str, JobStatus], now: float) -> None:
        back = []
        for record, until in list(self._given_up.items()):
            status = states.get(str(record.job_id))
            alive = status is not None and not status.state.ended and status.state is not JobState.COMPLETING
            if alive or not record.cancelled:
                back.append(record)
            elif status is not None or now > until:
                del self._given_up[record]
                with self._noting:
                    self._journal.ended(record.job_name, record.job_id)
        if back:
            self._spawn(self._cancel_given_up(back), self._cancels)

    async def _cancel_given_up(self, records: Sequence[JobRecord]) -> None:
        for record in records:
            record.cancelled = True
        try:
            await self.batch_system.cancel([str(record.job_id) for record in records])
        except Exception:
            for record in records:
                record.cancelled = False
            raise

    @property
    def left(self) -> str:
        """What may still be in the queue though it should not be, in words; "" for nothing."""
        waiting = [str(record.job_id) for record in self._unverified]
        kinds = {
            "not known to be cancelled": list(dict.fromkeys([*waiting, *self._unchecked])),
            "not known to exist": self._unclear,
        }
        return "; ".join(f"{kind}: {shortened(names)}" for kind, names in kinds.items() if names)

    async def close(self, records: Sequence[JobRecord]) -> list[str]:
        """Cancel all jobs, whatever came before, without retiring, and make sure.

        Give the ids, or the names of submissions, of those that may be left.
        """
        self.closing = True
        self._closes.set()
        self.cancel(records)
        underway = self._cancelling.union(self._to_cancel)
        again = [each for each in self._leaving if each.job_id is not None and each not in underway]
        self._unverified.clear()
        self._to_cancel += again
        if self._to_cancel:
            self._soon()
        if sure := [record for record in self._given_up if not record.cancelled]:
            self._spawn(self._cancel_given_up(sure), self._cancels)
        if self._retry is not None:
            self._retry.cancel()
        await self.settle()
        absent = [str(record.job_id) for record in self._given_up if not record.cancelled]
        left = [str(record.job_id or record.job_name) for record in records if not record.status.state.ended]
        return list(dict.fromkeys([*left, *self._unchecked, *self._unclear, *absent]))


def shortened(names: Sequence[str], most: int = 5) -> str:
    """List names, but for those that are too many.

    >>> shortened(["1", "2", "3"], most=2)
    '1, 2 and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


#: What a batch system may say of a job that we let go, by the code with which its script or its workers ended.
_ENDED_BY_A_CANCEL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.GONE})
