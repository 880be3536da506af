"""Reads the worker's command, its Python, and the software around that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jobclusters.config import dask_settings
from jobclusters.config.dask_settings import as_list
from jobclusters.config.keywords import read_value
from jobclusters.config.layers import MergedKeywords
from jobclusters.config.site import Site
from jobclusters.errors import unknown
from jobclusters.spec.job_spec import CUDA_WORKER, DASK_WORKER, memory_limit
from jobclusters.spec.reader import Reader
from jobclusters.spec.shell_words import Word, assigns, one_word
from jobclusters.spec.software import NO_SOFTWARE, Software, read_software
from jobclusters.spec.units import counted


def read_worker(read: Reader, shape: Mapping[str, object], asked: MergedKeywords, site: Site) -> dict[str, object]:
    """Resolve the worker's command and its software, as fields of a :class:`~jobclusters.spec.job_spec.JobSpec`."""
    processes, gpus, memory = (int(str(shape[key])) for key in ("processes", "gpus", "memory"))
    software = NO_SOFTWARE
    if (name := asked.values.get("software")) not in (None, ""):
        software = read_software(name, site.software, read.problems)
    python, ours = _python(read, asked, software, site)
    nanny, class_args = _worker_class(read, read_value(read, "nanny"))
    extra = read_value(read, "worker_extra_args")
    dask_cuda = (site.dask_cuda if ours else software.dask_cuda) and not _needs_dask_worker(read, extra)
    command = _given_command(read, asked, site)
    if not command:  # dask-cuda makes one worker with a nanny for each GPU
        command = CUDA_WORKER if dask_cuda and nanny and gpus and processes == gpus else DASK_WORKER
    args = _shared_args(read, command, processes, gpus, nanny)
    compare = not ours and command in (DASK_WORKER, CUDA_WORKER)
    options = _options(read, command)
    if command in (DASK_WORKER, CUDA_WORKER) and not _gives("--dashboard-address", extra, options):
        # It has no password, and even without its pages there is a port.
        args += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    hands_over = ours and command == DASK_WORKER  # another Python may not have this package
    forks = hands_over and nanny and not _gives("--no-nanny", extra, options)
    guards = site.guard_tls and not hands_over and command in (DASK_WORKER, CUDA_WORKER)
    if hands_over or guards:
        args += _preloads((*extra, *options), site, software, command)
    return {
        "memory_limit": memory_limit(memory, processes, site.headroom),
        "software": software,
        "versions": site.versions if compare else None,
        "python": software.command(python, gpus),
        "worker_command": command,
        "hands_over": hands_over,
        "forks": _forks(site.pre_spawn_environ or {}) if forks else (),
        "guards": guards,
        "scratch": not dask_settings.temporary_directory() and not _gives("--local-directory", args, extra, options),
        "worker_args": (*args, *extra, *class_args, *options),
        "shebang": read_value(read, "shebang") or "#!/usr/bin/env bash",
        "prologue": read_value(read, "job_script_prologue"),
        "epilogue": read_value(read, "job_script_epilogue"),
    }


def python_counts(asked: MergedKeywords) -> bool:
    """Tell whether ``python=`` wins over the software's: the user gives it, and no stronger source ``software=``."""
    return asked.from_user("python") and asked.rank("python") <= asked.rank("software")


def _python(read: Reader, asked: MergedKeywords, software: Software, site: Site) -> tuple[tuple[Word, ...], bool]:
    """Give the interpreter's words, and whether it is the one that runs the scheduler.

    The user's ``python=`` wins over the software's, which wins over the site's.
    """
    words = read_value(read, "python")
    if software.own_python and not (words and python_counts(asked)):
        words = software.python
    if not words:
        return (site.python,), True
    return (("env", *words) if assigns(words[0]) else words), False  # the script's exec can't run "FOO=1 python"


def _preloads(given: tuple[Word, ...], site: Site, software: Software, command: tuple[Word, ...]) -> list[Word]:
    """Give the preloads of Dask's configuration, or of a variable of the software, which our own would hide."""
    variables = dict(software.environment)
    preloads = {
        flag: as_list(variables[variable]) if variable in variables else names
        for flag, names in site.preload.items()
        for variable in (f"DASK_DISTRIBUTED__{'NANNY' if flag.endswith('nanny') else 'WORKER'}__PRELOAD",)
    }
    return [
        word
        for flag, names in preloads.items()
        if not any(str(each).partition("=")[0] == flag for each in given)
        and (command == DASK_WORKER or flag[2:] in CUDA_OPTIONS)
        for name in names
        for word in (flag, name)
    ]


def _forks(variables: Mapping[str, str]) -> tuple[tuple[str, Word], ...]:
    """Set variables as Dask does: those that are set stay, but for the seed that all of a cluster's workers need.

    >>> [(key, str(value)) for key, value in _forks({"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "6640"})]
    [('OMP_NUM_THREADS', '"${OMP_NUM_THREADS-1}"'), ('PYTHONHASHSEED', '6640')]
    >>> _forks({"OMP_NUM_THREADS": "$(nproc)"})
    ()
    """
    if not all(
        re.fullmatch(r"[a-zA-Z_]\w*=[\w.,:/+-]*", f"{key}={value}", re.ASCII) for key, value in variables.items()
    ):
        return ()  # the script's shell would read more into it
    return tuple(
        (key, value if key == "PYTHONHASHSEED" else one_word(f"${{{key}-{value}}}"))
        for key, value in sorted(variables.items())
    )


def _gives(flag: str, *args: Sequence[Word]) -> bool:
    """Tell whether arguments hold a flag."""
    return any(str(word).split("=")[0].split()[:1] == [flag] for words in args for word in words)


def _needs_dask_worker(read: Reader, extra: tuple[Word, ...]) -> bool:
    """Tell whether an option or argument is one that dask-cuda's workers lack."""
    options = read.asked.get("worker_options")
    flags = {WORKER_OPTIONS.get(str(key)) for key in options} if isinstance(options, Mapping) else set()
    flags |= {str(word)[2:].partition("=")[0] for word in extra if str(word).startswith("--")}
    return not DASK_OPTIONS.isdisjoint(flags)


def _given_command(read: Reader, asked: MergedKeywords, site: Site) -> tuple[Word, ...]:
    """Give the worker's command, unless it is dask-jobqueue's default."""
    command = read_value(read, "worker_command")
    default = command == DASK_WORKER and asked.sources["worker_command"] == site.section
    return () if default else command


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
            f"dask cuda worker makes one worker with a nanny for each GPU: with {counted(gpus, 'GPU')},"
            f" processes={processes} and nanny={nanny} leave worker_command to us, or set it to {DASK_WORKER[0]!r}"
        )
    if gpus and command in (DASK_WORKER, CUDA_WORKER):
        args += ["--resources", f"GPU={gpus // processes}"]
    if (death_timeout := read_value(read, "death_timeout")) is not None:
        args += ["--death-timeout", death_timeout]
    if (local_directory := read_value(read, "local_directory")) is not None:
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
    read.problems += [unknown(where, key, valid, see="docs/keywords.md") for key in bad]
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


def worker_flags(options: Mapping[str, object], valid: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write ``worker_options`` (Coiled: keyword arguments of the worker class) as flags of a worker's command.

    ``valid`` is the flag of each option. Give the flags, and the invalid options.

    >>> worker_flags({"resources": {"fast": 1}, "lifetime": "1h"}, WORKER_OPTIONS)
    (['--resources', 'fast=1', '--lifetime', '1h'], [])
    """
    flags: list[str] = []
    problems: list[str] = []
    for key, value in options.items():
        if key not in valid:
            problems.append(key)
        elif value is None:
            continue
        elif isinstance(value, bool):
            flags.append(f"--{'' if value else 'no-'}{valid[key]}")
        elif isinstance(value, Mapping):
            flags += [f"--{valid[key]}", ",".join(f"{k}={v}" for k, v in value.items())]
        elif isinstance(value, (list, tuple)):
            for each in value:
                flags += [f"--{valid[key]}", str(each)]
        else:
            flags += [f"--{valid[key]}", str(value)]
    return flags, problems


#: Keyword arguments of Worker and Nanny for which ``dask worker`` has a flag.
WORKER_OPTIONS = {
    "nthreads": "nthreads",
    "memory_limit": "memory-limit",
    "local_directory": "local-directory",
    "resources": "resources",
    "death_timeout": "death-timeout",
    "lifetime": "lifetime",
    "lifetime_stagger": "lifetime-stagger",
    "lifetime_restart": "lifetime-restart",
    "preload": "preload",
    "preload_nanny": "preload-nanny",
    "host": "host",
    "interface": "interface",
    "protocol": "protocol",
    "dashboard": "dashboard",
    "dashboard_address": "dashboard-address",
    "contact_address": "contact-address",
    "port": "worker-port",
}

#: Those of them that ``dask cuda worker`` has, by flag (dask-cuda 26.10).
CUDA_OPTIONS = frozenset(
    {
        "contact-address",
        "dashboard",
        "dashboard-address",
        "death-timeout",
        "host",
        "interface",
        "local-directory",
        "memory-limit",
        "nthreads",
        "preload",
        "protocol",
        "resources",
        "worker-port",
    }
)

#: Flags that only ``dask worker`` has.
DASK_OPTIONS = frozenset({*WORKER_OPTIONS.values(), "nworkers", "nanny-port", "scheduler-sni"} - CUDA_OPTIONS)
