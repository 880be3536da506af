"""Dask clusters on HPC batch queues."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

# Where each public name lives; it is imported when first used, so that importing the package costs next to nothing.
_HOMES = {
    "Cluster": "cluster.systems",
    "InvalidRequest": "errors",
    "JobClustersError": "errors",
    "JobsFailed": "errors",
    "JobState": "state",
    "JobStatus": "state",
    "NoBatchSystem": "errors",
    "QueueError": "errors",
    "Refused": "errors",
    "TemplateError": "errors",
    "Unavailable": "errors",
    "delete_configuration": "config.saved",
    "describe_sizes": "api",
    "job_script": "api",
    "list_configurations": "config.saved",
    "list_sizes": "api",
    "save_configuration": "config.saved",
    "show_configuration": "config.saved",
}

# Classes of others that jobclusters doesn't have, and what to do instead.
_BESIDE = "dask_jobqueue, which is installed beside jobclusters, has it"
_ELSEWHERE = {
    "CoiledCluster": "Cluster() takes Coiled's keywords: docs/moving.md",
    "LocalCluster": "LocalQueueCluster() is this machine's, with a queue; distributed has LocalCluster",
    "SLURMRunner": _BESIDE,
    "SaturnCluster": "Cluster() takes Saturn Cloud's keywords: docs/moving.md",
}


def _clusters() -> list[str]:
    """Name the class of each batch system."""
    from jobclusters.dialects import DIALECTS

    return sorted(f"{dialect.prefix}Cluster" for dialect in DIALECTS.values())


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_HOMES, *_clusters()])
    if name in _ELSEWHERE:  # `from jobclusters import ...` hides the text of an AttributeError
        raise ImportError(f"jobclusters has no {name}: there are Cluster, {', '.join(_clusters())}. {_ELSEWHERE[name]}")
    if name.endswith("Cluster") and name not in (known := ["Cluster", *_clusters()]):
        meant = [each for each in known if each.lower() == name.lower()]
        if meant:
            raise ImportError(f"jobclusters has no {name}: say {meant[0]}")
    home = "cluster.systems" if name.endswith("Cluster") and name in _clusters() else _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*(name for name in globals() if name.startswith("__")), *_HOMES, *_clusters()])
