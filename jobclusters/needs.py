"""What was needed until now: moments at which it changed, and the jobs that had something to do from then on. Pure."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence

#: In the order of time.
Needs = Sequence[tuple[float, int]]

#: Changes, and seconds, that are remembered.
CHANGES = 200
REMEMBERED = 3600.0


def remember(needs: list[tuple[float, int]], now: float, need: int) -> None:
    """Note what is needed now, if it has changed, and forget what was long ago."""
    if not needs or needs[-1][1] != need:
        needs.append((now, need))
    while len(needs) > CHANGES or (len(needs) > 1 and needs[1][0] <= now - REMEMBERED):
        del needs[0]


def expected(needs: Needs, hold: float, now: float, least: int, most: int) -> int:
    """Give how many jobs may soon be needed again: need came back before, after no longer than it is low now."""
    while least < most:
        middle = (least + most + 1) // 2
        if _comes_back(needs, middle, hold, now):
            least = middle
        else:
            most = middle - 1
    return least


def _comes_back(needs: Needs, level: int, hold: float, now: float) -> bool:
    """Say whether need is below a level for no more than half as long again as it was before it came back."""
    low, high, longest = None, False, 0.0
    for moment, need in needs:
        if need >= level:
            if low is not None and moment - low <= hold:
                longest = max(longest, moment - low)
            low, high = None, True
        elif low is None and high:
            low = moment
    return high and (low is None or now - low <= min(hold, 1.5 * longest))


def lowest(needs: Needs, window: float, now: float, need: int) -> int:
    """Give the fewest jobs that had something to do within a window; 0 if that isn't known for all of it."""
    first = bisect_right(needs, now - window, key=lambda each: each[0])
    return min(need, *(each for _, each in needs[first - 1 :])) if first else 0


def highest(needs: Needs, window: float, now: float, need: int) -> int:
    """Give the most jobs that had something to do within a window; more than any if that isn't known for all of it."""
    first = bisect_right(needs, now - window, key=lambda each: each[0])
    return max(need, *(each for _, each in needs[first - 1 :])) if first else sys.maxsize
