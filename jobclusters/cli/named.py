"""Helpers of commands on running clusters: find one by its name, connect to it, print its state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobclusters.cli.options import completing, print_json
from jobclusters.errors import InvalidRequest, JobClustersError, QueueError
from jobclusters.registry.record import Liveness
from jobclusters.spec.units import counted

if TYPE_CHECKING:
    from jobclusters.cluster.connected import ConnectedCluster
    from jobclusters.jobs.groups import Group
    from jobclusters.registry.files import ClusterFiles
    from jobclusters.registry.liveness import ClusterStatus

F = TypeVar("F", bound=Callable[..., Any])

#: What to do about a cluster that doesn't run.
_NEXT = {
    Liveness.STARTING: "jobclusters status {name} shows when it runs",
    Liveness.SILENT: "try again, or end it with jobclusters close {name}",
    Liveness.ELSEWHERE: "run this on a machine of that batch system",
    Liveness.GONE: "jobclusters cleanup clears up what it left",
    Liveness.ENDED: "jobclusters start {name} makes a new one",
}


def _names() -> list[str]:
    from jobclusters.registry import names

    return names.names()


name_argument = click.argument("name", shell_complete=completing(_names))


def find_cluster(name: str) -> ClusterStatus:
    """Find a cluster by its name; an :class:`InvalidRequest` lists the others if there is none."""
    from jobclusters.registry import liveness, names

    status = asyncio.run(liveness.check(names.known_files(name)))
    if status is None:
        raise names.no_cluster(name)
    return status


def examine_all(examine: Callable[[ClusterFiles], Awaitable[ClusterStatus | None]]) -> list[ClusterStatus]:
    """Examine all clusters at once; warn of those that can't be read, and leave them out."""
    from jobclusters.registry import names

    async def looks() -> list[ClusterStatus | BaseException | None]:
        looking = (examine(names.directory(name)) for name in names.names())
        return await asyncio.gather(*looking, return_exceptions=True)

    found: list[ClusterStatus] = []
    for each in asyncio.run(looks()):
        if isinstance(each, FileNotFoundError):  # it closes just now
            continue
        if isinstance(each, (JobClustersError, OSError)):
            click.echo(f"Warning: {each}", err=True)
        elif isinstance(each, BaseException):
            raise each
        elif each is not None:
            found.append(each)
    return found


@contextmanager
def connected(name: str, status: ClusterStatus | None = None) -> Iterator[ConnectedCluster]:
    """Connect to a running cluster; an error describes its state if it doesn't run, or stops answering."""
    from jobclusters.registry import names

    status = status or find_cluster(name)
    if (state := status.liveness) is not Liveness.RUNNING:
        hint = _NEXT[state].format(name=name)
        raise InvalidRequest(f"cluster {name!r} can't be asked: it is {state.value}: {status.sentence}; {hint}")
    from jobclusters.cluster.connected import ConnectedCluster

    try:
        with ConnectedCluster(names.directory(name), kind="Cluster") as cluster:
            yield cluster
    except (OSError, asyncio.TimeoutError) as error:
        raise QueueError(
            f"cluster {name!r} stopped answering: {str(error) or 'no answer in time'}; jobclusters status {name} shows"
            " its state"
        ) from None


def facts(status: ClusterStatus) -> dict[str, object]:
    """Describe a cluster for programs; times as in ISO 8601."""
    record = status.record
    return {
        "name": record.name,
        "system": record.system,
        "standing": status.liveness.value,
        "why": status.sentence,
        "head": record.head,
        "job": record.job_id,
        "host": record.host,
        "pid": record.pid,
        "user": record.user,
        "scheduler": record.scheduler,
        "dashboard": record.dashboard,
        "created": moment(record.created),
        "ends": moment(record.ends),
    }


def moment(seconds: float | None) -> str | None:
    """Print a time in seconds since 1970."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def jobs(cluster: ConnectedCluster) -> dict[str, dict[str, object]]:
    """Describe the jobs of a cluster for programs, by id."""
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


def print_request(cluster: ConnectedCluster, as_json: bool) -> None:
    """Print what a cluster has been asked for, and what it has."""
    summary = cluster.summary
    if as_json:
        workers = len(cluster.scheduler_info["workers"])
        print_json({"name": cluster.name, "planned": len(cluster.plan), "workers": workers, "summary": summary})
    else:
        asked = [_asked(group) for group in cluster.groups.values()]
        if len(asked) == 1:
            asked = [asked[0].partition(": ")[2]]
        click.echo(f"{cluster.name}: {'; '.join(asked)}. Jobs now: {summary}.")


def _asked(group: Group) -> str:
    """Describe what a group of jobs has been asked for."""
    if (policy := group.policy) is None:
        return f"{group.name}: {counted(group.wanted, 'job')} asked for"
    return f"{group.name}: {policy.minimum} to {counted(policy.maximum, 'job')}, with the work"
