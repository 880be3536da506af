"""Writes the facts about a site as a configuration file with comments, and as JSON."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import cache

import jinja2
import yaml

from jobclusters.discovery.facts import ALL_DOWN, Facts, FoundQueue, Shape
from jobclusters.discovery.sizing import FoundSize, find_sizes
from jobclusters.spec.queues import JobShape, Queue, best_queue, time_text
from jobclusters.spec.units import MIB, UNLIMITED, memory_text


def clean(text: str) -> str:
    """Make one printable line of text from the batch system, which may hold anything."""
    return "".join(sign if sign.isprintable() else " " for sign in re.sub(r"\s+", " ", text)).strip()


def comment(text: str, indent: int = 0, width: int = 112) -> str:
    """Write a text as a comment, wrapped into lines.

    >>> print(comment("one two three", 2, 12))
      # one two
      # three
    """
    margin = " " * indent
    return textwrap.fill(
        clean(text),
        width,
        initial_indent=f"{margin}# ",
        subsequent_indent=f"{margin}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def scalar(value: object) -> str:
    """Write one value, in quotes where YAML would misread it."""
    if isinstance(value, list):
        return f"[{', '.join(scalar(each) for each in value)}]"
    if isinstance(value, str):
        text: str = yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True)
        return text.strip()[1:-1]
    return str(value)


def flow(entry: Mapping[str, object]) -> str:
    """Write a mapping on one line.

    >>> print(flow({"cores": 4, "walltime": "12:00:00", "slurm": {"queue": "no"}}))
    {cores: 4, walltime: "12:00:00", slurm: {queue: 'no'}}
    """
    parts = []
    for key, value in entry.items():
        text = f'"{value}"' if key == "walltime" else flow(value) if isinstance(value, Mapping) else scalar(value)
        parts.append(f"{scalar(key)}: {text}")
    return f"{{{', '.join(parts)}}}"


def binary(memory: int) -> str:
    """Write the limit of a queue, exactly.

    >>> binary(256000 * 2**20), binary(244 * 2**30)
    ('250 GiB', '244 GiB')
    """
    size = memory // MIB
    return f"{size} MiB" if size % 1024 else f"{size // 1024} GiB"


def decimal(memory: int) -> str:
    """Write the memory of a size, in whole MB.

    >>> decimal(64_000_000_000), decimal(8_388_000_000)
    ('64 GB', '8388 MB')
    """
    return f"{memory // 10**6} MB" if memory % 10**9 else f"{memory // 10**9} GB"


#: Kinds of nodes in the description of a queue.
MOST_KINDS = 4


def limits(queue: FoundQueue) -> dict[str, object]:
    """Give a queue's known limits for ``jobclusters.queues``: the most that any of its nodes has."""
    shapes = list(queue.offers)
    found: dict[str, object] = {}
    if shapes:
        found["cores"] = max(shape.cores for shape in shapes)
        memories = [shape.memory for shape in shapes]
        if None not in memories and not queue.unsure:
            found["memory"] = binary(max(memory or 0 for memory in memories))
        kinds = sorted({kind for shape in shapes for kind, _ in shape.gpus})
        if not (queue.unsure and kinds):
            found["gpus"] = max(shape.gpu_count for shape in shapes)
        if kinds and "" not in kinds:
            found["gpu-types"] = kinds
    if queue.walltime is not None and queue.walltime > timedelta(0):
        found["walltime"] = time_text(queue.walltime)
    return found


def as_json(facts: Facts) -> dict[str, object]:
    """Give the facts as plain data: memory in bytes, times in seconds; null for no limit, or an unknown one."""
    return {
        "system": facts.system,
        "queues": [
            {
                "name": queue.name,
                "default": queue.default,
                "preemptible": queue.preemptible,
                "allowed": queue.allowed,
                "walltime": None if queue.walltime in (None, UNLIMITED) else queue.walltime.total_seconds(),
                "nodes": [
                    {"count": count, "cores": shape.cores, "memory": shape.memory, "gpus": dict(shape.gpus)}
                    for shape, count in queue.offers.items()
                ],
                "down": queue.down,
                "remarks": list(queue.remarks),
            }
            for queue in facts.queues
        ],
        "sizes": {
            size.name: {
                "label": size.label,
                "cores": size.cores,
                "memory": size.memory,
                "gpus": size.gpus,
                "gpu-type": size.gpu_type or None,
            }
            for size in find_sizes(facts)
        },
        "settings": dict(facts.settings),
        "left-out": list(facts.left_out),
    }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobclusters.templates", ""),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- it prints YAML
    )
    environment.filters |= {"clean": clean, "comment": comment, "flow": flow, "scalar": scalar}
    return environment.get_template("discovered.yaml.j2")


def write(facts: Facts, title: str, today: date) -> str:
    """Write the facts as a YAML file for Dask's configuration; the batch system's title and the date head it."""
    return _template().render(
        facts=facts,
        title=title,
        today=today.isoformat(),
        queues=_queues(facts),
        spot=_spot(facts),
        sizes=_sizes(facts),
    )


def _queues(facts: Facts) -> list[dict[str, object]]:
    """Describe each queue: its limits, and why it is only a comment if it is one."""
    listed = _listed(facts)
    return [
        {
            "name": queue.name,
            "description": _describe(queue),
            "limits": limits(queue),
            "unlisted": "" if queue in listed else _why(queue, facts),
        }
        for queue in facts.queues
    ]


def _listed(facts: Facts) -> list[FoundQueue]:
    """Give the queues that are listed. Dask's configuration holds only one of a-b and a_b."""
    listed: dict[str, FoundQueue] = {}
    for queue in facts.queues:
        if queue in facts.usable or queue == facts.spot:
            listed.setdefault(queue.name.replace("_", "-"), queue)
    return list(listed.values())


def _why(queue: FoundQueue, facts: Facts) -> str:
    if queue.allowed is False:
        return "You may not use it; for those who may"
    if queue.down == ALL_DOWN:
        return "Once a node is up"
    if queue.allowed is None:
        return "Whether you may use it isn't known; if so"
    if queue.preemptible and queue != facts.spot:
        return "Preemptible: no job should get there unasked"
    return "Its name differs from another one's by - and _ only, which are the same in Dask's configuration"


def _describe(queue: FoundQueue) -> str:
    offers = sorted(queue.offers.items(), key=lambda it: (-it[1], -it[0].cores, -(it[0].memory or 0), it[0].gpus))
    kinds = [_nodes(shape, count) for shape, count in offers] or ["its nodes aren't known"]
    if len(kinds) > MOST_KINDS:
        kinds[MOST_KINDS:] = [f"{len(kinds) - MOST_KINDS} more kinds"]
    nodes = " and ".join(kinds)
    down = f", {queue.down}" if queue.down else ""
    unsure = "; more memory and GPUs, perhaps: nodes were in use" if queue.unsure and queue.nodes else ""
    remarks = ["the default" if queue.default else "", "preemptible" if queue.preemptible else "", *queue.remarks]
    return f"{nodes}{down}{unsure}" + "".join(f"; {text}" for text in remarks if text)


def _nodes(shape: Shape, count: int) -> str:
    memory = f", {memory_text(shape.memory)}" if shape.memory else ", memory not known"
    gpus = "".join(f", {number} {kind or ('GPU' if number == 1 else 'GPUs')}" for kind, number in shape.gpus)
    cores = "core" if shape.cores == 1 else "cores"
    return f"{count} {'node' if count == 1 else 'nodes'} of {shape.cores} {cores}{memory}{gpus}"


def _spot(facts: Facts) -> dict[str, str]:
    spot = {"queue": facts.spot.name} if facts.spot else {}
    return {**spot, "qos": facts.spot_qos} if facts.spot_qos else spot


def _sizes(facts: Facts) -> list[dict[str, object]]:
    """Describe each size, and name the queues that hold it."""
    batch = facts.system != "local"
    queues = [_as_queue(queue) for queue in _listed(facts) if queue in facts.usable] if batch else []
    described: list[dict[str, object]] = []
    for size in find_sizes(facts):
        entry: dict[str, object] = {"label": size.label, "cores": size.cores, "memory": decimal(size.memory)}
        if size.gpus:
            entry["gpus"] = size.gpus
        if size.gpu_type and batch:
            entry[facts.system] = {"gpu-type": size.gpu_type}
        described.append({"name": size.name, "entry": entry, "queues": _holding(queues, size)})
    return described


def _as_queue(queue: FoundQueue) -> Queue:
    shapes = list(queue.offers)
    memories = [shape.memory for shape in shapes if shape.memory is not None]
    kinds = {kind for shape in shapes for kind, _ in shape.gpus}
    return Queue(
        queue.name,
        max((shape.cores for shape in shapes), default=None),
        max(memories, default=None),
        max((shape.gpu_count for shape in shapes), default=None),
        () if "" in kinds else tuple(sorted(kinds)),
        queue.walltime,
    )


def _holding(queues: Iterable[Queue], size: FoundSize) -> list[str]:
    """Name the queues that hold a size, its own queue first."""
    left = {queue.name: queue for queue in queues}
    names: list[str] = []
    shape = JobShape(size.cores, size.memory, size.gpus, size.gpu_type or None)
    while name := best_queue(left, shape):
        names.append(name)
        del left[name]
    return names
