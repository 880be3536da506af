"""A cluster whose head is another process: this one only connects, and may end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from distributed.core import Status, rpc
from tornado.ioloop import PeriodicCallback

from jobclusters import __version__, finding
from jobclusters.adaptive import Step
from jobclusters.asking import AskingCluster
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.entry import Entry, Phase, Standing
from jobclusters.errors import QueueError
from jobclusters.service import View
from jobclusters.start import Start

logger = logging.getLogger(__name__)

#: Seconds between two looks at the cluster.
LOOK = 2.0
#: Seconds between two looks whether a cluster that is starting or ending has.
SOON = 0.5
#: Seconds for which a scheduler may be too busy to answer.
PATIENCE = 30.0
#: Seconds in which a cluster should have closed.
CLOSING = 120.0


class ConnectedCluster(AskingCluster):
    """A cluster that another process holds: the same methods as a :class:`~jobclusters.cluster.JobCluster`.

    Parameters
    ----------
    files
        Of the cluster.
    kind
        The name of the class that was asked for.
    start
        Starts its head; None if it has one.
    shutdown_on_close
        Whether it ends when this connection is closed; None if it does where this has made it.
    asynchronous, loop
        As for every Dask cluster.
    """

    def __init__(
        self,
        files: ClusterFiles,
        *,
        kind: str,
        start: Start | None = None,
        shutdown_on_close: bool | None = False,
        asynchronous: bool = False,
        loop: Any = None,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, quiet=True, name=files.path.name)
        self.files = files
        self._shutdown_on_close = shutdown_on_close
        #: Whether the cluster was made by this, and was not there before.
        self.made_here = start is not None
        self.security: Any = None
        self._name = kind
        self._starting = start
        self._entry: Entry | None = None
        self._view = View()
        self._looking = asyncio.Lock()
        self._beginning: asyncio.Task[Any] | None = None
        self._ending: asyncio.Future[None] | None = None
        #: What the adaptive scaler has decided, and why: the newest last.
        self._history: deque[Step] = deque(maxlen=1000)
        if not self.called_from_running_loop:
            self._loop_runner.start()
            try:
                self.sync(self._start)
            except BaseException:
                self.sync(self._abandon)
                self._loop_runner.stop()
                raise

    def __await__(self) -> Generator[Any, Any, ConnectedCluster]:
        async def begun() -> ConnectedCluster:
            if self.status is Status.created:
                await self._start()
            return self

        return begun().__await__()

    @property
    def shutdown_on_close(self) -> bool:
        """Whether the cluster ends when this connection is closed."""
        return self.made_here if self._shutdown_on_close is None else bool(self._shutdown_on_close)

    @shutdown_on_close.setter
    def shutdown_on_close(self, value: bool) -> None:
        self._shutdown_on_close = value

    # -- beginning ----------------------------------------------------------------------------------------------

    async def _abandon(self) -> None:
        """Stop starting: Ctrl-C ends the wait of the person's thread, but not what the event loop does."""
        if self._beginning is not None and not self._beginning.done():
            self._beginning.cancel()
            await asyncio.wait([self._beginning])
        self.status = Status.closed

    async def _start(self) -> None:
        self._beginning = asyncio.current_task()
        starting, self._starting = self._starting, None
        if starting is not None and (other := await starting.run()) is not None:
            logger.info("Cluster %s is there: somebody was faster.", other.name)
            self.made_here = False
        entry = self._entry = await self._running()
        if entry.version != __version__:
            logger.warning(
                "Cluster %s runs jobclusters %s, and this is %s: where something fails, give both the same.",
                *(entry.name, entry.version, __version__),
            )
        self.security = finding.security(self.files, entry)
        arguments = self.security.get_connection_args("client") if self.security else {}
        self.scheduler_comm = rpc(entry.scheduler, connection_args=arguments)
        self.status = Status.running
        # Not Dask's own start: the scheduler tells one subscriber of its workers, and that is the head.
        await self._refresh()
        self.periodic_callbacks["view"] = callback = PeriodicCallback(self._look, LOOK * 1000)
        callback.start()

    async def _running(self) -> Entry:
        """Wait until the scheduler is there."""
        told = ""
        patient_until = time.monotonic() + PATIENCE
        while True:
            found = await finding.find(self.files)
            if found is None or found.standing is Standing.ENDED:
                why = found.sentence if found else "nothing is noted of it"
                raise QueueError(f"cluster {self.files.path.name!r} has ended: {why}. Its name is free again")
            if found.standing is Standing.RUNNING:
                return found.entry
            if found.standing is Standing.SILENT and time.monotonic() > patient_until:
                raise QueueError(
                    f"cluster {self.files.path.name!r} can't be reached from here: {found.sentence}. If it is gone,"
                    f" remove {self.files.path}"
                )
            if found.sentence != told:
                logger.info("Waiting for cluster %s: %s.", self.files.path.name, told := found.sentence)
            await asyncio.sleep(SOON)

    async def _find_out(self) -> None:
        """Find out what became of a cluster that doesn't answer."""
        try:
            found = await finding.find(self.files)
        except QueueError as error:  # it is gone, and what it left can't be cancelled from here
            logger.error("%s.", error)  # noqa: TRY400 -- a traceback would tell nothing
            found = await finding.look(self.files)
        same = found is not None and self._entry is not None and found.entry.run == self._entry.run
        if found is not None and same and found.standing not in (Standing.ENDED, Standing.GONE):
            logger.info("Cluster %s: %s.", self.name, found.sentence)
            return
        sentence = found.sentence if found and same else "it was closed"
        if self.status is Status.running:
            logger.warning("Cluster %s has ended: %s.", self.name, sentence)
            self._why = sentence
            self._view = View(summary=f"none; ended: {sentence}")
            self.scheduler_info["workers"] = {}
            await super()._close()

    # -- end ----------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        if self.status is Status.running and self.shutdown_on_close:
            self.status = Status.closing  # clients look at this when the scheduler has gone, or would try to reach it
            self._ending = asyncio.ensure_future(self._end())
        if self._ending is not None:
            await self._ending
        await super()._close()
        self.scheduler_info["workers"] = {}
        self._view = View(summary="not connected")

    def shutdown(self) -> Any:
        """End the cluster, whoever else is connected."""
        self.shutdown_on_close = True
        return self.close()

    async def _end(self) -> None:
        """Close the cluster, and wait until its jobs are gone."""
        why = f"closed by process {os.getpid()} on {socket.gethostname()}"
        with suppress(OSError, QueueError, asyncio.TimeoutError):
            await asyncio.wait_for(self._tell("close", why=why), finding.ANSWER)
        deadline = time.monotonic() + CLOSING
        while time.monotonic() < deadline:
            entry = await asyncio.to_thread(self.files.entry)
            if entry is None or entry.phase is Phase.ENDED or (self._entry and entry.run != self._entry.run):
                return
            await asyncio.sleep(SOON)
        found = await finding.find(self.files)  # its head may have died over it
        if found is None or found.standing is Standing.ENDED:
            return
        logger.error("Cluster %s should have closed, and hasn't; see %s.", self.name, self.files.path)
