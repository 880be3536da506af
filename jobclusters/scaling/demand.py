"""Measures demand: how many tasks wait, for which group, how long they take, how fast they come."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobclusters.scaling.history import Arrivals


class Flow:
    """Counts the tasks that come, for each group. What was done is shared among them as the tasks there were."""

    def __init__(self) -> None:
        self._arrivals: defaultdict[str, Arrivals] = defaultdict(Arrivals)
        self._come: defaultdict[str, float] = defaultdict(float)
        self._before: Mapping[str, int] = {}
        self._done: int | None = None

    def count(self, now: float, tasks: Mapping[str, int], done: int) -> None:
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


#: Tasks that are looked at one by one; of more, the rest is taken to be like these.
SAMPLE = 1000


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes
    ----------
    tasks
        That run or could run.
    seconds
        Of one thread, as far as Dask can tell from tasks of the same kind.
    unknown
        Tasks of kinds of which none has run yet; they aren't in the seconds.
    """

    tasks: int = 0
    seconds: float = 0.0
    unknown: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.tasks + other.tasks, self.seconds + other.seconds, self.unknown + other.unknown)


def work(scheduler: Any, groups: Mapping[str, Mapping[str, float]]) -> tuple[dict[str, Work], Work]:
    """Find what there is to do for each group of jobs.

    A task goes to the first group that has the resources which it asks for; one that asks for none to the first of
    all, even where another group's worker runs it now.

    Parameters
    ----------
    scheduler
        The Dask scheduler.
    groups
        The resources of a worker, by group; the default group first.

    Returns
    -------
    dict of str to Work
        By group.
    Work
        What no group can do.
    """
    found = dict.fromkeys(groups, Work())
    unclaimed = Work()
    first = next(iter(groups))
    places = [scheduler.queued, scheduler.unrunnable, *(worker.processing for worker in scheduler.workers.values())]
    for tasks in places:
        share: dict[str | None, Work] = {}
        for task in islice(tasks, SAMPLE):
            group = _group(task, groups, first)
            share[group] = share.get(group, Work()) + _work(task, scheduler.UNKNOWN_TASK_DURATION)
        more = len(tasks) / min(len(tasks), SAMPLE) if tasks else 1
        for group, some in share.items():
            all_of_them = Work(math.ceil(some.tasks * more), some.seconds * more, math.ceil(some.unknown * more))
            if group is None:
                unclaimed += all_of_them
            else:
                found[group] += all_of_them
    return found, unclaimed


def _group(task: Any, groups: Mapping[str, Mapping[str, float]], first: str) -> str | None:
    wanted: Mapping[str, float] = task.resource_restrictions or {}
    if not wanted:
        return first
    return next((g for g, has in groups.items() if all(has.get(k, 0) >= v for k, v in wanted.items())), None)


def _work(task: Any, unknown: float) -> Work:
    """Take Dask's average for this kind of task; where there is none, at least what the longest one has run."""
    average, longest = float(task.prefix.duration_average), float(task.prefix.max_exec_time)
    if average >= 0:
        return Work(1, average)
    return Work(1, max(unknown, longest)) if longest >= 0 else Work(1, 0.0, 1)


def finished(scheduler: Any) -> int:
    """Count the tasks that were ever done."""
    counts = (prefix.state_counts for prefix in scheduler.task_prefixes.values())
    return sum(each["memory"] + each["erred"] for each in counts)
