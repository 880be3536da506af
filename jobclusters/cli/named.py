"""What commands on running clusters share: finding one by its name, connecting, telling how it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobclusters.entry import Standing
from jobclusters.errors import InvalidRequest, JobClustersError, unknown

if TYPE_CHECKING:
    from jobclusters.connected import ConnectedCluster
    from jobclusters.finding import Found

F = TypeVar("F", bound=Callable[..., Any])


def _complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 -- click's
    from jobclusters import registry

    with suppress(JobClustersError):  # the shell is no place to tell it
        return [name for name in registry.names() if name.startswith(incomplete)]
    return []


name_argument = click.argument("name", shell_complete=_complete)


def found(name: str) -> Found:
    """Find a cluster by its name.

    Raises
    ------
    InvalidRequest
        If there is none; it lists those there are.
    """
    from jobclusters import finding, registry

    files = registry.directory(name)
    there = asyncio.run(finding.look(files)) if files.path.is_dir() else None
    if there is None:
        raise InvalidRequest(unknown("cluster", name, registry.names()))
    return there


@contextmanager
def connected(name: str) -> Iterator[ConnectedCluster]:
    """Connect to a running cluster.

    Raises
    ------
    InvalidRequest
        If there is none of this name, or it can't be asked; it says how it stands.
    """
    from jobclusters import registry
    from jobclusters.connected import ConnectedCluster

    there = found(name)
    if there.standing is not Standing.RUNNING:
        raise InvalidRequest(f"cluster {name!r} can't be asked: it is {there.standing.value}: {there.sentence}")
    with ConnectedCluster(registry.directory(name), kind="Cluster") as cluster:
        yield cluster


def facts(there: Found) -> dict[str, object]:
    """Tell of a cluster what programs may want to know; times as in ISO 8601."""
    entry = there.entry
    return {
        "name": entry.name,
        "system": entry.system,
        "standing": there.standing.value,
        "why": there.sentence,
        "head": entry.head,
        "job": entry.job_id,
        "host": entry.host,
        "pid": entry.pid,
        "user": entry.user,
        "scheduler": entry.scheduler,
        "dashboard": entry.dashboard,
        "created": moment(entry.created),
        "ends": moment(entry.ends),
    }


def moment(seconds: float | None) -> str | None:
    """Print a time in seconds since 1970."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def jobs(cluster: ConnectedCluster) -> dict[str, dict[str, object]]:
    """Tell how the jobs of a cluster stand, by id."""
    return {
        job_id: {
            "state": status.state.value,
            "reason": status.reason,
            "node": status.node,
            "workers": status.workers,
            "started": status.started.isoformat() if status.started else None,
            "ends": status.ends.isoformat() if status.ends else None,
        }
        for job_id, status in cluster.jobs.items()
    }
