"""The states of a job, in the same words for all batch systems."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class JobState(str, Enum):
    """The state of a job.

    ``UNKNOWN`` is no information (no answer, or an unknown word): the job counts neither as alive nor as dead.
    """

    PENDING = "PENDING"  #: waits in the queue
    RUNNING = "RUNNING"  #: its script runs
    COMPLETING = "COMPLETING"  #: it is being ended, and may yet come back to the queue
    COMPLETED = "COMPLETED"  #: ended by itself, exit code 0
    FAILED = "FAILED"  #: ended by itself, another exit code
    CANCELLED = "CANCELLED"  #: cancelled by a user or an administrator
    TIMEOUT = "TIMEOUT"  #: its walltime was over
    OUT_OF_MEMORY = "OUT_OF_MEMORY"  #: used more memory than it had asked for
    PREEMPTED = "PREEMPTED"  #: gave way to a more important job
    NODE_FAIL = "NODE_FAIL"  #: its node went away
    GONE = "GONE"  #: the batch system no longer knows it
    UNKNOWN = "UNKNOWN"  #: no information

    @property
    def ended(self) -> bool:
        """Whether the job has left the queue for good."""
        return self not in _ALIVE

    def __str__(self) -> str:
        return self.value


_ALIVE = frozenset({JobState.PENDING, JobState.RUNNING, JobState.COMPLETING, JobState.UNKNOWN})


@dataclass(frozen=True)
class JobStatus:
    """What the batch system reports of one job.

    Attributes
    ----------
    state
        One of our words.
    reason
        The batch system's own words for why it waits or ended; "" if it gave none.
    meaning
        The same in plain words, where they are known; "" otherwise.
    exit_code
        Of the script, if it ended by itself.
    signal
        The number of the signal that ended the script, if one did.
    node
        Where it runs or ran; "" before.
    submitted, started, ended
        Times of the batch system; None if unknown.
    estimated_start
        When the batch system expects a pending job to start.
    ends
        When the walltime of a running job ends; None without a walltime or a known start.
    restarts
        How often it was requeued.
    workers
        Number of its registered Dask workers.
    """

    state: JobState
    reason: str = ""
    meaning: str = field(default="", compare=False)
    exit_code: int | None = None
    signal: int | None = None
    node: str = ""
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    estimated_start: datetime | None = None
    ends: datetime | None = field(default=None, compare=False)
    restarts: int = 0
    workers: int = 0

    def sentence(self) -> str:
        """Describe the job in a line.

        >>> JobStatus(JobState.FAILED, reason="NonZeroExitCode", exit_code=127, node="c1").sentence()
        'FAILED (NonZeroExitCode), exit code 127, on c1'
        >>> start = datetime(2030, 1, 1, 9, 30)
        >>> JobStatus(JobState.PENDING, "Resources", "waits for free nodes", estimated_start=start).sentence()
        'PENDING (Resources: waits for free nodes), expected to start at 2030-01-01 09:30'
        """
        text = str(self.state)
        if self.reason:
            text += f" ({': '.join(filter(None, (self.reason, self.meaning)))})"
        if self.estimated_start is not None:
            text += f", expected to start at {self.estimated_start:%Y-%m-%d %H:%M}"
        if self.exit_code:
            text += f", exit code {self.exit_code}"
        if self.signal:
            text += f", signal {self.signal}"
        if self.node:
            text += f", on {self.node}"
        return text


UNKNOWN = JobStatus(JobState.UNKNOWN)
