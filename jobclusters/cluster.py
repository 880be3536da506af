"""Dask clusters on batch queues."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import dask.config
from dask.utils import parse_timedelta
from distributed.core import Status
from distributed.security import Security

from jobclusters.adaptive import Step
from jobclusters.call import read_call, read_group
from jobclusters.commandqueue import CommandQueue, Verbs
from jobclusters.configurations import Configuration, read_file
from jobclusters.connected import ConnectedCluster
from jobclusters.dialect import Dialect
from jobclusters.engine import Engine
from jobclusters.errors import InvalidRequest
from jobclusters.explain import Explanation, Origin
from jobclusters.group import DEFAULT, Group, check_name, make_group
from jobclusters.job import BatchJob, check_job_class
from jobclusters.lasting import Held, LastingCluster, timeouts
from jobclusters.limits import read_policy
from jobclusters.notebook import NotebookCluster
from jobclusters.route import claim_here, connect, route, unnamed
from jobclusters.scheduler import plan_scheduler, settled
from jobclusters.script import render
from jobclusters.spec import JobSpec
from jobclusters.waiting import WaitingCluster


class JobCluster(NotebookCluster, WaitingCluster, LastingCluster):
    """A Dask cluster whose workers are jobs of a batch queue.

    Parameters
    ----------
    n_workers
        Dask workers to ask for at once, rounded up to whole jobs. See :meth:`scale`. Two of them, ``[2, 10]``, are a
        minimum and a maximum: see :meth:`adapt`.
    job_cls
        The class of its jobs.
    configuration
        A named set of parameters: see :func:`jobclusters.save_configuration`. Keywords win over it.
    n_jobs
        Jobs to ask for at once.
    name
        Of the cluster; the names of jobs and workers begin with it. Where a cluster of this name runs, this connects
        to it: see docs/lifecycle.md.
    head
        Where scheduler, engine and scaler run: "process", here in this Python (the default); "job", in a batch job of
        their own; "detached", in a process of this machine that survives logout.
    scheduler_size, scheduler_cpu, scheduler_memory, scheduler_queue, scheduler_walltime, scheduler_extra_directives
        Of the head's job, which any of them asks for. 1 core and 8 GiB unless given, and of the queue's longest
        walltime, if that is known.
    shutdown_on_close
        Whether the cluster ends when it is closed here; unless given, it does if it was made here.
    idle_timeout, no_client_timeout
        Times without work, and without any client, after which it closes by itself; None for never.
    worker_size
        The shape of a job, by name: see :func:`jobclusters.describe_sizes`. Or give ``worker_cpu``,
        ``worker_memory`` and ``worker_gpu`` (4 cores, 16 GiB and no GPU unless given); or ``cores`` and ``memory``.
    scheduler_options, scheduler_class
        Of the Dask scheduler; the class may be a name to import.
    software
        What surrounds the workers' Python, by name or as a mapping: modules, an environment, a container, variables.
    security
        Unless given, connections are encrypted, and ask for credentials that are made for this cluster and removed with
        it: see docs/security.md. Or give a :class:`distributed.Security`, or False.
    interface
        The network of scheduler and workers, such as ``"ib0"``. Unless given, InfiniBand or Slingshot is taken before
        Ethernet where this machine has both; "" leaves the choice to Dask.
    config_name
        The section of ``jobqueue`` in the configuration; the batch system's name unless given.
    template_dirs
        Directories of your own templates.
    **keywords
        Everything else that dask-jobqueue 0.9 accepts, and what docs/keywords.md lists.

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
    _claimed: Held | None

    def __new__(cls, *args: Any, configuration: str | Configuration | None = None, **keywords: Any) -> Any:
        """Make a cluster, or connect to one."""
        own = cls.__init__ is not JobCluster.__init__  # a class of the user's own has keywords of its own, too
        held = keywords.get("head")
        if not own and not isinstance(held, Held):
            given = {**dict(zip(("n_workers", "job_cls"), args, strict=False)), **keywords}
            held = route(cls, lambda: read_call(cls.dialect, given, configuration), given, configuration)
        if isinstance(held, ConnectedCluster):
            return held  # it is made
        new = super().__new__(cls)
        new._claimed = held if isinstance(held, Held) else None
        return new

    def __init__(
        self,
        n_workers: int | Sequence[int] | None = None,
        job_cls: type[BatchJob] | None = None,
        *,
        configuration: str | Configuration | None = None,
        **keywords: Any,
    ) -> None:
        self.status = Status.created  # before anything may fail: __del__ looks at it
        try:
            self._make({"n_workers": n_workers, "job_cls": job_cls, **keywords}, configuration)
        except BaseException as error:
            if self._claimed is not None and not self._claimed.to_take:  # the name is free again
                self._claimed.presence.ended(f"it could not be made: {type(error).__name__}: {error}")
            raise

    def _make(self, given: Mapping[str, Any], configuration: str | Configuration | None) -> None:
        given = {key: value for key, value in given.items() if not isinstance(value, Held)}
        self._call = read_call(self.dialect, given, configuration)
        self.spec = self._call.spec
        self._check(self.spec)
        self.template_dirs = self._call.template_dirs
        self._render(self.spec)  # a wrong template is told now
        read_policy(self.spec, self._call.limits)  # wrong limits are told now
        #: What the adaptive scaler has decided, and why: the newest last.
        self.history: deque[Step] = deque(maxlen=1000)
        self.groups: dict[str, Group] = {}
        self._changing = threading.RLock()
        self._ending: asyncio.Future[None] | None = None
        job_class = check_job_class(self._call.value("job_cls", self.job_cls))
        self._claimed = self._claimed or claim_here(type(self), self._call)
        self._hold(self._claimed or unnamed(self._call), timeouts(self._call))
        plan = plan_scheduler(self._call, self.files)
        self._network, self._credentials = plan.network, plan.credentials
        verbs = self._verbs()
        if self._call.value("n_workers", 0) or int(self._call.value("n_jobs", 0)):
            verbs.check()
        self.engine = self._engine(verbs)
        with settled(self.dialect):
            super().__init__(
                job_cls=job_class,
                **plan.keywords(),
                spec=self.spec,
                queue=self.engine.queue,
                template_dirs=self.template_dirs,
                network=self._network,
                **self._call.for_dask,
            )
        self.groups[DEFAULT] = make_group(DEFAULT, self._name, self.spec, self.new_spec, self.files)
        self.new_spec = self.groups[DEFAULT].entry
        self._begin()

    def _begin(self) -> None:
        """Ask for the jobs that the call asks for."""
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

    def add_group(
        self, name: str, *, configuration: str | Configuration | None = None, n_jobs: int = 0, **keywords: Any
    ) -> None:
        """Add jobs of another size to the cluster.

        Parameters
        ----------
        name
            Of the group, for ``scale(jobs=2, group="gpu")`` and ``adapt(maximum_jobs=2, group="gpu")``.
        configuration, **keywords
            As for a cluster; those that concern the cluster itself have no place here. What concerns the person and
            the site, such as ``account`` and ``software``, is as for the cluster's own jobs unless it is said here:
            see docs/scaling.md.
        n_jobs
            Jobs to ask for at once.

        Raises
        ------
        InvalidRequest
            With every problem of the call.
        """
        name = check_name(self.groups, name)
        call = read_group(self._call, keywords, configuration, n_jobs)
        self._check(call.spec)
        self._render(call.spec)
        self.groups[name] = make_group(name, f"{self._name}-{name}", call.spec, self.new_spec, self.files)
        try:
            if n_jobs:
                self.scale(jobs=n_jobs, group=name)
        except BaseException:
            del self.groups[name]  # else there would be one, and this could not be said again
            raise

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
        """Connect to a cluster that there is, and never make one.

        Parameters
        ----------
        name
            Of the cluster.
        **keywords
            ``shutdown_on_close`` (False unless given), ``asynchronous`` and ``loop``.

        Raises
        ------
        InvalidRequest
            If there is none of this name, or it has ended; it lists those there are.
        """
        return connect(name, system=cls.dialect.name, **keywords)

    def explain(self) -> Explanation:
        """Tell what each parameter is, and where it came from.

        Returns
        -------
        Explanation
            A mapping of names to ``(value, source)``; it prints as a table.
        """
        network = Origin(self._network.interface, self._network.source)
        return self._call.explain({"interface": network})

    @classmethod
    def _check(cls, spec: JobSpec) -> None:
        """Refuse what this batch system can't hold."""

    def _engine(self, verbs: Verbs) -> Engine:
        return Engine(
            verbs=verbs,
            render=self._render,
            scheduler=lambda: self.scheduler if self.status is Status.running else None,
            lost=self._jobs_lost,
            token=uuid.uuid4().hex[:8],
            lost_after=parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout")),
            files=self.files,
        )

    def _render(self, spec: JobSpec) -> str:
        return render(spec, self.dialect, self.template_dirs)

    def _verbs(self) -> Verbs:
        return CommandQueue(self.dialect)

    def _get_worker_security(self, security: Security | None) -> Security | None:  # noqa: ARG002 -- the parent's signature
        """Give jobs the paths of files; the parent class would write them into the working directory."""
        return self._credentials.for_workers if self._credentials is not None else None
