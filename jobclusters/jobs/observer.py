"""Describes the jobs and what their workers do at a moment, for those who decide about them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from jobclusters.jobs.record import JobRecord, job_of
from jobclusters.scaling.model import Census, JobSnapshot

#: Seconds for which workers aren't looked at again without news: copies of their results may come and go meanwhile.
MOST_STALE = 10.0


class Observer:
    """Looks at jobs, and remembers since when each has been idle.

    There may be thousands, and they are looked at each second: a job is described anew only if its record said that
    something has changed, or if its workers do something else. Looks exclude each other; whoever has the records sees
    to that.

    Parameters
    ----------
    records
        All jobs by name; those that come later are announced by :meth:`follow`.
    workers
        Gives the scheduler's workers.
    news
        Gives what has changed if any worker does something else: else they aren't looked at, for a while.

    Attributes
    ----------
    censuses
        The jobs of each group as of the last look, by what their names begin with.
    leaving
        Those that are to leave.
    """

    def __init__(
        self,
        records: Mapping[str, JobRecord],
        workers: Callable[[], Iterable[Any]],
        news: Callable[[], object] = object,
    ) -> None:
        self.censuses: defaultdict[str, Census] = defaultdict(Census)
        self.leaving: dict[str, JobRecord] = {}
        self._records = records
        self._workers = workers
        self._news = news
        self._last_news: object = None
        self._looked = -math.inf
        self._known: dict[str, JobSnapshot] = {}
        #: Names of jobs of which something has changed since the last look.
        self._changed: set[str] = set()
        #: What their workers did then: bytes held, by job; which have tasks; since when the others are idle.
        self._held: dict[str, int] = {}
        self._busy: set[str] = set()
        self._idle: dict[str, float] = {}
        #: The jobs of the workers, by their names; "" for those of none.
        self._jobs: dict[object, str] = {}
        self.follow(records)

    def follow(self, records: Mapping[str, JobRecord]) -> None:
        """Describe new jobs, and from now on whatever changes of them."""
        notice = self._changed.add  # one for all: it is an object, too
        for record in records.values():
            record.follow(notice)
        self._changed.update(records)

    def look(self, now: float, most: int | None = None) -> bool:
        """Look at the jobs, at a moment in seconds of the event loop's clock; tell whether at all that have changed.

        ``most`` is how many of these are described; the others are with the next look.
        """
        if now != self._looked and ((news := self._news()) != self._last_news or now - self._looked >= MOST_STALE):
            self._looked, self._last_news = now, news
            self._look_at_workers(now)
        names = set[str]()
        while self._changed and len(names) != most:  # other threads add to it meanwhile
            names.add(self._changed.pop())
        try:
            self._describe(names)
        except BaseException:
            self._changed.update(names)  # a job that isn't counted would be asked for anew
            raise
        if self._changed:
            return False
        if len(self._known) + len(self.leaving) != len(self._records):  # of what is over no record says so
            self._describe((self._known.keys() | self.leaving.keys()) - self._records.keys())
        return True

    def _look_at_workers(self, now: float) -> None:
        """Note which jobs' workers do something else than before."""
        jobs, held, busy = self._jobs, dict[str, int](), set[str]()
        workers = list(self._workers())
        for worker in workers:
            job = jobs.get(worker.name)
            if job is None:
                job = jobs[worker.name] = job_of(worker.name, self._records) or ""
            held[job] = held.get(job, 0) + worker.nbytes
            if worker.processing:
                busy.add(job)
        if held != self._held:
            self._changed.update(job for job in held if held[job] != self._held.get(job))
            self._changed |= self._held.keys() - held.keys()
        self._changed |= busy ^ self._busy
        for job in self._changed & (self._held.keys() | held.keys()):
            if job in held and job not in busy:
                self._idle.setdefault(job, now)
            else:
                self._idle.pop(job, None)
        self._held, self._busy = held, busy
        if len(jobs) > 2 * len(workers) + 100:  # most of these are gone
            jobs.clear()

    def _describe(self, names: Collection[str]) -> None:
        """Describe these jobs anew; after an error all are as they were."""
        leaving, known = dict[str, JobRecord](), dict[str, JobSnapshot]()
        gone, come = defaultdict[str, list[JobSnapshot]](list), defaultdict[str, list[JobSnapshot]](list)
        for name in names:
            record, before, group = self._records.get(name), self._known.get(name), name.rpartition("-")[0]
            if before is not None:
                gone[group].append(before)
            if record is None:
                continue
            if record.leaving:
                leaving[name] = record
            else:
                known[name] = now = self._snapshot(record)
                come[group].append(now)
        changed = {name: self.censuses[name].changed(gone[name], come[name]) for name in gone.keys() | come.keys()}
        for name in names:
            self._known.pop(name, None)
            self.leaving.pop(name, None)
        self._known.update(known)
        self.leaving.update(leaving)
        self.censuses.update(changed)

    def _snapshot(self, record: JobRecord) -> JobSnapshot:
        name, began = record.name, record.arrived_at is not None
        return JobSnapshot(
            name,
            record.number,
            record.status.state,
            name in self._busy,
            self._held.get(name, 0),
            self._idle.get(name),
            record.handover_at if began else None,
            record.leaves_at if began else None,
            None if began else record.asked_at,
        )
