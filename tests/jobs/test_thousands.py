"""Thousands of jobs cost the commands of a few, and watching them at rest no look at each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobclusters.scaling.model import Decision, Policy
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.jobs.test_poller import count, happens, play, scaled

OPTIONS = {"dashboard": False, "dashboard_address": ":0"}


def test_thousands_cost_the_commands_of_one_and_no_look_at_each(monkeypatch):
    """Submitted in arrays, asked about together, watched at rest without a look at any, and gone with one cancel."""
    queue, jobs = ScriptedQueue(hold=True), 3000

    async def story():
        async with ScriptedCluster(
            queue, cores=1, memory="1 GiB", asynchronous=True, scheduler_options=OPTIONS
        ) as cluster:
            pool = cluster.pool
            cluster.scale(jobs=jobs)
            await happens(lambda: len(queue.living()) == jobs and all(r.job_id for r in pool.records.values()))
            assert [each for verb, each in queue.commands if verb == "submit"] == [queue.largest_array] * 3
            pool.renew()
            looks, described = [], []
            monkeypatch.setattr(pool._observer, "_workers", lambda: looks.append(1) or [])
            monkeypatch.setattr(pool._observer, "_snapshot", described.append)
            for _ in range(5):
                pool.renew()
            assert (looks, described) == ([], [])
            monkeypatch.undo()
            group = cluster.groups["default"]
            pool.adapt(group, Policy(1, 1, 10**9))
            pool.obey(group, Decision(retire=tuple(pool.records)))
            await happens(lambda: not pool.records)
            assert [each for verb, each in queue.commands if verb == "cancel"] == [jobs], "also of those that drain"
            assert all(verb in {"submit", "states", "cancel"} for verb, _ in queue.commands)

    asyncio.run(story())


@pytest.fixture
def one_by_one(monkeypatch):
    """Let jobs be described one at a time, as thousands are a thousand at a time."""
    monkeypatch.setattr("jobclusters.jobs.pool.DESCRIBED_AT_ONCE", 1)


def held():
    queue = ScriptedQueue(hold=True)
    queue.interval = 0.01
    return queue


async def looking(pool):
    """Begin to look at all jobs, of which some have been looked at then."""
    for record in pool.records.values():
        pool._observer._changed.add(record.name)
    look = asyncio.ensure_future(pool.look())
    await asyncio.sleep(0)
    assert 0 < len(pool._observer._changed) < len(pool.records)
    return look


def test_what_is_wanted_while_jobs_are_looked_at_is_counted(one_by_one):
    """A job that isn't counted would be asked for anew, or would stay."""
    queue = held()

    async def story(pool):
        group = pool.groups["default"]
        await scaled(pool, queue, 4)
        look = await looking(pool)
        pool.want(group, 7)
        assert len(pool.census(group, 0.0)) == len(pool.wanted()) == 7
        await look
        await happens(lambda: len(queue.living()) == 7)
        look = await looking(pool)
        pool.want(group, 2)
        assert len(pool.census(group, 0.0)) == len(pool.wanted()) == 2
        await look
        await happens(lambda: len(pool.records) == 2)
        assert len(pool.census(group, 0.0)) == len(queue.living()) == 2
        assert sum(jobs for verb, jobs in queue.commands if verb == "submit") == 7

    play(queue, story)


def test_a_pool_closes_while_its_jobs_are_looked_at(one_by_one):
    queue = held()

    async def story(pool):
        await scaled(pool, queue, 4)
        look = await looking(pool)
        await pool.close()
        await look
        assert queue.living() == []

    play(queue, story)
    assert count(queue, "submit") == 1


def test_a_scaler_that_is_stopped_while_jobs_are_looked_at_decides_nothing_more(one_by_one):
    queue = held()

    async def story():
        async with ScriptedCluster(
            queue, cores=1, memory="1 GiB", asynchronous=True, scheduler_options=OPTIONS
        ) as cluster:
            cluster.scale(jobs=4)
            await happens(lambda: len(queue.living()) == 4)
            scaler = cluster.adapt(minimum_jobs=9, maximum_jobs=9, interval="1h")
            for record in cluster.pool.records.values():
                cluster.pool._observer._changed.add(record.name)
            deciding = asyncio.ensure_future(scaler.adapt())
            await asyncio.sleep(0)
            assert cluster.pool._observer._changed
            cluster.stop_adapting()
            await deciding
            assert len(cluster.pool.wanted()) == 4
            await scaler.adapt()
            assert len(cluster.pool.wanted()) == 9, "else it would have decided"

    asyncio.run(story())


STARTED = datetime(2030, 1, 1, 9, 30)


def test_jobs_of_one_state_share_what_is_known_of_them(monkeypatch):
    """An object for each would take memory, and time whenever they are shown."""
    queue, answers = held(), {}
    running = JobStatus(JobState.RUNNING, node="n1", started=STARTED)

    async def story(pool):
        group = pool.groups["default"]
        group.spec = replace(group.spec, walltime=timedelta(hours=2))
        await scaled(pool, queue, 20)
        monkeypatch.setattr(queue, "states", answered)
        answers.update({record.job_id: running for record in pool.records.values()})
        await happens(lambda: {each.state for each in pool.jobs().values()} == {JobState.RUNNING})
        shown = pool.jobs()
        assert len({id(status) for status in shown.values()}) == 1
        assert shown["1_0"].ends == STARTED + timedelta(hours=2)
        answers["1_7"] = JobStatus(JobState.RUNNING, node="n2", started=STARTED + timedelta(hours=1))
        await happens(lambda: pool.jobs()["1_7"].node == "n2")
        assert [each.node for each in pool.jobs().values()].count("n1") == 19
        answers["1_3"] = JobStatus(JobState.COMPLETED, node="n1", started=STARTED)
        await happens(lambda: pool.jobs()["1_3"].state is JobState.COMPLETED)
        assert pool.jobs()["1_3"].ends is None
        pool.let_go(["C-5"])
        del answers["1_5"]
        await happens(lambda: pool.jobs()["1_5"].state is JobState.CANCELLED)
        assert pool.jobs()["1_5"].ends is None, "of what is over no time is left"
        monkeypatch.undo()

    async def answered(ids):
        return {job_id: answers[job_id] for job_id in ids if job_id in answers}

    play(queue, story)


def test_states_that_are_not_known_leave_each_job_as_it_was(monkeypatch):
    """Also where they are objects that are gone as soon as they were read."""
    queue = held()

    async def story(pool):
        await scaled(pool, queue, 50)
        for record in pool.records.values():
            record.status = JobStatus(JobState.RUNNING, node=f"n{record.number}")
        monkeypatch.setattr(queue, "states", answered)
        await happens(lambda: len(seen) > 2)
        monkeypatch.undo()
        assert [record.status.node for record in pool.records.values()] == [f"n{n}" for n in range(50)]

    seen = []

    async def answered(ids):
        seen.append(ids)
        return {job_id: JobStatus(JobState.UNKNOWN) for job_id in ids}

    play(queue, story)
