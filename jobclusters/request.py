"""Reads a call: keywords over the size's details over the configuration become a :class:`~jobclusters.spec.JobSpec`.

Everything that's wrong with a call is collected and told at once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jobclusters.dialect import Dialect
from jobclusters.errors import Problems, unknown
from jobclusters.sizes import Size, fit, whole
from jobclusters.spec import DASK_WORKER, WORKER_OPTIONS, JobSpec, memory_limit, split_cores, worker_flags
from jobclusters.units import parse_memory, parse_walltime

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
    """

    job: Mapping[str, object]
    sizes: Mapping[str, Size]
    python: str
    headroom: float = 0.1
    spot: Mapping[str, object] = field(default_factory=dict)


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
    read = _Reader(asked, problems)
    shape = _shape(read, size)
    worker = _worker(read, shape, site)
    spec = JobSpec(
        system=dialect.name,
        worker_name=worker_name,
        scheduler=scheduler,
        **shape,  # type: ignore[arg-type]
        **worker,  # type: ignore[arg-type]
        **_queue(read, dialect),  # type: ignore[arg-type]
    )
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
_SHAPE_KEYS = frozenset({"cores", "memory", "gpus", "processes", "job_cpu", "job_mem"})
_SIZE_KEYS = ("worker_size", "worker_cpu", "worker_gpu", "worker_memory")

#: Nothing that would end a directive's line, or hide in it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


class _Reader:
    """Reads one keyword after the other, and notes what can't be read."""

    def __init__(self, asked: Mapping[str, object], problems: Problems) -> None:
        self.asked = asked
        self.problems = problems

    def count(self, key: str, least: int = 1) -> int | None:
        """Read a whole number."""
        value = self.asked.get(key)
        return None if value is None else self.problems.attempt(lambda: whole(key, value, least), least)

    def flag(self, key: str, otherwise: bool) -> bool:
        """Read True or False."""
        value = self.asked.get(key, otherwise)
        if not isinstance(value, bool):
            self.problems.append(f"{key} must be True or False, not {value!r}")
        return bool(value)

    def text(self, key: str) -> str | None:
        """Read text that goes into a line of the script; empty text is none."""
        value = self.asked.get(key)
        return None if value in (None, "") else self.line(key, str(value))

    def word(self, key: str) -> str | None:
        """Read text without spaces or quotes: the name of a queue, an account, ..."""
        value = self.text(key)
        if value is not None and re.search(r"[\s'\"\\]", value):
            self.problems.append(f"{key}={value!r} can't hold spaces, quotes or backslashes")
        return value

    def line(self, key: str, value: str) -> str:
        """Refuse line breaks and other control characters."""
        if _CONTROL.search(value):
            self.problems.append(f"{key}={value!r} can't hold line breaks or control characters")
        return value

    def texts(self, key: str, *, lines: bool = False) -> tuple[str, ...]:
        """Read a list of texts; ``lines`` allows several lines in one."""
        value = self.asked.get(key)
        if value is None:
            return ()
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            self.problems.append(f"{key} must be a list of texts, such as [{value!r}], not {value!r}")
            return ()
        items = [f"{k} {v}" for k, v in value.items()] if isinstance(value, Mapping) else [str(item) for item in value]
        return tuple(item if lines else self.line(key, item) for item in items if item)

    def words(self, key: str, value: str) -> tuple[str, ...]:
        """Split a command as a shell would."""
        try:
            return tuple(shlex.split(value)) or (value,)
        except ValueError as error:
            self.problems.append(f"{key}={value!r} can't be split into words: {error}")
            return (value,)


def _shape(read: _Reader, size: Size | None) -> dict[str, object]:
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
        memory = problems.attempt(lambda: parse_memory(read.asked.get("memory", 1)), 1)
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


def _worker(read: _Reader, shape: Mapping[str, object], site: Site) -> dict[str, object]:
    """Find the worker's command, and what surrounds it."""
    problems = read.problems
    processes, gpus, memory = (int(str(shape[key])) for key in ("processes", "gpus", "memory"))
    command = read.words("worker_command", str(read.asked.get("worker_command", DASK_WORKER)))
    nanny, class_args = _worker_class(read, read.flag("nanny", True))
    args: list[str] = []
    if command[0] == DASK_WORKER:
        together = processes > 1 and processes != gpus
        if together:
            args += ["--nworkers", str(processes)]
        args.append("--nanny" if nanny else "--no-nanny")
        if together and not nanny:
            problems.append(f"{processes} processes in a job need nannies: leave nanny=True, or set processes=1")
        if gpus:
            args += ["--resources", f"GPU={gpus // processes}"]
    for key in ("death_timeout", "local_directory"):
        if (value := read.text(key)) is not None:
            args += [f"--{key.replace('_', '-')}", value]
    options = read.asked.get("worker_options", {})
    if not isinstance(options, Mapping):
        problems.append(f"worker_options must be a mapping, not {options!r}")
        options = {}
    flags, bad = worker_flags(options)
    problems += [unknown("worker option", key, WORKER_OPTIONS) for key in bad]
    for item in read.texts("worker_extra_args"):
        # One item may hold a whole option, "--resources foo=1", as it went through a shell unquoted before.
        args += read.words("worker_extra_args", item) if item[0] in "-'\"" else [item]
    python = read.asked.get("python")
    return {
        "memory_limit": memory_limit(memory, processes, site.headroom),
        "python": (site.python,) if python is None else read.words("python", str(python)),
        "worker_command": command,
        "worker_args": tuple(args + class_args + flags),
        "shebang": read.text("shebang") or "#!/usr/bin/env bash",
        "prologue": read.texts("job_script_prologue", lines=True),
        "epilogue": read.texts("job_script_epilogue", lines=True),
    }


def _worker_class(read: _Reader, nanny: bool) -> tuple[bool, list[str]]:
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


def _queue(read: _Reader, dialect: Dialect) -> dict[str, object]:
    """Find what the batch system is told."""
    walltime = read.asked.get("walltime")
    job_name = read.text("job_name") or read.text("name") or "dask-worker"
    if "," in job_name:  # a lost submission is looked for by its name, and squeue reads a list of names
        read.problems.append(f"job_name={job_name!r} can't hold commas")
    log_directory = read.text("log_directory")
    job_memory = read.text("job_mem") if "job_mem" in dialect.keywords else None
    if job_memory is not None and not re.fullmatch(r"\d+([KMGT]B?)?", job_memory, re.IGNORECASE):
        read.problems.append(f"job_mem={job_memory!r} can't be read: write it as {dialect.title} does, like '16G'")
    return {
        "job_name": job_name,
        "queue": read.word("queue"),
        "account": read.word("account") if "account" in dialect.keywords else None,
        "qos": read.word("qos") if "qos" in dialect.keywords else None,
        "walltime": None
        if walltime in (None, "")
        else read.problems.attempt(lambda: parse_walltime(walltime, dialect.clock), None),
        "requeue": True if read.flag("worker_is_spot", False) else None,
        "log_directory": log_directory.rstrip("/") or "/" if log_directory else None,
        "request_cores": read.count("job_cpu") if "job_cpu" in dialect.keywords else None,
        "request_memory": job_memory,
        "directives": read.texts("job_extra_directives"),
        "directives_skip": read.texts("job_directives_skip"),
    }
