"""Runs in workers' processes: when the batch system announces a job's end, its results move to other workers.

``dask worker --preload`` and ``--preload-nanny`` call :func:`dask_setup`, which also guards TLS connections before the
worker registers. Batch systems send TERM to all processes of a job that is preempted, cancelled or out of time, and
kill it some seconds later. LSF sends INT before that TERM.

When a worker ends, :func:`dask_teardown` checks whether the cluster's head is gone, and every process that could have
cleared up after it, for instance with its node: then the worker cancels the jobs that are still in the queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from jobclusters.registry.openssl import guard_process

logger = logging.getLogger("distributed.nanny")

#: The signals that announce a job's end. Others, which a dialect names, the job's script turns into a TERM.
ANNOUNCEMENTS = (signal.SIGTERM, signal.SIGINT)

#: Seconds for the handover: fewer than batch systems leave between TERM and KILL (SLURM's KillWait is 30 s).
HANDOVER_TIMEOUT = 20.0

#: Seconds in which a batch system notices that a head's node is lost (SLURM's SlurmdTimeout is 300 s).
LOST_NODE_TIMEOUT = 400.0
#: Seconds between two checks for that.
LOOK_INTERVAL = 5.0
#: Names the cluster's directory.
VARIABLE = "JOBCLUSTERS_DIRECTORY"
#: In that directory, marks that one of the workers, which all end at once, does the check.
MARK = ".swept"
#: Seconds after which an untouched mark counts as a killed worker's.
MARK_TIMEOUT = 60.0


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out the lines with which Dask notes that it runs this module, at the beginning of each job's log."""
    return record.args != (__name__,)


logging.getLogger("distributed.preloading").addFilter(_is_news)

_servers: list[Any] = []
#: Set when the batch system has announced the job's end: then the head is not lost.
_announced = asyncio.Event()


def dask_setup(server: Any) -> None:
    """Guard a worker's or nanny's connections, and prepare it for the end of its job.

    A worker with a nanny leaves that to the nanny, which hands over for all workers of its process.
    """
    guard_process()
    if threading.current_thread() is not threading.main_thread():
        return
    if getattr(server, "nanny", None):
        _heed(dict.fromkeys(ANNOUNCEMENTS, signal.SIG_IGN))
        return
    _servers.append(server)
    previous = {number: signal.getsignal(number) for number in ANNOUNCEMENTS}
    end = previous[signal.SIGTERM]
    if len(_servers) > 1 or not callable(end):  # ``dask worker`` installs a handler; others end by themselves
        return
    loop = asyncio.get_running_loop()

    def then(number: int, frame: Any) -> None:
        _heed(previous)
        end(number, frame)

    def announced(number: int, frame: Any) -> None:  # noqa: ARG001 -- a signal handler's arguments
        # A job gets more of them: LSF's TERM after its INT, and what the job's script forwards.
        _heed(dict.fromkeys(ANNOUNCEMENTS, signal.SIG_IGN))
        loop.call_soon_threadsafe(_announced.set)
        loop.call_soon_threadsafe(lambda: _tasks.append(loop.create_task(_hand_over(then))))

    _heed(dict.fromkeys(ANNOUNCEMENTS, announced))


def _heed(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # one that no Python has installed
            signal.signal(number, handler)


async def dask_teardown(server: Any) -> None:
    """Cancel the jobs that a cluster without a head left in the queue.

    A worker with a nanny leaves it to the nanny.
    """
    directory = os.environ.get(VARIABLE)
    if not directory or getattr(server, "nanny", None) or _announced.is_set():
        return
    with suppress(Exception):  # the job ends in any case
        if not await _answers(server.scheduler.address):
            await _sweep_if_gone(directory)


async def _answers(scheduler: str) -> bool:
    """Check whether the scheduler's port is open: usually it is the worker that leaves."""
    host, _, port = scheduler.rpartition("://")[2].rpartition(":")
    with suppress(OSError, asyncio.TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), 5)
        writer.close()
        return True
    return False


async def _sweep_if_gone(directory: str) -> None:
    """Cancel a cluster's jobs if its head is gone for sure; of its workers, one does so."""
    from jobclusters.registry import liveness
    from jobclusters.registry.files import ClusterFiles
    from jobclusters.registry.record import Liveness

    files = ClusterFiles(directory)
    if not files.take_mark(MARK, MARK_TIMEOUT):
        return
    try:
        deadline = asyncio.get_running_loop().time() + LOST_NODE_TIMEOUT
        while asyncio.get_running_loop().time() < deadline:
            found = await liveness.check(files)
            if found is None or found.liveness in (Liveness.RUNNING, Liveness.ENDED, Liveness.ELSEWHERE):
                return
            if found.liveness is Liveness.GONE:
                logger.warning("The cluster's head is gone (%s): what waits in the queue is cancelled.", found.sentence)
                files.remove_secrets()  # first, as the sweep cancels this job, too
                await liveness.check_and_sweep(files)
                return
            announced = asyncio.ensure_future(_announced.wait())
            done, _ = await asyncio.wait([announced], timeout=LOOK_INTERVAL)
            announced.cancel()
            if done:
                return
            files.touch_mark(MARK)
    finally:
        files.remove_mark(MARK)


_tasks: list[asyncio.Task[None]] = []


async def _hand_over(then: Callable[[int, Any], Any]) -> None:
    """Move what the workers of this process hold to others, and end as a TERM does."""
    # By name: a nanny knows its worker's address only some time after the scheduler does.
    names = [str(server.name) for server in _servers]
    logger.info("The job is about to end: %s hand over what they hold.", ", ".join(names))
    scheduler = _servers[0].scheduler
    with suppress(Exception):  # no other worker may be left to take the results
        if await _answers(scheduler.address):
            await asyncio.wait_for(
                scheduler.retire_workers(names=names, close_workers=False, remove=True), HANDOVER_TIMEOUT
            )
    then(signal.SIGTERM, None)
