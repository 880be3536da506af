"""What a user does on Grid Engine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap

import dask.config
import pytest
from distributed import Client

from jobclusters import Cluster, JobsFailed, Refused, SGECluster
from jobclusters.dialect import Reply
from jobclusters.dialects import DIALECTS
from jobclusters.state import JobState

from .conftest import token, until

SGE = DIALECTS["sge"]
PE = os.environ.get("JOBCLUSTERS_LIVE_PE", "smp")


def call(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def qstat(name_part):
    """Give the user's jobs whose name holds this: id to letters."""
    text = call("qstat", "-xml", "-g", "d")
    found = {}
    for block in re.findall(r"<job_list.*?</job_list>", text, re.DOTALL):
        job = dict(re.findall(r"<(\w+)>([^<]*)</\1>", block))
        if name_part in job["JB_name"]:
            found[".".join([job["JB_job_number"], *([job["tasks"]] if "tasks" in job else [])])] = job["state"]
    return found


def living(cluster):
    """Give the ids of the cluster's jobs that are not being deleted."""
    return [job for job, letters in qstat(token(cluster)).items() if "d" not in letters]


@pytest.fixture
def make(shared):
    """Make an SGECluster, and close it whatever happens."""
    made = []

    def make_cluster(**keywords):
        queue = os.environ.get("JOBCLUSTERS_LIVE_QUEUE", "all.q")
        common = {"queue": queue, "walltime": "00:20:00", "log_directory": str(shared / "logs")}
        keywords = {**common, "parallel_environment": PE, **keywords}
        if not keywords.keys() & {"cores", "worker_size", "worker_cpu"}:
            keywords |= {"cores": 1, "memory": "2 GB"}
        made.append(SGECluster(**keywords))
        return made[-1]

    yield make_cluster
    for cluster in made:
        cluster.close()


def test_ten_jobs_give_the_right_result_and_are_gone_after_close(make):
    cluster = make(worker_size="large")
    cluster.scale(jobs=10)
    with Client(cluster) as client:
        client.wait_for_workers(10, timeout=90)
        assert len(living(cluster)) == 10
        assert len({job.partition(".")[0] for job in living(cluster)}) == 1, "ten jobs are one array"
        assert client.submit(sum, client.map(lambda x: x * x, range(100))).result() == 328350
        assert all(info["nthreads"] == 2 for info in client.scheduler_info(n_workers=-1)["workers"].values())
        until(lambda: {status.state for status in cluster.jobs.values()} == {JobState.RUNNING})
        assert all(status.node and status.started for status in cluster.jobs.values())
    cluster.close()
    assert living(cluster) == []
    until(lambda: qstat(token(cluster)) == {})


def test_what_is_scaled_down_leaves_and_the_rest_works(make):
    cluster = make()
    cluster.scale(jobs=4)
    with Client(cluster) as client:
        client.wait_for_workers(4, timeout=60)
        futures = client.map(lambda x: x + 1, range(100))
        assert client.submit(sum, futures).result() == 5050
        cluster.scale(jobs=2)
        until(lambda: len(living(cluster)) == 2)
        assert client.submit(sum, futures).result() == 5050


def test_a_deleted_job_is_replaced(make):
    cluster = make()
    cluster.scale(jobs=3)
    with Client(cluster) as client:
        client.wait_for_workers(3, timeout=60)
        victim = living(cluster)[1]
        call("qdel", victim)
        until(lambda: victim not in living(cluster) and len(living(cluster)) == 3)
        client.wait_for_workers(3, timeout=60)
        assert client.submit(lambda: 6 * 7).result() == 42
    assert cluster.jobs[victim].state is JobState.CANCELLED


def test_a_gpu_size_pins_each_worker_to_a_gpu_of_its_own(make):
    cluster = make(worker_size="p38xlarge", n_jobs=1)
    with Client(cluster) as client:
        client.wait_for_workers(4, timeout=90)
        devices = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        assert sorted(devices.values()) == ["0", "1", "2", "3"]
        assert client.submit(sum, [1, 2], resources={"GPU": 1}).result() == 3


def test_cluster_finds_grid_engine(make):
    with Cluster(cores=1, memory="2 GB") as cluster:
        assert isinstance(cluster, SGECluster)
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=60)


def test_spot_may_be_run_again(make):
    with dask.config.set({"jobclusters.spot.sge.queue": os.environ.get("JOBCLUSTERS_LIVE_QUEUE", "all.q")}):
        cluster = make(worker_is_spot=True, queue=None)
    cluster.scale(1)
    cluster.wait_for_workers(1, timeout=60)
    shown = call("qstat", "-j", next(iter(cluster.jobs)))
    assert re.search(r"^restart: +y", shown, re.MULTILINE)


def test_a_bad_queue_is_told_in_grid_engines_words(make):
    cluster = make(queue="nosuch.q")
    cluster.scale(jobs=2)
    with pytest.raises(Refused, match=r'unknown queue "nosuch\.q"'):
        cluster.wait_for_workers(2, timeout=60)
    assert qstat(token(cluster)) == {}


def test_a_missing_python_is_told_with_node_and_log(make):
    cluster = make(python="/no/such/python")
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match=r"exit code 127, on \S+: Python was not found on the node") as raised:
        cluster.wait_for_workers(1, timeout=90)
    assert "/no/such/python: No such file" in str(raised.value)


def test_a_job_in_error_state_is_told_and_does_not_stay(make, shared):
    (shared / "closed").mkdir(mode=0o500)
    cluster = make(log_directory=str(shared / "closed"))
    cluster.scale(jobs=1)
    with pytest.raises(JobsFailed, match=r"can't|opening input/output file|Permission denied"):
        cluster.wait_for_workers(1, timeout=60)
    cluster.close()
    until(lambda: qstat(token(cluster)) == {})


def test_ids_are_found_by_name(make):
    cluster = make()
    cluster.scale(jobs=3)
    cluster.wait_for_workers(3, timeout=60)
    argv = SGE.find_argv("")
    reply = Reply(tuple(argv), 0, call(*argv))
    name = next(iter(cluster.engine.queue.records.values())).job_name
    assert sorted(SGE.parse_find(reply, name)) == sorted(cluster.jobs)


OWNER = """
    from jobclusters import SGECluster
    cluster = SGECluster(cores=1, memory="2 GB", queue={queue!r}, walltime="00:20:00")
    cluster.scale(jobs=3)
    cluster.wait_for_workers(3, timeout=60)
    print(cluster.engine.queue._token, flush=True)
    input()
"""


def test_jobs_go_when_their_owner_is_killed(shared):
    code = textwrap.dedent(OWNER).format(queue=os.environ.get("JOBCLUSTERS_LIVE_QUEUE", "all.q"))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        name = owner.stdout.readline().strip()
        assert len(qstat(name)) == 3
        owner.send_signal(signal.SIGKILL)
    until(lambda: qstat(name) == {})


def test_what_jobs_print_can_be_read(make):
    cluster = make(job_script_prologue=["echo hello from $(hostname)"])
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2, timeout=60)
    logs = cluster.get_job_logs()
    assert len(logs) == 2
    assert all("hello from " in text for text in logs.values())
