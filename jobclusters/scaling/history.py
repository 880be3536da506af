"""How long a job that is asked for now will wait, and how fast tasks come, from what was seen. Pure."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

#: In the order of time.
Needs = Sequence[tuple[float, int]]

#: Seconds that are remembered, and changes: one for each of them. A window that isn't known in whole lets no job go.
REMEMBERED = 3600.0
CHANGES = 3600


def remember(needs: list[tuple[float, int]], now: float, need: int) -> None:
    """Note what is needed now, if it has changed, and forget what was long ago."""
    if not needs or needs[-1][1] != need:
        needs.append((now, need))
    while len(needs) > CHANGES or (len(needs) > 1 and needs[1][0] <= now - REMEMBERED):
        del needs[0]


def pause(needs: Needs, most: float) -> float:
    """Give the longest pause after which there was work again, of those up to so many seconds; 0.0 for none."""
    pauses = (back - since for (since, need), (back, _) in pairwise(needs[1:]) if not need)
    return max((each for each in pauses if each <= most), default=0.0)


def lowest(needs: Needs, window: float, now: float, need: int) -> int:
    """Give the fewest jobs that had something to do within a window; 0 if that isn't known for all of it."""
    first = bisect_right(needs, now - window, key=lambda each: each[0])
    return min(need, *(each for _, each in needs[first - 1 :])) if first else 0


def highest(needs: Needs, window: float, now: float, need: int) -> int:
    """Give the most jobs that had something to do within a window; more than any if that isn't known for all of it."""
    first = bisect_right(needs, now - window, key=lambda each: each[0])
    return max(need, *(each for _, each in needs[first - 1 :])) if first else sys.maxsize


class Waits:
    """Estimates waits from those that are over, and from jobs that still wait.

    Queues' waits have long tails, so it is the median that counts, of the latest waits alone. A job that has waited
    for longer than that already says that waits are getting longer: it counts with what it has waited until now. One
    unlucky job among many hardly moves the median; many do. As long as no wait is over, the oldest job is all there is.

    Parameters
    ----------
    remembered
        How many waits count.

    Examples
    --------
    >>> waits = Waits()
    >>> waits.estimate()
    0.0
    >>> waits.estimate([40.0, 10.0])
    40.0
    >>> for seconds in (8, 10, 3000):
    ...     waits.saw(seconds)
    >>> waits.estimate([5.0])
    10.0
    >>> waits.estimate([600.0, 600.0, 600.0])
    600.0
    """

    def __init__(self, remembered: int = 20) -> None:
        self._seen: deque[float] = deque(maxlen=remembered)
        self.usual: float | None = None
        """The median of the waits that are over; None before there are any."""

    def saw(self, seconds: float) -> None:
        """Note that a job had its workers, so many seconds after it was submitted."""
        self._seen.append(seconds)
        self.usual = float(median(self._seen))

    def estimate(self, ages: Iterable[float] = ()) -> float:
        """Estimate the wait of a job that is asked for now; ``ages`` are the waits of jobs that have no workers yet."""
        if self.usual is None:
            return max(ages, default=0.0)
        longer = [age for age in ages if age > self.usual]
        return float(median([*self._seen, *longer])) if longer else self.usual


class Arrivals:
    """Tells how fast tasks come, steadily.

    A burst says nothing of what comes next. So the time that counts is halved, and the slower half is believed.

    Parameters
    ----------
    least
        Seconds that are looked at, at least.
    most
        Seconds that are remembered.

    Examples
    --------
    >>> arrivals = Arrivals()
    >>> for second in range(101):
    ...     arrivals.count(second, 2 * second)
    >>> arrivals.rate(100, 40)
    2.0
    >>> arrivals.count(101, 10_000)
    >>> arrivals.rate(101, 40)
    2.0
    """

    def __init__(self, least: float = 30.0, most: float = 4 * 3600.0) -> None:
        self._least, self._most = least, most
        self._moments: list[float] = []
        self._counts: list[int] = []

    def count(self, now: float, tasks: int) -> None:
        """Note how many tasks there have been until now, those that are done included."""
        if self._counts and self._counts[-1] == tasks:
            return
        self._moments.append(now)
        self._counts.append(tasks)
        if len(self._moments) > 1000 and self._moments[500] < now - self._most:
            del self._moments[:500], self._counts[:500]

    def rate(self, now: float, window: float) -> float:
        """Give tasks per second, in the slower half of a window of time."""
        half = max(self._least, min(window, self._most)) / 2
        until, middle, since = (self._until(now - each * half) for each in range(3))
        return min(until - middle, middle - since) / half

    def recent(self, now: float, window: float) -> bool:
        """Check whether the rate may change with time alone: tasks came in the window."""
        return bool(self._moments) and self._moments[-1] > now - max(self._least, min(window, self._most)) - 1.0

    def _until(self, moment: float) -> int:
        index = bisect_right(self._moments, moment)
        return self._counts[index - 1] if index else 0
