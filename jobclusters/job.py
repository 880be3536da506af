"""One job of a cluster: Dask's and dask-jobqueue's view of a :class:`~jobclusters.batchqueue.JobRecord`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from inspect import getattr_static
from typing import Any, ClassVar

from distributed.core import Status
from distributed.security import Security

from jobclusters import config
from jobclusters.batchqueue import BatchQueue
from jobclusters.connection import Network, connection_args
from jobclusters.dialect import Dialect
from jobclusters.errors import InvalidRequest
from jobclusters.jobqueue import Job
from jobclusters.layers import KEYWORD
from jobclusters.record import JobRecord, number_of
from jobclusters.request import resolve
from jobclusters.script import render
from jobclusters.spec import JobSpec

#: What job classes of dask-jobqueue may change, and which has no part in what is submitted here.
_UNUSED = (
    *("job_script", "job_header", "submit_command", "cancel_command", "job_id_regexp"),
    *("_script_template", "_submit_job", "_close_job", "_call", "_job_id_from_submit_output"),
)


class BatchJob(Job):  # type: ignore[misc]
    """One job: an element of an array, or a submission of its own.

    Dask starts and closes it; both return at once, the shared queue does the work.

    Parameters
    ----------
    scheduler
        Address of the Dask scheduler.
    name
        Of the job; the names of its workers begin with it.
    spec
        What is submitted; unless given, it is resolved from the keywords.
    queue
        Who submits it; None for a job that is only looked at.
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
        queue: BatchQueue | None = None,
        template_dirs: tuple[str, ...] = (),
        protocol: str | None = None,
        security: Security | None = None,
        network: Network | None = None,
        interface: str | None = None,
        config_name: str | None = None,
        **keywords: Any,
    ) -> None:
        if spec is None:
            site = config.site(self.dialect, config_name)
            spec = resolve(self.dialect, keywords, site, str(name), str(scheduler))
            network = None if interface is None else Network(interface, interface, KEYWORD)
        super(Job, self).__init__(scheduler=scheduler, name=name)
        self.scheduler = scheduler
        self.name = name
        self.queue = queue
        self.template_dirs = template_dirs
        self.spec = _connected(spec, str(scheduler), protocol, security, network)
        self.record = JobRecord(str(name), number_of(str(name)), self.spec)
        self.worker_cores = spec.cores
        self.worker_memory = spec.memory
        self.worker_processes = spec.processes
        self.job_name = spec.job_name
        self.shebang = spec.shebang
        self.log_directory = spec.log_directory

    @property
    def job_id(self) -> str | None:
        """The batch system's id; None before."""
        return self.record.job_id

    @job_id.setter
    def job_id(self, job_id: str | None) -> None:
        self.record.job_id = job_id

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

    async def start(self) -> None:
        """Ask for the job; a refusal reaches the person through the cluster."""
        if self.queue is not None:
            self.queue.submit(self.record)
        self.status = Status.running

    async def close(self) -> None:
        """Let the job go, its workers first."""
        if self.queue is not None and self.record.name in self.queue.records:
            self.queue.leave(self.record)
        self.over()

    def over(self) -> None:
        """Note that the job has ended."""
        self.status = Status.closed
        self._event_finished.set()


def check_job_class(job_class: object) -> type[BatchJob]:
    """Refuse what is no job class, and classes whose changes would not reach the queue.

    Raises
    ------
    InvalidRequest
        With what has to be another way.
    """
    if not (isinstance(job_class, type) and issubclass(job_class, BatchJob)):
        name = getattr(job_class, "__name__", repr(job_class))
        raise InvalidRequest(f"job_cls={name} must be a subclass of jobclusters.job.BatchJob")
    if changed := [name for name in _UNUSED if getattr_static(job_class, name) is not getattr_static(BatchJob, name)]:
        raise InvalidRequest(
            f"job_cls={job_class.__name__} overrides {', '.join(changed)}, which arrays can't use: put what concerns"
            " the script into a template (docs/templates.md); another command goes by its name onto the PATH, as a"
            " script of your own"
        )
    return job_class


@lru_cache(maxsize=32)
def _connected(
    spec: JobSpec, scheduler: str, protocol: str | None, security: Security | None, network: Network | None
) -> JobSpec:
    """Complete a spec with its scheduler; all jobs of a cluster share one, so that they can share an array."""
    args = spec.worker_args + connection_args(protocol, security, network)
    return replace(spec, scheduler=scheduler, worker_args=args)
