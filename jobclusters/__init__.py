"""Dask clusters on HPC batch queues."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name lives; it is imported when first used, so that importing the package costs next to nothing.
_HOMES = {
    "Cluster": "clusters",
    "InvalidRequest": "errors",
    "JobClustersError": "errors",
    "JobsFailed": "errors",
    "JobState": "state",
    "JobStatus": "state",
    "LSFCluster": "clusters",
    "LocalQueueCluster": "clusters",
    "NoBatchSystem": "errors",
    "PBSCluster": "clusters",
    "QueueError": "errors",
    "Refused": "errors",
    "SGECluster": "clusters",
    "SLURMCluster": "clusters",
    "TORQUECluster": "clusters",
    "TemplateError": "errors",
    "Unavailable": "errors",
    "delete_configuration": "configurations",
    "describe_sizes": "public",
    "job_script": "public",
    "list_configurations": "configurations",
    "list_sizes": "public",
    "save_configuration": "configurations",
    "show_configuration": "configurations",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 -- a list all the same

_CLUSTERS = [name for name in __all__ if name.endswith("Cluster")]
# What dask-jobqueue has, and we don't.
_BESIDE = "dask_jobqueue, which is installed beside jobclusters, has it"
_ELSEWHERE = {
    "HTCondorCluster": _BESIDE,
    "MoabCluster": f"{_BESIDE}; where Moab stands before TORQUE or PBS, their own cluster may do",
    "OARCluster": _BESIDE,
    "SLURMRunner": _BESIDE,
}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:  # an AttributeError's words would not be seen by who imports it
        raise ImportError(f"jobclusters has no {name}: there are {', '.join(_CLUSTERS)}. {_ELSEWHERE[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
