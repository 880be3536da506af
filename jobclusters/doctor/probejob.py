"""Sends the doctor's probe to a node as a job, and brings back its report."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from glob import escape, glob
from pathlib import Path

from jobclusters.batch.base import BatchSystem
from jobclusters.doctor import probe
from jobclusters.doctor.report import Address, Outcome, call_probe, listening, probe_directory, read_output
from jobclusters.errors import QueueError
from jobclusters.jobs.record import ABSENCES, JobRecord
from jobclusters.jobs.submitter import Submitter
from jobclusters.registry.janitor import Janitor
from jobclusters.spec.job_spec import JobSpec
from jobclusters.state import JobState, JobStatus

#: Seconds for a cancelled job to leave the queue.
END_TIMEOUT = 15.0
#: Seconds for a job's output to arrive after its end: file systems of clusters are slow to show it.
OUTPUT_TIMEOUT = 10.0
#: Seconds for the batch system's answer to a submission.
SUBMIT_TIMEOUT = 60.0
#: Seconds between two checks of the shared directory.
LOOK_INTERVAL = 0.2


class _Owner:
    """The owner of the probe's job, without workers or further jobs."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def drained(self, records: Sequence[JobRecord]) -> AsyncIterator[list[JobRecord]]:
        """Give all at once: there are no workers."""
        yield list(records)

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Do nothing: there are no workers."""

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:  # noqa: ARG002 -- there is one
        self._outcome.error = str(error)

    def over(self, record: JobRecord) -> None:
        """Do nothing: :func:`_wait` polls the state."""


async def send_probe(
    batch_system: BatchSystem,
    spec: JobSpec,
    render: Callable[[JobSpec], str],
    *,
    directory: str,
    addresses: Sequence[Address],
    files: Sequence[str],
    wait: float,
    ports: tuple[int, int] | None = None,
    absent_after: float = 60.0,
) -> Outcome:
    """Run a probe in a job, and clean up, whatever happens.

    Parameters
    ----------
    batch_system, spec, render
        Of a worker's job, in whose place the probe runs.
    directory
        Shared with the nodes: the probe gets a directory in it.
    addresses, files
        Addresses of this machine, of which port 0 takes any, and files that the probe tries.
    wait
        Seconds to wait for its report.
    ports
        Those at which it may listen, as workers do; None leaves the choice to the node.
    absent_after
        Seconds after which a job that the batch system's answers don't hold counts as gone.
    """
    outcome = Outcome()
    token = secrets.token_hex(8)
    async with AsyncExitStack() as stack:
        # On the way out: the job first, then what it may still write to.
        place = stack.enter_context(probe_directory(directory, token))
        asked = [await stack.enter_async_context(listening(each, outcome, token)) for each in addresses]
        question = {
            "token": token,
            "addresses": asked,
            "directory": str(place),
            "files": list(files),
            "ports": list(ports or (0, 0)),
            "packages": ["dask", "distributed", "jobclusters"],
        }
        record = JobRecord("probe", 0, probing(spec, question))
        await stack.enter_async_context(_queued(batch_system, render, record, outcome, token))
        await _wait(batch_system, record, outcome, place, token, time.monotonic() + wait, absent_after)
    return outcome


#: What is in the working directory is found last, as by workers.
_FIRST = 'import sys\nsys.path.sort(key=lambda entry: entry == "")\n'


def probing(spec: JobSpec, question: Mapping[str, object]) -> JobSpec:
    """Put the probe into a worker's place: the same Python in the same environment, with another program."""
    source = _FIRST + Path(probe.__file__).read_text(encoding="utf-8")
    return replace(
        spec,
        job_name="doctor",
        worker_name="probe",
        python=(*spec.python, "-c", source),
        worker_command=("probe",),  # an argument of the program, like all that follows
        worker_args=(json.dumps(question),),
        processes=1,
        versions=None,
        hands_over=False,
        forks=(),
        guards=False,
        scratch=False,
        lifetime=None,
    )


@asynccontextmanager
async def _queued(
    batch_system: BatchSystem, render: Callable[[JobSpec], str], record: JobRecord, outcome: Outcome, token: str
) -> AsyncIterator[None]:
    """Submit the job; at the end cancel it, and remove its output. The janitor does so if this process dies."""
    janitor = Janitor(batch_system.dialect.name, getattr(batch_system, "token", ""))
    submitter = Submitter(batch_system, render, _Owner(outcome), janitor, token)
    submitter.submit([record])
    settling = asyncio.ensure_future(submitter.settle())
    try:
        # Not wait_for(): until Python 3.12 a cancellation that comes with the answer was lost there.
        answered, _ = await asyncio.wait([settling], timeout=SUBMIT_TIMEOUT)
        if not answered:
            outcome.error = f"{batch_system.dialect.title} has not answered the submission within {SUBMIT_TIMEOUT:g} s"
        yield
    finally:
        settling.cancel()
        if not await submitter.close([record]):
            await janitor.goodbye()
        await _end(batch_system, record)
        # Grid Engine writes another file beside the job's output; both are named after the job.
        parent = os.path.join(os.getcwd(), record.spec.log_directory or "")
        named = glob(os.path.join(escape(parent), f"{escape(record.job_name)}*")) if record.job_name else []
        # A file that a directive names for all jobs is the user's.
        shared = batch_system.dialect.shares_log_files(record.spec.directives)
        for name in {*([] if shared else _outputs(batch_system, record)), *named}:
            with suppress(OSError):
                os.unlink(name)


async def _end(batch_system: BatchSystem, record: JobRecord) -> None:
    """Wait until the job has left the queue: what a site runs at a job's end, an epilog, opens its output once more."""
    if record.job_id is None:
        return
    deadline = time.monotonic() + END_TIMEOUT
    with suppress(QueueError):
        while time.monotonic() < deadline:
            status = (await batch_system.states([record.job_id])).get(record.job_id)
            if status is None or status.state.ended:
                return
            await asyncio.sleep(LOOK_INTERVAL)


def _outputs(batch_system: BatchSystem, record: JobRecord) -> list[str]:
    if record.job_id is None:
        return []
    spec = record.spec
    return batch_system.log_files(record.job_id, spec.log_directory, record.job_name, spec.directives)


async def _wait(
    batch_system: BatchSystem,
    record: JobRecord,
    outcome: Outcome,
    place: Path,
    token: str,
    deadline: float,
    absent_after: float,
) -> None:
    """Wait for the report, and for the job's output, which some batch systems show only at its end."""
    outcome.job_id = record.job_id or ""
    asked = 0.0
    while not outcome.error and not outcome.complete and time.monotonic() < deadline:
        with suppress(OSError):
            outcome.take((place / "found").read_bytes(), token, "directory")
        read_output(_outputs(batch_system, record), outcome, token)
        outcome.output = outcome.output and batch_system.dialect.own_output(outcome.output)
        if outcome.found is not None and outcome.back is None and (address := outcome.found["listens"]):
            outcome.back = await call_probe(str(address[0]), int(address[1]))
        if outcome.hopeless(batch_system.dialect.never):
            return
        now = time.monotonic()
        if now - asked >= batch_system.interval and not outcome.status.state.ended:
            outcome.status, asked = await _status(batch_system, record, outcome.status, absent_after), now
            if outcome.status.state.ended:
                deadline = min(deadline, time.monotonic() + OUTPUT_TIMEOUT)
        await asyncio.sleep(LOOK_INTERVAL)


async def _status(batch_system: BatchSystem, record: JobRecord, before: JobStatus, absent_after: float) -> JobStatus:
    """Poll the job; no answer changes nothing, and the end of an absent one is looked up, once, before it counts."""
    job_id = str(record.job_id)
    try:
        status = (await batch_system.states([job_id])).get(job_id)
        if status is not None:
            record.listed()
            return await batch_system.detail(job_id) or status if status.state.ended else status
        gone = record.absent(time.monotonic(), absent_after)
        if (
            record.missing == ABSENCES
            and (detail := await batch_system.detail(job_id)) is not None
            and detail.state.ended
        ):
            return detail
    except QueueError:
        return before
    return JobStatus(JobState.GONE) if gone else before
