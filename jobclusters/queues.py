"""Queues: what a node of each has, and how long a job may run there, where a site's configuration says so.

What isn't said isn't known, and stops nothing: the batch system has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from jobclusters.errors import InvalidRequest, Problems, unknown
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
            gpus_text(self.gpus) if self.gpus is not None else "",
            *self.gpu_types,
            f"walltime {time_text(self.walltime)}" if self.walltime is not None else "",
        ]
        return f"queue {self.name!r} ({', '.join(filter(None, known))})"


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


def gpus_text(count: int) -> str:
    """Say how many GPUs."""
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def time_text(time: timedelta | None) -> str:
    """Say a walltime."""
    if time is None or time == UNLIMITED:
        return "unlimited"
    return hms(time) if time < timedelta(days=1) else dhms(time)
