"""``jobclusters scale``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, name_argument
from jobclusters.cli.options import examples
from jobclusters.group import DEFAULT


@click.command(
    "scale", epilog=examples("jobclusters scale production --jobs 20", "jobclusters scale production --memory '2 TB'")
)
@name_argument
@click.option("--jobs", type=int, help="So many jobs in all ...")
@click.option("--workers", type=int, help="... or workers ...")
@click.option("--cores", type=int, help="... or cores ...")
@click.option("--memory", metavar="AMOUNT", help="... or memory, such as '500 GB'.")
@click.option("--group", default=DEFAULT, show_default=True, help="Of these jobs.")
@click.option("--wait", is_flag=True, help="Wait until the workers are there.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    jobs: int | None,
    workers: int | None,
    cores: int | None,
    memory: str | None,
    group: str,
    wait: bool,
) -> None:
    """Ask for this much of a cluster in all."""
    if [jobs, workers, cores, memory] == [None] * 4:
        ctx.fail("say how much: --jobs, --workers, --cores or --memory")
    with connected(name) as cluster:
        cluster.scale(workers, jobs or 0, memory, cores, group=group)
        if wait and cluster.plan:
            cluster.wait_for_workers(1.0)
        click.echo(cluster.summary)
