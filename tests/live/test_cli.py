"""The command line on a real batch system: as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dask.config
import psutil
import pytest

import jobclusters
from jobclusters.cli import main_group
from jobclusters.registry.files import ORDER, SECURITY
from tests.helpers.commands import command_runner

from .tools import PATIENCE, heads, kill, until

ONE_VERSION = True
#: What the doctor's jobs are called.
NAME = "doctor"


def environment():
    root = str(Path(jobclusters.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def start(*arguments):
    command = [sys.executable, "-m", "jobclusters", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment())


def call(*arguments):
    process = start(*arguments)
    out, errors = process.communicate(timeout=3 * PATIENCE)
    assert "Traceback" not in errors
    return process.returncode, out, errors


@pytest.fixture
def options(keywords):
    """Give a job's keywords as options."""

    def given(**others):
        both = {"job_name": "cli", **keywords(**{"log_directory": os.getcwd(), **others})}
        return [
            word for key, value in both.items() if value is not None for word in ("--set", f"{key}={json.dumps(value)}")
        ]

    return given


@pytest.fixture
def seen(system):
    """Follow the doctor's jobs; none is left at the end."""
    return system.seen(NAME)


@pytest.fixture
def examine(system, options, shared, seen):
    """Run the doctor; give its checks by name, and its exit status. It leaves neither jobs nor files."""

    def run(**others):
        before = sorted(shared.iterdir())
        directory = str(others.pop("directory", shared / "clusters"))
        code, out, errors = call(
            "doctor", "--json", "--wait", f"{PATIENCE:g}s", "--directory", directory, *options(**others)
        )
        facts = json.loads(out)
        print(*(f"{each['verdict']:9} {each['check']}: {each['says']}" for each in facts["checks"]), sep="\n")
        assert facts["system"] == system.name, "found by itself"
        assert facts["ok"] == (code == 0)
        assert "set right" in errors or code == 0
        assert sorted(shared.iterdir()) == before
        assert seen.living() == []
        return {each["check"]: each for each in facts["checks"]}, code

    return run


def test_a_doctor_finds_nothing_wrong(system, examine, shared):
    checks, code = examine(cores=2, memory="2 GB")
    unclear = {name: check["verdict"] for name, check in checks.items() if check["verdict"] != "ok"}
    assert unclear == ({} if system.lists_queues else {"queue": "unchecked"})
    assert code == 0
    assert checks.keys() >= {
        *("batch system", "queue", "limits here", "chunks", "probe job", "log directory", "scheduler's address"),
        *("worker's address", "shared directory", "Python there", "TLS files", "clocks", "limits there"),
    }
    assert str(shared) in checks["log directory"]["says"]


@pytest.mark.queues
def test_drill_doctor_on_a_queue_that_does_not_exist(system, examine):
    checks, code = examine(queue="nosuch")
    assert code == 1
    verdict, words = ("wrong", "unknown queue 'nosuch'") if system.lists_queues else ("unchecked", "isn't known")
    assert checks["queue"]["verdict"] == verdict
    assert words in checks["queue"]["says"]
    assert "nosuch" in checks["probe job"]["says"], "the batch system's own words"


def test_drill_doctor_with_a_python_that_nodes_do_not_have(examine):
    checks, code = examine(python="/no/such/python")
    assert code == 1
    assert checks["Python there"]["verdict"] == "wrong"
    assert "/no/such/python: " in checks["Python there"]["says"]


@pytest.mark.containers
def test_drill_doctor_with_a_log_directory_that_nodes_do_not_see(examine, tmp_path):
    checks, code = examine(log_directory=str(tmp_path))
    assert code == 1
    assert checks["log directory"]["verdict"] == "wrong"
    assert "--log-directory" in checks["log directory"]["do"]
    assert {name for name, check in checks.items() if check["verdict"] == "wrong"} == {"log directory"}
    assert checks["Python there"]["verdict"] == "ok", "another job has looked at the rest"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.containers
def test_drill_doctor_with_a_shared_directory_that_nodes_do_not_see(examine, tmp_path):
    checks, code = examine(directory=tmp_path)
    assert code == 1
    assert {name for name, check in checks.items() if check["verdict"] == "wrong"} == {"shared directory"}
    assert "jobclusters.directory" in checks["shared directory"]["do"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.containers
def test_a_doctor_waits_no_longer_than_its_limit(system, options, shared, seen):
    held = options(job_extra_directives=list(system.held))
    code, out, _ = call("doctor", "--wait", "2s", "--directory", str(shared / "clusters"), *held)
    assert code == 1
    assert "has not reported for 2 s: PENDING" in out
    assert seen.living() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_drill_a_doctor_that_is_ended_leaves_nothing(system, options, shared, seen, number, code):
    process = start("doctor", "--directory", str(shared / "clusters"), *options(job_extra_directives=list(system.held)))
    until(seen.living)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "Traceback" not in errors
    if number == signal.SIGKILL:  # the janitor does what it can; a small directory stays
        until(lambda: not seen.living())
    else:
        assert seen.living() == []
        assert not (shared / "clusters").exists()


def test_a_script_is_for_the_system_that_is_here(system, options):
    code, out, _ = ask("script", "--json", *options())
    assert code == 0
    assert json.loads(out)["system"] == system.name
    code, out, _ = ask("script", *options(account="some"))
    assert (code, "some" in out) == (0, True)


@pytest.fixture
def home(shared, monkeypatch):
    """Note clusters where the nodes see it; nothing secret stays, and no head."""
    place = shared / "noted"
    monkeypatch.setenv("DASK_JOBCLUSTERS__DIRECTORY", str(place))
    with dask.config.set({"jobclusters.directory": str(place)}):
        yield place
    left = [path.name for path in place.rglob("*") if path.suffix == ".pem" or path.name in (ORDER, SECURITY)]
    assert left == []


@pytest.fixture
def cluster(system, options, home):
    """Give the options with which a cluster is started, and a look at its jobs; end it whatever happens."""
    heads, workers = system.seen("dask-head-cli"), system.seen("cli")

    def given(**others):
        return options(**{"scheduler_cpu": 1, "scheduler_memory": "1 GB", **others})

    given.heads = heads.living
    given.living = lambda: sorted({*heads.living(), *workers.living()})
    yield given
    if (home / "clusters" / "cli").exists():
        ask("close", "cli")
    until(lambda: not given.living())


def ask(*words):
    """Run a command in this process, which has imported Dask already."""
    done = command_runner().invoke(main_group, words)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def output_of(*words):
    code, out, errors = (call if words[0] in ("start", "demo") else ask)(*words)
    assert code == 0, errors
    return out


def facts(*words):
    return json.loads(output_of(*words, "--json"))


def test_the_life_of_a_cluster_by_commands(system, cluster):
    made = json.loads(output_of("start", "cli", "--jobs", "2", "--wait", "--json", *cluster()))
    assert (made["system"], made["standing"], made["head"]) == (system.name, "running", "job")
    assert [made["job"]] == cluster.heads()
    assert facts("list") == [made]
    assert f"job {made['job']}" in output_of("list")

    known = facts("status", "cli")
    assert known["workers"] == 2
    assert sorted([made["job"], *known["jobs"]]) == cluster.living()
    assert {job["state"] for job in known["jobs"].values()} == {"RUNNING"}
    # A worker may come before the batch system says where.
    until(lambda: all(job["node"] for job in facts("status", "cli")["jobs"].values()))

    assert facts("scale", "cli", "--jobs", "3", "--wait")["workers"] == 3
    assert len(cluster.living()) == 4
    if system.shows_output:
        until(lambda: all(facts("logs", "cli").values()))
        assert "==> " in output_of("logs", "cli", "--tail", "1")
    assert facts("logs", "cli").keys() >= known["jobs"].keys()

    ways = facts("connect", "cli")
    assert ways["scheduler"] == made["scheduler"]
    assert ways["tunnel"].startswith("ssh ")
    code, _, errors = ask("scale", "cli", "--memory", "lots")
    assert (code, errors.count("\n")) == (1, 1)

    output_of("adapt", "cli", "--maximum-jobs", "3")
    until(lambda: cluster.living() == [made["job"]])  # there is no work

    output_of("close", "cli")
    assert cluster.living() == []
    assert facts("status", "cli")["standing"] == "ended"
    assert "Nothing was left behind" in ask("cleanup")[2]


def test_commands_that_need_no_cluster(system, home):
    assert "large" in [size["name"] for size in facts("sizes")]
    assert f"jobqueue.{system.name}." in output_of("config", "--system", system.name)
    assert "Jobs left in the queue: 0" in output_of("demo")
    assert "jobclusters" in output_of("completion", "bash")


def test_drill_ctrl_c_while_the_head_waits_in_the_queue(system, cluster):
    process = start("start", "cli", *cluster(scheduler_extra_directives=list(system.held)))
    until(cluster.heads)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "Interrupted.\n")
    assert cluster.living() == []
    assert facts("status", "cli")["standing"] == "ended"


def test_drill_a_cluster_whose_head_waits_is_closed(system, cluster):
    process = start("start", "cli", *cluster(scheduler_extra_directives=list(system.held)))
    until(lambda: facts("list") and facts("status", "cli")["job"])
    assert facts("status", "cli")["standing"] == "starting"
    output_of("close", "cli")
    assert cluster.living() == []
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize("why", [pytest.param("queue", marks=pytest.mark.queues), "python"])
def test_drill_a_start_that_fails_says_why(system, cluster, why):
    wrong = {"queue": {"scheduler_queue": "nosuch"}, "python": {"python": "/no/such/python"}}[why]
    code, out, errors = call("start", "cli", "--jobs", "1", "--wait", *cluster(**wrong))
    assert (code, out) == (1, "")
    assert ("nosuch" if why == "queue" else "/no/such/python") in errors
    until(lambda: not cluster.living())


def test_drill_cleanup_after_all_that_could_have_is_killed(system, cluster, home):
    held = cluster(scheduler_cpu=None, scheduler_memory=None, job_extra_directives=list(system.held))
    output_of("start", "cli", "--head", "detached", "--jobs", "2", *held)
    until(lambda: len(cluster.living()) == 2)
    (head,) = heads(home)
    kill(*head.children(recursive=True), head)  # the janitor before, that would clear away
    psutil.wait_procs([head])
    assert len(cluster.living()) == 2
    (gone,) = facts("cleanup")
    assert (gone["name"], cluster.living()) == ("cli", [])
    assert facts("status", "cli")["standing"] == "ended"
