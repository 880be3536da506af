"""The :class:`JobSpec`: everything that a template may print, resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from jobclusters.spec.keyword import NO_OPTIONS, Options
from jobclusters.spec.shell_words import Word
from jobclusters.spec.software import NO_SOFTWARE, Software

#: The name of a node as a script may print it: it comes from a batch system's answer.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One job, resolved: bytes, ``timedelta``, tuples of words.

    Attributes
    ----------
    system
        Name of the batch system.
    job_name
        As the queue shows it. Unique for each submission, so that one of unclear outcome can be found.
    worker_name
        Of the Dask worker; in an array its prefix, before the number of the element.
    first, count
        Of an array: the number of the first worker, and the number of elements; None and 1 for a single job.
    scheduler
        Address of the Dask scheduler.
    cores, memory, gpus, gpu_type
        Of the job; memory in bytes; the type as the site calls it, or None.
    processes, nthreads, memory_limit
        Workers in the job, threads of each, and the memory limit of each in bytes.
    options
        Options of this batch system alone: the dialect's ``keywords``, and what it derives from them.
    due, lifetime, lifetime_stagger
        Seconds until the job hands over to another one, until its workers leave, and by which that varies: see
        :class:`~jobclusters.spec.units.HandoverTimes`. None if the workers stay.
    queue, walltime, requeue, log_directory
        None leaves them to the batch system; a walltime of ``timedelta.max`` has no limit.
    exclude
        Nodes to avoid: only what :data:`NODE_NAME` matches.
    directives
        More directives, as the user or the site wrote them.
    directives_skip
        Directives of the template to leave out.
    hands_over
        Whether workers hand over their results when the batch system announces the job's end.
    forks
        Where the job's workers are forked from a Python that has imported Dask once, the variables that this Python has
        to start with, and their values; empty where each worker starts a Python of its own.
    guards
        Whether the script itself guards the TLS connections of its workers, which may not have this package.
    scratch
        Whether the script chooses the directory to which workers spill.
    software
        Modules, an environment, a container, variables.
    versions
        Of Python and distributed at the scheduler, for the worker to compare; None if it needn't.
    shebang, python, worker_command, worker_args
        The script's first line, and the words of the worker's command; those that the shell expands are a
        :class:`~jobclusters.spec.shell_words.ShellWord`.
    prologue, epilogue
        Shell lines before and after the worker.
    settings
        The file with the settings of Dask that the program has made; None for none.
    directory
        Of the cluster, for workers whose head is gone; None without a cluster.
    head
        In the job of a head, the words that follow its command; None in jobs of workers.
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
    forks: tuple[tuple[str, Word], ...] = ()
    guards: bool = False
    scratch: bool = False
    software: Software = NO_SOFTWARE
    versions: tuple[str, str] | None = None
    first: int | None = None
    count: int = 1
    gpus: int = 0
    gpu_type: str | None = None
    options: Options = NO_OPTIONS
    queue: str | None = None
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
    settings: str | None = None
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
    def interpreter(self) -> str:
        """The path of the program that the shebang names; what ``env`` would find is in /bin."""
        words = [word for word in self.shebang.removeprefix("#!").split() if word != "-S"]
        if len(words) > 1 and words[0].endswith("/env"):
            del words[0]
        return words[0] if words and "/" in words[0] else f"/bin/{words[0] if words else 'sh'}"


#: The placeholder of the scheduler's address in a script that is only shown.
NO_SCHEDULER = "tcp://<insert-scheduler-address-here>:8786"

#: Behind ``python -m``: a plain worker, and dask-cuda's, which starts one for each GPU.
DASK_WORKER = ("distributed.cli.dask_worker",)
CUDA_WORKER = ("dask", "cuda", "worker")

#: Bytes that a nanny and the interpreter of a worker need (measured: 60-90 MiB).
NANNY_MEMORY = 100 * 2**20


def memory_limit(memory: int, processes: int, headroom: float) -> int:
    """Give the memory limit of each worker, in bytes: below the job's, so that Dask spills before the job is killed.

    ``headroom``, a share of the job's memory, stays free: at least :data:`NANNY_MEMORY` for each worker, at most half.

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
    """Read the resources that each worker of a job declares, from its arguments."""
    found: dict[str, float] = {}
    args = [str(word) for word in spec.worker_args]
    texts = [after for flag, after in pairwise(args) if flag == "--resources"]
    texts += [arg.partition("=")[2] for arg in args if arg.startswith("--resources=")]
    for item in ",".join(texts).replace(" ", ",").split(","):
        name, _, amount = item.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:  # empty, or a variable that the node's shell expands
            continue
    return found
