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
        workers = [] if scheduler is None else list(scheduler.workers.values())
        return workers if jobs is None else [each for each in workers if job_of(each.name, jobs) is not None]

    def count(self, jobs: Collection[str]) -> Counter[str]:
        """Count the registered workers of each of these jobs."""
        return Counter(job for worker in self.workers() if (job := job_of(worker.name, jobs)) is not None)

    def busy(self, jobs: Collection[str]) -> bool:
        """Tell whether any worker of these jobs has tasks."""
        return any(worker.processing for worker in self.workers(jobs))

    def give_no_more_tasks(self, jobs: Collection[str]) -> None:
        """Let the workers of these jobs finish what they have, and get nothing more."""
        for worker in self.workers(jobs):
            self._scheduler().handle_worker_status_change(
                Status.closing_gracefully, worker, stimulus_id="jobclusters-drain"
            )

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
