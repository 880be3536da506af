"""Reads a call of a cluster class: what concerns the cluster, and what its jobs look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.config

from jobclusters import config
from jobclusters.configurations import (
    CLUSTER_KEYWORDS,
    DASK_KEYWORDS,
    NO_CONFIGURATION,
    Configuration,
    find_configuration,
)
from jobclusters.dialect import Dialect
from jobclusters.entry import check_name
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.explain import Explanation, Origin, merged, where, written
from jobclusters.idle import read_timeout
from jobclusters.layers import COMMON_TO_WORKERS, KEYWORD, Asked, Layer, job_keywords
from jobclusters.request import NOTHING, resolve_layers
from jobclusters.sizes import whole
from jobclusters.spec import DASK_WORKER, NO_SCHEDULER, JobSpec
from jobclusters.units import gigabytes
from jobclusters.workercommand import python_counts

#: Keywords for which None doesn't mean "not given", but "never".
TIMEOUTS = frozenset({"idle_timeout", "no_client_timeout"})


@dataclass(frozen=True)
class Call:
    """A call that was understood.

    Attributes
    ----------
    dialect
        Of the batch system.
    spec
        One job.
    asked
        What it was resolved from.
    cluster
        What concerns the cluster, by keyword.
    """

    dialect: Dialect
    spec: JobSpec
    asked: Asked
    cluster: Mapping[str, Origin]

    def value(self, key: str, otherwise: Any = None) -> Any:
        """Give the value of a keyword that concerns the cluster."""
        origin = self.cluster.get(key)
        return otherwise if origin is None else origin.value

    @property
    def for_dask(self) -> dict[str, Any]:
        """What Dask's and dask-jobqueue's classes read themselves, by keyword."""
        return {key: origin.value for key, origin in self.cluster.items() if key in DASK_KEYWORDS}

    @property
    def limits(self) -> dict[str, Any]:
        """The minimum and the maximum that ``n_workers`` is, for adaptive scaling; empty where it is a number."""
        asked = self.value("n_workers")
        return dict(zip(("minimum", "maximum"), asked, strict=True)) if is_range(asked) else {}

    @property
    def template_dirs(self) -> tuple[str, ...]:
        """The directories of templates: the call's, then the configuration's."""
        own = config.directories("template_dirs", self.value("template_dirs"), Problems())
        return (*own, *config.template_dirs())

    @property
    def name(self) -> str | None:
        """The name that was given to the cluster; None if none was."""
        value = self.value("name")
        return None if value in (None, "") else check_name(value)

    def timeout(self, key: str, otherwise: object = None) -> float | None:
        """Give a timeout in seconds; None for never. One in ``scheduler_options`` means the same."""
        options = self.value("scheduler_options") or {}
        return read_timeout(key, self.value(key) if key in self.cluster else options.get(key, otherwise))

    def explain(self, more: Mapping[str, Origin]) -> Explanation:
        """Tell where each value came from; ``more`` is what the cluster itself has chosen."""
        given = {key: Origin(value, self.asked.sources[key]) for key, value in self.asked.values.items()}
        if "name" in given:  # dask-jobqueue's old word for job_name
            given.setdefault("job_name", given.pop("name"))
        if self.spec.software.own_python and not python_counts(self.asked):
            given.pop("python", None)
        if self.spec.cuda_worker and given.get("worker_command", Origin("", "")).value == DASK_WORKER[0]:
            given.pop("worker_command")
        places = written()
        template_dirs = Origin(dask.config.get("jobclusters.template-dirs"), "jobclusters")
        named = {
            key: Origin(origin.value, where(self.dialect, origin.source, key, origin.value, places))
            for key, origin in {"template_dirs": template_dirs, **given, **self.cluster}.items()
        }
        return merged(self._size(), named, more, self._derived())

    def _size(self) -> dict[str, Origin]:
        """Tell what the size stands for."""
        spec, size = self.spec, self.asked.size
        if size is None:
            return {}
        shape = {"cores": spec.cores, "memory": gigabytes(spec.memory), "gpus": spec.gpus or None}
        if "worker_size" in self.asked.values:
            return {key: Origin(value, f"size {size.name!r}") for key, value in shape.items()}
        keys = {"cores": "worker_cpu", "memory": "worker_memory", "gpus": "worker_gpu"}
        given = self.asked.values
        return {
            key: Origin(value, keys[key] if keys[key] in given else f"default of {keys[key]}")
            for key, value in shape.items()
        }

    def _derived(self) -> dict[str, Origin]:
        spec, size = self.spec, self.asked.size
        workers = "one worker for each GPU" if spec.gpus else "one worker" if size else "the cores, as Dask cuts them"
        return {
            "queue": Origin(spec.queue, "the best fit among jobclusters.queues"),
            "job_name": Origin(spec.job_name, "default"),
            "processes": Origin(spec.processes, workers),
            "nthreads": Origin(spec.nthreads, "cores / processes"),
            "memory_limit": Origin(
                gigabytes(spec.memory_limit), "memory / processes, less jobclusters.memory-headroom"
            ),
            "python": Origin(
                " ".join(map(str, spec.python)), "software" if spec.software.own_python else "this Python"
            ),
            "worker_command": Origin(
                " ".join(map(str, spec.worker_command)), "dask-cuda is there" if spec.cuda_worker else "default"
            ),
        }


def read_call(
    dialect: Dialect,
    given: Mapping[str, object],
    configuration: str | Configuration | None = None,
    inherited: Mapping[str, object] = NOTHING,
) -> Call:
    """Read a call; everything that's wrong with it is told at once.

    Parameters
    ----------
    dialect
        Of the batch system.
    given
        Keywords as they were given; None means not given.
    configuration
        The name of one, or one that was read from a file.
    inherited
        What a group takes over from its cluster.

    Raises
    ------
    InvalidRequest
        With every problem.
    """
    problems = Problems()
    of_job, valid = job_keywords(dialect), job_keywords(dialect) | CLUSTER_KEYWORDS
    problems += [unknown("keyword", key, valid) for key in given.keys() - valid]
    told = len(problems)
    named = problems.attempt(lambda: _configuration(configuration, dialect), NO_CONFIGURATION)
    if len(problems) > told:
        problems.raise_any()  # what it should have said would be missed, too
    layers: list[Layer] = [(KEYWORD, given), (named.source, named.keywords)]
    problems += [f"{named.source}: " + unknown("keyword", key, valid) for key in named.keywords.keys() - valid]
    cluster = _for_the_cluster(layers, problems)
    config_name = cluster["config_name"].value if "config_name" in cluster else None
    site = problems.attempt(lambda: config.site(dialect, config_name), None)  # type: ignore[arg-type]
    resolved = None
    if site is not None:
        for_jobs = [(source, {k: v for k, v in layer.items() if k in of_job}) for source, layer in layers]
        place = (site, "dummy-name", NO_SCHEDULER)
        resolved = problems.attempt(lambda: resolve_layers(dialect, for_jobs, *place, inherited), None)
    problems.raise_any()
    settings = config.jobqueue(dialect, config_name)  # type: ignore[arg-type]
    for key in config.CLUSTER_SETTINGS & settings.keys() - cluster.keys():
        if settings[key] is not None:
            cluster[key] = Origin(settings[key], site.section)  # type: ignore[union-attr]
    spec, asked = resolved  # type: ignore[misc]
    return Call(dialect, spec, asked, cluster)


def read_group(
    call: Call, keywords: Mapping[str, object], configuration: str | Configuration | None, n_jobs: int
) -> Call:
    """Read a call of ``add_group()``.

    Parameters
    ----------
    call
        The cluster's: what concerns the person and the site is as for its own jobs unless it is said.
    keywords, configuration, n_jobs
        As they were given.

    Raises
    ------
    InvalidRequest
        With every problem, or for keywords that concern the cluster.
    """
    given = {"config_name": call.value("config_name"), **keywords, "n_jobs": n_jobs}
    group = read_call(call.dialect, given, configuration, call.asked.said(COMMON_TO_WORKERS))
    if wrong := sorted(group.cluster.keys() & keywords.keys()):
        raise InvalidRequest(f"{', '.join(wrong)}: these concern the cluster, and can't differ in a group")
    return group


def _configuration(configuration: object, dialect: Dialect) -> Configuration:
    found = find_configuration(configuration)
    if found.system not in (None, dialect.name):
        Problems([f"{found.source} is for {found.system}, not for {dialect.name}"]).raise_any()
    return found


def _for_the_cluster(layers: Sequence[Layer], problems: Problems) -> dict[str, Origin]:
    """Find what concerns the cluster, and note what can't be read."""
    cluster: dict[str, Origin] = {}
    for source, layer in reversed(layers):
        said = {k: v for k, v in layer.items() if k in CLUSTER_KEYWORDS and (v is not None or k in TIMEOUTS)}
        cluster |= {key: Origin(value, source) for key, value in said.items()}
    problems += _counts_and_name(cluster)
    if "template_dirs" in cluster:
        config.directories("template_dirs", cluster["template_dirs"].value, problems)
    return cluster


def _counts_and_name(cluster: dict[str, Origin]) -> Problems:
    problems = Problems()
    for key in ("n_workers", "n_jobs"):
        if key in cluster and (key == "n_jobs" or not is_range(cluster[key].value)):
            problems.attempt(lambda key=key: whole(key, cluster[key].value, least=0), 0)  # type: ignore[misc]
    for key in ("config_name", "interface", "protocol"):
        if key in cluster and (value := cluster[key].value) and not isinstance(value, str):
            problems.append(f"{key} must be text, not {value!r}")
            del cluster[key]  # nobody could go on with it
    if "security" in cluster and not _is_security(security := cluster["security"].value):
        problems.append(f"security must be True, False or a distributed.Security, not {security!r}")
    if "scheduler_options" in cluster and not isinstance(options := cluster["scheduler_options"].value or {}, Mapping):
        problems.append(f"scheduler_options must be a mapping, not {options!r}")
    for key in TIMEOUTS & cluster.keys():
        problems.attempt(lambda key=key: read_timeout(key, cluster[key].value), None)  # type: ignore[misc]
    if cluster.get("name", Origin("", "")).value not in ("", None):
        named = problems.attempt(lambda: check_name(cluster["name"].value), "")
        cluster["name"] = cluster["name"]._replace(value=named)  # a file may say 2026
    return problems


def _is_security(value: object) -> bool:
    return isinstance(value, bool) or hasattr(value, "get_tls_config_for_role")


def is_range(value: object) -> bool:
    """Tell whether ``n_workers`` is a minimum and a maximum, for adaptive scaling.

    >>> is_range([2, 10]), is_range(2), is_range([2])
    (True, False, False)
    """
    return isinstance(value, (list, tuple)) and len(value) == 2
