"""What only OAR has."""

from __future__ import annotations

import pytest
from distributed import Client

from jobclusters.state import JobState

from .systems import call
from .test_drills import WHOLE_NODE
from .tools import PATIENCE, hold_results, until

ONLY = "oar"


@pytest.mark.containers
def test_memory_is_asked_for_by_a_property(system, make, look):
    cluster = make(cores=2, memory="4 GB", job_extra_directives=[*system.held, "-p host='n1'"], n_jobs=1)
    [job] = until(look(cluster).living)
    assert "(host='n1') AND memcore>=1908" in call("oarstat", "-f", "-j", job)


def test_a_job_that_is_deleted_says_by_whom(system, make, look):
    cluster = make(n_jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    [job] = look(cluster).living()
    system.cancel(job)
    ended = until(lambda: cluster.jobs[job].state.ended and cluster.jobs[job])
    assert ended.state is JobState.CANCELLED
    assert "FRAG_JOB_REQUEST: User " in ended.reason


@pytest.mark.containers
@pytest.mark.breaks
def test_drill_preemption(make, look, drill):
    """A job that gives way is warned, and hands over."""
    spot = make(queue="besteffort", worker_is_spot=True, **WHOLE_NODE)
    seen = look(spot)
    spot.scale(jobs=2)
    with Client(spot) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        count_lost = hold_results(client)
        normal = make(**WHOLE_NODE)
        normal.scale(jobs=1)
        normal.wait_for_workers(1, timeout=PATIENCE)
        until(lambda: JobState.PREEMPTED in {status.state for status in spot.jobs.values()})
        lost = count_lost()
        normal.close()
        client.wait_for_workers(2, timeout=PATIENCE)
    spot.close()
    drill.report(seen, asked=2, extra=1, lost=lost)
