"""Lays what was asked for on top of each other: keywords over a configuration over the size's details over the site's.

Who said what is kept beside each value, for :meth:`~jobclusters.cluster.JobCluster.explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from jobclusters.dialect import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.queues import Queue
from jobclusters.sizes import Size, fit

#: Old names that dask-jobqueue still accepts (and Saturn's ``nprocs``), with today's.
RENAMED = {
    "extra": "worker_extra_args",
    "env_extra": "job_script_prologue",
    "header_skip": "job_directives_skip",
    "job_extra": "job_extra_directives",
    "nprocs": "processes",
}

#: Keywords of a job on every batch system.
JOB_KEYWORDS = frozenset(
    {
        "cores",
        "memory",
        "processes",
        "nthreads",
        "nanny",
        "death_timeout",
        "local_directory",
        "software",
        "worker_command",
        "worker_extra_args",
        "job_script_prologue",
        "job_script_epilogue",
        "job_extra_directives",
        "job_directives_skip",
        "log_directory",
        "shebang",
        "python",
        "job_name",
        "queue",
        "walltime",
        "worker_size",
        "worker_cpu",
        "worker_gpu",
        "worker_memory",
        "worker_is_spot",
        "worker_class",
        "worker_options",
        "gpus",
        "gpu_type",
    }
)

#: The ways to say how large a job is.
_SIZE_KEYS = ("worker_size", "worker_cpu", "worker_gpu", "worker_memory")
_PLAIN_KEYS = ("cores", "memory", "gpus")
_WAYS = (_SIZE_KEYS[:1], _SIZE_KEYS[1:], _PLAIN_KEYS)
_SHAPE_KEYS = frozenset({*_PLAIN_KEYS, "processes", "job_cpu", "job_mem", "mem", "resource_spec"})

#: What "" takes away altogether: it's no number.
_NUMBERS = _SHAPE_KEYS | {*_SIZE_KEYS, "nthreads"}


def job_keywords(dialect: Dialect) -> frozenset[str]:
    """Name all keywords of a job on this system, old names included."""
    return JOB_KEYWORDS | dialect.keywords | RENAMED.keys() | dialect.renamed.keys()


@dataclass(frozen=True)
class Site:
    """What the configuration says.

    Attributes
    ----------
    job
        The job keywords of ``jobqueue.<config_name>``, with underscores.
    sizes
        By name.
    python
        The interpreter of the workers, unless something else is asked for.
    section
        Where ``job`` stands, such as ``jobqueue.slurm``.
    headroom
        ``jobclusters.memory-headroom``.
    margin
        ``jobclusters.walltime-margin``: how long before their walltime jobs hand over to others.
    spot
        ``jobclusters.spot.<system>``: ``queue`` and ``qos``.
    queues
        ``jobclusters.queues.<system>``: what each queue holds, where the site says so.
    software
        ``jobclusters.software``: what a name stands for.
    dask_cuda
        Whether that interpreter has dask-cuda.
    preload
        What Dask's configuration loads into workers and nannies, by the flag for it.
    versions
        Of Python and distributed at the scheduler; None if workers needn't compare theirs.
    expand
        What ``~`` and variables in a path mean on the machine that submits.
    """

    job: Mapping[str, object]
    sizes: Mapping[str, Size]
    python: str
    section: str = "jobqueue"
    headroom: float = 0.1
    margin: timedelta | None = None
    spot: Mapping[str, object] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    software: Mapping[str, object] = field(default_factory=dict)
    dask_cuda: bool = False
    preload: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: tuple[str, str] | None = None
    expand: Callable[[str], str] = str


#: A mapping of keywords, and who says so.
Layer = tuple[str, Mapping[str, object]]

#: The source of what stands in the call itself.
KEYWORD = "keyword"

#: The source of what a group of jobs takes over from its cluster.
CLUSTER = "the cluster"

#: What all jobs of a cluster share, that of its head included: it concerns the person and the site, not a job's size.
COMMON = frozenset(
    {
        *("account", "qos", "queue", "walltime", "shebang", "software"),
        *("job_script_prologue", "job_extra_directives", "job_directives_skip"),
        *("parallel_environment", "memory_complex", "lsf_units", "use_stdin"),
    }
)

#: What the jobs of a group share with the cluster's own.
COMMON_TO_WORKERS = COMMON | {
    *("job_name", "log_directory", "local_directory", "python", "death_timeout", "job_script_epilogue"),
    *("gpu_complex", "gpu_type_complex"),
}


@dataclass(frozen=True)
class Asked:
    """What is asked for of a job.

    Attributes
    ----------
    values
        By keyword, in today's names; what isn't given isn't in it.
    sources
        Who says so.
    size
        None where cores and memory are given instead.
    persons
        The sources that are what a person says, the strongest first.
    """

    values: Mapping[str, object]
    sources: Mapping[str, str]
    size: Size | None
    persons: tuple[str, ...] = ()

    def rank(self, key: str) -> int:
        """Give the place of who says it among persons; others come after them."""
        source = self.sources.get(key)
        return self.persons.index(source) if source in self.persons else len(self.persons)

    def said(self, keys: Collection[str]) -> dict[str, object]:
        """Give those of these values that a person says."""
        return {key: self.values[key] for key in self.values.keys() & keys if self.rank(key) < len(self.persons)}


def gather(
    dialect: Dialect, given: Sequence[Layer], site: Site, problems: Problems, inherited: Mapping[str, object]
) -> Asked:
    """Lay the call and its configuration over the size's details and the site's settings.

    Parameters
    ----------
    dialect
        Of the batch system.
    given
        What a person says, the strongest first.
    site
        The configuration.
    problems
        Where a sentence goes for everything that's wrong.
    inherited
        What a group of jobs takes over from its cluster, in today's names; what a size says wins over it.
    """
    person = _laid(given, dialect)
    away = {key for key, (value, _) in person.items() if key in _NUMBERS and value == ""}
    person = {key: value for key, value in person.items() if key not in away}
    configured = _today(site.job, dialect)
    if ways := _ways(person):
        size = _size({key: value for key, (value, _) in person.items()}, site, problems)
        away |= _other_ways(ways)
    else:
        size = _size({key: configured[key] for key in _SIZE_KEYS if key in configured.keys() - away}, site, problems)
    if size:  # it says how large a job is; what the configuration says of that is for calls without one
        away |= _SHAPE_KEYS
    configured = {key: value for key, value in configured.items() if key not in away}
    from_size = _today(size.keywords(dialect.name), dialect) if size else {}
    asked = {
        **_said_by(site.section, configured),
        **_said_by(CLUSTER, inherited),
        **_said_by(f"size {size.name!r}" if size else "", from_size),
        **person,
    }
    if asked.get("worker_is_spot", (False, ""))[0] is True:
        spot = {key: value for key, value in site.spot.items() if value is not None and key not in person}
        asked.update(_said_by(f"jobclusters.spot.{dialect.name}", spot))
    return Asked(
        values={key: value for key, (value, _) in asked.items()},
        sources={key: by for key, (_, by) in asked.items()},
        size=size,
        persons=(*(source for source, _ in given), *([CLUSTER] if inherited else [])),
    )


def _said_by(source: str, layer: Mapping[str, object]) -> dict[str, tuple[object, str]]:
    return {key: (value, source) for key, value in layer.items()}


def _laid(layers: Sequence[Layer], dialect: Dialect) -> dict[str, tuple[object, str]]:
    """Lay the stronger over the weaker; one that says in another way how large a job is replaces that whole."""
    laid: dict[str, tuple[object, str]] = {}
    for source, layer in reversed(layers):
        over = _today(layer, dialect)
        if (ways := _ways(over)) and laid.keys() & _other_ways(ways):
            laid = {key: value for key, value in laid.items() if key not in _other_ways(ways) | _SHAPE_KEYS}
        laid.update(_said_by(source, over))
    return laid


def _ways(layer: Mapping[str, object]) -> list[tuple[str, ...]]:
    """Give the ways in which a layer says how large a job is."""
    return [way for way in _WAYS if any(layer.get(key) not in (None, "") for key in way)]


def _other_ways(ways: Sequence[tuple[str, ...]]) -> set[str]:
    return {key for way in _WAYS if way not in ways for key in way}


def _today(layer: Mapping[str, object], dialect: Dialect) -> dict[str, object]:
    """Drop what isn't given and call the rest by today's names; a value under today's name wins, unless empty."""
    given = {key: value for key, value in layer.items() if value is not None}
    for old, new in {**RENAMED, **dialect.renamed}.items():
        if old in given:
            value = given.pop(old)
            if not given.get(new):
                given[new] = value
    return given


def _size(given: Mapping[str, object], site: Site, problems: Problems) -> Size | None:
    """Find or make the size; with ``cores`` and ``memory`` given there is none."""
    fitted = [key for key in _SIZE_KEYS[1:] if key in given]
    plain = [key for key in _PLAIN_KEYS if key in given]
    name = given.get("worker_size")
    ways = [f"worker_size={name!r}"] * (name is not None) + [", ".join(keys) for keys in (fitted, plain) if keys]
    if len(ways) > 1:
        problems.append(f"{' and '.join(ways)}: each says how large a job is; give only one of them")
        return None
    if name is not None:
        if str(name) not in site.sizes:
            problems.append(unknown("size", name, site.sizes))
            return None
        return site.sizes[str(name)]
    if fitted:
        cpu, memory, gpu = (given.get(key) for key in ("worker_cpu", "worker_memory", "worker_gpu"))
        return problems.attempt(lambda: fit(cpu=cpu, memory=memory, gpu=gpu), None)
    return None


def says_size(values: Mapping[str, object]) -> bool:
    """Tell whether a size is asked for, be it one that isn't there."""
    return any(key in values for key in _SIZE_KEYS)
