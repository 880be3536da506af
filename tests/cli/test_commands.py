"""The command line: its frame, and the commands that need no cluster."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest

from jobclusters import Refused, cli
from jobclusters.cli import COMMANDS, main_group
from tests.helpers.commands import command_runner
from tests.helpers.waiting import PATIENCE

#: As the shell finds it.
PROGRAM = os.path.join(os.path.dirname(sys.executable), "jobclusters")


def call(*arguments, **more):
    return command_runner().invoke(main_group, arguments, **more)


def shell(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE, **more)


@pytest.fixture
def raising(monkeypatch):
    """Make a command of its own that raises."""

    def make(error):
        @click.command("fails")
        def command():
            raise error

        monkeypatch.setitem(COMMANDS, "fails", ("jobclusters.cli:fails", "Fail."))
        monkeypatch.setattr(cli, "fails", command, raising=False)
        return call("fails")

    return make


def test_help_imports_neither_dask_nor_a_command():
    code = """
import sys
from jobclusters.cli import main_group
main_group(["--help"], standalone_mode=False)
print(*sorted(sys.modules))
"""
    done = shell(sys.executable, "-c", code, cwd="/")
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"dask", "distributed", "dask_jobqueue", "jinja2", "yaml", "asyncio"}
    assert {name for name in loaded if name.startswith("jobclusters")} == {
        "jobclusters",
        "jobclusters.cli",
        "jobclusters.errors",
    }
    assert "sizes" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = call(name, "--help")
    assert done.exit_code == 0
    assert f"Usage: jobclusters {name}" in done.output
    assert "Example" in done.output
    assert f"jobclusters {name}" in done.output.partition("Example")[2]


def test_the_lines_of_the_list_are_in_its_help():
    listed = call("--help").output
    for name in COMMANDS:
        assert f"\n  {name} " in listed


def test_programs_as_installed():
    assert shell(PROGRAM, "--version").stdout.startswith("jobclusters, version ")
    ours = [ep for ep in entry_points(group="dask_cli") if ep.name == "jobclusters"]
    assert [ep.load() for ep in ours] == [main_group]
    dask = shell(os.path.join(os.path.dirname(PROGRAM), "dask"), "jobclusters", "sizes", "--json")
    assert dask.returncode == 0
    assert len(json.loads(dask.stdout)) == 14


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scirpt"], "unknown command 'scirpt': did you mean 'script'? jobclusters --help lists all "),
        (["script", "--sistem", "slurm"], "--system"),
        (["script", "--system", "slrum"], "slurm"),
        (["script", "--set", "queue"], "'queue' must be KEY=VALUE"),
        (["script", "--set", "a=[1"], "the value is no YAML"),
        (["sizes", "much"], "much"),
    ],
)
def test_wrong_usage_is_2(words, message):
    done = call(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Refused("sbatch failed: no such queue"), 1, "Error: sbatch failed: no such queue\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/file"), 1, "Error: /a/file: Permission denied\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_are_messages(raising, error, status, message):
    done = raising(error)
    assert (done.exit_code, done.stdout, done.stderr) == (status, "", message)


def test_a_mistake_of_ours_is_not_hidden(raising):
    assert isinstance(raising(ValueError("what?")).exception, ValueError)


def test_a_reader_that_leaves_early_gets_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    command = [PROGRAM, "script", "--system", "slurm", "--worker-size", "large"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    os.close(writing)
    assert done.stderr == ""


def test_broken_configuration_files_are_reported_at_once(tmp_path):
    broken = {"a": "jobclusters:\n  sizes: [1", "b": "jobclusters:\n\tsizes: 1", "c": "- jobclusters", "good": "{}"}
    for name, text in broken.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    done = shell(PROGRAM, "config", "--check", env={**os.environ, "DASK_CONFIG": str(tmp_path)})
    assert done.returncode == 1
    lines = done.stderr.removeprefix("Error: ").splitlines()
    places = [f"{tmp_path}/{place}" for place in ("a.yaml, line 2", "b.yaml, line 2", "c.yaml, line 1")]
    assert [line.split(": ")[0] for line in lines[:-1]] == places
    assert lines[-1] == "Dask reads no settings before that is mended."


@pytest.mark.parametrize("key", ["12", "1.5", "2026-01-01", "null", "yes"])
def test_keys_that_dask_cannot_read_are_reported(tmp_path, key):
    """Dask ends with a TypeError that doesn't say in which file, wherever there is a number in the place of a name."""
    (tmp_path / "good.yaml").write_text("jobclusters: {sizes: {}}")
    (tmp_path / "sizes.yaml").write_text(f"jobclusters:\n  sizes:\n    {key}: {{cores: 4, memory: 8 GB}}")
    done = shell(PROGRAM, "config", "--check", env={**os.environ, "DASK_CONFIG": str(tmp_path)})
    says = f"{tmp_path}/sizes.yaml, line 3: the key {key} is no text: write it in quotes, {key!r}"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {says}\nDask reads no settings before that is mended.\n"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion(name):
    done = call("completion", name)
    assert done.exit_code == 0
    assert "_JOBCLUSTERS_COMPLETE" in done.output


def test_completion_completes():
    words = {"_JOBCLUSTERS_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    commands = shell(PROGRAM, env={**os.environ, **words, "COMP_WORDS": "jobclusters s"}).stdout
    assert commands.split() == [f"plain,{name}" for name in ("sizes", "script", "start", "status", "scale")]
    words["COMP_CWORD"] = "2"
    options = shell(PROGRAM, env={**os.environ, **words, "COMP_WORDS": "jobclusters script --worker-s"}).stdout
    assert options.split() == ["plain,--worker-size"]
    words["COMP_CWORD"] = "3"
    sizes = shell(PROGRAM, env={**os.environ, **words, "COMP_WORDS": "jobclusters script --worker-size p3"}).stdout
    assert sizes.split() == ["plain,p32xlarge", "plain,p38xlarge", "plain,p316xlarge"]


# -- sizes ------------------------------------------------------------------------------------------------------


SITE = """
jobclusters:
  sizes:
    large: null
    a100: {cores: 16, memory: 120 GB, gpus: 1, walltime: "04:00:00", slurm: {queue: gpu}, pbs: {queue: gpuq}}
"""


def test_sizes(configure):
    configure(SITE)
    lines = call("sizes").output.splitlines()
    assert lines[0].split() == ["SIZE", "CORES", "MEMORY", "GPUS", "COMES", "WITH"]
    assert not [line for line in lines if line.startswith("large ")]
    assert lines[-1].split(maxsplit=5) == [
        "a100",
        "16",
        "120",
        "GB",
        "1",
        "walltime=04:00:00; slurm: queue=gpu; pbs: queue=gpuq",
    ]
    assert call("sizes", "--system", "pbs").output.splitlines()[-1].endswith("walltime=04:00:00, queue=gpuq")


def test_sizes_as_json(configure):
    configure(SITE)
    size = json.loads(call("sizes", "--json").output)[-1]
    assert size == {
        "name": "a100",
        "label": "a100",
        "cores": 16,
        "memory": 120_000_000_000,
        "gpus": 1,
        "keywords": {"walltime": "04:00:00"},
        "systems": {"slurm": {"queue": "gpu"}, "pbs": {"queue": "gpuq"}},
    }
    size = json.loads(call("sizes", "--json", "--system", "slurm").output)[-1]
    assert (size["keywords"], size["systems"]) == ({"walltime": "04:00:00", "queue": "gpu"}, {})


# -- script -----------------------------------------------------------------------------------------------------


def test_script():
    done = call(
        *("script", "--system", "slurm", "--worker-size", "2xlarge", "--queue", "normal", "--walltime", "12:00:00"),
        *("--set", "qos=high", "--set", "job-extra-directives=[--exclusive, '--mail-user=a b']"),
    )
    assert done.exit_code == 0
    for line in ("--partition=normal", "--cpus-per-task=8", "--time=0-12:00:00", "--qos=high", "--exclusive"):
        assert f"#SBATCH {line}\n" in done.stdout


def test_a_walltime_is_no_number():
    assert (
        "--time=0-12:00:00\n"
        in call("script", "--system", "slurm", "--worker-size", "large", "--set", "walltime=12:00:00").output
    )


def test_script_for_the_system_of_a_configuration(configure):
    configure("jobclusters: {system: sge, configurations: {nightly: {system: pbs, worker-size: large}}}")
    assert "#PBS -N" in call("script", "--configuration", "nightly").output
    assert "#$ -N" in call("script", "--worker-cpu", "1").output


def test_script_as_json():
    done = call("script", "--system", "sge", "--worker-cpu", "1", "--json")
    facts = json.loads(done.stdout)
    assert facts.keys() == {"system", "script", "diff"}
    assert facts["script"] == call("script", "--system", "sge", "--worker-cpu", "1").stdout
    assert (facts["system"], facts["diff"]) == ("sge", None)


def test_all_problems_of_a_script_are_reported():
    done = call("script", "--system", "slurm", "--worker-size", "lrge", "--walltime", "soon", "--set", "quue=x")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: 3 problems:\n")


@pytest.fixture
def template(tmp_path):
    (tmp_path / "slurm.sh.j2").write_text(
        '{% extends "jobclusters/slurm.sh.j2" %}\n{% block prologue %}\nulimit -n 65536\n{{ super() }}{% endblock %}\n'
    )
    return tmp_path / "slurm.sh.j2"


CALL = ("script", "--system", "slurm", "--worker-size", "large")


def test_diff_with_the_sites_template(configure, template):
    same = call(*CALL, "--diff")
    assert (same.exit_code, same.stdout, same.stderr) == (0, "", "No difference.\n")
    given = call(*CALL, "--diff", str(template))
    configure(site=f"jobclusters: {{template-dirs: {template.parent}}}")
    configured = call(*CALL, "--diff")
    for done in (given, configured):
        assert done.exit_code == 1
        changed = [line for line in done.stdout.splitlines()[2:] if line[0] in "+-"]
        assert changed == ["+ulimit -n 65536"]
    assert json.loads(call(*CALL, "--diff", "--json").stdout)["diff"] == configured.stdout


def test_diff_with_a_script_of_ones_own(tmp_path):
    path = tmp_path / "old.sh"
    path.write_text(call(*CALL).stdout.replace("--mem=15259M", "--mem=1G"))
    done = call(*CALL, "--diff", str(path))
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines()[2:] if line[0] in "+-"] == [
        "-#SBATCH --mem=1G",
        "+#SBATCH --mem=15259M",
    ]


@pytest.mark.parametrize("name", ["/no/such.sh", "/no/slurm.sh.j2", "/no/such.j2", "/"])
def test_diff_with_nothing(name):
    done = call(*CALL, "--diff", name)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {name}")
    assert done.stdout == ""


def test_a_wrong_template_is_reported(template, configure):
    template.write_text("{{ spec.quue }}")
    configure(site=f"jobclusters: {{template-dirs: {template.parent}}}")
    done = call(*CALL)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {template}, line 1: ")


def test_colours_only_where_they_are_wanted(template, monkeypatch):
    assert "\x1b[32m" in call(*CALL, "--diff", str(template), color=True).stdout
    assert "\x1b[" not in call(*CALL, "--diff", str(template)).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in call(*CALL, "--diff", str(template), color=True).stdout


# -- config -----------------------------------------------------------------------------------------------------


def test_config_tells_files(configure, home, monkeypatch):
    configure(
        user="jobclusters: {adaptive: {maximum_jobs: 7}}\njobqueue: {slurm: {queue: mine}}",
        site="jobclusters: {queues: {slurm: {my-long: {cores: 4}}, pbs: {x: {cores: 1}}}}\njobqueue: {slurm: {account: lab}}",
    )
    facts = json.loads(call("config", "--system", "slurm", "--json").stdout)
    assert facts["system"] == "slurm"
    assert facts["files"] == [str(home / "user" / "settings.yaml"), str(home / "site" / "settings.yaml")]
    assert facts["problems"] == []
    found = {each["key"]: (each["value"], each["source"]) for each in facts["settings"]}
    assert found["jobclusters.adaptive.maximum-jobs"] == (7, str(home / "user" / "settings.yaml"))
    assert found["jobclusters.queues.slurm.my-long"] == ({"cores": 4}, str(home / "site" / "settings.yaml"))
    assert found["jobclusters.memory-headroom"] == (0.1, "default")
    assert found["jobqueue.slurm.account"] == ("lab", f"jobqueue.slurm.account in {home}/site/settings.yaml")
    assert found["jobqueue.slurm.walltime"] == ("00:30:00", "default")
    assert not [key for key in found if "pbs" in key]


def test_config_of_a_job(configure, home):
    configure("jobqueue: {slurm: {queue: mine}}")
    done = call("config", "--system", "slurm", "--worker-size", "large")
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["cores"].endswith("size 'large'")
    assert lines["queue"].endswith(f"jobqueue.slurm.queue in {home}/user/settings.yaml")


def test_config_tells_what_is_wrong_and_shows_the_rest(configure):
    configure("jobclusters: {memory-headroom: 2}")
    done = call("config", "--system", "slurm")
    assert done.exit_code == 1
    assert "jobqueue.slurm.walltime" in done.stdout
    assert "jobclusters.memory-headroom must be a share between 0 and 0.5, not 2" in done.stderr
    facts = call("config", "--system", "slurm", "--json")
    assert facts.exit_code == 1
    assert len(json.loads(facts.stdout)["problems"]) == 1


# -- demo -------------------------------------------------------------------------------------------------------


def test_demo_runs():
    done = shell(PROGRAM, "demo")
    assert done.returncode == 0, done.stderr
    assert "Result: 3.14159" in done.stdout
    assert "Jobs left in the queue: 0." in done.stdout


def test_ctrl_c_leaves_nothing_behind(configure):
    configure("jobqueue: {local: {job-script-prologue: [sleep 600]}}")  # it isn't to be over before
    process = subprocess.Popen([PROGRAM, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "cluster.scale" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("Interrupted.\n")
