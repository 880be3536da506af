"""Scales a cluster with the work there is: gathers what the scaler wants to know, and does what it decides."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from distributed.deploy.adaptive import Adaptive

from jobclusters.group import Group
from jobclusters.needs import remember
from jobclusters.observe import Work, finished, work
from jobclusters.scaling import decide
from jobclusters.snapshot import Decision, Snapshot
from jobclusters.waits import Arrivals

logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """A decision that changed something, or found another need: when, for which group, and why."""

    time: datetime
    group: str
    decision: Decision


class Flow:
    """Counts the tasks that come, for each group. What was done is shared among them as the tasks there were."""

    def __init__(self) -> None:
        self._arrivals: defaultdict[str, Arrivals] = defaultdict(Arrivals)
        self._come: defaultdict[str, float] = defaultdict(float)
        self._before: Mapping[str, int] = {}
        self._done: int | None = None

    def look(self, now: float, tasks: Mapping[str, int], done: int) -> None:
        """Note how many tasks there are by group, and how many were ever done."""
        finished, total = done - (done if self._done is None else self._done), sum(self._before.values())
        for group, count in tasks.items():
            before = self._before.get(group, 0)
            share = before / total if total else 1 / len(tasks)
            self._come[group] += max(0.0, count - before + finished * share)
            self._arrivals[group].count(now, int(self._come[group]))
        self._before, self._done = dict(tasks), done

    def rate(self, group: str, now: float, window: float) -> float:
        """Give tasks per second."""
        return self._arrivals[group].rate(now, window)


class QueueAdaptive(Adaptive):  # type: ignore[misc]
    """Scales the groups of a :class:`~jobclusters.cluster.JobCluster` that have a policy.

    Dask's own would cancel a job of six workers because one of them is idle, give up jobs that have waited for an
    hour, and takes its own scaling for a person's.
    """

    def __init__(self, cluster: Any, interval: Any = None, **_: Any) -> None:
        self._needs: dict[str, list[tuple[float, int]]] = {}
        self._arrivals = Flow()
        self._nobodys = 0
        self._deciding = False
        scaled = [(g.policy, g.spec.processes) for g in cluster.groups.values() if g.policy is not None]
        super().__init__(
            cluster,
            interval=interval,
            minimum=sum(policy.minimum * workers for policy, workers in scaled),
            maximum=sum(policy.maximum * workers for policy, workers in scaled),
        )

    async def adapt(self) -> None:
        """Decide for each group, and do it."""
        if self._deciding or self.cluster.scheduler is None:
            return
        self._deciding = True
        try:
            groups, scheduler = self.cluster.groups, self.cluster.scheduler
            todo, nobodys = work(scheduler, {name: group.resources for name, group in groups.items()})
            self._tell_of(nobodys)
            self._arrivals.look(
                time.monotonic(), {name: each.tasks for name, each in todo.items()}, finished(scheduler)
            )
            for name, group in list(groups.items()):
                if group.policy is not None:
                    await self._step(group, todo[name])
        finally:
            self._deciding = False

    async def _step(self, group: Group, todo: Work) -> None:
        engine, policy, now = self.cluster.engine, group.policy, time.monotonic()
        assert policy is not None  # noqa: S101 -- for mypy: the caller has looked
        needs = self._needs.setdefault(group.name, [])
        wait = engine.expected_wait(group.spec.queue)
        snapshot = Snapshot(
            tasks=todo.tasks,
            seconds=todo.seconds,
            unknown=todo.unknown,
            rate=self._arrivals.rate(group.name, now, wait),
            leaving=engine.observer.leaving(group, now),
            jobs=self.cluster.snapshots(group, now),
            wait=wait,
            needs=tuple(needs),
            core_hours=engine.meter.core_hours,
            stopped=engine.keeper.stopped,
        )
        decision = decide(snapshot, policy, now)
        same_need = bool(needs) and needs[-1][1] == decision.need
        remember(needs, now, decision.need)
        if decision.submit or decision.cancel or decision.retire:
            logger.info("%s: %s", _what(group, decision), decision.because)
        elif same_need:
            return
        self.cluster.history.append(Step(datetime.now(), group.name, decision))
        self.log.append((time.time(), {"group": group.name, "because": decision.because}))
        await self.cluster.obey(group, decision)

    def _tell_of(self, nobodys: Work) -> None:
        """Say once that there are tasks which no group can run."""
        if nobodys.tasks and not self._nobodys:
            have = {name: group.resources for name, group in self.cluster.groups.items()}
            logger.warning(
                "%d tasks ask for resources that no group's workers have (%s): add_group() makes one.",
                nobodys.tasks,
                have,
            )
        self._nobodys = nobodys.tasks


def _what(group: Group, decision: Decision) -> str:
    done = {
        f"{decision.submit} more jobs": decision.submit,
        f"{len(decision.cancel)} pending jobs are given up": len(decision.cancel),
        f"{len(decision.retire)} running jobs go": len(decision.retire),
    }
    return f"Group {group.name}, {' and '.join(text for text, count in done.items() if count)}"
