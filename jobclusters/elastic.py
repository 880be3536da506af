"""As many jobs as were asked for: in workers, jobs, cores or memory, by a person or the adaptive scaler."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from distributed.core import Status
from distributed.utils import NoOpAwaitable

from jobclusters.adaptive import QueueAdaptive
from jobclusters.engine import Engine
from jobclusters.errors import InvalidRequest, Problems
from jobclusters.jobqueue import JobQueueCluster
from jobclusters.keeper import job_name, job_of
from jobclusters.sizes import whole
from jobclusters.spec import JobSpec
from jobclusters.units import parse_memory


class ElasticCluster(JobQueueCluster):  # type: ignore[misc]
    """The part of a cluster that keeps as many jobs as were asked for."""

    spec: JobSpec
    engine: Engine
    _changing: threading.RLock
    _ending: asyncio.Future[None] | None
    _wanted = 0
    _next_number = 0

    def scale(self, n: int | None = None, jobs: int = 0, memory: str | None = None, cores: int | None = None) -> Any:
        """Ask for this much in all; returns at once.

        Parameters
        ----------
        n
            Workers. A job holds ``processes`` of them; whole jobs come.
        jobs
            Jobs.
        memory
            Memory of all jobs, such as ``"500 GB"``.
        cores
            Cores of all jobs.

        Raises
        ------
        InvalidRequest
            For anything that's no number, or negative.
        NoBatchSystem
            If the batch system's commands aren't on this machine.
        """
        problems = Problems()
        wanted = problems.attempt(lambda: whole("jobs", jobs, least=0), 0)
        for name, value, each in (("n", n, self.spec.processes), ("cores", cores, self.spec.cores)):
            if value is not None:
                number = problems.attempt(lambda name=name, value=value: whole(name, value, least=0), 0)  # type: ignore[misc]
                wanted = max(wanted, math.ceil(number / each))
        if memory is not None and memory not in (0, "0"):
            wanted = max(wanted, math.ceil(problems.attempt(lambda: parse_memory(memory), 0) / self.spec.memory))
        problems.raise_any()
        if wanted:
            self.engine.verbs.check()
        self.engine.reset()
        return self._want(wanted)

    def _want(self, jobs: int) -> Any:
        if jobs and self.spec.log_directory:
            try:
                os.makedirs(self.spec.log_directory, exist_ok=True)
            except OSError as error:
                raise InvalidRequest(f"log_directory {self.spec.log_directory!r} can't be made: {error}") from None
        with self._changing:
            self._wanted = jobs
            for name in self._surplus(len(self.worker_spec) - jobs):
                del self.worker_spec[name]
            while len(self.worker_spec) < jobs and self._ending is None:
                self.worker_spec.update(self.new_worker_spec())
        self.loop.add_callback(self._correct_state)
        return NoOpAwaitable() if self.asynchronous else None

    def _surplus(self, count: int) -> list[str]:
        """Choose jobs to let go: those that haven't even been asked for, then as the engine says."""
        unborn = [name for name in reversed(self.worker_spec) if name not in self.engine.queue.records]
        # Of all that the engine follows: some may have been let go a moment ago, and not have left yet.
        known = [name for name in self.engine.victims() if name in self.worker_spec]
        return (unborn + known)[: max(0, count)]

    def new_worker_spec(self) -> dict[str, Any]:
        """Give the next job's name and spec; no name is ever used twice."""
        self._next_number += 1
        return {self._new_worker_name(self._next_number - 1): self.new_spec}

    def adapt(self, *args: Any, **kwargs: Any) -> QueueAdaptive:
        """Scale with the work there is.

        Parameters
        ----------
        minimum, maximum
            Limits in workers; or ``minimum_jobs``, ``maximum_jobs``, ``minimum_cores``, ``maximum_cores``,
            ``minimum_memory``, ``maximum_memory``.
        **kwargs
            As for :class:`distributed.deploy.Adaptive`.
        """
        kwargs.setdefault("Adaptive", QueueAdaptive)
        if self.spec.processes > 1:  # workers go by jobs, or there would never be a whole one
            kwargs.setdefault("worker_key", partial(job_name, self.spec.processes))
        adaptive: QueueAdaptive = super().adapt(*args, **kwargs)
        return adaptive

    def adapt_to(self, workers: int) -> None:
        """Ask for workers on behalf of the adaptive scaler; unlike a person's wish it doesn't end a stop."""
        if not self.engine.keeper.stopped:
            self._want(math.ceil(workers / self.spec.processes))

    async def scale_down(self, workers: Collection[str]) -> None:
        """Let the jobs of these workers, or these jobs, go; their results are moved first."""
        with self._changing:
            for name in {job_of(worker, self.worker_spec) for worker in workers} & self.worker_spec.keys():
                del self.worker_spec[name]
            self._wanted = len(self.worker_spec)
        await self._correct_state()

    def _jobs_lost(self, names: Sequence[str], *, replace: bool) -> None:
        """Forget jobs that are over, and keep as many as were asked for."""
        with self._changing:
            for name in names:
                self.worker_spec.pop(name, None)
                if (job := self.workers.pop(name, None)) is not None:
                    job.over()
            if not replace:
                self._wanted = len(self.worker_spec)
        if replace and self.status is Status.running:
            self._want(self._wanted)

    def _threads_per_worker(self) -> float:
        return self.spec.cores / self.spec.processes

    def _memory_per_worker(self) -> float:
        return self.spec.memory / self.spec.processes
