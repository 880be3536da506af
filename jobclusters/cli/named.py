"""What commands on running clusters share: finding one by its name, connecting, telling how it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobclusters.entry import Standing
from jobclusters.errors import InvalidRequest, JobClustersError, QueueError

if TYPE_CHECKING:
    from jobclusters.clusterfiles import ClusterFiles
    from jobclusters.connected import ConnectedCluster
    from jobclusters.finding import Found

F = TypeVar("F", bound=Callable[..., Any])

#: What to do about a cluster that can't be asked.
_NEXT = {
    Standing.STARTING: "jobclusters status {name} tells when it runs",
    Standing.SILENT: "try again, or end it with jobclusters close {name}",
    Standing.GONE: "jobclusters cleanup clears away what it left",
    Standing.ENDED: "jobclusters start {name} makes a new one",
}


def _complete(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 -- click's
    from jobclusters import registry

    with suppress(JobClustersError):  # the shell is no place to tell it
        return [name for name in registry.names() if name.startswith(incomplete)]
    return []


name_argument = click.argument("name", shell_complete=_complete)


def found(name: str) -> Found:
    """Find a cluster by its name, and how it stands.

    Raises
    ------
    InvalidRequest
        If there is none; it lists those there are.
    """
    from jobclusters import finding, registry

    there = asyncio.run(finding.look(registry.known(name)))
    if there is None:
        raise registry.nobody(name)
    return there


def everyone(look: Callable[[ClusterFiles], Awaitable[Found | None]]) -> list[Found]:
    """Look at all clusters at once; what can't be read is told, and left out."""
    from jobclusters import registry

    async def looks() -> list[Found | BaseException | None]:
        looking = (look(registry.directory(name)) for name in registry.names())
        return await asyncio.gather(*looking, return_exceptions=True)

    there: list[Found] = []
    for each in asyncio.run(looks()):
        if isinstance(each, (JobClustersError, OSError)):
            click.echo(f"Warning: {each}", err=True)
        elif isinstance(each, BaseException):
            raise each
        elif each is not None:
            there.append(each)
    return there


@contextmanager
def connected(name: str, there: Found | None = None) -> Iterator[ConnectedCluster]:
    """Connect to a running cluster.

    Parameters
    ----------
    name
        Of the cluster.
    there
        How it stands, if that is known.

    Raises
    ------
    InvalidRequest
        If there is none of this name, or it can't be asked; it says how it stands.
    QueueError
        If it stops answering.
    """
    from jobclusters import registry

    there = there or found(name)
    standing = there.standing
    if standing is not Standing.RUNNING:
        hint = _NEXT[standing].format(name=name)
        raise InvalidRequest(f"cluster {name!r} can't be asked: it is {standing.value}: {there.sentence}; {hint}")
    from jobclusters.connected import ConnectedCluster

    try:
        with ConnectedCluster(registry.directory(name), kind="Cluster") as cluster:
            yield cluster
    except (OSError, asyncio.TimeoutError) as error:
        raise QueueError(
            f"cluster {name!r} stopped answering: {str(error) or 'no answer in time'}; jobclusters status {name} tells"
            " how it stands"
        ) from None


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


def asked(cluster: ConnectedCluster) -> dict[str, object]:
    """Tell what a cluster was asked for, and what is there."""
    return {
        "name": cluster.name,
        "planned": len(cluster.plan),
        "workers": len(cluster.scheduler_info["workers"]),
        "summary": cluster.summary,
    }
