"""``jobclusters start``."""

from __future__ import annotations

import logging
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from jobclusters.cli.named import facts, find_cluster
from jobclusters.cli.options import chosen_system, examples, job_options, json_option, print_json, system_option
from jobclusters.config import keywords
from jobclusters.config.saved import find_configuration
from jobclusters.errors import InvalidRequest, JobsFailed


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
    help="Where the scheduler runs: in a job, or in a process of this machine.  [default: job, if it can]",
)
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Jobs to ask for at once.")
@click.option("--maximum-jobs", type=click.IntRange(min=1), help="Scale with the work instead, to so many jobs.")
@click.option("--wait", is_flag=True, help="Wait for the workers of --jobs.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    system: str | None,
    configuration: str | None,
    job: dict[str, Any],
    head: str | None,
    jobs: int,
    maximum_jobs: int | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Start a cluster that outlives this command.

    NAME finds it again; it is generated unless given. The cluster ends with jobclusters close, or when it has had no
    work for a while (--set idle-timeout='2 hours'). Ctrl-C while it starts leaves nothing behind.
    """
    if maximum_jobs is not None and (jobs or wait):
        raise click.UsageError("--maximum-jobs scales with the work: leave out --jobs and --wait")
    if wait and not jobs:
        raise click.UsageError("--wait waits for the workers of --jobs: say how many")
    own = {parameter.name for parameter in ctx.command.params} - keywords.options().keys()
    if taken := sorted((own | keywords.CONNECTION_KEYWORDS) & job.keys()):
        raise click.UsageError(f"--set {taken[0]}: this is no keyword of start; see its options, and NAME")
    from jobclusters.cluster.systems import CLUSTERS
    from jobclusters.registry import names

    chosen = chosen_system(system, configuration)
    saved = find_configuration(configuration).keywords.get("name")
    name = name or (str(saved) if saved else None)
    called = name or f"{chosen}-{uuid.uuid4().hex[:6]}"
    head = head or ("detached" if chosen == "local" else "job")
    given = {**job, "configuration": configuration, "name": called, "head": head}
    if jobs or maximum_jobs:
        given["n_jobs"] = jobs
    try:
        with _exit_on_signals(), _progress(), CLUSTERS[chosen](**given) as cluster:
            _check_made(cluster)
            cluster.shutdown_on_close = True  # a failed or interrupted start leaves nothing behind
            if maximum_jobs is not None:
                cluster.adapt(maximum_jobs=maximum_jobs)
            elif jobs:
                cluster.scale(jobs=jobs)
                if wait:
                    cluster.wait_for_workers(1.0)
            cluster.shutdown_on_close = False
    except JobsFailed as error:
        first, printed, _ = str(error).partition(" It printed:\n")
        more = f" jobclusters logs {called} --head shows what it printed" if printed else ""
        raise JobsFailed(first + more) from None
    except BaseException:
        if name is None:  # its generated name was never printed
            names.directory(called).remove()
        raise
    if as_json:
        print_json(facts(find_cluster(called)))
        return
    click.echo(called)
    click.echo(f"Connect with: Cluster(name={called!r}); see also jobclusters connect {called}", err=True)


def _check_made(cluster: Any) -> None:
    """Refuse a cluster that another process has made, perhaps a moment ago."""
    if not cluster.made_here:
        name = cluster.name
        hint = f"jobclusters scale {name} changes it, jobclusters close {name} ends it"
        raise InvalidRequest(f"there is a cluster {name!r} already; {hint}")


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Let kill, and a closed terminal, do as Ctrl-C does."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001 -- a signal handler's arguments
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[None]:
    """Show the progress of a head's start on a terminal."""
    logger = logging.getLogger("jobclusters")
    handler = _Messages(logging.INFO)
    before = logger.level
    if sys.stderr.isatty():
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Messages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # The command line prints warnings anyway. A cluster that is there already is an error of this command.
        if record.levelno == logging.INFO and not record.msg.startswith("Cluster %s is there"):
            click.echo(record.getMessage(), err=True)
