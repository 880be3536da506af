"""Settings that need no batch system: Dask's own, and what workers read; quick to import."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import dask.config
from dask.utils import parse_bytes, parse_timedelta

#: Dask's own value of ``distributed.scheduler.http.routes``.
_ROUTES = {
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.proxy",
    "distributed.http.statics",
}

#: The section of what Dask gives to bokeh.
_PAGES = "distributed.scheduler.dashboard.bokeh-application"


def guards_tls() -> object:
    """Give ``jobclusters.guard-tls``: whether TLS connections are guarded; read in workers, too."""
    return dask.config.get("jobclusters.guard-tls", True)


def forks_workers() -> bool:
    """Tell whether jobs fork their workers: ``jobclusters.fork-workers``, unless Dask's own setting names a way."""
    return dask.config.get("jobclusters.fork-workers", True) is not False and multiprocessing_method() == "spawn"


def multiprocessing_method() -> object:
    """Give ``distributed.worker.multiprocessing-method``: how nannies start workers."""
    return dask.config.get("distributed.worker.multiprocessing-method", "spawn")


def pre_spawn_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the variables that nannies set before they start a worker: ``distributed.nanny.pre-spawn-environ``.

    Those that are in ``environ`` stay as they are. The seed is in none, and the same for all of a cluster's workers,
    since they share out work by hashes.
    """
    found = dask.config.get("distributed.nanny.pre-spawn-environ", None) or {}
    variables = {str(key): environ.get(key, str(value)) for key, value in found.items() if value is not None}
    if variables.get("PYTHONHASHSEED") in (None, "0"):
        variables["PYTHONHASHSEED"] = "6640"
    return variables


def temporary_directory() -> object:
    """Give ``temporary-directory``, for files of schedulers and workers; None for the machine's."""
    return dask.config.get("temporary-directory", None)


def default_scheme() -> str:
    """Give Dask's protocol for connections unless one is named."""
    return str(dask.config.get("distributed.comm.default-scheme"))


def lost_worker_timeout() -> float:
    """Give the seconds after which Dask counts an absent worker as lost."""
    return float(parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout")))


def dashboard_routes_chosen() -> bool:
    """Tell whether ``distributed.scheduler.http.routes`` isn't Dask's own list."""
    found = set(dask.config.get("distributed.scheduler.http.routes"))
    # A scheduler that finds no bokeh adds this one to the setting.
    return found - {"distributed.http.scheduler.missing_bokeh"} != _ROUTES


def dashboard_origins_chosen() -> bool:
    """Tell whether Dask's or bokeh's own setting limits the pages that may open websockets."""
    found = dask.config.get(f"{_PAGES}.allow_websocket_origin")
    return list(found) != ["*"] or "BOKEH_ALLOW_WS_ORIGIN" in os.environ


def dashboard_pages() -> dict[str, object]:
    """Copy the settings of the dashboard's pages, for :func:`with_dashboard_pages`."""
    return dict(dask.config.get(_PAGES))


def with_dashboard_pages(settings: Mapping[str, object]) -> AbstractContextManager[object]:
    """Let Dask make a dashboard's pages with these settings, whatever has been set since."""
    meanwhile: AbstractContextManager[object] = dask.config.set({_PAGES: dict(settings)})
    return meanwhile


#: The setting of the function that finds credentials for ``Client(address)``.
_LOADER = "distributed.client.security-loader"


def set_security_loader(function: str) -> None:
    """Name the function that finds credentials for ``Client(address)``, where none is named."""
    if dask.config.get(_LOADER, None) is None:
        dask.config.set({_LOADER: function})


def repr_interval() -> float:
    """Give the seconds between two updates of a cluster's widget."""
    return float(parse_timedelta(dask.config.get("distributed.deploy.cluster-repr-interval"), default="ms"))


def chunk_size() -> int:
    """Give the bytes of a chunk that ``dask.array`` makes."""
    return int(parse_bytes(dask.config.get("array.chunk-size", "128 MiB")))


def as_list(value: object) -> list[Any]:
    """Read a setting of one name or several, as Dask reads it from an environment variable.

    >>> as_list("a.py"), as_list("['a.py', 'b.py']"), as_list(None)
    (['a.py'], ['a.py', 'b.py'], [])
    """
    read = dask.config.interpret_value(value) if type(value) is str else value
    if read is None:
        return []
    return list(read) if isinstance(read, (list, tuple)) else [read]


def snapshot() -> dict[str, object]:
    """Copy all of Dask's configuration for another process: see :func:`adopt`."""
    return copy.deepcopy(dask.config.config)


#: Settings that workers don't take over: ours, and those of the client's process.
_STAY = frozenset({"jobclusters", "jobqueue", "num_workers", "pool", "scheduler", "shuffle"})


def set_by_program() -> dict[str, object]:
    """Give Dask's settings that are in no file, in no variable, and no default: those of ``dask.config.set``."""
    found = dask.config.collect(dask.config.paths)
    changed = _differences(dask.config.config, found, dask.config.defaults)
    changed = {key: value for key, value in changed.items() if key not in _STAY}
    client = changed.get("distributed", {})
    if isinstance(client, dict) and isinstance(client.get("client"), dict):
        client["client"].pop("security-loader", None)
    return changed


def _differences(
    settings: Mapping[str, Any], found: Mapping[str, Any], defaults: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in settings.items():
        there = [each[name] for each in (found, *defaults) for name in _spellings(key) if name in each]
        if isinstance(value, Mapping):
            known = [each for each in there if isinstance(each, Mapping)]
            in_found: Mapping[str, Any] = next(
                (found[name] for name in _spellings(key) if isinstance(found.get(name), Mapping)), {}
            )
            if more := _differences(value, in_found, known):
                changed[key] = more
        elif not (value == there[0] if any(name in found for name in _spellings(key)) else value in there):
            with suppress(TypeError, ValueError):  # no JSON, as a function is
                json.dumps(value)
                changed[key] = value
    return changed


def _spellings(key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((key, str(key).replace("-", "_"), str(key).replace("_", "-"))))


def serialized(settings: Mapping[str, object]) -> str:
    """Write settings as Dask reads them from ``DASK_INTERNAL_INHERIT_CONFIG``."""
    return str(dask.config.serialize(settings))


def adopt(config: Mapping[str, object]) -> None:
    """Replace Dask's configuration with that of another process."""
    dask.config.config.clear()
    dask.config.update(dask.config.config, config)
