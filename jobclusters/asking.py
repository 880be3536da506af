"""The part of a connection that asks the cluster's head: the same methods as a cluster of this process has."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import cloudpickle
from distributed.core import Status
from distributed.objects import SchedulerInfo

from jobclusters import finding
from jobclusters.adaptive import Step
from jobclusters.entry import Entry
from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.explain import Explanation
from jobclusters.group import DEFAULT, Group
from jobclusters.links import PORT, Links, make_links
from jobclusters.notebook import NotebookCluster
from jobclusters.service import View
from jobclusters.state import JobStatus
from jobclusters.usage import Usage
from jobclusters.waiting import WaitingCluster

logger = logging.getLogger(__name__)

#: Seconds between two looks while somebody waits.
SOON = 0.5


class RemoteAdaptive:
    """What :meth:`AskingCluster.adapt` gives: the scaler itself runs with the head."""

    def __init__(self, cluster: AskingCluster) -> None:
        self._cluster = cluster

    def stop(self) -> Any:
        """Let the cluster stay as it is."""
        return self._cluster.stop_adapting()


class AskingCluster(NotebookCluster, WaitingCluster):
    """The part of a connection that asks the cluster's head."""

    _entry: Entry | None
    _view: View
    #: Why the cluster has ended; "" while nothing is known of that.
    _why = ""
    _history: deque[Step]
    _looking: asyncio.Lock

    async def _find_out(self) -> None:
        """Find out what became of a cluster that doesn't answer."""
        raise NotImplementedError

    async def _call(self, verb: str, **keywords: Any) -> Any:
        self._check_running(verb)
        return await self._tell(verb, **keywords)

    async def _tell(self, verb: str, **keywords: Any) -> Any:
        answer = await self.scheduler_comm.jobclusters(verb=verb, keywords=cloudpickle.dumps(keywords))
        if "error" in answer:
            raise pickle.loads(answer["error"])  # noqa: S301 -- the head is ours
        return pickle.loads(answer["result"])  # noqa: S301

    def _check_running(self, wanted: str) -> None:
        if self.status is not Status.running:
            state, jobs = self.status.name, self._view.summary
            raise QueueError(f"cluster {self.name} is {state} and can't be asked for {wanted}; its jobs: {jobs}")

    def _ask(self, verb: str, **keywords: Any) -> Any:
        return self.sync(self._call, verb, **keywords)

    async def _refresh(self) -> None:
        before, self._view = self._view, await self._call("view")
        self.scheduler_info = SchedulerInfo(self._view.scheduler)
        if (notice := self._view.notice) and notice != before.notice:
            logger.warning("Cluster %s: %s.", self.name, notice)

    async def _look(self) -> None:
        async with self._looking:  # a look that has begun before may not see what was just done
            if self.status is not Status.running:
                return
            try:
                await asyncio.wait_for(self._refresh(), finding.ANSWER)
            except (OSError, asyncio.TimeoutError):
                await self._find_out()

    def _seen(self) -> View:
        """Give the latest view: in an event loop the one that is there, else one of now."""
        if not self.asynchronous and self.status is Status.running:
            self.sync(self._look)
        return self._view

    @property
    def jobs(self) -> dict[str, JobStatus]:
        """How each job stands, by id; those that ended are remembered."""
        return dict(self._seen().jobs)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups of jobs, by name."""
        return self._seen().groups

    @property
    def usage(self) -> dict[str, Usage]:
        """What each group has asked for and used until now."""
        return dict(self._seen().usage)

    @property
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None if it won't."""
        return self._seen().ends

    @property
    def plan(self) -> set[str]:
        """The workers that there should be."""
        return set(self._seen().plan)

    @property
    def requested(self) -> set[str]:
        """The workers of jobs that were asked for."""
        return set(self._seen().requested)

    @property
    def observed(self) -> set[str]:
        """The workers that have registered."""
        return set(self._seen().observed)

    @property
    def history(self) -> deque[Step]:
        """What the adaptive scaler has decided, and why: the newest last."""
        if not self.asynchronous and self.status is Status.running:
            self._history = deque(self._ask("history"), maxlen=1000)
        return self._history

    def scale(
        self,
        n: int | None = None,
        jobs: int = 0,
        memory: str | None = None,
        cores: int | None = None,
        *,
        group: str = DEFAULT,
    ) -> Any:
        """Ask for this much in all: see :meth:`JobCluster.scale <jobclusters.cluster.JobCluster.scale>`."""
        return self._ask("scale", n=n, jobs=jobs, memory=memory, cores=cores, group=group)

    def adapt(self, *, group: str = DEFAULT, **limits: Any) -> Any:
        """Scale with the work there is: see :meth:`JobCluster.adapt <jobclusters.cluster.JobCluster.adapt>`."""
        if "Adaptive" in limits:
            raise InvalidRequest("Adaptive=: a class of your own runs only where the head is this process")
        return self._after(self._ask("adapt", group=group, **limits), lambda: RemoteAdaptive(self))

    def stop_adapting(self) -> Any:
        """Leave the cluster as it is from now on."""
        return self._ask("stop_adapting")

    @property
    def summary(self) -> str:
        """How the jobs stand, in words."""
        return self._seen().summary

    def _after(self, asked: Any, give: Callable[[], Any]) -> Any:
        """Give something when the head has answered: in an event loop, to be awaited."""
        if not self.asynchronous:
            return give()

        async def answered() -> Any:
            await asked
            return give()

        return asyncio.ensure_future(answered())

    def add_group(self, name: str, **keywords: Any) -> Any:
        """Add jobs of another size: see :meth:`JobCluster.add_group <jobclusters.cluster.JobCluster.add_group>`."""
        return self._ask("add_group", name=name, **keywords)

    def scale_down(self, workers: Any) -> Any:
        """Let the jobs of these workers go; their results are moved first."""
        return self._ask("scale_down", workers=list(workers))

    def get_job_logs(self, job_id: str | None = None, tail: int | None = None) -> Any:
        """Read what jobs printed: see :meth:`JobCluster.get_job_logs <jobclusters.cluster.JobCluster.get_job_logs>`."""
        return self._ask("get_job_logs", job_id=job_id, tail=tail)

    def job_script(self) -> Any:
        """Print the script of a job."""
        return self._ask("job_script")

    def explain(self) -> Any:
        """Tell what each parameter is, and where it came from."""

        async def explained() -> Explanation:
            return Explanation(await self._call("explain"))

        return self.sync(explained)

    @property
    def links(self) -> Links:
        """The ways to the dashboard: its link, the ssh line for one's own machine, and the path in JupyterHub."""
        entry = self._entry
        if entry is None or not entry.dashboard:
            raise InvalidRequest("the cluster has not started yet, or has no dashboard")
        place = urlsplit(entry.dashboard)
        here = socket.gethostname()
        return make_links(
            entry.dashboard,
            str(place.hostname),
            int(place.port or PORT),
            user=entry.user,
            node=entry.host,
            login=here if entry.host != here else None,
            here=entry.host == here,
            environment=os.environ,
        )

    def __repr__(self) -> str:
        text = f"{super().__repr__()[:-1]}, jobs: {self._view.summary}"
        if self._view.ends is not None:
            text += f", ends {time.strftime('%Y-%m-%d %H:%M', time.localtime(self._view.ends))}"
        return text + ")"

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | None = None) -> None:
        """Wait as Dask does, but not for jobs that won't come."""
        self._check_running("workers")
        arriving = asyncio.ensure_future(super()._wait_for_workers(n_workers, timeout))
        try:
            while not (await asyncio.wait([arriving], timeout=SOON))[0]:
                await self._look()
                self._check_running("workers")
                if self._view.trouble is not None:
                    raise self._view.trouble
            await arriving
        except OSError:
            await self._look()
            self._check_running("workers")
            raise
        finally:
            arriving.cancel()
