"""``jobclusters config``."""

from __future__ import annotations

import click

from jobclusters import config
from jobclusters.call import read_call
from jobclusters.cli.options import (
    chosen_system,
    examples,
    job_options,
    json_option,
    print_json,
    print_table,
    system_option,
)
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems
from jobclusters.explain import Explanation, short
from jobclusters.settings import files, settings


@click.command(
    "config",
    epilog=examples("jobclusters config", "jobclusters config --system slurm --worker-size large --queue normal"),
)
@system_option
@job_options
@json_option
def command(system: str | None, configuration: str | None, job: dict[str, object], as_json: bool) -> None:
    """Show which settings count, and where each comes from.

    With options of a job: what they and the settings make of it. Exit status 1 if a setting is wrong.
    """
    name = chosen_system(system, configuration)
    dialect = DIALECTS[name]
    wrong: tuple[str, ...] = ()
    if job or configuration:
        found = read_call(dialect, job, configuration).explain({})
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


def _print(found: Explanation) -> None:
    read = files()
    click.echo(f"Read, the strongest first: {', '.join(read) or 'nothing but the defaults'}", err=True)
    print_table([(key, short(value), source) for key, (value, source) in found.items()])
