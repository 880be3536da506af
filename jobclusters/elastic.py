"""As many jobs as were asked for: in workers, jobs, cores or memory, by a person or the adaptive scaler."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from distributed.core import Status
from distributed.utils import NoOpAwaitable

from jobclusters.adaptive import QueueAdaptive
from jobclusters.credentials import Credentials
from jobclusters.engine import Engine
from jobclusters.errors import QueueError
from jobclusters.group import DEFAULT, Group, find
from jobclusters.jobqueue import JobQueueCluster
from jobclusters.keeper import job_of
from jobclusters.limits import read_policy
from jobclusters.output import make_directory
from jobclusters.snapshot import Decision, JobSnapshot
from jobclusters.spec import JobSpec
from jobclusters.waiting import because
from jobclusters.walltime import relieved

logger = logging.getLogger(__name__)


class ElasticCluster(JobQueueCluster):  # type: ignore[misc]
    """The part of a cluster that keeps as many jobs as were asked for."""

    spec: JobSpec
    engine: Engine
    groups: dict[str, Group]
    _changing: threading.RLock
    _ending: asyncio.Future[None] | None
    _credentials: Credentials | None

    def scale(
        self,
        n: int | None = None,
        jobs: int = 0,
        memory: str | None = None,
        cores: int | None = None,
        *,
        group: str = DEFAULT,
    ) -> Any:
        """Ask for this much in all; returns at once. A group that was adaptive no longer is.

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
        group
            Of these jobs, where there are several: see :meth:`~jobclusters.cluster.JobCluster.add_group`.

        Raises
        ------
        InvalidRequest
            For anything that's no number, or negative; for an unknown group.
        NoBatchSystem
            If the batch system's commands aren't on this machine.
        QueueError
            If the cluster is closed.
        """
        if not self.groups:  # its scheduler could not start; the parent class closes it
            return None
        found = find(self.groups, group)
        wanted = found.jobs_for(n, jobs, memory, cores)
        if wanted:
            self._check_open("gets jobs")
            self.engine.verbs.check()
        self.engine.reset()
        if found.policy is not None:
            logger.info("Group %s no longer scales with the work: scale() was called.", found.name)
            found.policy = None
        return self._want(found, wanted)

    def _check_open(self, wanted: str) -> None:
        """Refuse what would come to nothing."""
        if self._ending is not None or self.status in (Status.closing, Status.closed):
            raise QueueError(f"cluster {self.name} is closed{because(self)}, and no longer {wanted}: make another")

    def _want(self, group: Group, jobs: int) -> Any:
        if jobs:
            self._prepare(group)
        with self._changing:
            group.wanted = jobs
            lasting = self._lasting(group) if jobs else group.members(self.worker_spec)
            if (surplus := len(lasting) - jobs) > 0:
                for name in self.engine.victims(group.members(self.worker_spec))[:surplus]:
                    del self.worker_spec[name]
            self._want_more(group, jobs - len(lasting))
        self.loop.add_callback(self._correct_state)
        return NoOpAwaitable() if self.asynchronous else None

    def _correct_state(self) -> Any:
        """Begin and end jobs as was asked for. Before the scheduler runs they would have none; its start does it."""
        if self.status in (Status.created, Status.starting):
            return NoOpAwaitable()
        return super()._correct_state()

    def _prepare(self, group: Group) -> None:
        """Make what jobs need to be there, or say why it can't be."""
        if self._ending is not None:
            return
        if self._credentials is not None:
            self._credentials.put()
        self._be_noted()
        make_directory(group.spec.log_directory)

    def _want_more(self, group: Group, count: int) -> None:
        if count <= 0 or self._ending is not None:
            return
        with self._changing:
            for _ in range(count):
                self.worker_spec[group.next_name()] = group.entry
        self.engine.meter.asked(group.name, count)

    def _be_noted(self) -> None:
        """Let others find the cluster."""

    def _lasting(self, group: Group) -> list[str]:
        """Name the jobs that won't have left, their walltime over, when a new one could start."""
        soon = time.monotonic() + self.engine.expected_wait(group.spec.queue)
        records = self.engine.queue.records
        ends = {name: records[name].ends if name in records else None for name in group.members(self.worker_spec)}
        return [name for name, end in ends.items() if end is None or end > soon]

    def _renew(self) -> None:
        """Look at what is used; replace jobs in time whose walltime is about to end, and let those go that were."""
        self.engine.look(self.groups)
        if self.status is not Status.running or self._ending is not None:
            return
        for group in self.groups.values():
            if group.policy is None:  # else the scaler does both
                if len(self._lasting(group)) < group.wanted and not self.engine.keeper.stopped:
                    self._want(group, group.wanted)
                self._relieve(group)
        self.engine.tell_stranded()

    def _relieve(self, group: Group) -> None:
        """Let jobs hand over whose walltime ends."""
        now = time.monotonic()
        with self._changing:
            if due := relieved(self.snapshots(group, now), self.engine.expected_wait(group.spec.queue), now):
                logger.info("Group %s, %d jobs hand over, as their walltime ends", group.name, len(due))
                self._let_go(due)
        if due:
            self.loop.add_callback(self._correct_state)

    def _let_go(self, names: Iterable[str]) -> None:
        """Want these jobs no more; their workers may finish what they do."""
        for name in names:
            self.worker_spec.pop(name, None)
            if name in self.engine.queue.records:
                self.engine.queue.records[name].draining = True

    def new_worker_spec(self) -> dict[str, Any]:
        """Give the next job's name and spec."""
        group = self.groups[DEFAULT]
        return {group.next_name(): group.entry}

    def adapt(self, *, group: str = DEFAULT, **limits: Any) -> QueueAdaptive:
        """Scale with the work there is; docs/scaling.md says by which rules.

        Parameters
        ----------
        group
            The jobs that are scaled; others stay as they are.
        minimum, maximum
            Limits in workers; or ``minimum_jobs``, ``maximum_jobs``, ``minimum_cores``, ``maximum_cores``,
            ``minimum_memory``, ``maximum_memory``. Unless given, at most ``jobclusters.adaptive.maximum-jobs``.
        max_pending
            Jobs that may wait in the queue at once.
        max_core_hours
            Of all jobs of the cluster. When they are spent, its jobs leave.
        target_duration, interval
            As for :class:`distributed.deploy.Adaptive`.
        patience, idle
            For how long demand must stay low before a pending job is given up, and for how long a running job must
            be idle before it goes, where queues are short.
        Adaptive
            A class of your own, which then gets all arguments.

        Returns
        -------
        QueueAdaptive
            With ``stop()``; :attr:`~jobclusters.cluster.JobCluster.history` shows what it has decided.

        Raises
        ------
        InvalidRequest
            With everything that's wrong with the limits.
        QueueError
            If the cluster is closed.
        """
        if "Adaptive" in limits:
            theirs: QueueAdaptive = super().adapt(**limits)
            return theirs
        found = find(self.groups, group)
        policy = read_policy(found.spec, limits)
        self._check_open("scales with the work")
        self.engine.verbs.check()
        found.policy = policy
        self.engine.reset()
        interval = limits.get("interval")
        ours: QueueAdaptive = super(JobQueueCluster, self).adapt(Adaptive=QueueAdaptive, interval=interval)
        return ours

    def adapt_to(self, workers: int) -> None:
        """Ask for workers on behalf of a scaler of the user's own; unlike a person's wish it doesn't end a stop."""
        if not self.engine.keeper.stopped:
            self._want(self.groups[DEFAULT], math.ceil(workers / self.spec.processes))

    def snapshots(self, group: Group, now: float) -> list[JobSnapshot]:
        """Look at the jobs of a group, those included that were wanted a moment ago and aren't asked for yet."""
        return self.engine.observer.wanted(group.members(self.worker_spec), now)

    async def obey(self, group: Group, decision: Decision) -> None:
        """Do what the scaler has decided."""
        if decision.submit:
            self._prepare(group)
        with self._changing:
            self._let_go((*decision.cancel, *decision.retire))
            wanted = len(group.members(self.worker_spec)) + decision.submit
        self._want_more(group, decision.submit)
        group.wanted = wanted
        await self._correct_state()

    def scale_down(self, workers: Collection[str]) -> Any:
        """Let the jobs of these workers, or these jobs, go; their results are moved first."""
        return self.sync(self._scale_down, workers)

    async def _scale_down(self, workers: Collection[str]) -> None:
        with self._changing:
            for name in {job_of(worker, self.worker_spec) for worker in workers} & self.worker_spec.keys():
                del self.worker_spec[name]
            for group in self.groups.values():
                group.wanted = len(group.members(self.worker_spec))
        await self._correct_state()

    def _jobs_lost(self, names: Sequence[str], *, replace: bool) -> None:
        """Forget jobs that are over, and keep as many as were asked for."""
        concerned = [group for group in self.groups.values() if any(map(group.owns, names))]
        with self._changing:
            for name in names:
                self.worker_spec.pop(name, None)
                if (job := self.workers.pop(name, None)) is not None:
                    job.over()
            if not replace:
                for group in concerned:
                    group.wanted = len(group.members(self.worker_spec))
        if replace and self.status is Status.running:
            for group in concerned:
                if group.policy is None:  # else the scaler finds out whether another one is needed
                    self._want(group, group.wanted)

    def _threads_per_worker(self) -> float:
        return self.spec.cores / self.spec.processes

    def _memory_per_worker(self) -> float:
        return self.spec.memory / self.spec.processes
