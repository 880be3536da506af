"""Reads a call of a cluster class: the keywords of the cluster, and the spec of its jobs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.config

from jobclusters.config import keywords as table
from jobclusters.config import settings as config
from jobclusters.config.keywords import (
    CLUSTER_KEYWORDS,
    TIMEOUTS,
    check_name,
    is_range,
    job_keywords,
    renamed,
    spot_keywords,
    unknown_keyword,
)
from jobclusters.config.layers import DIRECTIVES, KEYWORD, Layer, MergedKeywords
from jobclusters.config.machine import Machine, configured_machine, share
from jobclusters.config.origins import Explanation, Origin, merged, where, written
from jobclusters.config.resolve import NO_KEYWORDS, resolve_layers
from jobclusters.config.saved import NO_CONFIGURATION, Configuration, find_configuration
from jobclusters.config.site import Site
from jobclusters.config.worker_command import python_counts
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest, Problems
from jobclusters.spec.job_spec import DASK_WORKER, NO_SCHEDULER, JobSpec
from jobclusters.spec.reader import Reader
from jobclusters.spec.sizes import Size, whole
from jobclusters.spec.units import LEAST_JOB_MEMORY, memory_text, read_timeout

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A call that has been read.

    Attributes
    ----------
    dialect
        Of the batch system.
    spec
        One job.
    asked
        The keywords of the spec.
    cluster
        The values of the cluster, by keyword.
    remarks
        What may surprise in a job that is possible.
    """

    dialect: Dialect
    spec: JobSpec
    asked: MergedKeywords
    cluster: Mapping[str, Origin]
    remarks: tuple[str, ...] = ()

    def value(self, key: str, otherwise: Any = None) -> Any:
        """Give the value of a keyword of the cluster."""
        origin = self.cluster.get(key)
        return otherwise if origin is None else origin.value

    def warn(self) -> None:
        """Log the remarks."""
        for remark in self.remarks:
            logger.warning("%s", remark)

    @property
    def for_dask(self) -> dict[str, Any]:
        """The keywords that Dask's and dask-jobqueue's classes read."""
        return {key: origin.value for key, origin in self.cluster.items() if key in table.DASK_KEYWORDS}

    @property
    def limits(self) -> dict[str, Any]:
        """The minimum and the maximum in ``n_workers``, for adaptive scaling; empty where it is a number."""
        workers = self.value("n_workers")
        return dict(zip(("minimum", "maximum"), workers, strict=True)) if is_range(workers) else {}

    @property
    def template_dirs(self) -> tuple[str, ...]:
        """The directories of templates: the call's, then the configuration's."""
        own = config.directories("template_dirs", self.value("template_dirs"), Problems())
        return (*own, *config.template_dirs())

    @property
    def name(self) -> str | None:
        """The name of the cluster in the call; None if it has none."""
        value = self.value("name")
        return None if value in (None, "") else check_name(value)

    def timeout(self, key: str, otherwise: object = None) -> float | None:
        """Give a timeout in seconds; None for never. ``scheduler_options`` may hold it, too."""
        options = self.value("scheduler_options") or {}
        return read_timeout(key, self.value(key) if key in self.cluster else options.get(key, otherwise))

    def explain(self, more: Mapping[str, Origin], script: str) -> Explanation:
        """Give the source of each value.

        ``more`` holds the values that the cluster has chosen; variables may set what ``script`` leaves open.
        """
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
        variables = self.dialect.environment_settings(os.environ, script)
        added = {key: Origin(value, f"{name} in the environment") for key, (value, name) in variables.items()}
        return merged(self._memory_of_directives(), self._size(), named, more, self._derived(), added)

    def _memory_of_directives(self) -> dict[str, Origin]:
        """Give the memory of a job whose directives ask for another amount than its size or its keywords."""
        asked = Reader(self.asked.values, Problems()).memory("memory")
        usual = self.asked.size.memory if self.asked.size else asked
        return (
            {} if usual in (None, self.spec.memory) else {"memory": Origin(memory_text(self.spec.memory), DIRECTIVES)}
        )

    def _size(self) -> dict[str, Origin]:
        """Give the cores, memory and GPUs of the size."""
        spec, size = self.spec, self.asked.size
        if size is None:
            return {}
        shape = {"cores": spec.cores, "memory": memory_text(spec.memory), "gpus": spec.gpus or None}
        if "worker_size" in self.asked.values:
            return {key: Origin(value, f"size {size.name!r}") for key, value in shape.items()}
        if not self.asked.sized:
            return {key: Origin(value, size.label) for key, value in shape.items()}
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
                memory_text(spec.memory_limit, spec.memory), "memory / processes, less jobclusters.memory-headroom"
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
    inherited: Mapping[str, object] = NO_KEYWORDS,
) -> Call:
    """Read a call; raise InvalidRequest with all its problems.

    Parameters
    ----------
    dialect
        Of the batch system.
    given
        The keywords of the call; None means not given.
    configuration
        The name of one, or one that was read from a file.
    inherited
        The keywords that a group takes over from its cluster.
    """
    problems = Problems()
    of_job, valid = job_keywords(dialect), job_keywords(dialect) | CLUSTER_KEYWORDS
    problems += [unknown_keyword(key, dialect) for key in given.keys() - valid]
    before = len(problems)
    named = problems.attempt(lambda: _configuration(configuration, dialect), NO_CONFIGURATION)
    if len(problems) > before:
        problems.raise_any()  # the keywords that the configuration should give would be problems, too
    layers: list[Layer] = [(KEYWORD, given), (named.source, named.keywords)]
    problems += [f"{named.source}: " + unknown_keyword(key, dialect) for key in named.keywords.keys() - valid]
    cluster = _read_cluster(layers, problems)
    config_name = cluster["config_name"].value if "config_name" in cluster else None
    site = problems.attempt(lambda: config.site(dialect, config_name), None)  # type: ignore[arg-type]
    resolved = None
    if site is not None:
        for_jobs = [(source, {k: v for k, v in layer.items() if k in of_job}) for source, layer in layers]
        if dialect.name == "local":
            site = replace(site, default=_share(layers, dialect, problems))
        place = (site, "dummy-name", NO_SCHEDULER)
        resolved = problems.attempt(lambda: resolve_layers(dialect, for_jobs, *place, inherited), None)
    problems.raise_any()
    settings = config.jobqueue(dialect, config_name)  # type: ignore[arg-type]
    for key in table.CLUSTER_SETTINGS & settings.keys() - cluster.keys():
        if settings[key] is not None:
            cluster[key] = Origin(settings[key], site.section)  # type: ignore[union-attr]
    spec, asked = resolved  # type: ignore[misc]
    config.warn_of_others(dialect, site)  # type: ignore[arg-type]
    if (
        dialect.name == "local"
        and not asked.sized
        and asked.size
        and cluster.keys().isdisjoint(("n_workers", "n_jobs"))
    ):
        # As LocalCluster() does: this machine is there, and costs nothing.
        jobs = configured_machine().cores // spec.cores
        cluster["n_jobs"] = Origin(jobs, "as many as this machine holds")
    remarks = [*dialect.remarks(spec), *_spot_remarks(dialect, asked, site)]  # type: ignore[arg-type]
    return Call(dialect, spec, asked, cluster, tuple(remarks))


def read_group(
    call: Call, keywords: Mapping[str, object], configuration: str | Configuration | None, n_jobs: int
) -> Call:
    """Read a call of ``add_group()``, which takes over the user's keywords of the cluster's call.

    Raise InvalidRequest with all problems, or for keywords of the cluster.
    """
    given = {"config_name": call.value("config_name"), **keywords, "n_jobs": n_jobs}
    inherited = call.asked.of_the_user(table.shared_keywords(call.dialect, head=False))
    group = read_call(call.dialect, given, configuration, inherited)
    if wrong := sorted(group.cluster.keys() & keywords.keys()):
        raise InvalidRequest(f"{', '.join(wrong)}: these concern the cluster, and can't differ in a group")
    return group


def _spot_remarks(dialect: Dialect, asked: MergedKeywords, site: Site) -> Iterator[str]:
    """Say that jobs which may be preempted are asked for nowhere where they would be."""
    where = spot_keywords(dialect)
    if asked.values.get("worker_is_spot") is not True or dialect.name == "local":
        return
    if not any(site.spot.get(key) or asked.from_user(key) for key in where):
        yield (
            f"worker_is_spot=True: jobclusters.spot.{dialect.name} names no {' or '.join(where)}, so that jobs are only"
            " requeued, at the usual price."
        )


def _share(layers: Sequence[Layer], dialect: Dialect, problems: Problems) -> Size:
    """Give the default size of a job on this machine: its share among the jobs that are asked for at once."""
    given = {key: value for _, layer in reversed(layers) for key, value in layer.items() if value not in (None, "")}
    given = {renamed(dialect).get(key, key): value for key, value in given.items()}
    wrong = Problems()  # their own readers report what is wrong with these keywords

    def number(key: str) -> int:
        value = given.get(key, 0)
        value = value[1] if is_range(value) else value  # type: ignore[index]
        return wrong.attempt(lambda: whole(key, value, least=0), 0)

    machine = problems.attempt(configured_machine, Machine(1, LEAST_JOB_MEMORY))
    processes = number("processes") or 1
    jobs = max(number("n_jobs"), -(-number("n_workers") // processes))
    threads = number("nthreads") or (1 if "processes" in given else 0)
    return share(machine, jobs, threads * processes)


def _configuration(configuration: object, dialect: Dialect) -> Configuration:
    found = find_configuration(configuration)
    if found.system not in (None, dialect.name):
        Problems([f"{found.source} is for {found.system}, not for {dialect.name}"]).raise_any()
    return found


def _read_cluster(layers: Sequence[Layer], problems: Problems) -> dict[str, Origin]:
    """Read the keywords of the cluster."""
    cluster: dict[str, Origin] = {}
    for source, layer in reversed(layers):
        given = {k: v for k, v in layer.items() if k in CLUSTER_KEYWORDS and (v is not None or k in TIMEOUTS)}
        cluster |= {key: Origin(value, source) for key, value in given.items()}
    values = {key: origin.value for key, origin in cluster.items()}
    for key, origin in [*cluster.items()]:
        wrong = Problems()
        value = table.read_value(Reader(values, wrong), key, origin.value)
        cluster[key] = origin._replace(value=value)
        if wrong:
            problems += wrong
            del cluster[key]  # later readers could not use it
    if "template_dirs" in cluster:
        config.directories("template_dirs", cluster["template_dirs"].value, problems)
    return cluster


def timeouts(call: Any) -> dict[str, float | None]:
    """Read the seconds without use after which a cluster closes; None for never."""
    usual = {key: dask.config.get(f"jobclusters.{key.replace('_', '-')}") for key in TIMEOUTS}
    return {key: call.timeout(key, value) for key, value in usual.items()}
