"""The command line: ``jobclusters ...``, and ``dask jobclusters ...``.

A command is imported when it is called: neither ``jobclusters --help`` nor ``dask`` waits for Dask's scheduler.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from jobclusters import __version__
from jobclusters.errors import JobClustersError, unknown

#: Where each command lives, and what it does in a line.
COMMANDS = {
    "sizes": ("jobclusters.cli.sizes:command", "List the sizes of jobs, and what comes with each."),
    "script": ("jobclusters.cli.script:command", "Print a job script, for any batch system."),
    "config": ("jobclusters.cli.config:command", "Show which settings count, and where each comes from."),
    "doctor": ("jobclusters.cli.doctor:command", "Check the way from this machine to a worker."),
    "demo": ("jobclusters.cli.demo:command", "Compute pi on this machine's own queue."),
    "discover": ("jobclusters.cli.discover:command", "Write a configuration for this site."),
    "start": ("jobclusters.cli.start:command", "Start a cluster that goes on by itself."),
    "list": ("jobclusters.cli.list:command", "List your clusters."),
    "status": ("jobclusters.cli.status:command", "Tell how a cluster and its jobs stand."),
    "scale": ("jobclusters.cli.scale:command", "Ask for jobs."),
    "adapt": ("jobclusters.cli.adapt:command", "Scale a cluster with the work there is."),
    "logs": ("jobclusters.cli.logs:command", "Print what jobs printed."),
    "connect": ("jobclusters.cli.connect:command", "Print the ways to a cluster."),
    "close": ("jobclusters.cli.close:command", "End a cluster and its jobs."),
    "cleanup": ("jobclusters.cli.cleanup:command", "Clear away what dead clusters left."),
    "completion": ("jobclusters.cli.completion:command", "Print what makes your shell complete commands and options."),
}

#: What shells report of a program that Ctrl-C ended.
INTERRUPTED = 130


class Commands(click.Group):
    """The commands of the table; what goes wrong in one is a message, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Name the commands, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may be meant."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing them."""
        names = [CompletionItem(n, help=line) for n, (_, line) in COMMANDS.items() if n.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors become messages, and Ctrl-C the exit status that shells know."""
        try:
            return super().invoke(ctx)
        except JobClustersError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read us has enough: click ends quietly
                raise
            raise click.ClickException(_said(error)) from None
        except ValueError as error:  # Dask reads its files when it is imported
            if "config file" not in str(error):
                raise
            raise click.ClickException(" ".join(str(error).split())) from None


def _said(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


@click.group("jobclusters", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jobclusters")
@click.pass_context
def main_group(ctx: click.Context) -> None:
    """Dask clusters on HPC batch queues.

    Exit status: 0 if all is well, 1 if something is wrong, which is said, 2 for a command or an option that there
    isn't. Facts go to standard output, messages to standard error.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Run as ``jobclusters``."""
    try:
        main_group(prog_name="jobclusters")
    except KeyboardInterrupt:  # before click was ready for it
        sys.exit(INTERRUPTED)
