"""Reads what a job starts: the worker's command, the Python that runs it, and the software around that."""

from __future__ import annotations

from collections.abc import Mapping

from jobclusters.errors import unknown
from jobclusters.layers import Asked, Site
from jobclusters.reader import Reader
from jobclusters.software import NO_SOFTWARE, Software, read_software
from jobclusters.spec import (
    CUDA_OPTIONS,
    CUDA_WORKER,
    DASK_OPTIONS,
    DASK_WORKER,
    WORKER_OPTIONS,
    memory_limit,
    worker_flags,
)
from jobclusters.words import Word, assigns


def read_worker(read: Reader, shape: Mapping[str, object], asked: Asked, site: Site) -> dict[str, object]:
    """Find the worker's command, and what surrounds it, as fields of a :class:`~jobclusters.spec.JobSpec`."""
    processes, gpus, memory = (int(str(shape[key])) for key in ("processes", "gpus", "memory"))
    software = NO_SOFTWARE
    if (value := asked.values.get("software")) is not None and value != "":
        software = read_software(value, site.software, read.problems)
    python, ours = _python(read, asked, software, site)
    nanny, class_args = _worker_class(read, read.flag("nanny", True))
    extra = read.arguments("worker_extra_args")
    dask_cuda = (site.dask_cuda if ours else software.dask_cuda) and not _plain_only(read, extra)
    command = _said_command(read, asked, site) or _usual_command(gpus, processes, nanny, dask_cuda)
    args = _shared_args(read, command, processes, gpus, nanny)
    compare = not ours and command in (DASK_WORKER, CUDA_WORKER)
    options = _options(read, command)
    if command in (DASK_WORKER, CUDA_WORKER) and not _says_dashboard((*extra, *options)):
        args += ["--dashboard-address", "127.0.0.1:0"]  # nobody else on the network has business there
    hands_over = ours and command == DASK_WORKER  # another Python may not have this package
    if hands_over:
        args += _preloads((*extra, *options), site)
    return {
        "memory_limit": memory_limit(memory, processes, site.headroom),
        "software": software,
        "versions": site.versions if compare else None,
        "python": software.command(python, gpus),
        "worker_command": command,
        "hands_over": hands_over,
        "worker_args": (*args, *extra, *class_args, *options),
        "shebang": read.text("shebang") or "#!/usr/bin/env bash",
        "prologue": read.lines("job_script_prologue"),
        "epilogue": read.lines("job_script_epilogue"),
    }


def python_counts(asked: Asked) -> bool:
    """Tell whether ``python=`` wins over the software's: said by a person, and nobody stronger says ``software=``."""
    return asked.rank("python") < len(asked.persons) and asked.rank("python") <= asked.rank("software")


def _python(read: Reader, asked: Asked, software: Software, site: Site) -> tuple[tuple[Word, ...], bool]:
    """Give the interpreter's words, and whether it is the one that runs the scheduler.

    Of a person's ``python=``, the software's and the site's, the first there is.
    """
    words = read.words("python")
    if software.own_python and not (words and python_counts(asked)):
        words = software.python
    if not words:
        return (site.python,), True
    return (("env", *words) if assigns(words[0]) else words), False  # "FOO=1 python" behind the script's exec


def _preloads(said: tuple[Word, ...], site: Site) -> list[Word]:
    """Name what Dask's configuration loads into workers: our own ``--preload`` would hide it."""
    return [
        word
        for flag, names in site.preload.items()
        if not any(str(each).partition("=")[0] == flag for each in said)
        for name in names
        for word in (flag, name)
    ]


def _says_dashboard(said: tuple[Word, ...]) -> bool:
    """Tell whether somebody says where workers show their dashboards, or that they show none."""
    return any(str(word).partition("=")[0] in ("--dashboard-address", "--no-dashboard") for word in said)


def _plain_only(read: Reader, extra: tuple[Word, ...]) -> bool:
    """Tell whether something is asked of the workers that dask-cuda's can't do."""
    options = read.asked.get("worker_options")
    flags = {WORKER_OPTIONS.get(str(key)) for key in options} if isinstance(options, Mapping) else set()
    flags |= {str(word)[2:].partition("=")[0] for word in extra if str(word).startswith("--")}
    return not DASK_OPTIONS.isdisjoint(flags)


def _said_command(read: Reader, asked: Asked, site: Site) -> tuple[Word, ...]:
    """Give the worker's command that somebody asks for; dask-jobqueue's default isn't somebody."""
    command = read.words("worker_command")
    default = command == DASK_WORKER and asked.sources["worker_command"] == site.section
    return () if default else command


def _usual_command(gpus: int, processes: int, nanny: bool, dask_cuda: bool) -> tuple[Word, ...]:
    """Choose ``dask cuda worker`` where it is there, and makes the workers that are asked for: one for each GPU."""
    return CUDA_WORKER if dask_cuda and nanny and gpus and processes == gpus else DASK_WORKER


def _shared_args(read: Reader, command: tuple[Word, ...], processes: int, gpus: int, nanny: bool) -> list[Word]:
    args: list[Word] = []
    if command == DASK_WORKER:
        together = processes > 1 and processes != gpus
        if together:
            args += ["--nworkers", str(processes)]
        args.append("--nanny" if nanny else "--no-nanny")
        if together and not nanny:
            read.problems.append(f"{processes} processes in a job need nannies: leave nanny=True, or set processes=1")
    if command == CUDA_WORKER and (processes != gpus or not nanny):
        read.problems.append(
            f"dask cuda worker makes one worker with a nanny for each GPU: with {gpus} GPUs, processes={processes} and"
            f" nanny={nanny} leave worker_command to us, or set it to {DASK_WORKER[0]!r}"
        )
    if gpus and command in (DASK_WORKER, CUDA_WORKER):
        args += ["--resources", f"GPU={gpus // processes}"]
    if (death_timeout := read.text("death_timeout")) is not None:
        args += ["--death-timeout", death_timeout]
    if (local_directory := read.text("local_directory")) is not None:
        args += ["--local-directory", read.one("local_directory", local_directory)]
    return args


def _options(read: Reader, command: tuple[Word, ...]) -> list[Word]:
    options = read.asked.get("worker_options", {})
    if not isinstance(options, Mapping):
        read.problems.append(f"worker_options must be a mapping, not {options!r}")
        return []
    valid = WORKER_OPTIONS
    where = "worker option"
    if command == CUDA_WORKER:
        valid = {key: flag for key, flag in valid.items() if flag in CUDA_OPTIONS}
        where = f"option of dask cuda worker (worker_command={DASK_WORKER[0]!r} starts plain workers)"
    flags, bad = worker_flags(options, valid)
    read.problems += [unknown(where, key, valid) for key in bad]
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
