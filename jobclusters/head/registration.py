"""Registers a cluster under its name, serves other processes, closes it when idle, and records its end."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from tornado.ioloop import PeriodicCallback

from jobclusters.guard import Guard
from jobclusters.head.idle import Activity, ClosingAdvice, IdleMonitor
from jobclusters.head.server import Service
from jobclusters.registry import liveness
from jobclusters.registry.credentials import Credentials, to_json
from jobclusters.registry.files import SECURITY, ClusterFiles
from jobclusters.registry.names import Presence, name_taken
from jobclusters.registry.record import HEARTBEAT_INTERVAL, Phase

logger = logging.getLogger(__name__)

#: Seconds between two checks whether the cluster is still used.
IDLE_INTERVAL = 1.0


class Registered(Protocol):
    """The cluster of a registration, as far as it uses it, beside the methods for other processes."""

    @property
    def name(self) -> str:
        """For the log."""

    @property
    def scheduler(self) -> Any:
        """Dask's scheduler, which runs in this process."""

    @property
    def dashboard_link(self) -> str:
        """Of the scheduler's dashboard; "" if it has none."""

    @property
    def closing(self) -> bool:
        """Whether the cluster closes, or has closed."""

    def activity(self) -> Activity:
        """Measure how the cluster is used."""

    def finish(self, why: str) -> Awaitable[None]:
        """Close the cluster, and record why."""


class Registration:
    """Registers a cluster of this process, and serves it to other processes.

    Parameters
    ----------
    presence
        The cluster's record, and its files.
    timeouts
        ``idle_timeout`` and ``no_client_timeout``, in seconds; None for never.
    to_take
        Whether the cluster takes its name when it starts: one that never starts keeps none.

    Attributes
    ----------
    why : str
        Why the cluster closed; "" before, or if its user closed it.
    notice : str
        A warning for the user, such as that the cluster ends soon; "" for none.
    """

    def __init__(self, presence: Presence, timeouts: Mapping[str, float | None], *, to_take: bool = False) -> None:
        self.why = ""
        self.notice = ""
        self._presence = presence
        self._to_take = to_take
        self._timeouts = timeouts
        self._credentials: Credentials | None = None
        self._cluster: Registered | None = None
        self._changing = threading.Lock()
        self._published = False
        self._ended = False
        self._callbacks: list[PeriodicCallback] = []
        self._beating = Guard("The cluster's sign of life")
        self._watching = Guard("Looking whether the cluster is used")

    @property
    def files(self) -> ClusterFiles:
        """The cluster's private directory; made for its first job, or at once if the cluster has a name."""
        return self._presence.files

    @property
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None for no limit."""
        return self._presence.record.ends

    @property
    def to_take(self) -> bool:
        """Whether the cluster has yet to take its name."""
        return self._to_take

    # -- beginning --------------------------------------------------------------------------------------------------

    def protect(self, credentials: Credentials | None) -> None:
        """Keep the credentials of the cluster's connections; None if these are plain."""
        self._credentials = credentials

    async def take_name(self) -> None:
        """Take the name, or raise an :class:`InvalidRequest` if another cluster has it."""
        found = await liveness.take_name(self.files, self._presence.record)
        if found is not None:
            raise name_taken(self._presence.record.name, found.sentence)
        self._to_take = False

    def publish(self) -> None:
        """Write the record: jobs find the credentials in its directory, other processes the scheduler once it serves.

        Others also need it to clear up if this process and its janitor die.
        """
        with self._changing:
            self._publish()

    def _publish(self) -> None:
        if self._to_take or self._ended:  # the directory may be another cluster's
            return
        if self._credentials is not None:
            self._credentials.put()  # each time, as a site may have cleaned up
        record = self._presence.record
        first = not self._published
        if first:
            self.files.make()
            if record.head == "process" and not record.named:
                self.files.put(record)  # claiming a name would have written it
            self._published = True
        restored = not first and self._presence.restore()
        if (first or restored) and self._credentials is not None and self._credentials.elsewhere:
            self.files.write(SECURITY, to_json(self._credentials.security))
        if self._cluster is not None and record.phase is not Phase.RUNNING and not self._cluster.closing:
            address, dashboard = self._cluster.scheduler.address, self._cluster.dashboard_link or None
            self._presence.note(phase=Phase.RUNNING, scheduler=address, dashboard=dashboard)

    def serve(self, cluster: Registered) -> None:
        """Let other processes call the cluster, whose scheduler runs now; close it when it is no longer used."""
        record, now = self._presence.record, time.monotonic()
        ends = None if record.ends is None else now + record.ends - time.time()
        self._monitor = IdleMonitor(**self._timeouts, ends=ends, began=now)  # counts from now, as a start may take long
        cluster.scheduler.handlers["jobclusters"] = Service(cluster, record).answer
        with self._changing:
            self._cluster = cluster
            if record.named or record.head != "process" or self._published:
                self._publish()
        self._callbacks = [
            PeriodicCallback(lambda: self._watch_use(cluster), IDLE_INTERVAL * 1000),
            PeriodicCallback(lambda: self._beat(cluster), HEARTBEAT_INTERVAL * 1000),
        ]
        for callback in self._callbacks:
            callback.start()

    # -- while it runs ----------------------------------------------------------------------------------------------

    async def _beat(self, cluster: Registered) -> None:
        """Give a sign of life; a head of its own closes the cluster when that can't be found any more."""
        found = True
        with self._beating:
            found = await asyncio.to_thread(self._presence.beat)
        if not found and self._presence.record.head != "process":
            await cluster.finish(
                "other processes can't find it: its directory is gone, or another cluster has its name"
            )

    async def _watch_use(self, cluster: Registered) -> None:
        """Close the cluster when it is no longer used; announce it before."""
        if cluster.closing:
            return
        with self._watching:
            advice = self._monitor.check(time.monotonic(), cluster.activity())
            if advice.close:
                await cluster.finish(advice.close)
            else:
                self._announce(cluster, advice)

    def _announce(self, cluster: Registered, advice: ClosingAdvice) -> None:
        if advice.notice and advice.notice != self.notice:
            logger.warning("Cluster %s: %s.", cluster.name, advice.notice)
            cluster.scheduler.log_event("jobclusters", {"notice": advice.notice})
        self.notice = advice.notice

    # -- end --------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Remove the credentials, and note that the cluster has ended; what can't be is logged."""
        for callback in self._callbacks:
            callback.stop()
        with self._changing:
            if self._ended:
                return
            self._ended = True
        with Guard("Removing the credentials", "the cluster closes all the same"):
            if self._credentials is not None:
                self._credentials.remove()
                if self._credentials.files is not self.files:
                    self._credentials.files.remove()
        with Guard("Noting that the cluster has ended", "it closes all the same"):
            if self._published or self._claimed:
                self._presence.ended(self.why or f"closed by its owner, process {os.getpid()}")

    def abandon(self, error: BaseException) -> None:
        """Free the name of a cluster that could not be made."""
        if self._claimed:
            self._presence.ended(f"it could not be made: {type(error).__name__}: {error}")

    @property
    def _claimed(self) -> bool:
        """Whether the registry holds the name for this cluster."""
        return self._presence.record.named and not self._to_take
