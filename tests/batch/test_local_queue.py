"""The queue of this machine, with real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from jobclusters import InvalidRequest, LocalQueueCluster, Refused
from jobclusters.batch.local_machine import _warn_of, job_processes, processes_by_job
from jobclusters.batch.local_queue import LocalJob, LocalQueue
from jobclusters.config.machine import Machine, this_machine
from jobclusters.state import JobState
from tests.helpers.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
TWO_CORES = Machine(cores=2, memory=2**30, gpus=2)


def script(*lines, cores=1, memory="1M", more=""):
    return "\n".join(["#!/bin/sh", f"#JOB --cores={cores} --memory={memory} {more}", *lines, ""])


def submit(queue, text, count=1):
    return asyncio.run(queue.submit(text, count))


def states(queue, ids):
    found = asyncio.run(queue.states(ids))
    return [found[job_id].state for job_id in ids if job_id in found]


def output(queue, job_id):
    """Give what a job has printed so far: a job that has only just become RUNNING may have no file yet."""
    files = [Path(name) for name in queue.log_files(job_id, None, "")]
    return "".join(file.read_text() for file in files if file.exists())


@pytest.fixture
def queue():
    queue = LocalQueue(TWO_CORES)
    yield queue
    queue._close()
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
    monkeypatch.setattr("jobclusters.batch.local_queue.TERMINATE_TIMEOUT", 0.5)
    stubborn = "trap '' TERM; (trap '' TERM; setsid sleep 300) & setsid sleep 301 & sleep 302"
    (job,) = submit(queue, script(stubborn))
    until(lambda: len(job_processes(queue.token)) >= 4)
    asyncio.run(queue.cancel([job]))
    until(lambda: states(queue, [job]) == [JobState.CANCELLED])
    assert not job_processes(queue.token)


def test_what_a_job_starts_as_its_processes_are_looked_for_ends_with_it(queue, monkeypatch, tmp_path):
    """The list of processes is older than what is read of them; a machine that pauses makes it older still."""
    monkeypatch.setattr("jobclusters.batch.local_queue.TERMINATE_TIMEOUT", 0.5)
    os.mkfifo(tmp_path / "go")
    lines = [f"trap 'read line <{tmp_path}/go; setsid sleep 300 & exit 0' TERM", "while :; do sleep 0.1; done"]
    (job,) = submit(queue, script(*lines))
    script_process = until(lambda: queue._jobs[job].process)
    rounds = []

    def slowly(token):
        rounds.append(token)
        if len(rounds) != 2:  # in the first one it gets its TERM
            return processes_by_job(token)
        listed = {*psutil.pids()}
        (tmp_path / "go").write_text("\n")
        until(lambda: psutil.Process(script_process.pid).status() == psutil.STATUS_ZOMBIE)
        return {
            mark: seen
            for mark, found in processes_by_job(token).items()
            if (seen := {process for process in found if process.pid in listed})
        }

    monkeypatch.setattr("jobclusters.batch.local_queue.processes_by_job", slowly)
    asyncio.run(queue.cancel([job]))
    until(lambda: states(queue, [job]) == [JobState.CANCELLED])
    assert not job_processes(queue.token)


def test_a_job_that_is_started_as_its_python_ends_is_ended(queue, monkeypatch):
    """The queue's thread goes on until the very end."""
    start, begun, closed, started = LocalJob.start, threading.Event(), threading.Event(), threading.Event()

    def slowly(job, directory):
        begun.set()
        closed.wait(0.5)
        start(job, directory)
        started.set()

    monkeypatch.setattr(LocalJob, "start", slowly)
    submit(queue, script("sleep 600"))
    assert begun.wait(PATIENCE)
    queue._close()
    closed.set()
    assert started.wait(PATIENCE)
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
    with pytest.raises(Refused, match=r"it has 2 cores, 1 GiB of memory, 2 GPUs"):
        submit(queue, script("true", more=more))


def test_with_oversubscription_it_runs_alone(tmp_path):
    queue = LocalQueue(Machine(cores=1, memory=2**20, oversubscribe=True))
    waits = f"until [ -e {tmp_path}/go ]; do sleep 0.1; done"
    jobs = submit(queue, script(waits, cores=8, memory="100M"), 2)
    until(lambda: RUNNING in states(queue, jobs))
    assert sorted(states(queue, jobs)) == [PENDING, RUNNING]
    (tmp_path / "go").touch()
    until(lambda: states(queue, jobs) == [JobState.COMPLETED] * 2)


def test_directives_of_other_batch_systems_are_ignored(queue, caplog):
    _warn_of.cache_clear()  # it warns once in a process
    (job,) = submit(queue, script("true", more="--constraint=haswell"))
    until(lambda: states(queue, [job]) == [JobState.COMPLETED])
    assert "--constraint=haswell: this machine's queue knows no such directives" in caplog.text


def test_an_unreadable_directive_is_refused(queue):
    with pytest.raises(Refused, match="invalid int value: 'many'"):
        submit(queue, script("true", more="--cores=many"))
    with pytest.raises(Refused, match=r"can't read the script's #JOB lines: #JOB .* --name='x: No closing quotation"):
        submit(queue, script("true", more="--name='x"))


def test_a_size_larger_than_this_machine_names_those_that_fit(monkeypatch):
    monkeypatch.setattr("jobclusters.config.machine.this_machine", lambda: Machine(cores=4, memory=10 * 2**30))
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


# -- /tmp, where others are, too -------------------------------------------------------------------------------------


def directory_of(queue):
    (path,) = Path(tempfile.gettempdir()).glob(f"jobclusters-{os.getuid()}-{queue.token}-*")
    return path


def test_a_directory_that_another_user_has_made_first_is_not_used(queue):
    """They would put their script into the place of ours."""
    squatted = Path(tempfile.gettempdir(), f"jobclusters-{os.getuid()}-{queue.token}")
    squatted.mkdir(mode=0o777)
    try:
        (job,) = submit(queue, script("echo mine"))
        until(lambda: states(queue, [job]) == [JobState.COMPLETED])
        assert output(queue, job) == "mine\n"
        assert list(squatted.iterdir()) == []
        assert directory_of(queue).stat().st_mode & 0o777 == 0o700
    finally:
        squatted.chmod(0o700)


@pytest.mark.parametrize("put", ["nothing", "link", "open"])
def test_a_directory_that_was_cleaned_away_is_made_again(queue, put, tmp_path):
    """Systems clean /tmp after some days; another user may put something into its place."""
    (job,) = submit(queue, script("true"))
    until(lambda: states(queue, [job]) == [JobState.COMPLETED])
    first = directory_of(queue)
    shutil.rmtree(first)
    if put == "link":
        first.symlink_to(tmp_path)
    elif put == "open":
        first.mkdir()
        first.chmod(0o777)
    (job,) = submit(queue, script("echo again"))
    until(lambda: states(queue, [job]) == [JobState.COMPLETED])
    assert output(queue, job) == "again\n"
    assert list(tmp_path.iterdir()) == []
    assert put == "nothing" or list(first.iterdir()) == []
    if put == "link":
        first.unlink()
    elif put == "open":
        first.rmdir()


def test_what_a_killed_process_left_is_removed_by_the_next(queue, tmp_path, monkeypatch):
    """A notebook's kernel is killed after its cluster was closed: no job is left, and so no janitor."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    program = """
import asyncio, sys
from jobclusters.batch.local_queue import LocalQueue
from tests.helpers.waiting import until
queue = LocalQueue()
(job,) = asyncio.run(queue.submit("#!/bin/sh\\ntrue\\n", 1))
until(lambda: asyncio.run(queue.states([job]))[job].state.ended)
print("over", flush=True)
sys.stdin.read()
"""
    others = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    killed, living = others
    try:
        for each in others:
            assert each.stdout.readline() == b"over\n"
        old = tmp_path / f"jobclusters-{os.getuid()}-old"  # of a version that made no mark
        old.mkdir(0o700)
        assert len([*tmp_path.iterdir()]) == 3
        killed.kill()
        killed.wait()
        (job,) = submit(queue, script("true"))
        until(lambda: states(queue, [job]) == [JobState.COMPLETED])
        assert len([*tmp_path.iterdir()]) == 3, "one is gone, and ours is new"
        assert old.exists()
        living.stdin.close()
        living.wait()
        assert {*tmp_path.iterdir()} == {old, queue._directory}, "what a process removes as it ends was its own"
    finally:
        for each in others:
            each.kill()
            each.wait()


def test_nothing_of_others_is_removed_with_it(queue, tmp_path):
    (tmp_path / "precious").touch()
    link = Path(tempfile.gettempdir(), f"jobclusters-{os.getuid()}-{queue.token}-link")
    link.symlink_to(tmp_path)
    try:
        submit(queue, script("true"))
        queue._close()
        assert (tmp_path / "precious").exists()
    finally:
        link.unlink()


def test_jobs_that_are_over_cost_nothing(queue, monkeypatch):
    monkeypatch.setattr("jobclusters.batch.local_queue.MOST_ENDED_JOBS", 5)
    (lives,) = submit(queue, script("sleep 60"))
    jobs = []
    for _ in range(12):
        jobs += submit(queue, script("true"))
        until(lambda: states(queue, jobs[-1:]) == [JobState.COMPLETED])
    until(lambda: len(queue._jobs) <= 7)
    assert set(queue._living) == {lives}
    assert states(queue, [lives, jobs[-1]]) == [RUNNING, JobState.COMPLETED]
    assert queue._jobs[jobs[-1]].script == ""
    assert output(queue, jobs[-1]) == ""
