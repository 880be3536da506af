"""Every setting that counts, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dask.config

from jobclusters import config
from jobclusters.dialect import Dialect
from jobclusters.explain import Explanation, Origin, Written, find, where, written, written_in

#: How many names below ``jobclusters.<section>`` lead to a thing of its own: a size, a queue, a share.
_DEPTH = {"adaptive": 1, "configurations": 1, "local": 1, "queues": 2, "sizes": 1, "software": 1, "spot": 2}

#: Where names are settings, which have two spellings; elsewhere they are a site's.
_OUR_NAMES = frozenset({"adaptive", "local", "spot"})


def settings(dialect: Dialect, config_name: str | None = None) -> Explanation:
    """Tell each setting for a batch system, and where it comes from.

    Parameters
    ----------
    dialect
        Of the batch system.
    config_name
        The section of ``jobqueue``, if it isn't the system's usual one.

    Returns
    -------
    Explanation
        By the setting's full name: ``jobclusters.*`` first, then the section of ``jobqueue``. The built-in sizes, and
        what is for other batch systems alone, are left out.

    Raises
    ------
    InvalidRequest
        If there is no such section.
    """
    places = written()
    found = Explanation()
    for path, value in _of_ours(dialect):
        found[".".join(path)] = Origin(value, _source(path, value, places))
    section = f"jobqueue.{config.section_name(dialect, config_name)}"
    for key, value in sorted(config.jobqueue(dialect, config_name).items()):
        stands = "default" if value is None else where(dialect, section, key, value, places)
        found[f"{section}.{key.replace('_', '-')}"] = Origin(value, stands)
    return found


def files() -> list[str]:
    """Name the files that say something here, and "the environment" if it does: the strongest first."""
    return [place for place, said in written() if said.keys() & {"jobclusters", "jobqueue"}]


def _of_ours(dialect: Dialect) -> Iterator[tuple[list[str], object]]:
    config.load()
    said = {section.replace("_", "-"): value for section, value in dask.config.get("jobclusters").items()}
    for name in [*(each for each in config.ours() if each in said), *(said.keys() - config.ours().keys())]:
        yield from _leaves(["jobclusters", name], said[name], _DEPTH.get(name, 0), dialect)


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
