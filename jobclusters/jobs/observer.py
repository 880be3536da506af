"""Describes the jobs and what their workers do at a moment, for those who decide about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobclusters.jobs.record import JobRecord, job_of
from jobclusters.scaling.model import JobSnapshot


class Observer:
    """Looks at jobs, and remembers since when each has been idle; ``workers`` gives the scheduler's workers."""

    def __init__(self, records: Mapping[str, JobRecord], workers: Callable[[], Iterable[Any]]) -> None:
        self._records = records
        self._workers = workers
        self._idle: dict[str, float] = {}
        self._known: dict[str, JobSnapshot] = {}

    def jobs(self, now: float) -> list[JobSnapshot]:
        """Describe the jobs that are not to leave, at a moment in seconds of the event loop's clock."""
        held: Counter[str] = Counter()
        present, busy = set(), set()
        for worker in self._workers():
            if (job := job_of(worker.name, self._records)) is not None:
                present.add(job)
                held[job] += worker.nbytes
                if worker.processing:
                    busy.add(job)
        self._idle = {job: self._idle.get(job, now) for job in present - busy}
        self._known = {
            record.name: self._snapshot(record, busy=record.name in busy, held=held.get(record.name, 0))
            for record in list(self._records.values())
            if not record.leaving
        }
        return list(self._known.values())

    def _snapshot(self, record: JobRecord, *, busy: bool, held: int) -> JobSnapshot:
        """Describe a job; of thousands few change from one look to the next, and making one anew takes longer."""
        before, idle, handover_at = self._known.get(record.name), self._idle.get(record.name), record.handover_at
        if (
            before is not None
            and before.busy is busy
            and before.state is record.status.state
            and before.held == held
            and before.idle_since == idle
            and before.handover_at == handover_at
        ):
            return before
        return JobSnapshot(
            record.name,
            record.number,
            record.status.state,
            busy,
            held,
            idle,
            handover_at=handover_at,
            leaves_at=record.leaves_at,
        )
