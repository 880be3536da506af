"""What Grid Engine's commands tell of a site. Manuals: qstat(1), qconf(1), qselect(1), complex(5), queue_conf(5).

What was recorded of 8.1.9 is in tests/replies/sge/. There, qconf shows nothing to a host that only submits jobs; qstat
shows all but the totals of what is handed out (memory, GPUs), of which it prints what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from jobclusters.dialect import Reply
from jobclusters.discovery.facts import (
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
from jobclusters.units import UNLIMITED, parse_walltime

#: What sites call memory that is handed out, GPUs, and their type: the first that is there is taken.
MEMORY = ("h_vmem", "m_mem_free", "mem_free", "virtual_free", "h_rss", "ram", "memory")
GPUS = ("gpu", "gpus", "ngpus", "GPU", "num_gpu", "cuda")
GPU_TYPES = ("gpu_type", "gpu_model", "gputype", "gpu_card", "gpu_arch")
#: What sites call slots on one node.
ENVIRONMENTS = ("smp", "shm", "openmp", "threaded")

_ASKED = ",".join(("h_rt", "mem_total", "slots", *MEMORY, *GPUS, *GPU_TYPES))
_INSTANCE = re.compile(r"^(\S+)@(\S+)\s+(\S+)\s+(\d+)/(\d+)/(\d+)\s+\S+\s+\S+[ \t]*(\S*)\s*$", re.MULTILINE)
_RESOURCE = re.compile(r"^\s+([a-z]{2}):([^=\s]+)=(.*?)\s*$", re.MULTILINE)
_COLUMNS = re.compile(r"^(\w+)\s+(.*?)\s*$", re.MULTILINE)
_Totals = Mapping[tuple[object, ...], Mapping[str, str]]
#: Letters of a queue instance's state that mean: no job starts there.
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
    #: What is left of a resource, rather than a property of the host.
    consumable: frozenset[str]

    @property
    def like(self) -> tuple[object, ...]:
        """What hosts of one make have in common."""
        return self.slots, *((key, self.resources.get(key)) for key in ("mem_total", *GPU_TYPES))


class SgeSurvey(Survey):
    """Grid Engine's queues and hosts."""

    system = "sge"
    questions = MappingProxyType(
        {
            "queues": ("qstat", "-f", "-F", _ASKED),
            "settings": ("qconf", "-sq", "*"),
            "environments": ("qconf", "-spl"),
            **{name: ("qselect", "-pe", name) for name in ENVIRONMENTS},
        }
    )
    needed = frozenset({"queues"})

    def more(self, replies: Mapping[str, Reply]) -> Mapping[str, tuple[str, ...]]:
        """Ask how each parallel environment hands out slots, and what a host has where all like it are in use."""
        names = replies["environments"].out.split() if replies["environments"].ok else []
        busy = {each.like: each.host for each in _instances(replies["queues"])}
        idle = {each.like for each in _idle(_instances(replies["queues"]))}
        hosts = [host for like, host in busy.items() if like not in idle]
        return {f"pe {name}": ("qconf", "-sp", name) for name in names if plain(name)} | {
            f"host {host}": ("qconf", "-se", host) for host in hosts[:16]
        }

    def read(self, replies: Mapping[str, Reply], person: Person) -> Facts:  # noqa: ARG002 -- lists of users it can't see
        """Read the replies."""
        instances = _instances(replies["queues"])
        settings = _settings(replies["settings"])
        names = {key: _named(key, instances) for key in ("memory", "gpu", "gpu_type")}
        sizes = _sizes(instances, replies)
        queues, left_out = [], []
        for name in dict.fromkeys(each.queue for each in instances):
            own = [each for each in instances if each.queue == name]
            if not plain(name):
                left_out.append(f"{name}: its name can't stand in a configuration")
            elif not any("B" in each.kinds for each in own):
                left_out.append(f"{name}: it takes no batch jobs")
            else:
                queues.append(_queue(name, own, settings.get(name, {}), sizes, names))
        environment, remark = _environment(replies)
        called = {
            "parallel-environment": environment,
            "memory-complex": names["memory"],
            "gpu-complex": names["gpu"],
            "gpu-type-complex": names["gpu_type"],
        }
        left_out += remark
        return Facts("sge", tuple(queues), tuple(left_out), {key: value for key, value in called.items() if value})


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
    """Give the instances of hosts on which nothing runs: what is left there is all there is."""
    instances = list(instances)
    used = {each.host for each in instances if each.used}
    return [each for each in instances if each.host not in used]


def _named(key: str, instances: Iterable[_Instance]) -> str:
    """Tell what the site calls memory, GPUs, or their type."""
    names = {"memory": MEMORY, "gpu": GPUS, "gpu_type": GPU_TYPES}[key]
    there = {name for each in instances for name in (each.resources if key == "gpu_type" else each.consumable)}
    return next((name for name in names if name in there), "")


def _bytes(text: str) -> int:
    """Read an amount of memory: K, M and G are powers of 1024, k, m and g of 1000.

    >>> _bytes("256.000G"), _bytes("24105.550781M"), _bytes("1g"), _bytes("infinity")
    (274877906944, 25276502015, 1000000000, 0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT]?)", text.strip())
    if not match:
        return 0
    unit = match[2]
    return int(float(match[1]) * (1024 if unit.isupper() else 1000) ** " kmgt".index(unit.lower() or " "))


def _sizes(instances: Iterable[_Instance], replies: Mapping[str, Reply]) -> _Totals:
    """Tell what hosts of each make hand out: what idle ones have left, or what qconf says of one."""
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
    """Give a host's shape; where its totals aren't known, what is left of it now."""
    total = totals.get(each.like, each.resources)
    memory = _bytes(total.get(names["memory"], "")) or _bytes(each.resources.get("mem_total", ""))
    count = number(total.get(names["gpu"], "")) or 0
    kind = next((each.resources[name] for name in GPU_TYPES if name in each.resources), "")
    return Shape(each.slots, memory_of(memory), ((kind if plain(kind) else "", count),) if count else ())


def _settings(reply: Reply) -> dict[str, dict[str, str]]:
    """Read the queues' settings, where qconf shows them."""
    text = reply.out.replace("\\\n", "") if reply.ok else ""
    blocks = [dict(_COLUMNS.findall(block)) for block in re.split(r"\n\s*\n", text)]
    return {block["qname"]: block for block in blocks if "qname" in block}


def _queue(
    name: str, own: list[_Instance], settings: Mapping[str, str], totals: _Totals, names: Mapping[str, str]
) -> FoundQueue:
    nodes, down = counted(Node(_shape(each, totals, names), not set(each.state) & _DOWN) for each in own if each.slots)
    handed_out = names["memory"] or names["gpu"]
    unsure = bool(handed_out) and any(each.like not in totals for each in own)
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
    known = [_time(text) for text in texts]
    return None if None in known else max((time for time in known if time is not None), default=None)


def _time(text: str | None) -> timedelta | None:
    try:
        return UNLIMITED if text == "infinity" else parse_walltime(text, "seconds, MM:SS")
    except ValueError:
        return None


def _environment(replies: Mapping[str, Reply]) -> tuple[str, list[str]]:
    """Find the parallel environment that gives slots on one node."""
    for key, reply in replies.items():
        if key.startswith("pe ") and reply.ok and re.search(r"^allocation_rule\s+\$pe_slots", reply.out, re.MULTILINE):
            return key.removeprefix("pe "), []
    told = any(key.startswith("pe ") and reply.ok for key, reply in replies.items())
    for name in ENVIRONMENTS:
        if not told and replies[name].ok and replies[name].out.strip():
            why = "nobody but an administrative host sees how it hands out slots"
            return name, [f"parallel environment {name}: {why}; it must be on one node ($pe_slots)"]
    advice = "set jobqueue.sge.parallel-environment, or jobs have one core"
    return "", [f"no parallel environment with slots on one node ($pe_slots) was found: {advice}"]
