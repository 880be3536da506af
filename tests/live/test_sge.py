"""What only Grid Engine has."""

from __future__ import annotations

import re

import pytest

from jobclusters import JobsFailed, JobState

from .systems import call
from .tools import PATIENCE, until

ONLY = "sge"


def test_a_job_in_error_state_is_reported_and_does_not_stay(make, look, shared):
    (shared / "closed").mkdir(mode=0o500)
    cluster = make(log_directory=str(shared / "closed"), n_jobs=1)
    seen = look(cluster)
    with pytest.raises(JobsFailed, match=r"can't|opening input/output file|Permission denied"):
        cluster.wait_for_workers(1, timeout=PATIENCE)
    cluster.close()
    until(lambda: not seen.all())


def test_memory_is_asked_for_by_slot(system, make, look):
    cluster = make(cores=2, memory="4 GB", job_extra_directives=list(system.held), n_jobs=1)
    [job] = until(look(cluster).living)
    shown = call("qstat", "-j", job)
    assert re.search(
        rf"^parallel environment: +{system.keywords['parallel_environment']} range: 2$", shown, re.MULTILINE
    )
    assert re.search(r"^hard resource_list: .*h_vmem=1908M", shown, re.MULTILINE)


def test_a_job_that_no_queue_can_run_waits_and_says_why(make, look):
    """Where the site lets the scheduler note reasons; qstat leaves such jobs out if it gets a list of queues."""
    cluster = make(cores=1, memory="900 TB", n_jobs=2)
    jobs = until(look(cluster).living)
    until(lambda: all(status.reason for status in cluster.jobs.values()))
    assert {(job_id, status.state) for job_id, status in cluster.jobs.items()} == {
        (job_id, JobState.PENDING) for job_id in jobs
    }
