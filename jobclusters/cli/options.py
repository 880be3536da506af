"""Options that commands share: of a job, of the output."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import click
import yaml

from jobclusters.config import keywords, settings
from jobclusters.config.saved import find_configuration, list_configurations
from jobclusters.dialects import DIALECTS
from jobclusters.errors import JobClustersError
from jobclusters.spec.keyword import Keyword

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

system_option = click.option(
    "--system",
    type=click.Choice([*DIALECTS]),
    help="The batch system.  [default: the one on this machine]",
)


def completing(names: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    """Make the shell complete a value."""

    def complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 -- click's
        with suppress(JobClustersError):  # an error would garble the command line
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return complete


def _assignments() -> list[str]:
    rows = [each for section in keywords.everywhere().values() for each in section]
    return [f"{name.replace('_', '-')}=" for each in rows if not each.option for name in (each.name, *each.old_names)]


_COMPLETED = {
    "queue": completing(settings.queue_names),
    "software": completing(settings.software_names),
    "worker_size": completing(settings.sizes),
}


def _help(keyword: Keyword) -> str:
    default = f"  [default: {keyword.default}]" if keyword.default else ""
    return f"{keyword.doc}{default}".replace("``", "")


def job_options(function: F) -> F:
    """Add the options of a job; the function gets ``job``, a mapping of keywords, and ``configuration``."""

    @functools.wraps(function)  # click has attached the options below it
    def collected(*args: Any, **given: Any) -> Any:
        given["job"] = job_keywords({name: given.pop(name) for name in keywords.options()}, given.pop("more"))
        return function(*args, **given)

    wrapped: Callable[..., Any] = collected
    options = [
        click.option(
            "--configuration",
            metavar="NAME",
            shell_complete=completing(list_configurations),
            help="A named set of parameters.",
        ),
        *(
            click.option(
                f"--{name.replace('_', '-')}",
                name,
                metavar=keyword.option,
                shell_complete=_COMPLETED.get(name),
                help=_help(keyword),
            )
            for name, keyword in keywords.options().items()
        ),
        click.option(
            "--set",
            "more",
            metavar="KEY=VALUE",
            multiple=True,
            shell_complete=completing(_assignments),
            help="Any other keyword of jobclusters keywords, as in YAML: --set 'job-extra-directives=[--exclusive]'.",
        ),
    ]
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def job_keywords(named: Mapping[str, str | None], more: Sequence[str]) -> dict[str, object]:
    """Read options of a job as keywords; a :class:`click.BadParameter` if one of ``more`` is no KEY=VALUE or YAML."""
    given: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    for item in more:
        key, equals, text = item.partition("=")
        name = key.strip().replace("-", "_")
        if not equals or not name:
            raise click.BadParameter(f"{item!r} must be KEY=VALUE, such as qos=high", param_hint="--set")
        try:
            given[name] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            wrong = " ".join(str(error).split())
            raise click.BadParameter(f"{item!r}: the value is no YAML: {wrong}", param_hint="--set") from None
        if name == "walltime" and isinstance(given[name], int):  # YAML reads 12:00:00 to the base of 60
            given[name] = text
    return given


def chosen_system(system: str | None, configuration: str | None = None) -> str:
    """Name the batch system: that of the option, else the configuration's, else this machine's."""
    return system or find_configuration(configuration).system or settings.find_system()


def examples(*lines: str) -> str:
    """Give the epilog of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_json(facts: object) -> None:
    """Print facts for programs."""
    click.echo(json.dumps(facts, indent=2, default=str))


def print_table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> None:
    """Print rows of texts in columns, below a heading; on a terminal long texts wrap in their column."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows and not heads:
        return
    table = Table(*(heads or [""] * len(rows[0])), box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    table.show_header = bool(heads)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())
