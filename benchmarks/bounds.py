"""What no scaler can beat, not even one that knows the future.

**Makespan.** A clairvoyant scaler asks at time 0 for all jobs that any scaler asked for, and takes those first that
wait the least; never more at once than the maximum (twice as many, where walltimes end: replacements come before), and
none ends or fails. No task is done sooner than its duration after
it has arrived and the first worker is there; work that arrives from a moment on takes at least as long as all threads
need that are there by then; and of k * m + 1 tasks on m threads one thread gets k + 1.

**Core-hours.** The work itself, and the start of as many jobs as it takes within their walltime.

**Failures.** Who knows the future gives each job up just before it fails. Who doesn't loses work. A job that has lived
for a while is as likely to fail in the next second as a new one, so that no choice of jobs, and no moment to give one
up, makes a difference: a task of s seconds, on jobs that live for L on average, is busy for L * (exp(s / L) - 1) until
it has once run through (J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps",
2006, without dumps). In so much time so many jobs fail, and each of them was started, beside those that never came to
work. This is true on average, not of each run, and so it is a number of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from traces import Task, Trace

#: Moments from which on the work that arrives is looked at.
MOMENTS = 12


def core_seconds(trace: Trace) -> float:
    """Bound the core-seconds of a trace from below."""
    work = math.fsum(task.seconds for task in trace.tasks)
    useful = trace.threads * (trace.lifetime - trace.startup)
    return work + max(1, math.ceil(work / useful - 1e-9)) * trace.startup * trace.threads


def failures(trace: Trace) -> float:
    """Bound the core-seconds that failures cost from below: on average, for any scaler that can't foresee them."""
    if trace.lives == math.inf:
        return 0.0
    work = math.fsum(task.seconds for task in trace.tasks)
    busy = math.fsum(trace.lives * math.expm1(task.seconds / trace.lives) for task in trace.tasks)
    starts = busy / trace.lives * trace.startup
    stillborn = starts * trace.stillborn / (1 - trace.stillborn) / 2  # they end half-way
    counted = core_seconds(trace) - work
    return busy - work + max(0.0, starts - counted) + stillborn


def makespan(trace: Trace, jobs: int) -> float:
    """Bound the makespan of a trace from below, for any scaler that asks for so many jobs at most.

    Parameters
    ----------
    trace
        The work, and the queue.
    jobs
        That are asked for in all, at most.
    """
    ready = sorted(fate.wait + trace.startup for fate in map(trace.fate, range(jobs)) if fate.fails > trace.startup)
    ready = ready[: trace.maximum * (1 if trace.walltime == math.inf else 2)]
    tasks = sorted(trace.tasks, key=lambda task: task.arrival)
    best = max(max(task.arrival, ready[0]) + task.seconds for task in tasks)
    arrivals = [task.arrival for task in tasks]
    for index in range(0, len(tasks), max(1, len(tasks) // MOMENTS)):
        first = bisect_right(arrivals, arrivals[index]) - 1
        while first > 0 and arrivals[first - 1] == arrivals[index]:
            first -= 1
        best = max(best, _flow(tasks[first:], ready, trace.threads), _packed(tasks[first:], ready, trace.threads))
    return best


def _flow(tasks: Sequence[Task], ready: Sequence[float], threads: int) -> float:
    """Tell when all threads there are will have done the work, if it can be split at will."""
    left, now = math.fsum(task.seconds for task in tasks), tasks[0].arrival
    for count, moment in enumerate(ready):
        if moment > now:
            done = count * threads * (moment - now)
            if done >= left:
                return now + left / (count * threads)
            left, now = left - done, moment
    return now + left / (len(ready) * threads)


def _packed(tasks: Sequence[Task], ready: Sequence[float], threads: int) -> float:
    """Tell when tasks will be done that can't be split: of k * m + 1, one of m threads gets k + 1."""
    seconds = sorted((task.seconds for task in tasks), reverse=True)
    width = len(ready) * threads
    longest = 0.0
    for count in range(1, (len(seconds) - 1) // width + 1):
        longest = max(longest, math.fsum(seconds[count * width - count : count * width + 1]))
    return max(tasks[0].arrival, ready[0]) + longest
