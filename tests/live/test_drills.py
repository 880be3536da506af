"""Failure drills on any batch system: whatever is killed, nothing is lost, doubled or orphaned, and the user knows.

Some more are in ``test_use.py``, and those that only SLURM has in ``test_slurm.py``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import dask.config
import psutil
import pytest
from distributed import Client

from jobclusters.state import JobState

from .tools import PATIENCE, count_questions, hold_results, until


def test_drill_external_cancel(system, make, look, drill):
    cluster = make()
    seen = look(cluster)
    cluster.scale(jobs=3)
    with Client(cluster) as client:
        client.wait_for_workers(3, timeout=PATIENCE)
        victim = sorted(seen.living())[1]
        system.cancel(victim)
        until(lambda: victim not in seen.living() and len(seen.living()) == 3)
        until(lambda: len(cluster.scheduler.workers) == 3 and cluster.jobs[victim].state.ended)
        assert client.submit(lambda: 6 * 7).result() == 42
    assert cluster.jobs[victim].state is JobState.CANCELLED or not system.remembers
    cluster.close()
    drill.report(seen, asked=3, extra=1)
    assert len(seen.ever()) == 4


def test_drill_scale_down_with_results(make, look, drill):
    cluster = make(cores=2, processes=2, nthreads=1)
    seen = look(cluster)
    cluster.scale(jobs=3)
    with Client(cluster) as client:
        client.wait_for_workers(6, timeout=PATIENCE)
        count_lost = hold_results(client, 60)
        cluster.scale(jobs=1)
        until(lambda: len(cluster.scheduler.workers) == 2 and len(seen.living()) == 1)
        lost = count_lost()
    cluster.close()
    drill.report(seen, asked=3, lost=lost)


def test_results_outlive_a_job_that_somebody_cancels(system, make, look):
    cluster = make(n_jobs=2)
    seen = look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        lost = hold_results(client)
        system.cancel(seen.living()[0])
        until(lambda: len(seen.ever()) == 3)
        client.wait_for_workers(2, timeout=PATIENCE)
        again = lost()  # fails if one is neither there nor can be computed
        assert again == 0 or not system.warns


OWNER = """
import json, sys, time
import jobclusters
if __name__ == "__main__":
    name, keywords, running = json.loads(sys.argv[1])
    cluster = getattr(jobclusters, name)(**keywords)
    cluster.scale(jobs=3)
    while len([job for job in cluster.jobs if job[0].isdigit()]) < 3:
        time.sleep(0.05)
    if running:
        cluster.wait_for_workers(3)
    print(cluster.pool.token, flush=True)
    time.sleep(3600)
"""


@pytest.mark.parametrize(
    ("name", "state"),
    [("KILL", "pending"), ("KILL", "running"), ("TERM", "pending"), ("TERM", "running"), ("HUP", "pending")],
)
def test_drill_owner_killed(system, keywords, shared, drill, name, state):
    (shared / "owner.py").write_text(OWNER)
    held = {"job_extra_directives": list(system.held)} if state == "pending" else {}
    what = json.dumps([system.cluster.__name__, keywords(**held), state == "running"])
    with subprocess.Popen([sys.executable, "owner.py", what], stdout=subprocess.PIPE, text=True) as owner:
        token = owner.stdout.readline().strip()
        assert token, "the owner ended by itself"
        seen = system.seen(token)
        children = psutil.Process(owner.pid).children(recursive=True)
        assert any("jobclusters.registry.janitor_process" in process.cmdline() for process in children)
        assert len(seen.living()) == 3
        owner.send_signal(signal.Signals[f"SIG{name}"])
    until(lambda: not seen.living())
    drill.report(seen, asked=3)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive, "the janitor leaves when its work is done"


#: A job that fills a node of our containers.
WHOLE_NODE = {"cores": 32, "memory": "64 GB", "processes": 1, "nthreads": 1}


@pytest.fixture
def on_nodes(system, make, look):
    """Give a cluster with a job on each node but one, and the node of a job. All may be run again."""
    # Where the batch system doesn't notice it, Dask misses the workers of a frozen node, usually after five minutes.
    soon = {} if system.notices_frozen else {"distributed.scheduler.worker-ttl": "30 s"}
    with dask.config.set(soon):
        cluster = make(job_extra_directives=[system.again], **WHOLE_NODE)
    seen = look(cluster)
    cluster.scale(jobs=system.nodes - 1)
    cluster.wait_for_workers(system.nodes - 1, timeout=PATIENCE)
    until(lambda: all(status.node for status in cluster.jobs.values()))
    return cluster, seen, next(iter(cluster.jobs.values())).node


def test_drill_node_killed(system, on_nodes, lever, drill):
    cluster, seen, victim = on_nodes
    asked = len(cluster.scheduler.workers)
    lever("kill", victim.removeprefix(system.prefix))
    until(lambda: len(cluster.scheduler.workers) == asked - 1)
    until(lambda: len(cluster.scheduler.workers) == asked)
    with Client(cluster) as client:
        assert client.submit(lambda: 7).result(timeout=PATIENCE) == 7
    cluster.close()
    drill.report(seen, asked=asked, extra=1)


def test_drill_node_frozen(system, on_nodes, lever, drill):
    cluster, seen, victim = on_nodes
    asked = len(cluster.scheduler.workers)
    there = {r.name for r in cluster.pool.records.values() if r.status.node == victim}
    frozen = {worker.address for worker in cluster.scheduler.workers.values() if worker.name in there}
    assert len(frozen) == 1
    lever("pause", victim.removeprefix(system.prefix))
    # Most batch systems see it after half a minute, long before Dask does; Dask tries its nanny for another while.
    until(lambda: not frozen & set(cluster.scheduler.workers), 2 * PATIENCE)
    until(lambda: len(cluster.scheduler.workers) == asked)
    with Client(cluster) as client:
        assert client.submit(lambda: 7).result(timeout=PATIENCE) == 7
    cluster.close()
    drill.report(seen, asked=asked, extra=1)


def test_drill_daemon_paused_while_jobs_are_submitted(make, look, daemon, drill, messages):
    with dask.config.set({"jobclusters.submit-timeout": "30 s"}):
        cluster = make()
    seen = look(cluster)
    daemon("pause")
    cluster.scale(jobs=4)
    # SLURM's command gives up, the others wait until they are ended; and the jobs exist all the same once the daemon
    # wakes, or do not.
    until(lambda: "Looking for the jobs by their name" in messages.text)
    daemon("unpause")
    cluster.wait_for_workers(4, timeout=PATIENCE)
    cluster.close()
    drill.report(seen, asked=4)


def test_drill_daemon_paused_while_the_cluster_closes(system, make, look, daemon, drill, messages):
    cluster = make(job_extra_directives=list(system.held))
    seen = look(cluster)
    cluster.scale(jobs=4)
    # There are jobs before the command that submits them has said so.
    until(lambda: len(seen.living()) == 4 and {*cluster.jobs} == {*seen.living()})
    daemon("pause")
    closing = threading.Thread(target=cluster.close)
    closing.start()
    until(lambda: "Cancelling is tried again" in messages.text)
    daemon("unpause")
    closing.join(PATIENCE)
    assert not closing.is_alive()
    drill.report(seen, asked=4)


def test_drill_daemon_down_during_work(system, make, look, daemon, drill, messages, monkeypatch):
    cluster = make(**system.lasting)
    seen = look(cluster)
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        before = sorted(seen.living())
        count_lost = hold_results(client)
        questions = count_questions(monkeypatch, cluster, "states")

        def working():
            return client.submit(lambda: 1, pure=False).result(timeout=PATIENCE) == 1

        daemon("stop")
        cluster.loop.add_callback(cluster.pool.hurry)
        until(lambda: working() and "does not answer" in messages.text)
        # And once more: twice without a word of a job must not mean that it is gone.
        questions.clear()
        until(lambda: working() and len(questions) >= 2)
        daemon("start")
        until(system.answers)
        cluster.loop.add_callback(cluster.pool.hurry)
        until(lambda: "answers again" in messages.text)
        assert [status.state for status in cluster.jobs.values()] == [JobState.RUNNING] * 2
        assert sorted(seen.living()) == before
        lost = count_lost()
    cluster.close()
    drill.report(seen, asked=2, lost=lost)
