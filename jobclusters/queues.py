"""Queues: what a node of each has, and how long a job may run there, where a site's configuration says so.

A job runs on one node: it can't have more cores, memory or GPUs than a node has. What isn't said isn't known, and
stops nothing: the batch system has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from jobclusters.errors import InvalidRequest, Problems, nearest, unknown
from jobclusters.sizes import whole
from jobclusters.units import UNLIMITED, Clock, bare_walltime, dhms, gigabytes, hms, parse_job_memory, parse_walltime

T = TypeVar("T")


@dataclass(frozen=True)
class Queue:
    """A queue's limits; None is one that isn't known.

    Attributes
    ----------
    name
        As the batch system calls it.
    cores, memory, gpus
        Of one node; memory in bytes. No GPUs are 0.
    gpu_types
        As the site calls them; empty if they aren't known.
    walltime
        The longest.
    """

    name: str
    cores: int | None = None
    memory: int | None = None
    gpus: int | None = None
    gpu_types: tuple[str, ...] = ()
    walltime: timedelta | None = None

    def describe(self) -> str:
        """Say what is known of it.

        >>> Queue("gpu", 32, 244_000_000_000, 4, ("v100",), timedelta(days=1)).describe()
        "queue 'gpu' (32 cores, 244 GB of memory, 4 GPUs, v100, walltime 1-00:00:00)"
        """
        known = [
            f"{self.cores} cores" if self.cores is not None else "",
            f"{gigabytes(self.memory)} of memory" if self.memory is not None else "",
            _gpus(self.gpus) if self.gpus is not None else "",
            *self.gpu_types,
            f"walltime {_time(self.walltime)}" if self.walltime is not None else "",
        ]
        return f"queue {self.name!r} ({', '.join(filter(None, known))})"


# -- reading the configuration -----------------------------------------------------------------------------------------

_KEYS = frozenset({"cores", "memory", "gpus", "gpu-types", "walltime"})


def read_queues(entries: Mapping[str, object], clock: Clock, prefix: str) -> tuple[dict[str, Queue], list[str]]:
    """Read the section of ``jobclusters.queues`` for a batch system.

    Parameters
    ----------
    entries
        Name to a mapping with some of ``cores``, ``memory``, ``gpus``, ``gpu-types`` and ``walltime``. A name without
        a mapping (``debug:`` alone) takes that queue away.
    clock
        How the batch system reads a walltime.
    prefix
        Where the section stands: ``"jobclusters.queues.slurm"``.

    Returns
    -------
    queues : dict of str to Queue
        The readable ones, in the order given.
    problems : list of str
        A sentence for each thing that's wrong.

    Examples
    --------
    >>> queues, problems = read_queues({"debug": {"cores": 4, "gpu": 1}}, "minutes, MM:SS", "jobclusters.queues.slurm")
    >>> print(*problems)
    jobclusters.queues.slurm.debug: unknown key 'gpu': did you mean 'gpus'? Valid: cores, gpu-types, gpus, memory, walltime
    """  # noqa: E501 -- a doctest can't break a line
    queues: dict[str, Queue] = {}
    problems: list[str] = []
    for name, entry in entries.items():
        if entry is None:
            continue
        where = f"{prefix}.{name}"
        if not isinstance(entry, Mapping):
            problems.append(f"{where} must be a mapping of limits like cores and walltime, not {entry!r}")
            continue
        try:
            queues[str(name)] = _read_queue(str(name), entry, clock)
        except InvalidRequest as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
    return queues, problems


def _read_queue(name: str, entry: Mapping[str, object], clock: Clock) -> Queue:
    limits = {str(key).replace("_", "-"): value for key, value in entry.items()}
    problems = Problems(unknown("key", key, _KEYS) for key in entry if str(key).replace("_", "-") not in _KEYS)

    def limit(key: str, read: Callable[[object], T]) -> T | None:
        value = limits.get(key)
        return None if value is None else problems.attempt(lambda: read(value), None)

    queue = Queue(
        name=name,
        cores=limit("cores", lambda value: whole("cores", value)),
        memory=limit("memory", parse_job_memory),
        gpus=limit("gpus", lambda value: whole("gpus", value, least=0)),
        gpu_types=limit("gpu-types", _types) or (),
        walltime=limit("walltime", lambda value: _walltime(value, clock)),
    )
    if queue.gpus == 0 and queue.gpu_types:
        problems.append(f"gpus is 0, yet gpu-types names {', '.join(queue.gpu_types)}")
    problems.raise_any()
    return queue


def _types(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(isinstance(each, str) and each.strip() for each in names):
        return tuple(each.strip() for each in names)
    raise ValueError(f"gpu-types must be a list of names like [v100, a100], not {value!r}")


def _walltime(value: object, clock: Clock) -> timedelta:
    if problems := bare_walltime(value):
        raise InvalidRequest(problems)
    return parse_walltime(value, clock)


# -- what a job asks of a queue ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """What a job asks for; a walltime of None leaves that to the queue."""

    cores: int
    memory: int
    gpus: int
    gpu_type: str | None
    walltime: timedelta | None


def misfits(
    queues: Mapping[str, Queue],
    *,
    queue: str | None,
    cores: int,
    memory: int,
    gpus: int = 0,
    gpu_type: str | None = None,
    walltime: timedelta | None = None,
) -> list[str]:
    """Tell why a job can never run.

    Parameters
    ----------
    queues
        Those that the configuration lists, by name; others may exist.
    queue
        The one that the job asks for, or None.
    cores, memory, gpus
        Of the job; memory in bytes.
    gpu_type
        Of its GPUs, or None.
    walltime
        ``timedelta.max`` is one without a limit; None leaves it to the queue.

    Returns
    -------
    list of str
        With a listed queue, a sentence for each limit that is exceeded, the last with the queues that would hold the
        job. Without a queue, one sentence if none of the listed ones holds it. Nothing for a queue that isn't listed.

    Examples
    --------
    >>> queues = {"debug": Queue("debug", cores=32), "normal": Queue("normal", cores=64)}
    >>> misfits(queues, queue="debug", cores=48, memory=10**9)
    ["48 cores, but a node of queue 'debug' has 32; queue='normal' would hold the job"]
    """
    job = _Job(cores, memory, gpus, gpu_type if gpus else None, walltime)
    if queue is None:
        return [] if not queues or _holding(job, queues.values()) else [_nowhere(job, queues.values())]
    if queue not in queues:
        return []
    wrong = _shortfalls(job, queues[queue])
    if wrong and (others := _holding(job, queues.values())):
        wrong[-1] += f"; {' or '.join(f'queue={each.name!r}' for each in others)} would hold the job"
    return wrong


def best(
    queues: Mapping[str, Queue],
    *,
    cores: int,
    memory: int,
    gpus: int = 0,
    gpu_type: str | None = None,
    walltime: timedelta | None = None,
) -> str | None:
    """Name the queue for a job that asks for none: of those that hold it, the one that wastes least.

    CPU jobs stay away from nodes with GPUs. Then the shortest walltime limit that is long enough wins: short queues
    start sooner; without a walltime it's the longest, as the job may need it. Then come the smallest nodes.

    Parameters
    ----------
    queues, cores, memory, gpus, gpu_type, walltime
        As for :func:`misfits`.

    Returns
    -------
    str or None
        None if no queue is listed, or none holds the job.

    Examples
    --------
    >>> best({"gpu": Queue("gpu", cores=64, gpus=4), "cpu": Queue("cpu", cores=64)}, cores=8, memory=10**9)
    'cpu'
    """
    holding = _holding(_Job(cores, memory, gpus, gpu_type if gpus else None, walltime), queues.values())
    return holding[0].name if holding else None


def _holding(job: _Job, queues: Collection[Queue]) -> list[Queue]:
    """Give the queues that hold a job, the one that wastes least first."""
    return sorted((each for each in queues if not _shortfalls(job, each)), key=lambda each: _waste(job, each))


def _waste(job: _Job, queue: Queue) -> tuple[float | str, ...]:
    """Order queues that hold a job. A limit that isn't known counts as the worst one, with one exception."""
    gpus = math.inf if queue.gpus is None else queue.gpus
    if not job.gpus and queue.gpus is None and not queue.gpu_types:
        gpus = 0.5  # nobody speaks of GPUs: most likely there are none
    limit = 0 if queue.walltime is None else queue.walltime.total_seconds()
    return (
        job.gpu_type is not None and not queue.gpu_types,
        gpus,
        -limit if job.walltime is None else limit or math.inf,
        queue.cores or math.inf,
        queue.memory or math.inf,
        queue.name,
    )


_MICROSECOND = timedelta(microseconds=1)


def _numbers(shape: Queue | _Job) -> dict[str, int | None]:
    """Give what can be compared, as numbers."""
    time = None if shape.walltime is None else shape.walltime // _MICROSECOND
    return {"cores": shape.cores, "memory": shape.memory, "gpus": shape.gpus, "walltime": time}


def _excesses(job: _Job, queue: Queue) -> dict[str, float]:
    """Give how many times a job exceeds a limit, for each that it does."""
    asked = _numbers(job)
    excesses = {}
    for key, limit in _numbers(queue).items():
        number = asked[key] or 0
        if limit is not None and number > limit:
            excesses[key] = number / limit if limit else math.inf
    return excesses


def _shortfalls(job: _Job, queue: Queue) -> list[str]:
    """Say where a queue falls short of a job; nothing if it holds it."""
    wrong = [_shortfall(key, job, queue) for key in _excesses(job, queue)]
    types = {each.casefold() for each in queue.gpu_types}
    if job.gpu_type and types and job.gpu_type.casefold() not in types:
        hint = nearest(job.gpu_type, queue.gpu_types)
        valid = ", ".join(queue.gpu_types)
        wrong.append(f"gpu_type {job.gpu_type!r} isn't one of queue {queue.name!r}:{hint} Valid: {valid}")
    return wrong


def _shortfall(key: str, job: _Job, queue: Queue) -> str:
    if key == "walltime":
        return f"walltime {_time(job.walltime)}, but queue {queue.name!r} allows {_time(queue.walltime)}"
    memory = [gigabytes(size or 0) for size in (job.memory, queue.memory)]
    if memory[0] == memory[1]:  # they differ where people don't look
        memory = [f"{size} bytes" for size in (job.memory, queue.memory)]
    asked, has = {
        "cores": (f"{job.cores} cores", queue.cores),
        "memory": (f"{memory[0]} of memory", memory[1]),
        "gpus": (_gpus(job.gpus), queue.gpus or "none"),
    }[key]
    return f"{asked}, but a node of queue {queue.name!r} has {has}"


def _nowhere(job: _Job, queues: Collection[Queue]) -> str:
    """Say that no queue holds a job, what the one with the least shortfall lacks, and which has most of that."""
    meant = nearest(job.gpu_type, [each for queue in queues for each in queue.gpu_types])

    def shortfall(queue: Queue) -> tuple[object, ...]:
        much = max(_excesses(job, queue).values(), default=1)
        mistaken = nearest(job.gpu_type, queue.gpu_types) != meant
        return len(_shortfalls(job, queue)), much, mistaken, _waste(job, queue)

    closest = min(queues, key=shortfall)
    short = _excesses(job, closest)

    def size(queue: Queue) -> tuple[float, ...]:
        numbers = {key: math.inf if number is None else number for key, number in _numbers(queue).items()}
        return *(numbers[key] for key in short), *numbers.values(), queue is closest

    largest = max(queues, key=size)
    text = f"no listed queue holds the job; nearest is {closest.name!r}"
    if short and largest is closest:
        text += ", the largest"
    text += f": {'; '.join(_shortfalls(job, closest))}"
    return f"{text}; largest is {largest.describe()}" if short and largest is not closest else text


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def _time(time: timedelta | None) -> str:
    if time is None or time == UNLIMITED:
        return "unlimited"
    return hms(time) if time < timedelta(days=1) else dhms(time)
