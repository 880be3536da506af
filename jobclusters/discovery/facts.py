"""The facts about a site: queues, nodes and GPUs, without input or output."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar

from jobclusters.dialects.base import Reply
from jobclusters.errors import Unavailable
from jobclusters.spec.units import LEAST_JOB_MEMORY, Clock, parse_walltime

#: :attr:`FoundQueue.down` if no node is up.
ALL_DOWN = "all down"


@dataclass(frozen=True)
class Shape:
    """What a job can have of a node.

    Attributes
    ----------
    cores
        As the batch system counts them.
    memory
        In bytes; None if unknown.
    gpus
        Type and number of each kind; a type of "" can't be requested by name.
    """

    cores: int
    memory: int | None = None
    gpus: tuple[tuple[str, int], ...] = ()

    @property
    def gpu_count(self) -> int:
        """GPUs of all types."""
        return sum(count for _, count in self.gpus)


@dataclass(frozen=True)
class Cap:
    """The most that a job in a queue may have of a node; None is no limit, memory is in bytes."""

    cores: int | None = None
    memory: int | None = None
    gpus: int | None = None
    memory_per_core: int | None = None

    def of(self, shape: Shape) -> Shape:
        """Limit a node's shape.

        >>> Cap(cores=32, gpus=0).of(Shape(64, 2**39, (("a100", 4),)))
        Shape(cores=32, memory=549755813888, gpus=())
        """
        cores = min(shape.cores, self.cores or shape.cores)
        memory = shape.memory
        for limit in (self.memory, self.memory_per_core and self.memory_per_core * cores):
            memory = memory if memory is None or not limit else min(memory, limit)
        most = shape.gpu_count if self.gpus is None else self.gpus
        return Shape(cores, memory, tuple((kind, min(count, most)) for kind, count in shape.gpus if most))


@dataclass(frozen=True)
class Node:
    """A node of the site, and whether it starts jobs now."""

    shape: Shape
    up: bool = True


@dataclass(frozen=True)
class FoundQueue:
    """A queue that takes jobs.

    Attributes
    ----------
    name
        As the batch system calls it.
    walltime
        The longest; None if unknown.
    nodes
        The number of nodes of each shape, without those that are down, unless all are.
    cap
        The most that a job may have of one.
    down
        ``"2 down"``, ``"all down"``; "" if none is.
    unsure
        Whether there may be more: nodes in use show only the rest of their memory and GPUs, groups of hosts are hidden.
    default
        Whether jobs without a queue go there.
    preemptible
        Whether its jobs are preempted.
    allowed
        Whether the user may use it; None if unknown.
    remarks
        More for the user to read.
    """

    name: str
    walltime: timedelta | None = None
    nodes: Mapping[Shape, int] = field(default_factory=dict)
    cap: Cap = field(default_factory=Cap)
    down: str = ""
    unsure: bool = False
    default: bool = False
    preemptible: bool = False
    allowed: bool | None = True
    remarks: tuple[str, ...] = ()

    @property
    def offers(self) -> dict[Shape, int]:
        """What jobs can have of nodes, and the number of such nodes."""
        found: dict[Shape, int] = {}
        for shape, count in self.nodes.items():
            offer = self.cap.of(shape)
            found[offer] = found.get(offer, 0) + count
        return found


@dataclass(frozen=True)
class Facts:
    """The facts about a site.

    Attributes
    ----------
    system
        The batch system's name, such as ``slurm``.
    queues
        Those that take jobs, in the batch system's order. For this machine it is one without a name.
    left_out
        A sentence for each queue, or question, without a result.
    settings
        For the batch system's section of ``jobqueue``.
    spot_qos
        A quality of service whose jobs are preempted; "" if there is none.
    commands
        The commands with a result.
    """

    system: str
    queues: tuple[FoundQueue, ...]
    left_out: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    spot_qos: str = ""
    commands: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[FoundQueue, ...]:
        """The queues for jobs that don't name one: preemptible or down ones only where there are no others."""
        open_ = self._open
        return tuple([queue for queue in open_ if not queue.preemptible] or open_)

    @property
    def spot(self) -> FoundQueue | None:
        """The preemptible queue with most nodes, if there are others, too."""
        spot = [queue for queue in self._open if queue not in self.usable]
        return max(spot, key=lambda queue: sum(queue.nodes.values())) if spot else None

    @property
    def _open(self) -> list[FoundQueue]:
        allowed = [queue for queue in self.queues if queue.allowed]
        allowed = allowed or [queue for queue in self.queues if queue.allowed is None]
        return [queue for queue in allowed if queue.down != ALL_DOWN] or allowed


@dataclass(frozen=True)
class User:
    """The user of this process, as a queue may be for some users only."""

    name: str = ""
    groups: frozenset[str] = frozenset()


class Survey(ABC):
    """The commands that list a batch system's queues and nodes, and the parsers of their replies."""

    #: The dialect's name.
    system: ClassVar[str]
    #: The commands, by their subject; ``{user}`` in a word is the user's name.
    questions: ClassVar[Mapping[str, tuple[str, ...]]]
    #: Those whose replies are required.
    needed: ClassVar[frozenset[str]] = frozenset()

    def more(self, replies: Mapping[str, Reply]) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002 -- few have more
        """Give the commands that follow from the first replies."""
        return MappingProxyType({})

    def facts(self, replies: Mapping[str, Reply], user: User) -> Facts:
        """Read the replies, by their subject; raise Unavailable if a required one failed, or shows no queue."""
        for key in self.questions:
            if key in self.needed and not replies[key].ok:
                raise Unavailable(replies[key].sentence())
        found = self.read(replies, user)
        empty = [queue for queue in found.queues if not queue.nodes and not queue.unsure]
        found = replace(
            found,
            queues=tuple(queue for queue in found.queues if queue not in empty),
            left_out=(*found.left_out, *(f"{queue.name}: no node is known to serve it" for queue in empty)),
        )
        if not found.queues:
            words = "; ".join(found.left_out) or replies[min(self.needed)].words or "nothing"
            commands = " and ".join(" ".join(self.questions[key]) for key in self.questions if key in self.needed)
            raise Unavailable(f"{commands}: there is no queue that takes jobs. The replies: {words}")
        return replace(found, commands=tuple(" ".join(reply.argv) for reply in replies.values() if reply.ok))

    @abstractmethod
    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:
        """Read the replies; the required ones are fine."""


def counted(nodes: Iterable[Node]) -> tuple[dict[Shape, int], str]:
    """Count nodes by shape, and describe how many are down; down ones count only if all are.

    >>> counted([Node(Shape(4)), Node(Shape(4)), Node(Shape(8), up=False)])
    ({Shape(cores=4, memory=None, gpus=()): 2}, '1 down')
    """
    nodes = list(nodes)
    up = [node for node in nodes if node.up]
    down = "" if len(up) == len(nodes) else f"{len(nodes) - len(up)} down" if up else ALL_DOWN
    return dict(Counter(node.shape for node in up or nodes)), down


def known(allowed: Iterable[bool | None]) -> bool | None:
    """Combine conditions of which all must hold; None is an unknown one.

    >>> known([True, None, False]), known([True, None]), known([])
    (False, None, True)
    """
    found = set(allowed)
    return False if False in found else None if None in found else True


def read_walltime(text: str | None, clock: Clock) -> timedelta | None:
    """Read a walltime; None if there is none, or it can't be read.

    >>> read_walltime("00:10:00", "seconds, MM:SS"), read_walltime("NONE", "seconds, MM:SS")
    (datetime.timedelta(seconds=600), None)
    """
    try:
        return parse_walltime(text, clock)
    except ValueError:
        return None


def memory_of(size: int) -> int | None:
    """Give None for an amount that no node can have, which is an unknown one.

    >>> memory_of(2**20), memory_of(2**30)
    (None, 1073741824)
    """
    return size if size >= LEAST_JOB_MEMORY else None


def number(text: str | None) -> int | None:
    """Read a whole number; None for other text, such as ``UNLIMITED`` or ``-``.

    >>> number("64"), number("UNLIMITED"), number("32.000000"), number("²"), number("-1")
    (64, None, 32, None, None)
    """
    match = re.fullmatch(r"([0-9]{1,18})(?:\.0*)?", (text or "").strip())
    return int(match[1]) if match else None


def plain(name: str) -> bool:
    """Tell whether a configuration can hold, and a job script can print, this name of a queue or a type.

    >>> plain("gpu-a100.q"), plain("two words"), plain("$HOME")
    (True, False, False)
    """
    return re.fullmatch(r"[\w.+:@-]+", name, re.ASCII) is not None


def listed(text: str, most: int = 80) -> str:
    """Shorten a list of names for a message.

    >>> listed("alice,bob"), listed("alice,bob", 8)
    ('alice,bob', 'alice,...')
    """
    return text if len(text) <= most else f"{text[: text.rfind(',', 0, most) + 1 or most]}..."
