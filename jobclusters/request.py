"""Reads a call: keywords over the size's details over the configuration become a :class:`~jobclusters.spec.JobSpec`.

Everything that's wrong with a call is collected and told at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from jobclusters.dialect import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.fit import best, misfits
from jobclusters.layers import CLUSTER, KEYWORD, Asked, Layer, Site, gather, job_keywords, says_size
from jobclusters.reader import Reader
from jobclusters.sizes import Size
from jobclusters.spec import JobSpec, split_cores
from jobclusters.units import UNLIMITED, parse_job_memory, parse_walltime
from jobclusters.walltime import terms
from jobclusters.workercommand import read_worker

#: What a job takes over that is no group's.
NOTHING: Mapping[str, object] = MappingProxyType({})


def resolve(dialect: Dialect, keywords: Mapping[str, object], site: Site, worker_name: str, scheduler: str) -> JobSpec:
    """Resolve one job.

    Parameters
    ----------
    dialect
        Of the batch system.
    keywords
        As the user gave them; None means not given.
    site
        The configuration.
    worker_name
        Name of the Dask worker.
    scheduler
        Address of the Dask scheduler.

    Raises
    ------
    InvalidRequest
        With every problem of the call.
    """
    return resolve_layers(dialect, [(KEYWORD, keywords)], site, worker_name, scheduler)[0]


def resolve_layers(
    dialect: Dialect,
    given: Sequence[Layer],
    site: Site,
    worker_name: str,
    scheduler: str,
    inherited: Mapping[str, object] = NOTHING,
) -> tuple[JobSpec, Asked]:
    """Resolve one job from keywords and a configuration, the stronger first; tell also who said what.

    A job of a group takes over what is ``inherited``: see :func:`~jobclusters.layers.gather`.

    Raises
    ------
    InvalidRequest
        With every problem of the call.
    """
    valid = job_keywords(dialect)
    problems = Problems(unknown("keyword", key, valid) for _, layer in given for key in layer.keys() - valid)
    asked = gather(dialect, given, site, problems, inherited)
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
    # As with dask-jobqueue, whose words these are.
    if asked.size is None and not spec.gpus and dialect.takes_one_slot(spec):
        spec = replace(spec, request_cores=1)
    if not any(str(word).startswith("--lifetime") for word in spec.worker_args):
        due, seconds, stagger = terms(spec.walltime, site.margin)
        spec = replace(spec, due=due, lifetime=seconds, lifetime_stagger=stagger)
    problems += dialect.problems(spec)
    if not _names_a_queue(spec, site):
        spec = _in_a_queue(spec, asked, site, problems)
    problems.raise_any()
    return spec, asked


def _in_a_queue(spec: JobSpec, asked: Asked, site: Site, problems: Problems) -> JobSpec:
    """Refuse a queue that can't hold the job. Where nobody chose one for this very job, the best fit is taken."""
    shape = {key: getattr(spec, key) for key in ("cores", "memory", "gpus", "gpu_type", "walltime")}
    queue, queues = spec.queue, site.queues
    chosen = asked.sources.get("queue", CLUSTER) != CLUSTER
    if not chosen and queue in queues:  # the cluster's own jobs go there; these may need another
        queue = None
    if not chosen or queue is None:  # nobody's job gets unasked to where it is preempted
        queues = {name: each for name, each in queues.items() if name != site.spot.get("queue")}
    problems += misfits(queues, queue=queue, **shape)
    return spec if chosen else replace(spec, queue=best(queues, **shape) or spec.queue)


def _names_a_queue(spec: JobSpec, site: Site) -> bool:
    """Tell whether a directive of the user's own names a queue."""
    return any(word in site.queues for line in spec.directives for word in re.split(r"[\s=,]+", line))


def _shape(read: Reader, size: Size | None) -> dict[str, object]:
    """Find cores, memory, GPUs, and how many workers share them."""
    problems = read.problems
    if size:
        cores, memory, gpus = size.cores, size.memory, size.gpus
    else:
        missing = [key for key in ("cores", "memory") if read.asked.get(key) is None]
        if missing and not says_size(read.asked):
            problems.append(
                f"nothing says how large a job is ({' and '.join(missing)} missing): give worker_size='large',"
                " or worker_cpu= and worker_memory=, or cores= and memory="
            )
        cores = read.count("cores") or 1
        memory = 1
        if (asked := read.asked.get("memory")) is not None:
            memory = problems.attempt(lambda: parse_job_memory(asked), 1)
        gpus = read.count("gpus", least=0) or 0
    processes = read.count("processes")
    if processes is None:
        # A size is what one worker gets (Saturn, Coiled), or one for each GPU; bare cores are cut as Dask does.
        processes = gpus or (1 if size else split_cores(cores))
    elif gpus and processes not in (1, gpus):
        problems.append(
            f"processes={processes} with {gpus} GPUs: it must be {gpus} (one worker per GPU) or 1 (one has all)"
        )
    nthreads = read.count("nthreads")
    if nthreads is None:
        nthreads = max(1, cores // processes)
    gpu_type = read.word("gpu_type")
    return {
        "cores": cores,
        "memory": memory,
        "gpus": gpus,
        "gpu_type": gpu_type if gpus else None,
        "processes": processes,
        "nthreads": nthreads,
    }


def _queue(read: Reader, dialect: Dialect, site: Site) -> dict[str, object]:
    """Find what the batch system is told."""
    job_name = read.text("job_name") or read.text("name") or "dask-worker"
    # A lost submission is looked for by its name, and squeue reads a list of names; logs are named after it, and
    # batch systems fill in what begins with %.
    if bad := [sign for sign in ",/%" if sign in job_name]:
        read.problems.append(f"job_name={job_name!r} can't hold {' or '.join(bad)}")
    rule, words = dialect.job_name_rule
    if rule and not re.fullmatch(rule, job_name):
        read.problems.append(f"job_name={job_name!r}: on {dialect.title} it holds only {words}")
    job_memory = read.text("job_mem") if "job_mem" in dialect.keywords else None
    if job_memory is not None and not re.fullmatch(r"\d+([KMGT]B?)?", job_memory, re.IGNORECASE):
        read.problems.append(f"job_mem={job_memory!r} can't be read: write it as {dialect.title} does, like '16G'")
    return {
        "job_name": job_name,
        "queue": read.word("queue"),
        "account": read.word("account", spaces=dialect.spaced_accounts) if "account" in dialect.keywords else None,
        "qos": read.word("qos") if "qos" in dialect.keywords else None,
        "walltime": _walltime(read, dialect),
        "requeue": True if read.flag("worker_is_spot", False) else None,
        "log_directory": _log_directory(read, site),
        "request_cores": read.count("job_cpu") if "job_cpu" in dialect.keywords else None,
        "request_memory": job_memory,
        **(_lsf(read) if "lsf_units" in dialect.keywords else {}),
        **(_sge(read) if "memory_complex" in dialect.keywords else {}),
        "resource_spec": read.text("resource_spec") if "resource_spec" in dialect.keywords else None,
        "directives": read.texts("job_extra_directives"),
        "directives_skip": read.texts("job_directives_skip"),
    }


def _lsf(read: Reader) -> dict[str, object]:
    """Read what only LSF has. ``use_stdin`` is understood, but bsub reads directives from nowhere else."""
    read.flag("use_stdin", True)
    unit = read.text("lsf_units")
    if unit is not None and not re.fullmatch(r"[kmgtpez]b?", unit, re.IGNORECASE):
        read.problems.append(f"lsf_units={unit!r} must be one of kb, mb, gb, tb, pb, eb and zb")
        unit = None
    asked = read.asked.get("mem")
    memory = None if asked is None else read.problems.attempt(lambda: parse_job_memory(asked), 1)
    return {"limit_memory": memory, "memory_unit": unit}


def _sge(read: Reader) -> dict[str, object]:
    """Read what only Grid Engine has: names that a site chooses. What ``resource_spec`` says is not said again."""
    own = str(read.asked.get("resource_spec") or "")
    own_pe = any(line.split()[:1] == ["-pe"] for line in Reader(read.asked, Problems()).texts("job_extra_directives"))
    names = {"memory_complex": "h_vmem", "gpu_complex": "gpu", "gpu_type_complex": None}
    found = {key: read.word(key) if key in read.asked else usual for key, usual in names.items()}
    if own:
        found["memory_complex"] = None
    asked = {item.partition("=")[0].strip() for item in own.split(",")}
    return {
        "parallel_environment": None if own_pe else read.word("parallel_environment"),
        **{key: None if name in asked else name for key, name in found.items()},
        **({"walltime": None} if "h_rt" in asked else {}),
    }


def _walltime(read: Reader, dialect: Dialect) -> timedelta | None:
    value = read.asked.get("walltime")
    if value in (None, ""):
        return None
    walltime = read.problems.attempt(lambda: parse_walltime(value, dialect.clock), None)
    if walltime == UNLIMITED and not dialect.unlimited:
        read.problems.append(f"walltime={value!r}: {dialect.title} has no word for that; give a time like '02:00:00'")
    return walltime


def _log_directory(read: Reader, site: Site) -> str | None:
    value = read.text("log_directory")
    if value is None:
        return None
    return read.line("log_directory", site.expand(value)).rstrip("/") or "/"
