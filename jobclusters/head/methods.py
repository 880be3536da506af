"""The methods of a cluster that other processes may call: one table, which head and client share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from jobclusters.config.origins import Explanation
from jobclusters.jobs.groups import Group
from jobclusters.scaling.usage import Usage
from jobclusters.state import JobStatus


@dataclass(frozen=True)
class View:
    """A snapshot of a cluster.

    Attributes
    ----------
    jobs
        By id.
    summary
        Of the jobs, in words.
    groups, usage
        By name, without fields that only the head needs.
    plan, requested, observed, scheduler
        Dask's; the last is the scheduler's description of itself and its workers.
    trouble
        Why awaited workers will not come, or None.
    ends
        When the head's walltime ends the cluster, in seconds since 1970; None for no limit.
    notice
        A warning for the user, such as that the cluster ends soon; "" for none.
    """

    jobs: Mapping[str, JobStatus] = field(default_factory=dict)
    summary: str = "none"
    groups: Mapping[str, Group] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    plan: frozenset[str] = frozenset()
    requested: frozenset[str] = frozenset()
    observed: frozenset[str] = frozenset()
    scheduler: Mapping[str, Any] = field(default_factory=lambda: {"workers": {}})
    trouble: Exception | None = None
    ends: float | None = None
    notice: str = ""


def view(cluster: Any) -> View:
    """Take a snapshot of a cluster of this process."""
    return View(
        jobs=dict(cluster.jobs),
        summary=cluster.summary,
        groups=dict(cluster.groups),
        usage=dict(cluster.usage),
        plan=frozenset(cluster.plan),
        requested=frozenset(cluster.requested),
        observed=frozenset(cluster.observed),
        scheduler=cluster.scheduler.identity(),
        trouble=cluster.trouble,
        ends=cluster.ends,
        notice=cluster.notice,
    )


class Kind(Enum):
    """How the head calls a method."""

    METHOD = "its event loop calls the cluster's method of this name"
    THREAD = "a thread calls it, as it reads files"
    PROPERTY = "it reads the cluster's property of this name"
    VIEW = "it views the cluster"
    CLOSE = "it begins to close the cluster, and answers before it has"


def _same(result: Any) -> Any:
    return result


def _nothing(_: Any) -> None:
    """Send nothing: the result belongs to the head's process."""


@dataclass(frozen=True)
class Method:
    """A method that other processes may call.

    Attributes
    ----------
    name
        Of the method, at both ends.
    kind
        How the head calls it.
    sent
        Converts the cluster's result for sending.
    given
        Converts what arrived for the caller.
    """

    name: str
    kind: Kind = Kind.METHOD
    sent: Callable[[Any], Any] = _same
    given: Callable[[Any], Any] = _same


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("view", Kind.VIEW),
        Method("history", Kind.PROPERTY, sent=list, given=partial(deque, maxlen=1000)),
        Method("scale", sent=_nothing),
        Method("adapt", sent=_nothing),
        Method("stop_adapting", sent=_nothing),
        Method("add_group"),
        Method("scale_down"),
        Method("get_job_logs", Kind.THREAD, sent=dict),
        Method("job_script"),
        Method("explain", sent=dict, given=Explanation),
        Method("close", Kind.CLOSE),
    )
}
