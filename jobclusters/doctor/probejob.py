"""Sends the doctor's probe to a node as a job, and brings back what it found."""

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

from jobclusters.batchqueue import BatchQueue
from jobclusters.commandqueue import Verbs
from jobclusters.doctor import probe
from jobclusters.doctor.report import Address, Outcome, knock, listening, probe_directory, read_output
from jobclusters.errors import QueueError
from jobclusters.janitor import Janitor
from jobclusters.record import JobRecord
from jobclusters.spec import JobSpec
from jobclusters.state import JobState, JobStatus

#: Seconds in which a job's last words arrive after its end: file systems of clusters are slow to show them.
LAST_WORDS = 10.0
#: Seconds in which the batch system should answer a submission.
ANSWER = 60.0
#: Seconds between two looks at the shared directory.
LOOK = 0.2


class _Owner:
    """Hears what a submission came to."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def retire(self, records: Sequence[JobRecord]) -> None:
        """Do nothing: there are no workers."""

    def refused(self, records: Sequence[JobRecord], error: QueueError) -> None:  # noqa: ARG002 -- there is one
        self._outcome.error = str(error)

    def over(self, record: JobRecord) -> None:
        """Do nothing: who waits looks at the states."""


async def send_probe(
    verbs: Verbs,
    spec: JobSpec,
    render: Callable[[JobSpec], str],
    *,
    directory: str,
    addresses: Sequence[Address],
    files: Sequence[str],
    wait: float,
) -> Outcome:
    """Run a probe in a job, and clean up, whatever happens.

    Parameters
    ----------
    verbs
        The batch system, or this machine's queue.
    spec
        Of a worker's job, which the probe takes the place of.
    render
        Prints its script.
    directory
        What should be shared with the nodes: the probe gets a directory in it.
    addresses
        Of this machine, for the probe to try; port 0 takes any.
    files
        Which it should be able to read there.
    wait
        Seconds to wait for its report.
    """
    outcome = Outcome()
    token = secrets.token_hex(8)
    async with AsyncExitStack() as stack:
        # On the way out: the job first, then what it may still write to.
        place = stack.enter_context(probe_directory(directory, token))
        ports = [await stack.enter_async_context(listening(each, outcome, token)) for each in addresses]
        question = {
            "token": token,
            "addresses": ports,
            "directory": str(place),
            "files": list(files),
            "packages": ["dask", "distributed", "jobclusters"],
        }
        record = JobRecord("probe", 0, probing(spec, question))
        await stack.enter_async_context(_queued(verbs, render, record, outcome, token))
        await _wait(verbs, record, outcome, place, token, time.monotonic() + wait)
    return outcome


def probing(spec: JobSpec, question: Mapping[str, object]) -> JobSpec:
    """Put the probe into a worker's place: the same Python in the same surroundings, with another program."""
    source = Path(probe.__file__).read_text(encoding="utf-8")
    return replace(
        spec,
        job_name="doctor",
        worker_name="probe",
        python=(*spec.python, "-c", source),
        worker_command=("probe",),  # with all that follows, arguments of the program
        worker_args=(json.dumps(question),),
        processes=1,
        versions=None,
        hands_over=False,
        lifetime=None,
    )


@asynccontextmanager
async def _queued(
    verbs: Verbs, render: Callable[[JobSpec], str], record: JobRecord, outcome: Outcome, token: str
) -> AsyncIterator[None]:
    """Submit the job; cancel it on the way out, and remove its output. The janitor does so if this process dies."""
    janitor = Janitor(verbs.dialect.name, getattr(verbs, "token", ""))
    queue = BatchQueue(verbs, render, _Owner(outcome), janitor, token)
    queue.submit(record)
    settling = asyncio.ensure_future(queue.settle())
    try:
        # Not wait_for(): until Python 3.12 a cancellation that comes with the answer was lost there.
        answered, _ = await asyncio.wait([settling], timeout=ANSWER)
        if not answered:
            outcome.error = f"{verbs.dialect.title} has not answered the submission within {ANSWER:g} s"
        yield
    finally:
        settling.cancel()
        if not await queue.close():
            janitor.goodbye()
        # Grid Engine has another file beside the job's output; both are named after the job.
        around = os.path.join(os.getcwd(), record.spec.log_directory or "")
        named = glob(os.path.join(escape(around), f"{escape(record.job_name)}*")) if record.job_name else []
        for name in {*_outputs(verbs, record), *named}:
            with suppress(OSError):
                os.unlink(name)


def _outputs(verbs: Verbs, record: JobRecord) -> list[str]:
    if record.job_id is None:
        return []
    return verbs.log_files(record.job_id, record.spec.log_directory, record.job_name)


async def _wait(verbs: Verbs, record: JobRecord, outcome: Outcome, place: Path, token: str, deadline: float) -> None:
    """Wait for the report, and for the job's output, which some batch systems show only when it has ended."""
    outcome.job_id = record.job_id or ""
    asked = 0.0
    while not outcome.error and not outcome.complete and time.monotonic() < deadline:
        with suppress(OSError):
            outcome.take((place / "found").read_bytes(), token, "directory")
        read_output(_outputs(verbs, record), outcome, token)
        if outcome.found is not None and outcome.back is None and (door := outcome.found["listens"]):
            outcome.back = await knock(str(door[0]), int(door[1]))
        if outcome.hopeless(verbs.dialect.never):
            return
        now = time.monotonic()
        if now - asked >= verbs.interval and not outcome.status.state.ended:
            outcome.status, asked = await _status(verbs, record, outcome.status), now
            if outcome.status.state.ended:
                deadline = min(deadline, time.monotonic() + LAST_WORDS)
        await asyncio.sleep(LOOK)


async def _status(verbs: Verbs, record: JobRecord, before: JobStatus) -> JobStatus:
    """Ask how the job stands; no answer is no news, and a job that isn't known is gone if it's so twice."""
    job_id = str(record.job_id)
    try:
        status = (await verbs.states([job_id])).get(job_id)
        record.missing = 0 if status else record.missing + 1
        if status is None:
            status = before if record.missing < 2 else JobStatus(JobState.GONE)
        if status.state.ended:
            status = await verbs.detail(job_id) or status
    except QueueError:
        return before
    return status
