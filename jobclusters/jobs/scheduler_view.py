"""What the jobs need of the Dask scheduler: the only module here that knows its internals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from distributed.core import Status

from jobclusters.jobs.record import job_of


class SchedulerView:
    """Finds the workers of jobs, and lets them go; ``scheduler`` gives the Dask scheduler, or None without one."""

    def __init__(self, scheduler: Callable[[], Any]) -> None:
        self._scheduler = scheduler

    def workers(self, jobs: Collection[str] | None = None) -> list[Any]:
        """List the registered workers of some jobs, or all."""
        scheduler = self._scheduler()
        # Dask's is a SortedDict: its own view looks each worker up, which takes ten times as long.
        workers = [] if scheduler is None else list(dict.values(scheduler.workers))
        return workers if jobs is None else [each for each in workers if job_of(each.name, jobs) is not None]

    def count(self, jobs: Collection[str]) -> Counter[str]:
        """Count the registered workers of each of these jobs."""
        return Counter(job for worker in self.workers() if (job := job_of(worker.name, jobs)) is not None)

    def busy(self, jobs: Collection[str]) -> set[str]:
        """Name those of these jobs whose workers have tasks."""
        working = (job_of(worker.name, jobs) for worker in self.workers() if worker.processing)
        return {job for job in working if job is not None}

    def give_no_more_tasks(self, worker: Any) -> None:
        """Let a worker finish what it has, and get nothing more."""
        scheduler = self._scheduler()
        if scheduler is not None and worker.address in scheduler.workers:
            scheduler.handle_worker_status_change(Status.closing_gracefully, worker, stimulus_id="jobclusters-drain")

    @property
    def news(self) -> object:
        """What changes whenever a worker does something else, or comes or goes; but for copies of results."""
        scheduler = self._scheduler()
        return scheduler and (scheduler.transition_counter, len(scheduler.workers))

    def retire(self, names: Iterable[object]) -> Awaitable[Any]:
        """Move what these workers hold to others, and close them."""
        retiring: Awaitable[Any] = self._scheduler().retire_workers(names=list(names), close_workers=True, remove=True)
        return retiring

    def remove(self, address: str) -> Awaitable[Any]:
        """Forget a worker whose job is over."""
        removing: Awaitable[Any] = self._scheduler().remove_worker(
            address, stimulus_id="jobclusters-job-over", expected=True
        )
        return removing
