"""Finds out whether a cluster is alive: asks its scheduler, its machine and the batch system."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.registry import names
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.identity import batch_identity
from jobclusters.registry.record import ClusterRecord, Evidence, Liveness, Phase, judge
from jobclusters.registry.sweep import sweep
from jobclusters.state import JobState

if TYPE_CHECKING:
    from distributed.security import Security

#: Seconds for a scheduler's answer.
ANSWER_TIMEOUT = 5.0
#: Seconds between two questions for a job that the batch system doesn't know.
ABSENT_INTERVAL = 1.0


class ClusterStatus(NamedTuple):
    """A cluster's record, its liveness, and the reason in a sentence."""

    record: ClusterRecord
    liveness: Liveness
    sentence: str


async def check(files: ClusterFiles) -> ClusterStatus | None:
    """Find out whether a cluster is alive; None if there is none."""
    record = await asyncio.to_thread(files.record)
    if record is None:
        return None
    answers = await _answers(files, record) if record.phase is Phase.RUNNING else None
    if answers or record.phase is Phase.ENDED:
        return ClusterStatus(record, *judge(record, Evidence(answers=answers)))
    here = await _is_here(record)
    job = await head_state(record) if here is not False else None
    process = names.lives(record) if record.job_id is None else None
    silence = await asyncio.to_thread(files.silence)
    confirmed = await _confirms(record, job)
    evidence = Evidence(answers=answers, process=process, job=job, confirmed=confirmed, here=here, silence=silence)
    latest = await asyncio.to_thread(files.record)  # the cluster may have ended, or begun, meanwhile
    if latest != record:
        return await check(files)
    return ClusterStatus(record, *judge(record, evidence))


async def check_and_sweep(files: ClusterFiles) -> ClusterStatus | None:
    """Find out whether a cluster is alive; of one whose head is gone, cancel the jobs and clear up the rest."""
    found = await check(files)
    if found is None or found.liveness is not Liveness.GONE:
        return found
    await sweep(files, found.record, found.sentence)
    return ClusterStatus(found.record, Liveness.ENDED, found.sentence)


def estimate(files: ClusterFiles) -> ClusterStatus | None:
    """Judge by the record and this machine's processes alone, at once; None if there is no cluster."""
    record = files.record()
    if record is None:
        return None
    process = names.lives(record) if record.job_id is None else None
    liveness, sentence = judge(record, Evidence(process=process, silence=files.silence()))
    if liveness is Liveness.SILENT:  # the scheduler was not asked
        sentence = f"as {files.path} says"
    return ClusterStatus(record, liveness, sentence)


async def take_name(files: ClusterFiles, record: ClusterRecord) -> ClusterStatus | None:
    """Take a name for a cluster, or give the living one that has it; clear up after a dead one."""
    while True:
        claiming = asyncio.ensure_future(asyncio.to_thread(names.claim, record))
        try:
            other = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await claiming  # the thread goes on: the caller has to give the name back
            raise
        if other is None:
            return None
        found = await check_and_sweep(files)
        if found is not None and found.liveness is not Liveness.ENDED:
            return found


def security(files: ClusterFiles, record: ClusterRecord) -> Security | None:
    """Read the credentials of a cluster; None if its connections are plain."""
    from jobclusters.registry import credentials  # Dask takes long to import, and not every cluster needs it here

    return credentials.load(files) if str(record.scheduler).startswith("tls") else None


async def _answers(files: ClusterFiles, record: ClusterRecord) -> bool:
    """Ask a scheduler whether it is this cluster's."""
    from distributed.core import rpc

    with suppress(OSError, asyncio.TimeoutError, InvalidRequest, ValueError, TypeError):
        found = security(files, record)
        arguments = found.get_connection_args("client") if found else {}
        async with rpc(record.scheduler, connection_args=arguments, timeout=ANSWER_TIMEOUT) as scheduler:
            answer = await asyncio.wait_for(scheduler.jobclusters(verb="hello"), ANSWER_TIMEOUT)
            return bool(answer.get("run") == record.run)
    return False


async def _is_here(record: ClusterRecord) -> bool | None:
    """Compare this machine's batch system with the recorded one; None if unknown."""
    found = await batch_identity(record.system) if record.identity else ""
    return found == record.identity if found else None


async def _confirms(record: ClusterRecord, job: JobState | None) -> bool:
    """Check that the batch system knows the head's ended job under its name: ids are used again."""
    if job is None or not job.ended or job is JobState.GONE or record.job_name is None:
        return False
    try:
        return record.job_id in await BatchCommands(DIALECTS[record.system]).find(record.job_name)
    except QueueError:
        return False


async def head_state(record: ClusterRecord) -> JobState | None:
    """Ask the batch system for the state of a head's job; None without an answer."""
    if record.job_id is None:
        return None
    commands = BatchCommands(DIALECTS[record.system])
    try:
        states = await commands.states([record.job_id])
        if record.job_id not in states:  # an answer may be incomplete once
            await asyncio.sleep(ABSENT_INTERVAL)
            states = await commands.states([record.job_id])
    except QueueError:
        return None
    status = states.get(record.job_id)
    return JobState.GONE if status is None else status.state
