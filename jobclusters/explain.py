"""Where each value of a cluster came from."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple


class Origin(NamedTuple):
    """A value, and where it came from."""

    value: object
    source: str


class Explanation(dict[str, Origin]):
    """What a cluster's parameters are, and who said so; prints as a table.

    Examples
    --------
    >>> Explanation({"queue": Origin("normal", "keyword"), "cores": Origin(8, "size '2xlarge'")})
    queue  'normal'  keyword
    cores  8         size '2xlarge'
    """

    def __repr__(self) -> str:
        values = {name: _short(origin.value) for name, origin in self.items()}
        first, second = (max(map(len, column), default=0) for column in (values, values.values()))
        rows = (f"{name:{first}}  {values[name]:{second}}  {origin.source}" for name, origin in self.items())
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        cells = ((name, _short(origin.value), origin.source) for name, origin in self.items())
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        return f"<table><tr><th>parameter</th><th>value</th><th>from</th></tr>{rows}</table>"


def _short(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def merged(*parts: Mapping[str, Origin]) -> Explanation:
    """Put parts together, leaving out what is empty; of two with the same name the first counts."""
    found = Explanation()
    for part in parts:
        for name, origin in part.items():
            if name not in found and origin.value not in (None, "", (), [], {}):
                found[name] = origin
    return found
