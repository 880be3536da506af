"""Scaling with the work there is, on a real batch system."""

from __future__ import annotations

import time

from distributed import Client, Event, wait

from .tools import PATIENCE, until

ONE_VERSION = True


def submitted(cluster):
    return sum(step.decision.submit for step in cluster.history)


def given_up(cluster):
    return sum(len(step.decision.cancel) for step in cluster.history)


def test_bursts_in_a_slow_queue_cost_one_submission(system, make, look):
    """dask-jobqueue submits and cancels anew for each burst."""
    cluster = make(job_extra_directives=list(system.held))
    seen = look(cluster)
    cluster.adapt(maximum_jobs=3)
    with Client(cluster) as client:
        for _ in range(3):
            futures = client.map(lambda x: x, range(40), pure=False)
            until(lambda: len(seen.living()) == 3)
            client.cancel(futures)
            until(lambda: cluster.history[-1].decision.need == 0)
    assert (submitted(cluster), given_up(cluster), len(seen.ever())) == (3, 0, 3)
    cluster.close()
    assert seen.living() == []


def test_jobs_come_and_go_with_the_work(system, make, look):
    cluster = make()
    seen = look(cluster)
    cluster.adapt(maximum_jobs=2)
    with Client(cluster) as client:
        futures = client.map(lambda x: (time.sleep(0.1), x)[1], range(60))
        assert client.submit(sum, futures).result(timeout=PATIENCE) == 1770
        del futures
        until(lambda: not seen.living())
        assert submitted(cluster) == 2
        assert client.submit(lambda: 42, pure=False).result(timeout=PATIENCE) == 42
    assert cluster.usage["default"].jobs == submitted(cluster) == 3


def test_a_gpu_group_comes_for_the_tasks_that_need_it(system, make, look, gpus):
    cluster = make(n_jobs=1)
    site = {key: value for key, value in system.keywords.items() if key != "interface"}
    cluster.add_group("gpu", **site, cores=2, memory="4 GB", gpus=2)
    cluster.adapt(group="gpu", maximum_jobs=1)
    seen = look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        assert client.submit(lambda: 1, pure=False).result(timeout=PATIENCE) == 1
        assert len(seen.living()) == 1
        event = Event()
        futures = [client.submit(event.wait, resources={"GPU": 1}, pure=False) for _ in range(2)]
        client.wait_for_workers(3, timeout=PATIENCE)
        assert cluster.observed == cluster.plan
        event.set()
        wait(futures, timeout=PATIENCE)
        del futures
        until(lambda: len(seen.living()) == 1)
        assert client.submit(lambda: 2, pure=False).result(timeout=PATIENCE) == 2
