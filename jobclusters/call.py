"""Reads a call of a cluster class: what concerns the cluster, and what its jobs look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobclusters import config
from jobclusters.configurations import CLUSTER_KEYWORDS, NO_CONFIGURATION, Configuration, read_configuration
from jobclusters.dialect import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.explain import Explanation, Origin, merged
from jobclusters.layers import KEYWORD, Asked, Layer, job_keywords
from jobclusters.request import resolve_layers
from jobclusters.sizes import whole
from jobclusters.spec import CUDA_WORKER, NO_SCHEDULER, JobSpec
from jobclusters.units import gigabytes


@dataclass(frozen=True)
class Call:
    """A call that was understood.

    Attributes
    ----------
    spec
        One job.
    asked
        What it was resolved from.
    cluster
        What concerns the cluster, by keyword.
    """

    spec: JobSpec
    asked: Asked
    cluster: Mapping[str, Origin]

    def value(self, key: str, otherwise: Any = None) -> Any:
        """Give the value of a keyword that concerns the cluster."""
        origin = self.cluster.get(key)
        return otherwise if origin is None else origin.value

    def explain(self, more: Mapping[str, Origin]) -> Explanation:
        """Tell where each value came from; ``more`` is what the cluster itself has chosen."""
        given = {key: Origin(value, self.asked.sources[key]) for key, value in self.asked.values.items()}
        named = {key: Origin(origin.value, _where(key, origin)) for key, origin in {**given, **self.cluster}.items()}
        if "name" not in self.cluster:  # dask-jobqueue's old word for job_name
            named.pop("name", None)
        return merged(self._size(), named, more, self._derived())

    def _size(self) -> dict[str, Origin]:
        """Tell what the size stands for."""
        spec, size = self.spec, self.asked.size
        if size is None:
            return {}
        shape = {"cores": spec.cores, "memory": gigabytes(spec.memory), "gpus": spec.gpus or None}
        return {key: Origin(value, f"size {size.name!r}") for key, value in shape.items()}

    def _derived(self) -> dict[str, Origin]:
        spec, size = self.spec, self.asked.size
        workers = "one worker for each GPU" if spec.gpus else "one worker" if size else "the cores, as Dask cuts them"
        return {
            "job_name": Origin(spec.job_name, "default"),
            "queue": Origin(spec.queue, "the best fit of jobclusters.queues"),
            "processes": Origin(spec.processes, workers),
            "nthreads": Origin(spec.nthreads, "cores / processes"),
            "memory_limit": Origin(
                gigabytes(spec.memory_limit), "memory / processes, less jobclusters.memory-headroom"
            ),
            "python": Origin(
                " ".join(map(str, spec.python)), "software" if spec.software.own_python else "this Python"
            ),
            "worker_command": Origin(
                " ".join(map(str, spec.worker_command)),
                "dask-cuda is there" if spec.worker_command == CUDA_WORKER else "default",
            ),
        }


def _where(key: str, origin: Origin) -> str:
    """Name the file, where a section of the configuration says so."""
    if not origin.source.startswith("jobqueue."):
        return origin.source
    return config.where(f"{origin.source}.{key.replace('_', '-')}", origin.value)


def read_call(dialect: Dialect, given: Mapping[str, object], configuration: str | Configuration | None = None) -> Call:
    """Read a call; everything that's wrong with it is told at once.

    Parameters
    ----------
    dialect
        Of the batch system.
    given
        Keywords as they were given; None means not given.
    configuration
        The name of one, or one that was read from a file.

    Raises
    ------
    InvalidRequest
        With every problem.
    """
    problems = Problems()
    named = problems.attempt(lambda: _configuration(configuration, dialect), NO_CONFIGURATION)
    layers: list[Layer] = [(KEYWORD, given), (named.source, named.keywords)]
    of_job, valid = job_keywords(dialect), job_keywords(dialect) | CLUSTER_KEYWORDS
    problems += [unknown("keyword", key, valid) for key in given.keys() - valid]
    if configuration is not None and named is NO_CONFIGURATION:
        problems.raise_any()  # what it should have said would be missed, too
    problems += [f"{named.source}: " + unknown("keyword", key, valid) for key in named.keywords.keys() - valid]
    cluster: dict[str, Origin] = {}
    for source, layer in reversed(layers):
        cluster |= {k: Origin(v, source) for k, v in layer.items() if k in CLUSTER_KEYWORDS and v is not None}
    problems += _counts_and_name(cluster)
    config_name = cluster["config_name"].value if "config_name" in cluster else None
    site = problems.attempt(lambda: config.site(dialect, config_name), None)  # type: ignore[arg-type]
    resolved = None
    if site is not None:
        for_jobs = [(source, {k: v for k, v in layer.items() if k in of_job}) for source, layer in layers]
        resolved = problems.attempt(lambda: resolve_layers(dialect, for_jobs, site, "dummy-name", NO_SCHEDULER), None)
    problems.raise_any()
    settings = config.jobqueue(dialect, config_name)  # type: ignore[arg-type]
    for key in config.CLUSTER_SETTINGS & settings.keys() - cluster.keys():
        cluster[key] = Origin(settings[key], site.section)  # type: ignore[union-attr]
    spec, asked = resolved  # type: ignore[misc]
    return Call(spec, asked, cluster)


def _configuration(configuration: str | Configuration | None, dialect: Dialect) -> Configuration:
    if configuration is None:
        return NO_CONFIGURATION
    found = read_configuration(configuration) if isinstance(configuration, str) else configuration
    if found.system not in (None, dialect.name):
        Problems([f"{found.source} is for {found.system}, not for {dialect.name}"]).raise_any()
    return found


def _counts_and_name(cluster: Mapping[str, Origin]) -> Problems:
    problems = Problems()
    for key in ("n_workers", "n_jobs"):
        if key in cluster:
            problems.attempt(lambda key=key: whole(key, cluster[key].value, least=0), 0)  # type: ignore[misc]
    if "name" in cluster and not str(cluster["name"].value).isprintable():
        problems.append(f"name={cluster['name'].value!r} can't hold line breaks or control characters")
    return problems
