"""``jobclusters cleanup``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobclusters.cli.named import examine_all
from jobclusters.cli.options import examples, json_option, print_json
from jobclusters.registry.record import Liveness

if TYPE_CHECKING:
    from jobclusters.registry.files import ClusterFiles
    from jobclusters.registry.liveness import ClusterStatus

#: Seconds after which a directory without a record is a dead cluster's: a living one writes it at once.
_RECORD_TIMEOUT = 60.0


@click.command("cleanup", epilog=examples("jobclusters cleanup", "jobclusters cleanup --forget"))
@click.option("--forget", is_flag=True, help="Forget all clusters that have ended, too.")
@json_option
def command(forget: bool, as_json: bool) -> None:
    """Clean up after clusters whose head is gone: cancel their jobs, remove their credentials."""
    from jobclusters.registry import liveness
    from jobclusters.registry.sweep import sweep

    async def clear(files: ClusterFiles) -> ClusterStatus | None:
        before = await liveness.check(files)
        if before is None:
            over, gone = files.age() > _RECORD_TIMEOUT, None
        else:
            gone = before if before.liveness is Liveness.GONE else None
            over = gone is not None or before.liveness is Liveness.ENDED
        if gone is not None:
            await sweep(files, gone.record, gone.sentence)
        if forget and over:
            files.remove()
        return gone

    done = [{"name": cleaned.record.name, "why": cleaned.sentence} for cleaned in examine_all(clear)]
    if as_json:
        print_json(done)
        return
    for each in done:
        click.echo(f"{each['name']}: {each['why']}; what it left is cleared away.")
    if not done:
        click.echo("Nothing was left behind.", err=True)
