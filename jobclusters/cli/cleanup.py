"""``jobclusters cleanup``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobclusters.cli.named import everyone
from jobclusters.cli.options import examples, json_option, print_json
from jobclusters.entry import Standing

if TYPE_CHECKING:
    from jobclusters.clusterfiles import ClusterFiles
    from jobclusters.finding import Found

#: Seconds for which a directory may be there without an entry: it is made a moment before.
_MADE = 60.0


@click.command("cleanup", epilog=examples("jobclusters cleanup", "jobclusters cleanup --forget"))
@click.option("--forget", is_flag=True, help="Forget all clusters that have ended, too.")
@json_option
def command(forget: bool, as_json: bool) -> None:
    """Clear away clusters whose head is gone: cancel what they left in the queue, remove their credentials."""
    from jobclusters import finding
    from jobclusters.janitor import sweep

    async def clear(files: ClusterFiles) -> Found | None:
        before = await finding.look(files)
        if before is None:
            over, gone = files.silence() > _MADE, None
        else:
            gone = before if before.standing is Standing.GONE else None
            over = gone is not None or before.standing is Standing.ENDED
        if gone is not None:
            await sweep(files, gone.entry, gone.sentence)
        if forget and over:
            files.remove()
        return gone

    done = [{"name": there.entry.name, "why": there.sentence} for there in everyone(clear)]
    if as_json:
        print_json(done)
        return
    for each in done:
        click.echo(f"{each['name']}: {each['why']}; what it left is cleared away.")
    if not done:
        click.echo("Nothing was left behind.", err=True)
