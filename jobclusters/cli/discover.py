"""``jobclusters discover``: a configuration for this site, from its batch system."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from jobclusters.cli.options import examples, print_json
from jobclusters.cli.words import in_options
from jobclusters.config import settings
from jobclusters.dialects import DIALECTS


@click.command(
    "discover",
    epilog=examples(
        "jobclusters discover                    # to read it",
        "jobclusters discover --write            # into your own Dask configuration",
        "jobclusters discover --output /etc/dask/jobclusters.yaml",
    ),
)
@click.option(
    "--system", metavar="NAME", help=f"The batch system: one of {', '.join(DIALECTS)}.  [default: the one here]"
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.")
@click.option("--write", is_flag=True, help="Write to jobclusters.yaml in your Dask configuration directory.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON, instead of a configuration.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds for each question.",
)
def command(
    system: str | None, output: Path | None, *, write: bool, force: bool, as_json: bool, timeout: float
) -> None:
    """Find queues, nodes and GPUs, and write them as a configuration with sizes for this site.

    It only asks, and submits nothing. Without --output or --write it prints the configuration.
    """
    from jobclusters.errors import JobClustersError

    if output is not None and write:
        raise click.UsageError("--output and --write: give only one of them")
    if as_json and (output or write):
        raise click.UsageError("--json prints: it goes with neither --output nor --write")
    try:
        _run(system, output, write=write, force=force, as_json=as_json, timeout=timeout)
    except JobClustersError as error:
        raise click.ClickException(in_options(" ".join(str(error).split()))) from None


def _run(system: str | None, output: Path | None, *, write: bool, force: bool, as_json: bool, timeout: float) -> None:
    from jobclusters.discovery import survey, writing
    from jobclusters.discovery.sizing import find_sizes

    path = settings.user_file() if write else output
    if path is not None and not force and survey.in_the_way(path) and not path.is_dir():
        force = _may_replace(path)
    facts = survey.discover(system, timeout)
    if as_json:
        print_json(writing.as_json(facts))
        return
    text = survey.as_yaml(facts)
    if path is None:
        click.echo(text, nl=False)
        return
    survey.save(text, path, force=force)
    sizes = ", ".join(size.name for size in find_sizes(facts)) or "none"
    click.echo(f"Wrote {path}. Sizes for this site: {sizes}", err=True)


def _may_replace(path: Path) -> bool:
    """Ask on a terminal; elsewhere the following error says what to do."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    if not click.confirm(f"{path} is there already. Replace it?", err=True):
        raise click.ClickException(f"{path} is left as it was")
    return True
