"""What is simulated: work that arrives over time, and a queue with its waits, walltimes and failures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from random import Random
from typing import NamedTuple

from jobclusters.scaling.model import Policy
from jobclusters.spec.units import handover_times

Draw = Callable[[Random], float]
HOUR = 3600.0


class Task(NamedTuple):
    """A task: when it can run, for how many seconds, and its kind, whose average duration is what Dask knows."""

    arrival: float
    seconds: float
    kind: str = "task"


class Fate(NamedTuple):
    """What happens to a job: seconds in the queue, then seconds until it fails (infinite if it doesn't)."""

    wait: float
    fails: float


@dataclass(frozen=True)
class Trace:
    """Work, and the queue that it meets.

    Attributes
    ----------
    name, about
        Of it.
    tasks
        The work, in the order in which it arrives.
    wait
        Draws the seconds that a job waits in the queue.
    threads, minimum, maximum
        Of a job; jobs at least and at most.
    startup
        Seconds from a job's start until its workers are there.
    walltime, margin
        Seconds that a job may run, and before that it hands over; None takes what is usual.
    stillborn, lives
        The share of jobs that end before their workers are there; mean seconds until one of the others fails.
    seed
        What is drawn depends on it, and on a job's number: both scalers meet the same queue.
    """

    name: str
    about: str
    tasks: Sequence[Task]
    wait: Draw
    threads: int = 4
    minimum: int = 0
    maximum: int = 100
    startup: float = 3.0
    walltime: float = math.inf
    margin: float | None = None
    stillborn: float = 0.0
    lives: float = math.inf
    seed: int = 0
    policy: dict[str, float] = field(default_factory=dict)

    @cached_property
    def times(self) -> tuple[float, float]:
        """Seconds after which a job hands over, and for which it is there at most."""
        if self.walltime == math.inf:
            return math.inf, math.inf
        margin = None if self.margin is None else timedelta(seconds=self.margin)
        due, lifetime, stagger = handover_times(timedelta(seconds=self.walltime), margin)
        return (math.inf, math.inf) if due is None or lifetime is None else (due, lifetime - stagger)

    @property
    def lifetime(self) -> float:
        """Seconds for which a job is there at most."""
        return self.times[1]

    @property
    def scaling(self) -> Policy:
        """The limits of the scaler."""
        return Policy(self.threads, self.threads, self.threads * 4 * 10**9, self.minimum, self.maximum, **self.policy)  # type: ignore[arg-type]

    def fate(self, number: int) -> Fate:
        """Draw what will happen to a job."""
        random = draws(self.seed, number)
        wait = self.wait(random)
        if random.random() < self.stillborn:
            return Fate(wait, self.startup / 2)
        return Fate(wait, math.inf if self.lives == math.inf else self.startup + random.expovariate(1 / self.lives))


def draws(seed: int, number: int = -1) -> Random:
    """Give random numbers that are the same each time."""
    return Random(seed * 1_000_003 + number)  # noqa: S311


def always(seconds: float) -> Draw:
    """Wait for so long each time."""
    return lambda _: seconds


def about(seconds: float, spread: float = 0.3) -> Draw:
    """Draw waits whose median is known; a spread of 1.5 has a long tail: one in ten is seven times as long."""
    return lambda random: seconds * math.exp(random.gauss(0.0, spread))


def burst(arrival: float, count: int, seconds: Draw | float, kind: str = "task", seed: int = 0) -> list[Task]:
    """Make tasks that arrive at once."""
    random = draws(seed, int(arrival))
    draw = seconds if callable(seconds) else always(seconds)
    return [Task(arrival, draw(random), kind) for _ in range(count)]


def stream(threads: float, seconds: float, until: float, seed: int = 0, kind: str = "task") -> list[Task]:
    """Make tasks that arrive evenly and keep so many threads busy."""
    random = draws(seed, 0)
    count = round(until * threads / seconds)
    return [Task(until * each / count, seconds * random.uniform(0.8, 1.2), kind) for each in range(count)]


def waves(least: float, most: float, period: float, seconds: float, until: float) -> list[Task]:
    """Make tasks that keep from the least to the most threads busy, and back, once in a period."""
    tasks, now = list[Task](), 0.0
    while now < until:
        tasks.append(Task(now, seconds))
        now += seconds / (least + (most - least) * (1 - math.cos(2 * math.pi * now / period)) / 2)
    return tasks


def together(*parts: Iterable[Task]) -> list[Task]:
    """Merge tasks in the order in which they arrive."""
    return sorted((task for part in parts for task in part), key=lambda task: task.arrival)


def short_bursts(bursts: int = 3) -> Trace:
    """Make the case that was measured with dask-jobqueue: one job is kept, bursts are too short for a second."""
    tasks = together(*(burst(900.0 + 60 * each, 20, 1.0, seed=1) for each in range(bursts)))
    text = "three bursts of 20 s, a minute apart, on the one job that is kept; others would wait 10 minutes"
    return Trace("short bursts, slow queue", text, tasks, always(600.0), threads=2, minimum=1, maximum=10)


def day(jobs: int = 90_000, hours: int = 24, seed: int = 7) -> Trace:
    """Make a day of so many jobs of 150 s: each may run for three minutes, and is replaced."""
    mean = jobs * 150.0 / 86400
    tasks: list[Task] = []
    random = draws(seed)
    for minute in range(hours * 60):
        level = mean * (1 - 0.5 * math.cos(2 * math.pi * minute / 1440)) * random.uniform(0.9, 1.1)
        tasks += [Task(60.0 * minute + each.arrival, each.seconds) for each in stream(level, 15.0, 60.0, minute)]
    text = f"{len(tasks)} tasks, more by day; jobs of a thread may run for 3 minutes and wait for 10 s"
    return Trace("a day", text, tasks, about(10.0), threads=1, maximum=jobs // 180, walltime=180.0, seed=seed)


def traces() -> list[Trace]:
    """Make all traces but the day's."""
    return [*_even(), *_batches(), _beyond(), short_bursts(), *_bursts()]


def _even() -> list[Trace]:
    return [
        Trace(
            "steady, quick queue",
            "120 threads' work for 2 hours; waits of 10 s",
            stream(120, 60.0, 2 * HOUR),
            about(10.0),
        ),
        Trace(
            "steady, slow queue",
            "120 threads' work for 4 hours; waits of 10 min",
            stream(120, 60.0, 4 * HOUR),
            about(600.0),
        ),
        Trace(
            "short walltime",
            "3 hours of work on 80 threads; jobs may run for 10 min and wait for 1",
            stream(80, 20.0, 3 * HOUR),
            about(60.0),
            walltime=600.0,
        ),
        Trace(
            "failures",
            "an hour of work; a tenth of the jobs never starts, the others live for 15 min",
            stream(80, 30.0, HOUR),
            about(30.0),
            stillborn=0.1,
            lives=900.0,
            seed=5,
        ),
    ]


def _beyond() -> Trace:
    tasks = together(*(burst(2 * HOUR * each, 400, 60.0, seed=each) for each in range(3)))
    text = "400 tasks of a minute every 2 hours; jobs wait for an hour, and may run for half of one"
    return Trace("waits beyond the walltime", text, tasks, about(HOUR), walltime=1800.0)


def _batches() -> list[Trace]:
    tail = lambda random: min(1800.0, 10.0 * random.paretovariate(1.2))  # noqa: E731
    small = together(burst(0.0, 200, 60.0), burst(2 * HOUR, 200, 60.0, "other"))
    return [
        Trace("one batch, slow queue", "4000 tasks of 2 min; waits of an hour", burst(0.0, 4000, 120.0), about(HOUR)),
        Trace("two small batches", "200 tasks of a minute, twice; waits of 10 min", small, about(600.0)),
        Trace(
            "long-tailed tasks",
            "3000 tasks, most of 10 s, some of half an hour; waits of 30 s",
            burst(0.0, 3000, tail, seed=3),
            about(30.0),
        ),
    ]


def _bursts() -> list[Trace]:
    pauses = [burst(60.0 * each + each % 7, 8, 4.0, seed=each) for each in range(60)]
    periodic = [burst(600.0 * each, 200, 30.0, seed=each) for each in range(12)]
    hourly = [burst(1800.0 * each, 500, 60.0, seed=each) for each in range(4)]
    tiny = [burst(300.0 * each, 5_000, 0.1) for each in range(6)]
    return [
        Trace(
            "periodic bursts",
            "200 tasks of 30 s every 10 min for 2 hours; waits of 2 min",
            together(*periodic),
            about(120.0),
        ),
        Trace(
            "heavy-tailed waits",
            "bursts of 500 tasks of a minute; waits of 1 min, some of hours",
            together(*hourly),
            about(60.0, 1.5),
            seed=6,
        ),
        Trace("tiny tasks, quick queue", "5,000 tasks of 0.1 s every 5 min; waits of 5 s", together(*tiny), about(5.0)),
        Trace(
            "interactive",
            "8 tasks of 4 s about every minute, for an hour; waits of 5 min",
            together(*pauses),
            about(300.0),
        ),
        Trace(
            "swings",
            "from 20 to 60 threads' work and back each minute, for 2 hours; waits of 20 s",
            waves(20, 60, 60.0, 10.0, 2 * HOUR),
            about(20.0),
        ),
    ]
