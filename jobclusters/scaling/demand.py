"""Measures demand: how many tasks wait, for which group, how long they take, how fast they come."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
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


#: How many tasks there are for each group of jobs, None for those of no group, by kind: Dask's prefixes.
Counts = Mapping[tuple[str | None, Any], int]


def count(scheduler: Any, groups: Mapping[str, Mapping[str, float]]) -> Counts:
    """Count the tasks that run or could run.

    A task goes to the first group that has the resources which it asks for; one that asks for none to the first of
    all, even where another group's worker runs it now.

    Parameters
    ----------
    scheduler
        The Dask scheduler.
    groups
        The resources of a worker, by group; the default group first.
    """
    first = next(iter(groups))
    found = Counter[tuple[str | None, Any]]()
    usual = defaultdict[Any, int](int)
    places = [scheduler.queued, scheduler.unrunnable, *(each.processing for each in dict.values(scheduler.workers))]
    for tasks in places:
        if len(tasks) > SAMPLE:
            share = Counter((_group(task, groups, first), task.prefix) for task in islice(tasks, SAMPLE))
            found.update({key: math.ceil(some * len(tasks) / SAMPLE) for key, some in share.items()})
            continue
        for task in tasks:
            if task.resource_restrictions:
                found[_group(task, groups, first), task.prefix] += 1
            else:
                usual[task.prefix] += 1
    found.update({(first, prefix): some for prefix, some in usual.items()})
    return found


def work(counts: Counts, unknown: float) -> dict[str | None, Work]:
    """Find what there is to do for each group of jobs that has anything to do, and under None what no group can do.

    ``unknown`` are the seconds that Dask believes a task to take of which it knows nothing.
    """
    found = defaultdict[str | None, Work](Work)
    for (group, prefix), some in counts.items():
        found[group] += _work(prefix, some, unknown)
    return found


def _group(task: Any, groups: Mapping[str, Mapping[str, float]], first: str) -> str | None:
    wanted: Mapping[str, float] = task.resource_restrictions or {}
    if not wanted:
        return first
    return next((g for g, has in groups.items() if all(has.get(k, 0) >= v for k, v in wanted.items())), None)


def _work(prefix: Any, count: int, unknown: float) -> Work:
    """Take Dask's average for this kind of task; where there is none, at least what the longest one has run."""
    average, longest = float(prefix.duration_average), float(prefix.max_exec_time)
    if average >= 0:
        return Work(count, count * average)
    return Work(count, count * max(unknown, longest)) if longest >= 0 else Work(count, 0.0, count)


def finished(scheduler: Any) -> int:
    """Count the tasks that were ever done."""
    counts = (prefix.state_counts for prefix in scheduler.task_prefixes.values())
    return sum(each["memory"] + each["erred"] for each in counts)
