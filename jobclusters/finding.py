"""Finds out how a cluster stands that another process holds: asks its scheduler, its machine and the batch system."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from jobclusters import registry
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.commandqueue import CommandQueue
from jobclusters.dialects import DIALECTS
from jobclusters.entry import Entry, Evidence, Phase, Standing, judge
from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.janitor import sweep
from jobclusters.state import JobState

if TYPE_CHECKING:
    from distributed.security import Security

#: Seconds in which a scheduler should answer.
ANSWER = 5.0
#: Seconds after which the batch system is asked again for a job that it doesn't know.
ABSENT = 1.0


class Found(NamedTuple):
    """A cluster, how it stands, and a sentence on that."""

    entry: Entry
    standing: Standing
    sentence: str


async def look(files: ClusterFiles) -> Found | None:
    """Find out how a cluster stands; None if there is none.

    Raises
    ------
    InvalidRequest
        If its entry can't be read.
    """
    entry = await asyncio.to_thread(files.entry)
    if entry is None:
        return None
    answers = await _answers(files, entry) if entry.phase is Phase.RUNNING else None
    if answers or entry.phase is Phase.ENDED:
        return Found(entry, *judge(entry, Evidence(answers=answers)))
    job = await head_state(entry)
    process = registry.lives(entry) if entry.job_id is None else None
    evidence = Evidence(answers=answers, process=process, job=job, silence=await asyncio.to_thread(files.silence))
    latest = await asyncio.to_thread(files.entry)  # it may have ended, or begun, meanwhile
    if latest != entry:
        return await look(files)
    return Found(entry, *judge(entry, evidence))


async def find(files: ClusterFiles) -> Found | None:
    """Find out how a cluster stands; one whose head is gone is cleared away, with what it left in the queue."""
    found = await look(files)
    if found is None or found.standing is not Standing.GONE:
        return found
    await sweep(files, found.entry, found.sentence)
    return Found(found.entry, Standing.ENDED, found.sentence)


def seems(files: ClusterFiles) -> Found | None:
    """Tell at once how a cluster seems to stand, from what is noted and this machine's processes; None if none does.

    Raises
    ------
    InvalidRequest
        If its entry can't be read.
    """
    entry = files.entry()
    if entry is None:
        return None
    process = registry.lives(entry) if entry.job_id is None else None
    standing, sentence = judge(entry, Evidence(process=process, silence=files.silence()))
    if standing is Standing.SILENT:  # nobody has asked it
        sentence = f"as {files.path} says"
    return Found(entry, standing, sentence)


async def take(files: ClusterFiles, entry: Entry) -> Found | None:
    """Take a name for a cluster; what a dead one left is cleared away.

    Returns
    -------
    Found or None
        The cluster that has the name; None if it is taken for the new one now.

    Raises
    ------
    InvalidRequest
        If it can't be noted.
    QueueError
        If what a dead cluster left can't be cleared away from here.
    """
    while True:
        claiming = asyncio.ensure_future(asyncio.to_thread(registry.claim, entry))
        try:
            other = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await claiming  # it is taken all the same, and to be given back
            raise
        if other is None:
            return None
        found = await find(files)
        if found is not None and found.standing is not Standing.ENDED:
            return found


def security(files: ClusterFiles, entry: Entry) -> Security | None:
    """Give the credentials of a cluster; None if its connections are plain.

    Raises
    ------
    InvalidRequest
        If it has some, and they can't be read.
    """
    from jobclusters import credentials  # Dask takes long to import, and not all have to be asked

    return credentials.load(files) if str(entry.scheduler).startswith("tls") else None


async def _answers(files: ClusterFiles, entry: Entry) -> bool:
    """Ask a scheduler whether it is this cluster's."""
    from distributed.core import rpc

    with suppress(OSError, asyncio.TimeoutError, InvalidRequest, ValueError, TypeError):
        found = security(files, entry)
        arguments = found.get_connection_args("client") if found else {}
        async with rpc(entry.scheduler, connection_args=arguments, timeout=ANSWER) as scheduler:
            answer = await asyncio.wait_for(scheduler.jobclusters(verb="hello"), ANSWER)
            return bool(answer.get("run") == entry.run)
    return False


async def head_state(entry: Entry) -> JobState | None:
    """Ask the batch system how a head's job stands; None if it doesn't say."""
    if entry.job_id is None:
        return None
    queue = CommandQueue(DIALECTS[entry.system])
    try:
        states = await queue.states([entry.job_id])
        if entry.job_id not in states:  # an answer may be incomplete once
            await asyncio.sleep(ABSENT)
            states = await queue.states([entry.job_id])
    except QueueError:
        return None
    status = states.get(entry.job_id)
    return JobState.GONE if status is None else status.state
