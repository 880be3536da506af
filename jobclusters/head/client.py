"""Calls the methods of a cluster whose head is another process."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import time
from contextlib import suppress
from typing import Any

import cloudpickle
from distributed.core import rpc

from jobclusters import __version__
from jobclusters.errors import QueueError
from jobclusters.head.methods import METHODS
from jobclusters.registry import liveness
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.record import ClusterRecord, Liveness, Phase

logger = logging.getLogger(__name__)

#: Seconds for a cluster to close.
CLOSE_TIMEOUT = 120.0

#: Seconds between two checks whether it has.
CLOSE_INTERVAL = 0.5


class HeadClient:
    """A connection to a cluster's head: its credentials, None for plain connections, and its scheduler's RPC."""

    def __init__(self, files: ClusterFiles, record: ClusterRecord) -> None:
        self._files = files
        self._record = record
        self.security: Any = liveness.security(files, record)
        arguments = self.security.get_connection_args("client") if self.security else {}
        self.comm: Any = rpc(record.scheduler, connection_args=arguments)

    async def call(self, name: str, /, **keywords: Any) -> Any:
        """Call a method of the table that head and client share; raise what the method raises.

        Raise QueueError if the answer comes from another version, and can't be read.
        """
        method = METHODS[name]
        answer = await self.comm.jobclusters(verb=name, keywords=cloudpickle.dumps(keywords), version=__version__)
        if "error" in answer:
            raise self._read(answer["error"])
        return method.given(self._read(answer["result"]))

    def _read(self, data: bytes) -> Any:
        try:
            return pickle.loads(data)  # noqa: S301 -- the head is the same user's
        except (ImportError, AttributeError) as error:  # the answer names what this Python doesn't have
            raise QueueError(
                f"an answer of cluster {self._record.name} can't be read: {error}. Its head runs jobclusters"
                f" {self._record.version}, and this is {__version__}: give both the same version and modules, or"
                f" end it with jobclusters close {self._record.name}"
            ) from None

    async def end(self) -> None:
        """Close the cluster, and wait until its jobs are gone."""
        asking = asyncio.ensure_future(self._ask_to_close())
        try:
            deadline = time.monotonic() + CLOSE_TIMEOUT
            while time.monotonic() < deadline:
                record = await asyncio.to_thread(self._files.record)
                if record is None or record.phase is Phase.ENDED or record.run != self._record.run:
                    return
                await asyncio.sleep(CLOSE_INTERVAL)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
        found = await liveness.check_and_sweep(self._files)  # its head may have died while it closed
        if found is None or found.liveness is Liveness.ENDED:
            return
        logger.error("Cluster %s should have closed, and hasn't; see %s.", self._record.name, self._files.path)

    async def _ask_to_close(self) -> None:
        """Ask until there is an answer: a head that is busy, or suspended, may not have taken the connection."""
        why = f"closed by process {os.getpid()} on {socket.gethostname()}"
        with suppress(QueueError):  # an answer, too
            while True:
                with suppress(OSError, asyncio.TimeoutError):
                    await asyncio.wait_for(self.call("close", why=why), liveness.ANSWER_TIMEOUT)
                    return
                await asyncio.sleep(CLOSE_INTERVAL)

    async def close(self) -> None:
        """Close the connection; the cluster goes on."""
        await self.comm.close_rpc()
