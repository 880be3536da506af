"""The queue of this machine, with real processes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from jobclusters import InvalidRequest, LocalQueueCluster, Refused
from jobclusters.localqueue import LocalQueue
from jobclusters.machine import Machine, this_machine
from jobclusters.processes import job_processes
from jobclusters.state import JobState

TWO_CORES = Machine(cores=2, memory=2**30, gpus=2)


def script(*lines, cores=1, memory="1M", more=""):
    return "\n".join(["#!/bin/sh", f"#JOB --cores={cores} --memory={memory} {more}", *lines, ""])


def submit(queue, text, count=1):
    return asyncio.run(queue.submit(text, count))


def states(queue, ids):
    found = asyncio.run(queue.states(ids))
    return [found[job_id].state for job_id in ids if job_id in found]


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)
    return value


def output(queue, job_id):
    path = Path(queue.log_files(job_id, None, "")[0])
    return path.read_text() if path.exists() else ""


@pytest.fixture
def queue():
    queue = LocalQueue(TWO_CORES)
    yield queue
    queue._end()
    assert not job_processes(queue.token)


RUNNING, PENDING = JobState.RUNNING, JobState.PENDING


def test_jobs_wait_for_room_and_nobody_overtakes(queue):
    first = submit(queue, script("sleep 60"))
    large = submit(queue, script("sleep 60", cores=2))
    small = submit(queue, script("sleep 60"))
    jobs = first + large + small
    until(lambda: states(queue, first) == [RUNNING])
    assert states(queue, jobs) == [RUNNING, PENDING, PENDING], "the small one fits, but the large one was there before"
    asyncio.run(queue.cancel(first))
    until(lambda: states(queue, large + small) == [RUNNING, PENDING])


def test_memory_counts_too(queue):
    jobs = submit(queue, script("sleep 60", memory="600M"), 2)
    until(lambda: states(queue, jobs) == [RUNNING, PENDING])


def test_elements_have_ids_and_indices(queue):
    jobs = submit(queue, script('echo "I am $JOBCLUSTERS_TASK_ID"'), 3)
    assert jobs == ["1_0", "1_1", "1_2"]
    until(lambda: states(queue, jobs) == [JobState.COMPLETED] * 3)
    assert [output(queue, job) for job in jobs] == ["I am 0\n", "I am 1\n", "I am 2\n"]


def test_gpus_are_shared_out(queue):
    jobs = submit(queue, script("echo $CUDA_VISIBLE_DEVICES", "sleep 60", more="--gpus=1"), 2)
    until(lambda: states(queue, jobs) == [RUNNING] * 2)
    until(lambda: sorted(output(queue, job) for job in jobs) == ["0\n", "1\n"])


@pytest.mark.parametrize(
    ("lines", "state", "code", "signal"),
    [
        (["true"], JobState.COMPLETED, 0, None),
        (["exit 3"], JobState.FAILED, 3, None),
        (["kill -9 $$"], JobState.FAILED, None, 9),
        (["/no/such/command"], JobState.FAILED, 127, None),
    ],
)
def test_how_a_job_ends_is_known(queue, lines, state, code, signal):
    (job,) = submit(queue, script(*lines))
    until(lambda: states(queue, [job])[0].ended)
    status = asyncio.run(queue.detail(job))
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)
    assert status.node == os.uname().nodename


def test_a_missing_interpreter_is_a_failed_job(queue):
    (job,) = submit(queue, "#!/no/such/shell\ntrue\n")
    until(lambda: states(queue, [job]) == [JobState.FAILED])
    assert asyncio.run(queue.detail(job)).exit_code == 127


def test_a_first_line_that_is_no_command_is_a_failed_job_and_no_other_suffers(queue):
    (job,) = submit(queue, "#!/bin/sh 'unclosed\n#JOB --cores=1 --memory=1M\n")
    until(lambda: states(queue, [job]) == [JobState.FAILED])
    assert asyncio.run(queue.detail(job)).reason == "No closing quotation"
    (job,) = submit(queue, script("true"))
    until(lambda: states(queue, [job]) == [JobState.COMPLETED])


def test_the_walltime_is_enforced(queue):
    (job,) = submit(queue, script("sleep 60", more="--time=00:00:01"))
    until(lambda: states(queue, [job]) == [JobState.TIMEOUT])


def test_a_cancelled_job_leaves_no_process_behind(queue, monkeypatch):
    monkeypatch.setattr("jobclusters.localqueue.KILL_WAIT", 0.5)
    stubborn = "trap '' TERM; (trap '' TERM; setsid sleep 300) & setsid sleep 301 & sleep 302"
    (job,) = submit(queue, script(stubborn))
    until(lambda: len(job_processes(queue.token)) >= 4)
    asyncio.run(queue.cancel([job]))
    until(lambda: states(queue, [job]) == [JobState.CANCELLED])
    assert not job_processes(queue.token)


def test_children_of_a_job_end_with_it(queue):
    (job,) = submit(queue, script("setsid sleep 300 &", "exit 0"))
    until(lambda: states(queue, [job]) == [JobState.COMPLETED])
    assert not job_processes(queue.token)


def test_cancelling_is_for_the_named_job_alone(queue):
    jobs = submit(queue, script("sleep 60"), 2)
    until(lambda: states(queue, jobs) == [RUNNING] * 2)
    asyncio.run(queue.cancel([jobs[0], "99", jobs[0]]))
    until(lambda: states(queue, jobs) == [JobState.CANCELLED, RUNNING])


@pytest.mark.parametrize("more", ["--cores=3", "--memory=2048M", "--gpus=3"])
def test_a_job_larger_than_the_machine_is_refused(queue, more):
    with pytest.raises(Refused, match=r"it has 2 cores, 1\.074 GB of memory, 2 GPUs"):
        submit(queue, script("true", more=more))


def test_with_oversubscription_it_runs_alone():
    queue = LocalQueue(Machine(cores=1, memory=2**20, oversubscribe=True))
    jobs = submit(queue, script("sleep 0.2", cores=8, memory="100M"), 2)
    until(lambda: RUNNING in states(queue, jobs))
    assert sorted(states(queue, jobs)) == [PENDING, RUNNING]
    until(lambda: states(queue, jobs) == [JobState.COMPLETED] * 2)


def test_an_unreadable_directive_is_refused(queue):
    with pytest.raises(Refused, match="unrecognized arguments: --nonsense"):
        submit(queue, script("true", more="--nonsense"))


def test_a_size_larger_than_this_machine_names_those_that_fit(monkeypatch):
    monkeypatch.setattr("jobclusters.clusters.this_machine", lambda: Machine(cores=4, memory=10 * 2**30))
    with pytest.raises(InvalidRequest, match="larger than this machine") as raised:
        LocalQueueCluster(worker_size="16xlarge")
    assert "Sizes that fit: medium." in str(raised.value)
    assert "jobclusters.local.oversubscribe" in str(raised.value)


def test_settings_of_this_machine_that_are_none(configure):
    configure(user="jobclusters: {local: {cores: -2, memory: much, gpus: [1], oversubscribe: 'no'}}")
    with pytest.raises(InvalidRequest) as caught:
        LocalQueueCluster(cores=1, memory="1 GiB")
    assert caught.value.problems == (
        "jobclusters.local.gpus must be a whole number, not [1]",
        "jobclusters.local.cores must be at least 1, not -2",
        "jobclusters.local.oversubscribe must be True or False, not 'no'",
        "jobclusters.local.memory: memory 'much' can't be read: write it like '16 GB' or '500 MiB'",
    )


def test_this_machine_is_what_it_is():
    machine = this_machine()
    assert 1 <= machine.cores <= psutil.cpu_count()
    assert machine.memory == psutil.virtual_memory().total
