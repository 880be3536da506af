"""``jobclusters close``."""

from __future__ import annotations

import asyncio

import click

from jobclusters.cli.named import find_cluster, name_argument
from jobclusters.cli.options import examples
from jobclusters.registry.record import Liveness


@click.command("close", epilog=examples("jobclusters close production"))
@name_argument
def command(name: str) -> None:
    """End a cluster and its jobs, whoever is connected to it."""
    from jobclusters.registry import names

    status = find_cluster(name)
    if status.liveness is Liveness.ENDED:
        click.echo(f"{name} has ended already: {status.sentence}.", err=True)
        return
    from jobclusters.head.shutdown import end

    click.echo(f"{name} has ended: {asyncio.run(end(names.directory(name)))}.", err=True)
