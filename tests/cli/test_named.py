"""The commands on clusters that go on by themselves: on this machine's own queue, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import dask.config
import psutil
import pytest

from jobclusters.cli import main_group
from jobclusters.config.saved import save_configuration
from jobclusters.head import shutdown
from jobclusters.registry import liveness, names
from jobclusters.registry.files import root
from jobclusters.registry.names import Presence, claim, directory, new_record
from jobclusters.registry.record import TERMINATED, Liveness, Phase
from tests.helpers.cli_page import told_keys
from tests.helpers.commands import command_runner
from tests.helpers.heads import secrets, stale, standing
from tests.helpers.users import nobody
from tests.helpers.waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("started")

#: As the shell finds it.
PROGRAM = os.path.join(os.path.dirname(sys.executable), "jobclusters")
#: Commands that ask a cluster.
ASKING = (["scale", "a", "--jobs", "1"], ["adapt", "a"], ["logs", "a"], ["connect", "a"])


def call(*words, code=0):
    """Run a command in this process, and see that it ends as it should: never with a traceback."""
    done = command_runner().invoke(main_group, words)
    assert done.exit_code == code, f"{words}: {done.output} {done.exception!r}"
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def refused(*words, code=1):
    """Give the one line that says what is wrong."""
    done = call(*words, code=code)
    *usage, line = done.stderr.splitlines()
    assert done.stdout == ""
    assert line.startswith("Error: ")
    assert len(usage) == (3 if code == 2 else 0)
    return line.removeprefix("Error: ")


def facts(*words):
    return json.loads(call(*words, "--json").stdout)


@pytest.fixture(autouse=True)
def small(configure):
    """Jobs that this machine has room for."""
    configure("jobqueue: {local: {cores: 1, memory: 1 GB, nanny: false}}\njobclusters: {local: {cores: 4}}")
    return configure


@pytest.fixture
def typed():
    """Type a command, and go on while it runs; what is left of its clusters ends with the test."""
    running = []

    def run(*words):
        process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)

        def over(code):
            out, errors = process.communicate(timeout=PATIENCE)
            assert "Traceback" not in errors
            assert process.returncode == code, errors
            return out, errors

        process.over = over
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()
    for name in names.names():
        if directory(name).path.joinpath("order.json").exists() and standing(name) is not Liveness.ENDED:
            call("close", name)


@pytest.fixture
def start(typed):
    """Start a cluster."""

    def begin(name, *words):
        return typed("start", name, *words).over(0)

    return begin


# -- a life ------------------------------------------------------------------------------------------------------


def test_the_life_of_a_cluster(start, started, small):
    settings = "{local: {cores: 4}, adaptive: {idle: 1 hour}}"  # so that no job goes between two commands
    small(f"jobqueue: {{local: {{cores: 1, memory: 1 GB, nanny: false}}}}\njobclusters: {settings}")
    made = json.loads(start("a", "--jobs", "1", "--wait", "--json")[0])
    assert made.keys() == told_keys("list")
    assert (made["name"], made["system"], made["standing"], made["head"]) == ("a", "local", "running", "detached")

    assert facts("list") == [made]
    row = call("list").stdout.splitlines()[1]
    assert re.match(r"a +local +running +detached on \S+ +\d{4}-\d\d-\d\dT\d\d:\d\d +its scheduler answers$", row)

    known = facts("status", "a")
    assert known.keys() == told_keys("list") | told_keys("status")
    assert (known["workers"], [job["state"] for job in known["jobs"].values()]) == (1, ["RUNNING"])
    shown = call("status", "a").stdout
    assert re.search(r"^scheduler +tls://127.0.0.1:\d+$", shown, re.MULTILINE)
    assert re.search(r"^1 +RUNNING +\S+ +1", shown, re.MULTILINE)

    assert facts("scale", "a", "--jobs", "2", "--wait") == {
        "name": "a",
        "planned": 2,
        "workers": 2,
        "summary": "2 running",
    }
    assert facts("adapt", "a", "--minimum-jobs", "1", "--maximum-jobs", "2").keys() == told_keys("scale")
    assert call("adapt", "a", "--maximum-jobs", "2").stdout.startswith("a: 0 to 2 jobs, with the work. Jobs now: ")
    call("adapt", "a", "--stop")
    assert call("scale", "a", "--jobs", "1").stdout.startswith("a: 1 job asked for. Jobs now: ")

    both = facts("logs", "a")
    assert both.keys() == {"1", "2"}
    assert "==> 1 <==\n" in call("logs", "a").stdout
    until(lambda: len(facts("logs", "a", "1", "--tail", "2")["1"].splitlines()) == 2)
    assert facts("logs", "a", "--head")["head"] != ""

    ways = facts("connect", "a")
    assert ways.keys() == told_keys("connect")
    assert (ways["scheduler"], ways["dashboard"]) == (made["scheduler"], made["dashboard"])
    assert "Cluster(name='a')" in call("connect", "a").stdout

    assert "a has ended: closed by process" in call("close", "a").stderr
    until(lambda: not started())
    assert secrets() == []
    assert "a has ended already: closed by process" in call("close", "a").stderr
    listed = call("list")
    assert (listed.stdout.splitlines()[1:], listed.stderr) == ([], "1 that has ended: jobclusters list --all\n")
    assert call("list", "--all").stdout.splitlines()[1].startswith("a ")
    assert [each["name"] for each in facts("list")] == ["a"]
    ended = facts("status", "a")
    assert ended.keys() == known.keys()
    assert (ended["standing"], ended["workers"], ended["jobs"]) == ("ended", 0, {})
    assert "closed by process" in call("status", "a").stdout
    assert facts("logs", "a", "--head")["head"] != "", "it stays"
    call("cleanup", "--forget")
    assert facts("list") == []
    assert "You have no clusters" in call("list").stderr


def test_a_cluster_without_a_dashboard_has_an_address(start):
    out, errors = start("a", "--set", "security=false")
    assert (out, "jobclusters connect a" in errors) == ("a\n", True)
    Presence(directory("a"), directory("a").record()).note(dashboard=None)
    ways = facts("connect", "a")
    assert ways["scheduler"].startswith("tcp://")
    assert (ways["dashboard"], ways["tunnel"], ways["credentials"]) == (None, None, None)
    assert re.search(r"^dashboard +none$", call("connect", "a").stdout, re.MULTILINE)


# -- what is wrong -----------------------------------------------------------------------------------------------


def test_wrong_values_leave_a_running_cluster_as_it_is(start):
    start("a")
    before = facts("status", "a")
    for words, message in [
        (["start", "a"], "there is a cluster 'a' already; jobclusters scale a changes it, jobclusters close a ends it"),
        (["scale", "a", "--memory", "lots"], "memory 'lots' can't be read: write it like '16 GB'"),
        (["scale", "a", "--jobs", "1", "--group", "gpu"], "unknown group 'gpu': Valid: default"),
        (["adapt", "a", "--minimum", "3", "--maximum", "2"], "the minimum, 3 jobs, is above the maximum, 2"),
        (["adapt", "a", "--max-core-hours", "-2"], "max_core_hours must be a number above 0"),
        (["logs", "a", "4711"], "unknown job '4711': Valid: none"),
        (["status", "aa"], "unknown cluster 'aa': did you mean 'a'? Valid: a"),
        (["start", "b", "--system", "slurm", "--worker-cpu", "1"], "no SLURM here: sbatch is not on the PATH"),
        (["start", "b", "--head", "job"], "--head job: this machine's queue ends with the process"),
        (["start", "b", "--set", "scheduler-options={port: -1}"], "the head of cluster b has ended"),
    ]:
        done = call(*words, code=1)
        assert message in done.stderr
        assert done.stdout == ""
    assert "a has had no jobs" in call("logs", "a").stderr
    assert facts("status", "a") == before


def test_a_start_beside_another_of_its_name_says_one_thing(start):
    """On a terminal, where the progress of a start is shown, too: a cluster that is there is no success."""
    start("a")
    ours, its = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        with open(its, "wb", buffering=0) as errors:
            subprocess.run(
                [PROGRAM, "start", "a"], stdout=subprocess.PIPE, stderr=errors, check=False, timeout=PATIENCE
            )
            errors.write(b"END\n")
        shown = b""
        while not shown.endswith(b"END\r\n"):
            shown += terminal.read(4096)
    said = "Error: there is a cluster 'a' already; jobclusters scale a changes it, jobclusters close a ends it"
    assert shown.decode().split("\r\n") == [said, "END", ""]


@pytest.mark.parametrize("command", ["status", "scale", "adapt", "logs", "connect", "close"])
@pytest.mark.parametrize("name", ["production", "../clusters", "..", "a b", "", "x" * 300])
def test_names_of_nothing(command, name):
    for other in ("produktion", "b"):
        claim(new_record(other, "local", "detached"))
    more = ["--jobs", "1"] if command == "scale" else []
    meant = " did you mean 'produktion'?" if name == "production" else ""
    assert refused(command, name, *more) == f"unknown cluster {name!r}:{meant} Valid: b, produktion"


def test_the_first_name_of_all():
    assert refused("status", "a") == "unknown cluster 'a': Valid: none; jobclusters start makes one"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status"], "Missing argument 'NAME'"),
        (["status", "a", "b"], "Got unexpected extra argument (b)"),
        (["scale", "a"], "say how much: --jobs, --workers, --cores or --memory"),
        (["scale", "a", "--jobs", "1", "--workers", "2"], "--jobs and --workers: each says how much"),
        (["logs", "a", "--follow", "--json"], "leave out --json"),
        (["scale", "a", "--jobs", "many"], "'many' is not a valid integer range"),
        (["scale", "a", "--jobs", "-1"], "-1 is not in the range"),
        (["scale", "a", "--job", "1"], "--jobs"),
        (["adapt", "a", "--maximum", "2.5"], "'2.5' is not a valid integer"),
        (["adapt", "a", "--stop", "--maximum", "2"], "--stop takes no limits"),
        (["logs", "a", "--tail", "-1"], "-1 is not in the range"),
        (["logs", "a", "1", "--head"], "leave out the job"),
        (["start", "--jobs", "x"], "'x' is not a valid integer range"),
        (["start", "--jobs", "2", "--maximum-jobs", "3"], "leave out --jobs and --wait"),
        (["start", "--wait"], "--wait waits for the workers of --jobs"),
        (["start", "--set", "name=a"], "--set name: this is no keyword of start"),
        (["start", "--head", "process"], "'process' is not one of 'job', 'detached'"),
    ],
)
def test_wrong_usage_is_2(words, message):
    assert message in refused(*words, code=2)
    assert names.names() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a b"], "say 'a-b'"),
        (["--worker-size", "lrge"], "did you mean 'large'?"),
        (["--set", "quue=x"], "did you mean 'queue'?"),
        (["--configuration", "nightly"], "unknown configuration 'nightly'"),
        (["--cores", "1000", "--set", "processes=1"], "is larger than this machine"),
    ],
)
def test_a_start_that_cannot_be_leaves_nothing(words, message):
    assert message in refused("start", *words)
    assert names.names() == []


def test_a_saved_configuration_may_name_the_cluster(start):
    save_configuration("nightly", name="night", shutdown_on_close=False, cores=1, memory="1 GB")
    made = command_runner().invoke(main_group, ["start", "--configuration", "nightly"])
    assert (made.exit_code, made.stdout) == (0, "night\n")
    assert "there is a cluster 'night' already" in refused("start", "--configuration", "nightly")
    assert facts("status", "night")["standing"] == "running"


def test_a_head_that_fails_is_reported_in_a_line(started):
    message = refused("start", "--set", "scheduler-class=nosuch.S")
    (name,) = names.names()
    assert re.match(
        rf"the head of cluster {name} has ended: InvalidRequest: scheduler_class=.nosuch.S. can.t be imported", message
    )
    assert message.endswith(f" jobclusters logs {name} --head shows what it printed")
    assert "Traceback" in call("logs", name, "--head").stdout


def test_workers_that_do_not_come_end_the_cluster_that_waits_for_them(started):
    save_configuration("lasting", shutdown_on_close=False, python="/no/such/python")
    done = call("start", "a", "--jobs", "1", "--wait", "--configuration", "lasting", code=1)
    assert "Python was not found" in done.stderr
    assert standing("a") is Liveness.ENDED
    until(lambda: not started())


@pytest.fixture
def standings(monkeypatch):
    """Make a cluster called a in some state, without any process."""
    monkeypatch.setattr(liveness, "ANSWER_TIMEOUT", 0.2)

    def make(wanted):
        if wanted is Liveness.STARTING:
            claim(new_record("a", "local", "detached"))
            return
        stale(**{Liveness.SILENT: {"host": "another"}}.get(wanted, {"pid": 2**22 + 1}))
        if wanted is Liveness.ENDED:
            Presence(directory("a"), directory("a").record()).ended("closed by hand")

    return make


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (Liveness.STARTING, r"is starting; jobclusters status a shows when it runs"),
        (Liveness.SILENT, r"does not answer, .*; try again, or end it with jobclusters close a"),
        (Liveness.GONE, r"is gone; jobclusters cleanup clears up what it left"),
        (Liveness.ENDED, r"closed by hand; jobclusters start a makes a new one"),
    ],
)
def test_what_to_do_with_a_cluster_that_cannot_be_asked(standings, how, what):
    standings(how)
    for words in ASKING:
        assert re.fullmatch(rf"cluster 'a' can't be asked: it is {how.value}: .*{what}", refused(*words))
    assert facts("status", "a")["standing"] == how.value
    assert [each["standing"] for each in facts("list")] == [how.value]


@pytest.mark.parametrize("words", [["list"], ["status", "a"], ["close", "a"], ["cleanup"], *ASKING], ids=" ".join)
def test_a_registry_that_cannot_be_read(words, home):
    place = root() / "clusters"
    place.parent.mkdir(parents=True)
    place.write_text("")
    assert refused(*words) == f"{place} can't be read: Not a directory; set jobclusters.directory"


@pytest.mark.parametrize("words", [["list"], ["status", "a"], ["close", "a"], ["cleanup"], *ASKING], ids=" ".join)
def test_a_registry_that_must_not_be_read(words, place):
    claim(record := new_record("a", "local", "detached"))
    Presence(directory("a"), record).ended("closed")
    command_runner().invoke(main_group, words)  # imports what it needs, which the user nobody may be unable to read
    (place / "clusters").chmod(0)
    with nobody(place):
        assert refused(*words) == f"{place}/clusters can't be read: Permission denied; set jobclusters.directory"


def test_a_start_without_a_place_for_its_files(home):
    (home / ".jobclusters").write_text("")
    for name in (["a"], []):
        assert "/.jobclusters/clusters is not a directory; set jobclusters.directory to" in refused("start", *name)


def test_an_entry_that_cannot_be_read_hides_no_other(home):
    claim(new_record("a", "local", "detached"))
    directory("b").make()
    directory("b").write("entry.json", "{")
    for command in ("list", "cleanup"):
        done = call(command)
        assert re.match(r"Warning: \S+/b/entry.json can't be read: .* remove \S+/b\n", done.stderr)
    assert [each["name"] for each in facts("list")] == ["a"]
    assert "If no such cluster runs" in refused("status", "b")
    assert "If no such cluster runs" in refused("close", "b")


def test_nobody_elses_cluster(monkeypatch):
    claim(new_record("a", "local", "detached"))
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    for words in (["status", "a"], ["close", "a"], *ASKING):
        assert "the name 'a' is held by a cluster of " in refused(*words)


def test_a_cluster_that_dies_while_it_is_asked(start, monkeypatch):
    from jobclusters.cluster.connected import ConnectedCluster

    start("a")
    pid = directory("a").record().pid

    def killing(self, *args, **keywords):
        head = psutil.Process(pid)
        head.kill()
        psutil.wait_procs([head], PATIENCE)
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            return self._ask("scale", jobs=1)

    monkeypatch.setattr(ConnectedCluster, "scale", killing)
    message = refused("scale", "a", "--jobs", "1")
    assert message.startswith("cluster 'a' stopped answering: ")
    assert message.endswith("jobclusters status a shows its state")
    call("cleanup")


# -- Ctrl-C ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lasting(small, tmp_path):
    """Let a scheduler start for ever, from when this file is there."""
    preload, begun = tmp_path / "lasting.py", tmp_path / "begun"
    preload.write_text(
        "import asyncio, pathlib\nasync def dask_setup(scheduler):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n    await asyncio.sleep(600)\n"
    )
    small(f"jobqueue: {{local: {{cores: 1, memory: 1 GB}}}}\ndistributed: {{scheduler: {{preload: [{preload}]}}}}")
    return begun


@pytest.mark.parametrize(
    ("name", "number", "code", "begun"),
    [
        ("a", signal.SIGINT, 130, False),
        (None, signal.SIGTERM, 143, False),
        (None, signal.SIGINT, 130, True),
        ("a", signal.SIGHUP, 129, True),
    ],
)
def test_a_start_is_ended_while_the_head_starts(typed, started, lasting, name, number, code, begun):
    process = typed("start", *([name] if name else []))
    until(lambda: started("jobclusters.head") and (lasting.exists() or not begun))
    process.send_signal(number)
    out, errors = process.over(code)
    assert (out, errors) == ("", "Interrupted.\n" if code == 130 else "")
    until(lambda: not started())
    assert names.names() == ([name] if name else [])
    assert secrets() == []
    if name:
        assert facts("status", name)["standing"] == "ended"


def test_a_head_that_is_terminated_while_it_starts_says_so(typed, started, lasting):
    process = typed("start", "a")
    until(lasting.exists)
    (head,) = started("jobclusters.head")
    head.terminate()
    assert f"the head of cluster a has ended: {TERMINATED}" in process.over(1)[1]
    assert TERMINATED in facts("status", "a")["why"]
    assert secrets() == []


def test_ctrl_c_while_the_first_workers_start(typed, started, small):
    small("jobqueue: {local: {cores: 1, memory: 1 GB, job-script-prologue: [sleep 600]}}")
    process = typed("start", "a", "--jobs", "1", "--wait")
    until(lambda: started("sleep"))
    process.send_signal(signal.SIGINT)
    process.over(130)
    assert facts("status", "a")["standing"] == "ended"
    until(lambda: not started())


def test_ctrl_c_while_more_workers_start_leaves_the_cluster_as_it_is(start, typed, started, small):
    small("jobqueue: {local: {cores: 1, memory: 1 GB, job-script-prologue: [sleep 600]}}")
    start("a")
    process = typed("scale", "a", "--jobs", "1", "--wait")
    until(lambda: started("sleep"))
    process.send_signal(signal.SIGINT)
    process.over(130)
    assert facts("status", "a")["standing"] == "running"
    assert facts("scale", "a", "--jobs", "1")["planned"] == 1


# -- ended, whatever its state ------------------------------------------------------------------------------------


def test_cleanup_after_all_that_could_have_is_killed(start, started):
    start("a", "--jobs", "1", "--wait")
    start("b")
    head = psutil.Process(directory("a").record().pid)
    for process in [*head.children(recursive=True), head]:
        with suppress(psutil.NoSuchProcess):  # a job's, or a command, may have just ended
            if process == head or "jobclusters.registry.janitor" in " ".join(process.cmdline()):
                process.kill()
    until(lambda: not started("jobclusters.registry.janitor"))
    assert secrets() != []
    (gone,) = facts("cleanup")
    assert gone["name"] == "a"
    assert gone["why"].endswith("is gone")
    assert not started("dask_worker")
    assert [facts("status", name)["standing"] for name in "ab"] == ["ended", "running"]
    assert "Nothing was left behind" in call("cleanup").stderr
    call("cleanup", "--forget")
    assert names.names() == ["b"]


def test_cleanup_forgets_no_cluster_that_is_being_made():
    directory("a").make()
    call("cleanup", "--forget")
    assert directory("a").path.exists()


def test_a_cluster_that_is_starting_is_closed(typed, started):
    beginning = typed("start", "a")
    (head,) = until(lambda: started("jobclusters.head"))
    head.suspend()
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(asyncio.run, shutdown.end(directory("a")))
        head.resume()
        assert "closed by process" in closing.result(PATIENCE)
    beginning.communicate(timeout=PATIENCE)
    assert facts("status", "a")["standing"] == "ended"
    until(lambda: not started())


def test_a_head_that_hangs_is_closed(start, started, monkeypatch):
    start("a", "--jobs", "1", "--wait")
    psutil.Process(directory("a").record().pid).suspend()
    monkeypatch.setattr(liveness, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(shutdown, "END_TIMEOUT", 0.2)
    call("close", "a")
    assert facts("status", "a")["standing"] == "ended"
    until(lambda: not started())
    assert secrets() == []


def test_close_ends_nobodys_notebook(home, monkeypatch):
    monkeypatch.setattr(liveness, "ANSWER_TIMEOUT", 0.2)
    notebook = psutil.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale(head="process", pid=notebook.pid, process_began=notebook.create_time(), boot="")  # as version 0.1 notes it
    assert f"its head is a program or notebook, process {notebook.pid} on" in refused("close", "a")
    assert notebook.is_running()
    notebook.communicate()


def test_a_cluster_of_another_machine_is_closed_there(standings):
    standings(Liveness.SILENT)
    assert refused("close", "a").endswith("Run this again on another")
    assert directory("a").record().phase is Phase.RUNNING


# -- many --------------------------------------------------------------------------------------------------------


def test_hundreds_are_looked_at_once_and_at_the_same_time(monkeypatch):
    for number in range(300):
        record = new_record(f"e{number:03}", "local", "detached")
        claim(record)
        if number >= 20:
            Presence(directory(record.name), record).ended("closed")
        else:
            Presence(directory(record.name), record).note(phase=Phase.RUNNING, scheduler="tcp://127.0.0.1:9")
    asked = []

    async def answers(files, record):
        asked.append(record.name)
        await asyncio.wait_for(asyncio.to_thread(until, lambda: len(asked) >= 20), PATIENCE)
        return True

    monkeypatch.setattr(liveness, "_answers", answers)
    listed = facts("list")
    assert [each["name"] for each in listed] == [f"e{number:03}" for number in range(300)]
    assert [each["standing"] for each in listed].count("running") == 20
    assert sorted(asked) == [f"e{number:03}" for number in range(20)], "one question each; the ended aren't asked"


def test_a_list_of_what_has_ended_does_not_import_dasks_scheduler(standings):
    standings(Liveness.ENDED)
    code = "import sys; from jobclusters.cli import main_group; main_group(['list', '--all'], standalone_mode=False)"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[1].startswith("a ")
    assert not {"distributed", "dask_jobqueue", "numpy"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["status", "scale", "adapt", "logs", "connect", "close"])
def test_names_are_completed(command):
    for name in ("night", "noon", "day"):
        claim(new_record(name, "local", "detached"))
    words = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_WORDS": f"jobclusters {command} n", "COMP_CWORD": "2"}
    done = command_runner(env=words).invoke(main_group, prog_name="jobclusters")
    assert done.stdout.split() == ["plain,night", "plain,noon"]


def test_nothing_is_completed_where_the_registry_cannot_be_read(home):
    (home / ".jobclusters").write_text("")
    words = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_WORDS": "jobclusters close ", "COMP_CWORD": "2"}
    done = command_runner(env=words).invoke(main_group, prog_name="jobclusters")
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_cluster_that_closes_while_it_is_listed_is_left_out(monkeypatch):
    for name in ("a", "b"):
        claim(new_record(name, "local", "detached"))
    check = liveness.check

    async def closing(files):
        if files.path.name == "a":
            raise FileNotFoundError(2, "No such file or directory", str(files.path))
        return await check(files)

    monkeypatch.setattr(liveness, "check", closing)
    done = call("list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["NAME", "b"]
    assert done.stderr == ""


def test_logs_are_followed_to_the_end(typed):
    call("start", "a", "--jobs", "1", "--wait")
    following = typed("logs", "a", "--follow")
    until(lambda: facts("logs", "a")["1"] != "")
    assert "distributed" in following.stdout.readline()
    call("close", "a")
    _, told = following.over(0)
    assert "a has ended." in told


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("script --queue no", ["normal"]),
        ("script --software py", ["pydata"]),
        ("script --set send-", ["send-dask-config="]),
    ],
)
def test_values_are_completed(words, completed, configure):
    configure("jobclusters: {queues: {slurm: {normal: {cores: 4}, gpu: {}}}, software: {pydata: {}}}")
    words = f"jobclusters {words}"
    env = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
    done = command_runner(env=env).invoke(main_group, prog_name="jobclusters")
    assert done.stdout.split() == [f"plain,{each}" for each in completed]
