"""What the simulator keeps of a job, and of a whole run."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobclusters.scaling.model import Decision, JobSnapshot
from jobclusters.state import JobState


class Job:
    """A job, from its submission to its end."""

    __slots__ = (
        "begins",
        "busy",
        "handover_at",
        "idle_since",
        "known",
        "leaves_at",
        "name",
        "number",
        "ready",
        "started",
        "submitted",
        "tasks",
    )

    def __init__(self, number: int, submitted: float) -> None:
        self.number = number
        self.name = f"job-{number}"
        self.submitted = submitted
        self.started: float | None = None
        self.handover_at: float | None = None
        self.leaves_at: float | None = None
        self.ready = False
        self.idle_since: float | None = None
        self.tasks: dict[int, list[float]] = {}
        self.known = JobSnapshot(self.name, number, JobState.PENDING, asked_at=submitted)
        self.busy: JobSnapshot | None = None

    def snapshot(self) -> JobSnapshot:
        """Give what a scaler knows of it."""
        if self.tasks:
            self.busy = self.busy or self._running(busy=True)
            return self.busy
        if self.idle_since != self.known.idle_since:  # when its workers come it is known to run
            self.known = self._running(busy=False)
        return self.known

    def _running(self, *, busy: bool) -> JobSnapshot:
        idle_since = None if busy else self.idle_since
        return JobSnapshot(
            self.name, self.number, JobState.RUNNING, busy, 0, idle_since, self.handover_at, self.leaves_at
        )


@dataclass
class Result:
    """What came of a trace; seconds, and core-seconds of jobs from their start to their end.

    Attributes
    ----------
    makespan
        When the last task was done.
    core_seconds, lost
        Of all jobs; of tasks that had to start again.
    submits, cancels, thrown
        Jobs asked for; jobs given up before they ran, and the seconds that they had waited.
    delay
        Seconds from a task's arrival to its end, beyond its own duration, on average.
    asked
        How often the scaler was asked.
    history
        Moments, with the jobs that tasks could fill, those that wait, and those that run.
    decisions
        Moments, with what was decided.
    """

    makespan: float = 0.0
    core_seconds: float = 0.0
    lost: float = 0.0
    submits: int = 0
    cancels: int = 0
    thrown: float = 0.0
    delay: float = 0.0
    asked: int = 0
    history: list[tuple[float, int, int, int]] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
