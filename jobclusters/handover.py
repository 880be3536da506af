"""Runs in workers' processes: when the batch system announces a job's end, results go to other workers first.

``dask worker --preload`` and ``--preload-nanny`` call :func:`dask_setup`. Batch systems send TERM to all processes of a
job that is preempted, cancelled or out of time, and kill it some seconds later.

When a worker ends, :func:`dask_teardown` looks whether that is because the cluster's head is gone, with all that could
have cleared up after it, as when its node fails: then the jobs that still wait in the queue are cancelled from here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

logger = logging.getLogger("distributed.nanny")

#: Seconds for handing over: less than batch systems leave between TERM and KILL (SLURM's KillWait is 30 s).
GRACE = 20.0

#: Seconds that a batch system may take to notice that a head's node is lost (SLURM's SlurmdTimeout is 300 s).
NOTICED = 400.0
#: Seconds between two questions about that.
LOOK = 5.0
#: Names the cluster's directory.
VARIABLE = "JOBCLUSTERS_DIRECTORY"
#: In that directory, tells that one of the workers is at it: they all end at once.
MARK = ".swept"

_servers: list[Any] = []
#: Set when the batch system has announced the job's end: somebody sees to the jobs, or to this one alone.
_announced = asyncio.Event()


def dask_setup(server: Any) -> None:
    """Prepare a worker or nanny for TERM.

    A worker with a nanny leaves it to the nanny, which hands over for all workers of its process.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        return
    if getattr(server, "nanny", None):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return
    _servers.append(server)
    if len(_servers) > 1 or not callable(previous):  # not started by ``dask worker``: then it isn't ours to end
        return
    loop = asyncio.get_running_loop()

    def told(number: int, frame: Any) -> None:  # noqa: ARG001 -- a signal handler's arguments
        signal.signal(signal.SIGTERM, previous)  # a second one ends it at once
        loop.call_soon_threadsafe(_announced.set)
        loop.call_soon_threadsafe(lambda: _tasks.append(loop.create_task(_hand_over(previous))))

    signal.signal(signal.SIGTERM, told)


async def dask_teardown(server: Any) -> None:
    """Clear away what a cluster without a head has left in the queue.

    A worker with a nanny leaves it to the nanny.
    """
    directory = os.environ.get(VARIABLE)
    if not directory or getattr(server, "nanny", None) or _announced.is_set():
        return
    with suppress(Exception):  # the job ends, whatever this finds
        if not await _there(server.scheduler.address):
            await _look_after(directory)


async def _there(scheduler: str) -> bool:
    """Tell whether anybody listens at an address: nearly always a worker leaves, and the scheduler stays."""
    host, _, port = scheduler.rpartition("://")[2].rpartition(":")
    with suppress(OSError, asyncio.TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), 5)
        writer.close()
        return True
    return False


async def _look_after(directory: str) -> None:
    from jobclusters import finding
    from jobclusters.clusterfiles import ClusterFiles
    from jobclusters.entry import Standing

    files = ClusterFiles(directory)
    mark = files.path / MARK
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    try:
        deadline = asyncio.get_running_loop().time() + NOTICED
        while asyncio.get_running_loop().time() < deadline:
            found = await finding.look(files)
            if found is None or found.standing in (Standing.RUNNING, Standing.ENDED):
                return
            if found.standing is Standing.GONE:
                logger.warning("The cluster's head is gone (%s): what waits in the queue is cancelled.", found.sentence)
                files.remove_secrets()  # at once: this job is among those that are cancelled now
                await finding.find(files)
                return
            announced = asyncio.ensure_future(_announced.wait())
            done, _ = await asyncio.wait([announced], timeout=LOOK)
            announced.cancel()
            if done:
                return
    finally:
        mark.unlink(missing_ok=True)


_tasks: list[asyncio.Task[None]] = []


async def _hand_over(then: Callable[[int, Any], Any]) -> None:
    addresses = [getattr(server, "worker_address", None) or server.address for server in _servers]
    logger.info("The job is about to end: %s hand over what they hold.", ", ".join(addresses))
    scheduler = _servers[0].scheduler
    with suppress(Exception):  # there may be nobody left who could take it
        if await _there(scheduler.address):
            await asyncio.wait_for(scheduler.retire_workers(workers=addresses, close_workers=False, remove=True), GRACE)
    then(signal.SIGTERM, None)
