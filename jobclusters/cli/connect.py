"""``jobclusters connect``."""

from __future__ import annotations

from contextlib import suppress

import click

from jobclusters.cli.named import connected, name_argument
from jobclusters.cli.options import examples, json_option, print_json, print_table
from jobclusters.errors import InvalidRequest


@click.command("connect", epilog=examples("jobclusters connect production"))
@name_argument
@json_option
def command(name: str, as_json: bool) -> None:
    """Print how to connect: the address, the dashboard, the ssh line to it, the line of Python."""
    with connected(name) as cluster:
        scheduler = cluster.scheduler_address
        credentials = str(cluster.files.path) if cluster.security else None
        links = None
        with suppress(InvalidRequest):  # it has no dashboard
            links = cluster.links
    facts = {
        "name": name,
        "scheduler": scheduler,
        "dashboard": links and links.dashboard,
        "tunnel": links and links.tunnel,
        "tunnelled": links and links.tunnelled,
        "jupyter": links and links.jupyter,
        "credentials": credentials,
    }
    if as_json:
        print_json(facts)
        return
    print_table(
        [
            ("scheduler", scheduler),
            *(links.rows() if links else [("dashboard", "none")]),
            ("in Python", f"from jobclusters import Cluster; cluster = Cluster(name={name!r})"),
            *([("credentials in", credentials)] if credentials else []),
        ]
    )
