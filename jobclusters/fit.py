"""Which queue holds a job, and why one doesn't.

A job runs on one node: it can't have more cores, memory or GPUs than a node of its queue has.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from jobclusters.errors import nearest
from jobclusters.queues import Queue, gpus_text, time_text
from jobclusters.units import gigabytes


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
        return f"walltime {time_text(job.walltime)}, but queue {queue.name!r} allows {time_text(queue.walltime)}"
    memory = [gigabytes(size or 0) for size in (job.memory, queue.memory)]
    if memory[0] == memory[1]:  # they differ where people don't look
        memory = [f"{size} bytes" for size in (job.memory, queue.memory)]
    asked, has = {
        "cores": (f"{job.cores} cores", queue.cores),
        "memory": (f"{memory[0]} of memory", memory[1]),
        "gpus": (gpus_text(job.gpus), queue.gpus or "none"),
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
