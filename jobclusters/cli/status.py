"""``jobclusters status``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, facts, found, jobs, name_argument
from jobclusters.cli.options import examples, json_option, print_json, print_table
from jobclusters.entry import Standing


@click.command("status", epilog=examples("jobclusters status production", "jobclusters status production --json"))
@name_argument
@json_option
def command(name: str, as_json: bool) -> None:
    """Tell how a cluster and its jobs stand."""
    there = found(name)
    known = facts(there)
    told: dict[str, object] = {"jobs": {}, "workers": 0, "core_hours": None}
    summary = None
    if there.standing is Standing.RUNNING:
        with connected(name, there) as cluster:
            told = {
                "jobs": jobs(cluster),
                "workers": len(cluster.scheduler_info["workers"]),
                "core_hours": sum(usage.core_hours for usage in cluster.usage.values()),
            }
            summary = cluster.summary
    if as_json:
        print_json({**known, **told})
        return
    more = [("workers", str(told["workers"])), ("jobs", summary)] if summary is not None else []
    print_table([*((key, str(value)) for key, value in known.items() if value is not None), *more])
    rows = [
        (
            job_id,
            *(str(job[key] or "") for key in ("state", "node")),
            str(job["workers"]),
            job["ends"] or "",
            job["reason"],
        )
        for job_id, job in told["jobs"].items()  # type: ignore[attr-defined]
    ]
    if rows:
        click.echo()
        print_table(rows, ("JOB", "STATE", "NODE", "WORKERS", "ENDS", "REASON"))
