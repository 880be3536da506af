"""Jobs as Dask and dask-jobqueue see them: views of what :class:`~jobclusters.jobs.pool.JobPool` holds."""

from __future__ import annotations

from dataclasses import replace
from inspect import getattr_static
from typing import Any, ClassVar

from distributed.core import Status
from distributed.security import Security

from jobclusters.batch.script import render
from jobclusters.cluster.dask_base import Job
from jobclusters.config import settings
from jobclusters.config.layers import KEYWORD
from jobclusters.config.resolve import resolve
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest
from jobclusters.jobs.record import JobRecord, number_of
from jobclusters.network.interfaces import Network, connection_args, port_args
from jobclusters.spec.job_spec import JobSpec

#: Attributes that dask-jobqueue's job classes may override, and that don't affect submissions here.
_UNUSED = (
    *("job_script", "job_header", "submit_command", "cancel_command", "job_id_regexp"),
    *("_script_template", "_submit_job", "_close_job", "_call", "_job_id_from_submit_output", "start", "close"),
)


class BatchJob(Job):  # type: ignore[misc]
    """One job: an element of an array, or a submission of its own.

    It only shows the job; the cluster's pool submits and cancels it.

    Parameters
    ----------
    scheduler
        Address of the Dask scheduler.
    name
        Of the job; the names of its workers begin with it.
    spec
        Of its submission; unless given, it is resolved from the keywords.
    record
        Its state; unless given, the job is not submitted.
    template_dirs
        Directories of a site's templates.
    protocol, security, network
        Of the connection to the scheduler.
    interface, config_name, **keywords
        As for a cluster, where no spec is given.
    """

    dialect: ClassVar[Dialect]

    def __init__(
        self,
        scheduler: str | None = None,
        name: str | None = None,
        *,
        spec: JobSpec | None = None,
        record: JobRecord | None = None,
        template_dirs: tuple[str, ...] = (),
        protocol: str | None = None,
        security: Security | None = None,
        network: Network | None = None,
        interface: str | None = None,
        config_name: str | None = None,
        **keywords: Any,
    ) -> None:
        if spec is None:
            site = settings.site(self.dialect, config_name)
            spec = resolve(self.dialect, keywords, site, str(name), str(scheduler))
            network = None if interface is None else Network(interface, interface, KEYWORD)
        super(Job, self).__init__(scheduler=scheduler, name=name)
        self.scheduler = scheduler
        self.name = name
        self.template_dirs = template_dirs
        args = spec.worker_args + connection_args(protocol, security, network) + port_args(spec, network)
        self.spec = replace(spec, scheduler=str(scheduler), worker_args=args)
        self.record = record or JobRecord(str(name), number_of(str(name)), self.spec)
        self.worker_cores = spec.cores
        self.worker_memory = spec.memory
        self.worker_processes = spec.processes
        self.job_name = spec.job_name
        self.shebang = spec.shebang
        self.log_directory = spec.log_directory

    @property
    def job_id(self) -> str | None:
        """The batch system's id; None before it has one."""
        return self.record.job_id

    @property
    def worker_process_threads(self) -> int:
        """Threads of each worker."""
        return self.spec.nthreads

    @property
    def job_header(self) -> str:
        """The directives of the script, a line each."""
        mark = self.dialect.directive
        return "\n".join(line for line in self.job_script().splitlines() if line.startswith(f"{mark} "))

    def job_script(self) -> str:
        """Print the script."""
        return render(replace(self.spec, worker_name=str(self.name)), self.dialect, self.template_dirs)

    @property
    def status(self) -> Status:
        """Whether the job is wanted: Dask has no other states for it."""
        return Status.closed if self.record.leaving or self.record.status.state.ended else Status.running

    @status.setter
    def status(self, status: Status) -> None:
        """Ignore the parent classes' changes."""

    async def start(self) -> None:
        """Do nothing: the cluster submits its jobs."""

    async def close(self) -> None:
        """Do nothing: ``scale_down()`` of the cluster lets a job go."""


def check_job_class(job_class: object) -> type[BatchJob]:
    """Refuse anything but a job class, and classes with overrides that would not reach the queue."""
    if not (isinstance(job_class, type) and issubclass(job_class, BatchJob)):
        name = getattr(job_class, "__name__", repr(job_class))
        raise InvalidRequest(f"job_cls={name} must be a subclass of jobclusters.cluster.job.BatchJob")
    if changed := [name for name in _UNUSED if getattr_static(job_class, name) is not getattr_static(BatchJob, name)]:
        raise InvalidRequest(
            f"job_cls={job_class.__name__} overrides {', '.join(changed)}, which arrays can't use: put what concerns"
            " the script into a template (docs/templates.md); another command goes by its name onto the PATH, as a"
            " script of your own"
        )
    return job_class
