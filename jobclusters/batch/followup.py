"""Completes answers that hold states alone: where jobs run, how they end, and under which ids they are run again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from jobclusters.dialects.base import Dialect, Reply, split_for_commands
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

#: Jobs whose details are asked for at once, which costs such a batch system much: the others have their turn later.
MOST_DETAILS = 20

#: Jobs beyond those of a question of which it is remembered what was asked: the earliest are forgotten.
REMEMBERED = 10_000


class Followup:
    """Asks once for what there is to know of a job when it starts, and when it ends.

    Parameters
    ----------
    dialect
        Of a batch system that is ``brief``.
    ask
        Runs the command of a question.
    listed
        Queries the states of jobs.
    """

    def __init__(
        self,
        dialect: Dialect,
        ask: Callable[[Callable[[], Sequence[str]]], Awaitable[Reply]],
        listed: Callable[[Sequence[str]], Awaitable[dict[str, JobStatus]]],
    ) -> None:
        self._dialect = dialect
        self._ask = ask
        self._listed = listed
        self._details: dict[str, JobStatus] = {}
        #: Ids under which the batch system has submitted ended jobs again, by theirs; ended jobs that have none.
        self._successors: dict[str, str] = {}
        self._final: dict[str, None] = {}

    def latest(self, job_id: str) -> str:
        """Give the id under which a job was submitted last."""
        return self._runs(job_id)[-1]

    def end(self, job_id: str) -> JobStatus | None:
        """Give what is known of a job's end; None if it isn't."""
        found = self._details.get(self.latest(job_id))
        return found if found is not None and found.state.ended else None

    async def complete(self, ids: Sequence[str], found: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
        """Complete the states of jobs, by their first ids; one that was submitted again counts as requeued."""
        states = {**found, **await self._again(found)}
        await self._learn(states)
        for known in (self._details, self._final):
            while len(known) > len(states) + REMEMBERED:
                del known[next(iter(known))]
        followed = {job_id: self._runs(job_id) for job_id in ids}
        return {
            job_id: replace(self._completed(runs[-1], states[runs[-1]]), restarts=len(runs) - 1)
            for job_id, runs in followed.items()
            if runs[-1] in states
        }

    def _runs(self, job_id: str) -> list[str]:
        """Give the ids of a job, the latest last."""
        runs = [job_id]
        while runs[-1] in self._successors:
            runs.append(self._successors[runs[-1]])
        return runs

    async def _again(self, found: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
        """Look for the jobs as which ended ones were submitted again, and give their states."""
        ended = [job_id for job_id, each in found.items() if each.state.ended and job_id not in self._final]
        if not ended:
            return {}
        await asyncio.sleep(self._dialect.successor_delay)  # the end is written down first
        again: dict[str, str] = {}
        for part in split_for_commands(ended):
            reply = await self._ask(lambda some=part: self._dialect.successors_argv(some))  # type: ignore[misc]
            again |= self._dialect.parse_successors(reply)
        states = await self._listed(list(again.values())) if again else {}
        self._successors |= again
        self._final |= dict.fromkeys(job_id for job_id in ended if job_id not in again)
        return states

    async def _learn(self, states: Mapping[str, JobStatus]) -> None:
        """Ask for the details of jobs that have started or ended since; without an answer it is tried again."""
        new = [job_id for job_id, status in states.items() if self._is_new(job_id, status)][:MOST_DETAILS]
        if new:
            with suppress(Unavailable):
                details = self._dialect.parse_details(await self._ask(lambda: self._dialect.details_argv(new)))
                self._details |= {job_id: details[job_id] for job_id in new if job_id in details}

    def _is_new(self, job_id: str, status: JobStatus) -> bool:
        known = self._details.get(job_id)
        if status.state.ended:
            return job_id not in self._successors and (known is None or not known.state.ended)
        return status.state is JobState.RUNNING and known is None

    def _completed(self, job_id: str, status: JobStatus) -> JobStatus:
        known = self._details.get(job_id)
        if known is None or (status.state.ended and known.state.ended):
            return known or status
        return replace(status, node=known.node, submitted=known.submitted, started=known.started)
