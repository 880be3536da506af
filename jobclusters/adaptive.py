"""Dask's Adaptive, for jobs: whole ones come and go."""

from __future__ import annotations

from collections import Counter
from typing import Any

from distributed.deploy.adaptive import Adaptive

from jobclusters.keeper import job_of


class QueueAdaptive(Adaptive):  # type: ignore[misc]
    """Scales a :class:`~jobclusters.cluster.JobCluster` with the work there is.

    Dask's own would cancel a job of six workers because one of them is idle, and takes its own
    scaling for a person's.
    """

    async def scale_up(self, n: int) -> None:
        """Ask for jobs until there are ``n`` workers."""
        self.cluster.adapt_to(n)

    async def scale_down(self, workers: list[str]) -> None:
        """Let those jobs go all of whose workers may go; their results are moved first."""
        names = self.cluster.worker_spec
        leaving = Counter(job for name in set(workers) if (job := job_of(name, names)) is not None)
        running: Counter[Any] = self.cluster.engine.count_workers()
        whole = [job for job, count in leaving.items() if count >= running[job]]
        if whole:
            await self.cluster.scale_down(whole)
