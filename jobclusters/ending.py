"""Ends a cluster that another process holds, however it stands."""

from __future__ import annotations

import asyncio
import os
import signal

from jobclusters import finding, registry
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.commandqueue import CommandQueue
from jobclusters.connected import ConnectedCluster
from jobclusters.dialects import DIALECTS
from jobclusters.entry import Entry, Standing
from jobclusters.errors import QueueError
from jobclusters.finding import Found

#: Seconds in which a head that is told to end should have; then it is killed, and has as many to be gone.
PATIENCE = 60.0
#: Seconds between two looks.
LOOK = 0.5


async def end(files: ClusterFiles) -> str:
    """End a cluster, its jobs included; give a sentence on how.

    One that is starting is waited for, unless its head is a job: that can be cancelled.

    Raises
    ------
    InvalidRequest
        If its entry can't be read.
    QueueError
        If it can't be ended from here; it says what to do.
    """
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGKILL]
    told: str | None = None
    deadline = loop.time() + PATIENCE
    entry: Entry | None = None
    while (found := await finding.find(files)) is not None and found.standing is not Standing.ENDED:
        entry = found.entry
        if found.standing is Standing.RUNNING:
            await _shut_down(files)
        elif entry.job_id is not None and told != entry.job_id:
            await _cancel(entry)
            told = entry.job_id
        elif found.standing is Standing.SILENT and entry.job_id is None and told is None:
            _send(entry, signals.pop(0), found.sentence)
            told, deadline = "", loop.time() + PATIENCE
        if loop.time() > deadline:
            if told != "" or not signals:
                raise QueueError(_stays(found))
            told = None
        await asyncio.sleep(LOOK)
    if entry is not None:
        await _leaves(entry)
    return found.sentence if found is not None else "closed"


async def _leaves(entry: Entry) -> None:
    """Wait until a head that has closed its cluster is gone, too; a notebook stays."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while loop.time() < deadline and entry.head != "process":
        state = await finding.head_state(entry)
        if state.ended if state is not None else not registry.lives(entry) or entry.job_id is not None:
            return
        await asyncio.sleep(LOOK)


async def _shut_down(files: ClusterFiles) -> None:
    """Tell a scheduler that answers to close; that it ends meanwhile is no error."""
    try:
        async with ConnectedCluster(files, kind="Cluster", asynchronous=True) as cluster:
            await cluster.shutdown()
    except QueueError:
        found = await finding.look(files)
        if found is not None and found.standing is Standing.RUNNING:
            raise


async def _cancel(entry: Entry) -> None:
    """Cancel a head's job, which closes the cluster when it is told to end."""
    queue = CommandQueue(DIALECTS[entry.system])
    queue.check()
    await queue.cancel([str(entry.job_id)])


def _send(entry: Entry, number: signal.Signals, sentence: str) -> None:
    """Tell a head of this machine to end whose scheduler doesn't answer; not somebody's notebook."""
    if not registry.lives(entry):
        raise QueueError(f"cluster {entry.name!r} can't be ended from here: {sentence}. Say this again on {entry.host}")
    if entry.head == "process":
        raise QueueError(
            f"cluster {entry.name!r} does not answer, and its head is a program or notebook, process {entry.pid} on"
            f" {entry.host}: end that, or try again"
        )
    os.kill(entry.pid, number)


def _stays(found: Found) -> str:
    entry = found.entry
    what = f"cancel its job {entry.job_id}" if entry.job_id else f"end process {entry.pid} on {entry.host}"
    return f"cluster {entry.name!r} was told to end, and hasn't: {found.sentence}. Try again, or {what}"
