"""What a site has, as its batch system tells it: the words of discovery, without input or output."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar

from jobclusters.dialect import Reply
from jobclusters.errors import Unavailable
from jobclusters.units import LEAST_JOB_MEMORY

#: What :attr:`FoundQueue.down` says where no node is up.
ALL_DOWN = "all down"


@dataclass(frozen=True)
class Shape:
    """What a job can have of a node.

    Attributes
    ----------
    cores
        As the batch system counts them.
    memory
        In bytes; None if it isn't told.
    gpus
        Type and number of each kind; a type of "" is one that can't be asked for by name.
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
    """The most of a node that a job in a queue may have; None is no limit, memory is in bytes."""

    cores: int | None = None
    memory: int | None = None
    gpus: int | None = None
    memory_per_core: int | None = None

    def of(self, shape: Shape) -> Shape:
        """Give what is left of a node's shape.

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
    """A node of the site, and whether it takes jobs now."""

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
        The longest; None if it isn't told.
    nodes
        How many nodes there are of each shape. Those that are down are left out, unless all are.
    cap
        What a job may have of one.
    down
        ``"2 down"``, ``"all down"``; "" if none is.
    unsure
        Whether there may be more than was found: nodes that are in use tell what is left, groups can't be looked up.
    default
        Whether jobs without a queue go there.
    preemptible
        Whether its jobs make way for those of others.
    allowed
        Whether the one who asks may use it; None if that can't be told.
    remarks
        What else there is to know of it, for people.
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
        """What jobs can have of nodes, and of how many."""
        found: dict[Shape, int] = {}
        for shape, count in self.nodes.items():
            offer = self.cap.of(shape)
            found[offer] = found.get(offer, 0) + count
        return found


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes
    ----------
    system
        The batch system's name, such as ``slurm``.
    queues
        Those that take jobs, in the batch system's order. For this machine it is one without a name.
    left_out
        A sentence for each queue, or question, that came to nothing.
    settings
        For the batch system's section of ``jobqueue``.
    spot_qos
        A quality of service whose jobs make way for others; "" if there is none.
    commands
        What was asked.
    """

    system: str
    queues: tuple[FoundQueue, ...]
    left_out: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    spot_qos: str = ""
    commands: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[FoundQueue, ...]:
        """The queues for jobs that don't name one: preempted or down ones only where there are no others."""
        open_ = self._open
        return tuple([queue for queue in open_ if not queue.preemptible] or open_)

    @property
    def spot(self) -> FoundQueue | None:
        """The preemptible queue with most nodes, where there are others, too."""
        spot = [queue for queue in self._open if queue not in self.usable]
        return max(spot, key=lambda queue: sum(queue.nodes.values())) if spot else None

    @property
    def _open(self) -> list[FoundQueue]:
        sure = [queue for queue in self.queues if queue.allowed]
        allowed = sure or [queue for queue in self.queues if queue.allowed is None]
        return [queue for queue in allowed if queue.down != ALL_DOWN] or allowed


@dataclass(frozen=True)
class Person:
    """Who asks: queues may be for some people only."""

    user: str = ""
    groups: frozenset[str] = frozenset()


class Survey(ABC):
    """The questions that tell what a batch system has, and what its replies to them say."""

    #: The dialect's name.
    system: ClassVar[str]
    #: The commands, by what they tell; ``{user}`` in a word is the one who asks.
    questions: ClassVar[Mapping[str, tuple[str, ...]]]
    #: Those without whose answers nothing can be said.
    needed: ClassVar[frozenset[str]] = frozenset()

    def more(self, replies: Mapping[str, Reply]) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002 -- few have more
        """Give the questions that arise from the first answers."""
        return MappingProxyType({})

    def facts(self, replies: Mapping[str, Reply], person: Person) -> Facts:
        """Read the replies.

        Parameters
        ----------
        replies
            To the questions, by what they tell.
        person
            Who asks.

        Raises
        ------
        Unavailable
            If a reply that's needed is none.
        """
        for key in self.questions:
            if key in self.needed and not replies[key].ok:
                raise Unavailable(replies[key].sentence())
        found = self.read(replies, person)
        empty = [queue for queue in found.queues if not queue.nodes and not queue.unsure]
        found = replace(
            found,
            queues=tuple(queue for queue in found.queues if queue not in empty),
            left_out=(*found.left_out, *(f"{queue.name}: no node is known to serve it" for queue in empty)),
        )
        if not found.queues:
            told = "; ".join(found.left_out) or replies[min(self.needed)].words or "nothing"
            asked = " and ".join(" ".join(self.questions[key]) for key in self.questions if key in self.needed)
            raise Unavailable(f"{asked}: there is no queue that takes jobs. What was said: {told}")
        return replace(found, commands=tuple(" ".join(reply.argv) for reply in replies.values() if reply.ok))

    @abstractmethod
    def read(self, replies: Mapping[str, Reply], person: Person) -> Facts:
        """Read the replies, of which those that are needed are fine."""


def counted(nodes: Iterable[Node]) -> tuple[dict[Shape, int], str]:
    """Count nodes by shape, and say how many are down; if all are, they are counted all the same.

    >>> counted([Node(Shape(4)), Node(Shape(4)), Node(Shape(8), up=False)])
    ({Shape(cores=4, memory=None, gpus=()): 2}, '1 down')
    """
    nodes = list(nodes)
    up = [node for node in nodes if node.up]
    down = "" if len(up) == len(nodes) else f"{len(nodes) - len(up)} down" if up else ALL_DOWN
    return dict(Counter(node.shape for node in up or nodes)), down


def memory_of(size: int) -> int | None:
    """Take an amount that no node can have for one that isn't told.

    >>> memory_of(2**20), memory_of(2**30)
    (None, 1073741824)
    """
    return size if size >= LEAST_JOB_MEMORY else None


def number(text: str | None) -> int | None:
    """Read a whole number; None if it is none, such as ``UNLIMITED`` or ``-``.

    >>> number("64"), number("UNLIMITED"), number("32.000000")
    (64, None, 32)
    """
    match = re.fullmatch(r"(\d+)(?:\.0*)?", (text or "").strip())
    return int(match[1]) if match else None


def plain(name: str) -> bool:
    """Whether a queue's or type's name is one that a configuration can hold and a job script can print.

    >>> plain("gpu-a100.q"), plain("two words"), plain("$HOME")
    (True, False, False)
    """
    return re.fullmatch(r"[\w.+:@-]+", name, re.ASCII) is not None


def listed(text: str, most: int = 80) -> str:
    """Shorten a list of names to what people read.

    >>> listed("alice,bob"), listed("alice,bob", 8)
    ('alice,bob', 'alice,...')
    """
    return text if len(text) <= most else f"{text[: text.rfind(',', 0, most) + 1 or most]}..."
