"""Resolves the merged layers of a call to a JobSpec, and reports all problems of the call at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from jobclusters.config.keywords import SIZE_KEYWORDS, job_keywords, read_value, renamed, unknown_keyword
from jobclusters.config.layers import CLUSTER, DIRECTIVES, KEYWORD, Layer, MergedKeywords, gather, heed_directives
from jobclusters.config.site import Site
from jobclusters.config.worker_command import read_worker
from jobclusters.dialects.base import Dialect
from jobclusters.errors import Problems, respelt
from jobclusters.spec.job_spec import JobSpec, memory_limit, split_cores
from jobclusters.spec.queues import JobShape, best_queue, misfits
from jobclusters.spec.reader import Reader
from jobclusters.spec.sizes import Size
from jobclusters.spec.units import UNLIMITED, bare_walltime, counted, handover_times, parse_walltime

#: The inherited keywords of a job that belongs to no group.
NO_KEYWORDS: Mapping[str, object] = MappingProxyType({})


def resolve(dialect: Dialect, keywords: Mapping[str, object], site: Site, worker_name: str, scheduler: str) -> JobSpec:
    """Resolve one job from keywords, of which None means not given; raise InvalidRequest with all problems."""
    return resolve_layers(dialect, [(KEYWORD, keywords)], site, worker_name, scheduler)[0]


def resolve_layers(
    dialect: Dialect,
    given: Sequence[Layer],
    site: Site,
    worker_name: str,
    scheduler: str,
    inherited: Mapping[str, object] = NO_KEYWORDS,
) -> tuple[JobSpec, MergedKeywords]:
    """Resolve one job from keywords and a configuration, the stronger first; give also the source of each value.

    A job of a group takes over the ``inherited`` keywords: see :func:`~jobclusters.config.layers.gather`. Raise
    InvalidRequest with all problems.
    """
    valid = job_keywords(dialect)
    problems = Problems(unknown_keyword(key, dialect) for _, layer in given for key in layer.keys() - valid)
    asked = heed_directives(dialect, gather(dialect, given, site, problems, inherited), problems)
    read = Reader(asked.values, problems)
    workers = _shape(read, asked.size)
    command = read_worker(read, workers, asked, site)
    spec = JobSpec(
        system=dialect.name,
        worker_name=worker_name,
        scheduler=scheduler,
        **workers,  # type: ignore[arg-type]
        **command,  # type: ignore[arg-type]
        **_queue(read, dialect, site),  # type: ignore[arg-type]
    )
    if asked.sources.get("walltime") == site.section and not dialect.clock.startswith("seconds"):
        # On the others, YAML's 43200 for 12:00:00 is right.
        problems += [f"{site.section}: {problem}" for problem in bare_walltime(asked.values["walltime"])]
    spec = dialect.add_options(spec, read, asked.sized)
    spec = replace(spec, memory=dialect.own_memory(spec) or spec.memory)
    if spec.memory != workers["memory"]:
        spec = replace(spec, memory_limit=memory_limit(spec.memory, spec.processes, site.headroom))
    if not any(str(word).startswith("--lifetime") for word in spec.worker_args):
        due, seconds, stagger = handover_times(spec.walltime, site.margin)
        spec = replace(spec, due=due, lifetime=seconds, lifetime_stagger=stagger)
    problems += dialect.problems(spec)
    if asked.sources.get("queue") == DIRECTIVES or not _names_a_queue(spec, site):
        spec = _in_a_queue(spec, asked, site, problems)
    problems[:] = [respelt(problem, _old_names(given, dialect)) for problem in problems]
    problems.raise_any()
    return spec, asked


def _old_names(given: Sequence[Layer], dialect: Dialect) -> dict[str, str]:
    """Map keywords to the old names under which they are given."""
    keys = {key for _, layer in given for key, value in layer.items() if value is not None}
    return {new: old for old, new in renamed(dialect).items() if old in keys and new not in keys}


def _in_a_queue(spec: JobSpec, asked: MergedKeywords, site: Site, problems: Problems) -> JobSpec:
    """Refuse a queue that can't hold the job; choose the best fit unless a queue was chosen for this job."""
    shape = JobShape(spec.cores, spec.memory, spec.gpus, spec.gpu_type, spec.walltime)
    queue, queues = spec.queue, site.queues
    chosen = asked.sources.get("queue", CLUSTER) != CLUSTER
    if not chosen and queue in queues:  # the queue of the cluster's own jobs; these may need another
        queue = None
    if not chosen or queue is None:  # only jobs that ask for it are preempted
        queues = {name: each for name, each in queues.items() if name != site.spot.get("queue")}
    problems += site.wrong_queues.get(queue or "", []) if chosen else []
    problems += misfits(queues, shape, queue)
    return spec if chosen else replace(spec, queue=best_queue(queues, shape) or spec.queue)


def _names_a_queue(spec: JobSpec, site: Site) -> bool:
    """Tell whether a directive of the user's own names a queue."""
    return any(word in site.queues for line in spec.directives for word in re.split(r"[\s=,]+", line))


def _shape(read: Reader, size: Size | None) -> dict[str, object]:
    """Resolve cores, memory, GPUs, and the workers that share them."""
    problems = read.problems
    if size:
        cores, memory, gpus = size.cores, size.memory, size.gpus
    else:
        missing = [key for key in ("cores", "memory") if read.asked.get(key) is None]
        if missing and not any(key in read.asked for key in SIZE_KEYWORDS):
            problems.append(
                f"a job's size is incomplete: give {' and '.join(f'{key}=' for key in missing)}, too; or instead"
                " worker_size='large', or worker_cpu= and worker_memory="
            )
        cores = read_value(read, "cores") or 1
        memory = read_value(read, "memory") or 1
        gpus = read_value(read, "gpus") or 0
    processes = read_value(read, "processes")
    if processes is None:
        # A size is what one worker gets (Saturn, Coiled), or one for each GPU; bare cores are cut as Dask does.
        processes = gpus or (1 if size else split_cores(cores))
    elif gpus and processes not in (1, gpus):
        problems.append(
            f"processes={processes} with {counted(gpus, 'GPU')}:"
            f" it must be {gpus} (one worker per GPU) or 1 (one has all)"
        )
    nthreads = read_value(read, "nthreads")
    if nthreads is None:
        nthreads = max(1, cores // processes)
    gpu_type = read_value(read, "gpu_type")
    return {
        "cores": cores,
        "memory": memory,
        "gpus": gpus,
        "gpu_type": gpu_type if gpus else None,
        "processes": processes,
        "nthreads": nthreads,
    }


def _queue(read: Reader, dialect: Dialect, site: Site) -> dict[str, object]:
    """Resolve the keywords of the batch system."""
    job_name = read_value(read, "job_name") or read.text("name") or "dask-worker"
    # A lost submission is found by its name, and squeue reads a list of names; logs have the name, too, in which batch
    # systems replace %.
    if bad := [sign for sign in ",/%" if sign in job_name]:
        read.problems.append(f"job_name={job_name!r} can't hold {' or '.join(bad)}")
    rule, words = dialect.job_name_rule
    if rule and not re.fullmatch(rule, job_name):
        read.problems.append(f"job_name={job_name!r}: on {dialect.title} it holds only {words}")
    return {
        "job_name": job_name,
        "queue": read_value(read, "queue"),
        "walltime": _walltime(read, dialect),
        "requeue": True if read_value(read, "worker_is_spot") else None,
        "log_directory": _log_directory(read, dialect, site),
        "directives": read_value(read, "job_extra_directives"),
        "directives_skip": read_value(read, "job_directives_skip"),
    }


def _walltime(read: Reader, dialect: Dialect) -> timedelta | None:
    asked = read.asked.get("walltime")
    if asked in (None, ""):
        return None
    walltime = read.problems.attempt(lambda: parse_walltime(asked, dialect.clock), None)
    if walltime == UNLIMITED and not dialect.unlimited:
        read.problems.append(f"walltime={asked!r}: {dialect.title} has no word for that; give a time like '02:00:00'")
    return walltime


def _log_directory(read: Reader, dialect: Dialect, site: Site) -> str | None:
    value = read_value(read, "log_directory")
    if value is None:
        return None
    path = read.line("log_directory", site.expand(value)).rstrip("/") or "/"
    # Batch systems replace these, and the logs would be elsewhere.
    if bad := [sign for sign in dialect.output_placeholders if sign in path]:
        read.problems.append(
            f"log_directory={path!r} can't hold {' or '.join(bad)}: {dialect.title} puts something else in its place"
        )
    return path
