"""A cluster whose head is another process: this class connects to it, and may close it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import time
import weakref
from collections.abc import Callable, Generator, Mapping
from typing import Any
from urllib.parse import urlsplit

from distributed.core import Status
from distributed.objects import SchedulerInfo
from tornado.ioloop import PeriodicCallback

from jobclusters import __version__
from jobclusters.cluster.base import ClusterBase
from jobclusters.cluster.html import scaled
from jobclusters.cluster.views import History, JobLogs, Jobs, UsageByGroup
from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.head.client import HeadClient
from jobclusters.head.launcher import HeadLauncher
from jobclusters.head.methods import View
from jobclusters.jobs.groups import DEFAULT, Group
from jobclusters.network import known
from jobclusters.network.links import PORT, Links, make_links
from jobclusters.registry import liveness
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.record import ClusterRecord, Liveness, Phase

logger = logging.getLogger(__name__)

#: Seconds between two views of the cluster.
VIEW_INTERVAL = 2.0

#: Seconds between two checks whether a starting cluster runs.
START_INTERVAL = 0.5

#: Seconds in which a busy scheduler has to answer a new connection.
CONNECT_TIMEOUT = 30.0


#: Those of this process.
_CLUSTERS: weakref.WeakSet[ConnectedCluster] = weakref.WeakSet()


@atexit.register
def _say_what_goes_on() -> None:
    """Say that clusters outlive a program which made them and has not closed them, as when Ctrl-C ends it."""
    for cluster in list(_CLUSTERS):
        if cluster.left_behind:
            logger.warning(
                "Cluster %s goes on without this program: jobclusters close %s ends it, or it ends when it is idle.",
                *(cluster.name, cluster.name),
            )


class RemoteAdaptive:
    """The result of :meth:`ConnectedCluster.adapt`: the scaler itself runs with the head."""

    def __init__(self, cluster: ConnectedCluster) -> None:
        self._cluster = cluster

    def stop(self) -> Any:
        """Stop scaling with the work; the jobs stay."""
        return self._cluster.stop_adapting()

    def __repr__(self) -> str:
        return f"RemoteAdaptive({scaled(self._cluster.groups)})"


class ConnectedCluster(ClusterBase):
    """A cluster of another process, with the methods of :class:`~jobclusters.cluster.job_cluster.JobCluster`.

    Parameters
    ----------
    files
        Of the cluster.
    kind
        The name of the class that was called.
    launcher
        Starts its head; None if it has one.
    shutdown_on_close
        Whether the cluster ends with this connection; None if it does where this call made it.
    asynchronous, loop
        As for every Dask cluster.

    Attributes
    ----------
    head : HeadClient
        The connection to its head, once that runs.
    """

    head: HeadClient

    def __init__(
        self,
        files: ClusterFiles,
        *,
        kind: str,
        launcher: HeadLauncher | None = None,
        shutdown_on_close: bool | None = False,
        asynchronous: bool = False,
        loop: Any = None,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, quiet=True, name=files.path.name)
        self.files = files
        self._shutdown_on_close = shutdown_on_close
        #: Whether this call made the cluster.
        self.made_here = launcher is not None
        self._launched = False
        self.security: Any = None
        self._kind = kind
        self._launcher = launcher
        self._record: ClusterRecord | None = None
        self._view = View()
        self._updating = asyncio.Lock()
        self._why = ""
        self._beginning: asyncio.Task[Any] | None = None
        self._ending: asyncio.Future[None] | None = None
        self._history = History(maxlen=1000)
        _CLUSTERS.add(self)
        if not self.called_from_running_loop:
            self._loop_runner.start()
            try:
                self.sync(self._start)
            except BaseException as error:
                self.sync(self._abandon, interrupted=not isinstance(error, Exception))
                self._loop_runner.stop()
                raise

    def __await__(self) -> Generator[Any, Any, ConnectedCluster]:
        async def begun() -> ConnectedCluster:
            if self.status is Status.created:
                await self._start()
            return self

        return begun().__await__()

    @property
    def left_behind(self) -> bool:
        """Whether it runs, though its user, who has made it here, did not ask that it goes on."""
        return self.status is Status.running and self.made_here and self._shutdown_on_close is None

    @property
    def shutdown_on_close(self) -> bool:
        """Whether the cluster ends when this connection is closed."""
        return self.made_here if self._shutdown_on_close is None else bool(self._shutdown_on_close)

    @shutdown_on_close.setter
    def shutdown_on_close(self, value: bool) -> None:
        self._shutdown_on_close = value

    # -- beginning ----------------------------------------------------------------------------------------------

    async def _abandon(self, *, interrupted: bool) -> None:
        """Stop starting: Ctrl-C ends the wait of the user's thread, but not the event loop's task."""
        if self._beginning is not None and not self._beginning.done():
            self._beginning.cancel()
            await asyncio.wait([self._beginning])
        if interrupted and self._launched:  # its head runs, and no program has the cluster yet
            record = await asyncio.to_thread(self.files.record)
            if record is not None and record.phase is Phase.RUNNING:
                await HeadClient(self.files, record).end()
        self.status = Status.closed

    async def _start(self) -> None:
        self._beginning = asyncio.current_task()
        launcher, self._launcher = self._launcher, None
        if launcher is not None and (other := await launcher.run()) is not None:
            logger.info("Cluster %s is there: another process has just made it.", other.name)
            self.made_here = False
        self._launched = launcher is not None and self.made_here
        record = self._record = await self._wait_until_running()
        if record.version != __version__:
            logger.warning(
                "Cluster %s runs jobclusters %s, and this is %s: where something fails, give both the same.",
                *(record.name, record.version, __version__),
            )
        self.head = HeadClient(self.files, record)
        self.security, self.scheduler_comm = self.head.security, self.head.comm
        self.status = Status.running
        known.remember(record.scheduler or "", self.security)
        # Not Dask's own start: the scheduler reports its workers to one subscriber, the head.
        await self._refresh()
        self.periodic_callbacks["view"] = callback = PeriodicCallback(self._update_view, VIEW_INTERVAL * 1000)
        callback.start()

    async def _wait_until_running(self) -> ClusterRecord:
        """Wait until the scheduler runs."""
        logged = ""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while True:
            found = await liveness.check_and_sweep(self.files)
            if found is None or found.liveness is Liveness.ENDED:
                why = found.sentence if found else "nothing is noted of it"
                raise QueueError(f"cluster {self.files.path.name!r} has ended: {why}. Its name is free again")
            if found.liveness is Liveness.RUNNING:
                return found.record
            silent = found.liveness in (Liveness.SILENT, Liveness.ELSEWHERE)
            if silent and time.monotonic() > deadline:
                raise QueueError(
                    f"cluster {self.files.path.name!r} can't be reached from here: {found.sentence}. If it is gone,"
                    f" remove {self.files.path}"
                )
            if found.sentence != logged:
                logger.info("Waiting for cluster %s: %s.", self.files.path.name, logged := found.sentence)
            await asyncio.sleep(START_INTERVAL)

    async def _examine_silence(self) -> None:
        """Find out what became of a cluster that doesn't answer."""
        try:
            found = await liveness.check_and_sweep(self.files)
        except QueueError as error:  # it is gone, and its jobs can't be cancelled from here
            logger.error("%s.", error)  # noqa: TRY400 -- a traceback would not help
            found = await liveness.check(self.files)
        same = found is not None and self._record is not None and found.record.run == self._record.run
        if found is not None and same and found.liveness not in (Liveness.ENDED, Liveness.GONE):
            logger.info("Cluster %s: %s.", self.name, found.sentence)
            return
        sentence = found.sentence if found and same else "it was closed"
        if self.status is Status.running:
            logger.warning("Cluster %s has ended: %s.", self.name, sentence)
            self._why = sentence
            self._view = View(summary=f"none; ended: {sentence}")
            self.scheduler_info["workers"] = {}
            await super()._close()
            self._end_widget()

    # -- calls to the head ----------------------------------------------------------------------------------------

    async def _call(self, method: str, /, **keywords: Any) -> Any:
        self._check_running(method)
        return await self.head.call(method, **keywords)

    def _check_running(self, wanted: str) -> None:
        if self.status is not Status.running:
            state, jobs = self.status.name, self._view.summary
            raise QueueError(f"cluster {self.name} is {state} and can't be asked for {wanted}; its jobs: {jobs}")

    def _ask(self, method: str, /, **keywords: Any) -> Any:
        return self.sync(self._call, method, **keywords)

    async def _refresh(self) -> None:
        before, self._view = self._view, await self._call("view")
        self.scheduler_info = SchedulerInfo(self._view.scheduler)
        if (notice := self._view.notice) and notice != before.notice:
            logger.warning("Cluster %s: %s.", self.name, notice)

    async def _update_view(self) -> None:
        async with self._updating:  # a refresh that began before a call may not show its effect
            if self.status is not Status.running:
                return
            try:
                await asyncio.wait_for(self._refresh(), liveness.ANSWER_TIMEOUT)
            except (OSError, asyncio.TimeoutError):
                await self._examine_silence()

    def _latest_view(self) -> View:
        """Give the latest view in an event loop, or a new one elsewhere."""
        if not self.asynchronous and self.status is Status.running:
            self.sync(self._update_view)
        return self._view

    @property
    def jobs(self) -> Jobs:
        """The state of each job, by id; ended jobs are remembered."""
        return Jobs(self._latest_view().jobs)

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups of jobs, by name."""
        return self._latest_view().groups

    @property
    def usage(self) -> UsageByGroup:
        """What each group has requested and used so far."""
        return UsageByGroup(self._latest_view().usage)

    @property
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None for no limit."""
        return self._latest_view().ends

    @property
    def plan(self) -> set[str]:
        """The names of the wanted workers."""
        return set(self._latest_view().plan)

    @property
    def requested(self) -> set[str]:
        """The names of the workers of submitted jobs."""
        return set(self._latest_view().requested)

    @property
    def observed(self) -> set[str]:
        """The names of the registered workers."""
        return set(self._latest_view().observed)

    @property
    def history(self) -> History:
        """The adaptive scaler's decisions, with reasons, the newest last."""
        if not self.asynchronous and self.status is Status.running:
            self._history = History(self._ask("history"), maxlen=1000)
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
        """Request this much in all: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.scale`."""
        return self._ask("scale", n=n, jobs=jobs, memory=memory, cores=cores, group=group)

    def adapt(self, *, group: str = DEFAULT, **limits: Any) -> Any:
        """Scale with the work: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.adapt`."""
        if "Adaptive" in limits:
            raise InvalidRequest("Adaptive=: a class of your own runs only where the head is this process")
        return self._after(self._ask("adapt", group=group, **limits), lambda: RemoteAdaptive(self))

    def stop_adapting(self) -> Any:
        """Stop scaling with the work; the jobs stay."""
        return self._ask("stop_adapting")

    @property
    def summary(self) -> str:
        """The number of jobs in each state, in words."""
        return self._latest_view().summary

    @property
    def trouble(self) -> Exception | None:
        """Why awaited workers will not come; None if they may."""
        return self._latest_view().trouble

    @property
    def why(self) -> str:
        """Why the cluster has ended; "" while that is unknown."""
        return self._why

    def _after(self, asked: Any, give: Callable[[], Any]) -> Any:
        """Give something after the head's answer; in an event loop, as an awaitable."""
        if not self.asynchronous:
            return give()

        async def answered() -> Any:
            await asked
            return give()

        return asyncio.ensure_future(answered())

    def add_group(self, name: str, **keywords: Any) -> Any:
        """Add jobs of another size: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.add_group`."""
        return self._ask("add_group", name=name, **keywords)

    def scale_down(self, workers: Any) -> Any:
        """Retire the jobs of these workers; their results are moved first."""
        return self._ask("scale_down", workers=list(workers))

    def get_job_logs(self, job_id: str | None = None, tail: int | None = None) -> Any:
        """Read jobs' output: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.get_job_logs`."""
        return self.sync(self._job_logs, job_id=job_id, tail=tail)

    async def _job_logs(self, **keywords: Any) -> JobLogs:
        return JobLogs(await self._call("get_job_logs", **keywords))

    def job_script(self, *, group: str = DEFAULT) -> Any:
        """Print the script of the next job: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.job_script`."""
        return self._ask("job_script", group=group)

    def explain(self) -> Any:
        """Give each parameter's value, and its source."""
        return self._ask("explain")

    @property
    def dashboard_link(self) -> str:
        """The dashboard's link, as the cluster's own process gives it; "" where there is none."""
        return (self._record and self._record.dashboard) or ""

    @property
    def links(self) -> Links:
        """The ways to the dashboard: its link, the ssh line for one's own machine, and the path in JupyterHub."""
        record = self._record
        if record is None or not record.dashboard:
            raise InvalidRequest("the cluster has not started yet, or has no dashboard")
        place = urlsplit(record.dashboard)
        here = socket.gethostname()
        return make_links(
            record.dashboard,
            str(place.hostname),
            int(place.port or PORT),
            user=record.user,
            node=record.host,
            login=here if record.host != here else None,
            here=record.host == here,
            path=place.path.removesuffix("/status"),
            environment=os.environ,
        )

    @property
    def _cluster_class_name(self) -> str:
        return self._kind

    def _known_summary(self) -> str:
        text = self._view.summary
        if self._view.ends is not None:
            text += f", ends {time.strftime('%Y-%m-%d %H:%M', time.localtime(self._view.ends))}"
        return text

    async def _find_trouble(self) -> Exception | None:
        self._check_running("workers")
        await self._update_view()
        self._check_running("workers")
        return self._view.trouble

    # -- end ----------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        if self.status is Status.running and self.shutdown_on_close:
            self.status = Status.closing  # else clients would try to reach the scheduler again
            self._ending = asyncio.ensure_future(self.head.end())
        if self._ending is not None:
            await self._ending
        await super()._close()
        known.forget(self._record.scheduler if self._record else None)
        self.scheduler_info["workers"] = {}
        self._view = View(summary="not connected")
        self._end_widget()

    def shutdown(self) -> Any:
        """End the cluster, even if others are connected."""
        self.shutdown_on_close = True
        return self.close()
