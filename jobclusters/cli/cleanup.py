"""``jobclusters cleanup``."""

from __future__ import annotations

import asyncio

import click

from jobclusters.cli.options import examples, json_option, print_json
from jobclusters.entry import Standing


@click.command("cleanup", epilog=examples("jobclusters cleanup", "jobclusters cleanup --forget"))
@click.option("--forget", is_flag=True, help="Forget all clusters that have ended, too.")
@json_option
def command(forget: bool, as_json: bool) -> None:
    """Clear away clusters whose head is gone: cancel what they left in the queue, remove their credentials."""
    from jobclusters import finding, registry

    done = []
    for name in registry.names():
        files = registry.directory(name)
        before = asyncio.run(finding.look(files))
        after = asyncio.run(finding.find(files)) if before and before.standing is Standing.GONE else before
        if forget and (after is None or after.standing is Standing.ENDED):
            files.remove()
        if before is not None and before.standing is Standing.GONE:
            done.append({"name": name, "why": before.sentence})
    if as_json:
        print_json(done)
        return
    for each in done:
        click.echo(f"{each['name']}: {each['why']}; what it left is cleared away.")
    if not done:
        click.echo("Nothing was left behind.", err=True)
