"""The head of a cluster as a program of its own: ``python -m jobclusters.head DIRECTORY RUN``, in a job or detached.

It makes the cluster that is described in the directory, notes there where its scheduler answers, and stays until the
cluster is closed. The run tells the cluster from one that may have got its name since. ``--sweep DIRECTORY RUN`` looks
afterwards whether a head has ended without closing, and clears away what it left in the queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

import dask.config
from distributed.core import Status

from jobclusters.clusterfiles import ClusterFiles
from jobclusters.entry import Entry, Phase
from jobclusters.errors import NoBatchSystem, QueueError
from jobclusters.janitor import sweep
from jobclusters.registry import Presence, owner

logger = logging.getLogger("jobclusters.head")


def main(arguments: list[str]) -> int:
    """Run a head, or sweep after one; give the exit status."""
    *options, directory, run = arguments
    files = ClusterFiles(directory)
    if not files.path.is_dir():
        print(f"{files.path} isn't there on this machine: set jobclusters.directory to one that all nodes see")  # noqa: T201
        return 3
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    entry = files.entry()
    if entry is None or entry.run != run:
        return 3
    if "--sweep" in options or entry.phase is not Phase.STARTING:
        return _sweep(files, entry)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asyncio.run(_run(files, entry))
    except Exception as error:
        traceback.print_exc()
        Presence(files, files.entry() or entry).ended(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _sweep(files: ClusterFiles, entry: Entry) -> int:
    """Clear away what a head left that has not closed; also of a first run of this job, where it is its second."""
    if entry.phase is not Phase.ENDED:
        logger.error("The head of cluster %s ended without closing it: its jobs are cancelled.", entry.name)
        asyncio.run(sweep(files, entry, "its head ended without closing it"))
    return 0


async def _run(files: ClusterFiles, entry: Entry) -> None:
    order = pickle.loads((files.path / "order.pickle").read_bytes())  # noqa: S301 -- this user wrote it, for this
    with suppress(OSError):
        os.chdir(order.directory)
    dask.config.config.clear()
    dask.config.update(dask.config.config, order.config)
    from jobclusters.dialects import DIALECTS
    from jobclusters.lasting import Held

    dialect = DIALECTS[entry.system]
    if entry.head == "job" and shutil.which(dialect.probe) is None:
        raise NoBatchSystem(
            f"{dialect.probe} is not on the PATH of {socket.gethostname()}, where the head runs: job_script_prologue="
            " can put it there; with head='detached' the head runs on the machine where you are"
        )
    variable = dialect.job_variable
    job_id = os.environ.get(variable) if entry.head == "job" and variable else None
    presence = Presence(files, entry)
    presence.note(**owner(), job_id=job_id or entry.job_id)
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    cluster = order.cls(**order.keywords, asynchronous=True, head=Held(presence, order.lifetime))
    why = "its head was told to end: the batch system, or somebody, sent it TERM"
    try:
        await _begin(cluster)
        ended = asyncio.ensure_future(cluster.finished())
        killed = asyncio.ensure_future(told.wait())
        await asyncio.wait([ended, killed], return_when=asyncio.FIRST_COMPLETED)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise
    finally:
        await cluster.finish(why)
    logger.info("The cluster has ended: %s.", presence.entry.why)


async def _begin(cluster: Any) -> None:
    """Start a cluster; what becomes of its jobs is told to those who wait for workers."""
    try:
        await cluster
    except QueueError as error:
        if cluster.status is not Status.running:
            raise
        logger.error("%s", error)  # noqa: TRY400 -- no bug of ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
