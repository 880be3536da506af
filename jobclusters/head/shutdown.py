"""Ends a cluster that another process holds, whatever its state."""

from __future__ import annotations

import asyncio
import os
import signal

from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.head.client import HeadClient
from jobclusters.registry import liveness, names
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.liveness import ClusterStatus
from jobclusters.registry.record import ClusterRecord, Liveness
from jobclusters.registry.sweep import cancel_named, sweep

#: Seconds for a head to end after TERM, and again after KILL.
END_TIMEOUT = 60.0
#: Seconds between two checks.
END_INTERVAL = 0.5


async def end(files: ClusterFiles) -> str:
    """End a cluster and its jobs, or raise what to do instead; give the reason in a sentence.

    A cluster that is starting is awaited, unless its head is a job, which can be cancelled.
    """
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGKILL]
    asked: str | None = None
    deadline = loop.time() + END_TIMEOUT
    record: ClusterRecord | None = None
    was_listed = False
    while (found := await liveness.check_and_sweep(files)) is not None and found.liveness is not Liveness.ENDED:
        record = found.record
        if found.liveness is Liveness.ELSEWHERE:
            raise QueueError(f"cluster {record.name!r} can't be ended from here: it is {found.sentence}")
        if found.liveness is Liveness.RUNNING:
            await _shut_down(files, record)
        elif record.job_id is not None and asked != record.job_id:
            # its signal closes the cluster
            was_listed |= await cancel_named(record.system, record.job_name, record.job_id)
            asked = record.job_id
        elif was_listed and await _has_ended(record):
            # It was listed, and cancelled, here: Grid Engine lists no job that never ran.
            await sweep(files, record, f"its head, job {record.job_id}, was cancelled")
        elif found.liveness is Liveness.SILENT and record.job_id is None and asked is None:
            _send(record, signals.pop(0), found.sentence)
            asked, deadline = "", loop.time() + END_TIMEOUT
        if loop.time() > deadline:
            if asked != "" or not signals:
                raise QueueError(_stays(found))
            asked = None
        await asyncio.sleep(END_INTERVAL)
    if record is not None:
        await _leaves(record)
    return found.sentence if found is not None else "closed"


async def _has_ended(record: ClusterRecord) -> bool:
    state = await liveness.head_state(record)
    return state is not None and state.ended


async def _leaves(record: ClusterRecord) -> None:
    """Wait until the process or job of a closed cluster's head is gone; a notebook goes on."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + END_TIMEOUT
    while loop.time() < deadline and record.head != "process":
        state = await liveness.head_state(record)
        if state.ended if state is not None else not names.lives(record) or record.job_id is not None:
            return
        await asyncio.sleep(END_INTERVAL)


async def _shut_down(files: ClusterFiles, record: ClusterRecord) -> None:
    """Close a cluster whose scheduler answers; it may end meanwhile."""
    try:
        head = HeadClient(files, record)
        try:
            await head.end()
        finally:
            await head.close()
    except (InvalidRequest, QueueError):  # its credentials go when it ends
        found = await liveness.check(files)
        if found is not None and found.liveness is Liveness.RUNNING:
            raise


def _send(record: ClusterRecord, number: signal.Signals, sentence: str) -> None:
    """Send a signal to a head of this machine whose scheduler doesn't answer; never to a notebook."""
    if not names.lives(record):
        raise QueueError(
            f"cluster {record.name!r} can't be ended from here: {sentence}. Run this again on {record.host}"
        )
    if record.head == "process":
        raise QueueError(
            f"cluster {record.name!r} does not answer, and its head is a program or notebook, process {record.pid} on"
            f" {record.host}: end that, or try again"
        )
    os.kill(record.pid, number)


def _stays(found: ClusterStatus) -> str:
    record = found.record
    what = f"cancel its job {record.job_id}" if record.job_id else f"end process {record.pid} on {record.host}"
    return f"cluster {record.name!r} was asked to end, and hasn't: {found.sentence}. Try again, or {what}"
