"""The methods of every cluster, wherever its scheduler runs: waiting for workers, and presentation."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from typing import Any

from distributed.core import Status
from distributed.deploy.cluster import Cluster

from jobclusters.cluster.html import cluster_html, details_row, summary_row
from jobclusters.cluster.progress import Display, Progress, check_timeout, open_display, workers_meant
from jobclusters.errors import QueueError
from jobclusters.jobs.groups import Group
from jobclusters.network.links import Links
from jobclusters.scaling.model import Step
from jobclusters.scaling.usage import Usage
from jobclusters.spec.units import counted
from jobclusters.state import JobStatus

logger = logging.getLogger(__name__)

#: Seconds between two updates of progress.
PROGRESS_INTERVAL = 0.25

#: Seconds between two looks for what keeps awaited workers from coming.
TROUBLE_INTERVAL = 0.3

#: Seconds before progress is shown: a shorter wait needs none.
PROGRESS_DELAY = 0.5

#: Seconds for which more workers are awaited than asked for, before their user is warned.
VAIN_NOTICE = 2.0

_CLOSED = (Status.closing, Status.closed)


class ClusterBase(Cluster, ABC):  # type: ignore[misc]
    """A cluster whose workers are jobs.

    :class:`~jobclusters.cluster.job_cluster.JobCluster` holds the scheduler in this process,
    :class:`~jobclusters.cluster.connected.ConnectedCluster` calls another process that does.
    """

    _panel: Any = None

    # -- defined by the subclasses ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def jobs(self) -> dict[str, JobStatus]:
        """The state of each job, by id; ended jobs are remembered."""

    @property
    @abstractmethod
    def groups(self) -> Mapping[str, Group]:
        """The groups of jobs, by name."""

    @property
    @abstractmethod
    def usage(self) -> dict[str, Usage]:
        """What each group has requested and used so far."""

    @property
    @abstractmethod
    def history(self) -> deque[Step]:
        """The adaptive scaler's decisions, with reasons, the newest last."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The number of jobs in each state, in words."""

    @property
    @abstractmethod
    def trouble(self) -> Exception | None:
        """Why awaited workers will not come; None if they may."""

    @property
    @abstractmethod
    def why(self) -> str:
        """Why the cluster has ended; "" while it has not, or where the reason is unknown."""

    @property
    @abstractmethod
    def ends(self) -> float | None:
        """When the head's walltime ends the cluster, in seconds since 1970; None for no limit."""

    @property
    @abstractmethod
    def links(self) -> Links:
        """The ways to the dashboard: its link, the ssh line for one's own machine, and the path in JupyterHub."""

    @abstractmethod
    def stop_adapting(self) -> Any:
        """Stop scaling with the work; the jobs stay."""

    def _known_summary(self) -> str:
        """Give the summary that is known without asking another process."""
        return self.summary

    # -- workers ----------------------------------------------------------------------------------------------------

    def wait_for_workers(
        self, n_workers: float, timeout: float | str | None = None, *, progress: bool | None = None
    ) -> Any:
        """Wait for workers; show those that arrive, why others wait, and when they are expected.

        Parameters
        ----------
        n_workers
            How many; or a fraction of the requested workers, such as ``0.5`` (rounded up). ``1`` is one worker,
            ``1.0`` all of them.
        timeout
            Seconds, or text such as ``"10 minutes"``; no limit unless given.
        progress
            False shows nothing; True also shows it where there is neither a terminal nor a notebook. Unless given,
            ``jobclusters.progress`` of the configuration decides.

        Raises
        ------
        InvalidRequest
            If ``n_workers`` is neither, or ``timeout`` no time.
        JobsFailed, Refused
            If they won't come, with the reason.
        distributed.WorkerStartTimeoutError
            After the timeout.
        """
        wanted = workers_meant(n_workers, _count_requested(self))
        check_timeout(timeout)
        if self.status in _CLOSED:
            raise QueueError(f"cluster {self.name} is closed{because(self)}: no workers will come")
        display = open_display(progress)
        look = _measure_from_now(self, wanted)
        if self.asynchronous:
            return self._wait_showing(wanted, timeout, display, look)
        # Not on the event loop: a terminal stopped by Ctrl-S would block it, and Dask's scheduler with it.
        loop = self.loop.asyncio_loop
        waiting: futures.Future[Any] = asyncio.run_coroutine_threadsafe(self._wait_for_workers(wanted, timeout), loop)
        try:
            with _shown(display, waiting) as show:
                while not futures.wait([waiting], PROGRESS_INTERVAL).done:
                    if self.status is Status.closed:
                        raise QueueError(_closed(self))
                    looking = asyncio.run_coroutine_threadsafe(_on_loop(look), loop)
                    if looking in futures.wait([waiting, looking], PROGRESS_INTERVAL, futures.FIRST_COMPLETED).done:
                        show(looking.result())
                waiting.result()
                looking = asyncio.run_coroutine_threadsafe(_on_loop(look), loop)
                while not futures.wait([looking], PROGRESS_INTERVAL).done and self.status is not Status.closed:
                    pass
                if looking.done():
                    show(looking.result())
        except (futures.CancelledError, RuntimeError) as error:  # another thread closes it: its event loop has ended
            if isinstance(error, QueueError) or self.status not in _CLOSED:
                raise
            raise QueueError(_closed(self)) from error
        return None

    async def _wait_showing(
        self, wanted: int, timeout: float | str | None, display: Display, look: Callable[[], Progress]
    ) -> None:
        waiting = asyncio.ensure_future(self._wait_for_workers(wanted, timeout))
        with _shown(display, waiting) as show:
            while not (await asyncio.wait([waiting], timeout=PROGRESS_INTERVAL))[0]:
                show(look())
            await waiting
            show(look())

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | str | None = None) -> None:
        """Wait as Dask does, but stop if the jobs won't come."""
        await self._find_trouble()  # raises where there is no scheduler to ask
        arriving: asyncio.Future[None] = asyncio.ensure_future(super()._wait_for_workers(n_workers, timeout))
        try:
            while not (await asyncio.wait([arriving], timeout=TROUBLE_INTERVAL))[0]:
                if (trouble := await self._find_trouble()) is not None:
                    raise trouble
            await arriving
        except OSError as error:  # the scheduler may be gone: then that is the error
            await self._find_trouble()
            if self.status in _CLOSED:
                raise QueueError(_closed(self)) from error
            raise
        finally:
            arriving.cancel()

    async def _find_trouble(self) -> Exception | None:
        """Give the newest :attr:`trouble`, on the event loop; raise QueueError if the cluster has ended."""
        return self.trouble

    # -- presentation -----------------------------------------------------------------------------------------------

    @property
    def _cluster_class_name(self) -> str:
        """The beginning of Dask's repr: by default a named cluster's name."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, jobs: {self._known_summary()})"

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        """Print the notebook's view: Dask's view of a cluster, and the jobs."""
        jobs = self.jobs
        return cluster_html(self, (cluster_status or "") + summary_row(jobs) + details_row(jobs))

    def _widget(self) -> Any:
        """Make the widget, once; None without ipywidgets, or after the end."""
        if self._panel is None and self.status not in _CLOSED:
            try:
                from jobclusters.cluster.widget import Panel
            except ImportError:
                return None
            self._panel = Panel(self)
        return None if self._panel is None else self._panel.widget

    def _end_widget(self) -> None:
        """Show the end of the cluster in its widget."""
        if self._panel is not None:
            self._panel.end()


@contextmanager
def _shown(display: Display, waiting: Any) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a wait, unless it is short, and cancel the wait at the end."""
    began = time.monotonic()

    def show(progress: Progress) -> None:
        if time.monotonic() - began > PROGRESS_DELAY:
            display.show(progress)

    try:
        yield show
    finally:
        waiting.cancel()
        display.end()


async def _on_loop(look: Callable[[], Progress]) -> Progress:
    return look()


def _measure_from_now(cluster: ClusterBase, wanted: int) -> Callable[[], Progress]:
    """Measure the progress of a wait, without the jobs that ended before it; warn once if it is in vain."""
    before = {job_id for job_id, status in cluster.jobs.items() if status.state.ended}
    vain_since, warned = time.monotonic(), False

    def look() -> Progress:
        nonlocal vain_since, warned
        if (asked := _count_requested(cluster)) >= wanted or cluster.status is not Status.running:
            vain_since = time.monotonic()
        elif not warned and time.monotonic() - vain_since > VAIN_NOTICE:
            warned = True
            logger.warning(
                "Cluster %s: %s awaited, and %d asked for: cluster.scale(%d), or adapt(minimum=%d), asks for them.",
                *(cluster.name, counted(wanted, "worker"), asked, wanted, wanted),
            )
        jobs = {job_id: status for job_id, status in cluster.jobs.items() if job_id not in before}
        return Progress(len(cluster.scheduler_info["workers"]), wanted, jobs)

    return look


def _count_requested(cluster: ClusterBase) -> int:
    """Count the requested workers, with at least the minimum of adaptive groups."""
    total = 0
    for group in list(cluster.groups.values()):
        least = 0 if group.policy is None else group.policy.minimum
        total += max(group.wanted, least) * group.spec.processes
    return total


def _closed(cluster: ClusterBase) -> str:
    return f"cluster {cluster.name} was closed{because(cluster)}: no more workers will come"


def because(cluster: ClusterBase) -> str:
    """Give the reason for a cluster's end in parentheses, where it is known."""
    return f" ({cluster.why})" if cluster.why else ""
