"""The part of a cluster that others can find and ask, and that ends by itself when nobody needs it any more."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.config
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from jobclusters.clusterfiles import ClusterFiles
from jobclusters.credentials import SECURITY, Credentials
from jobclusters.elastic import ElasticCluster
from jobclusters.entry import HEARTBEAT, Phase
from jobclusters.idle import Activity, Vigil
from jobclusters.registry import Presence
from jobclusters.service import Service
from jobclusters.state import JobState

logger = logging.getLogger(__name__)

#: Seconds between two looks whether the cluster is still used.
LOOK = 1.0


@dataclass(frozen=True)
class Held:
    """That this process is a cluster's head, as its registry notes.

    Attributes
    ----------
    presence
        What is noted.
    lifetime
        Seconds after which it should close, before its walltime ends it; None for never.
    """

    presence: Presence
    lifetime: float | None = None


class LastingCluster(ElasticCluster):
    """The part of a cluster that others can find and ask, and that ends by itself."""

    _held: Held
    _credentials: Credentials | None
    _vigil: Vigil
    #: Whether its directory has been made.
    _noted = False
    #: Why it closed; "" while it hasn't.
    _why = ""
    #: What a person should know now: that the cluster ends soon; "" for nothing.
    notice = ""

    @property
    def files(self) -> ClusterFiles:
        """Its private directory; it is made when the first job is asked for, or at once if the cluster has a name."""
        return self._held.presence.files

    @property
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None if it won't."""
        return self._held.presence.entry.ends

    def _hold(self, held: Held, timeouts: Mapping[str, float | None]) -> None:
        """Note that this process is the head."""
        self._held = held
        self._over = asyncio.Event()
        now = time.monotonic()
        self._vigil = Vigil(**timeouts, ends=None if held.lifetime is None else now + held.lifetime, began=now)
        if held.lifetime is not None:
            held.presence.note(ends=time.time() + held.lifetime)

    def _appear(self) -> None:
        """Answer others from now on."""
        presence = self._held.presence
        self._service = Service(self, presence.entry.run)
        self.scheduler.handlers["jobclusters"] = self._service.answer
        if presence.entry.named or self._noted:
            self._be_noted()
        for name, look, seconds in (("vigil", self._watch_over, LOOK), ("heartbeat", self._beat, HEARTBEAT)):
            self.periodic_callbacks[name] = callback = PeriodicCallback(look, seconds * 1000)
            callback.start()

    def _be_noted(self) -> None:
        """Let others find the cluster, and clear up after it should this process and its janitor die."""
        presence = self._held.presence
        if not self._noted:
            self.files.make()
            self._share_credentials()
            self._noted = True
        if presence.entry.phase is not Phase.RUNNING and self.status is Status.running:
            presence.note(phase=Phase.RUNNING, scheduler=self.scheduler.address, dashboard=self.dashboard_link or None)

    def _share_credentials(self) -> None:
        """Let other processes of this user connect."""
        if self._credentials is not None:
            self._credentials.put()
            if self._credentials.elsewhere:
                self.files.write(SECURITY, pickle.dumps(self._credentials.security))

    async def _beat(self) -> None:
        await asyncio.to_thread(self._held.presence.beat)

    async def _watch_over(self) -> None:
        """Close the cluster when nobody needs it any more; announce it before."""
        if self.status is not Status.running or self._ending is not None:
            return
        verdict = self._vigil.look(time.monotonic(), self._activity())
        if verdict.close:
            await self.finish(verdict.close)
            return
        if verdict.notice and verdict.notice != self.notice:
            logger.warning("Cluster %s: %s.", self.name, verdict.notice)
            self.scheduler.log_event("jobclusters", {"notice": verdict.notice})
        self.notice = verdict.notice

    def _activity(self) -> Activity:
        scheduler, records = self.scheduler, list(self.engine.queue.records.values())
        tasks = sum(len(worker.processing) for worker in scheduler.workers.values())
        return Activity(
            tasks=tasks + len(scheduler.queued) + len(scheduler.unrunnable),
            transitions=scheduler.transition_counter,
            workers=len(scheduler.workers),
            expected=sum(
                record.status.state in (JobState.PENDING, JobState.UNKNOWN) and not record.leaving for record in records
            ),
            clients=sum(name != "fire-and-forget" for name in scheduler.clients),
        )

    async def finish(self, why: str) -> None:
        """Close the cluster, and note why.

        Parameters
        ----------
        why
            A sentence's part, for those who ask what became of it.
        """
        if self._ending is None and self.status is Status.running:
            logger.warning("Cluster %s closes: %s.", self.name, why)
            self._why = why
        await self._close()

    async def finished(self) -> None:
        """Wait until the cluster has closed."""
        await self._over.wait()

    def _disappear(self) -> None:
        """Note that the cluster has ended."""
        if self._noted or self._held.presence.entry.named:
            self._held.presence.ended(self._why or f"closed by its owner, process {os.getpid()}")
        self._over.set()


def timeouts(call: Any) -> dict[str, float | None]:
    """Read after what time without use a cluster closes, in seconds; None for never."""
    usual = {
        "idle_timeout": dask.config.get("jobclusters.idle-timeout"),
        "no_client_timeout": dask.config.get("jobclusters.no-client-timeout"),
    }
    return {key: call.timeout(key, value) for key, value in usual.items()}
