"""Dask clusters on batch queues.

It is long because the class that users hold documents each of its methods here, where they look for them.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import socket
import threading
import uuid
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from distributed.comm import get_address_host
from distributed.core import Status
from distributed.deploy.cluster import Cluster as DaskCluster
from distributed.security import Security
from distributed.utils import NoOpAwaitable, format_dashboard_link

from jobclusters.batch.base import BatchSystem
from jobclusters.batch.commands import BatchCommands
from jobclusters.batch.script import render
from jobclusters.cluster.adaptive import QueueAdaptive
from jobclusters.cluster.base import ClusterBase, because
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.cluster.dask_base import JobQueueCluster
from jobclusters.cluster.factory import Blueprint, connect, route, route_head, route_here
from jobclusters.cluster.job import BatchJob
from jobclusters.cluster.views import History, JobLogs, Jobs, UsageByGroup
from jobclusters.config import dask_settings, settings
from jobclusters.config.call import Call, read_group
from jobclusters.config.origins import Explanation, Origin
from jobclusters.config.saved import Configuration, read_file
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest, QueueError
from jobclusters.guard import Guard
from jobclusters.head.idle import Activity
from jobclusters.jobs.groups import DEFAULT, Group, check_name, find
from jobclusters.jobs.logs import make_directory
from jobclusters.jobs.pool import JobPool
from jobclusters.jobs.record import JobRecord, job_of
from jobclusters.network import known
from jobclusters.network.dashboard import dashboard_path
from jobclusters.network.links import Links, is_loopback, make_links, through_server, with_path
from jobclusters.network.scheduler import plan_scheduler
from jobclusters.registry.files import SETTINGS, ClusterFiles
from jobclusters.registry.names import Presence
from jobclusters.scaling.policy import read_policy
from jobclusters.spec.job_spec import JobSpec
from jobclusters.state import JobState

logger = logging.getLogger(__name__)

#: States of jobs whose workers may come.
_EXPECTED = (JobState.PENDING, JobState.UNKNOWN)

#: Seconds for the scheduler's goodbye to its workers.
GOODBYE_TIMEOUT = 10.0


class JobCluster(ClusterBase, JobQueueCluster):  # type: ignore[misc]
    """A Dask cluster whose workers are jobs of a batch queue.

    Parameters
    ----------
    n_workers
        Dask workers to request at once, rounded up to whole jobs: see :meth:`scale`. Two of them, ``[2, 10]``, are a
        minimum and a maximum: see :meth:`adapt`.
    job_cls
        The class of its jobs.
    configuration
        The name of a configuration: see :func:`jobclusters.save_configuration`. Keywords override it.
    **keywords
        Those of the batch system's class, such as :class:`jobclusters.SLURMCluster`; docs/keywords.md lists them.

    Raises
    ------
    InvalidRequest
        With every problem of the call, before anything is submitted.
    TemplateError
        If a template is wrong.
    """

    dialect: ClassVar[Dialect]
    job_cls: ClassVar[type[BatchJob]]
    new_spec: dict[str, Any]
    #: Its status before its end began; None before that, and when the parent class ends it.
    _status_before_end: Status | None = None
    #: Of its scheduler, once that runs.
    _address: str | None = None
    #: What to make in this process, from ``__new__`` to ``__init__``.
    _blueprint: Blueprint | None = None

    def __new__(cls, *args: Any, configuration: str | Configuration | None = None, **keywords: Any) -> Any:
        """Make a cluster, or connect to one."""
        if cls.__init__ is not JobCluster.__init__:  # a class with an __init__ of its own has keywords of its own, too
            return super().__new__(cls)
        given = {**dict(zip(("n_workers", "job_cls"), args, strict=False)), **keywords}
        made = route(cls, given, configuration)
        if isinstance(made, ConnectedCluster):
            return made
        new = super().__new__(cls)
        new._blueprint = made
        return new

    def __init__(
        self,
        n_workers: int | Sequence[int] | None = None,
        job_cls: type[BatchJob] | None = None,
        *,
        configuration: str | Configuration | None = None,
        **keywords: Any,
    ) -> None:
        self.status = Status.created  # before anything can fail: __del__ reads it
        blueprint, self._blueprint = self._blueprint, None
        if blueprint is None:
            blueprint = route_here(type(self), {"n_workers": n_workers, "job_cls": job_cls, **keywords}, configuration)
        try:
            self._make(blueprint)
        except BaseException as error:
            blueprint.registration.abandon(error)
            raise

    @classmethod
    def as_head(
        cls, presence: Presence, *, configuration: str | Configuration | None = None, **keywords: Any
    ) -> JobCluster:
        """Make the cluster whose head is this process, and which has its name already."""
        new: JobCluster = object.__new__(cls)
        new.status = Status.created
        new._make(route_head(cls, presence, keywords, configuration))
        return new

    def _make(self, blueprint: Blueprint) -> None:
        self._call = blueprint.call
        self.registration = blueprint.registration
        self.spec = self._call.spec
        self.template_dirs = self._call.template_dirs
        self._history = History(maxlen=1000)
        self._ending: asyncio.Future[None] | None = None
        self._over = asyncio.Event()
        self._closing_lock = threading.RLock()
        self._job_views: WeakKeyDictionary[JobRecord, BatchJob] = WeakKeyDictionary()
        self._settings = dask_settings.set_by_program() if self._call.value("send_dask_config", True) else {}
        plan = plan_scheduler(self._call, self.files)
        self._network, self._credentials = plan.network, plan.credentials
        self.registration.protect(plan.credentials)
        batch_system = self._make_batch_system()
        if self._call.value("n_workers", 0) or int(self._call.value("n_jobs", 0)):
            batch_system.check()
        self.pool = self._pool(batch_system)
        with settings.hide_cluster_settings(self.dialect):
            super().__init__(
                job_cls=self._call.value("job_cls", self.job_cls),
                **plan.keywords(),
                spec=self.spec,
                template_dirs=self.template_dirs,
                network=self._network,
                **self._call.for_dask,
            )
        self.groups[DEFAULT] = group = self._group(DEFAULT, self._name, self.spec)
        self.new_spec = self._worker_spec(JobRecord(group.name, 0, group.spec))
        self._begin()

    def _begin(self) -> None:
        """Request the jobs of the call."""
        workers, jobs = self._call.value("n_workers", 0), int(self._call.value("n_jobs", 0))
        try:
            if limits := self._call.limits:
                self.adapt(**limits)
            elif workers or jobs:
                self.scale(int(workers) or None, jobs=jobs)
        except InvalidRequest:
            if not self.asynchronous:
                self.close()
            raise

    def scale(
        self,
        n: int | None = None,
        jobs: int = 0,
        memory: str | None = None,
        cores: int | None = None,
        *,
        group: str = DEFAULT,
    ) -> Any:
        """Request this much in all; returns at once. A group that was adaptive no longer is.

        Parameters
        ----------
        n
            Workers, rounded up to whole jobs, which hold ``processes`` each.
        jobs
            Jobs.
        memory
            Memory of all jobs, such as ``"500 GB"``.
        cores
            Cores of all jobs.
        group
            The group of these jobs: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.add_group`.

        Raises
        ------
        InvalidRequest
            For anything but a number of 0 or more, and for an unknown group.
        NoBatchSystem
            If the batch system's commands aren't on this machine.
        QueueError
            If the cluster is closed.
        """
        if self.groups:  # none if its scheduler could not start: then the parent class closes it
            found = find(self.groups, group)
            wanted = found.jobs_for(n, jobs, memory, cores)
            if wanted:
                self._check_open("gets jobs")
                self.pool.batch_system.check()
            self.pool.want(found, wanted)
        return NoOpAwaitable() if self.asynchronous else None

    def adapt(self, *, group: str = DEFAULT, **limits: Any) -> QueueAdaptive:
        """Scale with the work there is; docs/scaling.md says by which rules.

        Parameters
        ----------
        group
            The jobs that are scaled; others stay as they are.
        minimum, maximum
            Limits in workers; or ``minimum_jobs``, ``maximum_jobs``, ``minimum_cores``, ``maximum_cores``,
            ``minimum_memory``, ``maximum_memory``. Unless given, at most ``jobclusters.adaptive.maximum-jobs``.
        max_pending
            Jobs that may wait in the queue at once.
        max_core_hours
            Of all jobs of the cluster. When they are spent, its jobs leave.
        target_duration, interval
            As for :class:`distributed.deploy.Adaptive`.
        prefer
            ``"time"``, or ``"core-hours"``: all jobs go as soon as there is no work for them, pending ones included.
        patience, idle
            For how long fewer jobs must have been enough before a pending job is given up, where time is preferred; and
            before idle jobs go. Busy ones get no more tasks after half a minute, or ``idle`` if that is longer.
        Adaptive
            A class of your own, which then gets all arguments.

        Returns
        -------
        QueueAdaptive
            With ``stop()``; :attr:`~jobclusters.cluster.job_cluster.JobCluster.history` shows what it has decided.

        Raises
        ------
        InvalidRequest
            With everything that's wrong with the limits.
        QueueError
            If the cluster is closed.
        """
        if "Adaptive" in limits:
            custom: QueueAdaptive = super().adapt(**limits)
            return custom
        found = find(self.groups, group)
        policy = read_policy(found.spec, limits, settings.adaptive())
        self._check_open("scales with the work")
        self.pool.batch_system.check()
        self.pool.adapt(found, policy)
        interval = limits.get("interval")
        ours: QueueAdaptive = super(JobQueueCluster, self).adapt(Adaptive=QueueAdaptive, interval=interval)
        return ours

    def scale_down(self, workers: Collection[str]) -> Any:
        """Retire the jobs of these workers, or these jobs; their results are moved first."""
        self.pool.let_go(workers)
        return NoOpAwaitable() if self.asynchronous else None

    def add_group(
        self, name: str, *, configuration: str | Configuration | None = None, n_jobs: int = 0, **keywords: Any
    ) -> None:
        """Add jobs of another size to the cluster.

        Parameters
        ----------
        name
            Of the group, for ``scale(jobs=2, group="gpu")`` and ``adapt(maximum_jobs=2, group="gpu")``.
        configuration, **keywords
            As for a cluster, without those of the cluster itself. Those of the user and the site, such as ``account``
            and ``software``, default to the cluster's: see docs/scaling.md.
        n_jobs
            Jobs to request at once.

        Raises
        ------
        InvalidRequest
            With every problem of the call.
        """
        name = check_name(self.groups, name)
        call = read_group(self._call, keywords, configuration, n_jobs)
        self.check(call)
        call.warn()
        self._render(call.spec)
        self.groups[name] = self._group(name, f"{self._name}-{name}", call.spec)
        try:
            if n_jobs:
                self.scale(jobs=n_jobs, group=name)
        except BaseException:
            del self.groups[name]  # so that the call can be repeated
            raise

    def _check_open(self, wanted: str) -> None:
        """Refuse requests to a closed cluster."""
        if self._ending is not None or self.status in (Status.closing, Status.closed):
            raise QueueError(f"cluster {self.name} is closed{because(self)}, and no longer {wanted}: make another")

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **keywords: Any) -> JobCluster:
        """Make a cluster from a file of parameters, as :func:`jobclusters.save_configuration` writes them.

        Parameters
        ----------
        path
            Of the file.
        **keywords
            These win over the file.
        """
        return cls(configuration=read_file(path), **keywords)

    @classmethod
    def from_name(cls, name: str, **keywords: Any) -> ConnectedCluster:
        """Connect to an existing cluster, and never make one.

        Parameters
        ----------
        name
            Of the cluster.
        **keywords
            ``shutdown_on_close`` (False unless given), ``asynchronous`` and ``loop``.

        Raises
        ------
        InvalidRequest
            If there is none of this name, or it has ended; it lists the others.
        """
        return connect(name, system=cls.dialect.name, **keywords)

    def explain(self) -> Explanation:
        """Give each parameter's value, and its source.

        Returns
        -------
        Explanation
            A mapping of names to ``(value, source)``; it prints as a table.
        """
        network = Origin(self._network.interface, self._network.source)
        return self._call.explain({"interface": network}, self._render(self._call.spec))

    # -- state ------------------------------------------------------------------------------------------------------

    @property
    def groups(self) -> dict[str, Group]:
        """The groups of jobs, by name."""
        return self.pool.groups

    @property
    def history(self) -> History:
        """The adaptive scaler's decisions, with reasons, the newest last."""
        return self._history

    @property
    def jobs(self) -> Jobs:
        """The state of each job, by id; ended jobs are remembered."""
        return Jobs(self.pool.jobs())

    @property
    def usage(self) -> UsageByGroup:
        """What each group has requested and used so far."""
        return UsageByGroup(self.pool.usage())

    @property
    def summary(self) -> str:
        """The number of jobs in each state, in words."""
        return self.pool.summary()

    @property
    def trouble(self) -> QueueError | None:
        """Why awaited workers will not come; None if they may."""
        return self.pool.trouble()

    def job_script(self, *, group: str = DEFAULT) -> str:
        """Print the script of the next job, as it would be submitted now; many jobs are one array.

        Parameters
        ----------
        group
            The group of the job.
        """
        if self.status is not Status.running:  # the scheduler has no address
            text: str = super().job_script()
            return text
        return self.pool.preview(find(self.groups, group))

    def get_job_logs(self, job_id: str | None = None, tail: int | None = None) -> JobLogs:
        """Read the output of jobs, also of those that never registered a worker.

        Parameters
        ----------
        job_id
            Of one job; all unless given.
        tail
            The number of last lines of each; all unless given.

        Returns
        -------
        JobLogs
            A mapping of job ids to text; "" where there is no output yet. It prints each below its id.
        """
        return JobLogs(self.pool.logs(job_id, tail))

    @property
    def dashboard_link(self) -> str:
        """The dashboard's link; one that listens on its own machine alone has an address there."""
        server, path = getattr(self.scheduler, "http_server", None), dashboard_path(self.scheduler)
        if server is not None and is_loopback(server.address):
            link = with_path(format_dashboard_link(server.address, server.port), path)
            return through_server(link, server.port, path)
        link = super().dashboard_link
        return link and with_path(link, path)

    @property
    def links(self) -> Links:
        """The ways to the dashboard: its link, the ssh line for one's own machine, and the path in JupyterHub."""
        port = self.scheduler_info.get("services", {}).get("dashboard")
        if port is None:
            raise InvalidRequest("the cluster has not started yet, or has ended: there is no dashboard")
        host = getattr(getattr(self.scheduler, "http_server", None), "address", "0.0.0.0")  # noqa: S104
        return make_links(
            self.dashboard_link,
            get_address_host(self.scheduler_address) if host in ("0.0.0.0", "::") else host,  # noqa: S104
            port,
            user=getpass.getuser(),
            node=socket.gethostname(),
            login=os.environ.get(self.dialect.submit_host_variable),
            path=dashboard_path(self.scheduler),
            environment=os.environ,
        )

    @property
    def files(self) -> ClusterFiles:
        """Its private directory; made for the first job, or at once if the cluster has a name."""
        return self.registration.files

    @property
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None for no limit."""
        return self.registration.ends

    @property
    def notice(self) -> str:
        """A warning for the user, such as that the cluster ends soon; "" for none."""
        return self.registration.notice

    @property
    def why(self) -> str:
        """Why the cluster closed; "" before, or if its user closed it."""
        return self.registration.why

    @property
    def closing(self) -> bool:
        """Whether the cluster closes, or does not run."""
        return self._ending is not None or self.status is not Status.running

    def stop_adapting(self) -> None:
        """Stop scaling with the work; the jobs stay."""
        if self._adaptive is not None:
            self._adaptive.stop()

    def activity(self) -> Activity:
        """Measure how the cluster is used."""
        scheduler, pool = self.scheduler, self.pool
        return Activity(
            tasks=pool.count_tasks() + len(scheduler.queued) + len(scheduler.unrunnable),
            transitions=scheduler.transition_counter,
            workers=len(scheduler.workers),
            expected=not scheduler.workers and any(job.status.state in _EXPECTED for job in pool.iter_wanted()),
            supplied=any(pool.iter_wanted()) or any(group.policy is not None for group in self.groups.values()),
            clients=sum(name != "fire-and-forget" for name in scheduler.clients),
        )

    # -- SpecCluster's attributes: views of the pool, which alone knows what is wanted ------------------------------

    @property
    def worker_spec(self) -> dict[str, dict[str, Any]]:
        """The wanted jobs, by name, as SpecCluster would make them."""
        return {record.name: self._worker_spec(record) for record in self.pool.wanted()}

    @worker_spec.setter
    def worker_spec(self, value: Mapping[str, Any]) -> None:
        _only_empty("worker_spec", value)

    @property
    def workers(self) -> dict[str, BatchJob]:
        """The requested jobs, by name."""
        return {record.name: self._job_view(record) for record in self.pool.requested()}

    @workers.setter
    def workers(self, value: Mapping[str, Any]) -> None:
        _only_empty("workers", value)

    @property
    def plan(self) -> set[str]:
        """The names of the wanted workers."""
        return {worker for record in self.pool.wanted() for worker in record.workers}

    @property
    def requested(self) -> set[str]:
        """The names of the workers of submitted jobs."""
        return {worker for record in self.pool.requested() for worker in record.workers}

    @property
    def observed(self) -> set[str]:
        """The names of the registered workers, as in ``plan``: without the mark of a requeue."""
        records = {record.name: record for record in self.pool.wanted()}
        # the scheduler's own: Dask's come with a message, and may lack workers that wait_for_workers() has seen
        jobs = {name: job_of(name, records) for name in self.pool.worker_names()}
        return {
            name if job is None or name == job else job + _suffix(name, grouped=bool(records[job].suffixes))
            for name, job in jobs.items()
        }

    def new_worker_spec(self) -> dict[str, Any]:
        """Give the next job's name and spec."""
        group = self.groups[DEFAULT]
        return {group.next_name: self._worker_spec(JobRecord(group.next_name, group.made, group.spec))}

    def _worker_spec(self, record: JobRecord) -> dict[str, Any]:
        """Describe a job as SpecCluster does; jobs differ in their specs alone."""
        described = {"cls": self.job_cls, "options": {**self.new_spec["options"], "spec": record.spec}}
        return {**described, "group": record.suffixes} if record.suffixes else described

    def _job_view(self, record: JobRecord) -> BatchJob:
        if (view := self._job_views.get(record)) is None:
            options = self._worker_spec(record)["options"]
            view = self._job_views[record] = self.job_cls(self._contact(), name=record.name, record=record, **options)
        return view

    def _contact(self) -> str:
        """Give the scheduler's address for jobs."""
        return str(getattr(self.scheduler, "contact_address", None) or self.scheduler.address)

    def _threads_per_worker(self) -> float:
        return self.spec.cores / self.spec.processes

    def _memory_per_worker(self) -> float:
        return self.spec.memory / self.spec.processes

    # -- beginning and end ------------------------------------------------------------------------------------------

    async def finish(self, why: str) -> None:
        """Close the cluster, and record why."""
        if self._ending is None and self.status in (Status.created, Status.starting, Status.running):
            logger.warning("Cluster %s closes: %s.", self.name, why)
            self.registration.why = why
        await self._close()

    async def finished(self) -> None:
        """Wait until the cluster has closed."""
        await self._over.wait()

    async def _start(self) -> None:
        first = self.status is Status.created
        if first and self.registration.to_take:
            try:
                await self.registration.take_name()
                for group in self.groups.values():
                    if group.wanted:
                        self._prepare(group)
            except BaseException:
                await self._close()
                raise
        await super()._start()
        if first and self.status is Status.running:
            self._address = self.scheduler_address  # it has none any more when it is closed
            known.remember(self._address, self._credentials and self._credentials.security)
            self.pool.start()
            self._following = asyncio.ensure_future(self._follow_scheduler())
            self.registration.serve(self)

    def __await__(self) -> Generator[Any, Any, JobCluster]:
        async def started() -> JobCluster:
            if self.status is Status.created:
                await self._start()
            await self.scheduler
            await self.pool.settle()
            if (trouble := self.trouble) is not None:
                raise trouble
            return self

        return started().__await__()

    async def _correct_state(self) -> None:
        """Send requests. SpecCluster would start and close jobs here, from lists of its own."""
        self.pool.send()

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Record workers that came or went, and poll their jobs soon."""
        if op == "add":
            self.pool.arrived([worker["name"] for worker in msg["workers"].values()])
        elif msg not in self.scheduler_info["workers"]:
            return
        # SpecCluster's would close jobs by their workers' names.
        DaskCluster._update_worker_status(self, op, msg)  # noqa: SLF001 -- the parent's parent
        self.pool.hurry()

    def close(self, timeout: float | None = None) -> Any:
        """Close the cluster, and cancel its jobs. Threads that close it at the same time all wait for its end.

        Parameters
        ----------
        timeout
            Seconds to wait; no limit unless given.
        """
        if self.asynchronous:
            return super().close(timeout)
        with self._closing_lock:  # Dask's event loop ends with the first of them
            return super().close(timeout)

    async def _close(self) -> None:
        with _ending("Wanting no jobs any more"):
            self.pool.stop()
        if self._ending is None and self.status in (Status.running, Status.failed):
            self._ending = asyncio.ensure_future(self._end())
        if self._ending is not None:
            await self._ending
        if (before := self._status_before_end) is not None:  # the parent class ends only what isn't ending
            self.status, self._status_before_end = before, None
        try:
            await super()._close()
        finally:
            known.forget(self._address)
            self.scheduler_info["workers"] = {}
            self.registration.end()
            self._end_widget()
            self._over.set()

    async def _end(self) -> None:
        """End what runs here; the jobs are cancelled whatever fails before."""
        with _ending("Ending the scaler"):
            if self._adaptive is not None:
                self._adaptive.stop()
            for name, usage in self.usage.items():
                logger.info("Cluster %s, group %s: %s.", self.name, name, usage.sentence())
        # Clients look at this when the scheduler has gone: they would try to reach it again.
        self.status, self._status_before_end = Status.closing, self.status
        # The scheduler says goodbye to its workers: those it can reach end by themselves.
        with suppress(Exception):
            await asyncio.wait_for(self.scheduler.close(reason="cluster-close"), GOODBYE_TIMEOUT)
        self.shutdown_scheduler = False  # the parent class would try to reach it
        if (connection := self.scheduler_comm) is not None:
            # Before distributed 2025.4 it tries all the same, for 30 s unless this is closed.
            await connection.close_rpc()
        await self.pool.close()
        self.registration.end()

    async def _follow_scheduler(self) -> None:
        """Close the cluster if the scheduler closes by itself, as after its ``idle_timeout``."""
        with Guard("Following the scheduler", "the cluster closes with it"):
            await self.scheduler.finished()
        if self._ending is None:
            with _ending("Closing the cluster"):
                await self.finish("the Dask scheduler has closed; its jobs are cancelled")

    # -- how it is made ---------------------------------------------------------------------------------------------

    @classmethod
    def check(cls, call: Call) -> None:
        """Refuse what this batch system can't hold."""

    def _prepare(self, group: Group) -> None:
        """Make what jobs need, or raise why it can't be made; a cluster without its name yet does so when it starts."""
        if not self.registration.to_take:
            self.registration.publish()
            if self._settings:
                self.files.write(SETTINGS, dask_settings.serialized(self._settings))
            make_directory(group.spec.log_directory)
            self._render(group.spec)  # a site's template may be away

    def _group(self, name: str, prefix: str, spec: JobSpec) -> Group:
        """Make a group, without jobs yet; its jobs find what they need in the cluster's directory."""
        path = self.files.path
        settings = str(path / SETTINGS) if self._settings else None
        return Group(name, prefix, replace(spec, directory=str(path), settings=settings))

    def _pool(self, batch_system: BatchSystem) -> JobPool:
        return JobPool(
            batch_system=batch_system,
            render=self._job_script,
            token=uuid.uuid4().hex[:8],
            lost_after=dask_settings.lost_worker_timeout(),
            scheduler=lambda: self.scheduler if self.status is Status.running else None,
            prepare=self._prepare,
            files=self.files,
            absent_after=settings.absent_after(),
        )

    def _job_script(self, spec: JobSpec) -> str:
        """Print the script of jobs; their class completes the spec with what leads them to this scheduler."""
        options = {**self.new_spec["options"], "spec": spec}
        return self._render(self.job_cls(self._contact(), name=spec.worker_name, **options).spec)

    def _render(self, spec: JobSpec) -> str:
        return render(spec, self.dialect, self.template_dirs)

    def _make_batch_system(self) -> BatchSystem:
        options = self._call.spec.options
        return BatchCommands(self.dialect, use_stdin=options.get("use_stdin", True), options=options)

    def _get_worker_security(self, security: Security | None) -> Security | None:  # noqa: ARG002 -- the parent's signature
        """Give jobs the paths of files; the parent class would write them into the working directory."""
        return self._credentials.for_workers if self._credentials is not None else None


def _ending(step: str) -> Guard:
    return Guard(step, "the cluster closes all the same")


def _suffix(worker: str, *, grouped: bool) -> str:
    return f"-{worker.rpartition('-')[2]}" if grouped else ""


def _only_empty(name: str, value: Mapping[str, Any]) -> None:
    """Accept SpecCluster's empty start, and nothing else."""
    if value:
        raise AttributeError(f"{name} shows the jobs that there are, and can't be set: scale() asks for jobs")
