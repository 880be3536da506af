"""The head of a cluster as a program: ``jobclusters.head DIRECTORY RUN DIGEST``, in a job or detached.

It makes the cluster that the directory describes, if the description has that digest; records the scheduler's address
there, and runs until the cluster closes. RUN tells the cluster from another one that got its name since.
``--sweep DIRECTORY RUN`` runs afterwards, and cancels the jobs of a head that ended without closing its cluster.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Coroutine
from typing import Any

from distributed.core import Status

from jobclusters.config import dask_settings
from jobclusters.errors import NoBatchSystem, QueueError
from jobclusters.head.order import read_order
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.identity import batch_identity
from jobclusters.registry.names import Presence, owner
from jobclusters.registry.record import TERMINATED, ClusterRecord, Phase
from jobclusters.registry.sweep import sweep

logger = logging.getLogger("jobclusters.head")


def main(arguments: list[str]) -> int:
    """Run a head, or sweep after one; give the exit status."""
    gc.freeze()
    gc.enable()
    sweeps = arguments[:1] == ["--sweep"]
    directory, run, *digest = arguments[1:] if sweeps else arguments
    files = ClusterFiles(directory)
    if not files.path.is_dir():
        print(f"{files.path} isn't there on this machine: set jobclusters.directory to one that all nodes see")  # noqa: T201
        return 3
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    record = files.record()
    if record is None or record.run != run:
        return 3
    if sweeps or record.phase is not Phase.STARTING:
        return _sweep(files, record)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asyncio.run(_run(files, record, *digest))
    except Exception as error:
        traceback.print_exc()
        Presence(files, files.record() or record).ended(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _sweep(files: ClusterFiles, record: ClusterRecord) -> int:
    """Clear up after a head that has not closed its cluster; or after this job's first run, if it was requeued."""
    if record.phase is not Phase.ENDED:
        logger.error("The head of cluster %s ended without closing it: its jobs are cancelled.", record.name)
        asyncio.run(sweep(files, record, "its head ended without closing it"))
    return 0


async def _run(files: ClusterFiles, record: ClusterRecord, digest: str = "") -> None:
    order: Any = read_order(files, digest)  # Any: mypy doesn't know the cluster class in it
    dask_settings.adopt(order.config)
    from jobclusters.dialects import DIALECTS

    dialect = DIALECTS[record.system]
    if record.head == "job" and shutil.which(dialect.probe) is None:
        raise NoBatchSystem(
            f"{dialect.probe} is not on the PATH of {socket.gethostname()}, where the head runs: job_script_prologue="
            " can put it there; with head='detached' the head runs on the machine where you are"
        )
    variable = dialect.job_variable
    job_id = os.environ.get(variable) if record.head == "job" and variable else None
    presence = Presence(files, record)
    ends = None if order.lifetime is None else time.time() + order.lifetime
    identity = await batch_identity(record.system)
    presence.note(**owner(), job_id=job_id or record.job_id, ends=ends, identity=identity)
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    cluster = order.cls.as_head(presence, **order.keywords, asynchronous=True)
    why = TERMINATED
    try:
        await _unless(signalled, _begin(cluster))  # a user's preload, or a name server, may last
        await _unless(signalled, cluster.finished())
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise
    finally:
        await cluster.finish(why)
    logger.info("The cluster has ended: %s.", presence.record.why)


async def _unless(signalled: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do work until it is done, or cancel it when a signal asks for the end."""
    task, signal_wait = asyncio.ensure_future(work), asyncio.ensure_future(signalled.wait())
    await asyncio.wait([task, signal_wait], return_when=asyncio.FIRST_COMPLETED)
    signal_wait.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _begin(cluster: Any) -> None:
    """Start a cluster; trouble with its jobs is for those who wait for workers."""
    try:
        await cluster
    except QueueError as error:
        if cluster.status is not Status.running:
            raise
        logger.error("%s", error)  # noqa: TRY400 -- no bug of ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
