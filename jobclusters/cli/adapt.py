"""``jobclusters adapt``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, name_argument, print_request
from jobclusters.cli.options import examples, json_option
from jobclusters.jobs.groups import DEFAULT
from jobclusters.scaling.policy import PREFER


@click.command(
    "adapt",
    epilog=examples("jobclusters adapt production --maximum-jobs 50", "jobclusters adapt production --stop"),
)
@name_argument
@click.option("--minimum", type=int, help="Workers, at least.")
@click.option("--maximum", type=int, help="Workers, at most.")
@click.option("--minimum-jobs", type=int, help="Jobs, at least.")
@click.option("--maximum-jobs", type=int, help="Jobs, at most.")
@click.option("--minimum-cores", type=int, help="Cores, at least.")
@click.option("--maximum-cores", type=int, help="Cores, at most.")
@click.option("--max-core-hours", type=float, help="To spend in all.")
@click.option("--prefer", type=click.Choice(PREFER), help="Finish soon, or spend little.")
@click.option("--group", default=DEFAULT, show_default=True, help="Of these jobs.")
@click.option("--stop", is_flag=True, help="Leave the cluster as it is from now on.")
@json_option
def command(name: str, group: str, stop: bool, as_json: bool, **limits: float | str | None) -> None:
    """Scale a cluster with the work."""
    given = {key: value for key, value in limits.items() if value is not None}
    if stop and given:
        raise click.UsageError("--stop takes no limits: say one or the other")
    with connected(name) as cluster:
        if stop:
            cluster.stop_adapting()
        else:
            cluster.adapt(group=group, **given)
        print_request(cluster, as_json)
