"""``jobclusters script``."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import click

from jobclusters.api import read_job
from jobclusters.batch.script import render
from jobclusters.cli.options import chosen_system, examples, job_options, json_option, print_json, system_option
from jobclusters.config.call import Call
from jobclusters.errors import InvalidRequest

#: The value of --diff without one.
SITE = "template"


@click.command(
    "script",
    epilog=examples(
        "jobclusters script --system slurm --worker-size 2xlarge --queue normal",
        "jobclusters script --system pbs --worker-size large --set job-extra-directives='[-l place=scatter]'",
        "jobclusters script --system slurm --worker-size large --diff my-old-job.sh",
    ),
)
@system_option
@job_options
@click.option(
    "--diff",
    "other",
    is_flag=False,
    flag_value=SITE,
    metavar="[FILE]",
    help="Print how it differs from that of our built-in template, which is the script without your templates; or"
    " from FILE: a script, or a template such as slurm.sh.j2. Exit status 1 if it does.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    system: str | None,
    configuration: str | None,
    job: dict[str, object],
    other: str | None,
    as_json: bool,
) -> None:
    """Print the job script that a cluster would submit.

    That needs neither the batch system nor a cluster. A placeholder marks the place of the scheduler's address.
    """
    call = read_job(chosen_system(system, configuration), job, configuration)
    text = render(call.spec, call.dialect, call.template_dirs)
    difference = None if other is None else _difference(call, text, other)
    if as_json:
        print_json({"system": call.dialect.name, "script": text, "diff": difference})
    elif difference is None:
        click.echo(text, nl=False)
    else:
        click.echo("".join(map(_coloured, difference.splitlines(keepends=True))), nl=False)
        if not difference:
            click.echo("No difference.", err=True)
    if difference:
        ctx.exit(1)


def _difference(call: Call, text: str, other: str) -> str:
    """Compare the script with that of the built-in template, or with a file."""
    template = f"{call.dialect.name}.sh.j2"
    if other == SITE:
        left, left_name, right, right_name = _built_in(call), f"built-in {template}", text, f"your {template}"
    elif other.endswith(".j2"):
        path = Path(other)
        if path.name != template:
            raise InvalidRequest(f"{other}: a template for {call.dialect.title} is called {template}")
        if not path.is_file():
            raise InvalidRequest(f"{other}: there is no such file")
        dirs = (str(path.resolve().parent), *call.template_dirs)
        left, left_name = _built_in(call), f"built-in {template}"
        right, right_name = render(call.spec, call.dialect, dirs), other
    else:
        left, left_name, right, right_name = _read(other), other, text, f"the script for {call.dialect.title}"
    lines = unified_diff(left.splitlines(), right.splitlines(), left_name, right_name, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _built_in(call: Call) -> str:
    return render(call.spec, call.dialect, ())


def _read(path: str) -> str:
    try:
        return Path(os.path.expanduser(path)).read_text(errors="replace")
    except OSError as error:
        raise InvalidRequest(f"{path} can't be read: {error.strerror}") from None


def _coloured(line: str) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
    return click.style(line, fg=colour) if colour else line
