"""``jobclusters close``."""

from __future__ import annotations

import asyncio

import click

from jobclusters.cli.named import found, name_argument
from jobclusters.cli.options import examples
from jobclusters.entry import Standing


@click.command("close", epilog=examples("jobclusters close production"))
@name_argument
def command(name: str) -> None:
    """End a cluster and its jobs, whoever is connected to it."""
    from jobclusters import registry

    there = found(name)
    if there.standing is Standing.ENDED:
        click.echo(f"{name} has ended already: {there.sentence}.", err=True)
        return
    from jobclusters.ending import end

    click.echo(f"{name} has ended: {asyncio.run(end(registry.directory(name)))}.", err=True)
