"""Answers other processes that call a cluster's methods through the Dask scheduler's connection."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import socket
from dataclasses import replace
from typing import Any

import cloudpickle
from distributed.core import Status

from jobclusters import __version__
from jobclusters.errors import InvalidRequest, Refused
from jobclusters.guard import Guard
from jobclusters.head.methods import METHODS, Kind, Method, View, view
from jobclusters.registry.record import ClusterRecord

logger = logging.getLogger(__name__)

#: The hint where a head in a job can't submit.
_MAY_NOT = "The head has asked from {}: if compute nodes may not submit, head='detached' runs it where you are."


class Service:
    """Answers for one cluster, a :class:`~jobclusters.cluster.job_cluster.JobCluster` of this process."""

    def __init__(self, cluster: Any, record: ClusterRecord) -> None:
        self._cluster = cluster
        self._run = record.run
        self._in_job = record.head == "job"
        self._tasks: set[asyncio.Future[Any]] = set()

    async def answer(
        self, comm: Any = None, verb: str = "hello", keywords: bytes = b"", version: str = "", **_: Any
    ) -> dict[str, object]:
        """Call a method for another process, which has authenticated by now; the other end raises errors.

        The verb "hello" identifies the cluster. Keywords are pickled. Earlier versions send no version of theirs.
        """
        del comm
        if verb == "hello":
            return {"run": self._run, "version": __version__}
        try:
            method = _method(verb, version)
            result = await self._call(method, pickle.loads(keywords) if keywords else {})  # noqa: S301 -- as Dask does
            return {"result": cloudpickle.dumps(method.sent(result))}  # classes of a notebook's own, too
        except Exception as error:
            logger.info("%s: %s", verb, error)
            return {"error": _portable(error)}

    async def _call(self, method: Method, keywords: dict[str, Any]) -> Any:
        if method.kind is Kind.CLOSE:
            return self._close(**keywords)
        if method.kind is Kind.VIEW:
            return self._view()
        if method.kind is Kind.PROPERTY:
            return getattr(self._cluster, method.name)
        called = getattr(self._cluster, method.name)
        if method.kind is Kind.THREAD:
            return await asyncio.to_thread(called, **keywords)
        result = called(**keywords)
        return await result if inspect.isawaitable(result) else result

    def _view(self) -> View:
        """View the cluster; if no job was ever accepted, hint that compute nodes may not be allowed to submit."""
        seen = view(self._cluster)
        if isinstance(seen.trouble, Refused) and self._in_job and not seen.jobs:
            hint = _MAY_NOT.format(socket.gethostname())
            return replace(seen, trouble=type(seen.trouble)(f"{seen.trouble}\n{hint}"))
        return seen

    def _close(self, why: str) -> bool:
        """Begin to close the cluster: this answer can still be given, the next one perhaps not."""
        if self._cluster.status is Status.running:
            self._tasks.add(task := asyncio.ensure_future(self._finish(why)))
            task.add_done_callback(self._tasks.discard)
        return True

    async def _finish(self, why: str) -> None:
        with Guard("Closing the cluster", "close it again"):
            await self._cluster.finish(why)


def _method(verb: str, version: str) -> Method:
    """Find a method in the table; if it is missing, caller and head are of different versions."""
    if verb in METHODS:
        return METHODS[verb]
    caller = f"jobclusters {version}" if version else "another version"
    raise InvalidRequest(
        f"the cluster's head runs jobclusters {__version__}, which has no method {verb!r}, and its caller {caller}:"
        " give both the same version"
    )


def _portable(error: Exception) -> bytes:
    """Pickle an error, or its text if it can't be pickled."""
    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)  # noqa: S301 -- ours; some errors can be pickled, but not read again
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data
