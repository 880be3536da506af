"""``jobclusters config``."""

from __future__ import annotations

import click

from jobclusters.batch.script import render
from jobclusters.cli.options import (
    chosen_system,
    examples,
    job_options,
    json_option,
    print_json,
    print_table,
    system_option,
)
from jobclusters.config import settings as config
from jobclusters.config.call import read_call
from jobclusters.config.origins import Explanation, files, settings, short
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems


@click.command(
    "config",
    epilog=examples(
        "jobclusters config",
        "jobclusters config --system slurm --worker-size large --queue normal",
        "jobclusters config --check",
    ),
)
@system_option
@job_options
@click.option("--check", is_flag=True, help="Read everything in all files, and tell all that is wrong.")
@json_option
def command(system: str | None, configuration: str | None, job: dict[str, object], check: bool, as_json: bool) -> None:
    """Show which settings count, and where each comes from.

    With options of a job: what they and the settings make of it. With --check: what is wrong in the files, each with
    file and line, whichever batch system it is for. Exit status 1 if anything is wrong; warnings alone are no fault.
    """
    if check:
        _check(as_json, bool(system or configuration or job))
        return
    name = chosen_system(system, configuration)
    dialect = DIALECTS[name]
    wrong: tuple[str, ...] = ()
    if job or configuration:
        call = read_call(dialect, job, configuration)
        found = call.explain({}, render(call.spec, dialect, call.template_dirs))
    else:
        found = settings(dialect)
        try:
            config.site(dialect)
            config.template_dirs()
        except InvalidRequest as error:
            wrong = error.problems
    if as_json:
        facts = [{"key": key, "value": value, "source": source} for key, (value, source) in found.items()]
        print_json({"system": name, "files": files(), "settings": facts, "problems": wrong})
    else:
        _print(found)
    Problems(wrong).raise_any()


def _check(as_json: bool, narrowed: bool) -> None:
    from jobclusters.doctor.configuration import as_facts, check_configuration

    if narrowed:
        raise click.UsageError("--check reads everything: leave the other options out")
    found = check_configuration()
    wrong = sum(not each.warning for each in found)
    if as_json:
        print_json({"files": files(), "findings": as_facts(found)})
    else:
        for each in found:
            click.echo(f"{'warning: ' if each.warning else ''}{each}")
        read = ", ".join(files()) or "nothing but the defaults"
        click.echo(f"{counted(wrong, 'problem')}, {counted(len(found) - wrong, 'warning')}. Read: {read}", err=True)
    if wrong:
        raise click.exceptions.Exit(1)


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    >>> counted(1, "problem"), counted(2, "problem")
    ('1 problem', '2 problems')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def _print(found: Explanation) -> None:
    read = files()
    click.echo(f"Read, the strongest first: {', '.join(read) or 'nothing but the defaults'}", err=True)
    print_table([(key, short(value), source) for key, (value, source) in found.items()])
