"""What pbsnodes and qstat tell of a site: PBS Professional, OpenPBS and TORQUE print the same format.

Manuals: pbsnodes(8B), qstat(1B), pbs_node_attributes(7B), pbs_queue_attributes(7B). The format is the one for people,
not JSON: TORQUE has none, and that of some versions of PBS can't be read (see the dialect).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType

from jobclusters.dialect import Reply
from jobclusters.discovery.facts import (
    Cap,
    Facts,
    FoundQueue,
    Node,
    Person,
    Shape,
    Survey,
    counted,
    listed,
    memory_of,
    number,
    plain,
)
from jobclusters.units import parse_walltime

Block = Mapping[str, str]

_ATTRIBUTE = re.compile(r"^\s+(\S+) = (.*)$", re.MULTILINE)
_SIZE = re.compile(r"(\d+)([kmgtp]?)([bw]?)", re.IGNORECASE)
#: Words of a node's state that mean: no job starts there.
_DOWN = frozenset(
    {"down", "offline", "unknown", "state-unknown", "stale", "unresolvable", "maintenance", "initializing"}
)
#: What is counted; of a chunk's other defaults, a node must have what they name.
_COUNTED = frozenset({"ncpus", "mem", "vmem", "ngpus", "naccelerators", "mpiprocs", "ompthreads", "nodect", "walltime"})


class PbsSurvey(Survey):
    """The queues and nodes of PBS or TORQUE, whose commands have the same names."""

    system = "pbs"
    questions = MappingProxyType(
        {"nodes": ("pbsnodes", "-a"), "queues": ("qstat", "-Q", "-f"), "server": ("qstat", "-B", "-f")}
    )
    needed = frozenset({"nodes", "queues"})

    def read(self, replies: Mapping[str, Reply], person: Person) -> Facts:
        """Read the replies. Which queues' jobs are preempted, the scheduler alone knows."""
        nodes = _blocks(replies["nodes"], r"^(\S+)$")
        torque = any("np" in node for node in nodes.values())
        hosts = _torque_hosts(nodes) if torque else _hosts(nodes)
        server = next(iter(_blocks(replies["server"], r"^Server: (\S+)$").values()), {})
        queues, left_out = [], []
        for name, block in _blocks(replies["queues"], r"^Queue: (.+)$").items():
            if why := _closed(name, block):
                left_out.append(f"{name}: {why}")
            else:
                queues.append(_queue(name, block, hosts, person, default=server.get("default_queue") == name))
        return Facts("torque" if torque else "pbs", tuple(queues), tuple(left_out))


def _blocks(reply: Reply, head: str) -> dict[str, Block]:
    """Read blocks of indented ``name = value`` lines; a line that begins with a tab goes on with the one before."""
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
    power = " kmgtp".index(match[2].lower() or " ")
    size: int = 1024**power
    return int(match[1]) * size * (8 if match[3].lower() == "w" else 1)


class _Host:
    """A node: what a job can have of it, and what it says of itself that a queue may ask for."""

    def __init__(self, shape: Shape, up: bool, marks: Mapping[str, str], queue: str = "") -> None:
        self.node = Node(shape, up)
        self.marks = marks
        self.queue = queue

    def serves(self, name: str, asked: Iterable[tuple[str, str]]) -> bool:
        """Whether jobs of a queue, which asks for these marks, may run there."""
        if self.queue and self.queue != name:
            return False
        return all(value in re.split(r"[,\s]+", self.marks.get(key, "").strip('"')) for key, value in asked)


def _hosts(nodes: Mapping[str, Block]) -> list[_Host]:
    """Read PBS's nodes; the vnodes of a host are one."""
    together: dict[str, list[Block]] = {}
    for name, block in nodes.items():
        together.setdefault(block.get("resources_available.host", name), []).append(block)
    return [_host(blocks) for blocks in together.values()]


def _host(blocks: list[Block]) -> _Host:
    def total(resource: str) -> int:
        return sum(number(block.get(f"resources_available.{resource}")) or 0 for block in blocks)

    marks = {
        key.removeprefix("resources_available."): value
        for block in blocks
        for key, value in block.items()
        if key.startswith("resources_available.")
    }
    kind = marks.get("gpu_type", "")  # what our template asks for
    gpus = ((kind if plain(kind) else "", total("ngpus")),) if total("ngpus") else ()
    memory = sum(_bytes(block.get("resources_available.mem")) for block in blocks)
    up = any(_up(block) for block in blocks)
    queue = next((block["queue"] for block in blocks if "queue" in block), "")
    return _Host(Shape(total("ncpus"), memory_of(memory), gpus), up, marks, queue)


def _torque_hosts(nodes: Mapping[str, Block]) -> list[_Host]:
    """Read TORQUE's nodes; GPUs have no type there, unless the site calls it a property of the node."""
    hosts = []
    for block in nodes.values():
        status = dict(item.partition("=")[::2] for item in block.get("status", "").split(","))
        gpus = number(block.get("gpus")) or 0
        memory = memory_of(_bytes(status.get("physmem")))
        shape = Shape(number(block.get("np")) or 0, memory, (("", gpus),) if gpus else ())
        hosts.append(_Host(shape, _up(block), {"neednodes": block.get("properties", "")}))
    return hosts


def _up(block: Block) -> bool:
    return not set(re.split(r"[,\s]+", block.get("state", "unknown").lower())) & _DOWN


def _closed(name: str, block: Block) -> str:
    """Say why a queue isn't one for jobs of ours, if so."""
    if not plain(name):
        return "its name can't stand in a configuration"
    if block.get("queue_type", "Execution").lower()[:1] != "e":
        return f"it only routes jobs to {block.get('route_destinations', 'other queues')}"
    for key, why in {"enabled": "takes no jobs", "started": "starts no jobs"}.items():
        if block.get(key, "True") != "True":
            return f"it {why} ({key} = {block[key]})"
    return "its jobs come from other queues" if block.get("from_route_only") == "True" else ""


def _queue(name: str, block: Block, hosts: Iterable[_Host], person: Person, *, default: bool) -> FoundQueue:
    asked = {
        key.removeprefix("default_chunk."): value
        for key, value in block.items()
        if key.startswith("default_chunk.") and key.removeprefix("default_chunk.") not in _COUNTED
    }
    # 1:ppn=1:fast asks for the property fast alone
    words = block.get("resources_default.neednodes", "").split(":")
    properties = [word for word in words if word and not word.isdigit() and "=" not in word]
    most = {key.removeprefix("resources_max."): value for key, value in block.items()}
    cap = Cap(number(most.get("ncpus")), _bytes(most.get("mem")), number(most.get("ngpus")))

    asked_of_all = [*asked.items(), *(("neednodes", word) for word in properties)]
    serving = [host.node for host in hosts if host.node.shape.cores and host.serves(name, asked_of_all)]
    nodes, down = counted(serving)
    remarks = [
        f"for the {key}s {listed(block.get(f'acl_{key}s', 'of a list'))} only"
        for key in ("user", "group")
        if block.get(f"acl_{key}_enable") == "True"
    ]
    if usual := block.get("resources_default.walltime"):
        remarks.append(f"a job without a walltime gets {usual}")
    walltime = _time(most.get("walltime"))
    return FoundQueue(
        name=name,
        walltime=walltime,
        nodes=nodes,
        cap=cap,
        down=down,
        default=default,
        allowed=_allowed(block, person),
        remarks=tuple(remarks),
    )


def _time(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_walltime(text, "seconds, MM:SS")
    except ValueError:
        return None


def _allowed(block: Block, person: Person) -> bool | None:
    told: list[bool | None] = [True]
    for key, own in {"user": {person.user}, "group": set(person.groups)}.items():
        if block.get(f"acl_{key}_enable") == "True":
            # user@host, +user and -user are possible, too
            names = {name.strip().partition("@")[0].lstrip("+") for name in block.get(f"acl_{key}s", "").split(",")}
            told.append(None if own <= {""} else bool(own & names) or "*" in names)
    return False if False in told else None if None in told else True
