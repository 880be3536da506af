"""``jobclusters scale``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, name_argument, print_request
from jobclusters.cli.options import examples, json_option
from jobclusters.jobs.groups import DEFAULT


@click.command(
    "scale", epilog=examples("jobclusters scale production --jobs 20", "jobclusters scale production --memory '2 TB'")
)
@name_argument
@click.option("--jobs", type=click.IntRange(min=0), help="So many jobs in all ...")
@click.option("--workers", type=click.IntRange(min=0), help="... or workers ...")
@click.option("--cores", type=click.IntRange(min=0), help="... or cores ...")
@click.option("--memory", metavar="AMOUNT", help="... or memory, such as '500 GB'.")
@click.option("--group", default=DEFAULT, show_default=True, help="Of these jobs.")
@click.option("--wait", is_flag=True, help="Wait until the workers are there.")
@json_option
def command(
    name: str,
    jobs: int | None,
    workers: int | None,
    cores: int | None,
    memory: str | None,
    group: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Ask for this much of a cluster in all."""
    asked = {"jobs": jobs, "workers": workers, "cores": cores, "memory": memory}
    if all(value is None for value in asked.values()):
        raise click.UsageError("say how much: --jobs, --workers, --cores or --memory")
    if len(given := [f"--{key}" for key, value in asked.items() if value is not None]) > 1:
        raise click.UsageError(f"{' and '.join(given)}: each says how much; give only one of them")
    with connected(name) as cluster:
        cluster.scale(workers, jobs or 0, memory, cores, group=group)
        if wait and cluster.plan:
            cluster.wait_for_workers(1.0)
        print_request(cluster, as_json)
