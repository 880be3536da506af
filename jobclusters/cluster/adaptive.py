"""Scales a cluster with the work there is: gathers what the scaler wants to know, and does what it decides."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

from distributed.deploy.adaptive import Adaptive

from jobclusters.cluster.html import scaled
from jobclusters.guard import Guard
from jobclusters.jobs.groups import Group
from jobclusters.scaling.demand import Counts, Flow, Work, count, finished, work
from jobclusters.scaling.history import remember
from jobclusters.scaling.model import Decision, Snapshot, Step
from jobclusters.scaling.rules import decide
from jobclusters.spec.units import counted

logger = logging.getLogger(__name__)


class QueueAdaptive(Adaptive):  # type: ignore[misc]
    """Scales the groups of a :class:`~jobclusters.cluster.job_cluster.JobCluster` that have a policy.

    Dask's own would cancel a job of six workers because one of them is idle, give up jobs that have waited for an
    hour, and takes its own scaling for a user's.
    """

    def __init__(self, cluster: Any, interval: Any = None, **_: Any) -> None:
        self._needs: dict[str, list[tuple[float, int]]] = {}
        self._arrivals = Flow()
        self._news: tuple[object, ...] = ()
        self._counts: Counts = {}
        #: By group: the need, and whether there was work, as the newest step of the history has them.
        self._noted: dict[str, tuple[int, bool]] = {}
        self._unclaimed = 0
        self._deciding = self._stopped = False
        self._guard = Guard("Scaling with the work")
        self._guards: dict[str, Guard] = {}
        scaled = [(g.policy, g.spec.processes) for g in cluster.groups.values() if g.policy is not None]
        super().__init__(
            cluster,
            interval=interval,
            minimum=sum(policy.minimum * workers for policy, workers in scaled),
            maximum=sum(policy.maximum * workers for policy, workers in scaled),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({scaled(self.cluster.groups)})"

    async def adapt(self) -> None:
        """Decide for each group, and do it; what fails is tried again the next time."""
        if self._deciding or self.cluster.scheduler is None:
            return
        self._deciding, self._stopped = True, False
        try:
            with self._guard:
                await self.cluster.pool.look()
                if not self._stopped and self.cluster.scheduler is not None:
                    self._adapt()
        finally:
            self._deciding = False

    def stop(self, *reason: Any, **more: Any) -> None:
        """Decide no more, also if the jobs are being looked at for a decision."""
        self._stopped = True
        super().stop(*reason, **more)

    def _adapt(self) -> None:
        groups, scheduler = dict(self.cluster.groups), self.cluster.scheduler
        news = scheduler.transition_counter, len(scheduler.workers), *groups
        if news != self._news:  # else the tasks are those that there were
            self._counts = count(scheduler, {name: group.resources for name, group in groups.items()})
            self._news = news
        found = work(self._counts, scheduler.UNKNOWN_TASK_DURATION)
        todo = {name: found.get(name, Work()) for name in groups}
        self._warn_of(found.get(None, Work()))
        self._arrivals.count(time.monotonic(), {name: each.tasks for name, each in todo.items()}, finished(scheduler))
        for name, group in groups.items():
            if group.policy is not None:
                with self._guards.setdefault(name, Guard(f"Scaling group {name}")):
                    self._step(group, todo[name])

    def _step(self, group: Group, todo: Work) -> None:
        pool, policy, now = self.cluster.pool, group.policy, time.monotonic()
        assert policy is not None  # noqa: S101 -- for mypy: the caller has looked
        needs = self._needs.setdefault(group.name, [])
        wait = pool.expected_wait(group.spec.queue)
        jobs = pool.census(group, now)
        snapshot = Snapshot(
            tasks=todo.tasks,
            seconds=todo.seconds,
            unknown=todo.unknown,
            rate=self._arrivals.rate(group.name, now, wait),
            leaving=pool.leaving(group, now),
            jobs=jobs,
            wait=wait,
            needs=tuple(needs),
            core_hours=pool.core_hours,
            stopped=pool.stopped(group),
        )
        decision = decide(snapshot, policy, now)
        noted = decision.need, todo.tasks > 0
        same = self._noted.get(group.name) == noted
        self._noted[group.name] = noted
        remember(needs, now, decision.need)
        if decision.submit or decision.cancel or decision.retire:
            logger.info("%s: %s", _what(group, decision), decision.because)
        elif same:
            return
        self.cluster.history.append(Step(datetime.now(), group.name, decision))
        self.log.append((time.time(), {"group": group.name, "because": decision.because}))
        pool.obey(group, decision)

    def _warn_of(self, unclaimed: Work) -> None:
        """Warn once of tasks that no group can run."""
        if unclaimed.tasks and not self._unclaimed:
            have = {name: group.resources for name, group in self.cluster.groups.items()}
            logger.warning(
                "Tasks (%d) ask for resources that no group's workers have (%s): add_group() makes one.",
                unclaimed.tasks,
                have,
            )
        self._unclaimed = unclaimed.tasks


def _what(group: Group, decision: Decision) -> str:
    done = {
        f"asking for {counted(decision.submit, 'more job')}": decision.submit,
        f"giving up {counted(len(decision.cancel), 'pending job')}": len(decision.cancel),
        f"ending {counted(len(decision.retire), 'running job')}": len(decision.retire),
    }
    return f"Group {group.name}, {' and '.join(text for text, count in done.items() if count)}"
