"""Thousands of jobs cost the commands of a few, and watching them at rest no look at each."""

from __future__ import annotations

import asyncio

from jobclusters.scaling.model import Decision, Policy
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.jobs.test_poller import happens


def test_thousands_cost_the_commands_of_one_and_no_look_at_each(monkeypatch):
    """Submitted in arrays, asked about together, watched at rest without a look at any, and gone with one cancel."""
    queue, count = ScriptedQueue(hold=True), 3000
    options = {"dashboard": False, "dashboard_address": ":0"}

    async def story():
        async with ScriptedCluster(
            queue, cores=1, memory="1 GiB", asynchronous=True, scheduler_options=options
        ) as cluster:
            pool = cluster.pool
            cluster.scale(jobs=count)
            await happens(lambda: len(queue.living()) == count and all(r.job_id for r in pool.records.values()))
            assert [jobs for verb, jobs in queue.commands if verb == "submit"] == [queue.largest_array] * 3
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
            assert [jobs for verb, jobs in queue.commands if verb == "cancel"] == [count], "also of those that drain"
            assert all(verb in {"submit", "states", "cancel"} for verb, _ in queue.commands)

    asyncio.run(story())
