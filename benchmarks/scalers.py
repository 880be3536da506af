"""The scalers of the simulator: jobclusters' ``decide``, and distributed's own Adaptive, as a model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from durations import UNKNOWN
from simulator import Model

from jobclusters.scaling.history import Arrivals, remember
from jobclusters.scaling.model import Census, Decision, JobSnapshot, Policy, Snapshot, ending
from jobclusters.scaling.rules import STEADY, decide


class Jobclusters:
    """Asks ``decide`` with what the real scaler would know.

    Parameters
    ----------
    policy
        What is wanted.
    decide
        Another rule, to compare.
    """

    def __init__(self, policy: Policy, decide: Callable[[Snapshot, Policy, float], Decision] = decide) -> None:
        self.policy = policy
        self.arrivals = Arrivals()
        self._decide = decide
        self._needs: list[tuple[float, int]] = []
        self._census = Census()
        self._known: dict[str, JobSnapshot] = {}

    def ask(self, model: Model, now: float) -> tuple[Decision, float]:
        """Decide; and give when to be asked again although nothing happens."""
        ages = model.ages(now, model.waits.usual or 0.0)
        wait = model.waits.estimate(ages)
        jobs = self._look(model)
        self.arrivals.count(now, model.arrived)
        decision = self._decide(self._snapshot(model, jobs, wait, now), self.policy, now)
        remember(self._needs, now, decision.need)
        if ages or self._moving(model, jobs, wait, now):
            return decision, now + model.interval
        return decision, min(self._moments(model, jobs, wait), default=math.inf)

    def _look(self, model: Model) -> Census:
        """Describe the jobs to which something has happened."""
        gone, come = [], []
        for job in model.touched.values():
            before = self._known.pop(job.name, None)
            now = job.snapshot() if job.name in model.jobs else None
            if now is not None:
                self._known[job.name] = now
            if now is not before:
                gone += [] if before is None else [before]
                come += [] if now is None else [now]
        model.touched.clear()
        if gone or come:
            self._census = self._census.changed(gone, come)
        return self._census

    def _snapshot(self, model: Model, jobs: Census, wait: float, now: float) -> Snapshot:
        unknown = model.unknown()
        return Snapshot(
            tasks=model.tasks,
            seconds=model.seconds() - UNKNOWN * unknown,
            unknown=unknown,
            rate=self.arrivals.rate(now, wait),
            leaving=model.staying(now),
            jobs=jobs,
            wait=wait,
            needs=self._needs,
        )

    def _moving(self, model: Model, jobs: Census, wait: float, now: float) -> bool:
        """Check whether what a decision depends on changes with time alone: windows, and walltimes that end."""
        if now - self._needs[-1][0] <= max(self.policy.patience, wait, STEADY) + model.interval:
            return True
        if not model.tasks:
            return False
        kinds = (jobs.waiting, jobs.starting, jobs.idle, jobs.busy)
        return self.arrivals.recent(now, wait) or any(ending(some, now + wait) for some in kinds)

    def _moments(self, model: Model, jobs: Iterable[JobSnapshot], wait: float) -> Iterable[float]:
        """List moments at which the decision may change by itself, though nothing moves until then."""
        if model.pending:  # its age may come to count
            yield next(iter(model.pending.values())).submitted + (model.waits.usual or 0.0) + model.interval / 2
        for job in jobs:
            if job.handover_at is not None and job.leaves_at is not None:
                yield job.handover_at - wait
                yield job.handover_at
                yield (job.handover_at + job.leaves_at) / 2


def target(tasks: int, seconds: float, workers: int, threads: int, idle: int, target_duration: float) -> int:
    """Give how many workers distributed's scheduler wants; as ``Scheduler.adaptive_target``, results taking no memory.

    Parameters
    ----------
    tasks, seconds
        Tasks that run or could run, and the seconds that they will take.
    workers, threads
        That are there.
    idle
        Workers without tasks.
    target_duration
        Seconds in which the work should be done.
    """
    wanted = min(tasks, math.ceil(seconds / target_duration))
    if workers:
        wanted = math.ceil(wanted / threads * workers)
    elif tasks:
        wanted = max(1, wanted)
    return wanted if wanted >= workers else workers - idle


class Recommendations:
    """As distributed's AdaptiveCore.

    Parameters
    ----------
    wait_count
        How often in a row a worker must be superfluous before it goes.
    """

    def __init__(self, wait_count: int = 3) -> None:
        self.wait_count = wait_count
        self.counts: Counter[str] = Counter()

    def recommend(
        self, target: int, plan: int, coming: Collection[str], to_close: Callable[[int], Iterable[str]]
    ) -> int | list[str]:
        """Say how many workers to have, or which to close.

        Parameters
        ----------
        target
            How many workers there should be.
        plan
            How many there are to be.
        coming
            Those that haven't arrived.
        to_close
            Gives those to close so that so many stay.
        """
        if target >= plan:
            self.counts.clear()
            return target
        close = set(islice(coming, plan - target))
        if target < plan - len(close):
            close.update(to_close(target))
        self.counts = Counter({name: self.counts[name] + 1 for name in close})
        firm = [name for name in close if self.counts[name] >= self.wait_count]
        for name in firm:
            del self.counts[name]
        return firm or plan


class Adaptive:
    """distributed's Adaptive, on jobs of one worker.

    It fares better than in reality: of the jobs that wait it gives up the youngest, where the real one picks any; and
    it knows at once which jobs are lost, which dask-jobqueue never does if they were lost before their workers came.

    Parameters
    ----------
    policy
        Its limits and target duration count.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.core = Recommendations()

    def ask(self, model: Model, now: float) -> tuple[Decision, float]:
        """Decide; and give when to be asked again although nothing happens."""
        policy, workers = self.policy, len(model.observed)
        idle = [job.name for job in model.observed.values() if not job.tasks]
        threads = workers * model.trace.threads
        wanted = target(model.tasks, model.seconds(), workers, threads, len(idle), policy.target_duration)
        wanted = max(policy.minimum, min(policy.maximum, wanted))

        def to_close(count: int) -> list[str]:
            busy = [job.name for job in model.observed.values() if job.tasks]
            return [*reversed(idle), *busy][: max(0, workers - count)]

        coming = [name for name in reversed(model.jobs) if name not in model.observed]
        result = self.core.recommend(wanted, len(model.jobs), coming, to_close)
        again = now + model.interval if self.core.counts else math.inf
        if isinstance(result, int):
            return Decision(max(0, result - len(model.jobs))), again
        waiting = [name for name in result if name in model.pending]
        return Decision(0, tuple(sorted(waiting)), tuple(sorted(set(result) - set(waiting)))), again
