"""``jobclusters list``."""

from __future__ import annotations

import click

from jobclusters.cli.named import examine_all, facts, moment
from jobclusters.cli.options import examples, json_option, print_json, print_table
from jobclusters.registry.record import Liveness


@click.command("list", epilog=examples("jobclusters list", "jobclusters list --all"))
@click.option("--all", "everything", is_flag=True, help="Also those that have ended, which --json always has.")
@json_option
def command(as_json: bool, everything: bool) -> None:
    """List your clusters, and the state of each."""
    from jobclusters.registry import liveness

    clusters = examine_all(liveness.check)
    if as_json:
        print_json([facts(status) for status in clusters])
        return
    shown = [status for status in clusters if everything or status.liveness is not Liveness.ENDED]
    rows = [
        (
            status.record.name,
            status.record.system,
            status.liveness.value,
            f"job {status.record.job_id}" if status.record.job_id else f"{status.record.head} on {status.record.host}",
            str(moment(status.record.created))[:16],
            status.sentence,
        )
        for status in shown
    ]
    print_table(rows, ("NAME", "SYSTEM", "STANDING", "HEAD", "MADE", ""))
    if hidden := len(clusters) - len(shown):
        click.echo(f"{hidden} that {'has' if hidden == 1 else 'have'} ended: jobclusters list --all", err=True)
    elif not rows:
        click.echo("You have no clusters; jobclusters start makes one.", err=True)
