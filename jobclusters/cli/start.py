"""``jobclusters start``."""

from __future__ import annotations

import uuid

import click

from jobclusters.cli.named import facts, found
from jobclusters.cli.options import chosen_system, examples, job_options, json_option, print_json, system_option


@click.command(
    "start",
    epilog=examples(
        "jobclusters start production --worker-size 2xlarge --queue normal --jobs 10",
        "jobclusters start --head detached --worker-size large --maximum-jobs 20",
    ),
)
@click.argument("name", required=False)
@system_option
@job_options
@click.option(
    "--head",
    type=click.Choice(["job", "detached"]),
    help="Where the scheduler runs: in a job, or in a process of this machine.  [default: job]",
)
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Jobs to ask for at once.")
@click.option("--maximum-jobs", type=click.IntRange(min=1), help="Scale with the work instead, to so many jobs.")
@click.option("--wait", is_flag=True, help="Wait for the workers of --jobs.")
@json_option
def command(
    name: str | None,
    system: str | None,
    configuration: str | None,
    job: dict[str, object],
    head: str | None,
    jobs: int,
    maximum_jobs: int | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Start a cluster that goes on when this command has ended.

    NAME is how it is found again; one is made up unless given. It ends with jobclusters close, or when it has had no
    work for a while (--set idle-timeout='2 hours').
    """
    from jobclusters.clusters import CLUSTERS

    chosen = chosen_system(system, configuration)
    name = name or f"{chosen}-{uuid.uuid4().hex[:6]}"
    made = CLUSTERS[chosen](
        **job,  # type: ignore[arg-type]
        configuration=configuration,
        name=name,
        head=head or ("detached" if chosen == "local" else "job"),
        shutdown_on_close=False,
    )
    with made as cluster:
        if maximum_jobs is not None:
            cluster.adapt(maximum_jobs=maximum_jobs)
        elif jobs:
            cluster.scale(jobs=jobs)
            if wait:
                cluster.wait_for_workers(1.0)
    if as_json:
        print_json(facts(found(name)))
        return
    click.echo(name)
    click.echo(f"Connect with: Cluster(name={name!r}); see also jobclusters connect {name}", err=True)
