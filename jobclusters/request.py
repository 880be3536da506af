"""Reads a call: keywords over the size's details over the configuration become a :class:`~jobclusters.spec.JobSpec`.

Everything that's wrong with a call is collected and told at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from jobclusters.dialect import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.reader import Reader
from jobclusters.sizes import Size, fit
from jobclusters.spec import DASK_WORKER, WORKER_OPTIONS, JobSpec, memory_limit, split_cores, worker_flags
from jobclusters.units import UNLIMITED, parse_job_memory, parse_walltime
from jobclusters.words import Word, assigns

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
    headroom
        ``jobclusters.memory-headroom``.
    spot
        ``jobclusters.spot.<system>``: ``queue`` and ``qos``.
    python
        The interpreter of the workers, unless something else is asked for.
    expand
        What ``~`` and variables in a path mean on the machine that submits.
    """

    job: Mapping[str, object]
    sizes: Mapping[str, Size]
    python: str
    headroom: float = 0.1
    spot: Mapping[str, object] = field(default_factory=dict)
    expand: Callable[[str], str] = str


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
    problems = Problems(
        unknown("keyword", key, job_keywords(dialect)) for key in keywords.keys() - job_keywords(dialect)
    )
    given = _today(keywords, dialect)
    configured = _today(site.job, dialect)
    if any(key in given for key in (*_SIZE_KEYS, *_PLAIN_KEYS)):
        size = _size(given, site, problems)
    else:
        size = _size({key: configured[key] for key in _SIZE_KEYS if key in configured}, site, problems)
    from_size = size.keywords(dialect.name) if size else {}
    # A size says how large a job is; what the configuration says of that is for calls without one.
    configured = {key: value for key, value in configured.items() if not (size and key in _SHAPE_KEYS)}
    asked = {**configured, **_today(from_size, dialect), **given}
    if asked.get("worker_is_spot") is True:
        asked.update({k: v for k, v in site.spot.items() if v is not None and given.get(k) is None})
    read = Reader(asked, problems)
    shape = _shape(read, size)
    worker = _worker(read, shape, site)
    spec = JobSpec(
        system=dialect.name,
        worker_name=worker_name,
        scheduler=scheduler,
        **shape,  # type: ignore[arg-type]
        **worker,  # type: ignore[arg-type]
        **_queue(read, dialect, site),  # type: ignore[arg-type]
    )
    problems += dialect.problems(spec)
    problems.raise_any()
    return spec


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


_PLAIN_KEYS = ("cores", "memory", "gpus")
_SHAPE_KEYS = frozenset({"cores", "memory", "gpus", "processes", "job_cpu", "job_mem", "mem", "resource_spec"})
_SIZE_KEYS = ("worker_size", "worker_cpu", "worker_gpu", "worker_memory")


def _shape(read: Reader, size: Size | None) -> dict[str, object]:
    """Find cores, memory, GPUs, and how many workers share them."""
    problems = read.problems
    if size:
        cores, memory, gpus = size.cores, size.memory, size.gpus
    else:
        missing = [key for key in ("cores", "memory") if read.asked.get(key) is None]
        if missing and not any(key in read.asked for key in _SIZE_KEYS):
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


def _worker(read: Reader, shape: Mapping[str, object], site: Site) -> dict[str, object]:
    """Find the worker's command, and what surrounds it."""
    problems = read.problems
    processes, gpus, memory = (int(str(shape[key])) for key in ("processes", "gpus", "memory"))
    command = read.words("worker_command") or (DASK_WORKER,)
    nanny, class_args = _worker_class(read, read.flag("nanny", True))
    args: list[Word] = []
    if command[0] == DASK_WORKER:
        together = processes > 1 and processes != gpus
        if together:
            args += ["--nworkers", str(processes)]
        args.append("--nanny" if nanny else "--no-nanny")
        if together and not nanny:
            problems.append(f"{processes} processes in a job need nannies: leave nanny=True, or set processes=1")
        if gpus:
            args += ["--resources", f"GPU={gpus // processes}"]
    if (death_timeout := read.text("death_timeout")) is not None:
        args += ["--death-timeout", death_timeout]
    if (local_directory := read.text("local_directory")) is not None:
        args += ["--local-directory", read.one("local_directory", local_directory)]
    return {
        "memory_limit": memory_limit(memory, processes, site.headroom),
        "python": _python(read, site),
        "worker_command": command,
        "worker_args": (*args, *read.arguments("worker_extra_args"), *class_args, *_options(read)),
        "shebang": read.text("shebang") or "#!/usr/bin/env bash",
        "prologue": read.lines("job_script_prologue"),
        "epilogue": read.lines("job_script_epilogue"),
    }


def _python(read: Reader, site: Site) -> tuple[Word, ...]:
    words = read.words("python") or (site.python,)
    return ("env", *words) if assigns(words[0]) else words  # "FOO=1 python" behind the script's exec


def _options(read: Reader) -> list[Word]:
    options = read.asked.get("worker_options", {})
    if not isinstance(options, Mapping):
        read.problems.append(f"worker_options must be a mapping, not {options!r}")
        return []
    flags, bad = worker_flags(options)
    read.problems += [unknown("worker option", key, WORKER_OPTIONS) for key in bad]
    return [read.one("worker_options", flag) for flag in flags]


def _worker_class(read: Reader, nanny: bool) -> tuple[bool, list[str]]:
    """Read Coiled's ``worker_class``: a Nanny, a Worker without one, or a class of the user's own."""
    value = read.asked.get("worker_class")
    if value is None:
        return nanny, []
    name = (
        value
        if isinstance(value, str)
        else f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    )
    if "<locals>" in name or name.startswith("__main__.") or "." not in name:
        read.problems.append(f"worker_class={name!r} can't be imported by a worker: put the class into a module")
    last = name.rpartition(".")[2]
    if last in ("Nanny", "Worker") and name.startswith(("distributed.", "dask.distributed.")):
        return last == "Nanny" and nanny, []
    return nanny, ["--worker-class", name]


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
        "account": read.word("account") if "account" in dialect.keywords else None,
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
