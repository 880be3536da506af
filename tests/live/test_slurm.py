"""What a user does on SLURM."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import dask.config
import pytest
from distributed import Client

from jobclusters import Cluster, JobsFailed, Refused, SLURMCluster
from jobclusters.state import JobState

from .conftest import living, squeue, submitted, token, until


def test_ten_jobs_give_the_right_result_and_are_gone_after_close(make):
    cluster = make(worker_size="large", cores=None)
    cluster.scale(jobs=10)
    with Client(cluster) as client:
        client.wait_for_workers(10, timeout=90)
        assert len(living(cluster)) == 10
        assert len({job.partition("_")[0] for job in living(cluster)}) == 1, "ten jobs are one array"
        assert client.submit(sum, client.map(lambda x: x * x, range(100))).result() == 328350
        assert all(info["nthreads"] == 2 for info in client.scheduler_info(n_workers=-1)["workers"].values())
        assert {status.state for status in cluster.jobs.values()} == {JobState.RUNNING}
        assert all(status.node and status.started for status in cluster.jobs.values())
    cluster.close()
    assert living(cluster) == []
    until(lambda: squeue(token(cluster)) == [])


def test_a_gpu_size_pins_each_worker_to_a_gpu_of_its_own(make):
    cluster = make(worker_size="p38xlarge", n_jobs=1)
    with Client(cluster) as client:
        client.wait_for_workers(4, timeout=90)
        devices = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        assert sorted(devices.values()) == ["0", "1", "2", "3"]
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [info["resources"] for info in workers] == [{"GPU": 1.0}] * 4
        assert client.submit(sum, [1, 2], resources={"GPU": 1}).result() == 3


def test_a_site_names_the_gpu_type(make):
    with dask.config.set({"jobclusters.sizes.p32xlarge.slurm": {"gpu-type": "v100"}}):
        cluster = make(worker_size="p32xlarge", n_jobs=1)
    assert "--gpus-per-node=v100:1" in cluster.job_script()
    cluster.wait_for_workers(1, timeout=90)


def test_the_call_of_the_slides(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster = SLURMCluster(
            queue="normal", cores=24, memory="128GB", walltime="02:00:00", job_extra=["--constraint=haswell"]
        )
    try:
        cluster.scale(jobs=10)
        until(lambda: len(living(cluster)) == 10)
        client = Client(cluster)
        client.wait_for_workers(6, timeout=120)
        assert client.submit(lambda: 6 * 7).result() == 42
        assert "pending: Resources" in repr(cluster) or "pending: Priority" in repr(cluster)
        client.close()
    finally:
        cluster.close()
    assert living(cluster) == []


def test_cluster_finds_slurm(make):
    with Cluster(cores=1, memory="500 MB") as cluster:
        assert isinstance(cluster, SLURMCluster)
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=60)


def test_spot_asks_for_the_queue_and_requeue(make, shared):
    with dask.config.set({"jobclusters.spot.slurm.queue": "spot"}):
        cluster = make(worker_is_spot=True, queue=None)
    cluster.scale(1)
    cluster.wait_for_workers(1, timeout=60)
    job = next(iter(cluster.jobs))
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    assert "Partition=spot" in shown
    assert "Requeue=1" in shown


def test_a_cluster_inside_a_job_is_no_part_of_it(make, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "31")
    monkeypatch.setenv("SBATCH_PARTITION", "nosuch")
    cluster = make(queue=None)
    cluster.scale(1)
    cluster.wait_for_workers(1, timeout=60)


def test_a_bad_partition_is_told_in_slurms_words(make):
    cluster = make(queue="nosuch")
    cluster.scale(jobs=2)
    with pytest.raises(Refused, match="invalid partition specified: nosuch"):
        cluster.wait_for_workers(2, timeout=60)
    assert submitted(cluster) == []


def test_a_request_that_can_never_start_is_said_to_be_so(make):
    cluster = make(queue="debug", walltime="10:00:00")
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match="can never start: the batch system says PartitionTimeLimit"):
        cluster.wait_for_workers(1, timeout=60)


def test_a_missing_python_is_told_with_node_and_log(make):
    cluster = make(python="/no/such/python")
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match=r"exit code 127, on c\d: Python was not found on the node") as raised:
        cluster.wait_for_workers(1, timeout=60)
    assert "/no/such/python: No such file" in str(raised.value)


def test_a_log_directory_that_the_node_cannot_write_is_told(make, shared):
    (shared / "closed").mkdir(mode=0o500)
    cluster = make(log_directory=str(shared / "closed"))
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match="log directory or the working directory can't be used"):
        cluster.wait_for_workers(1, timeout=60)


def test_a_job_out_of_memory_is_told(make):
    hog = f"{sys.executable} -c 'x = bytearray(10**9); import time; time.sleep(60)'"
    cluster = make(cores=1, memory="100 MB", job_script_prologue=[hog + " || exit 9"])
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match="more memory than the job has"):
        cluster.wait_for_workers(1, timeout=90)


def test_what_jobs_print_can_be_read(make):
    cluster = make(job_script_prologue=["echo hello from $(hostname)"])
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    logs = cluster.get_job_logs()
    assert len(logs) == 2
    assert all("hello from c" in text for text in logs.values())
