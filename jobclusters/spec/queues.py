"""Queues: the nodes of each, and the longest walltime, as far as a site's configuration lists them.

An unknown limit refuses no job: the batch system decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from jobclusters.errors import InvalidRequest, Problems, nearest
from jobclusters.spec.sizes import read_section, whole
from jobclusters.spec.units import (
    UNLIMITED,
    Clock,
    bare_walltime,
    counted,
    dhms,
    hms,
    memory_text,
    parse_job_memory,
    parse_walltime,
)


@dataclass(frozen=True)
class JobShape:
    """What a job asks of a queue: memory in bytes; a walltime of None leaves that to the queue."""

    cores: int
    memory: int
    gpus: int = 0
    gpu_type: str | None = None
    walltime: timedelta | None = None


def misfits(queues: Mapping[str, Queue], job: JobShape, queue: str | None) -> list[str]:
    """Explain why a job can never run in a queue, or in any if it names none.

    With a listed queue, give a sentence for each limit that the job exceeds, the last with the queues that hold the
    job. Without a queue, give one sentence if no listed queue holds it. A queue that isn't listed refuses nothing.

    Examples
    --------
    >>> queues = {"debug": Queue("debug", cores=32), "normal": Queue("normal", cores=64)}
    >>> misfits(queues, JobShape(cores=48, memory=10**9), "debug")
    ["48 cores, but a node of queue 'debug' has 32; queue='normal' would hold the job"]
    """
    if queue is None:
        return [] if not queues or _holding(job, queues.values()) else [_nowhere(job, queues.values())]
    if queue not in queues:
        return []
    wrong = _shortfalls(job, queues[queue])
    if wrong and (others := _holding(job, queues.values())):
        wrong[-1] += f"; {' or '.join(f'queue={each.name!r}' for each in others)} would hold the job"
    return wrong


def best_queue(queues: Mapping[str, Queue], job: JobShape) -> str | None:
    """Name the queue for a job that names none: of those that hold it, the one that wastes least; None if none does.

    CPU jobs avoid nodes with GPUs. Then the shortest walltime limit that is long enough wins: short queues start
    sooner; without a walltime it's the longest, as the job may need it. Then come the smallest nodes.

    Examples
    --------
    >>> best_queue({"gpu": Queue("gpu", cores=64, gpus=4), "cpu": Queue("cpu", cores=64)}, JobShape(8, 10**9))
    'cpu'
    """
    holding = _holding(job, queues.values())
    return holding[0].name if holding else None


def _holding(job: JobShape, queues: Collection[Queue]) -> list[Queue]:
    """Give the queues that hold a job, the one that wastes least first."""
    return sorted((each for each in queues if not _shortfalls(job, each)), key=lambda each: _waste(job, each))


def _waste(job: JobShape, queue: Queue) -> tuple[float | str, ...]:
    """Order queues that hold a job. An unknown limit counts as the worst one, with one exception."""
    gpus = math.inf if queue.gpus is None else queue.gpus
    if not job.gpus and queue.gpus is None and not queue.gpu_types:
        gpus = 0.5  # most likely there are none
    limit = 0 if queue.walltime is None else queue.walltime.total_seconds()
    return (
        job.gpus > 0 and job.gpu_type is not None and not queue.gpu_types,
        gpus,
        -limit if job.walltime is None else limit or math.inf,
        queue.cores or math.inf,
        queue.memory or math.inf,
        queue.name,
    )


def _numbers(shape: Queue | JobShape) -> dict[str, int | None]:
    """Give what can be compared, as numbers."""
    time = None if shape.walltime is None else shape.walltime // timedelta(microseconds=1)
    return {"cores": shape.cores, "memory": shape.memory, "gpus": shape.gpus, "walltime": time}


def _excesses(job: JobShape, queue: Queue) -> dict[str, float]:
    """Give the factor by which a job exceeds each limit that it exceeds."""
    asked = _numbers(job)
    excesses = {}
    for key, limit in _numbers(queue).items():
        number = asked[key] or 0
        if limit is not None and number > limit:
            excesses[key] = number / limit if limit else math.inf
    return excesses


def _shortfalls(job: JobShape, queue: Queue) -> list[str]:
    """Give a sentence for each limit of a queue that a job exceeds."""
    wrong = [_shortfall(key, job, queue) for key in _excesses(job, queue)]
    types = {each.casefold() for each in queue.gpu_types}
    if job.gpus and job.gpu_type and types and job.gpu_type.casefold() not in types:
        hint = nearest(job.gpu_type, queue.gpu_types)
        valid = ", ".join(queue.gpu_types)
        wrong.append(f"gpu_type {job.gpu_type!r} isn't one of queue {queue.name!r}:{hint} Valid: {valid}")
    return wrong


def _shortfall(key: str, job: JobShape, queue: Queue) -> str:
    if key == "walltime":
        return f"walltime {time_text(job.walltime)}, but queue {queue.name!r} allows {time_text(queue.walltime)}"
    memory = [memory_text(size or 0) for size in (job.memory, queue.memory)]
    if memory[0] == memory[1]:  # the same once rounded
        memory = [f"{size} bytes" for size in (job.memory, queue.memory)]
    asked, has = {
        "cores": (counted(job.cores, "core"), queue.cores),
        "memory": (f"{memory[0]} of memory", memory[1]),
        "gpus": (counted(job.gpus, "GPU"), queue.gpus or "none"),
    }[key]
    return f"{asked}, but a node of queue {queue.name!r} has {has}"


def _nowhere(job: JobShape, queues: Collection[Queue]) -> str:
    """Explain that no queue holds a job: what the nearest one lacks, and which has most of that."""
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


T = TypeVar("T")


@dataclass(frozen=True)
class Queue:
    """The limits of a queue; None is an unknown one.

    Attributes
    ----------
    name
        As the batch system calls it.
    cores, memory, gpus
        Of one node; memory in bytes.
    gpu_types
        As the site calls them; empty if unknown.
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
        """Describe its known limits.

        >>> Queue("gpu", 32, 244_000_000_000, 4, ("v100",), timedelta(days=1)).describe()
        "queue 'gpu' (32 cores, 244 GB of memory, 4 GPUs, v100, walltime 1-00:00:00)"
        """
        known = [
            counted(self.cores, "core") if self.cores is not None else "",
            f"{memory_text(self.memory)} of memory" if self.memory is not None else "",
            counted(self.gpus, "GPU") if self.gpus is not None else "",
            *self.gpu_types,
            f"walltime {time_text(self.walltime)}" if self.walltime is not None else "",
        ]
        return f"queue {self.name!r} ({', '.join(filter(None, known))})"


KEYS = frozenset({"cores", "memory", "gpus", "gpu-types", "walltime"})


def read_queues(
    entries: Mapping[str, object], clock: Clock, prefix: str
) -> tuple[dict[str, Queue], dict[str, list[str]]]:
    """Read ``jobclusters.queues.<system>``: see :func:`~jobclusters.spec.sizes.read_section`.

    Unknown keys are left out: a limit that isn't known refuses nothing.

    Examples
    --------
    >>> queues, wrong = read_queues({"debug": {"cores": "few"}}, "minutes, MM:SS", "jobclusters.queues.slurm")
    >>> print(*wrong["debug"])
    jobclusters.queues.slurm.debug: cores must be a whole number, not 'few'
    """
    like = "of limits like cores and walltime"
    return read_section(entries, prefix, like, lambda name, entry: _read_queue(name, entry, clock))


def _read_queue(name: str, entry: Mapping[str, object], clock: Clock) -> Queue:
    limits = {str(key).replace("_", "-"): value for key, value in entry.items()}
    problems = Problems()

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


def time_text(time: timedelta | None) -> str:
    """Write a walltime as every batch system reads it.

    >>> time_text(timedelta(hours=4)), time_text(timedelta(days=2)), time_text(UNLIMITED)
    ('04:00:00', '2-00:00:00', 'unlimited')
    """
    if time is None or time == UNLIMITED:
        return "unlimited"
    return hms(time) if time < timedelta(days=1) else dhms(time)
