"""``jobclusters list``."""

from __future__ import annotations

import click

from jobclusters.cli.named import everyone, facts, moment
from jobclusters.cli.options import examples, json_option, print_json, print_table


@click.command("list", epilog=examples("jobclusters list", "jobclusters list --json"))
@json_option
def command(as_json: bool) -> None:
    """List your clusters, and how each stands."""
    from jobclusters import finding

    clusters = everyone(finding.look)
    if as_json:
        print_json([facts(there) for there in clusters])
        return
    rows = [
        (
            there.entry.name,
            there.entry.system,
            there.standing.value,
            f"job {there.entry.job_id}" if there.entry.job_id else f"{there.entry.head} on {there.entry.host}",
            str(moment(there.entry.created))[:16],
            there.sentence,
        )
        for there in clusters
    ]
    print_table(rows, ("NAME", "SYSTEM", "STANDING", "HEAD", "MADE", ""))
    if not rows:
        click.echo("You have no clusters; jobclusters start makes one.", err=True)
