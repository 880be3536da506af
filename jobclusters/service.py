"""Answers other processes on behalf of a cluster: what they ask of it comes through the Dask scheduler's own door."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle
from distributed.core import Status

from jobclusters import __version__
from jobclusters.entry import Entry
from jobclusters.errors import QueueError, Refused
from jobclusters.group import Group
from jobclusters.state import JobStatus
from jobclusters.usage import Usage

logger = logging.getLogger(__name__)

#: What a connection may ask for: methods of a cluster.
METHODS = frozenset(
    {"scale", "adapt", "add_group", "get_job_logs", "explain", "job_script", "scale_down", "stop_adapting"}
)

#: What may keep a head in a job from submitting.
_MAY_NOT = "The head has asked from {}: if compute nodes may not submit, head='detached' runs it where you are."


@dataclass(frozen=True)
class View:
    """How a cluster stands at one time.

    Attributes
    ----------
    jobs
        By id.
    summary
        Of the jobs, in words.
    groups, usage
        By name; without what only the head needs.
    plan, requested, observed, scheduler
        As Dask has them; the last is what the scheduler tells of itself and its workers.
    steps
        How many decisions the scaler has made.
    trouble
        What a person who waits for workers must know, or None.
    ends
        When the head's walltime ends the cluster, in seconds since 1970; None if it won't.
    notice
        What a person should know now: that it ends soon, for want of work or of walltime; "" for nothing.
    """

    jobs: Mapping[str, JobStatus] = field(default_factory=dict)
    summary: str = "none"
    groups: Mapping[str, Group] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    plan: frozenset[str] = frozenset()
    requested: frozenset[str] = frozenset()
    observed: frozenset[str] = frozenset()
    scheduler: Mapping[str, Any] = field(default_factory=lambda: {"workers": {}})
    steps: int = 0
    trouble: Exception | None = None
    ends: float | None = None
    notice: str = ""


class Service:
    """Answers for one cluster.

    Parameters
    ----------
    cluster
        A :class:`~jobclusters.cluster.JobCluster` of this process.
    entry
        What is noted of it.
    """

    def __init__(self, cluster: Any, entry: Entry) -> None:
        self._cluster = cluster
        self._run = entry.run
        self._in_job = entry.head == "job"
        self._tasks: set[asyncio.Future[Any]] = set()

    async def answer(self, comm: Any = None, verb: str = "hello", keywords: bytes = b"", **_: Any) -> dict[str, object]:
        """Do what another process asks, and tell what came of it; its credentials have been seen by now.

        An error is an answer, too: it is raised at the other end.
        """
        del comm
        if verb == "hello":
            return {"run": self._run, "version": __version__}
        try:
            done = self._verb(verb)(**(pickle.loads(keywords) if keywords else {}))  # noqa: S301 -- as Dask does
            result = await done if inspect.isawaitable(done) else done
            return {"result": cloudpickle.dumps(result)}  # classes of a notebook's own, too
        except Exception as error:
            logger.info("%s: %s", verb, error)
            return {"error": _portable(error)}

    def _verb(self, verb: str) -> Callable[..., Any]:
        own: dict[str, Callable[..., Any]] = {"view": self._view, "history": self._history, "close": self._close}
        if verb in own:
            return own[verb]
        if verb in METHODS:
            return getattr(self, f"_{verb}", None) or getattr(self._cluster, verb)  # type: ignore[no-any-return]
        raise ValueError(f"{verb!r} is nothing that jobclusters {__version__} can do")

    def _view(self) -> View:
        cluster = self._cluster
        return View(
            jobs=cluster.jobs,
            summary=cluster.engine.summary(),
            groups={name: replace(group, entry={}) for name, group in cluster.groups.items()},
            usage=cluster.usage,
            plan=frozenset(cluster.plan),
            requested=frozenset(cluster.requested),
            observed=frozenset(cluster.observed),
            scheduler=cluster.scheduler.identity(),
            steps=len(cluster.history),
            trouble=self._trouble(),
            ends=cluster.ends,
            notice=cluster.notice,
        )

    def _trouble(self) -> QueueError | None:
        """Tell what troubles the jobs; where none was ever taken, it may be that compute nodes may not submit."""
        trouble: QueueError | None = self._cluster.engine.trouble()
        if isinstance(trouble, Refused) and self._in_job and not self._cluster.jobs:
            return type(trouble)(f"{trouble}\n{_MAY_NOT.format(socket.gethostname())}")
        return trouble

    def _history(self) -> list[Any]:
        return list(self._cluster.history)

    def _scale(self, **keywords: Any) -> None:
        self._cluster.scale(**keywords)

    def _adapt(self, **keywords: Any) -> None:
        self._cluster.adapt(**keywords)

    async def _explain(self) -> dict[str, Any]:
        return dict(self._cluster.explain())

    async def _get_job_logs(self, **keywords: Any) -> Any:
        return await asyncio.to_thread(self._cluster.get_job_logs, **keywords)

    def _stop_adapting(self) -> None:
        if self._cluster._adaptive is not None:  # noqa: SLF001 -- Dask has no other name for it
            self._cluster._adaptive.stop()  # noqa: SLF001

    def _close(self, why: str) -> bool:
        """Begin to close the cluster: this answer can still be given, the next one perhaps not."""
        if self._cluster.status is Status.running:
            self._tasks.add(asyncio.ensure_future(self._cluster.finish(why)))
        return True


def _portable(error: Exception) -> bytes:
    """Pickle an error; as its text where it can't be."""
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)  # noqa: S301 -- ours; some errors can be pickled, but not read again
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data
