"""Results outlive the jobs that made them, which end one after the other."""

from __future__ import annotations

import time

import pytest
from distributed import Client

from .tools import PATIENCE, hold_results

ONLY = "slurm"
ONE_VERSION = True


@pytest.mark.containers
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_computation_outlives_its_jobs(system, make, look):
    """Jobs of two minutes compute for six: none is killed by its walltime, and no result is made twice."""
    cluster = make(queue="big", walltime="00:02:00", n_jobs=2)
    seen = look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        lost = hold_results(client)
        begun, done = time.monotonic(), 0
        while time.monotonic() - begun < 360:
            done += sum(client.gather(client.map(lambda _: (time.sleep(0.2), 1)[1], range(20), pure=False)))
        assert lost() == 0
        assert done % 20 == 0
        assert len(cluster.worker_spec) >= 2
    states = {str(status.state) for status in cluster.jobs.values()}
    assert "TIMEOUT" not in states, cluster.jobs
    assert len(seen.ever()) >= 6
    cluster.close()
    assert seen.living() == []
