"""Options that commands share: of a job, of the output."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import click
import yaml

from jobclusters import config
from jobclusters.configurations import find_configuration, list_configurations
from jobclusters.dialects import DIALECTS
from jobclusters.errors import JobClustersError

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

system_option = click.option(
    "--system",
    type=click.Choice([*DIALECTS]),
    help="The batch system.  [default: the one on this machine]",
)

#: The usual keywords of a job, with what stands for a value in the help.
JOB_OPTIONS = {
    "worker_size": ("NAME", "The size of a job: see jobclusters sizes."),
    "worker_cpu": ("N", "Or its cores ..."),
    "worker_memory": ("AMOUNT", "... memory ..."),
    "worker_gpu": ("N", "... and GPUs, for one worker."),
    "cores": ("N", "Or its cores ..."),
    "memory": ("AMOUNT", "... and memory, cut into workers as Dask does."),
    "processes": ("N", "Workers in a job."),
    "gpu_type": ("TYPE", "What the site calls the GPUs."),
    "queue": ("NAME", "The queue or partition."),
    "account": ("NAME", "Whose share is charged."),
    "walltime": ("TIME", "For how long, such as 02:00:00."),
    "software": ("NAME", "What surrounds the workers' Python."),
    "python": ("COMMAND", "The workers' Python."),
    "interface": ("NAME", "The network of scheduler and workers."),
    "log_directory": ("DIRECTORY", "Where the jobs' output goes."),
    "job_name": ("NAME", "As the queue shows it."),
}


def _completing(names: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    """Make the shell complete a value."""

    def complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 -- click's
        with suppress(JobClustersError):  # the shell is no place to tell it
            return [name for name in names() if name.startswith(incomplete)]
        return []

    return complete


_COMPLETED = {"worker_size": _completing(config.sizes)}


def job_options(function: F) -> F:
    """Add the options of a job; the function gets ``job``, a mapping of keywords, and ``configuration``."""

    @functools.wraps(function)  # with the options that stand below
    def collected(*args: Any, **given: Any) -> Any:
        given["job"] = job_keywords({name: given.pop(name) for name in JOB_OPTIONS}, given.pop("more"))
        return function(*args, **given)

    wrapped: Callable[..., Any] = collected
    options = [
        click.option(
            "--configuration",
            metavar="NAME",
            shell_complete=_completing(list_configurations),
            help="A named set of parameters.",
        ),
        *(
            click.option(
                f"--{name.replace('_', '-')}",
                name,
                metavar=metavar,
                shell_complete=_COMPLETED.get(name),
                help=text,
            )
            for name, (metavar, text) in JOB_OPTIONS.items()
        ),
        click.option(
            "--set",
            "more",
            metavar="KEY=VALUE",
            multiple=True,
            help="Any other keyword, the value as in YAML: --set 'job-extra-directives=[--exclusive]'.",
        ),
    ]
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def job_keywords(named: Mapping[str, str | None], more: Sequence[str]) -> dict[str, object]:
    """Read options of a job as keywords.

    Raises
    ------
    click.BadParameter
        If one of ``more`` isn't ``KEY=VALUE``, or no YAML.
    """
    keywords: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    for item in more:
        key, equals, text = item.partition("=")
        name = key.strip().replace("-", "_")
        if not equals or not name:
            raise click.BadParameter(f"{item!r} must be KEY=VALUE, such as qos=high", param_hint="--set")
        try:
            keywords[name] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            wrong = " ".join(str(error).split())
            raise click.BadParameter(f"{item!r}: the value is no YAML: {wrong}", param_hint="--set") from None
        if name == "walltime" and isinstance(keywords[name], int):  # YAML reads 12:00:00 to the base of 60
            keywords[name] = text
    return keywords


def chosen_system(system: str | None, configuration: str | None = None) -> str:
    """Name the batch system: the one asked for, else the configuration's, else the one that is here."""
    return system or find_configuration(configuration).system or config.find_system()


def examples(*lines: str) -> str:
    """Give the epilog of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def print_json(facts: object) -> None:
    """Print facts for programs."""
    click.echo(json.dumps(facts, indent=2, default=str))


def print_table(rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> None:
    """Print rows of texts in columns, those of a heading first."""
    shown = [heads, *rows] if heads else [*rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))] if shown else []
    for row in shown:
        click.echo("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
