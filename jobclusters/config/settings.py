"""The configuration: ``jobclusters.*``, and dask-jobqueue's ``jobqueue.*`` without importing it.

Both follow Dask's conventions: keywords over the user's files over the site's over the defaults.

It is long because each setting has its reader here: what it may be, and what is said of one that is wrong.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import lru_cache, partial
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.config
import yaml
from dask.utils import parse_timedelta

from jobclusters.config.dask_settings import as_list, forks_workers, guards_tls, pre_spawn_environ
from jobclusters.config.keywords import CLUSTER_SETTINGS, job_keywords, renamed, spot_keywords
from jobclusters.config.places import Finding
from jobclusters.config.site import Site
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect
from jobclusters.errors import InvalidRequest, Problems, nearest, unknown
from jobclusters.spec.queues import KEYS as QUEUE_KEYS
from jobclusters.spec.queues import Queue, read_queues
from jobclusters.spec.sizes import Size, read_sizes
from jobclusters.spec.units import parse_walltime, read_timeout

logger = logging.getLogger(__name__)


def load() -> None:
    """Add the defaults to ``dask.config``, and put a commented copy of ours into the user's directory.

    Leaving ``with dask.config.set(...)`` may remove defaults that were added within it: each call restores them.
    """
    _introduce()
    for defaults in _defaults():
        if not _holds(dask.config.config, defaults):
            dask.config.update(dask.config.config, defaults, priority="old")


def _holds(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Tell whether a configuration has all of these keys: an update, which minds other spellings, takes much longer."""
    return all(
        name in config
        and (not isinstance(value, dict) or (isinstance(config[name], dict) and _holds(config[name], value)))
        for name, value in defaults.items()
    )


@lru_cache(maxsize=1)
def _introduce() -> None:
    # The copy is Dask's convention, and shows the user all settings. It is never overwritten.
    dask.config.ensure_file(source=str(_OURS), comment=True)
    for defaults in _defaults():
        dask.config.update_defaults(defaults)


def _defaults() -> tuple[dict[str, object], dict[str, object]]:
    # sizes() merges the built-in sizes: dask.config would replace a null by the default.
    return {"jobclusters": {**ours(), "sizes": {}}}, {"jobqueue": jobqueue_defaults()}


def _read(text: str) -> Any:
    """Parse the YAML of a package, by libyaml where it is there: Python alone takes ten times as long."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 -- both are safe


@lru_cache(maxsize=1)
def ours() -> dict[str, dict[str, dict[str, object]]]:
    """Read the defaults of ``jobclusters.*``."""
    defaults: dict[str, dict[str, dict[str, object]]] = _read(_OURS.read_text())["jobclusters"]
    defaults["spot"] = {name: dict.fromkeys(spot_keywords(dialect)) for name, dialect in DIALECTS.items()}
    return defaults


#: The file of the defaults of ``jobclusters.*``.
_OURS = files("jobclusters") / "jobclusters.yaml"


@lru_cache(maxsize=1)
def jobqueue_defaults() -> dict[str, dict[str, object]]:
    """Read dask-jobqueue's ``jobqueue.yaml``; importing it would import distributed.

    A batch system that it lacks gets the others' defaults of the keywords that it shares with them.
    """
    spec = find_spec("dask_jobqueue")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("dask-jobqueue is not installed")
    text = Path(spec.origin).with_name("jobqueue.yaml").read_text()
    sections: dict[str, dict[str, object]] = _read(text)["jobqueue"]
    others = [item for section in sections.values() for item in section.items()]
    for dialect in DIALECTS.values():
        if dialect.usual_section not in sections:
            known = job_keywords(dialect) | CLUSTER_SETTINGS | {"name"}
            shared = {key: value for key, value in reversed(others) if key.replace("-", "_") in known}
            sections[dialect.usual_section] = shared
    return sections


def section_defaults(dialect: Dialect) -> dict[str, object]:
    """Give the defaults of the section of ``jobqueue`` for a batch system."""
    return jobqueue_defaults()[dialect.usual_section]


def _underscores(section: Mapping[str, object]) -> dict[str, object]:
    """Write keys with underscores; of a key in both spellings, the set one wins."""
    named: dict[str, object] = {}
    for key, value in section.items():
        name = str(key).replace("-", "_")
        if value is not None or name not in named:
            named[name] = value
    return named


def jobqueue(dialect: Dialect, config_name: str | None) -> dict[str, object]:
    """Give the settings of ``jobqueue.<config_name>``, over the system's defaults.

    Unknown keys are ignored, as dask-jobqueue does, with a warning in the log.

    Raises
    ------
    InvalidRequest
        If there is no such section.
    """
    load()
    sections: Mapping[str, object] = dask.config.get("jobqueue")
    name = section_name(dialect, config_name)
    if name not in sections:
        raise InvalidRequest(unknown("config_name", name, sections) + " (sections of jobqueue in the configuration)")
    section = sections[name] or {}  # all its settings may be comments
    if not isinstance(section, Mapping):
        raise InvalidRequest(f"jobqueue.{name} must be a mapping of settings, not {section!r}")
    warn(unknown_in_section(dialect, name, section))
    settings = {**_underscores(section_defaults(dialect)), **_underscores(section)}
    known = section_keywords(dialect)
    return {key: value for key, value in settings.items() if key in known}


def section_keywords(dialect: Dialect) -> frozenset[str]:
    """Name what a section of ``jobqueue`` may hold: keywords of a job, and what dask-jobqueue has in any section."""
    return (job_keywords(dialect) | CLUSTER_SETTINGS).union(*map(_underscores, jobqueue_defaults().values()))


def unknown_in_section(dialect: Dialect, name: str, section: Mapping[str, object]) -> list[Finding]:
    """Find the keys of a section of ``jobqueue`` that mean nothing."""
    known = section_keywords(dialect)
    return [
        Finding(
            ("jobqueue", name, str(key)),
            f"jobqueue.{name}.{key} means nothing here, and is ignored{_hint(nearest(key, known))}",
            warning=True,
        )
        for key in section
        if str(key).replace("-", "_") not in known
    ]


def _hint(text: str) -> str:
    return text and f":{text}"


def section_name(dialect: Dialect, config_name: str | None) -> str:
    """Name the section of ``jobqueue`` for a batch system."""
    return config_name or (dialect.name if dialect.name in dask.config.get("jobqueue") else dialect.usual_section)


def warn(findings: Iterable[Finding]) -> None:
    """Log each finding, with its file and its line, once in a process."""
    for each in findings:
        _warn_of(each)


@lru_cache(maxsize=1024)
def _warn_of(finding: Finding) -> None:
    logger.warning("%s", finding)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Log nothing about the settings: the caller reports it."""
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def sizes() -> dict[str, Size]:
    """Give all usable sizes by name: built-in, the site's, the user's; warn of the others."""
    found, wrong = read_all_sizes()
    warn(_spoiled(("jobclusters", "sizes"), wrong))
    return found


def read_all_sizes() -> tuple[dict[str, Size], dict[str, list[str]]]:
    """Give all usable sizes by name, and what is wrong with the others."""
    load()
    keywords = frozenset().union(*(job_keywords(dialect) for dialect in DIALECTS.values()))
    entries: dict[str, object] = dict(ours()["sizes"])
    for name, entry in section("sizes").items():
        base = entries.get(name)
        entries[name] = {**base, **entry} if isinstance(base, Mapping) and isinstance(entry, Mapping) else entry
    return read_sizes(entries, frozenset(DIALECTS), keywords)


def section(*names: str) -> Mapping[str, object]:
    """Give a section of ``jobclusters``; one that is no mapping is empty."""
    load()
    found = dask.config.get("jobclusters")
    for name in names:  # which may hold dots
        found = found.get(dask.config.canonical_name(name, found)) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _spoiled(path: tuple[str, ...], wrong: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Describe entries that can't be used, for those who don't."""
    return [
        Finding((*path, name), f"{problem}. This entry can't be used, and all others can")
        for name, problems in wrong.items()
        for problem in problems
    ]


def unknown_keys() -> list[Finding]:
    """Find keys of ``jobclusters`` that mean nothing, such as those of a newer version; they are ignored."""
    defaults = ours()
    known: dict[tuple[str, ...], Iterable[str]] = {
        (): defaults,
        **{(name,): defaults[name] for name in ("local", "adaptive")},
        **{(name,): DIALECTS for name in ("queues", "spot")},
        **{("queues", system, queue): QUEUE_KEYS for system in DIALECTS for queue in section("queues", system)},
    }
    return [
        Finding(
            ("jobclusters", *path, str(key)),
            f"{unknown('key of ' + '.'.join(('jobclusters', *path)), key, valid, see=str(user_file()))}; it is ignored",
            warning=True,
        )
        for path, valid in known.items()
        for key in section(*path)
        if str(key).replace("_", "-") not in {name.replace("_", "-") for name in valid}
    ]


def seconds(key: str) -> float:
    """Read a time of ``jobclusters.<key>``, in seconds; raise InvalidRequest unless it is above 0."""
    load()
    value = dask.config.get(f"jobclusters.{key}")
    try:
        found = float(parse_timedelta(value))
    except (AttributeError, KeyError, TypeError, ValueError):
        found = 0.0
    if isinstance(value, bool) or not found > 0:
        raise InvalidRequest(f"jobclusters.{key} must be a time above 0, such as '30 s', not {value!r}")
    return found


def flag(key: str) -> bool:
    """Read ``jobclusters.<key>``; raise InvalidRequest unless it is true or false."""
    load()
    value = dask.config.get(f"jobclusters.{key}")
    if not isinstance(value, bool):
        raise InvalidRequest(f"jobclusters.{key} must be true or false, not {value!r}")
    return value


def find_system() -> str:
    """Name the batch system: ``jobclusters.system``, else the one with commands on this machine, else "local"."""
    load()
    name = dask.config.get("jobclusters.system")
    if name is not None:
        if name not in DIALECTS:
            raise InvalidRequest(unknown("batch system in jobclusters.system", name, DIALECTS))
        return str(name)
    return next(name for name, dialect in DIALECTS.items() if not dialect.probe or shutil.which(dialect.probe))


def site(dialect: Dialect, config_name: str | None = None) -> Site:
    """Read the configuration for jobs on a batch system."""
    settings = jobqueue(dialect, config_name)
    for key, value in own_settings(dialect).items():
        names = [key, *(old for old, new in renamed(dialect).items() if new == key)]
        if not any(settings.get(name) for name in names):
            settings[key] = value
    problems = Problems()
    headroom = problems.attempt(memory_headroom, 0.0)
    margin = problems.attempt(walltime_margin, None)
    problems.raise_any()
    sizes, wrong_sizes = read_all_sizes()
    queues, wrong_queues = queues_of(dialect)
    spot, wrong_spot = spot_of(dialect)
    return Site(
        job={key: value for key, value in settings.items() if key not in CLUSTER_SETTINGS},
        sizes=sizes,
        python=sys.executable,
        section=f"jobqueue.{section_name(dialect, config_name)}",
        headroom=headroom,
        margin=margin,
        spot=spot,
        queues=queues,
        wrong_sizes=wrong_sizes,
        wrong_queues=wrong_queues,
        wrong_spot=wrong_spot,
        software=section("software"),
        dask_cuda=find_spec("dask_cuda") is not None,
        preload={
            "--preload": [str(name) for name in as_list(dask.config.get("distributed.worker.preload", None))],
            "--preload-nanny": [str(name) for name in as_list(dask.config.get("distributed.nanny.preload", None))],
        },
        versions=(platform.python_version(), version("distributed")),
        guard_tls=guards_tls() is not False,
        pre_spawn_environ=pre_spawn_environ({}) if forks_workers() else None,
        expand=expand,
    )


def command_options(dialect: Dialect) -> dict[str, object]:
    """Give the settings that change a batch system's commands, for a process that knows no jobs' own."""
    if not dialect.command_keywords:
        return {}
    settings = jobqueue(dialect, None)
    return {key: value for key, value in settings.items() if key in dialect.command_keywords}


def warn_of_others(dialect: Dialect, site: Site) -> None:
    """Warn of what a call didn't need, and others can't use."""
    warn(unknown_keys())
    warn(_spoiled(("jobclusters", "sizes"), site.wrong_sizes))
    warn(_spoiled(("jobclusters", "queues", dialect.name), site.wrong_queues))
    warn(Finding(("jobclusters", "spot", dialect.name), problem) for problem in site.wrong_spot)


def memory_headroom() -> float:
    """Give ``jobclusters.memory-headroom``; raise InvalidRequest unless it is a share."""
    load()
    value = dask.config.get("jobclusters.memory-headroom")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 0.5:
        raise InvalidRequest(f"jobclusters.memory-headroom must be a share between 0 and 0.5, not {value!r}")
    return float(value)


def walltime_margin() -> timedelta | None:
    """Give ``jobclusters.walltime-margin``; raise InvalidRequest unless it is a time."""
    load()
    value, wrong = dask.config.get("jobclusters.walltime-margin"), Problems()
    margin = None if value is None else wrong.attempt(lambda: parse_walltime(value, "seconds, MM:SS"), None)
    Problems(f"jobclusters.walltime-margin: {problem}" for problem in wrong).raise_any()
    return margin


def adaptive() -> Mapping[str, object]:
    """Give the section ``jobclusters.adaptive``: the defaults of the keywords of ``adapt()``."""
    section: Mapping[str, object] = dask.config.get("jobclusters.adaptive")
    return section


def absent_after() -> float:
    """Give ``jobclusters.absent-after``: the seconds after which an absent job counts as gone."""
    seconds = read_timeout("jobclusters.absent-after", dask.config.get("jobclusters.absent-after", "1 minute"))
    return math.inf if seconds is None else seconds


def this_machine() -> Mapping[str, object]:
    """Give the section ``jobclusters.local``: the limits of this machine's own queue."""
    load()
    section: Mapping[str, object] = dask.config.get("jobclusters.local")
    return section


def shared_directory() -> object:
    """Give ``jobclusters.directory``, the directory that clusters and their jobs share."""
    load()
    return dask.config.get("jobclusters.directory")


def encrypts() -> object:
    """Give ``jobclusters.security``, the default of ``security``."""
    load()
    return dask.config.get("jobclusters.security")


def chooses_interface() -> bool:
    """Give ``jobclusters.choose-interface``: whether clusters choose the fastest network."""
    return bool(dask.config.get("jobclusters.choose-interface"))


def shows_progress() -> object:
    """Give ``jobclusters.progress``: whether waiting for workers shows progress."""
    return dask.config.get("jobclusters.progress", True)


def hide_cluster_settings(dialect: Dialect) -> AbstractContextManager[object]:
    """Keep dask-jobqueue from reading the cluster's settings again: it knows only one section."""
    keys = (key.replace("_", "-") for key in CLUSTER_SETTINGS)
    hidden: AbstractContextManager[object] = dask.config.set({f"jobqueue.{dialect.name}.{key}": None for key in keys})
    return hidden


def user_file() -> Path:
    """Give the path of the user's own ``jobclusters.yaml``, which Dask reads."""
    return Path(dask.config.PATH) / "jobclusters.yaml"


def commented_defaults() -> str:
    """Give the copy of our defaults that :func:`load` puts into the user's directory: all lines are comments."""
    with tempfile.TemporaryDirectory() as directory:
        dask.config.ensure_file(source=str(_OURS), destination=directory)
        return (Path(directory) / "jobclusters.yaml").read_text()


def own_settings(dialect: Dialect) -> Mapping[str, object]:
    """Read the batch system's own files and variables."""
    return dialect.settings(os.environ, text_of)


def queue_names() -> list[str]:
    """Name the queues of all batch systems in ``jobclusters.queues``."""
    load()
    systems = [section for section in _names("queues").values() if isinstance(section, Mapping)]
    return list(dict.fromkeys(str(name) for section in systems for name in section))


def software_names() -> list[str]:
    """Name the entries of ``jobclusters.software``."""
    load()
    return [str(name) for name in _names("software")]


def _names(section: str) -> Mapping[str, object]:
    found = dask.config.get(f"jobclusters.{section}", None)
    return found if isinstance(found, Mapping) else {}


def mended() -> AbstractContextManager[object]:
    """Put the defaults in the place of single settings that every job needs, and that can't be read."""
    wrong = Problems()
    mended = {}
    for key in ("system", "memory-headroom", "walltime-margin"):
        before = len(wrong)
        wrong.attempt(READERS[key], None)
        if len(wrong) > before:
            mended[f"jobclusters.{key}"] = ours()[key]
    result: AbstractContextManager[object] = dask.config.set(mended)
    return result


def queues_of(dialect: Dialect) -> tuple[dict[str, Queue], dict[str, list[str]]]:
    """Give the usable queues of a batch system by name, and what is wrong with the others."""
    return read_queues(section("queues", dialect.name), dialect.clock, f"jobclusters.queues.{dialect.name}")


def spot_of(dialect: Dialect) -> tuple[dict[str, object], list[str]]:
    """Give what spot jobs ask for, and what is wrong with that."""
    where, valid = f"jobclusters.spot.{dialect.name}", spot_keywords(dialect)
    entry = _underscores(section("spot", dialect.name))
    wrong = [unknown(f"key of {where}", key, valid) for key in entry if key not in valid]
    return {key: value for key, value in entry.items() if key in valid}, wrong


def text_of(path: str) -> str:
    """Read a file; "" if that is not possible."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def template_dirs() -> tuple[str, ...]:
    """Give ``jobclusters.template-dirs``, with ``~`` and variables expanded; raise InvalidRequest for no paths."""
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


def timeout(key: str) -> float | None:
    """Read a timeout of ``jobclusters.<key>``, in seconds; None for never."""
    load()
    return read_timeout(f"jobclusters.{key}", dask.config.get(f"jobclusters.{key}"))


#: Settings of ``jobclusters`` that are true or false.
FLAGS = ("security", "guard-tls", "fork-workers", "job-arrays", "choose-interface", "progress")

#: Readers of the settings of ``jobclusters`` that are no sections, but for ``directory``; they raise InvalidRequest.
READERS: Mapping[str, Callable[[], object]] = {
    "system": find_system,
    **{key: partial(flag, key) for key in FLAGS},
    **{key: partial(timeout, key) for key in ("idle-timeout", "no-client-timeout", "absent-after")},
    **{key: partial(seconds, key) for key in ("command-timeout", "submit-timeout")},
    "memory-headroom": memory_headroom,
    "walltime-margin": walltime_margin,
    "template-dirs": template_dirs,
}


def expand(path: str) -> str:
    """Expand ``~`` and variables in a path."""
    return os.path.expanduser(os.path.expandvars(path))
