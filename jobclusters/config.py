"""The configuration: ``jobclusters.*``, and dask-jobqueue's ``jobqueue.*`` without importing it.

Both follow Dask's conventions: keywords over the user's files over the site's over the defaults.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import dask.config
import yaml

from jobclusters.dialect import Dialect
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Problems, nearest, unknown
from jobclusters.layers import Site, job_keywords
from jobclusters.queues import Queue, read_queues
from jobclusters.sizes import Size, read_sizes
from jobclusters.units import bare_walltime, parse_walltime

logger = logging.getLogger(__name__)


def load() -> None:
    """Make the defaults known to ``dask.config``, and put a commented copy of ours into the user's directory.

    Leaving ``with dask.config.set(...)`` may take away defaults that came within it: each call brings back what is
    missing.
    """
    _introduce()
    for defaults in _defaults():
        dask.config.update(dask.config.config, defaults, priority="old")


@lru_cache(maxsize=1)
def _introduce() -> None:
    # The copy is Dask's convention: what a user would set is there to be seen. It is never overwritten.
    dask.config.ensure_file(source=str(files("jobclusters") / "jobclusters.yaml"), comment=True)
    for defaults in _defaults():
        dask.config.update_defaults(defaults)


def _defaults() -> tuple[dict[str, object], dict[str, object]]:
    # The sizes are laid under the configured ones by sizes(): dask.config would fill a null with the default.
    return {"jobclusters": {**ours(), "sizes": {}}}, {"jobqueue": jobqueue_defaults()}


@lru_cache(maxsize=1)
def ours() -> dict[str, dict[str, dict[str, object]]]:
    """Read the defaults of ``jobclusters.*``."""
    text = (files("jobclusters") / "jobclusters.yaml").read_text()
    defaults: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(text)["jobclusters"]
    return defaults


@lru_cache(maxsize=1)
def jobqueue_defaults() -> dict[str, dict[str, object]]:
    """Read dask-jobqueue's ``jobqueue.yaml``; importing it would import distributed."""
    spec = find_spec("dask_jobqueue")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("dask-jobqueue is not installed")
    text = Path(spec.origin).with_name("jobqueue.yaml").read_text()
    sections: dict[str, dict[str, object]] = yaml.safe_load(text)["jobqueue"]
    return sections


def _underscores(section: Mapping[str, object]) -> dict[str, object]:
    """Name keys as keywords are named; if a key stands there in both spellings, the set one wins."""
    named: dict[str, object] = {}
    for key, value in section.items():
        name = str(key).replace("-", "_")
        if value is not None or name not in named:
            named[name] = value
    return named


#: Settings of dask-jobqueue that concern the cluster, not its jobs.
CLUSTER_SETTINGS = frozenset({"interface", "scheduler_options", "shared_temp_directory"})


def jobqueue(dialect: Dialect, config_name: str | None) -> dict[str, object]:
    """Give the settings of ``jobqueue.<config_name>``, over the system's defaults.

    A key that dask-jobqueue and we don't know is ignored, as dask-jobqueue does, with a warning in the log.

    Raises
    ------
    InvalidRequest
        If there is no such section, or a walltime in it that YAML has read as a number.
    """
    load()
    sections: Mapping[str, object] = dask.config.get("jobqueue")
    usual = dialect.section or dialect.name
    name = section_name(dialect, config_name)
    section = sections.get(name, 0)
    if section is None:  # all that it held is commented out
        section = {}
    if not isinstance(section, Mapping):
        raise InvalidRequest(unknown("config_name", name, sections) + " (sections of jobqueue in the configuration)")
    settings = {**_underscores(jobqueue_defaults()[usual]), **_underscores(section)}
    known = {key for each in jobqueue_defaults().values() for key in _underscores(each)} | job_keywords(dialect)
    for key in settings.keys() - known:
        _warn_of(f"jobqueue.{name}.{key}", nearest(key, known))
    if not dialect.clock.startswith("seconds"):  # there YAML's 43200 for 12:00:00 means what was meant
        Problems(f"jobqueue.{name}: {problem}" for problem in bare_walltime(settings.get("walltime"))).raise_any()
    return {key: value for key, value in settings.items() if key in known}


def section_name(dialect: Dialect, config_name: str | None) -> str:
    """Name the section of ``jobqueue`` that counts."""
    usual = dialect.section or dialect.name
    return config_name or (dialect.name if dialect.name in dask.config.get("jobqueue") else usual)


@lru_cache(maxsize=256)
def _warn_of(key: str, hint: str) -> None:
    logger.warning("%s in the configuration means nothing here, and is ignored%s", key, hint and f":{hint}")


def sizes() -> dict[str, Size]:
    """Give all sizes: built-in, the site's and the user's, by name.

    Raises
    ------
    InvalidRequest
        With everything that's wrong in ``jobclusters.sizes``.
    """
    load()
    keywords = frozenset().union(*(job_keywords(dialect) for dialect in DIALECTS.values()))
    entries: dict[str, object] = dict(ours()["sizes"])
    for name, entry in (dask.config.get("jobclusters.sizes") or {}).items():
        base = entries.get(name)
        entries[name] = {**base, **entry} if isinstance(base, Mapping) and isinstance(entry, Mapping) else entry
    found, wrong = read_sizes(entries, SYSTEMS, keywords)
    Problems(wrong).raise_any()
    return found


#: Names of batch systems that may stand in a shared site file, whether this version knows them or not.
SYSTEMS = frozenset({"slurm", "pbs", "torque", "lsf", "sge", "local"})


def check() -> None:
    """Refuse keys of ``jobclusters`` that mean nothing.

    Raises
    ------
    InvalidRequest
        With each of them.
    """
    load()
    problems = Problems()
    defaults = ours()
    _check("jobclusters", defaults, problems)
    for name in ("local", "spot", "adaptive"):
        _check(f"jobclusters.{name}", defaults[name], problems)
    if unnamed := (dask.config.get("jobclusters.queues") or {}).keys() - SYSTEMS:
        problems += [unknown("batch system in jobclusters.queues", system, SYSTEMS) for system in unnamed]
    for system, default in defaults["spot"].items():
        _check(f"jobclusters.spot.{system}", default, problems)
    problems.raise_any()


def _check(name: str, defaults: Mapping[str, object], problems: Problems) -> None:
    section = dask.config.get(name, None) or {}
    if not isinstance(section, Mapping):
        problems.append(f"{name} must be a mapping, not {section!r}")
        return
    known = _underscores(defaults)
    problems += [unknown(f"key of {name}", key, defaults) for key in section if key.replace("-", "_") not in known]


def find_system() -> str:
    """Name the batch system to use: ``jobclusters.system``, else the one whose commands are here, else "local"."""
    load()
    name = dask.config.get("jobclusters.system")
    if name is not None:
        if name not in DIALECTS:
            raise InvalidRequest(unknown("batch system in jobclusters.system", name, DIALECTS))
        return str(name)
    return next(name for name, dialect in DIALECTS.items() if not dialect.probe or shutil.which(dialect.probe))


def site(dialect: Dialect, config_name: str | None = None) -> Site:
    """Gather what the configuration says for jobs on a batch system."""
    check()
    settings = jobqueue(dialect, config_name)
    for key, value in own_settings(dialect).items():
        names = [key, *(old for old, new in dialect.renamed.items() if new == key)]
        if not any(settings.get(name) for name in names):
            settings[key] = value
    headroom = dask.config.get("jobclusters.memory-headroom")
    problems = Problems()
    if isinstance(headroom, bool) or not isinstance(headroom, (int, float)) or not 0 <= headroom <= 0.5:
        problems.append(f"jobclusters.memory-headroom must be a share between 0 and 0.5, not {headroom!r}")
    queues = _queues(dialect, problems)
    margin, wrong = dask.config.get("jobclusters.walltime-margin"), Problems()
    spare = None if margin is None else wrong.attempt(lambda: parse_walltime(margin, "seconds, MM:SS"), None)
    problems += [f"jobclusters.walltime-margin: {problem}" for problem in wrong]
    problems.raise_any()
    spot = dask.config.get(f"jobclusters.spot.{dialect.name}", None) or {}
    return Site(
        job={key: value for key, value in settings.items() if key not in CLUSTER_SETTINGS},
        sizes=sizes(),
        python=sys.executable,
        section=f"jobqueue.{section_name(dialect, config_name)}",
        headroom=float(headroom),
        margin=spare,
        spot=_underscores(spot),
        queues=queues,
        software=dask.config.get("jobclusters.software") or {},
        dask_cuda=find_spec("dask_cuda") is not None,
        preload={
            "--preload": _listed("distributed.worker.preload"),
            "--preload-nanny": _listed("distributed.nanny.preload"),
        },
        versions=(platform.python_version(), version("distributed")),
        expand=expand,
    )


def _listed(key: str) -> list[str]:
    value = dask.config.get(key, None) or []
    return [value] if isinstance(value, str) else [str(each) for each in value]


def own_settings(dialect: Dialect) -> Mapping[str, object]:
    """Give what the batch system's own files and variables say."""
    return dialect.settings(os.environ, _read)


def _queues(dialect: Dialect, problems: Problems) -> dict[str, Queue]:
    where = f"jobclusters.queues.{dialect.name}"
    entries = dask.config.get(where, None) or {}
    if not isinstance(entries, Mapping):
        problems.append(f"{where} must be a mapping of queues to what they hold, not {entries!r}")
        return {}
    queues, wrong = read_queues(entries, dialect.clock, where)
    problems += wrong
    return queues


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def template_dirs() -> tuple[str, ...]:
    """Give ``jobclusters.template-dirs``, with ``~`` and variables expanded.

    Raises
    ------
    InvalidRequest
        If they aren't paths.
    """
    load()
    problems = Problems()
    found = directories("jobclusters.template-dirs", dask.config.get("jobclusters.template-dirs"), problems)
    problems.raise_any()
    return found


def directories(key: str, value: object, problems: Problems) -> tuple[str, ...]:
    """Read one path or several, with ``~`` and variables expanded."""
    paths = [value] if isinstance(value, (str, os.PathLike)) else value or ()
    if not isinstance(paths, (list, tuple)) or not all(isinstance(path, (str, os.PathLike)) for path in paths):
        problems.append(f"{key} must be a list of directories, not {value!r}")
        return ()
    return tuple(expand(str(path)) for path in paths if str(path))


def expand(path: str) -> str:
    """Expand ``~`` and variables in a path."""
    return os.path.expanduser(os.path.expandvars(path))
