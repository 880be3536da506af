"""``jobclusters completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from jobclusters.cli import main_group
from jobclusters.cli.options import examples


@click.command("completion", epilog=examples('eval "$(jobclusters completion bash)"   # in ~/.bashrc'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes your shell complete commands and options.

    For fish: jobclusters completion fish > ~/.config/fish/completions/jobclusters.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"click knows no completion for {shell}")
    click.echo(found(main_group, {}, "jobclusters", "_JOBCLUSTERS_COMPLETE").source())
