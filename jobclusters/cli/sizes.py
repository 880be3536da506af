"""``jobclusters sizes``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from jobclusters.cli.options import examples, json_option, print_json, print_table, system_option
from jobclusters.config import settings
from jobclusters.spec.sizes import Size
from jobclusters.spec.units import memory_text


@click.command("sizes", epilog=examples("jobclusters sizes", "jobclusters sizes --system slurm --json"))
@system_option
@json_option
def command(system: str | None, as_json: bool) -> None:
    """List the sizes that --worker-size accepts, and what comes with each.

    With --system, what comes with them on that batch system; else on all.
    """
    sizes = settings.sizes().values()
    if as_json:
        print_json([_facts(size, system) for size in sizes])
        return
    rows = [
        (size.name, str(size.cores), memory_text(size.memory), str(size.gpus or ""), _comes_with(size, system))
        for size in sizes
    ]
    print_table(rows, ("SIZE", "CORES", "MEMORY", "GPUS", "COMES WITH"))


def _keywords(size: Size, system: str | None) -> Mapping[str, object]:
    return size.details if system is None else size.keywords(system)


def _facts(size: Size, system: str | None) -> dict[str, object]:
    return {
        "name": size.name,
        "label": size.label,
        "cores": size.cores,
        "memory": size.memory,
        "gpus": size.gpus,
        "keywords": dict(_keywords(size, system)),
        "systems": {name: dict(more) for name, more in size.per_system.items() if system is None},
    }


def _comes_with(size: Size, system: str | None) -> str:
    parts = [_words(_keywords(size, system))]
    if system is None:
        parts += [f"{name}: {_words(more)}" for name, more in size.per_system.items()]
    return "; ".join(filter(None, parts))


def _words(keywords: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in keywords.items())
