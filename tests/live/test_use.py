"""What a user does on any batch system."""

from __future__ import annotations

import os

import dask.config
import pytest
from distributed import Client

from jobclusters import Cluster, JobsFailed, Refused
from jobclusters.state import JobState

from .tools import PATIENCE, until


def test_ten_jobs_give_the_right_result_and_are_gone_after_close(make, look):
    cluster = make()
    seen = look(cluster)
    cluster.scale(jobs=10)
    with Client(cluster) as client:
        client.wait_for_workers(10, timeout=PATIENCE)
        assert len(seen.living()) == 10
        assert len(seen.arrays()) == 1, "ten jobs are one array"
        assert client.submit(sum, client.map(lambda x: x * x, range(100))).result() == 328350
        assert all(info["nthreads"] == 1 for info in client.scheduler_info(n_workers=-1)["workers"].values())
        until(lambda: {status.state for status in cluster.jobs.values()} == {JobState.RUNNING})
        assert all(status.node for status in cluster.jobs.values())
    cluster.close()
    assert seen.living() == []
    until(lambda: not seen.all())
    assert len(seen.ever()) == 10


def test_cluster_finds_the_batch_system(system, keywords, look):
    with dask.config.set({"jobclusters.system": None}), Cluster(**keywords()) as cluster:
        assert type(cluster) is system.cluster
        look(cluster)
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=PATIENCE)


def test_a_gpu_size_pins_each_worker_to_a_gpu_of_its_own(make, look, gpus):
    cluster = make(worker_cpu=gpus, worker_memory=f"{2 * gpus} GB", worker_gpu=gpus, n_jobs=1)
    look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(gpus, timeout=PATIENCE)
        devices = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        assert len(devices) == len(set(devices.values())) == gpus
        assert not any("," in device for device in devices.values())
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [info["resources"] for info in workers] == [{"GPU": 1.0}] * gpus
        assert client.submit(sum, [1, 2], resources={"GPU": 1}).result() == 3


def test_spot_may_be_run_again(system, make, look):
    cluster = make(worker_is_spot=True, n_jobs=1)
    [job] = until(look(cluster).living)
    assert system.may_run_again(job)
    cluster.wait_for_workers(1, timeout=PATIENCE)


def test_jobs_are_found_by_name(make, look):
    cluster = make(n_jobs=3)
    seen = look(cluster)
    until(lambda: len(seen.living()) == 3)
    cluster.wait_for_workers(3, timeout=PATIENCE)
    [name] = {record.job_name for record in cluster.pool.records.values()}
    found = cluster.sync(cluster.pool.batch_system.find, name)
    assert sorted(found) == sorted(cluster.jobs)


def test_what_jobs_print_can_be_read(system, make, look):
    cluster = make(job_script_prologue=["echo hello from $(hostname)"], n_jobs=2)
    look(cluster)
    cluster.wait_for_workers(2, timeout=PATIENCE)
    if not system.shows_output:
        cluster.close()
    logs = until(lambda: (logs := cluster.get_job_logs()) and all(logs.values()) and logs)
    assert len(logs) == 2
    assert all("hello from " in text for text in logs.values())


@pytest.mark.queues
def test_drill_bad_queue_is_reported_in_the_systems_own_words(system, make, look, drill):
    cluster = make(queue="nosuch")
    cluster.scale(jobs=2)
    with pytest.raises(Refused, match=system.no_queue):
        cluster.wait_for_workers(2, timeout=PATIENCE)
    cluster.close()
    drill.report(look(cluster), asked=0)


def test_drill_job_that_can_never_start_is_reported(system, make, look, drill):
    cluster = make(**system.impossible)
    seen = look(cluster)
    cluster.scale(jobs=1)
    with pytest.raises((JobsFailed, Refused), match=system.never):
        cluster.wait_for_workers(1, timeout=PATIENCE)
    cluster.close()
    drill.report(seen, asked=0, extra=1)


def test_drill_missing_python_is_reported_with_node_and_log(system, make, look, drill, messages):
    cluster = make(python="/no/such/python")
    seen = look(cluster)
    cluster.scale(jobs=1)
    how = r"exit code 127, on \S+" if system.remembers else r"GONE.*"
    with pytest.raises(JobsFailed, match=rf"{how}: Python was not found on the node") as raised:
        cluster.wait_for_workers(1, timeout=PATIENCE)
    assert "| " in str(raised.value)
    assert "/no/such/python: " in str(raised.value)
    until(lambda: "No more jobs are submitted" in messages.text)
    cluster.close()
    drill.report(seen, asked=1, extra=2)
