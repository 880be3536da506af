"""Finds the source of each value of a cluster: a file, the environment, a default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import dask.config

from jobclusters.config import settings as config
from jobclusters.config.keywords import renamed
from jobclusters.config.places import same_key
from jobclusters.dialects.base import Dialect

#: Stands for Dask's variables among the places of settings.
_ENVIRONMENT = "the environment"

#: The depth of an entry below ``jobclusters.<section>``: a size, a queue, a share.
_DEPTH = {"adaptive": 1, "configurations": 1, "local": 1, "queues": 2, "sizes": 1, "software": 1, "spot": 2}

#: Sections whose names are settings, with two spellings; in the others they are a site's.
_OUR_NAMES = frozenset({"adaptive", "local", "spot"})


def settings(dialect: Dialect, config_name: str | None = None) -> Explanation:
    """Give each setting for a batch system with its source, by its full name.

    ``jobclusters.*`` comes first, then the section of ``jobqueue``; the built-in sizes and the settings of other batch
    systems are left out. Raise InvalidRequest if there is no section ``config_name``.
    """
    places = written()
    found = Explanation()
    for path, value in _of_ours(dialect):
        found[".".join(path)] = Origin(value, _source(path, value, places))
    section = f"jobqueue.{config.section_name(dialect, config_name)}"
    for key, value in sorted(config.jobqueue(dialect, config_name).items()):
        source = "default" if value is None else where(dialect, section, key, value, places)
        found[f"{section}.{key.replace('_', '-')}"] = Origin(value, source)
    return found


def files() -> list[str]:
    """Name the files with settings of ours, and "the environment" if it has some: the strongest first."""
    return [place for place, settings in written() if settings.keys() & {"jobclusters", "jobqueue"}]


def _of_ours(dialect: Dialect) -> Iterator[tuple[list[str], object]]:
    config.load()
    found = {section.replace("_", "-"): value for section, value in dask.config.get("jobclusters").items()}
    for name in [*(each for each in config.ours() if each in found), *(found.keys() - config.ours().keys())]:
        yield from _leaves(["jobclusters", name], found[name], _DEPTH.get(name, 0), dialect)


def _leaves(path: list[str], value: object, depth: int, dialect: Dialect) -> Iterator[tuple[list[str], object]]:
    if depth and isinstance(value, Mapping):
        ours = path[1] in _OUR_NAMES
        for name, each in value.items():
            if depth == 1 or name == dialect.name:
                spelt = str(name).replace("_", "-") if ours else str(name)
                yield from _leaves([*path, spelt], each, depth - 1, dialect)
    else:
        yield path, value


def _source(path: list[str], value: object, places: list[Written]) -> str:
    if value is not None and (found := written_in(path, value, places)):
        return " and ".join(found)
    return "default" if value == find({"jobclusters": config.ours()}, path) else "set by the program"


class Origin(NamedTuple):
    """A value and its source."""

    value: object
    source: str


class Explanation(dict[str, Origin]):
    """The parameters of a cluster with their sources; prints as a table.

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
    """Merge parts without empty values; the first of two with the same name counts."""
    found = Explanation()
    for part in parts:
        for name, origin in part.items():
            if name not in found and origin.value not in (None, "", (), [], {}):
                found[name] = origin
    return found


#: A place with settings, and these.
Written = tuple[str, Mapping[str, object]]


def written() -> list[Written]:
    """Read the settings in the environment and in the configuration's files, the strongest first."""
    found: list[Written] = [(_ENVIRONMENT, dask.config.collect_env())]
    for path in reversed(dask.config.paths):
        try:
            files = [*dask.config.collect_yaml([path], return_paths=True)]
        except ValueError:  # changed since Dask read it, and no YAML now
            continue
        found += [(str(file), settings) for file, settings in reversed(files)]
    return found


def _variable(path: Sequence[str]) -> str:
    """Name the variable from which Dask read a setting; "" if it is part of a larger one's value."""
    wanted = f"dask_{'__'.join(path)}".replace("-", "_").lower()
    return next((name for name in os.environ if name.replace("-", "_").lower() == wanted), "")


def where(dialect: Dialect, section: str, key: str, value: object, places: Sequence[Written]) -> str:
    """Name the source of a value: a file, the environment, the batch system, "default", or the program itself.

    Parameters
    ----------
    dialect
        Of the batch system.
    section
        Of the configuration, such as ``jobqueue.slurm``; any other text is the source itself.
    key
        The keyword.
    value
        Its present value.
    places
        From :func:`written`.
    """
    if not section.startswith(("jobqueue.", "jobclusters")):
        return section
    # A name may hold dots: jobclusters.configurations.v1.2
    path = section.split(".", 2 if section.startswith("jobclusters") else 1)
    names = [key, *(old for old, new in {**renamed(dialect), "name": "job_name"}.items() if new == key)]
    for name in names:
        if found := written_in([*path, name], value, places):
            variable = _variable([*path, name]) if found == [_ENVIRONMENT] else ""
            return f"{variable or section + '.' + name.replace('_', '-')} in {' and '.join(found)}"
    if config.own_settings(dialect).get(key) == value:
        variables = (name for name, of in dialect.keyword_variables.items() if of == key and os.environ.get(name))
        variable = next(variables, "")
        return f"{variable} in the environment" if variable else f"{dialect.title}'s own settings"
    defaults = config.section_defaults(dialect)
    if path[0] == "jobqueue" and any(find(defaults, [name]) == value for name in names):
        return "default"
    return f"{section}.{key.replace('_', '-')}, set by the program"


def written_in(path: Sequence[str], value: object, places: Sequence[Written]) -> list[str]:
    """Name the place with a value, or all places with parts of a mapping, in their order."""
    for place, settings in places:
        if find(settings, path) == value:
            return [place]
    if not isinstance(value, Mapping):
        return []
    parts = [written_in([*path, str(key)], part, places) for key, part in value.items()]
    named = {place for part in parts for place in part}
    return [place for place, _ in places if place in named] if all(parts) else []


def find(settings: object, path: Sequence[str]) -> object:
    """Give the setting at a path of names, in either spelling; None if there is none."""
    for key in path:
        if not isinstance(settings, Mapping):
            return None
        settings = next((settings[each] for each in settings if same_key(each, key)), None)
    return settings
