"""From a size, keywords and configuration to a :class:`JobSpec`: everything that a template may print.

Nothing here reads files, the environment or the configuration: all of it is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from jobclusters.software import NO_SOFTWARE, Software
from jobclusters.words import Word


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One job, resolved: bytes, ``timedelta``, tuples of words.

    Attributes
    ----------
    system
        Name of the batch system.
    job_name
        As the queue shows it. Unique for each submission, so that one of unclear outcome can be looked up.
    worker_name
        Of the Dask worker; in an array its beginning, which the element's number follows.
    first, count
        In an array, the number of the first element's worker, and how many there are; None and 1 for a single job.
    scheduler
        Address of the Dask scheduler.
    cores, memory, gpus, gpu_type
        Of the job; memory in bytes; the type as the site calls it, or None.
    request_cores, request_memory
        What the batch system is asked for where that differs (``job_cpu``, ``job_mem``); the latter in its own words.
    processes, nthreads, memory_limit
        Workers in the job, threads of each, and bytes of memory at which Dask pauses each.
    limit_memory, memory_unit
        LSF: bytes asked for where that differs (``mem``), and the unit in which it counts (``lsf_units``), if known.
    resource_spec
        PBS: what stands behind ``-l`` in the place of cores, memory and GPUs. Grid Engine: in the place of memory.
    parallel_environment, memory_complex, gpu_complex, gpu_type_complex
        Grid Engine: what the site calls slots on one node, memory of a slot, GPUs and their type; None leaves it out.
    due, lifetime, lifetime_stagger
        Seconds after which the job hands over to another one, and after which its workers leave by themselves, before
        their walltime kills them, and by which that may vary; None if they stay. See :mod:`jobclusters.walltime`.
    queue, account, qos, walltime, requeue, log_directory
        None leaves them to the batch system; a walltime of ``timedelta.max`` is one without a limit.
    exclude
        Nodes to stay away from.
    directives
        More directives, as the user or the site wrote them.
    directives_skip
        Directives to leave out of ours.
    hands_over
        Whether workers are told how to hand over their results when the batch system announces the job's end.
    software
        What surrounds the worker's Python: modules, an environment, a container, variables.
    versions
        Of Python and distributed at the scheduler, for the worker to compare with its own; None if it needn't.
    shebang, python, worker_command, worker_args
        The script's first line, and the worker's command: the words of each, those that the shell may fill in
        as :class:`~jobclusters.words.ShellWord`.
    prologue, epilogue
        Shell lines before and after the worker.
    directory
        Of the cluster, for workers that find its head gone; None where there is no cluster.
    head
        In the job of a cluster's head, the directory and the run of the cluster; None in jobs of workers.
    """

    system: str
    job_name: str
    worker_name: str
    scheduler: str
    cores: int
    memory: int
    processes: int
    nthreads: int
    memory_limit: int
    shebang: str
    python: tuple[Word, ...]
    worker_command: tuple[Word, ...]
    worker_args: tuple[Word, ...] = ()
    hands_over: bool = False
    software: Software = NO_SOFTWARE
    versions: tuple[str, str] | None = None
    first: int | None = None
    count: int = 1
    gpus: int = 0
    gpu_type: str | None = None
    request_cores: int | None = None
    request_memory: str | None = None
    limit_memory: int | None = None
    memory_unit: str | None = None
    resource_spec: str | None = None
    parallel_environment: str | None = None
    memory_complex: str | None = None
    gpu_complex: str | None = None
    gpu_type_complex: str | None = None
    queue: str | None = None
    account: str | None = None
    qos: str | None = None
    walltime: timedelta | None = None
    due: int | None = None
    lifetime: int | None = None
    lifetime_stagger: int = 0
    requeue: bool | None = None
    log_directory: str | None = None
    exclude: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()
    directives_skip: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    epilogue: tuple[str, ...] = ()
    directory: str | None = None
    head: tuple[str, ...] | None = None

    @property
    def worker_per_gpu(self) -> bool:
        """Whether the script starts several workers, each with a GPU of its own."""
        return self.gpus > 1 and self.processes == self.gpus and not self.cuda_worker

    @property
    def cuda_worker(self) -> bool:
        """Whether dask-cuda starts the workers."""
        return self.worker_command == CUDA_WORKER

    @property
    def memory_per_core(self) -> int:
        """The job's memory for each of the cores that are asked for, rounded up."""
        return -(-self.memory // (self.request_cores or self.cores))

    @property
    def reserves_memory(self) -> bool:
        """Whether a directive of the user's own reserves memory on LSF, which may be said once alone."""
        return any(re.search(r"rusage\[[^]]*\bmem\b", line) for line in self.directives)

    @property
    def interpreter(self) -> str:
        """The path of the program that the shebang names; what ``env`` would find is in /bin."""
        words = [word for word in self.shebang.removeprefix("#!").split() if word != "-S"]
        if len(words) > 1 and words[0].endswith("/env"):
            del words[0]
        return words[0] if words and "/" in words[0] else f"/bin/{words[0] if words else 'sh'}"


#: Where the scheduler's address will stand in a script that is only looked at.
NO_SCHEDULER = "tcp://<insert-scheduler-address-here>:8786"

#: What stands behind ``python -m``: a plain worker, and dask-cuda's, which makes one for each GPU.
DASK_WORKER = ("distributed.cli.dask_worker",)
CUDA_WORKER = ("dask", "cuda", "worker")

#: What a nanny and the interpreter around a worker need, in bytes (measured: 60-90 MiB).
NANNY_MEMORY = 100 * 2**20


def memory_limit(memory: int, processes: int, headroom: float) -> int:
    """Give the memory limit of each worker: below the job's, so that Dask spills before the batch system kills.

    Parameters
    ----------
    memory
        Of the job, in bytes.
    processes
        Workers in it.
    headroom
        The share of the job's memory to leave free; at least :data:`NANNY_MEMORY` for each worker, at most half.

    Returns
    -------
    int
        Bytes, rounded down to a whole MiB where there is more than one.

    Examples
    --------
    >>> memory_limit(128_000_000_000, 6, 0.1) // 2**20
    18310
    """
    reserved = min(memory / 2, max(memory * headroom, processes * NANNY_MEMORY))
    limit = int((memory - reserved) / processes)
    return limit - limit % 2**20 or limit


def split_cores(cores: int) -> int:
    """Cut cores into processes as Dask does: about as many processes as threads in each.

    It is ``distributed.deploy.utils.nprocesses_nthreads``, without importing distributed.

    >>> [split_cores(n) for n in (1, 4, 8, 24)]
    [1, 4, 4, 6]
    """
    if cores <= 4:
        return cores
    return next(n for n in range(1, cores + 1) if cores % n == 0 and n * n >= cores)


def resources(spec: JobSpec) -> dict[str, float]:
    """Read what each worker of a job declares to have, from its arguments.

    Returns
    -------
    dict of str to float
    """
    found: dict[str, float] = {}
    args = [str(word) for word in spec.worker_args]
    texts = [after for flag, after in pairwise(args) if flag == "--resources"]
    texts += [arg.partition("=")[2] for arg in args if arg.startswith("--resources=")]
    for item in ",".join(texts).replace(" ", ",").split(","):
        name, _, amount = item.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:  # empty, or what only the node's shell knows
            continue
    return found


def worker_flags(options: Mapping[str, object], valid: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Turn ``worker_options`` (Coiled: keyword arguments of the worker class) into flags of a worker's command.

    Parameters
    ----------
    options
        Their values.
    valid
        The flag of each.

    Returns
    -------
    flags : list of str
    problems : list of str

    Examples
    --------
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
