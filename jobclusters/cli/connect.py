"""``jobclusters connect``."""

from __future__ import annotations

import click

from jobclusters.cli.named import connected, name_argument
from jobclusters.cli.options import examples, json_option, print_json, print_table


@click.command("connect", epilog=examples("jobclusters connect production"))
@name_argument
@json_option
def command(name: str, as_json: bool) -> None:
    """Print the ways to a cluster: its address, its dashboard, the ssh line to it, the line of Python."""
    with connected(name) as cluster:
        rows = [
            ("scheduler", cluster.scheduler_address),
            *cluster.links.rows(),
            ("in Python", f"from jobclusters import Cluster; cluster = Cluster(name={name!r})"),
            *([("credentials in", str(cluster.files.path))] if cluster.security else []),
        ]
        links = cluster.links
        facts = {
            "name": name,
            "scheduler": cluster.scheduler_address,
            "dashboard": links.dashboard,
            "tunnel": links.tunnel,
            "tunnelled": links.tunnelled,
            "jupyter": links.jupyter,
            "credentials": str(cluster.files.path) if cluster.security else None,
        }
    if as_json:
        print_json(facts)
    else:
        print_table(rows)
