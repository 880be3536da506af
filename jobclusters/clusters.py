"""A cluster class for each batch system, and :func:`Cluster`, which takes the one that is here."""

from __future__ import annotations

import logging
import os
from typing import Any

import dask.config

from jobclusters import config
from jobclusters.cluster import JobCluster
from jobclusters.config import find_system
from jobclusters.configurations import Configuration, find_configuration, read_file
from jobclusters.connected import ConnectedCluster
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.sge import ENVIRONMENT
from jobclusters.entry import Phase
from jobclusters.errors import InvalidRequest, Problems
from jobclusters.job import BatchJob
from jobclusters.localqueue import LocalQueue
from jobclusters.machine import Machine, this_machine
from jobclusters.reader import Reader
from jobclusters.registry import directory
from jobclusters.route import connect, given_name
from jobclusters.sizes import fitting
from jobclusters.spec import JobSpec
from jobclusters.units import gigabytes, parse_memory

logger = logging.getLogger(__name__)


class SLURMJob(BatchJob):
    """A job of SLURM."""

    config_name = "slurm"
    dialect = DIALECTS["slurm"]


class SLURMCluster(JobCluster):
    """A Dask cluster on SLURM.

    Examples
    --------
    >>> cluster = SLURMCluster(worker_size="large", queue="normal", walltime="02:00:00")  # doctest: +SKIP
    >>> cluster.scale(jobs=10)  # doctest: +SKIP
    """

    dialect = DIALECTS["slurm"]
    job_cls = SLURMJob


class PBSJob(BatchJob):
    """A job of PBS Professional or OpenPBS."""

    config_name = "pbs"
    dialect = DIALECTS["pbs"]


class PBSCluster(JobCluster):
    """A Dask cluster on PBS Professional or OpenPBS.

    Examples
    --------
    >>> cluster = PBSCluster(worker_size="large", queue="workq", walltime="02:00:00")  # doctest: +SKIP
    """

    dialect = DIALECTS["pbs"]
    job_cls = PBSJob


class TORQUEJob(BatchJob):
    """A job of TORQUE; its settings are those of PBS, unless there is a section ``jobqueue.torque``."""

    config_name = "pbs"
    dialect = DIALECTS["torque"]


class TORQUECluster(JobCluster):
    """A Dask cluster on TORQUE.

    Examples
    --------
    >>> cluster = TORQUECluster(worker_size="large", queue="batch", walltime="02:00:00")  # doctest: +SKIP
    """

    dialect = DIALECTS["torque"]
    job_cls = TORQUEJob


class LSFJob(BatchJob):
    """A job of LSF or openlava."""

    config_name = "lsf"
    dialect = DIALECTS["lsf"]


class LSFCluster(JobCluster):
    """A Dask cluster on LSF or openlava.

    Examples
    --------
    >>> cluster = LSFCluster(worker_size="large", queue="normal", walltime="02:00")  # doctest: +SKIP
    """

    dialect = DIALECTS["lsf"]
    job_cls = LSFJob


class SGEJob(BatchJob):
    """A job of Grid Engine."""

    config_name = "sge"
    dialect = DIALECTS["sge"]


class SGECluster(JobCluster):
    """A Dask cluster on Grid Engine.

    Examples
    --------
    >>> cluster = SGECluster(worker_size="large", queue="all.q", parallel_environment="smp")  # doctest: +SKIP
    """

    dialect = DIALECTS["sge"]
    job_cls = SGEJob

    @classmethod
    def _check(cls, spec: JobSpec) -> None:
        if spec.request_cores == 1 < spec.cores:
            logger.warning("Jobs for %d cores get one slot, as with dask-jobqueue: %s.", spec.cores, ENVIRONMENT)


class LocalQueueJob(BatchJob):
    """A job of this machine's queue."""

    config_name = "local"
    dialect = DIALECTS["local"]


class LocalQueueCluster(JobCluster):
    """A Dask cluster on this machine, with a queue of its own: the same calls where there is no batch system.

    Jobs start first in, first out, as far as this machine's cores and memory reach; the others wait.

    Raises
    ------
    InvalidRequest
        Also if a job is larger than the machine; it names the sizes that fit.
    """

    dialect = DIALECTS["local"]
    job_cls = LocalQueueJob

    @classmethod
    def _check(cls, spec: JobSpec) -> None:
        machine = configured_machine()
        if not machine.holds(spec.cores, spec.memory, spec.gpus):
            fits = fitting(config.sizes().values(), machine.cores, machine.memory, machine.gpus)
            raise InvalidRequest(
                f"a job of {spec.cores} cores, {gigabytes(spec.memory)} and {spec.gpus} GPUs is larger than this"
                f" machine ({machine.describe()}). Sizes that fit: {', '.join(fits) or 'none'}."
                " To run it all the same: dask.config.set({'jobclusters.local.oversubscribe': True})"
            )

    def _verbs(self) -> LocalQueue:
        return local_queue()


def configured_machine() -> Machine:
    """Look at this machine through ``jobclusters.local``.

    Raises
    ------
    InvalidRequest
        With everything that's wrong there.
    """
    config.load()
    here, problems, section = this_machine(), Problems(), dask.config.get("jobclusters.local")
    said = {f"jobclusters.local.{key}": value for key, value in section.items() if value is not None}
    read = Reader(said, problems)
    gpus = read.count("jobclusters.local.gpus", least=0)
    memory, wrong = section.get("memory"), Problems()
    machine = Machine(
        cores=read.count("jobclusters.local.cores") or here.cores,
        memory=here.memory if memory is None else wrong.attempt(lambda: parse_memory(memory), 1),
        gpus=here.gpus if gpus is None else gpus,
        oversubscribe=read.flag("jobclusters.local.oversubscribe", False),
    )
    problems += [f"jobclusters.local.memory: {problem}" for problem in wrong]
    problems.raise_any()
    return machine


_queues: list[LocalQueue] = []


def local_queue() -> LocalQueue:
    """Give the queue that all clusters of this process share, so that together they keep within the machine."""
    if not _queues:
        _queues.append(LocalQueue(configured_machine()))
    _queues[0].machine = configured_machine()
    return _queues[0]


CLUSTERS: dict[str, type[JobCluster]] = {
    "slurm": SLURMCluster,
    "pbs": PBSCluster,
    "torque": TORQUECluster,
    "lsf": LSFCluster,
    "sge": SGECluster,
    "local": LocalQueueCluster,
}


class Cluster:
    """Makes a cluster on the batch system of this machine, or on the machine itself if it has none.

    Parameters
    ----------
    *args, **keywords
        As for :class:`~jobclusters.cluster.JobCluster`.

    Returns
    -------
    JobCluster
        One of its subclasses. A configuration that is for one batch system says which.
    """

    def __new__(  # noqa: D102 -- it stands for a family of classes
        cls, *args: Any, configuration: str | Configuration | None = None, **keywords: Any
    ) -> JobCluster:
        found = find_configuration(configuration)
        name = given_name(keywords, found)
        entry = directory(name).entry() if name is not None else None
        here = entry.system if entry is not None and entry.phase is not Phase.ENDED else None
        return CLUSTERS[here or found.system or find_system()](*args, configuration=found, **keywords)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **keywords: Any) -> JobCluster:
        """Make a cluster from a file of parameters, as :func:`jobclusters.save_configuration` writes them.

        Parameters
        ----------
        path
            Of the file; ``system: slurm`` in it says for which batch system.
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
        return connect(name, **keywords)
