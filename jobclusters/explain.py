"""Where each value of a cluster came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import dask.config

from jobclusters import config
from jobclusters.dialect import Dialect
from jobclusters.layers import RENAMED


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
        values = {name: short(origin.value) for name, origin in self.items()}
        first, second = (max(map(len, column), default=0) for column in (values, values.values()))
        rows = (f"{name:{first}}  {values[name]:{second}}  {origin.source}" for name, origin in self.items())
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        cells = ((name, short(origin.value), origin.source) for name, origin in self.items())
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        return f"<table><tr><th>parameter</th><th>value</th><th>from</th></tr>{rows}</table>"


def short(value: object, most: int = 60) -> str:
    """Print a value in a table's cell."""
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


#: Settings that stand somewhere, and where.
Written = tuple[str, Mapping[str, object]]


def written() -> list[Written]:
    """Read what stands in the environment and in the configuration's files, the strongest first."""
    found: list[Written] = [("the environment", dask.config.collect_env())]
    for path in reversed(dask.config.paths):
        try:
            files = [*dask.config.collect_yaml([path], return_paths=True)]
        except ValueError:  # changed since it was read, and no YAML now
            continue
        found += [(str(file), settings) for file, settings in reversed(files)]
    return found


def where(dialect: Dialect, section: str, key: str, value: object, places: Sequence[Written]) -> str:
    """Say where a value comes from.

    Parameters
    ----------
    dialect
        Of the batch system.
    section
        Of the configuration, such as ``jobqueue.slurm``; anything else is somebody who is named already.
    key
        The keyword.
    value
        What it is now.
    places
        As :func:`written` gives them.

    Returns
    -------
    str
        A file, the environment, the batch system, "default", or the program itself.
    """
    if not section.startswith(("jobqueue.", "jobclusters")):
        return section
    # A name may hold dots: jobclusters.configurations.v1.2
    path = section.split(".", 2 if section.startswith("jobclusters") else 1)
    names = [key, *(old for old, new in {**RENAMED, **dialect.renamed, "name": "job_name"}.items() if new == key)]
    for name in names:
        if found := written_in([*path, name], value, places):
            return f"{section}.{name.replace('_', '-')} in {' and '.join(found)}"
    if config.own_settings(dialect).get(key) == value:
        return f"{dialect.title}'s own settings"
    defaults = config.jobqueue_defaults()[dialect.section or dialect.name]
    if path[0] == "jobqueue" and any(find(defaults, [name]) == value for name in names):
        return "default"
    return f"{section}.{key.replace('_', '-')}, set by the program"


def written_in(path: Sequence[str], value: object, places: Sequence[Written]) -> list[str]:
    """Name the place where a value stands, or all those where parts of a mapping do."""
    for place, settings in places:
        if find(settings, path) == value:
            return [place]
    if not isinstance(value, Mapping):
        return []
    parts = [written_in([*path, str(key)], part, places) for key, part in value.items()]
    return list(dict.fromkeys(place for part in parts for place in part)) if all(parts) else []


def find(settings: object, path: Sequence[str]) -> object:
    """Give what stands at a path of names, however they are spelt; None if nothing does."""
    for key in path:
        if not isinstance(settings, Mapping):
            return None
        settings = next((settings[each] for each in settings if _same(each, key)), None)
    return settings


def _same(one: object, other: str) -> bool:
    return str(one).replace("-", "_") == other.replace("-", "_")
