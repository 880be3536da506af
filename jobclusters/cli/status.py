"""``jobclusters status``."""

from __future__ import annotations

from typing import Any

import click

from jobclusters.cli.named import connected, facts, find_cluster, jobs, name_argument
from jobclusters.cli.options import examples, json_option, print_json, print_table
from jobclusters.registry.record import Liveness


@click.command("status", epilog=examples("jobclusters status production", "jobclusters status production --json"))
@name_argument
@json_option
def command(name: str, as_json: bool) -> None:
    """Show the state of a cluster and its jobs."""
    status = find_cluster(name)
    known = facts(status)
    state: dict[str, Any] = {"jobs": {}, "workers": 0, "core_hours": None}
    summary = None
    if status.liveness is Liveness.RUNNING:
        with connected(name, status) as cluster:
            state = {
                "jobs": jobs(cluster),
                "workers": len(cluster.scheduler_info["workers"]),
                "core_hours": sum(usage.core_hours for usage in cluster.usage.values()),
            }
            summary = cluster.summary
    if as_json:
        print_json({**known, **state})
        return
    more = [("workers", str(state["workers"])), ("jobs", summary)] if summary is not None else []
    print_table([*((key, str(value)) for key, value in known.items() if value is not None), *more])
    rows = [
        (
            job_id,
            *(str(job[key] or "") for key in ("state", "node")),
            str(job["workers"]),
            job["ends"] or "",
            job["reason"],
        )
        for job_id, job in state["jobs"].items()
    ]
    if rows:
        click.echo()
        print_table(rows, ("JOB", "STATE", "NODE", "WORKERS", "ENDS", "REASON"))
