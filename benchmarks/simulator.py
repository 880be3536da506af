"""Jobs, workers and tasks as discrete events; a scaler is asked as the real one would be, each interval.

No clock is read. Moments at which nothing can have changed are left out: a scaler says when it wants to be asked
although nothing happened, and ``every=True`` asks at each interval all the same, which must make no difference.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import Any, Protocol

from durations import Kind
from outcomes import Job, Result
from traces import Trace

from jobclusters.scaling.history import Waits
from jobclusters.scaling.model import Decision

#: Seconds after the last task for which a scaler may keep jobs.
DRAIN = 3600.0
#: Seconds after which work that never gets done is given up.
GIVE_UP = 3 * 86400.0


class Scaler(Protocol):
    """Who decides."""

    def ask(self, model: Model, now: float) -> tuple[Decision, float]:
        """Decide; and say when to be asked again although nothing happens."""


class Model:
    """The batch queue, the workers and the scheduler of a trace.

    Parameters
    ----------
    trace
        What is simulated.
    scaler
        Who decides.
    interval
        Seconds between decisions.
    every
        Ask at each interval, whether or not anything can have changed.
    """

    def __init__(self, trace: Trace, scaler: Scaler, interval: float = 1.0, *, every: bool = False) -> None:
        self.trace, self.scaler, self.interval, self.every = trace, scaler, interval, every
        self.jobs: dict[str, Job] = {}
        self.pending: dict[str, Job] = {}
        self.observed: dict[str, Job] = {}
        self.leaving: dict[str, Job] = {}
        #: Those to which something has happened; a scaler that looks at them clears it.
        self.touched: dict[str, Job] = {}
        self.kinds: dict[str, Kind] = {}
        self.queue: deque[int] = deque()
        self.waits = Waits()
        self.tasks = 0
        self.result = Result()
        self._free: list[tuple[int, int, Job]] = []
        self._events: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self._order = 0
        self.arrived = 0
        self._left = len(trace.tasks)

    # -- what a scaler may look at ---------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Sum up the work there is, as the scheduler believes."""
        return sum(kind.count * kind.estimate for kind in self.kinds.values())

    def unknown(self) -> int:
        """Count tasks of kinds whose durations the scheduler doesn't know yet."""
        return sum(kind.count for kind in self.kinds.values() if kind.average < 0 and kind.longest <= 0)

    def ages(self, now: float, least: float = 0.0) -> list[float]:
        """List for how long jobs without workers have waited, if for more than so many seconds."""
        ages = []
        for job in self.pending.values():  # the oldest first
            if now - job.submitted <= least:
                break
            ages.append(now - job.submitted)
        return ages

    def staying(self, now: float) -> int:
        """Count the jobs that are let go, and finish what they run; but for those whose walltime ends."""
        return sum(job.handover_at is None or job.handover_at > now for job in self.leaving.values())

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Simulate until all is done, and the scaler has let all jobs go that it may."""
        now, again, end = 0.0, 0.0, math.inf
        while True:
            coming = min(self._next_arrival(), self._events[0][0] if self._events else math.inf, again)
            if coming == math.inf or (not self._left and len(self.jobs) <= self.trace.minimum):
                break
            following = round(now / self.interval) + (self.result.asked > 0)
            tick = following if self.every else max(following, math.ceil(coming / self.interval))
            now = tick * self.interval
            self._advance(now)
            end = min(end, now + DRAIN) if not self._left else math.inf
            if now > end:
                break
            if now > GIVE_UP:
                raise RuntimeError(f"{self._left} tasks of {self.trace.name!r} are never done")
            again = self._ask(now)
        self._close(now)
        return self.result

    def _next_arrival(self) -> float:
        return self.trace.tasks[self.arrived].arrival if self.arrived < len(self.trace.tasks) else math.inf

    def _advance(self, now: float) -> None:
        """Let happen what happens until a moment."""
        while True:
            arrival, coming = self._next_arrival(), self._events[0][0] if self._events else math.inf
            if min(arrival, coming) > now:
                return
            if arrival <= coming:
                self._arrives(self.arrived)
            else:
                moment, _, happens, arguments = heapq.heappop(self._events)
                happens(moment, *arguments)

    def _ask(self, now: float) -> float:
        """Ask the scaler, and do what it says."""
        again = min((kind.tick(now) for kind in self.kinds.values() if kind.count), default=math.inf)
        decision, sooner = self.scaler.ask(self, now)
        self.result.asked += 1
        changes = decision.submit or decision.cancel or decision.retire
        if changes:
            self.result.decisions.append((now, decision))
        for name in decision.cancel:
            self._leave(now, self.jobs[name])
        for name in decision.retire:
            self._retire(now, self.jobs[name])
        for _ in range(decision.submit):
            self._submit(now)
        now_has = (math.ceil(self.tasks / self.trace.threads), len(self.pending), len(self.jobs) - len(self.pending))
        if not self.result.history or self.result.history[-1][1:] != now_has:
            self.result.history.append((now, *now_has))
        return now + self.interval if changes else min(again, sooner)

    def _close(self, now: float) -> None:
        for job in [*self.jobs.values(), *self.leaving.values()]:
            if job.started is not None:
                self._leave(now, job)
        done = len(self.trace.tasks)
        self.result.delay = (self.result.delay - sum(task.seconds for task in self.trace.tasks)) / max(1, done)

    def _at(self, moment: float, happens: Any, *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, happens, arguments))

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _submit(self, now: float) -> None:
        job = Job(self.result.submits, now)
        self.result.submits += 1
        self.jobs[job.name] = self.pending[job.name] = self.touched[job.name] = job
        wait, fails = self.trace.fate(job.number)
        self._at(now + wait, self._starts, job, fails)

    def _starts(self, now: float, job: Job, fails: float) -> None:
        if job.name not in self.jobs:
            return
        self.touched[job.name] = job
        del self.pending[job.name]
        job.started = now
        trace = self.trace
        if trace.lifetime < math.inf:
            due, lifetime = trace.times
            job.handover_at, job.leaves_at = now + due, now + lifetime
            self._at(job.leaves_at, self._leave, job)
        if fails < math.inf:
            self._at(now + fails, self._leave, job)
        self._at(now + trace.startup, self._is_ready, job)

    def _is_ready(self, now: float, job: Job) -> None:
        if job.name not in self.jobs:
            return
        self.waits.saw(now - job.submitted)
        job.ready, job.idle_since = True, now
        self.observed[job.name] = self.touched[job.name] = job
        self._offer(job)
        self._assign(now)

    def _retire(self, now: float, job: Job) -> None:
        """Let a job go: it gets no more tasks, and ends once it has done those that it runs."""
        if not job.tasks:
            self._leave(now, job)
            return
        job.ready = False
        del self.jobs[job.name], self.observed[job.name]
        self.leaving[job.name] = self.touched[job.name] = job

    def _leave(self, now: float, job: Job) -> None:
        """End a job: let go, failed, or at the end of its time; its tasks start again elsewhere."""
        if self.jobs.pop(job.name, None) is None and self.leaving.pop(job.name, None) is None:
            return
        self.touched[job.name] = job
        self.observed.pop(job.name, None)
        if job.started is None:
            del self.pending[job.name]
            self.result.cancels += 1
            self.result.thrown += now - job.submitted
            return
        self.result.core_seconds += (now - job.started) * self.trace.threads
        job.ready = False
        for index, mark in sorted(job.tasks.items(), reverse=True):
            self.result.lost += now - mark[0]
            self.kinds[self.trace.tasks[index].kind].end(mark, now, done=False)
            self.queue.appendleft(index)
        job.tasks = {}
        self._assign(now)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def _arrives(self, index: int) -> None:
        task = self.trace.tasks[index]
        self.arrived += 1
        self.kinds.setdefault(task.kind, Kind(self.interval)).count += 1
        self.tasks += 1
        self.queue.append(index)
        self._assign(task.arrival)

    def _offer(self, job: Job) -> None:
        """Put a job among those with a free thread; the least loaded comes first, then who came first."""
        self._order += 1
        heapq.heappush(self._free, (len(job.tasks), self._order, job))

    def _assign(self, now: float) -> None:
        while self.queue and self._free:
            load, _, job = heapq.heappop(self._free)
            if not job.ready or load != len(job.tasks):
                continue  # it is there a second time, or not any more
            index = self.queue.popleft()
            task = self.trace.tasks[index]
            self.touched[job.name] = job
            job.tasks[index] = self.kinds[task.kind].begin(now)
            job.idle_since = None
            self._at(now + task.seconds, self._done, job, index)
            if len(job.tasks) < self.trace.threads:
                self._offer(job)

    def _done(self, now: float, job: Job, index: int) -> None:
        mark = job.tasks.pop(index, None)
        if mark is None:
            return
        self.touched[job.name] = job
        task = self.trace.tasks[index]
        kind = self.kinds[task.kind]
        kind.end(mark, now, done=True)
        kind.count -= 1
        self.tasks -= 1
        self._left -= 1
        self.result.makespan = now
        self.result.delay += now - task.arrival
        if not job.tasks:
            job.idle_since = now
            if job.name in self.leaving:
                self._leave(now, job)
        if job.ready:
            self._offer(job)
        self._assign(now)


def simulate(trace: Trace, scaler: Scaler, *, every: bool = False) -> Result:
    """Run a trace with a scaler."""
    return Model(trace, scaler, every=every).run()
