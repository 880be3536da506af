"""What a Dask scheduler knows of its tasks' durations: averages for each kind, modelled as in distributed."""

from __future__ import annotations

import math
from collections import deque

UNKNOWN = 0.5


class Kind:
    """Tasks of a kind. As distributed's TaskPrefix; running tasks report at each tick.

    Parameters
    ----------
    interval
        Seconds between ticks.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.count = 0
        self.average = -1.0
        self.longest = -1.0
        self._starts: deque[list[float]] = deque()

    @property
    def estimate(self) -> float:
        """The seconds that a task takes, as the scheduler believes."""
        if self.average >= 0:
            return self.average
        return 2 * self.longest if self.longest > 0 else UNKNOWN

    def begin(self, now: float) -> list[float]:
        """Note that a task begins; give what to hand back when it ends."""
        mark = [now]
        self._starts.append(mark)
        return mark

    def end(self, mark: list[float], now: float, *, done: bool) -> None:
        """Note that a task is done, or lost with its worker."""
        start = mark.pop()
        self.longest = max(self.longest, math.ceil(now / self.interval - 1) * self.interval - start)
        if done:
            self.average = now - start if self.average < 0 else 0.5 * (self.average + now - start)

    def tick(self, now: float) -> float:
        """Look for how long each task has run; give when that may next change the estimate."""
        while self._starts and not self._starts[0]:
            self._starts.popleft()
        if not self._starts:
            return math.inf
        start = self._starts[0][0]
        if now > start:
            self.longest = max(self.longest, now - start)
            if now - start > 2 * self.average:
                self.average = -1.0
        return start + (2 * self.average if self.average >= 0 else max(self.longest, 0.0))
