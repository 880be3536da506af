"""Reads a site's nodes from oarnodes, which lists a resource for each core. Manual: oarnodes(1).

tests/replies/oar/discover-*.txt are of 2.6.1. No command lists queues, nor their limits, to users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from jobclusters.dialects.base import Reply
from jobclusters.dialects.oar import objects
from jobclusters.discovery.facts import Facts, FoundQueue, Node, Shape, Survey, User, counted, memory_of, number, plain
from jobclusters.errors import Unavailable

#: The usual names of properties: they are each site's own.
_MEMORY_OF_CORE = ("memcore", "mem_core", "memory_per_core")
_MEMORY_OF_NODE = ("memnode", "mem_node")
_GPU = ("gpu",)
_GPU_TYPE = ("gpu_model", "gpu_type", "gputype")


class OarSurvey(Survey):
    """The nodes of OAR, and the queues that every installation has."""

    system: ClassVar[str] = "oar"
    questions: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"nodes": ("oarnodes", "-J")})
    needed: ClassVar[frozenset[str]] = frozenset({"nodes"})

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:  # noqa: ARG002 -- no queue is for some users only
        """Read the resources of each node."""
        try:
            found = [each for _, each in objects(replies["nodes"]) if isinstance(each, dict)]
        except Unavailable as error:
            return Facts("oar", (), (str(error),))
        resources = [each for each in found if each.get("type", "default") == "default"]
        names = {name for each in resources for name in each if each[name] not in (None, "", 0)}
        by_node: dict[str, list[Mapping[str, Any]]] = {}
        for each in resources:
            by_node.setdefault(str(each.get("network_address") or each.get("host")), []).append(each)
        nodes, down = counted(_node(cores, names) for _, cores in sorted(by_node.items()))
        remark = "OAR lists no queues: this is a usual one"
        queues = [FoundQueue("default", nodes=nodes, down=down, default=True, remarks=(remark,))]
        if any(each.get("besteffort") == "YES" for each in resources):
            queues.append(FoundQueue("besteffort", nodes=nodes, down=down, preemptible=True, remarks=(remark,)))
        settings = {
            "memory-per-core-property-name": _first(_MEMORY_OF_CORE, names) or "not_applicable",
            "gpu-type-property": _first(_GPU_TYPE, names) if _first(_GPU, names) else "",
        }
        return Facts("oar", tuple(queues), settings={key: value for key, value in settings.items() if value})


def _first(usual: Iterable[str], names: Iterable[str]) -> str:
    return next((name for name in usual if name in names), "")


def _node(cores: list[Mapping[str, Any]], names: set[str]) -> Node:
    """Read a node of its cores: the memory of each in MiB, and the GPU that it belongs to."""
    of_cores = sum(number(str(core.get(_first(_MEMORY_OF_CORE, names)))) or 0 for core in cores)
    of_node = max(number(str(core.get(_first(_MEMORY_OF_NODE, names)))) or 0 for core in cores)
    kind = _first(_GPU_TYPE, names)
    gpus = {str(core["gpu"]): str(core.get(kind) or "") for core in cores if core.get("gpu")}
    kinds: dict[str, int] = {}
    for each in gpus.values():
        kinds[each if plain(each) else ""] = kinds.get(each if plain(each) else "", 0) + 1
    up = any(core.get("state") == "Alive" and core.get("drain") != "YES" for core in cores)
    return Node(Shape(len(cores), memory_of((of_cores or of_node) * 2**20), tuple(sorted(kinds.items()))), up)


SURVEY = OarSurvey()
