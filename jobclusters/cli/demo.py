"""``jobclusters demo``."""

from __future__ import annotations

import click

from jobclusters.cli.options import examples


@click.command("demo", epilog=examples("jobclusters demo"))
def command() -> None:
    """Compute pi in jobs of this machine's own queue, from the script to the clean end.

    It needs no batch system, and takes a few seconds.
    """
    from jobclusters import demo

    demo.main()
