"""The command line: ``jobclusters ...``, and ``dask jobclusters ...``.

A command is imported when it is called: neither ``jobclusters --help`` nor ``dask`` waits for Dask's scheduler.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from jobclusters import __version__
from jobclusters.errors import InvalidRequest, JobClustersError, NoBatchSystem, unknown

#: Where each command lives, and what it does in a line.
COMMANDS = {
    "sizes": ("jobclusters.cli.sizes:command", "List the sizes of jobs, and what comes with each."),
    "script": ("jobclusters.cli.script:command", "Print a job script, for any batch system."),
    "keywords": ("jobclusters.cli.keywords:command", "List the keywords of clusters, and what each means."),
    "config": ("jobclusters.cli.config:command", "Show which settings count, and where each comes from."),
    "doctor": ("jobclusters.cli.doctor:command", "Check the way from this machine to a worker."),
    "demo": ("jobclusters.cli.demo:command", "Compute pi on this machine's own queue."),
    "discover": ("jobclusters.cli.discover:command", "Write a configuration for this site."),
    "start": ("jobclusters.cli.start:command", "Start a cluster that outlives the command."),
    "list": ("jobclusters.cli.list:command", "List your clusters."),
    "status": ("jobclusters.cli.status:command", "Show the state of a cluster and its jobs."),
    "scale": ("jobclusters.cli.scale:command", "Request jobs."),
    "adapt": ("jobclusters.cli.adapt:command", "Scale a cluster with the work."),
    "logs": ("jobclusters.cli.logs:command", "Print the output of jobs."),
    "connect": ("jobclusters.cli.connect:command", "Print how to connect to a cluster."),
    "close": ("jobclusters.cli.close:command", "End a cluster and its jobs."),
    "cleanup": ("jobclusters.cli.cleanup:command", "Clean up after dead clusters."),
    "completion": ("jobclusters.cli.completion:command", "Print the script that completes commands and options."),
}

#: New objects from which on garbage is looked for: most of a command's objects are modules that it imports.
FEWER_COLLECTIONS = 50_000

#: The exit status of shells for a program ended by Ctrl-C.
INTERRUPTED = 130


class Commands(click.Group):
    """The commands of the table; an error in one becomes a message, never a traceback."""

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
        """Find the command, or suggest the nearest one."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(unknown("command", args[0], COMMANDS, see="jobclusters --help"))
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
        """Run a command; errors become messages, and Ctrl-C the exit status that shells use for it."""
        logger, warnings = logging.getLogger("jobclusters"), _Warnings(logging.WARNING)
        logger.addHandler(warnings)
        try:
            return super().invoke(ctx)
        except InvalidRequest as error:
            raise click.ClickException(str(InvalidRequest(map(_in_options, error.problems)))) from None
        except NoBatchSystem as error:
            raise click.ClickException(_in_options(str(error))) from None
        except JobClustersError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of the output has ended: click ends quietly
                raise
            text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise click.ClickException(text) from None
        except (ValueError, TypeError) as error:  # Dask reads its files when it is imported
            from jobclusters.config.malformed import malformed

            files = malformed(error)
            if not files and "config file" in str(error):
                files = [" ".join(str(error).split())]
            if not files:
                raise
            raise click.ClickException("\n".join([*files, "Dask reads no settings before that is mended."])) from None
        finally:
            logger.removeHandler(warnings)


class _Warnings(logging.Handler):
    """Prints warnings of the log in the words of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.capitalize()}: {_in_options(record.getMessage())}", err=True)


def _in_options(text: str) -> str:
    from jobclusters.cli.words import in_options

    return in_options(text)


@click.group("jobclusters", cls=Commands, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(__version__, prog_name="jobclusters")
@click.pass_context
def main_group(ctx: click.Context) -> None:
    """Dask clusters on HPC batch queues.

    Exit status: 0 if all is well, 1 if something is wrong, with a message, 2 for an unknown command or option. Facts go
    to standard output, messages to standard error.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Run as ``jobclusters``."""
    gc.set_threshold(FEWER_COLLECTIONS)
    try:
        main_group(prog_name="jobclusters")
    except KeyboardInterrupt:  # before click handles it
        sys.exit(INTERRUPTED)
    finally:
        gc.freeze()  # the last collection is of no use to a process that ends
