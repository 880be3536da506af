"""A pool of jobs on a scripted batch system: real workers where results matter, held jobs where numbers do."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import threading
import time
from dataclasses import replace

import dask
import pytest
from dask_jobqueue import JobQueueCluster
from distributed import Client, Status, wait

from jobclusters import InvalidRequest, JobsFailed, QueueError, Refused
from jobclusters.errors import TemplateError
from jobclusters.registry.janitor import Janitor
from jobclusters.state import JobState
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until

SMALL = {"cores": 1, "memory": "1 GiB", "silence_logs": "error", "scheduler_options": {"dashboard": False}}


@pytest.fixture
def queue():
    return ScriptedQueue()


@pytest.fixture
def held():
    return ScriptedQueue(hold=True)


@pytest.fixture(params=[1, 2], ids=["processes=1", "processes=2"])
def many(request):
    return {**SMALL, "cores": request.param, "processes": request.param, "memory": f"{request.param} GiB"}


def verbs(queue, verb):
    return [count for each, count in queue.commands if each == verb]


def test_jobs_compute_and_leave_nothing(queue):
    with ScriptedCluster(queue, **SMALL) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=PATIENCE)
        assert client.submit(sum, range(10)).result() == 45
        for nanny in (False, True):
            collects = client.run(gc.isenabled, nanny=nanny)
            assert [*collects.values()] == [True, True], "garbage is collected, once all is imported"
        assert {status.state for status in cluster.jobs.values()} == {JobState.RUNNING}
    assert {each.state for each in queue.states_now().values() if not each.state.ended} <= {JobState.COMPLETING}
    until(lambda: queue.living() == [])
    assert verbs(queue, "submit") == [2]


def test_a_thousand_jobs_cost_a_command_each_way(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=1000)
        until(lambda: len(held.living()) == 1000)
        cluster.scale(jobs=10)
        until(lambda: len(held.living()) == 10)
        assert verbs(held, "submit") == [1000]
        assert verbs(held, "cancel") == [990]
    assert held.living() == []
    assert verbs(held, "cancel") == [990, 10]


def test_the_oldest_pending_jobs_stay(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=5)
        until(lambda: len(held.living()) == 5)
        cluster.scale(jobs=2)
        until(lambda: len(held.living()) == 2)
        assert held.living() == ["1_0", "1_1"]


def test_names_are_never_used_twice(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        for jobs in (3, 1, 3):
            cluster.scale(jobs=jobs)
            until(lambda: len(held.living()) == jobs)
        assert sorted(cluster.worker_spec) == [
            f"LocalQueueCluster-{i}".replace("LocalQueue", "Scripted") for i in (0, 3, 4)
        ]


def test_results_survive_scaling_down(queue, many):
    with ScriptedCluster(queue, **many) as cluster, Client(cluster) as client:
        cluster.scale(jobs=3)
        workers = 3 * many["processes"]
        client.wait_for_workers(workers, timeout=PATIENCE)
        names = list(client.scheduler_info(n_workers=-1)["workers"])
        held = [
            client.submit(lambda i: (i, "x" * 1000), i, workers=[names[i % workers]], pure=False) for i in range(30)
        ]
        wait(held)
        cluster.scale(jobs=1)
        until(lambda: len(cluster.scheduler.workers) == many["processes"])
        recomputed = client.run_on_scheduler(
            lambda dask_scheduler: sum(ts.state != "memory" for ts in dask_scheduler.tasks.values())
        )
        assert recomputed == 0
        assert [value for value, _ in client.gather(held)] == list(range(30))


@pytest.mark.parametrize(
    ("many", "state"), [(1, JobState.TIMEOUT), (2, JobState.NODE_FAIL), (1, JobState.CANCELLED)], indirect=["many"]
)
def test_a_job_that_dies_is_replaced_once(queue, many, state):
    with ScriptedCluster(queue, **many) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(2 * many["processes"], timeout=PATIENCE)
        queue.end("1_0", state)
        until(lambda: len(queue.states_now()) == 3 and not any(n.endswith("-0") for n in cluster.worker_spec))
        client.wait_for_workers(2 * many["processes"], timeout=PATIENCE)
        assert sum(not status.state.ended for status in cluster.jobs.values()) == 2
        assert verbs(queue, "submit") == [2, 1]
        assert cluster.jobs["1_0"].state is state


def test_a_refusal_reaches_the_person_in_its_own_words(held, caplog):
    held.refuse("sbatch: error: invalid partition specified: nosuch")
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=3)
        with pytest.raises(Refused, match="invalid partition specified: nosuch"):
            cluster.wait_for_workers(3, timeout=PATIENCE)
        assert "invalid partition" in caplog.text
        assert verbs(held, "submit") == [3], "a refused request is not repeated"
        cluster.scale(jobs=3)
        until(lambda: len(held.living()) == 3)


def test_an_array_too_large_is_halved(held):
    held.refuse("x")
    held.dialect = type("Small", (type(held.dialect),), {"array_words": ("x",)})()
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=10)
        until(lambda: len(held.living()) == 10)
    assert verbs(held, "submit") == [10, 5, 5]


def test_a_submit_limit_takes_what_fits_and_the_rest_later(held, caplog):
    held.most_jobs = 5
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=8)
        until(lambda: len(held.living()) == 5 and "3 held back by a submit limit" in repr(cluster))
        assert caplog.text.count("takes no more jobs for now") == 1
        assert "QOSMaxSubmitJobPerUserLimit" in caplog.text
        held.most_jobs = 100
        held.end("1" if "1" in held.living() else held.living()[0])
        until(lambda: len(held.living()) == 8)
        assert len(cluster.worker_spec) == 8


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_submission_without_an_answer_happens_exactly_once(held, monkeypatch, carried_out):
    monkeypatch.setattr("jobclusters.jobs.submitter.LOOKUP_INTERVAL", (0.1, 0.2))
    with ScriptedCluster(held, **SMALL) as cluster:
        with held.silent("submit", carried_out=carried_out):
            cluster.scale(jobs=4)
            until(lambda: verbs(held, "submit"))
        until(lambda: len([job for job in cluster.jobs if "_" in job]) == 4)
        assert len(held.states_now()) == 4
    assert held.living() == []


def test_silence_is_no_death(queue, caplog):
    with ScriptedCluster(queue, **SMALL) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.wait_for_workers(1, timeout=PATIENCE)
        with queue.silent():
            cluster.pool.hurry()
            until(lambda: "does not answer" in caplog.text)
            assert client.submit(sum, [1, 2]).result() == 3
        cluster.pool.hurry()
        until(lambda: "answers again" in caplog.text)
        assert len(queue.states_now()) == 1
        assert caplog.text.count("does not answer") == 1


def test_a_job_that_stays_absent_is_replaced(held):
    with dask.config.set({"jobclusters.absent-after": "0.2 s"}), ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=1)
        until(lambda: "1" in cluster.jobs)
        held.forget("1")
        until(lambda: cluster.jobs.get("1") and cluster.jobs["1"].state is JobState.GONE)
        until(lambda: len(held.living()) == 1)
        assert verbs(held, "submit") == [1, 1]


@pytest.mark.parametrize("value", ["soon", -1, 0])
def test_an_absence_that_is_no_time(held, value):
    with (
        dask.config.set({"jobclusters.absent-after": value}),
        pytest.raises(InvalidRequest, match=r"jobclusters\.absent-after must be a time"),
    ):
        ScriptedCluster(held, **SMALL)


def test_jobs_that_end_before_a_worker_tell_why_at_once(queue):
    with ScriptedCluster(queue, job_script_prologue=["echo no space left on device", "exit 3"], **SMALL) as cluster:
        cluster.scale(jobs=1)
        with pytest.raises(JobsFailed) as raised:
            cluster.wait_for_workers(1, timeout=10 * PATIENCE)
        text = str(raised.value)
        assert "exit code 3" in text
        assert "| no space left on device" in text
        assert "local_directory" in text


def test_three_failures_in_a_row_stop_submitting_until_the_next_scale(queue, caplog):
    with ScriptedCluster(queue, job_script_prologue=["exit 1"], **SMALL) as cluster:
        cluster.scale(jobs=1)
        until(lambda: "No more jobs are submitted" in caplog.text)
        assert len(queue.states_now()) == 3
        assert "stopped: 3 failures in a row" in repr(cluster)
        cluster.scale(jobs=1)
        until(lambda: len(queue.states_now()) == 6)


def test_a_template_that_fails_for_an_array_is_reported(held, tmp_path):
    (tmp_path / "local.sh.j2").write_text(
        '{% extends "jobclusters/local.sh.j2" %}{% block prologue %}{% if spec.count > 1 %}{{ spec.nosuch }}{% endif %}'
        "{% endblock %}"
    )
    with ScriptedCluster(held, **SMALL, template_dirs=[str(tmp_path)]) as cluster:
        cluster.scale(jobs=2)
        with pytest.raises(Refused, match=r"no job script could be made: .*local.sh.j2, line 1: .*nosuch"):
            cluster.wait_for_workers(2, timeout=PATIENCE)
        cluster.scale(jobs=1)
        until(lambda: len(held.living()) == 1)


def test_jobs_wait_for_a_sites_template_that_is_away(held, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "local.sh.j2").write_text(
        '{% extends "jobclusters/local.sh.j2" %}{% block prologue %}\n: site\n{% endblock %}'
    )
    with ScriptedCluster(held, **SMALL, template_dirs=[str(site)]) as cluster:
        cluster.scale(jobs=1)
        (job,) = until(held.living)
        site.rename(tmp_path / "away")
        held.end(job)
        until(lambda: "can't be replaced yet: the template directory" in repr(cluster))
        with pytest.raises(TemplateError, match=f"the template directory {site} is not there"):
            cluster.scale(jobs=2)
        assert held.living() == []
        (tmp_path / "away").rename(site)
        until(lambda: len(held.living()) == 1)
        assert all(": site" in job.script for job in held._living.values())


def test_without_a_janitor_nothing_is_submitted_and_that_is_reported(held, monkeypatch):
    def start(janitor):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with ScriptedCluster(held, **SMALL) as cluster:
        with monkeypatch.context() as patch:
            patch.setattr(Janitor, "_start", start)
            cluster.scale(jobs=1)
            with pytest.raises(
                Refused, match=r"nothing was submitted: this machine can't start .*: Resource temporarily"
            ):
                cluster.wait_for_workers(1, timeout=PATIENCE)
        assert held.living() == []
        cluster.scale(jobs=1)
        until(lambda: len(held.living()) == 1)


def test_an_answer_that_cannot_be_read_is_none_and_the_watch_goes_on(queue, monkeypatch, caplog):
    real = queue.states

    async def odd(ids):
        raise ValueError("an unforeseen word")

    with ScriptedCluster(queue, **SMALL) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.wait_for_workers(1, timeout=PATIENCE)
        monkeypatch.setattr(queue, "states", odd)
        cluster.pool.hurry()
        until(lambda: "an unforeseen word" in caplog.text)
        assert list(cluster.worker_spec) == ["ScriptedCluster-0"]
        monkeypatch.setattr(queue, "states", real)
        queue.end("1", JobState.NODE_FAIL)
        until(lambda: list(cluster.worker_spec) == ["ScriptedCluster-1"])


def test_a_missing_python_is_named(queue):
    with ScriptedCluster(queue, python="/no/such/python", **SMALL) as cluster:
        cluster.scale(jobs=1)
        with pytest.raises(JobsFailed, match="Python was not found on the node"):
            cluster.wait_for_workers(1, timeout=PATIENCE)


def test_logs_of_jobs_that_never_had_a_worker(queue):
    with ScriptedCluster(queue, job_script_prologue=["echo one", "echo two", "exit 1"], **SMALL) as cluster:
        cluster.scale(jobs=1)
        until(lambda: cluster.jobs.get("1") and cluster.jobs["1"].state.ended)
        assert cluster.get_job_logs("1") == {"1": "one\ntwo\n"}
        assert cluster.get_job_logs("1", tail=1) == {"1": "two\n"}
        with pytest.raises(InvalidRequest, match="unknown job '77'"):
            cluster.get_job_logs("77")
        for tail in ("x", -1):
            with pytest.raises(InvalidRequest, match="tail must be "):
                cluster.get_job_logs(tail=tail)
        assert cluster.get_job_logs("1", tail="1") == {"1": "two\n"}


def test_close_is_idempotent_and_says_what_it_could_not_cancel(held, monkeypatch, caplog):
    monkeypatch.setattr("jobclusters.jobs.submitter.CANCEL_TIMEOUT", 0.5)
    cluster = ScriptedCluster(held, **SMALL)
    cluster.scale(jobs=2)
    until(lambda: len(held.living()) == 2)
    with held.silent("cancel", "states"):
        cluster.close()
    cluster.close()
    assert "Could not cancel these jobs" in caplog.text
    assert "1_0, 1_1" in caplog.text
    assert "not known to be cancelled: 1_0, 1_1" in repr(cluster)


def test_a_closed_cluster_says_that_it_gets_no_jobs(held):
    cluster = ScriptedCluster(held, **SMALL)
    cluster.sync(cluster.finish, "there was no work for 20 minutes (idle_timeout)")
    for ask in (
        lambda: cluster.scale(jobs=1),
        lambda: cluster.adapt(maximum_jobs=1),
        lambda: cluster.add_group("more", n_jobs=1, cores=1, memory="1 GiB"),
    ):
        with pytest.raises(
            QueueError, match=r"is closed \(there was no work for 20 minutes \(idle_timeout\)\), and no"
        ):
            ask()
    cluster.scale(0)
    assert (cluster.groups["default"].policy, list(cluster.groups)) == (None, ["default"])


def test_a_job_goes_by_the_names_of_its_workers(queue):
    with ScriptedCluster(queue, **SMALL) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=PATIENCE)
        assert cluster.scale_down(["ScriptedCluster-0"]) is None
        assert list(cluster.worker_spec) == ["ScriptedCluster-1"]
        until(lambda: len(cluster.scheduler.workers) == 1)


@pytest.mark.parametrize("timeout", ["soon", -1, [], True])
def test_a_timeout_that_is_no_time(held, timeout):
    words = "timeout must be a number of seconds, or text such as '10 minutes'"
    with ScriptedCluster(held, **SMALL) as cluster, pytest.raises(InvalidRequest, match=words):
        cluster.wait_for_workers(1, timeout=timeout)


def test_scaling_back_before_anything_was_submitted_submits_nothing(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=5)
        cluster.scale(jobs=0)
    assert held.living() == []


def test_a_slow_submission_does_not_hold_up_close(held):
    held.delay = 1.0
    cluster = ScriptedCluster(held, **SMALL)
    cluster.scale(jobs=5)
    cluster.close()
    assert held.living() == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"n": -1}, "n must be at least 0"),
        ({"jobs": "many"}, "jobs must be a whole number"),
        ({"cores": -3}, "cores must be at least 0"),
        ({"memory": "much"}, "memory 'much' can't be read"),
        ({"jobs": 10**9}, "jobs must be at most 1,000,000, not 1000000000"),
        ({"jobs": 10**6}, "that would be 1000000 jobs of 1 core: at most 100000 can be asked for"),
    ],
)
def test_scale_refuses_what_is_no_amount(held, call, words):
    with ScriptedCluster(held, **SMALL) as cluster:
        with pytest.raises(InvalidRequest, match=words):
            cluster.scale(**call)
        assert cluster.worker_spec == {}


@pytest.mark.parametrize(
    ("call", "jobs"), [({"n": 5}, 3), ({"jobs": 3}, 3), ({"cores": 5}, 3), ({"memory": "5 GiB"}, 3), ({"n": 0}, 0)]
)
def test_scale_counts_whole_jobs_in_every_unit(held, call, jobs):
    with ScriptedCluster(held, **{**SMALL, "cores": 2, "processes": 2, "memory": "2 GiB"}) as cluster:
        cluster.scale(**call)
        assert len(cluster.worker_spec) == jobs


def test_the_cluster_ends_with_its_scheduler(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(held.living()) == 2)
        cluster.loop.add_callback(cluster.scheduler.close)
        until(lambda: cluster.status.name == "closed")
        assert held.living() == []


def test_every_worker_knows_its_job(queue):
    with ScriptedCluster(queue, **{**SMALL, "cores": 2, "processes": 2}) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(4, timeout=PATIENCE)
        names = sorted(client.run(lambda dask_worker: dask_worker.name).values())
        assert names == sorted(cluster.plan) == sorted(cluster.observed)
        assert [status.workers for status in cluster.jobs.values()] == [2, 2]


def test_an_interpreter_that_exits_without_closing_leaves_no_processes(tmp_path):
    import subprocess
    import sys

    import psutil

    program = tmp_path / "program.py"
    program.write_text(
        "from jobclusters.testing import ScriptedCluster, ScriptedQueue\n"
        "if __name__ == '__main__':\n"
        "    queue = ScriptedQueue()\n"
        "    cluster = ScriptedCluster(queue, cores=1, memory='1 GiB', n_workers=2)\n"
        "    cluster.wait_for_workers(2)\n"
        "    print(queue.token, flush=True)\n"
        "    import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    from jobclusters.batch.local_machine import job_processes

    token = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False).stdout.strip()
    assert token
    until(lambda: not job_processes(token))
    until(lambda: not [p for p in psutil.process_iter(["cmdline"]) if token in (p.info["cmdline"] or [])])


@pytest.fixture(autouse=True)
def messages(caplog):
    caplog.set_level(logging.WARNING, logger="jobclusters")


def test_adaptive_lets_whole_idle_jobs_go(queue):
    with ScriptedCluster(queue, **{**SMALL, "cores": 2, "processes": 2, "memory": "2 GiB"}) as cluster:
        cluster.scale(jobs=3)
        cluster.wait_for_workers(6, timeout=PATIENCE)
        cluster.adapt(minimum_jobs=1, maximum_jobs=3, interval="100ms", wait_count=2)
        until(lambda: len(cluster.worker_spec) == 1 and len(cluster.scheduler.workers) == 2)


def test_jobs_that_we_cancelled_are_remembered(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(held.living()) == 2)
        cluster.scale(jobs=1)
        until(lambda: cluster.jobs.get("1_1") and cluster.jobs["1_1"].state is JobState.CANCELLED)


def test_a_log_directory_is_made_for_an_adaptive_cluster_too(queue, tmp_path):
    with ScriptedCluster(queue, log_directory=str(tmp_path / "logs"), **SMALL) as cluster, Client(cluster) as client:
        cluster.adapt(maximum=1, interval="100ms")
        assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3
        assert len(list((tmp_path / "logs").iterdir())) == 1


def test_a_log_directory_that_cannot_be_made_is_reported_before_anything_is_submitted(held, tmp_path):
    (tmp_path / "file").write_text("")
    refusal = pytest.raises(InvalidRequest, match=r"log_directory .* can't be made")
    with ScriptedCluster(held, log_directory=str(tmp_path / "file" / "logs"), **SMALL) as cluster, refusal:
        cluster.scale(1)
    assert held.commands == []


def test_the_configuration_section_asked_for_is_the_one_used(held):
    mine = {"cores": 1, "memory": "1 GiB", "interface": None}
    settings = {"jobqueue.mine": mine, "jobqueue.local.interface": "nosuch0"}
    with dask.config.set(settings), ScriptedCluster(held, config_name="mine") as cluster:
        assert "nosuch0" not in cluster.job_script()


def test_an_interface_is_for_scheduler_and_workers(held):
    with ScriptedCluster(held, interface="lo", **SMALL) as cluster:
        assert "127.0.0.1" in cluster.scheduler_address
        assert "--interface lo" in cluster.job_script()


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"job_cls": "BatchJob"}, "job_cls='BatchJob' must be a subclass of jobclusters.cluster.job.BatchJob"),
        (
            {"scheduler_class": "nosuch.Scheduler"},
            "scheduler_class='nosuch.Scheduler' can't be imported: No module named",
        ),
        ({"scheduler_cls": "distributed.Sheduler"}, "scheduler_class='distributed.Sheduler' can't be imported: module"),
    ],
)
def test_classes_that_are_none(held, keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        ScriptedCluster(held, **SMALL, **keywords)


def test_a_job_class_whose_script_would_not_be_used_is_refused(held):
    from jobclusters.cluster.systems import LocalQueueJob

    class Mine(LocalQueueJob):
        def job_script(self):
            return "echo mine"

    with pytest.raises(InvalidRequest, match="Mine overrides job_script"):
        ScriptedCluster(held, job_cls=Mine, **SMALL)


def test_a_job_class_whose_commands_would_not_be_used_is_refused(held):
    from jobclusters.cluster.systems import LocalQueueJob

    class Mine(LocalQueueJob):
        submit_command = "sudo sbatch"

        @classmethod
        async def _close_job(cls, job_id, cancel_command):
            pass

    with pytest.raises(InvalidRequest, match="Mine overrides submit_command, _close_job"):
        ScriptedCluster(held, job_cls=Mine, **SMALL)


def test_a_program_that_ends_right_after_scaling_ends_quietly(tmp_path):
    import subprocess
    import sys

    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom jobclusters import LocalQueueCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalQueueCluster(cores=1, memory='1 GiB')\n"
        "    cluster.scale(1)\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert "Traceback" not in done.stderr
    assert "report" not in done.stderr


@pytest.mark.parametrize(
    ("words", "reported"), [("cannot schedule new futures after interpreter shutdown", False), ("a bug", True)]
)
def test_a_step_that_the_end_of_the_program_stops_is_no_bug(held, monkeypatch, caplog, words, reported):
    tried = []

    async def submitting(janitor, job_name):
        tried.append(job_name)
        raise RuntimeError(words)

    monkeypatch.setattr(Janitor, "submitting", submitting)
    with ScriptedCluster(held, cores=1, memory="1 GiB") as cluster:
        cluster.scale(jobs=1)
        until(lambda: tried)
        cluster.sync(cluster.pool.settle)
    assert ("please report" in caplog.text) is reported


def test_close_ends_though_a_submission_is_never_answered(held, monkeypatch, caplog):
    monkeypatch.setattr("jobclusters.jobs.submitter.LOOKUP_INTERVAL", (0.05, 0.1))
    monkeypatch.setattr("jobclusters.jobs.submitter.LOOKUP_TIMEOUT", 0.3)
    monkeypatch.setattr("jobclusters.jobs.submitter.CANCEL_TIMEOUT", 0.3)
    cluster = ScriptedCluster(held, **SMALL)
    with held.silent("submit", carried_out=True), held.silent("find", "states", "cancel"):
        cluster.scale(jobs=2)
        until(lambda: verbs(held, "submit"))
        cluster.close()
    assert "it is not known whether the jobs named dask-worker-" in caplog.text
    janitor = cluster.pool._janitor
    assert janitor._successor is not None, "the janitor goes on looking for them"
    assert "not known to exist: dask-worker-" in cluster.summary


def test_scaling_down_twice_in_a_moment_counts_both_times(held):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.scale(jobs=2)
        until(lambda: len(held.living()) == 2)
        cluster.scale(jobs=1)
        cluster.scale(jobs=0)
        assert cluster.worker_spec == {}
        until(lambda: held.living() == [])


def test_jobs_that_are_taken_back_at_once_end_in_no_error(held, caplog):
    with ScriptedCluster(held, **SMALL) as cluster:
        for hundredths in range(12):  # the event loop may be anywhere when they are taken back
            cluster.scale(jobs=1000)
            time.sleep(hundredths / 100)
            cluster.scale(jobs=1)
            until(lambda: len(held.living()) == 1)
        assert len(cluster.worker_spec) == 1
    assert "Traceback" not in caplog.text
    assert held.living() == []


def test_threads_that_scale_at_the_same_time_end_in_no_error(held, caplog):
    errors = []

    def scale(cluster, numbers):
        try:
            for jobs in numbers:
                cluster.scale(jobs=jobs)
        except Exception as error:
            errors.append(error)

    with ScriptedCluster(held, **SMALL) as cluster:
        threads = [threading.Thread(target=scale, args=(cluster, [1000, 1, 300, 7] * 5)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cluster.scale(jobs=2)
        assert len(cluster.worker_spec) == 2
        until(lambda: len(held.living()) == 2)
        until(lambda: {job_id for job_id, job in cluster.jobs.items() if not job.state.ended} == set(held.living()))
    assert errors == []
    assert "Traceback" not in caplog.text
    assert held.living() == []


def test_what_is_asked_for_is_seen_at_once_and_dask_sees_the_same(held):
    with ScriptedCluster(held, **{**SMALL, "cores": 2, "processes": 2}) as cluster:
        cluster.scale(jobs=2)
        names = [f"ScriptedCluster-{job}" for job in range(2)]
        assert list(cluster.worker_spec) == names
        assert cluster.plan == {f"{name}-{worker}" for name in names for worker in range(2)}
        until(lambda: len(held.living()) == 2)
        until(lambda: [job.job_id for job in cluster.workers.values()] == ["1_0", "1_1"])
        assert cluster.requested == cluster.plan
        assert all(isinstance(job, cluster.job_cls) for job in cluster.workers.values())
        assert cluster.workers[names[0]] is cluster.workers[names[0]]
        assert names[1] in cluster.workers[names[1]].job_script()
        assert {job.status.name for job in cluster.workers.values()} == {"running"}
        cluster.scale(0)
        assert (cluster.worker_spec, dict(cluster.workers), cluster.plan, cluster.requested) == ({}, {}, set(), set())
        with pytest.raises(AttributeError, match="scale"):
            cluster.worker_spec = {"mine": {}}


@pytest.mark.parametrize("method", ["start", "close"])
def test_a_job_class_that_starts_or_ends_jobs_by_itself_is_refused(held, method):
    from jobclusters.cluster.systems import LocalQueueJob

    async def mine(job):
        pass

    with pytest.raises(InvalidRequest, match=f"Mine overrides {method}"):
        ScriptedCluster(held, job_cls=type("Mine", (LocalQueueJob,), {method: mine}), **SMALL)


def test_a_cluster_in_an_event_loop_shows_its_jobs_as_dask_jobqueue_does(held):
    """From dask-jobqueue's own tests."""

    async def play():
        async with ScriptedCluster(held, n_workers=1, name="foo", asynchronous=True, **SMALL) as cluster:
            assert isinstance(cluster, JobQueueCluster)
            assert [(name, job.job_id) for name, job in cluster.workers.items()] == [("foo-0", "1")]
            cluster.scale(jobs=2)
            assert list(cluster.worker_spec) == ["foo-0", "foo-1"]
            await cluster
            assert len(cluster.workers) == 2
            assert all(
                isinstance(job, cluster.job_cls) and job.status is Status.running for job in cluster.workers.values()
            )
            going = cluster.workers["foo-1"]
            cluster.scale(1)
            assert going.status is Status.closed
            await cluster
            assert list(cluster.workers) == ["foo-0"]
            assert held.living() == ["1"]
            adaptive = cluster.adapt(minimum_jobs=2, maximum_jobs=4, interval="1 hour")
            await adaptive.adapt()
            await cluster
            assert len(cluster.workers) == len(held.living()) == 2
        assert (cluster.workers, cluster.worker_spec, held.living()) == ({}, {}, [])

    asyncio.run(play())


def test_jobs_asked_for_before_the_start_are_seen_and_go_out_with_it(held):
    async def play():
        cluster = ScriptedCluster(held, asynchronous=True, **SMALL)
        cluster.scale(jobs=5)
        cluster.scale(jobs=3)
        assert (len(cluster.worker_spec), cluster.workers, held.commands) == (3, {}, [])
        async with cluster:
            assert len(cluster.workers) == len(held.living()) == 3
        assert verbs(held, "submit") == [3]

    asyncio.run(play())


def test_a_cluster_that_never_started_forgets_what_was_asked_for(held):
    async def play():
        cluster = ScriptedCluster(held, asynchronous=True, **SMALL)
        cluster.scale(jobs=5)
        await cluster.close()
        assert (cluster.worker_spec, cluster.jobs, held.commands) == ({}, {}, [])

    asyncio.run(play())


def test_what_a_job_class_makes_of_its_spec_is_submitted(held):
    from jobclusters.cluster.systems import LocalQueueJob

    class Mine(LocalQueueJob):
        def __init__(self, *args, spec, **keywords):
            super().__init__(*args, spec=replace(spec, prologue=("echo mine",)), **keywords)

    with ScriptedCluster(held, job_cls=Mine, n_jobs=2, **SMALL) as cluster:
        until(lambda: len(held.living()) == 2)
        assert "echo mine" in held._jobs["1_0"].script
        assert "echo mine" in cluster.job_script()


def test_the_script_that_is_printed_is_the_one_that_is_submitted(monkeypatch):
    submitted = []
    queue = ScriptedQueue(hold=True)
    submit = queue.submit

    async def submitting(script, *more):
        submitted.append(script)
        return await submit(script, *more)

    monkeypatch.setattr(queue, "submit", submitting)
    with ScriptedCluster(queue, cores=1, memory="256 MiB", security=True) as cluster:
        for jobs in (1, 2):
            printed = cluster.job_script()
            cluster.scale(jobs=jobs)
            until(lambda count=jobs: len(submitted) == count)
            assert submitted[-1] == printed
            assert "--tls-key" in printed
            assert "tls://127.0.0.1" in printed


def test_jobs_whose_workers_work_are_not_pending_until_they_are_asked_about(queue):
    queue.interval = 3600
    with ScriptedCluster(queue, **SMALL) as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert [(job.state, job.workers) for job in cluster.jobs.values()] == [(JobState.RUNNING, 1)]
        assert cluster.summary == "1 running"
        queue.interval = 0.05  # its own rounds


def test_jobs_whose_workers_work_are_not_pending_where_nothing_can_be_asked(queue):
    """As where a site rations questions."""
    with queue.silent("states"), ScriptedCluster(queue, **SMALL) as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=PATIENCE)
        until(lambda: [status.state for status in cluster.jobs.values()] == [JobState.RUNNING])
        assert "1 RUNNING" in cluster.summary.upper() or "running" in cluster.summary
