"""``jobclusters logs``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import click

from jobclusters.cli.named import connected, find_cluster, name_argument
from jobclusters.cli.options import examples, json_option, print_json
from jobclusters.errors import QueueError
from jobclusters.registry.record import Liveness

#: Seconds between two looks for what was printed.
FOLLOW_INTERVAL = 1.0


@click.command(
    "logs",
    epilog=examples(
        "jobclusters logs production",
        "jobclusters logs production 4711 --tail 20",
        "jobclusters logs production --follow",
    ),
)
@name_argument
@click.argument("job", required=False)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only so many last lines of each.")
@click.option("--head", is_flag=True, help="What the head printed; it stays when the cluster has ended.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is printed, until the cluster ends, or Ctrl-C.")
@json_option
def command(name: str, job: str | None, tail: int | None, head: bool, follow: bool, as_json: bool) -> None:
    """Print what the jobs of a cluster printed, or one of them."""
    if follow and as_json:
        raise click.UsageError("--follow prints text: leave out --json")
    if head:
        if job is not None:
            raise click.UsageError("--head shows what the head printed: leave out the job")
        from jobclusters.jobs.logs import last_lines
        from jobclusters.registry import names

        find_cluster(name)
        if follow:
            files = names.directory(name)
            _follow(lambda: {"head": files.printed()}, lambda: _ended(name), tail)
            return
        texts = {"head": last_lines(names.directory(name).printed(), tail)}
    else:
        with connected(name) as cluster:
            if follow:
                from distributed.core import Status

                _follow(lambda: cluster.get_job_logs(job), lambda: cluster.status is not Status.running, tail)
                click.echo(f"{name} has ended.", err=True)
                return
            texts = cluster.get_job_logs(job, tail)
    if as_json:
        print_json(texts)
        return
    for key, text in texts.items():
        if len(texts) > 1:
            click.secho(f"==> {key} <==", bold=True)
        click.echo(text, nl=not text.endswith("\n"))
    if not any(texts.values()):
        click.echo("Nothing has been printed." if texts else f"{name} has had no jobs.", err=True)


def _follow(read: Callable[[], Mapping[str, str]], ended: Callable[[], bool], tail: int | None) -> None:
    """Print texts as they grow, each below its name where several do, until the cluster has ended."""
    printed: dict[str, int] = {}
    last = ""
    while True:
        over = ended()
        try:
            texts = read()
        except (QueueError, OSError, asyncio.TimeoutError):  # it has just ended, or no longer answers
            return
        for key, text in texts.items():
            if key not in printed and tail is not None:
                lines = text.splitlines(keepends=True)
                printed[key] = len(text) - sum(map(len, lines[len(lines) - tail :] if tail else []))
            since = printed.get(key, 0)
            new = text[since if len(text) >= since else 0 :]  # a requeued job begins anew
            printed[key] = len(text)
            if not new:
                continue
            if len(texts) > 1 and key != last:
                click.secho(f"==> {key} <==", bold=True)
            last = key
            click.echo(new, nl=not new.endswith("\n"))
        if over:
            return
        time.sleep(FOLLOW_INTERVAL)


def _ended(name: str) -> bool:
    return find_cluster(name).liveness in (Liveness.ENDED, Liveness.GONE)
