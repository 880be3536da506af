"""Reads a pool's machines from condor_status. Manual: condor_status(1), and the attributes of machines.

tests/replies/htcondor/ holds replies of 23.9.6. A pool has no queues: all its machines are one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from jobclusters.dialects.base import Reply
from jobclusters.dialects.htcondor import POOL
from jobclusters.dialects.large_json import parts
from jobclusters.discovery.facts import Facts, FoundQueue, Shape, Survey, User, memory_of, plain
from jobclusters.spec.units import MIB, UNLIMITED

_ATTRIBUTES = (*("Machine", "TotalSlotCpus", "TotalSlotMemory", "TotalSlotGPUs", "GPUs_DeviceName"),)
#: Slots that aren't parts of others.
_WHOLE = 'SlotType != "Dynamic"'


class HtcondorSurvey(Survey):
    """The machines of a pool: slots that jobs divide, and those that a job takes whole."""

    system = "htcondor"
    questions = MappingProxyType(
        {
            "slots": ("condor_status", "-constraint", _WHOLE, "-json", "-attributes", ",".join(_ATTRIBUTES)),
        }
    )
    needed = frozenset({"slots"})

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:  # noqa: ARG002 -- a pool is for all its users
        """Read the slots: those that a machine doesn't offer now aren't listed."""
        nodes: dict[Shape, int] = {}
        for slot in _slots(replies["slots"]):
            if (shape := _shape(slot)) is not None:
                nodes[shape] = nodes.get(shape, 0) + 1
        return Facts("htcondor", (FoundQueue(POOL, UNLIMITED, nodes, default=True),))


def _slots(reply: Reply) -> Iterable[Mapping[str, Any]]:
    """Read condor_status's JSON, which is nothing at all if there is no machine."""
    try:
        return [slot for _, slot in parts(f'{{"slots": {reply.out}}}', "slots") if isinstance(slot, dict)]
    except ValueError:  # then there is no queue, and the survey shows what was printed
        return []


def _shape(slot: Mapping[str, Any]) -> Shape | None:
    cores, memory, gpus = (_whole(slot.get(f"TotalSlot{what}")) for what in ("Cpus", "Memory", "GPUs"))
    if not cores:
        return None
    kind = _kind(str(slot.get("GPUs_DeviceName") or ""))
    return Shape(cores, memory_of(memory * MIB), ((kind, gpus),) if gpus else ())


def _whole(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and 0 < value < 2**53 else 0


def _kind(name: str) -> str:
    """Give the part of a GPU's name that tells it from others: a job may ask for a part.

    >>> _kind("NVIDIA A100-SXM4-40GB"), _kind("Tesla V100 PCIe"), _kind("NVIDIA GeForce RTX 3090"), _kind("")
    ('A100-SXM4-40GB', 'V100', '3090', '')
    """
    return next((word for word in name.split() if re.search(r"\d", word) and plain(word)), "")


SURVEY = HtcondorSurvey()
