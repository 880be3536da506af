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
from jobclusters.janitor import sweep

#: Seconds in which a head that is told to end should have.
PATIENCE = 60.0
#: Seconds between two looks.
LOOK = 0.5


async def end(files: ClusterFiles) -> str:
    """End a cluster, its jobs included; give a sentence on how.

    Raises
    ------
    InvalidRequest
        If there is none.
    QueueError
        If it can't be ended from here; it says what to do.
    """
    found = await finding.find(files)
    if found is None or found.standing is Standing.ENDED:
        return found.sentence if found else "nothing is noted of it"
    if found.standing is Standing.RUNNING:
        async with ConnectedCluster(files, kind="Cluster", asynchronous=True) as cluster:
            await cluster.shutdown()
    else:
        await _tell(found)
        await _until_ended(files)
    ended = await finding.find(files)
    if ended is not None and ended.standing is not Standing.ENDED:
        raise QueueError(f"cluster {files.path.name!r} was told to end, and hasn't: {ended.sentence}")
    return ended.sentence if ended else "closed"


async def _tell(found: Found) -> None:
    """Tell a head to end whose scheduler doesn't answer."""
    entry = found.entry
    if entry.job_id is not None:
        await CommandQueue(DIALECTS[entry.system]).cancel([entry.job_id])
    elif registry.lives(entry):
        os.kill(entry.pid, signal.SIGTERM)
    else:
        raise QueueError(_elsewhere(entry, found.sentence))


def _elsewhere(entry: Entry, sentence: str) -> str:
    return f"cluster {entry.name!r} can't be ended from here: {sentence}. Say this again on {entry.host}"


async def _until_ended(files: ClusterFiles) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while loop.time() < deadline:
        found = await finding.look(files)
        if found is None or found.standing is Standing.ENDED:
            return
        if found.standing is Standing.GONE:
            await sweep(files, found.entry, "it was told to end before its scheduler was there")
            return
        await asyncio.sleep(LOOK)
