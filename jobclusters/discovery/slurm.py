"""Reads a site's partitions and nodes from scontrol. Manual: https://slurm.schedmd.com/scontrol.html.

tests/replies/slurm/ holds replies of SLURM 22.05.
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
from jobclusters.spec.units import MIB, UNLIMITED, Clock

Fields = Mapping[str, str]

_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w/:]*)=(.*?)(?=\s+[A-Za-z][\w/:]*=|\s*$)")
_SETTING = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_CLOCK: Clock = "minutes, MM:SS"
_GPU = re.compile(r"gpu(?::([^:,()]+?))?(?::([0-9]+))?(?:\([^)]*\))?$")
#: Flags in the state of a node that starts no job. A node that is POWERED_DOWN wakes up for a job.
_DOWN = frozenset(
    {"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "FUTURE", "UNKNOWN", "INVAL", "INVALID_REG"}
    | {"NOT_RESPONDING"}
)


@dataclass(frozen=True)
class _PartitionedNode:
    node: Node
    partitions: frozenset[str]


class SlurmSurvey(Survey):
    """SLURM's partitions and nodes. scontrol shows neither hidden ones nor those of other groups."""

    system = "slurm"
    questions = MappingProxyType(
        {
            "partitions": ("scontrol", "-o", "show", "partition"),
            "nodes": ("scontrol", "-o", "show", "node"),
            "settings": ("scontrol", "show", "config"),
            "accounts": ("sacctmgr", "-n", "-P", "show", "assoc", "where", "user={user}", "format=account,qos"),
            "qos": ("sacctmgr", "-n", "-P", "show", "qos", "format=name,preempt"),
        }
    )
    needed = frozenset({"partitions", "nodes"})

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:
        """Read the replies."""
        settings = dict(_SETTING.findall(replies["settings"].out)) if replies["settings"].ok else {}
        nodes = [node for line in _lines(replies["nodes"], "NodeName") if (node := _node(line))]
        partitions = _lines(replies["partitions"], "PartitionName")
        mine = [line.split("|") for line in replies["accounts"].out.splitlines() if replies["accounts"].ok]
        accounts = frozenset(words[0] for words in mine)
        quality = frozenset(word for words in mine if len(words) > 1 for word in words[1].split(",") if word)
        queues, left_out = [], []
        for fields in partitions:
            name = fields["PartitionName"]
            if why := _closed(fields):
                left_out.append(f"{name}: {why}")
                continue
            preemptible = _preemptible(fields, partitions, nodes, settings)
            own = {"Groups": user.groups, "Accounts": accounts, "Qos": quality}
            queues.append(_queue(fields, nodes, settings, preemptible, _allowed(fields, own)))
        qos = _spot_qos(replies["qos"], quality) if "qos" in settings.get("PreemptType", "") else ""
        return Facts("slurm", tuple(queues), tuple(left_out), spot_qos=qos)


def _lines(reply: Reply, first: str) -> list[Fields]:
    fields = [dict(_FIELD.findall(line)) for line in reply.out.splitlines() if line.startswith(f"{first}=")]
    return [each for each in fields if each[first]]


def _node(fields: Fields) -> _PartitionedNode | None:
    """Read a node without the memory and cores that are reserved for its system."""
    cores = number(fields.get("CPUEfctv")) or number(fields.get("CPUTot"))
    if not cores:
        return None
    if "CPUEfctv" not in fields:
        cores -= (number(fields.get("CoreSpecCount")) or 0) * (number(fields.get("ThreadsPerCore")) or 1)
    memory = (number(fields.get("RealMemory")) or 0) - (number(fields.get("MemSpecLimit")) or 0)
    state = fields.get("State", "UNKNOWN")
    flags = set(re.split(r"[^A-Z_]+", state))
    return _PartitionedNode(
        # An unknown RealMemory is 1.
        Node(
            Shape(max(1, cores), memory_of(memory * MIB), _gpus(fields.get("Gres", ""))),
            up="*" not in state and not flags & _DOWN,
        ),
        frozenset(fields.get("Partitions", "").split(",")),
    )


def _gpus(text: str) -> tuple[tuple[str, int], ...]:
    """Read a node's generic resources.

    >>> _gpus("gpu:a100:4(S:0-1),gpu:v100:2,nvme:1,shard:8"), _gpus("gpu:2"), _gpus("(null)")
    ((('a100', 4), ('v100', 2)), (('', 2),), ())
    """
    found: dict[str, int] = {}
    for item in re.split(r",(?![^(]*\))", text):
        if match := _GPU.fullmatch(item.strip()):
            kind, count = match[1] or "", match[2] or "1"
            if (untyped := number(kind)) is not None:  # gpu:4 has no type
                kind, amount = "", untyped
            else:
                amount = number(count) or 0
            if amount and (not kind or plain(kind)):
                found[kind] = found.get(kind, 0) + amount
    return tuple(found.items())


def _closed(fields: Fields) -> str:
    """Explain why a partition takes no jobs of workers; "" if it does."""
    if not plain(fields["PartitionName"]):
        return "a configuration can't hold its name"
    if fields.get("State", "UP") != "UP":
        return f"its state is {fields['State']}"
    for key, why in {"Hidden": "hidden", "RootOnly": "for root only", "ReqResv": "for reservations only"}.items():
        if fields.get(key) == "YES":
            return f"it is {why}"
    if (least := number(fields.get("MinNodes")) or 0) > 1:
        return f"its jobs have at least {least} nodes, ours have one"
    return "its jobs have no nodes (MaxNodes=0)" if fields.get("MaxNodes") == "0" else ""


def _queue(
    fields: Fields, nodes: Iterable[_PartitionedNode], settings: Fields, preemptible: bool, allowed: bool | None
) -> FoundQueue:
    name = fields["PartitionName"]
    memory, per_core = (
        number(fields.get(key)) or number(settings.get(key)) for key in ("MaxMemPerNode", "MaxMemPerCPU")
    )
    cores = number(fields.get("MaxCPUsPerNode"))
    shapes, down = counted(each.node for each in nodes if name in each.partitions)
    remarks = [
        f"for the {what} {listed(fields[key])} only"
        for key, what in {"AllowGroups": "groups", "AllowAccounts": "accounts", "AllowQos": "QOS"}.items()
        if _restricted(fields, key)
    ]
    remarks += [f"not for the accounts {listed(fields['DenyAccounts'])}"] if fields.get("DenyAccounts") else []
    default = read_walltime(fields.get("DefaultTime"), _CLOCK)
    if default is not None and default != UNLIMITED:
        remarks.append(f"a job without a walltime gets {fields['DefaultTime']}")
    if fields.get("QoS", "N/A") != "N/A":
        remarks.append(f"the QOS {fields['QoS']} may set narrower limits")
    return FoundQueue(
        name=name,
        walltime=read_walltime(fields.get("MaxTime"), _CLOCK),
        nodes=shapes,
        cap=Cap(cores, memory and memory * MIB, memory_per_core=per_core and per_core * MIB),
        down=down,
        default=fields.get("Default") == "YES",
        preemptible=preemptible,
        allowed=allowed,
        remarks=tuple(remarks),
    )


def _restricted(fields: Fields, key: str) -> bool:
    return fields.get(key, "ALL") not in ("ALL", "(null)", "N/A", "")


def _allowed(fields: Fields, own: Mapping[str, frozenset[str]]) -> bool | None:
    """Tell whether a user with these groups, accounts and QOS may use a partition."""
    allowed: list[bool | None] = []
    for key, names in own.items():
        if _restricted(fields, f"Allow{key}"):
            allowed.append(bool(names & set(fields[f"Allow{key}"].split(","))) if names else None)
        if denied := set(fields.get(f"Deny{key}", "").split(",")) - {""}:
            allowed.append(bool(names - denied) if names else None)
    return known(allowed)


def _preemptible(
    fields: Fields, partitions: Iterable[Fields], nodes: Iterable[_PartitionedNode], settings: Fields
) -> bool:
    """Tell whether jobs of another partition, which shares nodes and has a higher tier, preempt this one's."""
    mode = fields.get("PreemptMode") or settings.get("PreemptMode", "OFF")
    if "partition_prio" not in settings.get("PreemptType", "") or mode == "OFF":
        return False
    name, tier = fields["PartitionName"], number(fields.get("PriorityTier")) or 0
    first = {each["PartitionName"] for each in partitions if (number(each.get("PriorityTier")) or 0) > tier}
    return any(name in node.partitions and first & node.partitions for node in nodes)


def _spot_qos(reply: Reply, mine: frozenset[str]) -> str:
    """Find a QOS of the user that another one preempts."""
    lines = [line.split("|") for line in reply.out.splitlines() if reply.ok and "|" in line]
    preempted = [name for words in lines for name in words[1].split(",") if name and plain(name)]
    return next((name for name in preempted if not mine or name in mine), "")


SURVEY = SlurmSurvey()
