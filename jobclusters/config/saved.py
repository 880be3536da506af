"""Saves, lists, shows and deletes named sets of cluster parameters (``configuration="name"``).

A site's are in its configuration, ``jobclusters.configurations``; each of a user's is a file in
``~/.config/dask/jobclusters/`` (beside Dask's configuration). Of two with the same name the user's file counts.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dask.config
import yaml

from jobclusters.config import settings
from jobclusters.config.keywords import CLUSTER_KEYWORDS, OBJECTS, job_keywords, unknown_keyword
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.spec.units import bare_walltime


@dataclass(frozen=True)
class Configuration:
    """A set of cluster parameters.

    Attributes
    ----------
    source
        A section of the configuration, or a file.
    keywords
        Parameters of a cluster class, with underscores.
    system
        Its batch system; None for any.
    """

    source: str
    keywords: Mapping[str, object]
    system: str | None = None


#: The section of a site's.
SECTION = "jobclusters.configurations"

#: A name, which names a file, too.
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

#: A call without a configuration.
NO_CONFIGURATION = Configuration("", {})


def list_configurations() -> list[str]:
    """List the names that ``configuration=`` accepts."""
    return sorted({*_of_the_site(), *_own()})


def show_configuration(name: str) -> dict[str, object]:
    """Give the parameters of a configuration; raise InvalidRequest if there is none, or it can't be read."""
    found = read_configuration(name)
    return {**({"system": found.system} if found.system else {}), **found.keywords}


def save_configuration(name: str, /, *, system: str | None = None, replace: bool = False, **keywords: object) -> Path:
    """Save parameters of a cluster under a name.

    Parameters
    ----------
    name
        Letters, digits and ``_ . -``.
    system
        Its batch system; None for any.
    replace
        Whether to replace an existing one of this name.
    **keywords
        Parameters of a cluster class.

    Returns
    -------
    Path
        The file, which other users may read: :meth:`~jobclusters.cluster.job_cluster.JobCluster.from_yaml`.

    Raises
    ------
    InvalidRequest
        With every unknown keyword; if the name exists; if it can't be written.
    """
    path = _file(name)
    entry = {**({} if system is None else {"system": system}), **keywords}
    _read_entry(entry, f"configuration {name!r}")
    try:
        text = yaml.safe_dump({key.replace("_", "-"): value for key, value in entry.items()}, sort_keys=False)
    except yaml.representer.RepresenterError as error:
        raise InvalidRequest(
            f"configuration {name!r}: {error.args[-1]!r} can't be written to a file; give texts, numbers, lists and"
            " mappings (a class by its name)"
        ) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{uuid.uuid4().hex}")
        try:
            new.write_text(text, encoding="utf-8")
            _put(new, path, replace)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidRequest(f"configuration {name!r} can't be written: {error}") from None
    return path


def _put(new: Path, path: Path, replace: bool) -> None:
    if replace:
        new.replace(path)
        return
    try:
        path.hardlink_to(new)  # of two that save at once, one fails
    except FileExistsError:
        raise InvalidRequest(f"configuration {path.stem!r} exists already ({path}): give replace=True") from None


def delete_configuration(name: str) -> None:
    """Delete a configuration of the user's; raise InvalidRequest if there is none, or it's the site's."""
    own = _own()
    if str(name) not in own:
        if str(name) in _of_the_site():
            raise InvalidRequest(
                f"configuration {name!r} is in the configuration files as {SECTION}.{name}: take it out there"
            )
        raise InvalidRequest(unknown("configuration", name, list_configurations()))
    try:
        own[str(name)].unlink()
    except OSError as error:
        raise InvalidRequest(f"configuration {name!r} can't be deleted: {error}") from None


def find_configuration(asked: object) -> Configuration:
    """Find the configuration of ``configuration=``; raise InvalidRequest if there is none, or for no name."""
    if asked is None or isinstance(asked, Configuration):
        return asked or NO_CONFIGURATION
    if not isinstance(asked, str):
        raise InvalidRequest(
            f"configuration must be a name, not {asked!r}: parameters are given as keywords (**parameters), and a file"
            " with from_yaml(path)"
        )
    return read_configuration(asked)


def read_configuration(name: str) -> Configuration:
    """Find a configuration by its name."""
    own, site = _own(), _of_the_site()
    if str(name) in own:
        return read_file(own[str(name)])
    if str(name) not in site:
        raise InvalidRequest(f"{unknown('configuration', name, list_configurations())}; save_configuration() makes one")
    where = f"{SECTION}.{name}"
    keywords, system = _read_entry(site[str(name)], where)
    return Configuration(where, keywords, system)


def read_file(path: str | os.PathLike[str]) -> Configuration:
    """Read a configuration from a file."""
    file = settings.expand(str(path))
    where = f"configuration {file!r}"
    try:
        entry = yaml.safe_load(Path(file).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{where} can't be read: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date like 2026-13-45 is a ValueError
        raise InvalidRequest(f"{where} is no YAML: {error}") from None
    keywords, system = _read_entry(entry, where)
    return Configuration(where, keywords, system)


def _read_entry(entry: object, where: str) -> tuple[dict[str, object], str | None]:
    if not isinstance(entry, Mapping):
        raise InvalidRequest(f"{where} must be a mapping of a cluster's parameters, not {entry!r}")
    keywords = {str(key).replace("-", "_"): value for key, value in entry.items()}
    system = keywords.pop("system", None)
    problems = Problems()
    if system is not None and str(system) not in DIALECTS:
        problems.append(unknown("batch system", system, DIALECTS))
    dialects = [DIALECTS[str(system)]] if str(system) in DIALECTS else [*DIALECTS.values()]
    valid = (CLUSTER_KEYWORDS - OBJECTS).union(*(job_keywords(dialect) for dialect in dialects))
    only = dialects[0] if len(dialects) == 1 else None
    problems += [unknown_keyword(key, only) for key in keywords.keys() - valid]
    problems += bare_walltime(keywords.get("walltime"))
    if problems:
        raise InvalidRequest(f"{where}: {problem}" for problem in problems)
    return keywords, None if system is None else str(system)


def places() -> dict[str, str]:
    """Give the file of each configuration, by name; "" for one of the site's."""
    return {**dict.fromkeys(_of_the_site(), ""), **{name: str(path) for name, path in _own().items()}}


def _of_the_site() -> Mapping[str, object]:
    return {str(name): entry for name, entry in settings.section("configurations").items() if entry is not None}


def _own() -> dict[str, Path]:
    """Give the user's files, by name."""
    try:
        paths = [*_directory().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidRequest(f"configurations can't be read: {error}") from None
    return {path.stem: path for path in paths if path.suffix == ".yaml" and _NAME.fullmatch(path.stem)}


def _directory() -> Path:
    path = Path(dask.config.PATH)  # DASK_CONFIG may name a file
    return (path.parent if path.is_file() else path) / "jobclusters"


def _file(name: str) -> Path:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(f"configuration {name!r}: a name is letters, digits and _ . -, as it names a file")
    return _directory() / f"{name}.yaml"
