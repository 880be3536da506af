"""Reads a site's queues and hosts from Grid Engine's commands.

Manuals: qstat(1), qconf(1), qselect(1), complex(5), queue_conf(5). tests/replies/sge/ holds replies of 8.1.9: qconf
shows nothing to a host that only submits jobs; qstat shows all but the totals of consumables (memory, GPUs), of which
it prints the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from jobclusters.dialects.base import Reply
from jobclusters.discovery.facts import (
    Facts,
    FoundQueue,
    Node,
    Shape,
    Survey,
    User,
    counted,
    listed,
    memory_of,
    number,
    plain,
    read_walltime,
)
from jobclusters.spec.units import UNLIMITED

#: Sites' names of consumable memory, of GPUs, and of their type: the first one found counts.
MEMORY = ("h_vmem", "m_mem_free", "mem_free", "virtual_free", "h_rss", "ram", "memory")
GPUS = ("gpu", "gpus", "ngpus", "GPU", "num_gpu", "cuda")
GPU_TYPES = ("gpu_type", "gpu_model", "gputype", "gpu_card", "gpu_arch")
#: Sites' names of parallel environments with slots on one node.
ENVIRONMENTS = ("smp", "shm", "openmp", "threaded")

_RESOURCES = ",".join(("h_rt", "mem_total", "slots", *MEMORY, *GPUS, *GPU_TYPES))
_INSTANCE = re.compile(
    r"^(\S+)@(\S+)\s+(\S+)\s+([0-9]{1,9})/([0-9]{1,9})/([0-9]{1,9})\s+\S+\s+\S+[ \t]*(\S*)\s*$", re.MULTILINE
)
_RESOURCE = re.compile(r"^\s+([a-z]{2}):([^=\s]+)=(.*?)\s*$", re.MULTILINE)
_COLUMNS = re.compile(r"^(\w+)\s+(.*?)\s*$", re.MULTILINE)
_Totals = Mapping[tuple[object, ...], Mapping[str, str]]
#: Letters in the state of a queue instance that starts no job.
_DOWN = frozenset("udDEoc")


@dataclass(frozen=True)
class _Instance:
    """A queue on a host."""

    queue: str
    host: str
    kinds: str
    used: int
    slots: int
    state: str
    resources: Mapping[str, str]
    #: The resources of which qstat prints the rest.
    consumable: frozenset[str]

    @property
    def like(self) -> tuple[object, ...]:
        """The properties that hosts of one make have in common."""
        return self.slots, *((key, self.resources.get(key)) for key in ("mem_total", *GPU_TYPES))


class SgeSurvey(Survey):
    """Grid Engine's queues and hosts."""

    system = "sge"
    questions = MappingProxyType(
        {
            "queues": ("qstat", "-f", "-F", _RESOURCES, "-q", "*"),
            "settings": ("qconf", "-sq", "*"),
            "environments": ("qconf", "-spl"),
            **{name: ("qselect", "-pe", name) for name in ENVIRONMENTS},
        }
    )
    needed = frozenset({"queues"})

    def more(self, replies: Mapping[str, Reply]) -> Mapping[str, tuple[str, ...]]:
        """Ask for the rule of each parallel environment, and for a host of each make whose hosts are all in use."""
        names = replies["environments"].out.split() if replies["environments"].ok else []
        busy = {each.like: each.host for each in _instances(replies["queues"])}
        idle = {each.like for each in _idle(_instances(replies["queues"]))}
        hosts = [host for like, host in busy.items() if like not in idle]
        return {f"pe {name}": ("qconf", "-sp", name) for name in names if plain(name)} | {
            f"host {host}": ("qconf", "-se", host) for host in hosts[:16]
        }

    def read(self, replies: Mapping[str, Reply], user: User) -> Facts:  # noqa: ARG002 -- lists of users it can't see
        """Read the replies."""
        instances = _instances(replies["queues"])
        settings = _settings(replies["settings"])
        names = {key: _named(key, instances) for key in ("memory", "gpu", "gpu_type")}
        sizes = _sizes(instances, replies)
        queues, left_out = [], []
        for name in dict.fromkeys(each.queue for each in instances):
            own = [each for each in instances if each.queue == name]
            if not plain(name):
                left_out.append(f"{name}: a configuration can't hold its name")
            elif not any("B" in each.kinds for each in own):
                left_out.append(f"{name}: it takes no batch jobs")
            else:
                queues.append(_queue(name, own, settings.get(name, {}), sizes, names))
        environment, remark = _environment(replies)
        named = {
            "parallel-environment": environment,
            "memory-complex": names["memory"],
            "gpu-complex": names["gpu"],
            "gpu-type-complex": names["gpu_type"],
        }
        left_out += remark
        return Facts("sge", tuple(queues), tuple(left_out), {key: value for key, value in named.items() if value})


def _instances(reply: Reply) -> list[_Instance]:
    parts = _INSTANCE.split(reply.out) if reply.ok else []
    found = []
    for at in range(1, len(parts), 8):
        queue, host, kinds, _, used, slots, state, body = parts[at : at + 8]
        lines = _RESOURCE.findall(body)
        resources = {key: value for _, key, value in lines}
        left = frozenset(key for source, key, _ in lines if source[1] == "c")
        found.append(_Instance(queue, host, kinds, int(used), int(slots), state, resources, left))
    return found


def _idle(instances: Iterable[_Instance]) -> list[_Instance]:
    """Give the instances of idle hosts, whose rest is their total."""
    instances = list(instances)
    used = {each.host for each in instances if each.used}
    return [each for each in instances if each.host not in used]


def _named(key: str, instances: Iterable[_Instance]) -> str:
    """Find the site's name of memory, GPUs, or their type."""
    names = {"memory": MEMORY, "gpu": GPUS, "gpu_type": GPU_TYPES}[key]
    there = {name for each in instances for name in (each.resources if key == "gpu_type" else each.consumable)}
    return next((name for name in names if name in there), "")


def _bytes(text: str) -> int:
    """Read an amount of memory: K, M and G are powers of 1024, k, m and g of 1000.

    >>> _bytes("256.000G"), _bytes("24105.550781M"), _bytes("1g"), _bytes("infinity")
    (274877906944, 25276502015, 1000000000, 0)
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]+)?)([kKmMgGtT]?)", text.strip())
    if not match:
        return 0
    unit = match[2]
    return int(float(match[1]) * (1024 if unit.isupper() else 1000) ** " kmgt".index(unit.lower() or " "))


def _sizes(instances: Iterable[_Instance], replies: Mapping[str, Reply]) -> _Totals:
    """Give the totals of each make: the rest of idle hosts, or qconf's values of one."""
    instances = list(instances)
    found: dict[tuple[object, ...], Mapping[str, str]] = {}
    for each in _idle(instances):
        found.setdefault(each.like, {name: each.resources[name] for name in each.consumable})
    for each in instances:
        reply = replies.get(f"host {each.host}")
        if reply is not None and reply.ok and each.like not in found:
            text = reply.out.replace("\\\n", "")
            values = dict(_COLUMNS.findall(text)).get("complex_values", "")
            found[each.like] = dict(item.strip().partition("=")[::2] for item in values.split(",") if "=" in item)
    return found


def _shape(each: _Instance, totals: _Totals, names: Mapping[str, str]) -> Shape:
    """Give a host's shape; its rest where its totals are unknown."""
    total = totals.get(each.like, each.resources)
    memory = _bytes(total.get(names["memory"], "")) or _bytes(each.resources.get("mem_total", ""))
    count = number(total.get(names["gpu"], "")) or 0
    kind = next((each.resources[name] for name in GPU_TYPES if name in each.resources), "")
    return Shape(each.slots, memory_of(memory), ((kind if plain(kind) else "", count),) if count else ())


def _settings(reply: Reply) -> dict[str, dict[str, str]]:
    """Read the queues' settings, if qconf shows them."""
    text = reply.out.replace("\\\n", "") if reply.ok else ""
    blocks = [dict(_COLUMNS.findall(block)) for block in re.split(r"\n\s*\n", text)]
    return {block["qname"]: block for block in blocks if "qname" in block}


def _queue(
    name: str, own: list[_Instance], settings: Mapping[str, str], totals: _Totals, names: Mapping[str, str]
) -> FoundQueue:
    nodes, down = counted(Node(_shape(each, totals, names), not set(each.state) & _DOWN) for each in own if each.slots)
    consumables = bool(names["memory"] or names["gpu"])
    unsure = consumables and any(each.like not in totals for each in own)
    lists = {"user_lists": "for the users of", "projects": "for the projects", "xuser_lists": "not for the users of"}
    remarks = [f"{what} {listed(settings[key])}" for key, what in lists.items() if settings.get(key, "NONE") != "NONE"]
    return FoundQueue(
        name=name,
        walltime=_longest(each.resources.get("h_rt") for each in own),
        nodes=nodes,
        down=down,
        unsure=unsure,
        allowed=None if remarks else True,
        remarks=tuple(remarks),
    )


def _longest(texts: Iterable[str | None]) -> timedelta | None:
    times = [UNLIMITED if text == "infinity" else read_walltime(text, "seconds, MM:SS") for text in texts]
    return None if None in times else max((time for time in times if time is not None), default=None)


def _environment(replies: Mapping[str, Reply]) -> tuple[str, list[str]]:
    """Find the parallel environment that gives slots on one node."""
    for key, reply in replies.items():
        if key.startswith("pe ") and reply.ok and re.search(r"^allocation_rule\s+\$pe_slots", reply.out, re.MULTILINE):
            return key.removeprefix("pe "), []
    rules_shown = any(key.startswith("pe ") and reply.ok for key, reply in replies.items())
    for name in ENVIRONMENTS:
        if not rules_shown and replies[name].ok and replies[name].out.strip():
            why = "only an administrative host sees how it hands out slots"
            return name, [f"parallel environment {name}: {why}; it must be on one node ($pe_slots)"]
    advice = "set jobqueue.sge.parallel-environment, or jobs have one core"
    return "", [f"no parallel environment with slots on one node ($pe_slots) was found: {advice}"]


SURVEY = SgeSurvey()
