"""Reads a site's queues and nodes from pbsnodes and qstat: PBS Professional, OpenPBS and TORQUE print the same format.

Manuals: pbsnodes(8B), qstat(1B), pbs_node_attributes(7B), pbs_queue_attributes(7B). The format is the readable one, not
JSON: TORQUE has none, and that of some versions of PBS is broken (see the dialect).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jobclusters.dialects.base import Reply
from jobclusters.discovery.facts import (
    Cap,
    Facts,
    FoundQueue,
    Node,
    Shape,
    Survey,
    User,
    counted,
    known,
    listed,
    memory_of,
    number,
    plain,
    read_walltime,
)

Block = Mapping[str, str]

_ATTRIBUTE = re.compile(r"^\s+(\S+) = (.*)$", re.MULTILINE)
_SIZE = re.compile(r"([0-9]{1,18})([kmgtp]?)([bw]?)", re.IGNORECASE)
#: States of a node that starts no job.
_DOWN = frozenset(
    {"down", "offline", "unknown", "state-unknown", "stale", "unresolvable", "maintenance", "initializing"}
)
#: Counted resources; the other defaults of a chunk require a property of the node.
_COUNTED = frozenset({"ncpus", "mem", "vmem", "ngpus", "naccelerators", "mpiprocs", "ompthreads", "nodect", "walltime"})


class PbsSurvey(Survey):
    """The queues and nodes of PBS or TORQUE, whose commands have the same names."""

    system = "pbs"
    questions = MappingProxyType(
        {"nodes": ("pbsnodes", "-a"), "queues": ("qstat", "-Q", "-f"), "server": ("qstat", "-B", "-f")}
    )
    needed = frozenset({"nodes", "queues"})

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:
        """Read the replies. Only the scheduler knows which queues are preemptible."""
        nodes = _blocks(replies["nodes"], r"^(\S+)$")
        torque = any("np" in node for node in nodes.values())
        hosts = _torque_hosts(nodes) if torque else _hosts(nodes)
        server = next(iter(_blocks(replies["server"], r"^Server: (\S+)$").values()), {})
        queues, left_out = [], []
        for name, block in _blocks(replies["queues"], r"^Queue: (.+)$").items():
            if why := _closed(name, block):
                left_out.append(f"{name}: {why}")
            else:
                queues.append(_queue(name, block, hosts, user, default=server.get("default_queue") == name))
        return Facts("torque" if torque else "pbs", tuple(queues), tuple(left_out))


def _blocks(reply: Reply, head: str) -> dict[str, Block]:
    """Read blocks of indented ``name = value`` lines; a line with a leading tab continues the one before."""
    text = re.sub(r"\n\t\s*(?!\S+ = )", "", reply.out) if reply.ok else ""
    parts = re.split(head, text, flags=re.MULTILINE)[1:]
    return {
        name.strip(): {key.lower(): value.strip() for key, value in _ATTRIBUTE.findall(body)}
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _bytes(text: str | None) -> int:
    """Read a size; a word (``w``) has 8 bytes.

    >>> _bytes("24684552kb"), _bytes("1gb"), _bytes("512"), _bytes("none")
    (25276981248, 1073741824, 512, 0)
    """
    match = _SIZE.fullmatch((text or "").strip())
    if not match:
        return 0
    size: int = int(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " ")
    return size * 8 if match[3].lower() == "w" else size


@dataclass(frozen=True)
class _Host:
    """A node, the properties that a queue may require, and its queue if it serves only one."""

    node: Node
    properties: Mapping[str, str]
    queue: str = ""

    def serves(self, name: str, required: Iterable[tuple[str, str]]) -> bool:
        """Tell whether jobs of a queue, which requires these properties, may run there."""
        if self.queue and self.queue != name:
            return False
        return all(value in re.split(r"[,\s]+", self.properties.get(key, "").strip('"')) for key, value in required)


def _hosts(nodes: Mapping[str, Block]) -> list[_Host]:
    """Read PBS's nodes; the vnodes of a host are one node."""
    together: dict[str, list[Block]] = {}
    for name, block in nodes.items():
        together.setdefault(block.get("resources_available.host", name), []).append(block)
    return [_host(blocks) for blocks in together.values()]


def _host(blocks: list[Block]) -> _Host:
    def total(resource: str) -> int:
        return sum(number(block.get(f"resources_available.{resource}")) or 0 for block in blocks)

    properties = {
        key.removeprefix("resources_available."): value
        for block in blocks
        for key, value in block.items()
        if key.startswith("resources_available.")
    }
    kind = properties.get("gpu_type", "")  # as in the template
    gpus = ((kind if plain(kind) else "", total("ngpus")),) if total("ngpus") else ()
    memory = sum(_bytes(block.get("resources_available.mem")) for block in blocks)
    up = any(_up(block) for block in blocks)
    queue = next((block["queue"] for block in blocks if "queue" in block), "")
    return _Host(Node(Shape(total("ncpus"), memory_of(memory), gpus), up), properties, queue)


def _torque_hosts(nodes: Mapping[str, Block]) -> list[_Host]:
    """Read TORQUE's nodes; GPUs have no type there, unless it is a property of the node."""
    hosts = []
    for block in nodes.values():
        status = dict(item.partition("=")[::2] for item in block.get("status", "").split(","))
        gpus = number(block.get("gpus")) or 0
        memory = memory_of(_bytes(status.get("physmem")))
        shape = Shape(number(block.get("np")) or 0, memory, (("", gpus),) if gpus else ())
        hosts.append(_Host(Node(shape, _up(block)), {"neednodes": block.get("properties", "")}))
    return hosts


def _up(block: Block) -> bool:
    return not set(re.split(r"[,\s]+", block.get("state", "unknown").lower())) & _DOWN


def _closed(name: str, block: Block) -> str:
    """Explain why a queue takes no jobs of workers; "" if it does."""
    if not plain(name):
        return "a configuration can't hold its name"
    if block.get("queue_type", "Execution").lower()[:1] != "e":
        return f"it only routes jobs to {block.get('route_destinations', 'other queues')}"
    for key, why in {"enabled": "takes no jobs", "started": "starts no jobs"}.items():
        if block.get(key, "True") != "True":
            return f"it {why} ({key} = {block[key]})"
    return "its jobs come from other queues" if block.get("from_route_only") == "True" else ""


def _queue(name: str, block: Block, hosts: Iterable[_Host], user: User, *, default: bool) -> FoundQueue:
    required = {
        key.removeprefix("default_chunk."): value
        for key, value in block.items()
        if key.startswith("default_chunk.") and key.removeprefix("default_chunk.") not in _COUNTED
    }
    # 1:ppn=1:fast requires the property fast
    words = block.get("resources_default.neednodes", "").split(":")
    properties = [word for word in words if word and number(word) is None and "=" not in word]
    most = {key.removeprefix("resources_max."): value for key, value in block.items()}
    cap = Cap(number(most.get("ncpus")), _bytes(most.get("mem")), number(most.get("ngpus")))
    all_required = [*required.items(), *(("neednodes", word) for word in properties)]
    nodes, down = counted(host.node for host in hosts if host.node.shape.cores and host.serves(name, all_required))
    remarks = [
        f"for the {key}s {listed(block.get(f'acl_{key}s', 'of a list'))} only"
        for key in ("user", "group")
        if block.get(f"acl_{key}_enable") == "True"
    ]
    if usual := block.get("resources_default.walltime"):
        remarks.append(f"a job without a walltime gets {usual}")
    return FoundQueue(
        name=name,
        walltime=read_walltime(most.get("walltime"), "seconds, MM:SS"),
        nodes=nodes,
        cap=cap,
        down=down,
        default=default,
        allowed=_allowed(block, user),
        remarks=tuple(remarks),
    )


def _allowed(block: Block, user: User) -> bool | None:
    allowed: list[bool | None] = []
    for key, own in {"user": {user.name}, "group": set(user.groups)}.items():
        if block.get(f"acl_{key}_enable") == "True":
            # user@host, +user and -user are possible, too
            names = {name.strip().partition("@")[0].lstrip("+") for name in block.get(f"acl_{key}s", "").split(",")}
            allowed.append(None if own <= {""} else bool(own & names) or "*" in names)
    return known(allowed)


SURVEY = PbsSurvey()
