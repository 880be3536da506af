"""Draws the packages: the layers of .importlinter, each with the first sentence of its ``__init__``."""

from __future__ import annotations

import ast
import configparser
import html
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]

WIDTH, LINE, MARGIN, NAMES = 720, 17, 9, 150


def layers() -> list[list[str]]:
    """List the packages of each layer, from the top down."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts["importlinter:contract:layers"]["layers"].split("\n")
    return [[name.strip().removeprefix("jobclusters.") for name in line.split("|")] for line in lines if line.strip()]


def sentence(name: str) -> str:
    """Give the first sentence of a package's or module's docstring."""
    place = ROOT / "jobclusters" / name
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].replace("``", "").split())


def draw() -> str:
    """Draw a picture in which each package stands on those that it may import."""
    rows, top = [], 0
    for layer in layers():
        for name in layer:
            lines = textwrap.wrap(sentence(name), 80)
            height = len(lines) * LINE + 2 * MARGIN
            label = f"{name}/" if (ROOT / "jobclusters" / name).is_dir() else f"{name}.py"
            texts = "".join(
                f'<text x="{NAMES}" y="{top + MARGIN + 13 + number * LINE}">{html.escape(line)}</text>'
                for number, line in enumerate(lines)
            )
            rows.append(
                f'<rect x="1" y="{top + 1}" width="{WIDTH - 2}" height="{height - 2}" rx="4"/>'
                f'<text class="name" x="{MARGIN}" y="{top + MARGIN + 13}">{label}</text>{texts}'
            )
            top += height
        top += 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">'
        "<style>rect{fill:#f3f6fa;stroke:#7b8fa8}text{font:13px sans-serif;fill:#1d2733}.name{font-weight:bold}</style>"
        f"{''.join(rows)}</svg>\n"
    )
