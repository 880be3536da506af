"""Failure drills on a real SLURM: whatever is killed, nothing is lost, doubled or orphaned, and the person is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from distributed import Client, wait

from jobclusters import Refused
from jobclusters.state import JobState

from .conftest import controller_answers, living, squeue, submitted, until

#: Keeps jobs pending for as long as a drill takes.
HELD = ["--begin=now+1hour"]
#: A job that fills a node.
WHOLE_NODE = {"cores": 32, "memory": "2 GB", "processes": 1, "nthreads": 1}


def hold_results(client, count=20):
    """Put results onto all workers; give the futures and a function that counts those that had to be made again."""
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    futures = [client.submit(lambda i: i, i, workers=[workers[i % len(workers)]], pure=False) for i in range(count)]
    wait(futures)

    def lost():
        return sum(future.status != "finished" for future in futures)

    return futures, lost


def test_drill_controller_paused_during_scale(make, lever, drill):
    cluster = make()
    lever("pause", "slurmctld")
    cluster.scale(jobs=4)
    # sbatch itself gives up after ten seconds, and the job exists once the controller wakes
    until(lambda: any(s.reason == "being submitted" for s in cluster.jobs.values()))
    time.sleep(12)  # longer than sbatch's own patience; there is nothing to see from outside until then
    lever("unpause", "slurmctld")
    cluster.wait_for_workers(4, timeout=120)
    drill.report(cluster, asked=4)


def test_drill_controller_paused_during_close(make, lever, drill):
    cluster = make(job_extra_directives=HELD)
    cluster.scale(jobs=4)
    seen = len(until(lambda: living(cluster) if len(living(cluster)) == 4 else None))
    lever("pause", "slurmctld")
    closing = threading.Thread(target=cluster.close)
    closing.start()
    until(lambda: cluster._ending is not None)
    closing.join(3)
    lever("unpause", "slurmctld")
    closing.join(60)
    assert not closing.is_alive()
    drill.report(cluster, asked=4, seen=seen)


def test_drill_controller_stopped_for_a_minute(make, lever, drill, messages):
    cluster = make()
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=90)
        _, lost = hold_results(client)
        lever("stop", "slurmctld")
        stopped = time.monotonic()
        cluster.engine.watch.hurry()
        until(lambda: "does not answer" in messages.text, 90)
        while time.monotonic() - stopped < 60:
            assert client.submit(lambda: 1, pure=False).result(timeout=10) == 1
            time.sleep(1)
        lever("start", "slurmctld")
        until(controller_answers, 90)
        cluster.engine.watch.hurry()
        until(lambda: "answers again" in messages.text, 90)
        assert [status.state for status in cluster.jobs.values()] == [JobState.RUNNING] * 2
        drill.report(cluster, asked=2, results_lost=lost())


def test_drill_external_scancel(make, drill):
    cluster = make()
    cluster.scale(jobs=3)
    with Client(cluster) as client:
        client.wait_for_workers(3, timeout=90)
        first = living(cluster)[0]
        subprocess.run(["scancel", first], check=True)
        until(lambda: len(submitted(cluster)) == 4)
        client.wait_for_workers(3, timeout=90)
        until(lambda: first not in living(cluster) and len(living(cluster)) == 3)
        drill.report(cluster, asked=3, extra=1)


def test_drill_scale_down_with_results(make, drill):
    cluster = make(cores=4, processes=4, memory="2 GB")
    cluster.scale(jobs=3)
    with Client(cluster) as client:
        client.wait_for_workers(12, timeout=90)
        _, lost = hold_results(client, 60)
        cluster.scale(jobs=1)
        until(lambda: len(cluster.scheduler.workers) == 4)
        drill.report(cluster, asked=3, results_lost=lost())


def test_drill_requeue(make, drill):
    cluster = make(job_extra_directives=["--requeue"])
    cluster.scale(jobs=1)
    cluster.wait_for_workers(1, timeout=90)
    job = living(cluster)[0]
    subprocess.run(["scontrol", "requeue", job.removesuffix("_N/A")], check=True)
    until(lambda: any(name.endswith("-r1") for name in cluster.scheduler.aliases), 180)
    assert cluster.observed == cluster.plan
    assert next(iter(cluster.jobs.values())).restarts == 1
    drill.report(cluster, asked=1)


def test_drill_preemption(make, drill):
    low = make(queue="spot", worker_is_spot=True, **WHOLE_NODE)
    low.scale(jobs=3)
    low.wait_for_workers(3, timeout=90)
    high = make(queue="normal", **WHOLE_NODE)
    high.scale(jobs=1)
    high.wait_for_workers(1, timeout=120)
    until(lambda: any(status.restarts for status in low.jobs.values()), 60)
    high.close()
    low.wait_for_workers(3, timeout=240)
    drill.report(low, asked=3)


def test_drill_node_killed(make, lever, drill):
    cluster = make(**WHOLE_NODE)
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=90)
        victim = next(iter(cluster.jobs.values())).node
        lever("kill", victim)
        until(lambda: len(cluster.scheduler.workers) == 1, 90)
        until(lambda: len(cluster.scheduler.workers) == 2, 180)
        assert client.submit(lambda: 7).result(timeout=30) == 7
        extra = len(submitted(cluster)) - 2
        assert extra <= 1, "one lost job is replaced at most once"
        drill.report(cluster, asked=2, extra=1)


def test_drill_node_frozen(make, lever, drill):
    cluster = make(**WHOLE_NODE)
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=90)
        victim = next(iter(cluster.jobs.values())).node
        frozen = {ws.address for ws in cluster.scheduler.workers.values() if ws.name in _workers_of(cluster, victim)}
        assert len(frozen) == 1
        lever("pause", victim)
        # SLURM needs SlurmdTimeout to see it; Dask alone would wait for its worker-ttl of five minutes
        until(lambda: not frozen & set(cluster.scheduler.workers), 180)
        until(lambda: len(cluster.scheduler.workers) == 2, 180)
        assert client.submit(lambda: 7).result(timeout=30) == 7
        drill.report(cluster, asked=2, extra=1)


def _workers_of(cluster, node):
    return {r.name for r in cluster.engine.queue.records.values() if r.status.node == node}


def test_drill_qos_submit_limit(make, drill, messages):
    cluster = make(qos="limited", job_extra_directives=HELD)
    cluster.scale(jobs=8)
    until(lambda: len(living(cluster)) == 5)
    until(lambda: "held back by a submit limit" in repr(cluster))
    assert messages.text.count("takes no more jobs for now") == 1
    first = set(living(cluster))
    subprocess.run(["scancel", min(first)], check=True)
    until(lambda: len(living(cluster)) == 5 and len(set(living(cluster)) - first) == 1)
    drill.report(cluster, asked=5)


def test_drill_bad_partition(make, drill):
    cluster = make(queue="nosuch")
    cluster.scale(jobs=2)
    with pytest.raises(Refused):
        cluster.wait_for_workers(2, timeout=60)
    drill.report(cluster, asked=0)


def test_drill_missing_python(make, drill, messages):
    cluster = make(python="/no/such/python")
    cluster.scale(jobs=1)
    until(lambda: "No more jobs are submitted" in messages.text, 90)
    drill.report(cluster, asked=1, extra=2)


def test_drill_more_jobs_than_an_array_holds(make, drill):
    cluster = make(queue="big", job_extra_directives=HELD)
    cluster.scale(jobs=1500)
    until(lambda: len(living(cluster)) == 1500)
    assert len({job.partition("_")[0] for job in living(cluster)}) == 2
    drill.report(cluster, asked=1500)


OWNER = """
import sys, time
from jobclusters import SLURMCluster
if __name__ == "__main__":
    cluster = SLURMCluster(queue="normal", cores=1, memory="500 MB", walltime="00:20:00",
                           job_extra_directives=sys.argv[1:])
    cluster.scale(jobs=3)
    while len([job for job in cluster.jobs if job[0].isdigit()]) < 3:
        time.sleep(0.05)
    print(cluster.engine.queue._token, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("directives", [HELD, []], ids=["pending", "running"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=["KILL", "TERM", "HUP"])
def test_drill_owner_killed(shared, drill, directives, number):
    (shared / "owner.py").write_text(OWNER)
    owner = subprocess.Popen([sys.executable, "owner.py", *directives], stdout=subprocess.PIPE, text=True)
    name = owner.stdout.readline().strip()
    until(lambda: len(squeue(name)) == 3)
    os.kill(owner.pid, number)
    owner.wait()
    gone = ("COMPLETING", "CANCELLED", "COMPLETED")
    until(lambda: all(state in gone for _, state in squeue(name)), 10)
    print(
        f"\ndrill {drill.name}: asked 3, seen {len(squeue(name, '-t', 'all'))}, duplicated 0, orphaned 0, results lost 0"
    )
    assert len(squeue(name, "-t", "all")) <= 3
    until(lambda: not janitors())


def janitors():
    shown = subprocess.run(["pgrep", "-f", "jobclusters.janitor"], capture_output=True, text=True, check=False)
    return shown.stdout.split()
