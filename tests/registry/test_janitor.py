"""What is written of submissions, for those who clear up after a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from jobclusters import NoBatchSystem, QueueError, Unavailable
from jobclusters.batch.commands import BatchCommands
from jobclusters.config.own_python import own_python
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.head.shutdown import end
from jobclusters.registry import identity, liveness
from jobclusters.registry import janitor as janitor_process
from jobclusters.registry import sweep as janitor
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.janitor import Janitor
from jobclusters.registry.journal import JOURNAL, apply_messages, compact_journal, parsed, read_journal
from jobclusters.registry.names import claim, directory, new_record
from jobclusters.registry.record import Liveness, Phase
from jobclusters.registry.sweep import record_end, sweep
from jobclusters.state import JobState, JobStatus
from tests.helpers.recorded import recorded
from tests.helpers.waiting import PATIENCE


@pytest.fixture
def cluster():
    record = new_record("a", "local", "detached")
    assert claim(record) is None
    return directory("a"), record


def journal(files, *messages):
    for message in messages:
        files.append(JOURNAL, message if isinstance(message, str) else json.dumps(message))


def written(files):
    """Read a cluster's submissions from its journal, as a sweep does."""
    submissions = {}
    apply_messages(submissions, read_journal(files))
    return submissions


def tokens(files):
    """Read the tokens of a cluster's local queues."""
    found = set()
    apply_messages({}, read_journal(files), found)
    return found


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([], {}),
        ([{"submitting": "x"}], {"x": []}),
        ([{"submitting": "x"}, {"submitted": "x", "ids": ["1_0", "1_1"]}], {"x": ["1_0", "1_1"]}),
        ([{"submitting": "x"}, {"submitted": "x", "ids": []}], {}),
        ([{"submitted": "x", "ids": []}], {}),
        ([{"submitting": "x"}, {"submitting": "y"}, {"submitted": "y", "ids": ["7"]}], {"x": [], "y": ["7"]}),
        ([{"token": "t"}, {"submitting": "x"}], {"x": []}),
    ],
)
def test_what_a_cluster_has_submitted(cluster, messages, left):
    files, _ = cluster
    journal(files, *messages)
    assert written(files) == left


@pytest.mark.parametrize("half", ['{"submitting": "y', "{", "nonsense", '{"submitted": "x", "ids": ["1'])
def test_a_last_line_that_was_being_written_is_left_out(cluster, half):
    files, _ = cluster
    journal(files, {"submitting": "x"})
    with (files.path / JOURNAL).open("a") as file:
        file.write(half)
    assert written(files) == {"x": []}
    assert tokens(files) == set()


def test_a_half_line_that_another_process_wrote_on_is_left_out(cluster):
    """A disk that was full for a moment, say."""
    files, _ = cluster
    journal(files, {"token": "t"}, {"submitting": "x"}, '{"submitt', {"submitting": "z"}, "[1]", "7", "\x00\x00")
    assert written(files) == {"x": [], "z": []}
    assert tokens(files) == {"t"}


def test_nothing_was_written():
    assert written(directory("nosuch")) == {}


def test_the_owner_writes_it_down_for_itself_alone(cluster):
    files, _ = cluster
    mine = Janitor("local", "token0", files)
    asyncio.run(mine.submitting("x"))
    pid = mine._process.pid
    assert tokens(files) == {"token0"}
    mine.submitted("x", ["1"])
    assert written(files) == {"x": ["1"]}
    assert stat.S_IMODE((files.path / JOURNAL).stat().st_mode) == 0o600
    asyncio.run(mine.goodbye())
    assert written(files) == {}
    assert not psutil.pid_exists(pid)


def test_who_leaves_takes_nothing_with_it_that_others_have_submitted(cluster):
    """As who starts a head and the head itself, one of which leaves while the other begins."""
    files, _ = cluster
    first, second = Janitor("slurm", "", files, starts=False), Janitor("slurm", "", files, starts=False)
    asyncio.run(first.submitting("head"))
    asyncio.run(second.submitting("x"))
    first.submitted("head", ["1"])
    asyncio.run(first.goodbye())
    second.submitted("x", ["2"])
    asyncio.run(second.submitting("y"))
    assert written(files) == {"x": ["2"], "y": []}
    asyncio.run(second.goodbye())
    assert written(files) == {}


def test_one_that_does_not_start_still_writes_it_down(cluster):
    files, _ = cluster
    mine = Janitor("slurm", "", files, starts=False)
    asyncio.run(mine.submitting("x"))
    assert mine._process is None
    assert written(files) == {"x": []}


def test_a_journal_that_cannot_be_written_harms_nobody(cluster):
    files, _ = cluster
    files.remove()
    mine = Janitor("slurm", "", files, starts=False)
    asyncio.run(mine.submitting("x"))
    mine.refused("x")
    assert not files.path.exists()


def test_lines_are_read_as_they_come():
    submissions = {}
    assert apply_messages(submissions, [b'{"submitting": "x"}'])
    assert apply_messages(submissions, [b'{"submitted": "x", "ids": ["1"]}'])
    assert submissions == {"x": ["1"]}
    assert not apply_messages(submissions, [b'{"goodbye": true}'])


def test_a_sweep_ends_the_processes_of_a_dead_owners_queue(cluster):
    files, record = cluster
    journal(files, {"token": "token1"})
    files.write("key.pem", "secret")
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token1.1"})
    asyncio.run(sweep(files, record, "its head is gone"))
    assert process.wait(PATIENCE) == -15
    assert (files.record().phase, files.record().why) == (Phase.ENDED, "its head is gone")
    assert not (files.path / "key.pem").exists()


def test_a_sweep_leaves_the_next_cluster_of_the_name_alone(cluster):
    files, before = cluster
    files.update(replace(before, phase=Phase.ENDED))
    record = new_record("a", "local", "detached")
    assert claim(record) is None
    journal(files, {"token": "token2"})
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token2.1"})
    try:
        asyncio.run(sweep(files, before, "its head is gone"))
        assert process.poll() is None
        assert files.record() == record
    finally:
        process.kill()
        process.wait()


def test_a_burial_keeps_the_first_reason_and_removes_what_has_no_name(cluster):
    files, record = cluster
    record_end(files, record.run, "first")
    record_end(files, record.run, "second")
    assert files.record().why == "first"
    unnamed = new_record("local-1", "local", "detached", named=False)
    assert claim(unnamed) is None
    record_end(directory("local-1"), unnamed.run, "gone")
    assert not directory("local-1").path.exists()
    record_end(directory("local-1"), unnamed.run, "gone")
    assert not directory("local-1").path.exists()


def test_what_cannot_be_cancelled_from_here_stays_noted(monkeypatch, tmp_path):
    record = new_record("far", "slurm", "job")
    assert claim(record) is None
    files = directory("far")
    journal(files, {"submitting": "x"}, {"submitted": "x", "ids": ["7"]})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBatchSystem, match="no SLURM here"):
        asyncio.run(sweep(files, record, "its head is gone"))
    assert files.record().phase is Phase.STARTING
    assert written(files) == {"x": ["7"]}


@pytest.mark.parametrize("goes", [True, False])
def test_a_cluster_ends_when_its_jobs_have(monkeypatch, tmp_path, goes):
    """A SLURM that says of job 7 that it runs until it is cancelled, or always."""
    record = new_record("near", "slurm", "job")
    assert claim(record) is None
    files = directory("near")
    journal(files, {"submitting": "x"}, {"submitted": "x", "ids": ["7"]})
    cancelled = []

    async def cancel(self, ids):
        cancelled.extend(ids)

    async def states(self, ids):
        return {} if goes and cancelled else {"7": JobStatus(JobState.RUNNING)}

    monkeypatch.setattr(BatchCommands, "check", lambda self: None)
    monkeypatch.setattr(BatchCommands, "cancel", cancel)

    async def find(self, job_name):
        return await states(self, []) if job_name == "x" else {}

    monkeypatch.setattr(BatchCommands, "states", states)
    monkeypatch.setattr(BatchCommands, "find", find)
    if goes:
        asyncio.run(sweep(files, record, "its head is gone"))
    else:
        monkeypatch.setattr(janitor, "SWEEP_TIMEOUT", 0.5)
        with pytest.raises(Unavailable, match=r"cluster near .its head is gone. has left jobs .* cancelled: 7"):
            asyncio.run(sweep(files, record, "its head is gone"))
    assert cancelled[0] == "7"
    assert files.record().phase is (Phase.ENDED if goes else Phase.STARTING)


# -- the janitor's process -----------------------------------------------------------------------------------------

COPY = (
    "import sys; file = open({path!r}, 'a', buffering=1); [file.write(line) for line in iter(sys.stdin.readline, '')]"
)


@pytest.fixture
def messages(monkeypatch, tmp_path):
    """Put a process into the janitor's place that writes down its messages; give these."""
    path = tmp_path / "messages"
    words = (sys.executable, "-c", COPY.format(path=str(path)))
    monkeypatch.setattr(janitor_process, "own_python", lambda: words)
    monkeypatch.setattr(janitor_process, "GOODBYE_TIMEOUT", PATIENCE)  # so that it notes the last one, too
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def soon(condition):
    while not condition():  # noqa: ASYNC110 -- another process brings it about
        await asyncio.sleep(0.01)


def test_what_others_must_not_know_stands_in_no_command_line(cluster):
    """Who knows a local queue's token could have made its directory first."""
    files, _ = cluster

    async def main():
        mine = Janitor("local", "token3", files)
        await mine.submitting("x")
        line = psutil.Process(mine._process.pid).cmdline()
        await mine.goodbye()
        return line

    assert "token3" not in " ".join(asyncio.run(main()))


def test_what_lies_in_the_working_directory_is_not_run(cluster, tmp_path, monkeypatch):
    """A json.py beside the data, be it one's own or another user's in /tmp."""
    files, _ = cluster
    for name in ("json", "logging", "select", "signal", "typing", "yaml"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w'); raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep + os.environ.get("PYTHONPATH", ""))
    job = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token4.1"})

    async def main():
        mine = Janitor("local", "token4", files)
        await mine.submitting("x")
        return mine._process

    process = asyncio.run(main())
    process.stdin.close()  # as when the owner dies
    assert job.wait(PATIENCE) == -15
    assert process.wait(PATIENCE) == 0
    assert not (tmp_path / "ran").exists()


def test_a_process_of_ours_runs_nothing_of_the_working_directory(tmp_path):
    """As a head in a job, which starts where the job was submitted."""
    (tmp_path / "json.py").write_text("open('ran', 'w'); raise SystemExit")
    environment = {**os.environ, "PYTHONPATH": ""}
    words = [*own_python(), "-m", "jobclusters.head", "--sweep", str(tmp_path / "nosuch"), "run0"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "isn't there on this machine" in done.stdout
    assert not (tmp_path / "ran").exists()


def test_a_janitor_that_waits_has_imported_next_to_nothing():
    """Each cluster starts one at its first job, when the machine has other things to do."""
    code = "import sys, jobclusters.registry.janitor_process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"dask", "yaml", "asyncio", "inspect", "jobclusters.dialects"}.isdisjoint(done.stdout.split())


#: A janitor whose package is in another place, at first out of reach, and which prints when it is prepared.
ELSEWHERE = """
import sys
sys.path.insert(0, {place!r})
from jobclusters.registry import janitor_process
assert janitor_process.__file__.startswith({place!r})
imports, tries = janitor_process.prepare, []
def prepare(system):
    tries.append(system)
    if len(tries) == 1: raise OSError("the file server doesn't answer")
    imports(system)
    print("prepared", flush=True)
janitor_process.IMPORT_DELAY, janitor_process.prepare = 0, prepare
janitor_process.main("local")
"""


def test_a_janitor_needs_nothing_of_its_package_when_its_owner_dies(tmp_path):
    """A home that can't be reached, an environment that was removed or made anew while the cluster ran."""
    shutil.copytree(Path(janitor.__file__).parents[1], tmp_path / "jobclusters")
    job = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token9.1"})
    process = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE.format(place=str(tmp_path))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(b'{"token": "token9"}\n')
    process.stdin.flush()
    assert process.stdout.readline() == b"prepared\n"
    shutil.rmtree(tmp_path / "jobclusters")
    process.stdin.close()
    assert job.wait(PATIENCE) == -15
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


def test_a_janitor_remembers_whose_directory_it_was(cluster, messages):
    """One that is started again, too, when another cluster may have the name and the directory."""
    files, record = cluster

    async def main():
        mine = Janitor("local", "", files)
        await mine.submitting("x")
        mine._process.kill()
        mine._process.wait()
        files.put(replace(record, run="another"))
        await mine.submitting("y")
        await soon(lambda: {"submitting": "y"} in messages())
        await mine.goodbye()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert {message["run"] for message in messages() if "run" in message} == {record.run}


@pytest.mark.parametrize("another", [False, True])
def test_a_janitor_records_the_end_of_its_own_cluster_alone(cluster, another):
    files, record = cluster

    async def main():
        mine = Janitor("local", "token10", files)
        await mine.submitting("x")
        return mine._process

    process = asyncio.run(main())
    if another:
        files.put(replace(record, run="another"))
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert files.record().phase is (Phase.STARTING if another else Phase.ENDED)


def test_a_janitor_that_dies_is_started_again_and_gets_all_messages(monkeypatch, messages, caplog):
    monkeypatch.setattr(janitor_process, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(janitor_process, "RESTART_INTERVAL", 0.0)

    async def main():
        mine = Janitor("local", "token5")
        await mine.submitting("x")
        mine.submitted("x", ["1"])
        await mine.submitting("y")
        await mine.submitting("z")
        mine.refused("z")
        first = mine._process
        await soon(lambda: len(messages()) >= 6)
        first.kill()
        await soon(lambda: mine._process is not first and len(messages()) >= 10)
        await mine.goodbye()
        return messages()[6:]

    reported = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert reported == [
        {"token": "token5"},
        {"submitting": "x"},
        {"submitted": "x", "ids": ["1"]},
        {"submitting": "y"},
        {"goodbye": True},
    ]
    assert "it is started again" in caplog.text


def test_a_dead_janitor_is_replaced_before_the_next_submission(messages):
    async def main():
        mine = Janitor("local", "token6")
        await mine.submitting("x")
        mine._process.kill()
        mine._process.wait()
        await mine.submitting("y")
        await soon(lambda: {"submitting": "y"} in messages())
        await mine.goodbye()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert messages()[-3:-1] == [{"submitting": "x"}, {"submitting": "y"}]


def test_a_janitor_that_does_not_read_holds_up_nobody(monkeypatch):
    """Its Python may still start from a slow file system; or it is stopped."""
    monkeypatch.setattr(janitor_process, "GOODBYE_TIMEOUT", 0.5)

    async def main():
        mine = Janitor("local", "token7")
        await mine.submitting("x")
        process = mine._process
        process.send_signal(signal.SIGSTOP)
        beats = []

        async def beat():
            while True:
                beats.append(True)
                await asyncio.sleep(0)

        beating = asyncio.ensure_future(beat())
        for number in range(5000):
            await mine.submitting(f"a-rather-long-name-of-a-submission-{number}")
            mine.submitted(f"a-rather-long-name-of-a-submission-{number}", [str(number)])
            if not number % 100:
                await asyncio.sleep(0)
        beats.clear()
        await mine.goodbye()
        beating.cancel()
        return process, len(beats)

    process, beats = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert process.poll() is not None
    assert beats > 10, "the event loop goes on while its end is waited for"


# -- a month -------------------------------------------------------------------------------------------------------


def test_what_has_ended_is_neither_kept_nor_cancelled(cluster, messages, monkeypatch):
    files, _ = cluster
    monkeypatch.setattr(janitor_process, "JOURNAL_LINES", 100)

    async def main():
        mine = Janitor("local", "token8", files)
        await mine.submitting("lives")
        mine.submitted("lives", ["0_0", "0_1"])
        for number in range(400):
            await mine.submitting(f"x-{number}")
            mine.submitted(f"x-{number}", [f"{number}_0", f"{number}_1"])
            mine.ended(f"x-{number}", f"{number}_0")
            mine.ended(f"x-{number}", f"{number}_0")
            assert written(files)[f"x-{number}"] == [f"{number}_0", f"{number}_1"]
            mine.ended(f"x-{number}", f"{number}_1")
        kept = dict(mine._submissions), written(files), len(files.read(JOURNAL).splitlines())
        writes = []
        append = ClusterFiles.append
        monkeypatch.setattr(ClusterFiles, "append", lambda *words: writes.append(words) or append(*words))
        await mine.submitting("more")
        writes.clear()
        await mine.goodbye()
        return (*kept, len(writes))

    mine, noted, lines, writes = asyncio.run(main())
    assert mine == noted == {"lives": ["0_0", "0_1"]}
    assert lines < 120
    assert tokens(files) == {"token8"}
    assert written(files) == {}
    assert writes == 1


# -- only what is ours ---------------------------------------------------------------------------------------------


class Queue:
    """A batch system that knows jobs by id and name, in the place of its commands."""

    def __init__(self, monkeypatch, **jobs):
        self.jobs = jobs
        self.cancelled = []
        self.asked = []
        for verb in ("find", "cancel", "states"):
            monkeypatch.setattr(BatchCommands, verb, self._verb(verb))
        monkeypatch.setattr(BatchCommands, "check", lambda queue: None)
        monkeypatch.setattr(janitor, "SWEEP_TIMEOUT", 2.0)

    def _verb(self, verb):
        async def answer(queue, what):
            self.asked.append((verb, what))
            if verb == "cancel":
                self.cancelled += what
                return None
            alive = {job: name for job, name in self.jobs.items() if job not in self.cancelled}
            chosen = [job for job, name in alive.items() if (name == what if verb == "find" else job in what)]
            return {job: JobStatus(JobState.RUNNING) for job in chosen}

        return answer


def noted(identity="", **changes):
    record = replace(new_record("far", "slurm", "process"), identity=identity, phase=Phase.RUNNING, **changes)
    assert claim(record) is None
    files = directory("far")
    journal(files, {"submitting": "x"}, {"submitted": "x", "ids": ["501", "502"]}, {"submitting": "y"})
    return files, record


@pytest.fixture
def answers(monkeypatch):
    """Say which batch system is here."""

    def say(name):
        async def identity(system):
            return name

        monkeypatch.setattr(janitor, "batch_identity", identity)
        monkeypatch.setattr(liveness, "batch_identity", identity)

    return say


def test_a_number_that_was_given_to_another_job_is_not_cancelled(monkeypatch):
    files, record = noted()
    queue = Queue(monkeypatch, **{"501": "my-simulation", "502": "x", "503": "y", "504": "thesis"})
    monkeypatch.setattr(janitor, "SWEEP_TIMEOUT", 30.0)
    asyncio.run(sweep(files, record, "its head is gone"))
    assert sorted(queue.cancelled) == ["502", "503"]
    assert files.record().phase is Phase.ENDED


def test_an_answer_that_cannot_be_read_keeps_no_others_in_the_queue(monkeypatch):
    queue = Queue(monkeypatch, **{"501": "x", "502": "x"})
    find = BatchCommands.find

    async def odd(queue, name):
        if name == "y":
            raise KeyError("Jobs")
        return await find(queue, name)

    monkeypatch.setattr(BatchCommands, "find", odd)
    left = asyncio.run(janitor.cancel_submissions("slurm", {"y": ["7"], "x": ["501", "502"], "z": []}))
    assert sorted(queue.cancelled) == ["501", "502"]
    assert left == ["7", "z"]


@pytest.mark.parametrize("where", ["record", "journal"])
@pytest.mark.parametrize(("here", "words"), [("b", "this is SLURM b: run this again there"), ("", "it is not known")])
def test_of_another_batch_system_nothing_is_cancelled(monkeypatch, answers, where, here, words):
    """One home, the login nodes of two clusters: the same numbers are others' jobs there."""
    files, record = noted("a" if where == "record" else "")
    journal(files, {"identity": "a"})
    queue = Queue(monkeypatch, **{"501": "x", "502": "thesis"})
    answers(here)
    with pytest.raises(Unavailable, match=rf"has left jobs on SLURM a, and {words}"):
        asyncio.run(sweep(files, record, "its head is gone"))
    assert queue.asked == []
    assert files.record().phase is Phase.RUNNING


def test_a_cluster_of_another_batch_system_is_not_judged(monkeypatch, answers):
    files, _ = noted("a", head="job", job_id="500", job_name="dask-head", scheduler="tcp://127.0.0.1:9")
    os.utime(files.path / "entry.json", (0, 0))
    queue = Queue(monkeypatch)
    answers("b")
    found = asyncio.run(liveness.check_and_sweep(files))
    assert (found.liveness, found.sentence) == (Liveness.ELSEWHERE, "on SLURM a, not visible from here")
    assert queue.asked == []
    assert (files.path / JOURNAL).exists()
    with pytest.raises(QueueError, match="cluster 'far' can't be ended from here: it is on SLURM a, not visible"):
        asyncio.run(end(files))
    answers("a")
    assert asyncio.run(liveness.check(files)).liveness is Liveness.GONE


def test_a_sign_of_life_is_life_whatever_became_of_a_job_of_that_number(monkeypatch):
    files, record = noted(head="job", job_id="500", job_name="dask-head", scheduler="tcp://127.0.0.1:9")

    async def ended(queue, ids):
        return {"500": JobStatus(JobState.COMPLETED)}

    Queue(monkeypatch, **{"500": "thesis"})
    monkeypatch.setattr(BatchCommands, "states", ended)
    assert asyncio.run(liveness.check(files)).liveness is Liveness.SILENT
    files.update(replace(record, job_name="thesis"))  # that is the head's own name: it has ended for sure
    assert asyncio.run(liveness.check(files)).liveness is Liveness.GONE


def test_which_batch_system_it_is_is_noted_with_the_first_submission(monkeypatch):
    record = new_record("a", "slurm", "process")
    assert claim(record) is None

    async def identity(system):
        return {"slurm": "a1"}[system]

    monkeypatch.setattr(janitor_process, "batch_identity", identity)
    asyncio.run(Janitor("slurm", "", directory("a"), starts=False).submitting("x"))
    assert directory("a").record() == replace(record, identity="a1")
    assert {"identity": "a1"} in parsed(read_journal(directory("a")))
    assert directory("a").update(replace(record, phase=Phase.RUNNING))  # by a process that doesn't know it
    assert directory("a").record().identity == "a1"


@pytest.mark.parametrize(
    ("system", "reply", "name"),
    [
        ("slurm", "discover-settings", "jobclusters"),
        ("pbs", "composed-discover-server", "pbs"),
        ("torque", "composed-discover-server", "torquehost"),
        ("htcondor", "identity", "172.23.0.5:9618"),
        ("slurm", Reply(("scontrol",), 1, "ClusterName = x"), ""),
        (
            "lsf",
            Reply(("lsid",), 0, "IBM Spectrum LSF 10.1\n\nMy cluster name is prod\nMy master name is m1\n"),
            "prod",
        ),
        ("pbs", Reply(("qstat",), None), ""),
    ],
)
def test_batch_systems_tell_which_they_are(system, reply, name):
    reply = recorded(system, reply) if isinstance(reply, str) else reply
    assert DIALECTS[system].parse_identity(reply) == name


def test_a_batch_system_is_asked_once_which_it_is(monkeypatch):
    asked = []

    async def run(argv, **_):
        asked.append(argv)
        return Reply(tuple(argv), 0, "ClusterName = a")

    monkeypatch.setattr(identity.shell, "run", run)
    monkeypatch.setattr(identity, "_known", {})
    monkeypatch.setattr(identity, "_asked", {})
    assert [asyncio.run(identity.batch_identity("slurm")) for _ in range(3)] == ["a"] * 3
    assert asked == [("scontrol", "show", "config")]


def test_grid_engine_is_known_by_its_cell_and_master():
    files = {"/opt/sge/default/common/act_qmaster": "m1\n", "/opt/sge/b/common/act_qmaster": "m2\n"}
    sge = DIALECTS["sge"]
    names = [
        sge.identity({"SGE_ROOT": "/opt/sge", **more}, lambda path: files.get(path, ""))
        for more in ({}, {"SGE_CELL": "b"})
    ]
    assert names == ["m1/default", "m2/b"]
    assert sge.identity({}, lambda path: "") == ""


def test_a_janitor_that_is_left_with_jobs_cancels_them_though_its_owner_lives(caplog):
    async def main():
        mine = Janitor("local", "a token that no process has")
        await mine.submitting("job-0")
        process = mine._process
        assert mine.hand_over()
        await asyncio.to_thread(process.wait, PATIENCE)
        mine.ended("job-0", None)
        await asyncio.sleep(0.1)
        assert mine._process is None, "no other is started"
        assert not mine.hand_over()

    asyncio.run(main())
    assert "started again" not in caplog.text


#: A site of two clusters without accounting, so that no command names all of them; all jobs are on b.
TWO_CLUSTERS = """#!/bin/sh
echo "$(basename "$0") $*" >> "$STATE/calls"
case "$(basename "$0") $*" in
  "squeue -M all "*) echo "squeue: error: slurmdbd is not there" >&2; exit 1;;
  "squeue -M b "*) echo "CLUSTER: b"; [ -e "$STATE/gone" ] || echo "77|N/A|RUNNING|n1|N/A|N/A|N/A|None";;
  "scancel -M b 77") touch "$STATE/gone";;
esac
"""


@pytest.fixture
def two_clusters(tmp_path, monkeypatch):
    for name in ("sbatch", "squeue", "scancel"):
        (tmp_path / name).write_text(TWO_CLUSTERS)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(tmp_path))


def test_jobs_on_another_cluster_of_the_site_are_cancelled_there(tmp_path, two_clusters):
    assert asyncio.run(janitor.cancel_submissions("slurm", {"dask-x": ["77;b"]}, timeout=60)) == []
    assert (tmp_path / "gone").exists()
    (tmp_path / "gone").unlink()
    assert asyncio.run(janitor.cancel_named("slurm", "dask-x", "77;b"))
    assert (tmp_path / "gone").exists()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [each for each in calls if each.startswith("scancel")] == ["scancel -M b 77"] * 2


def test_a_submission_of_unclear_outcome_is_looked_for_on_its_cluster(tmp_path, two_clusters, answers):
    """Its owner has died before it had an id: the journal says where the script went."""
    answers("a")
    files, record = noted()
    files.write(JOURNAL, "")
    mine = Janitor("slurm", files=files, starts=False)

    async def dies():
        await mine.submitting("dask-x")
        mine.goes_to(["b"])

    asyncio.run(dies())
    compact_journal(files)
    asyncio.run(sweep(files, replace(record, identity="a"), "its head is gone"))
    assert (tmp_path / "gone").exists()
