"""Named sets of cluster parameters (``configuration="name"``): saved, listed, shown, deleted, shared as files.

A site's stand in its configuration, ``jobclusters.configurations``; a user's own are files, one for each, in
``~/.config/dask/jobclusters/`` (beside Dask's configuration, wherever that is). Of two with the same name the user's
counts.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dask.config
import yaml

from jobclusters import config
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.layers import job_keywords
from jobclusters.units import bare_walltime


@dataclass(frozen=True)
class Configuration:
    """A set of cluster parameters.

    Attributes
    ----------
    source
        Where it comes from, as a person is told it.
    keywords
        Parameters of a cluster class, with underscores.
    system
        The batch system that it is for; None if for any.
    """

    source: str
    keywords: Mapping[str, object]
    system: str | None = None


#: What applies where nothing is asked for.
NO_CONFIGURATION = Configuration("", {})

#: Keywords that concern the cluster, not its jobs.
CLUSTER_KEYWORDS = frozenset(
    {
        "n_workers",
        "n_jobs",
        "job_cls",
        "loop",
        "security",
        "shared_temp_directory",
        "silence_logs",
        "name",
        "asynchronous",
        "dashboard_address",
        "host",
        "scheduler_options",
        "scheduler_cls",
        "scheduler_class",
        "interface",
        "protocol",
        "config_name",
        "template_dirs",
    }
)


def list_configurations() -> list[str]:
    """List the names that ``configuration=`` accepts."""
    return sorted({*_of_the_site(), *(path.stem for path in _directory().glob("*.yaml"))})


def show_configuration(name: str) -> dict[str, object]:
    """Give the parameters of a configuration.

    Raises
    ------
    InvalidRequest
        If there is none of this name, or it can't be read.
    """
    found = read_configuration(name)
    return {**({"system": found.system} if found.system else {}), **found.keywords}


def save_configuration(name: str, *, system: str | None = None, replace: bool = False, **keywords: object) -> Path:
    """Save parameters of a cluster under a name.

    Parameters
    ----------
    name
        Letters, digits and ``_ . -``.
    system
        The batch system that it is for, if it isn't for any.
    replace
        Whether one of this name may be replaced.
    **keywords
        Parameters of a cluster class.

    Returns
    -------
    Path
        The file, which others may use: :meth:`~jobclusters.cluster.JobCluster.from_yaml`.

    Raises
    ------
    InvalidRequest
        With every keyword that means nothing or can't be written; if the name exists; if it can't be written.
    """
    path = _file(name)
    entry = {**({"system": system} if system else {}), **keywords}
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
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
            file.write(text)
        os.chmod(file.name, 0o644)  # others may read it, as they may Dask's files beside it
        try:
            _put(Path(file.name), path, replace)
        finally:
            Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise InvalidRequest(f"configuration {name!r} can't be written: {error}") from None
    return path


def _put(new: Path, path: Path, replace: bool) -> None:
    if replace:
        new.replace(path)
        return
    try:
        path.hardlink_to(new)  # of two that save at once, one is told
    except FileExistsError:
        raise InvalidRequest(f"configuration {path.stem!r} exists already ({path}): give replace=True") from None


def delete_configuration(name: str) -> None:
    """Delete a configuration of one's own.

    Raises
    ------
    InvalidRequest
        If there is none of this name, or it's the site's.
    """
    try:
        _file(name).unlink()
    except FileNotFoundError:
        if name in _of_the_site():
            raise InvalidRequest(
                f"configuration {name!r} stands in the configuration files as jobclusters.configurations.{name}:"
                " take it out there"
            ) from None
        raise InvalidRequest(unknown("configuration", name, list_configurations())) from None
    except OSError as error:
        raise InvalidRequest(f"configuration {name!r} can't be deleted: {error}") from None


def read_configuration(name: str) -> Configuration:
    """Find a configuration by its name."""
    path = _file(name)
    if path.exists():
        return read_file(path)
    site = _of_the_site()
    if name not in site:
        raise InvalidRequest(unknown("configuration", name, list_configurations()))
    keywords, system = _read_entry(site[name], f"jobclusters.configurations.{name}")
    return Configuration(f"configuration {name!r}", keywords, system)


def read_file(path: str | os.PathLike[str]) -> Configuration:
    """Read a configuration's file."""
    file = Path(config.expand(str(path)))
    try:
        entry = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"configuration {str(file)!r} can't be read: {error}") from None
    except yaml.YAMLError as error:
        raise InvalidRequest(f"configuration {str(file)!r} is no YAML: {error}") from None
    keywords, system = _read_entry(entry, str(file))
    return Configuration(f"configuration {str(file)!r}", keywords, system)


def _read_entry(entry: object, where: str) -> tuple[dict[str, object], str | None]:
    if not isinstance(entry, Mapping):
        raise InvalidRequest(f"{where} must be a mapping of a cluster's parameters, not {entry!r}")
    keywords = {str(key).replace("-", "_"): value for key, value in entry.items()}
    system = keywords.pop("system", None)
    problems = Problems()
    if system is not None and system not in DIALECTS:
        problems.append(unknown("batch system", system, DIALECTS))
    dialects = [DIALECTS[str(system)]] if system in DIALECTS else [*DIALECTS.values()]
    valid = CLUSTER_KEYWORDS.union(*(job_keywords(dialect) for dialect in dialects))
    problems += [unknown("keyword", key, valid) for key in keywords.keys() - valid]
    problems += bare_walltime(keywords.get("walltime"))
    if problems:
        raise InvalidRequest(f"{where}: {problem}" for problem in problems)
    return keywords, None if system is None else str(system)


def _of_the_site() -> Mapping[str, object]:
    config.load()
    found = dask.config.get("jobclusters.configurations") or {}
    if not isinstance(found, Mapping):
        raise InvalidRequest(f"jobclusters.configurations must be a mapping of names to parameters, not {found!r}")
    return {str(name): entry for name, entry in found.items() if entry is not None}


def _directory() -> Path:
    return Path(dask.config.PATH) / "jobclusters"


def _file(name: str) -> Path:
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise InvalidRequest(f"configuration={name!r} must be a name of letters, digits and _ . -, as it names a file")
    return _directory() / f"{name}.yaml"
