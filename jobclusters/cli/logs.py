"""``jobclusters logs``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, found, name_argument
from jobclusters.cli.options import examples, json_option, print_json


@click.command("logs", epilog=examples("jobclusters logs production", "jobclusters logs production 4711 --tail 20"))
@name_argument
@click.argument("job", required=False)
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only so many last lines of each.")
@click.option("--head", is_flag=True, help="What the head printed; it stays when the cluster has ended.")
@json_option
def command(name: str, job: str | None, tail: int | None, head: bool, as_json: bool) -> None:
    """Print what the jobs of a cluster printed, or one of them."""
    if head:
        if job is not None:
            raise click.UsageError("--head tells what the head printed: leave out the job")
        from jobclusters import registry

        found(name)
        texts = {"head": registry.directory(name).printed()}
        if tail is not None:
            texts = {"head": "".join(texts["head"].splitlines(keepends=True)[-tail:] if tail else "")}
    else:
        with connected(name) as cluster:
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
