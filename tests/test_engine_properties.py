"""Whatever a batch system does, there are in the end as many jobs as were asked for, each submitted once."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobclusters import batchqueue, submission
from jobclusters.testing import ScriptedCluster, ScriptedQueue

ASK = st.tuples(st.just("scale"), st.integers(0, 6))
END = st.tuples(st.just("end"), st.integers(0, 5))
SILENCE = st.tuples(st.just("silence"), st.sampled_from(["submit", "cancel", "states", "submit, carried out"]))
LIMIT = st.tuples(st.just("limit"), st.sampled_from([1, 3, None]))


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the jobs did not become as many as were asked for"
        time.sleep(0.01)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(ASK | END | SILENCE | LIMIT, min_size=1, max_size=8))
def test_as_many_as_asked_for(steps, monkeypatch):
    monkeypatch.setattr(submission, "LOOK", (0.02, 0.05))
    for name, value in {"LIMIT_RETRY": 0.2, "MOMENT": 0.001}.items():
        monkeypatch.setattr(batchqueue, name, value)
    monkeypatch.setattr("jobclusters.keeper.FAILURES", 1000)
    queue = ScriptedQueue(hold=True)
    queue.interval = 0.01
    options = {"dashboard": False}
    with ScriptedCluster(queue, cores=1, memory="1 GiB", scheduler_options=options) as cluster:
        wanted = 0
        for what, how in steps:
            if what == "scale":
                cluster.scale(jobs=how)
                wanted = how
            elif what == "end" and queue.living():
                living = queue.living()
                queue.end(living[how % len(living)])
            elif what == "silence":
                verb, _, carried_out = how.partition(", ")
                with queue.silent(verb, carried_out=bool(carried_out)):
                    time.sleep(0.02)
            elif what == "limit":
                queue.most_jobs = how
        queue.most_jobs = None
        until(lambda: len(queue.living()) == wanted)
        until(lambda: {record.job_id for record in cluster.engine.queue.records.values()} == set(queue.living()))
        assert len(cluster.worker_spec) == wanted
    assert queue.living() == []
