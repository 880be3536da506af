"""Runs in workers' processes: when the batch system announces a job's end, results go to other workers first.

``dask worker --preload`` and ``--preload-nanny`` call :func:`dask_setup`. Batch systems send TERM to all processes of a
job that is preempted, cancelled or out of time, and kill it some seconds later.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

logger = logging.getLogger("distributed.nanny")

#: Seconds for handing over: less than batch systems leave between TERM and KILL (SLURM's KillWait is 30 s).
GRACE = 20.0

_servers: list[Any] = []


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
        loop.call_soon_threadsafe(lambda: _tasks.append(loop.create_task(_hand_over(previous))))

    signal.signal(signal.SIGTERM, told)


_tasks: list[asyncio.Task[None]] = []


async def _hand_over(then: Callable[[int, Any], Any]) -> None:
    addresses = [getattr(server, "worker_address", None) or server.address for server in _servers]
    logger.info("The job is about to end: %s hand over what they hold.", ", ".join(addresses))
    with suppress(Exception):  # the scheduler may be gone, or nobody left who could take it
        await asyncio.wait_for(
            _servers[0].scheduler.retire_workers(workers=addresses, close_workers=False, remove=True), GRACE
        )
    then(signal.SIGTERM, None)
