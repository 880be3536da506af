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

import dask.config
import psutil
import pytest
import test_lifecycle
import test_registry
from click.testing import CliRunner
from test_cli_docs import told_keys
from test_lifecycle import PATIENCE, secrets, stale, standing, until
from test_registry import nobody

from jobclusters import ending, finding, registry
from jobclusters.cli import main_group
from jobclusters.clusterfiles import root
from jobclusters.configurations import save_configuration
from jobclusters.entry import Phase, Standing
from jobclusters.registry import Presence, claim, directory, new_entry

started = test_lifecycle.started  # a fixture, also here: no process is left behind
place = test_registry.place  # another one: a directory that others than root reach

#: As the shell finds it.
PROGRAM = os.path.join(os.path.dirname(sys.executable), "jobclusters")
#: Commands that ask a cluster.
ASKING = (["scale", "a", "--jobs", "1"], ["adapt", "a"], ["logs", "a"], ["connect", "a"])


def call(*words, code=0):
    """Run a command in this process, and see that it ends as it should: never with a traceback."""
    done = CliRunner().invoke(main_group, words)
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
    settings = "jobqueue: {local: {cores: 1, memory: 1 GB, nanny: false}}\njobclusters: {local: {cores: 4}}"
    configure(settings)
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
    for name in registry.names():
        if directory(name).path.joinpath("order.pickle").exists() and standing(name) is not Standing.ENDED:
            call("close", name)


@pytest.fixture
def start(typed):
    """Start a cluster."""

    def begin(name, *words):
        return typed("start", name, *words).over(0)

    return begin


# -- a life ------------------------------------------------------------------------------------------------------


def test_the_life_of_a_cluster(start, started):
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
    call("adapt", "a", "--stop")
    assert call("scale", "a", "--jobs", "1").stdout != ""

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
    Presence(directory("a"), directory("a").entry()).note(dashboard=None)
    ways = facts("connect", "a")
    assert ways["scheduler"].startswith("tcp://")
    assert (ways["dashboard"], ways["tunnel"], ways["credentials"]) == (None, None, None)
    assert re.search(r"^dashboard +none$", call("connect", "a").stdout, re.MULTILINE)


# -- what is wrong -----------------------------------------------------------------------------------------------


def test_wrong_values_leave_a_running_cluster_as_it_is(start):
    start("a")
    before = facts("status", "a")
    for words, told in [
        (["start", "a"], "there is a cluster 'a' already; jobclusters scale a changes it, jobclusters close a ends it"),
        (["scale", "a", "--memory", "lots"], "memory 'lots' can't be read: write it like '16 GB'"),
        (["scale", "a", "--jobs", "1", "--group", "gpu"], "unknown group 'gpu': Valid: default"),
        (["adapt", "a", "--minimum", "3", "--maximum", "2"], "the minimum, 3 jobs, is above the maximum, 2"),
        (["adapt", "a", "--max-core-hours", "-2"], "max_core_hours must be a number above 0"),
        (["logs", "a", "4711"], "unknown job '4711': Valid: none"),
        (["status", "aa"], "unknown cluster 'aa': did you mean 'a'? Valid: a"),
        (["start", "b", "--system", "slurm", "--worker-cpu", "1"], "no SLURM here: sbatch is not on the PATH"),
        (["start", "b", "--head", "job"], "head='job': this machine's queue ends with the process"),
        (["start", "b", "--set", "scheduler-options={port: -1}"], "the head of cluster b has ended"),
    ]:
        done = call(*words, code=1)
        assert told in done.stderr
        assert done.stdout == ""
    assert "a has had no jobs" in call("logs", "a").stderr
    assert facts("status", "a") == before


@pytest.mark.parametrize("command", ["status", "scale", "adapt", "logs", "connect", "close"])
@pytest.mark.parametrize("name", ["production", "../clusters", "..", "a b", "", "x" * 300])
def test_names_of_nothing(command, name):
    for other in ("produktion", "b"):
        claim(new_entry(other, "local", "detached"))
    more = ["--jobs", "1"] if command == "scale" else []
    meant = " did you mean 'produktion'?" if name == "production" else ""
    assert refused(command, name, *more) == f"unknown cluster {name!r}:{meant} Valid: b, produktion"


def test_the_first_name_of_all():
    assert refused("status", "a") == "unknown cluster 'a': Valid: none; jobclusters start makes one"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status"], "Missing argument 'NAME'"),
        (["status", "a", "b"], "Got unexpected extra argument (b)"),
        (["scale", "a"], "say how much: --jobs, --workers, --cores or --memory"),
        (["scale", "a", "--jobs", "many"], "'many' is not a valid integer range"),
        (["scale", "a", "--jobs", "-1"], "-1 is not in the range"),
        (["scale", "a", "--job", "1"], "Did you mean"),
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
def test_wrong_usage_is_2(words, told):
    assert told in refused(*words, code=2)
    assert registry.names() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a b"], "say 'a-b'"),
        (["--worker-size", "lrge"], "did you mean 'large'?"),
        (["--set", "quue=x"], "did you mean 'queue'?"),
        (["--configuration", "nightly"], "unknown configuration 'nightly'"),
        (["--cores", "1000", "--set", "processes=1"], "is larger than this machine"),
    ],
)
def test_a_start_that_cannot_be_leaves_nothing(words, told):
    assert told in refused("start", *words)
    assert registry.names() == []


def test_a_saved_configuration_may_name_the_cluster(start):
    save_configuration("nightly", name="night", shutdown_on_close=False, cores=1, memory="1 GB")
    made = CliRunner().invoke(main_group, ["start", "--configuration", "nightly"])
    assert (made.exit_code, made.stdout) == (0, "night\n")
    assert "there is a cluster 'night' already" in refused("start", "--configuration", "nightly")
    assert facts("status", "night")["standing"] == "running"


def test_a_head_that_fails_is_told_in_a_line(started):
    told = refused("start", "--set", "scheduler-class=nosuch.S")
    (name,) = registry.names()
    assert re.match(
        rf"the head of cluster {name} has ended: InvalidRequest: scheduler_class=.nosuch.S. can.t be imported", told
    )
    assert told.endswith(f" jobclusters logs {name} --head tells what it printed")
    assert "Traceback" in call("logs", name, "--head").stdout


def test_workers_that_do_not_come_end_the_cluster_that_waits_for_them(started):
    save_configuration("lasting", shutdown_on_close=False, python="/no/such/python")
    done = call("start", "a", "--jobs", "1", "--wait", "--configuration", "lasting", code=1)
    assert "Python was not found" in done.stderr
    assert standing("a") is Standing.ENDED
    until(lambda: not started())


@pytest.fixture
def standings(monkeypatch):
    """Make a cluster called a that stands in some way, without any process."""
    monkeypatch.setattr(finding, "ANSWER", 0.2)

    def make(wanted):
        if wanted is Standing.STARTING:
            claim(new_entry("a", "local", "detached"))
            return
        stale(**{Standing.SILENT: {"host": "another"}}.get(wanted, {"pid": 2**22 + 1}))
        if wanted is Standing.ENDED:
            Presence(directory("a"), directory("a").entry()).ended("closed by hand")

    return make


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (Standing.STARTING, r"is starting; jobclusters status a tells when it runs"),
        (Standing.SILENT, r"does not answer, .*; try again, or end it with jobclusters close a"),
        (Standing.GONE, r"is gone; jobclusters cleanup clears away what it left"),
        (Standing.ENDED, r"closed by hand; jobclusters start a makes a new one"),
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
    claim(entry := new_entry("a", "local", "detached"))
    Presence(directory("a"), entry).ended("closed")
    CliRunner().invoke(main_group, words)  # imports what it needs, which nobody may be unable to read
    (place / "clusters").chmod(0)
    with nobody(place):
        assert refused(*words) == f"{place}/clusters can't be read: Permission denied; set jobclusters.directory"


def test_a_start_without_a_place_for_its_files(home):
    (home / ".jobclusters").write_text("")
    for name in (["a"], []):
        assert "/.jobclusters/clusters is not a directory; set jobclusters.directory to" in refused("start", *name)


def test_an_entry_that_cannot_be_read_hides_no_other(home):
    claim(new_entry("a", "local", "detached"))
    directory("b").make()
    directory("b").write("entry.json", "{")
    for command in ("list", "cleanup"):
        done = call(command)
        assert re.match(r"Warning: \S+/b/entry.json can't be read: .* remove \S+/b\n", done.stderr)
    assert [each["name"] for each in facts("list")] == ["a"]
    assert "If no such cluster runs" in refused("status", "b")
    assert "If no such cluster runs" in refused("close", "b")


def test_nobody_elses_cluster(monkeypatch):
    claim(new_entry("a", "local", "detached"))
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    for words in (["status", "a"], ["close", "a"], *ASKING):
        assert "the name 'a' is held by a cluster of " in refused(*words)


def test_a_cluster_that_dies_while_it_is_asked(start, monkeypatch):
    from jobclusters.connected import ConnectedCluster

    start("a")
    pid = directory("a").entry().pid

    def killing(self, *args, **keywords):
        head = psutil.Process(pid)
        head.kill()
        psutil.wait_procs([head], PATIENCE)
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            return self._ask("scale", jobs=1)

    monkeypatch.setattr(ConnectedCluster, "scale", killing)
    told = refused("scale", "a", "--jobs", "1")
    assert told.startswith("cluster 'a' stopped answering: ")
    assert told.endswith("jobclusters status a tells how it stands")
    call("cleanup")


# -- Ctrl-C ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [("a", signal.SIGINT, 130), (None, signal.SIGINT, 130), ("a", signal.SIGHUP, 129), (None, signal.SIGTERM, 143)],
)
def test_a_start_is_ended_while_the_head_starts(typed, started, name, number, code):
    process = typed("start", *([name] if name else []))
    until(lambda: started("jobclusters.head"))
    process.send_signal(number)
    out, errors = process.over(code)
    assert (out, errors) == ("", "Interrupted.\n" if code == 130 else "")
    until(lambda: not started())
    assert registry.names() == ([name] if name else [])
    assert secrets() == []
    if name:
        assert facts("status", name)["standing"] == "ended"


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


# -- ended, however it stands ------------------------------------------------------------------------------------


def test_cleanup_after_all_that_could_have_is_killed(start, started):
    start("a", "--jobs", "1", "--wait")
    start("b")
    head = psutil.Process(directory("a").entry().pid)
    for process in [*head.children(recursive=True), head]:
        if process == head or "jobclusters.janitor" in " ".join(process.cmdline()):
            process.kill()
    until(lambda: not started("jobclusters.janitor"))
    assert secrets() != []
    (gone,) = facts("cleanup")
    assert gone["name"] == "a"
    assert gone["why"].endswith("is gone")
    assert not started("dask_worker")
    assert [facts("status", name)["standing"] for name in "ab"] == ["ended", "running"]
    assert "Nothing was left behind" in call("cleanup").stderr
    call("cleanup", "--forget")
    assert registry.names() == ["b"]


def test_cleanup_forgets_no_cluster_that_is_being_made():
    directory("a").make()
    call("cleanup", "--forget")
    assert directory("a").path.exists()


def test_a_cluster_that_is_starting_is_closed(typed, started):
    beginning = typed("start", "a")
    (head,) = until(lambda: started("jobclusters.head"))
    head.suspend()
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(asyncio.run, ending.end(directory("a")))
        head.resume()
        assert "closed by process" in closing.result(PATIENCE)
    beginning.communicate(timeout=PATIENCE)
    assert facts("status", "a")["standing"] == "ended"
    until(lambda: not started())


def test_a_head_that_hangs_is_closed(start, started, monkeypatch):
    start("a", "--jobs", "1", "--wait")
    psutil.Process(directory("a").entry().pid).suspend()
    monkeypatch.setattr(finding, "ANSWER", 0.2)
    monkeypatch.setattr(ending, "PATIENCE", 0.2)
    call("close", "a")
    assert facts("status", "a")["standing"] == "ended"
    until(lambda: not started())
    assert secrets() == []


def test_close_ends_nobodys_notebook(home, monkeypatch):
    monkeypatch.setattr(finding, "ANSWER", 0.2)
    notebook = psutil.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale(head="process", pid=notebook.pid, process_began=notebook.create_time())
    assert f"its head is a program or notebook, process {notebook.pid} on" in refused("close", "a")
    assert notebook.is_running()
    notebook.communicate()


def test_a_cluster_of_another_machine_is_closed_there(standings):
    standings(Standing.SILENT)
    assert refused("close", "a").endswith("Say this again on another")
    assert directory("a").entry().phase is Phase.RUNNING


# -- many --------------------------------------------------------------------------------------------------------


def test_hundreds_are_looked_at_once_and_at_the_same_time(monkeypatch):
    for number in range(300):
        entry = new_entry(f"e{number:03}", "local", "detached")
        claim(entry)
        if number >= 20:
            Presence(directory(entry.name), entry).ended("closed")
        else:
            Presence(directory(entry.name), entry).note(phase=Phase.RUNNING, scheduler="tcp://127.0.0.1:9")
    asked = []

    async def answers(files, entry):
        asked.append(entry.name)
        await asyncio.wait_for(asyncio.to_thread(until, lambda: len(asked) >= 20), PATIENCE)
        return True

    monkeypatch.setattr(finding, "_answers", answers)
    listed = facts("list")
    assert [each["name"] for each in listed] == [f"e{number:03}" for number in range(300)]
    assert [each["standing"] for each in listed].count("running") == 20
    assert sorted(asked) == [f"e{number:03}" for number in range(20)], "one question each; the ended aren't asked"


def test_a_list_of_what_has_ended_does_not_import_dasks_scheduler(standings):
    standings(Standing.ENDED)
    code = "import sys; from jobclusters.cli import main_group; main_group(['list'], standalone_mode=False)"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[1].startswith("a ")
    assert not {"distributed", "dask_jobqueue", "numpy", "rich"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["status", "scale", "adapt", "logs", "connect", "close"])
def test_names_are_completed(command):
    for name in ("night", "noon", "day"):
        claim(new_entry(name, "local", "detached"))
    words = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_WORDS": f"jobclusters {command} n", "COMP_CWORD": "2"}
    done = CliRunner(env=words).invoke(main_group, prog_name="jobclusters")
    assert done.stdout.split() == ["plain,night", "plain,noon"]


def test_nothing_is_completed_where_the_registry_cannot_be_read(home):
    (home / ".jobclusters").write_text("")
    words = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_WORDS": "jobclusters close ", "COMP_CWORD": "2"}
    done = CliRunner(env=words).invoke(main_group, prog_name="jobclusters")
    assert (done.stdout.strip(), done.stderr) == ("", "")
