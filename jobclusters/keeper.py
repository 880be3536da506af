"""Keeps as many jobs as were asked for: replaces those that end, within a budget of failures, and tells the person."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from jobclusters.diagnose import obituary
from jobclusters.errors import JobsFailed, QueueError
from jobclusters.record import JobRecord
from jobclusters.state import JobState

logger = logging.getLogger(__name__)

#: Jobs that may end in a row before any worker registers; then submitting stops.
FAILURES = 3
#: Jobs that may end so on one node; then the next ones stay away from it.
NODE_FAILURES = 2


class Worker(Protocol):
    """What is needed of the scheduler's WorkerState."""

    name: object
    address: str


def job_of(worker: object, jobs: Iterable[str]) -> str | None:
    """Find the job that a worker belongs to: its name, without a requeue's mark and its number in the job.

    >>> job_of("C-3-r1-0", {"C-3"}), job_of("C-3", {"C-3"}), job_of("C-3-0", {"C-3"}), job_of("C-31", {"C-3"})
    ('C-3', 'C-3', 'C-3', None)
    """
    name = str(worker)
    known = jobs if isinstance(jobs, (set, frozenset, dict, Mapping)) else set(jobs)
    if name in known:
        return name
    base, _, last = name.rpartition("-")
    if not last.removeprefix("r").isdecimal():
        return None
    if base in known:
        return base
    base, _, mark = base.rpartition("-")
    return base if last.isdecimal() and mark[:1] == "r" and mark[1:].isdecimal() and base in known else None


def run_of(worker: object, job: str) -> int:
    """Read the mark of a run in a worker's name: 0 in the first run, and more in each one that follows.

    On SLURM it counts, on Grid Engine and LSF it is the time; PBS tells a job nothing, and there it is 0.

    >>> run_of("C-3-r12-0", "C-3"), run_of("C-3-0", "C-3"), run_of("C-3-r1", "C-3")
    (12, 0, 1)
    """
    mark = re.match(r"-r(\d+)", str(worker)[len(job) :])
    return int(mark[1]) if mark else 0


def job_name(processes: int, worker: Worker) -> str:
    """Name the job that a worker belongs to, where only their number in a job is known (and pickled to the scheduler).

    >>> from types import SimpleNamespace
    >>> job_name(2, SimpleNamespace(name="C-3-r1-0"))
    'C-3-r1'
    """
    return re.sub(r"-\d+$", "", str(worker.name)) if processes > 1 else str(worker.name)


class Keeper:
    """Counts failures, and decides whether a job that ended is replaced.

    Parameters
    ----------
    log_tail
        Gives the end of a job's output, or None.
    excludes
        Whether the batch system can be told to keep jobs away from a node.
    """

    def __init__(self, log_tail: Callable[[JobRecord], str | None], *, excludes: bool = True) -> None:
        self._log_tail = log_tail
        self._excludes = excludes
        self._in_a_row = 0
        self._deaths: list[str] = []
        self._refusal: QueueError | None = None
        self._by_node: Counter[str] = Counter()
        self.ever_worked = False
        #: Why nothing is submitted any more; "" while it is.
        self.stopped = ""

    @property
    def refusal(self) -> str:
        """What the batch system said when it refused; "" if it didn't."""
        return str(self._refusal or "")

    def reset(self) -> None:
        """Start afresh: the person asked for something new."""
        self._in_a_row = 0
        self._deaths = []
        self._refusal = None
        self._by_node.clear()
        self.stopped = ""

    @property
    def bad_nodes(self) -> frozenset[str]:
        """Nodes on which several jobs ended before a worker registered."""
        return frozenset(node for node, count in self._by_node.items() if count >= NODE_FAILURES)

    def worked(self) -> None:
        """Note that a worker registered."""
        self._in_a_row = 0
        self.ever_worked = True

    def refused(self, error: QueueError) -> None:
        """Note a refused submission."""
        self._refusal = error
        logger.error("The jobs were refused. %s", error)
        self._count(str(error))

    def ended(self, records: Sequence[JobRecord]) -> None:
        """Note jobs that ended without our asking, and say so."""
        for record in records:
            if record.had_worker:
                self.worked()
                logger.warning("Job %s ended: %s.", record.job_id, record.status.sentence())
            else:
                text = obituary(str(record.job_id), record.status, self._log_tail(record))
                logger.warning("A job ended before a worker registered: %s", text)
                if record.status.state is not JobState.CANCELLED:
                    self._deaths.append(text)
                    self._blame(record.status.node)
                self._count(text)

    def _blame(self, node: str) -> None:
        self._by_node[node] += bool(node)
        if self._by_node[node] == NODE_FAILURES:
            away = (
                "stay away from it" if self._excludes else "can't be kept away from it here; ask for it to be looked at"
            )
            logger.warning("%d jobs failed on node %s: new jobs %s.", NODE_FAILURES, node, away)

    def _count(self, text: str) -> None:
        self._in_a_row += 1
        if self._in_a_row == FAILURES:
            self.stopped = f"{FAILURES} failures in a row without a worker; the last: {text}"
            logger.error("No more jobs are submitted until the next scale(): %s", self.stopped)

    def trouble(self, records: Iterable[JobRecord], never: Iterable[str]) -> QueueError | None:
        """Give what a person who waits for workers must know, or None."""
        if self._refusal is not None:
            return type(self._refusal)(str(self._refusal))  # a new one: each raise adds to an error's traceback
        if self.stopped:
            return JobsFailed(f"no more jobs are submitted after {self.stopped}")
        if self._deaths and not self.ever_worked:
            return JobsFailed(f"jobs end before a worker registers: {self._deaths[-1]}")
        pending = [record for record in records if not record.leaving]
        hopeless = [r for r in pending if r.status.state is JobState.PENDING and r.status.reason in never]
        if hopeless and len(hopeless) == len(pending):
            job = hopeless[0]
            return JobsFailed(
                f"job {job.job_id} can never start: the batch system says {job.status.reason}."
                " Ask for less, or for another queue"
            )
        return None
