"""The :class:`Site`: what the configuration says for jobs on one batch system, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from jobclusters.spec.queues import Queue
from jobclusters.spec.sizes import DEFAULT, Size


@dataclass(frozen=True)
class Site:
    """The configuration for jobs.

    Attributes
    ----------
    job
        The job keywords of ``jobqueue.<config_name>``, with underscores.
    sizes
        By name.
    python
        The default interpreter of the workers.
    section
        The name of the section ``job``, such as ``jobqueue.slurm``.
    headroom
        ``jobclusters.memory-headroom``.
    margin
        ``jobclusters.walltime-margin``: the time before the end of the walltime at which jobs hand over.
    spot
        ``jobclusters.spot.<system>``: ``queue`` and ``qos``.
    queues
        ``jobclusters.queues.<system>``: the limits of the listed queues.
    wrong_sizes, wrong_queues, wrong_spot
        What is wrong with entries that can't be used: it concerns jobs that ask for them.
    software
        ``jobclusters.software``: the mapping of each name.
    dask_cuda
        Whether ``python`` has dask-cuda.
    preload
        The modules that Dask's configuration loads into workers and nannies, by flag.
    versions
        Of Python and distributed at the scheduler; None if workers needn't compare theirs.
    guard_tls
        ``jobclusters.guard-tls``.
    pre_spawn_environ
        The variables that Dask sets before it starts a worker; None for ``jobclusters.fork-workers: false``, or where
        Dask's configuration wants workers to start in another way.
    expand
        Expands ``~`` and variables in a path, on the machine that submits.
    default
        The size of a job where nothing says how large it is.
    """

    job: Mapping[str, object]
    sizes: Mapping[str, Size]
    python: str
    section: str = "jobqueue"
    headroom: float = 0.1
    margin: timedelta | None = None
    spot: Mapping[str, object] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    wrong_sizes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wrong_queues: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wrong_spot: Sequence[str] = ()
    software: Mapping[str, object] = field(default_factory=dict)
    dask_cuda: bool = False
    preload: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: tuple[str, str] | None = None
    guard_tls: bool = True
    pre_spawn_environ: Mapping[str, str] | None = None
    expand: Callable[[str], str] = str
    default: Size = DEFAULT
