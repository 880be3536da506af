"""The doctor on this machine's own queue: each check for real, and what it leaves behind."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import platform
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from jobclusters import doctor
from jobclusters.batch.local_machine import processes_by_job
from jobclusters.batch.script import render
from jobclusters.cli import main_group
from jobclusters.cluster.systems import local_queue
from jobclusters.config.call import read_call
from jobclusters.dialects import DIALECTS
from jobclusters.doctor import probe
from jobclusters.doctor.probejob import _status, probing, send_probe
from jobclusters.doctor.report import probe_directory
from jobclusters.jobs.record import JobRecord
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedQueue
from tests.helpers.commands import command_runner
from tests.helpers.waiting import PATIENCE

assert doctor  # imported with distributed, whose settings no test may take away again
PROGRAM = os.path.join(os.path.dirname(sys.executable), "jobclusters")


def call(*arguments):
    return command_runner().invoke(main_group, ["doctor", "--system", "local", "--walltime", "10m", *arguments])


def examined(*arguments):
    """Give what it found by check, and its exit status."""
    done = call("--json", *arguments)
    assert done.stdout, done.output
    facts = json.loads(done.stdout)
    return {check["check"]: check for check in facts["checks"]}, facts, done.exit_code


@pytest.fixture(autouse=True)
def tidy(home):
    """Whatever happens, nothing of a doctor is left: neither processes nor files."""
    yield
    assert not (home / ".jobclusters").exists()
    while processes_by_job(local_queue().token):  # cancelled, and about to end
        time.sleep(0.05)


def lines_of_processes():
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield " ".join(process.cmdline())


def test_all_is_well(home):
    done = call("--worker-size", "medium")
    assert done.exit_code == 0, done.output
    lines = {line[11:30].strip(): line for line in done.stdout.splitlines()}
    assert lines.keys() == {
        *(
            "batch system",
            "configuration",
            "limits here",
            "encryption",
            "chunks",
            "probe job",
            "scheduler's address",
            "worker's address",
        ),
        "shared directory",
        *("Python there", "TLS files", "clocks", "limits there"),
    }
    assert all(line.startswith("ok ") for line in lines.values())
    assert f"{home}/.jobclusters is seen by the node" in lines["shared directory"]
    assert done.stderr.endswith("Nothing is wrong.\n")


def test_it_keeps_to_the_ports_that_a_firewall_leaves():
    """Else it reports a way that is closed, or one that only its own ports have."""
    checks, facts, code = examined("--worker-size", "medium", "--ports", "28100-28199")
    assert code == 0, checks
    asked = [address.rpartition(":")[2] for address in facts["node"]["addresses"]]
    assert all(28100 <= int(port) <= 28199 for port in [*asked, facts["node"]["listens"][1]])


def test_ports_that_are_all_in_use():
    with ExitStack() as held:
        ports = hold_two_ports(held)
        checks, _, code = examined("--worker-size", "medium", "--ports", ports)
    assert code == 1
    assert checks["scheduler's address"]["says"].startswith(f"ports='{ports}': other processes")
    assert checks["scheduler's address"]["do"] == "give others with --ports"


def hold_two_ports(held):
    """Listen at two ports that follow each other, and give their range."""
    while True:
        first = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        with suppress(OSError, OverflowError):
            held.enter_context(socket.create_server(("127.0.0.1", first + 1)))
            return f"{first}-{first + 1}"


def test_json():
    checks, facts, status = examined()
    assert status == 0
    assert facts.keys() == {"system", "ok", "checks", "node"}
    assert (facts["system"], facts["ok"]) == ("local", True)
    assert all(check.keys() == {"check", "verdict", "says", "do"} for check in facts["checks"])
    assert facts["node"]["node"] == os.uname().nodename
    assert facts["node"]["packages"]["jobclusters"]["error"] == ""
    assert checks["chunks"]["verdict"] == "unchecked", "no size is given"


def test_without_a_job():
    checks, facts, status = examined("--no-job")
    assert status == 0
    assert checks["probe job"] == {"check": "probe job", "verdict": "unchecked", "says": "not sent", "do": ""}
    assert "Python there" not in checks
    assert facts["node"] is None


def test_encryption_is_tried_with_the_versions_that_are_here(monkeypatch):
    class Fails(ssl.SSLSocket):
        """As Python's is with OpenSSL 3.4, and not guarded."""

        def send(self, *arguments):
            try:
                return super().send(*arguments)
            finally:
                with suppress(ValueError):
                    ssl.Purpose.fromname("no such purpose")

    here = f"Python {platform.python_version()} with {' '.join(ssl.OPENSSL_VERSION.split()[:2])}: "
    checks, _, status = examined("--no-job")
    assert status == 0
    assert here in checks["encryption"]["says"]
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", Fails)
    checks, _, status = examined("--no-job")
    assert status == 1
    assert f"{here}a connection fails when another one has broken off (SSLError: " in checks["encryption"]["says"]


def test_a_python_that_is_not_there():
    checks, facts, status = examined("--python", "/no/such/python")
    assert (status, facts["ok"]) == (1, False)
    assert checks["Python there"]["verdict"] == "wrong"
    assert "exit code 127" in checks["Python there"]["says"]
    assert "/no/such/python: " in checks["Python there"]["says"]
    assert "--python" in checks["Python there"]["do"]


def test_a_python_without_dask(tmp_path):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -I -S "$@"\n')
    bare.chmod(0o755)
    checks, _, status = examined("--python", str(bare))
    assert status == 1
    assert "can't import dask: ModuleNotFoundError" in checks["Python there"]["says"]
    assert checks["scheduler's address"]["verdict"] == "ok"


def test_a_log_directory_that_is_not_there(tmp_path):
    checks, _, status = examined("--log-directory", str(tmp_path / "logs"))
    assert status == 1
    assert "No such file or directory" in checks["log directory"]["says"]
    assert checks["probe job"]["verdict"] == "unchecked"


@pytest.mark.parametrize(("name", "left"), [("mine.log", ["mine.log"]), ("mine-%j.log", [])])
def test_a_file_of_the_users_own_is_left_as_it_was(tmp_path, name, left):
    if left:
        (tmp_path / name).write_text("the user's own\n")
    done = call("--worker-size", "medium", "--set", f"job-extra-directives=[--output={tmp_path}/{name}]")
    assert done.exit_code == 0, done.output
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".log"] == left
    if left:
        assert (tmp_path / name).read_text().startswith("the user's own\n")


def test_a_log_directory_is_left_as_it_was(tmp_path):
    checks, _, status = examined("--log-directory", str(tmp_path))
    assert status == 0
    assert checks["log directory"]["says"] == f"the job's output arrived in {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_a_shared_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    checks, _, status = examined("--directory", str(tmp_path / "file" / "shared"))
    assert status == 1
    assert "Not a directory" in checks["shared directory"]["says"]
    assert checks["Python there"]["verdict"] == "ok", "the job was sent all the same"


def test_a_shared_directory_that_was_there_stays(tmp_path):
    (tmp_path / "mine").write_text("")
    assert examined("--directory", str(tmp_path))[2] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_network_that_is_not_there():
    checks, _, status = examined("--interface", "nosuch0")
    assert status == 1
    assert "unknown interface 'nosuch0'" in checks["scheduler's address"]["says"]
    assert checks["probe job"]["verdict"] == "unchecked"


def test_an_address_of_another_machine():
    checks, _, status = examined("--set", "scheduler-options={host: 192.0.2.1}")
    assert status == 1
    assert checks["scheduler's address"]["verdict"] == "wrong"


def test_a_job_that_is_too_large():
    done = call("--worker-cpu", "100000", "--worker-memory", "1 GB")
    assert done.exit_code == 1
    assert "a job of 100000 cores, 1 GB of memory, 0 GPUs is larger than this machine" in done.stderr


def test_a_job_that_fails_by_itself():
    checks, _, status = examined("--set", "job-script-prologue=[echo some last words, exit 3]")
    assert status == 1
    assert "FAILED, exit code 3" in checks["probe job"]["says"]
    assert "| some last words" in checks["probe job"]["says"]


def test_a_job_that_takes_too_long():
    checks, _, status = examined("--wait", "1s", "--set", "job-script-prologue=[sleep 600]")
    assert status == 1
    assert "has not reported for 1 s: RUNNING" in checks["probe job"]["says"]


def test_tls_files(configure, tmp_path):
    (tmp_path / "ca.pem").write_text("x")
    configure(f"distributed: {{comm: {{tls: {{ca-file: {tmp_path}/ca.pem, worker: {{cert: {tmp_path}/no.pem}}}}}}}}")
    checks, facts, status = examined()
    assert status == 1
    assert f"{tmp_path}/no.pem can't be read on the node: No such file" in checks["TLS files"]["says"]
    assert facts["node"]["files"][f"{tmp_path}/ca.pem"] == ""


def test_chunks_against_memory():
    checks, _, status = examined("--no-job", "--worker-cpu", "4", "--worker-memory", "1 GiB")
    assert status == 1
    assert checks["chunks"]["do"].startswith("dask.config.set({'array.chunk-size': '57 MiB'})")


@pytest.mark.parametrize(
    ("words", "message"), [(["--wait", "soon"], "'soon' can't be read"), (["--no-jobs"], "--no-job")]
)
def test_wrong_usage(words, message):
    done = call(*words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_no_batch_system():
    done = command_runner().invoke(main_group, ["doctor", "--system", "lsf"])
    assert done.exit_code == 1
    assert done.stdout.startswith("wrong      batch system         LSF's bsub")
    assert "not sent: what is wrong above comes first" in done.stdout


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put commands of a SLURM on the PATH, that print given replies, and submit nothing."""
    path = os.environ["PATH"]
    says = {
        "sbatch": "echo slurm 22.05.8",
        "squeue": "",
        "scancel": "",
        "sinfo": "echo normal; echo gpu",
        "sacctmgr": "echo 'lab|20'",
    }

    def make(**others):
        for name, line in {**says, **others}.items():
            if line is not None:
                (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
                (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{path}")

    return make


def slurm_checks(*arguments):
    done = command_runner().invoke(main_group, ["doctor", "--system", "slurm", "--no-job", "--json", *arguments])
    return {check["check"]: f"{check['verdict']} {check['says']}" for check in json.loads(done.stdout)["checks"]}


def test_commands_and_names_of_a_batch_system(slurm):
    slurm()
    checks = slurm_checks("--queue", "gppu", "--account", "lab")
    assert checks["batch system"] == "ok SLURM (slurm 22.05.8)"
    assert checks["queue"].startswith("wrong unknown queue 'gppu': did you mean 'gpu'?")
    assert checks["account"] == "ok lab, for at most 20 jobs at once; more are held back, and follow"


def test_a_batch_system_that_does_not_answer(slurm):
    slurm(sinfo="echo 'slurm_load_partitions: Unable to contact slurm controller (connect failure)' >&2; exit 1")
    checks = slurm_checks()
    assert "Unable to contact slurm controller" in checks["batch system"]
    assert checks["batch system"].startswith("wrong ")
    assert "queue" not in checks


def test_what_cannot_be_asked_is_not_held_against_anybody(slurm):
    slurm(sinfo="exit 1", sacctmgr="exit 1")
    checks = slurm_checks("--queue", "normal", "--account", "lab")
    assert checks["queue"].startswith("unchecked ")
    assert "account" not in checks


def test_a_command_that_is_missing(slurm):
    slurm(scancel=None)
    assert slurm_checks()["batch system"] == "wrong SLURM's scancel can't be found on this machine"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_from_outside_it_leaves_nothing(number, status, tmp_path, home):
    marker = tmp_path / "started"
    prologue = f"job-script-prologue=['touch {marker}; tail -f {marker}']"
    process = subprocess.Popen(
        [PROGRAM, "doctor", "--system", "local", "--directory", str(tmp_path / "shared"), "--set", prologue],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not marker.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert "Traceback" not in errors
    assert not [line for line in lines_of_processes() if f"tail -f {marker}" in line]
    assert not (tmp_path / "shared").exists()


# -- the probe ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
def test_the_probe_stands_in_every_systems_script(name):
    """It takes the worker's place: the same directives and surroundings, another program."""
    keywords = {
        "worker_cpu": 1,
        "worker_memory": "1 GB",
        "job_script_prologue": ["export A=1"],
        "software": {"environment": {"B": 2}},
    }
    spec = read_call(DIALECTS[name], keywords).spec
    worker, probed = (render(each, DIALECTS[name]) for each in (spec, probing(spec, {"token": "it's one"})))
    before = re.split(r"^began=|^# Workers import|^# Python runs", worker, flags=re.MULTILINE)[0].replace(
        "dask-worker", "doctor"
    )
    assert probed.startswith(before.rstrip())
    assert "export A=1" in probed
    assert "export B=2" in probed
    assert subprocess.run(["bash", "-n"], input=probed, text=True, check=False).returncode == 0
    assert "distributed.cli.dask_worker" not in probed.replace(Path(probe.__file__).read_text(), "")


def test_an_old_python_can_say_that_it_is_old():
    ast.parse(Path(probe.__file__).read_text(), feature_version=(3, 6))
    assert "annotations" not in Path(probe.__file__).read_text(), "from __future__ came with 3.7"


def test_a_probe_without_a_network_still_reports(tmp_path, capsys):
    (tmp_path / "token").write_text("t")
    question = {
        "token": "t",
        "addresses": [["127.0.0.1", 1]],
        "directory": str(tmp_path),
        "files": ["/no/such"],
        "packages": ["nosuch"],
    }
    found = probe.collect(question)
    assert found["addresses"]["127.0.0.1:1"] != ""
    assert found["clock_ahead"] is None
    assert found["files"] == {"/no/such": "No such file or directory"}
    assert found["packages"]["nosuch"]["error"].startswith("ModuleNotFoundError")
    probe.report(question, found)
    assert json.loads((tmp_path / "found").read_text()) == found
    assert json.loads(capsys.readouterr().out.removeprefix(probe.MARK)) == found


@pytest.mark.parametrize(("there", "ahead"), [(110.0, 0.0), (99.0, 1.0), (121.5, -1.5), (100.0, 0.0), (120.0, 0.0)])
def test_a_way_that_takes_long_is_no_difference_of_the_clocks(monkeypatch, there, ahead):
    """As where a machine pauses, or a network is slow: from 100 to 120 s here the answer was under way."""
    now = iter((100.0, 120.0))
    monkeypatch.setattr(probe, "time", SimpleNamespace(time=lambda: next(now)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=lambda: server.accept()[0].sendall(f"jobclusters {there}\n".encode()))
        answering.start()
        assert probe._greet([*server.getsockname()]) == ("", ahead)
        answering.join()


def test_a_probe_that_reports_as_its_directory_is_removed_leaves_nothing(tmp_path, monkeypatch):
    """The job is being cancelled then, and may not have ended yet."""
    unlink, reported = os.unlink, []

    def reporting(*where, **more):
        if not reported:
            reported.append(True)
            probe.report({"addresses": [], "directory": str(place)}, {})
        unlink(*where, **more)

    with probe_directory(str(tmp_path / "shared"), "t") as place:
        monkeypatch.setattr(os, "unlink", reporting)
    assert reported
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", range(12))
def test_it_ends_whenever_it_is_told_to(steps, tmp_path):
    """Also in the very moment in which the submission is answered."""
    queue = ScriptedQueue(hold=True)
    submit = queue.submit

    async def probed():
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def soon(left):
            loop.call_soon(soon, left - 1) if left else task.cancel()

        async def told_to_end(script, count):
            ids = await submit(script, count)
            soon(steps)
            return ids

        queue.submit = told_to_end
        spec = read_call(DIALECTS["local"], {"worker_cpu": 1, "worker_memory": "1 GB"}).spec
        await send_probe(
            queue,
            spec,
            lambda spec: render(spec, DIALECTS["local"]),
            directory=str(tmp_path / "shared"),
            addresses=[("127.0.0.1", 0)],
            files=[],
            wait=30,
        )

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(probed())
    assert not (tmp_path / "shared").exists()
    assert {status.state for status in asyncio.run(queue.states(["1"])).values()} == {JobState.CANCELLED}


def test_what_a_job_writes_as_it_ends_is_removed_too(tmp_path):
    """A site's epilog opens a job's output once more, while the cancelled job is about to end."""

    class WithEpilog(ScriptedQueue):
        output = None
        asked = 0

        async def submit(self, script, count):
            name = re.search(r"--name=(doctor\S*)", script)[1]
            self.output = tmp_path / f"{name}.o1"
            return await super().submit(script, count)

        async def states(self, ids):
            found = await super().states(ids)
            if any(status.state.ended for status in found.values()):
                self.asked += 1
                if self.asked == 1:
                    return {job_id: JobStatus(JobState.COMPLETING) for job_id in found}
                self.output.write_text("the epilog has run")
            return found

    queue = WithEpilog(hold=True)
    call = read_call(DIALECTS["local"], {"worker_cpu": 1, "worker_memory": "1 GB", "log_directory": str(tmp_path)})
    asyncio.run(
        send_probe(
            queue,
            call.spec,
            lambda spec: render(spec, DIALECTS["local"]),
            directory=str(tmp_path / "shared"),
            addresses=[("127.0.0.1", 0)],
            files=[],
            wait=0,
        )
    )
    assert queue.asked > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("absent_after", "end", "state"),
    [(60.0, None, JobState.RUNNING), (0.0, None, JobState.GONE), (60.0, JobState.FAILED, JobState.FAILED)],
)
def test_a_job_that_answers_leave_out_is_gone_only_after_a_time(absent_after, end, state):
    """Its end may be looked up before; 0.1 took it for gone after two answers."""

    class Forgetful(ScriptedQueue):
        async def detail(self, job_id):
            return end and JobStatus(end)

    async def asked():
        queue, record = Forgetful(), JobRecord("probe", 0, None, job_id="1")
        status = JobStatus(JobState.RUNNING)
        for _ in range(4):
            if not status.state.ended:
                status = await _status(queue, record, status, absent_after)
        return status

    assert asyncio.run(asked()).state is state
