"""``jobclusters list``."""

from __future__ import annotations

import asyncio

import click

from jobclusters.cli.named import facts, moment
from jobclusters.cli.options import examples, json_option, print_json, print_table


@click.command("list", epilog=examples("jobclusters list", "jobclusters list --json"))
@json_option
def command(as_json: bool) -> None:
    """List your clusters, and how each stands."""
    from jobclusters import finding, registry
    from jobclusters.errors import InvalidRequest
    from jobclusters.finding import Found

    async def look() -> list[Found | InvalidRequest | None]:
        looks = (finding.look(registry.directory(name)) for name in registry.names())
        return await asyncio.gather(*looks, return_exceptions=True)  # type: ignore[return-value]

    clusters = []
    for there in asyncio.run(look()):
        if isinstance(there, InvalidRequest):
            click.echo(f"Warning: {there}", err=True)
        elif isinstance(there, BaseException):
            raise there
        elif there is not None:
            clusters.append(there)
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
