"""The part of a cluster that others can find and ask, and that ends by itself when nobody needs it any more."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import dask.config
from distributed.core import Status
from distributed.deploy.cluster import Cluster as DaskCluster
from tornado.ioloop import PeriodicCallback

from jobclusters import finding
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.credentials import SECURITY, Credentials
from jobclusters.entry import HEARTBEAT, Phase
from jobclusters.group import Group
from jobclusters.idle import Activity, Vigil
from jobclusters.looking import LookingCluster
from jobclusters.registry import Presence, taken
from jobclusters.service import Service
from jobclusters.state import JobState

logger = logging.getLogger(__name__)

#: Seconds between two looks whether the cluster is still used.
LOOK = 1.0


#: Seconds between two looks at what is used, and at jobs whose walltime ends.
RENEWAL = 2.0
#: Seconds in which the scheduler may say goodbye to its workers.
GOODBYE = 10.0


@dataclass(frozen=True)
class Held:
    """That this process is a cluster's head, as its registry notes.

    Attributes
    ----------
    presence
        What is noted.
    lifetime
        Seconds after which it should close, before its walltime ends it; None for never.
    to_take
        Whether its name is still to be taken, when it starts: one that never does keeps none.
    """

    presence: Presence
    lifetime: float | None = None
    to_take: bool = False


class LastingCluster(LookingCluster):
    """The part of a cluster that others can find and ask, and that ends by itself."""

    status: Status
    _held: Held
    _credentials: Credentials | None
    _vigil: Vigil
    #: Whether its directory has been made.
    _noted = False
    #: Whether its end has been noted.
    _gone = False
    #: Why it closed; "" while it hasn't.
    _why = ""
    #: Its status before its end began; None before that, and when the parent class ends it.
    _stood: Status | None = None
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
        self._service = Service(self, presence.entry)
        self.scheduler.handlers["jobclusters"] = self._service.answer
        if presence.entry.named or presence.entry.head != "process" or self._noted:
            self._be_noted()
        for name, look, seconds in (("vigil", self._watch_over, LOOK), ("heartbeat", self._beat, HEARTBEAT)):
            self.periodic_callbacks[name] = callback = PeriodicCallback(look, seconds * 1000)
            callback.start()

    def _be_noted(self) -> None:
        """Let others find the cluster, and clear up after it should this process and its janitor die."""
        presence = self._held.presence
        if not self._noted:
            self.files.make()
            if presence.entry.head == "process" and not presence.entry.named:
                self.files.put(presence.entry)  # nobody has claimed its name
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
        presence = self._held.presence
        if not await asyncio.to_thread(presence.beat) and presence.entry.head != "process":
            await self.finish("nobody can find it any more: its directory is gone, or another cluster has its name")

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
        """Remove the credentials, which nobody needs any more, and note that the cluster has ended."""
        if self._gone:
            return
        self._gone = True
        if self._credentials is not None:
            self._credentials.remove()
            if self._credentials.files is not self.files:
                self._credentials.files.remove()
        if self._noted or (self._held.presence.entry.named and not self._held.to_take):
            self._held.presence.ended(self._why or f"closed by its owner, process {os.getpid()}")

    # -- beginning and end ------------------------------------------------------------------------------------------

    def _prepare(self, group: Group) -> None:
        if not self._held.to_take:  # else when it starts: until then, the directory may be another cluster's
            super()._prepare(group)

    async def _take_name(self) -> None:
        """Take the name now, which nobody has looked for thoroughly yet."""
        presence = self._held.presence
        found = await finding.take(self.files, presence.entry)
        if found is not None:
            raise taken(presence.entry.name, found.sentence)
        self._held = replace(self._held, to_take=False)
        for group in self.groups.values():
            if group.wanted:
                self._prepare(group)

    async def _start(self) -> None:
        first = self.status is Status.created
        if first and self._held.to_take:
            try:
                await self._take_name()
            except BaseException:
                await self._close()
                raise
        await super()._start()
        if first and self.status is Status.running:
            self.engine.start()
            self.periodic_callbacks["renewal"] = renewal = PeriodicCallback(self._renew, RENEWAL * 1000)
            renewal.start()
            self._following = asyncio.ensure_future(self._follow_scheduler())
            self._appear()

    def __await__(self) -> Generator[Any, Any, LastingCluster]:
        yield from super().__await__()
        yield from self.engine.queue.settle().__await__()
        if (trouble := self.engine.trouble()) is not None:
            raise trouble
        return self

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | None = None) -> None:
        """Wait as Dask does, but not for jobs that won't come."""
        arriving = asyncio.ensure_future(super()._wait_for_workers(n_workers, timeout))
        try:
            while not (await asyncio.wait([arriving], timeout=0.2))[0]:
                if (trouble := self.engine.trouble()) is not None:
                    raise trouble
        finally:
            arriving.cancel()
        await arriving

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Hear of workers that came or went. What became of their jobs is the batch system's to tell: ask it soon."""
        if op == "add":
            self.engine.arrived([worker["name"] for worker in msg["workers"].values()])
        elif msg not in self.scheduler_info["workers"]:
            return
        # SpecCluster's would close jobs by their workers' names.
        DaskCluster._update_worker_status(self, op, msg)  # noqa: SLF001 -- the parent's parent
        self.engine.watch.hurry()

    async def _close(self) -> None:
        if self._ending is None and self.status in (Status.running, Status.failed):
            self._ending = asyncio.ensure_future(self._end())
        if self._ending is not None:
            await self._ending
        if (stood := self._stood) is not None:  # the parent class ends only what isn't ending
            self.status, self._stood = stood, None
        await super()._close()
        self.scheduler_info["workers"] = {}
        self._disappear()
        self._over.set()

    async def _end(self) -> None:
        if self._adaptive is not None:
            self._adaptive.stop()
        await self._correct_state()  # what was just asked for becomes known to the engine, which lets it go
        with self._changing:
            for group in self.groups.values():
                group.wanted, group.policy = 0, None
            self.worker_spec.clear()
        for name, usage in self.usage.items():
            logger.info("Cluster %s, group %s: %s.", self.name, name, usage.sentence())
        # Clients look at this when the scheduler has gone: they would try to reach it again.
        self.status, self._stood = Status.closing, self.status
        # The scheduler says goodbye to its workers: those it can reach end by themselves.
        with suppress(Exception):
            await asyncio.wait_for(self.scheduler.close(reason="cluster-close"), GOODBYE)
        self.shutdown_scheduler = False  # the parent class would try to reach it
        await self.engine.close()
        for job in self._created:
            job.over()
        self._disappear()

    async def _follow_scheduler(self) -> None:
        """Close the cluster if the scheduler closes by itself, as after its ``idle_timeout``."""
        await self.scheduler.finished()
        if self._ending is None:
            await self.finish("the Dask scheduler has closed; its jobs are cancelled")


def timeouts(call: Any) -> dict[str, float | None]:
    """Read after what time without use a cluster closes, in seconds; None for never."""
    usual = {
        "idle_timeout": dask.config.get("jobclusters.idle-timeout"),
        "no_client_timeout": dask.config.get("jobclusters.no-client-timeout"),
    }
    return {key: call.timeout(key, value) for key, value in usual.items()}
