"""What only SLURM has."""

from __future__ import annotations

import sys
import warnings

import dask.config
import pytest
from distributed import Client

from jobclusters import JobsFailed, SLURMCluster

from .systems import call
from .tools import PATIENCE, until

ONLY = "slurm"


@pytest.mark.containers
def test_a_site_names_the_gpu_type(make):
    with dask.config.set({"jobclusters.sizes.p32xlarge.slurm": {"gpu-type": "v100"}}):
        cluster = make(worker_size="p32xlarge", n_jobs=1)
    assert "--gpus-per-node=v100:1" in cluster.job_script()
    cluster.wait_for_workers(1, timeout=PATIENCE)


@pytest.mark.containers
def test_the_call_of_the_slides(shared, look):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r"\s*Port \d+ is already in use")  # another test takes it at the same moment
        cluster = SLURMCluster(
            queue="normal", cores=24, memory="128GB", walltime="02:00:00", job_extra=["--constraint=haswell"]
        )
    seen = look(cluster)
    try:
        cluster.scale(jobs=10)
        until(lambda: len(seen.living()) == 10)
        client = Client(cluster)
        client.wait_for_workers(6, timeout=PATIENCE)
        assert client.submit(lambda: 6 * 7).result() == 42
        until(lambda: "pending: Resources" in repr(cluster) or "pending: Priority" in repr(cluster))
        client.close()
    finally:
        cluster.close()
    assert seen.living() == []


def test_a_cluster_inside_a_job_is_no_part_of_it(make, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "31")
    cluster = make(queue=None, n_jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)


@pytest.mark.containers
def test_what_the_script_asks_for_wins_over_the_environment(make, monkeypatch):
    monkeypatch.setenv("SBATCH_PARTITION", "nosuch")
    cluster = make(queue="normal", n_jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)


@pytest.mark.containers
def test_spot_asks_for_its_queue(make, look):
    with dask.config.set({"jobclusters.spot.slurm.queue": "spot"}):
        cluster = make(worker_is_spot=True, queue=None, n_jobs=1)
    [job] = until(look(cluster).living)
    assert "Partition=spot" in call("scontrol", "show", "job", job)


@pytest.mark.containers
def test_a_time_that_no_node_of_the_partition_gives_is_reported(make):
    cluster = make(queue="debug", walltime="10:00:00", n_jobs=1)
    # The other is its first look at a job, now and then.
    with pytest.raises(JobsFailed, match=r"can never start: the batch system says Partition(TimeLimit|Config)"):
        cluster.wait_for_workers(1, timeout=PATIENCE)


def test_a_log_directory_that_the_node_cannot_write_is_reported(make, shared):
    (shared / "closed").mkdir(mode=0o500)
    cluster = make(log_directory=str(shared / "closed"), n_jobs=1)
    with pytest.raises(JobsFailed, match="log directory or the working directory can't be used"):
        cluster.wait_for_workers(1, timeout=PATIENCE)


@pytest.mark.containers
def test_a_job_out_of_memory_is_reported(make):
    hog = f"{sys.executable} -c 'x = bytearray(10**9); import time; time.sleep(60)'"
    cluster = make(cores=1, memory="100 MB", job_script_prologue=[hog + " || exit 9"], n_jobs=1)
    with pytest.raises(JobsFailed, match="more memory than the job has"):
        cluster.wait_for_workers(1, timeout=PATIENCE)


@pytest.mark.containers
def test_drill_requeue(make, look, drill):
    cluster = make(job_extra_directives=["--requeue"])
    seen = look(cluster)
    cluster.scale(jobs=1)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    call("scontrol", "requeue", seen.living()[0])
    until(lambda: any(name.endswith("-r1") for name in cluster.scheduler.aliases))
    assert cluster.observed == cluster.plan
    assert next(iter(cluster.jobs.values())).restarts == 1
    cluster.close()
    drill.report(seen, asked=1)


@pytest.mark.containers
@pytest.mark.breaks
def test_drill_preemption(make, look, drill):
    whole_node = {"cores": 32, "memory": "2 GB", "processes": 1, "nthreads": 1}
    low = make(queue="spot", worker_is_spot=True, **whole_node)
    seen = look(low)
    low.scale(jobs=3)
    low.wait_for_workers(3, timeout=PATIENCE)
    high = make(queue="normal", **whole_node)
    high.scale(jobs=1)
    high.wait_for_workers(1, timeout=PATIENCE)
    until(lambda: any(status.restarts for status in low.jobs.values()))
    high.close()
    low.wait_for_workers(3, timeout=2 * PATIENCE)
    low.close()
    drill.report(seen, asked=3)


@pytest.mark.containers
def test_drill_qos_submit_limit(system, make, look, drill, messages):
    cluster = make(qos="limited", job_extra_directives=list(system.held))
    seen = look(cluster)
    cluster.scale(jobs=8)
    until(lambda: len(seen.living()) == 5)
    until(lambda: "3 held back by a submit limit" in repr(cluster))
    assert messages.text.count("takes no more jobs for now") == 1
    first = set(seen.living())
    system.cancel(min(first))
    until(lambda: len(seen.living()) == 5 and len(set(seen.living()) - first) == 1)
    cluster.close()
    drill.report(seen, asked=5, extra=1)


@pytest.mark.containers
def test_drill_more_jobs_than_an_array_holds(system, make, look, drill):
    cluster = make(queue="big", job_extra_directives=list(system.held))
    seen = look(cluster)
    cluster.scale(jobs=1500)
    until(lambda: len(seen.living()) == 1500)
    assert len(seen.arrays()) == 2
    cluster.close()
    drill.report(seen, asked=1500)
