"""``jobclusters keywords``."""

from __future__ import annotations

import click

from jobclusters.cli.options import examples, json_option, print_json, print_table, system_option
from jobclusters.config import keywords
from jobclusters.dialects import DIALECTS
from jobclusters.spec.keyword import Keyword


@click.command("keywords", epilog=examples("jobclusters keywords", "jobclusters keywords --system slurm"))
@system_option
@json_option
def command(system: str | None, as_json: bool) -> None:
    """List the keywords of clusters: the type of each, its default, and what it means.

    --set gives any of them to a command. With --system: those on that batch system; else those on all.
    """
    sections = keywords.sections(DIALECTS[system]) if system else keywords.everywhere()
    rows = [each for section in sections.values() for each in section]
    facts = [
        {
            "name": each.name,
            "old_names": each.old_names,
            "type": each.type,
            "default": each.default.replace("``", ""),
            "means": each.doc.replace("``", ""),
            "systems": [dialect.name for dialect in keywords.systems(each) or DIALECTS.values()],
        }
        for each in rows
    ]
    if as_json:
        print_json(facts)
        return
    table = [(each.name, each.type, _meaning(each, everywhere=not system)) for each in rows]
    print_table(table, ("KEYWORD", "TYPE", "MEANS"))


def _meaning(keyword: Keyword, *, everywhere: bool) -> str:
    """Describe a keyword; among those of all batch systems, with the systems that have it."""
    where = ", ".join(dialect.title for dialect in keywords.systems(keyword)) if everywhere else ""
    default = f" [default: {keyword.default}]" if keyword.default else ""
    return f"{f'{where}: ' if where else ''}{keyword.doc}{default}".replace("``", "")
