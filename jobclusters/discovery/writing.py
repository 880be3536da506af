"""From what was found to a configuration file with comments, and to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from jobclusters.discovery.facts import ALL_DOWN, Facts, FoundQueue, Shape
from jobclusters.discovery.lines import binary, clean, comment, decimal, flow, scalar, walltime
from jobclusters.discovery.sizing import FoundSize, find_sizes
from jobclusters.fit import best
from jobclusters.queues import Queue
from jobclusters.units import UNLIMITED, gigabytes

#: Kinds of nodes to describe of a queue.
KINDS = 4


def limits(queue: FoundQueue) -> dict[str, object]:
    """Give what ``jobclusters.queues`` says of a queue: the most that any node of it has.

    Parameters
    ----------
    queue
        As found; what isn't told of it isn't said.
    """
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
        found["walltime"] = walltime(queue.walltime)
    return found


def as_json(facts: Facts) -> dict[str, object]:
    """Give what was found as plain data: memory in bytes, times in seconds (null: no limit is known, or there is none).

    Parameters
    ----------
    facts
        Of the site.
    """
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


def write(facts: Facts, title: str, today: date) -> str:
    """Write what was found as a file for Dask's configuration.

    Parameters
    ----------
    facts
        Of the site.
    title
        What people call the batch system.
    today
        When that was.

    Returns
    -------
    str
        YAML that jobclusters reads without complaint.
    """
    lines = [
        *comment(f"What `jobclusters discover` found on {title} on {today.isoformat()}.", ""),
        *comment(
            "Read it, and change what you know better. It holds for you in ~/.config/dask/, for all in /etc/dask/.", ""
        ),
        *(["# It asked:"] if facts.commands else []),
        *[f"#   {clean(command)}" for command in facts.commands],
        "",
        "jobclusters:",
        *_system(facts),
        *_queues(facts),
        *_spot(facts),
        *_sizes(facts),
        *_settings(facts),
    ]
    return "\n".join(lines) + "\n"


def _system(facts: Facts) -> list[str]:
    if facts.system != "torque":
        return []
    return [
        *comment("TORQUE's commands have the names of those of PBS: it has to be said.", "  "),
        "  system: torque",
        "",
    ]


# -- queues ------------------------------------------------------------------------------------------------------------


def _queues(facts: Facts) -> list[str]:
    if facts.system == "local":
        return []
    lines = [
        *comment(
            "The most that a node of each queue has for a job, and how long a job may run. A request that none holds is"
            " refused before it is submitted, and a job without a queue gets the one that fits it best.",
            "  ",
        ),
        "  queues:",
        f"    {facts.system}:",
    ]
    listed = _listed(facts)
    for queue in facts.queues:
        lines += comment(_describe(queue), "      ")
        entry = f"{scalar(queue.name)}: {flow(limits(queue))}"
        if why := "" if queue in listed else _why(queue, facts):
            lines += [*comment(f"{why}:", "      "), f"      # {entry}"]
        else:
            lines.append(f"      {entry}")
    if not listed:
        lines.append("      {}")
    if facts.left_out:
        lines += [line for text in ("Left out, or not known:", *facts.left_out) for line in comment(text, "      ")]
    return [*lines, ""]


def _listed(facts: Facts) -> list[FoundQueue]:
    """Give the queues whose limits hold. Names that Dask takes for the same (a-b, a_b) can't both be there."""
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
        return "Whether you may use it can't be told; if so"
    if queue.preemptible and queue != facts.spot:
        return "Preemptible: no job should get there unasked"
    return "Its name differs from another one's by - and _ only, which are the same in Dask's configuration"


def _describe(queue: FoundQueue) -> str:
    kinds = [_nodes(shape, count) for shape, count in _largest_first(queue.offers)] or ["its nodes aren't known"]
    nodes = " and ".join([*kinds[:KINDS], *([f"{len(kinds) - KINDS} more kinds"] if len(kinds) > KINDS else [])])
    down = f", {queue.down}" if queue.down else ""
    unsure = "; more memory and GPUs, perhaps: nodes were in use" if queue.unsure and queue.nodes else ""
    said = ["the default" if queue.default else "", "preemptible" if queue.preemptible else "", *queue.remarks]
    return f"{nodes}{down}{unsure}" + "".join(f"; {text}" for text in said if text)


def _largest_first(nodes: Mapping[Shape, int]) -> list[tuple[Shape, int]]:
    return sorted(nodes.items(), key=lambda item: (-item[1], -item[0].cores, -(item[0].memory or 0), item[0].gpus))


def _nodes(shape: Shape, count: int) -> str:
    memory = f", {gigabytes(shape.memory)}" if shape.memory else ", memory not known"
    gpus = "".join(f", {number} {kind or ('GPU' if number == 1 else 'GPUs')}" for kind, number in shape.gpus)
    cores = "core" if shape.cores == 1 else "cores"
    return f"{count} {'node' if count == 1 else 'nodes'} of {shape.cores} {cores}{memory}{gpus}"


# -- the rest ----------------------------------------------------------------------------------------------------------


def _spot(facts: Facts) -> list[str]:
    spot = {"queue": facts.spot.name} if facts.spot else {}
    if facts.spot_qos:
        spot["qos"] = facts.spot_qos
    if not spot:
        return []
    return [
        *comment("What worker_is_spot=True asks for.", "  "),
        "  spot:",
        f"    {facts.system}: {flow(spot)}",
        "",
    ]


def _sizes(facts: Facts) -> list[str]:
    sizes = find_sizes(facts)
    if not sizes:
        return [
            *comment("No node tells its memory, so there are no sizes here: see docs/sites.md.", "  "),
            "  sizes: {}",
        ]
    lines = [
        *comment('Sizes for this site: worker_size="node". Behind each, the queues that hold it.', "  "),
        "  sizes:",
    ]
    queues = [_as_queue(queue) for queue in _listed(facts) if queue in facts.usable]
    for size in sizes:
        entry: dict[str, object] = {"label": size.label, "cores": size.cores, "memory": decimal(size.memory)}
        if size.gpus:
            entry["gpus"] = size.gpus
        if size.gpu_type and facts.system != "local":
            entry[facts.system] = {"gpu-type": size.gpu_type}
        holding = ", ".join(_holding(queues, size))
        behind = f"  # {clean(holding)}" if holding and facts.system != "local" else ""
        lines.append(f"    {scalar(size.name)}: {flow(entry)}{behind}")
    return lines


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
    """Name the queues that hold a size, the one that it gets first."""
    left = {queue.name: queue for queue in queues}
    names: list[str] = []
    while name := best(
        left, cores=size.cores, memory=size.memory, gpus=size.gpus, gpu_type=size.gpu_type or None, walltime=None
    ):
        names.append(name)
        del left[name]
    return names


def _settings(facts: Facts) -> list[str]:
    if not facts.settings:
        return []
    lines = [f"    {key}: {scalar(value)}" for key, value in facts.settings.items()]
    what = comment("What the site calls slots on one node, memory and GPUs.", "")
    return ["", *what, "jobqueue:", f"  {facts.system}:", *lines]
