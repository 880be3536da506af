"""A cluster class for each batch system, and :func:`Cluster`, which takes the one of this machine.

The classes are made from the dialects: ``SLURMCluster`` and ``SLURMJob`` for SLURM.
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, cast

from jobclusters.batch.local_queue import LocalQueue
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.cluster.factory import connect, given_name
from jobclusters.cluster.job import BatchJob
from jobclusters.cluster.job_cluster import JobCluster
from jobclusters.config import settings
from jobclusters.config.call import Call
from jobclusters.config.keywords import parameters, signature
from jobclusters.config.machine import Machine, configured_machine
from jobclusters.config.saved import Configuration, find_configuration, read_file
from jobclusters.config.settings import find_system
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest
from jobclusters.registry.names import directory
from jobclusters.registry.record import Phase
from jobclusters.spec.sizes import sizes_that_fit


class _Signature:
    """The keywords of a cluster class, for ``help()`` and Shift-Tab; an ``__init__`` of its own has its own."""

    def __get__(self, instance: object, owner: type[JobCluster]) -> inspect.Signature:
        if owner.__init__ is not JobCluster.__init__:
            raise AttributeError("__signature__")
        return signature(owner.dialect)


def _job_class(dialect: Dialect) -> type[BatchJob]:
    body = {
        "__doc__": f"A job of {dialect.product or dialect.title}.",
        "__module__": __name__,
        "config_name": dialect.usual_section,
        "dialect": dialect,
    }
    return cast("type[BatchJob]", type(f"{dialect.prefix}Job", (BatchJob,), body))


def _cluster_class(dialect: Dialect) -> type[JobCluster]:
    body = {
        "__doc__": _docstring(dialect, f"A Dask cluster on {dialect.product or dialect.title}."),
        "__module__": __name__,
        "__signature__": _Signature(),
        "dialect": dialect,
        "job_cls": _job_class(dialect),
    }
    return cast("type[JobCluster]", type(f"{dialect.prefix}Cluster", (JobCluster,), body))


def _docstring(dialect: Dialect, summary: str) -> str:
    return f"""{summary}

{parameters(dialect)}
**old_names
    Old names of these keywords, and those of dask-jobqueue, keep working.

Raises
------
InvalidRequest
    With every problem of the call, before anything is submitted.
TemplateError
    If a template is wrong.

Examples
--------
>>> cluster = {dialect.prefix}Cluster({dialect.example})  # doctest: +SKIP
>>> cluster.scale(jobs=10)  # doctest: +SKIP
"""


class LocalQueueCluster(JobCluster):
    """The queue of this machine: it has no commands, and holds no job that is larger than the machine."""

    dialect = DIALECTS["local"]
    job_cls = _job_class(dialect)
    __doc__ = _docstring(
        dialect,
        "A Dask cluster on this machine, with a queue of its own: the same calls where there is no batch system.\n\n"
        "Jobs start first in, first out, as far as this machine's cores and memory reach; the others wait. A job that\n"
        "is larger than the machine is refused.",
    )
    __signature__ = _Signature()

    @classmethod
    def check(cls, call: Call) -> None:
        """Refuse a job that is larger than this machine."""
        machine, spec = configured_machine(), call.spec
        if not machine.holds(spec.cores, spec.memory, spec.gpus):
            fits = sizes_that_fit(settings.sizes().values(), machine.cores, machine.memory, machine.gpus)
            job = Machine(spec.cores, spec.memory, spec.gpus)
            raise InvalidRequest(
                f"{call.asked.size_words()}: a job of {job.describe()} is larger than this machine"
                f" ({machine.describe()}). Sizes that fit: {', '.join(fits) or 'none'}."
                " To run it all the same: dask.config.set({'jobclusters.local.oversubscribe': True})"
            )

    def _make_batch_system(self) -> LocalQueue:
        return local_queue()


_queues: list[LocalQueue] = []


def local_queue() -> LocalQueue:
    """Give the queue that all clusters of this process share, so that together they fit the machine."""
    if not _queues:
        _queues.append(LocalQueue(configured_machine()))
    _queues[0].machine = configured_machine()
    return _queues[0]


#: The class of each batch system, by its name.
CLUSTERS: dict[str, type[JobCluster]] = {
    name: LocalQueueCluster if name == "local" else _cluster_class(dialect) for name, dialect in DIALECTS.items()
}

globals().update({cls.__name__: cls for made in CLUSTERS.values() for cls in (made, made.job_cls)})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


class Cluster:
    """Makes a cluster on the batch system of this machine, or on the machine itself if it has none.

    Parameters
    ----------
    *args, **keywords
        As for :class:`~jobclusters.cluster.job_cluster.JobCluster`.

    Returns
    -------
    JobCluster
        One of its subclasses; a configuration for one batch system chooses it.
    """

    __signature__ = signature(None)

    def __new__(  # noqa: D102 -- the class has the documentation
        cls, *args: Any, configuration: str | Configuration | None = None, **keywords: Any
    ) -> JobCluster:
        found = find_configuration(configuration)
        name = given_name(keywords, found)
        record = directory(name).record() if name is not None else None
        here = record.system if record is not None and record.phase is not Phase.ENDED else None
        return CLUSTERS[here or found.system or find_system()](*args, configuration=found, **keywords)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **keywords: Any) -> JobCluster:
        """Make a cluster from a file of parameters: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.from_yaml`.

        ``system: slurm`` in the file chooses the batch system.
        """
        return cls(configuration=read_file(path), **keywords)

    @classmethod
    def from_name(cls, name: str, **keywords: Any) -> ConnectedCluster:
        """Connect to a cluster: see :meth:`~jobclusters.cluster.job_cluster.JobCluster.from_name`."""
        return connect(name, **keywords)
