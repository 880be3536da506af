"""What only HTCondor has."""

from __future__ import annotations

import os
import sys

import pytest
from distributed import Client

from jobclusters import JobsFailed, Refused
from jobclusters.state import JobState

from .systems import call
from .tools import PATIENCE, hold_results, until

ONLY = "htcondor"


def test_a_held_job_is_reported_and_does_not_stay(make, look, shared):
    (shared / "closed").mkdir(mode=0o500)
    cluster = make(log_directory=str(shared / "closed"), n_jobs=1)
    seen = look(cluster)
    with pytest.raises(JobsFailed, match="log directory or the working directory can't be used"):
        cluster.wait_for_workers(1, timeout=PATIENCE)
    cluster.close()
    until(lambda: not seen.all())


@pytest.mark.containers
def test_a_job_out_of_memory_is_reported(make):
    hog = f"{sys.executable} -c 'x = bytearray(10**9); import time; time.sleep(60)'"
    cluster = make(cores=1, memory="200 MB", job_script_prologue=[hog + " || exit 9"], n_jobs=1)
    with pytest.raises(JobsFailed, match=r"OUT_OF_MEMORY .*more memory than the job has"):
        cluster.wait_for_workers(1, timeout=PATIENCE)


def test_a_misspelt_key_is_refused(make, look):
    cluster = make(job_extra_directives=["reqest_disk = 1GB"], n_jobs=1)
    seen = look(cluster)
    with pytest.raises(Refused, match="doesn't know what is meant by: reqest_disk = 1GB"):
        cluster.wait_for_workers(1, timeout=PATIENCE)
    assert not seen.ever()


def test_drill_eviction(make, look, drill):
    """Without a warning, a job runs again under its own id."""
    cluster = make()
    seen = look(cluster)
    cluster.scale(jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    call("condor_vacate_job", "-fast", seen.living()[0])
    until(lambda: any(name.endswith("-r1") for name in cluster.scheduler.aliases))
    assert cluster.observed == cluster.plan
    until(lambda: next(iter(cluster.jobs.values())).restarts == 1)
    cluster.close()
    drill.report(seen, asked=1)


def test_drill_eviction_with_a_warning(make, look, drill):
    """Workers hand over at the TERM, and their job runs again under its own id."""
    cluster = make()
    seen = look(cluster)
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        count_lost = hold_results(client)
        victim = min(seen.living())
        call("condor_vacate_job", victim)
        until(lambda: any(name.endswith("-r1") for name in cluster.scheduler.aliases))
        client.wait_for_workers(2, timeout=PATIENCE)
        until(lambda: cluster.jobs[victim].restarts == 1)
        lost = count_lost()
    cluster.close()
    drill.report(seen, asked=2, lost=lost)


@pytest.mark.containers
def test_a_walltime_that_is_over_is_reported(make, look):
    cluster = make(walltime="20 s", n_jobs=1, worker_extra_args=["--lifetime", "1 hour"])
    look(cluster)
    until(lambda: any(status.state is JobState.TIMEOUT for status in cluster.jobs.values()))


def test_a_job_starts_where_it_was_submitted_with_its_ids(make, look, shared):
    cluster = make(n_jobs=1, job_extra_directives=["environment = \"MINE='a b'\""])
    seen = look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        (found,) = client.run(lambda: (os.getcwd(), os.environ["JOBCLUSTERS_JOB_ID"], os.environ["MINE"])).values()
    assert found == (str(shared), seen.living()[0], "a b")


def test_a_type_of_gpu(make, look, gpus):
    cluster = make(cores=1, gpus=1, gpu_type="a100", n_jobs=1)
    look(cluster)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    other = make(cores=1, gpus=1, gpu_type="h100", n_jobs=1)
    look(other)
    with pytest.raises(JobsFailed, match="no machine of the pool can run it"):
        other.wait_for_workers(1, timeout=PATIENCE)
