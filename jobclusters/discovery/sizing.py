"""Makes sizes from the nodes of a site."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from jobclusters.discovery.facts import Facts, Shape
from jobclusters.spec.units import MIB

GB = 10**9
#: Parts of a node, by name.
PARTS = {"node": 1, "half-node": 2, "quarter-node": 4}
_LABELS = {"node": "Node", "half-node": "Half a node", "quarter-node": "Quarter of a node"}
#: Nodes of one make differ in memory by at most this share: their systems reserve different amounts.
MEMORY_TOLERANCE = 0.05
#: Makes of nodes that get sizes.
MOST_MAKES = 4


@dataclass(frozen=True)
class FoundSize:
    """A size: memory in bytes; a GPU type of "" can't be requested by name."""

    name: str
    label: str
    cores: int
    memory: int
    gpus: int = 0
    gpu_type: str = ""


def find_sizes(facts: Facts) -> list[FoundSize]:
    """Make sizes: a node, half and a quarter of it for each make of nodes, and GPUs with their share of a node.

    The make with most nodes has the plain names; others show their size: ``node-64c-512g``. Nodes with GPUs are divided
    by GPUs (``a100``, ``2xa100``, ...), unless there are no others. If several makes have the same GPUs, the size fits
    all of them. Names and shapes differ, and a queue of ``facts.usable`` holds each of them.
    """
    counts = _offers(facts)
    makes = _makes({shape: count for shape, count in counts.items() if not shape.gpus} or counts)
    sizes = [*_parts(makes), *_by_gpus(counts)]
    names: dict[str, FoundSize] = {}
    for size in sizes:
        shapes = {(each.cores, each.memory, each.gpus, each.gpu_type) for each in names.values()}
        if (size.cores, size.memory, size.gpus, size.gpu_type) not in shapes:
            names.setdefault(size.name, size)
    return list(names.values())


def _offers(facts: Facts) -> dict[Shape, int]:
    """Give what jobs can have of nodes, with their number: of each shape, the most that any queue allows."""
    offers: dict[Shape, Shape] = {}
    counts: dict[Shape, int] = {}
    for queue in facts.usable:
        for node, count in queue.nodes.items():
            offer = queue.cap.of(node)
            if offer.memory is not None:
                offers[node] = max(
                    offers.get(node, offer), offer, key=lambda it: (it.gpu_count, it.cores, it.memory or 0)
                )
                counts[node] = max(count, counts.get(node, 0))
    found: dict[Shape, int] = {}
    for node, offer in offers.items():
        found[offer] = found.get(offer, 0) + counts[node]
    return found


def _makes(counts: dict[Shape, int]) -> list[tuple[int, int]]:
    """Give cores and least memory of each make, the one with most nodes first."""
    makes: list[tuple[int, int, int]] = []
    for shape, count in sorted(counts.items(), key=lambda item: (item[0].cores, item[0].memory or 0)):
        memory = shape.memory or 0
        if makes and makes[-1][0] == shape.cores and memory <= makes[-1][1] * (1 + MEMORY_TOLERANCE):
            makes[-1] = (shape.cores, makes[-1][1], makes[-1][2] + count)
        else:
            makes.append((shape.cores, memory, count))
    makes.sort(key=lambda make: (-make[2], -make[0], -make[1]))
    return [(cores, memory) for cores, memory, _ in makes[:MOST_MAKES]]


def _parts(makes: Iterable[tuple[int, int]]) -> Iterable[FoundSize]:
    for index, (cores, memory) in enumerate(makes):
        suffix = f"-{cores}c-{max(1, memory // GB)}g" if index else ""
        for name, part in PARTS.items():
            if cores >= part and rounded(memory // part):
                label = _LABELS[name] + (f" of {cores} cores and {max(1, memory // GB)} GB" if index else "")
                yield FoundSize(name + suffix, label, cores // part, rounded(memory // part))


def _by_gpus(counts: dict[Shape, int]) -> Iterable[FoundSize]:
    with_gpus = [shape for shape in counts if shape.gpus]
    kinds = sorted({kind for shape in with_gpus for kind, _ in shape.gpus})
    for kind in kinds:
        having = [(shape, count) for shape in with_gpus for each, count in shape.gpus if each == kind]
        # Nodes with several types have less for each: they count only if there are no others.
        having = [(shape, count) for shape, count in having if len(shape.gpus) == 1] or having
        for gpus in sorted({number for _, most in having for number in _numbers(most)}):
            shares = [
                (shape.cores * gpus // shape.gpu_count, (shape.memory or 0) * gpus // shape.gpu_count)
                for shape, count in having
                if count >= gpus
            ]
            cores, memory = min(each[0] for each in shares), rounded(min(each[1] for each in shares))
            if memory:
                name, label = slug(kind) or "gpu", kind.upper() or "GPU"
                several = gpus > 1
                yield FoundSize(
                    f"{gpus}x{name}" if several else name,
                    f"{gpus} {label}{'' if kind else 's'}" if several else label,
                    max(1, cores),
                    memory,
                    gpus,
                    kind,
                )


def _numbers(most: int) -> list[int]:
    """Give 1, 2, 4, ... and all of a node's GPUs.

    >>> _numbers(6), _numbers(1)
    ([1, 2, 4, 6], [1])
    """
    return [*(2**power for power in range(most.bit_length()) if 2**power < most), most]


def rounded(memory: int) -> int:
    """Round down to whole GB, below 10 GB to whole MB; 0 if it's too little for a worker.

    >>> rounded(268_435_456_000), rounded(2_147_483_648), rounded(1)
    (268000000000, 2147000000, 0)
    """
    memory -= memory % MIB  # requests are rounded up to whole MiB, and must not exceed the node
    unit = GB if memory >= 10 * GB else 10**6
    return memory // unit * unit if memory >= 10**8 else 0


def slug(kind: str) -> str:
    """Make a part of a name from a GPU's type.

    >>> slug("A100"), slug("a100_3g.20gb"), slug("NVIDIAA100-SXM4")
    ('a100', 'a100-3g.20gb', 'nvidiaa100-sxm4')
    """
    return re.sub(r"[^a-z0-9.]+", "-", kind.lower()).strip("-.")
