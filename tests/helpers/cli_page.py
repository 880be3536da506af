"""docs/cli.md, cut into the sections of its commands."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def told_keys(name):
    """Give the keys of a command's ``--json`` that its section tells of."""
    table = SECTIONS[name].partition("| `--json`")[2]
    return {key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`([\w-]+)`", row)}
