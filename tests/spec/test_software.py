"""Software around the workers' Python: read, printed, and run by real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from jobclusters import InvalidRequest, JobsFailed, LocalQueueCluster, job_script
from tests.helpers.waiting import PATIENCE

SHELLS = [name for name in ("sh", "bash", "dash", "ksh") if shutil.which(name)]
LARGE = {"worker_size": "large"}

#: In place of an interpreter: prints its path and its arguments.
PYTHON = """#!/bin/sh
echo "python is $0"
echo "conda is ${CONDA_PREFIX-none}, venv is ${VIRTUAL_ENV-none}"
for word; do echo "word: $word"; done
"""

#: What Environment Modules' and Lmod's init/sh do, cut down.
MODULES = """
module() {
  for each; do
    [ "$each" != broken ] || { echo "module: $each is not there" >&2; return 1; }
  done
  for each; do echo "module $each"; done
  export GCC_HOME=/opt/gcc
}
"""

#: What ``conda shell.posix hook`` does, cut down.
CONDA = """#!/bin/sh
[ "$*" = "shell.posix hook" ] || exit 3
cat <<'END'
conda() {
  [ "$2" = good ] || { echo "EnvironmentNameNotFound: $2" >&2; return 1; }
  export CONDA_PREFIX="$ENVIRONMENTS/$2"
  export PATH="$CONDA_PREFIX/bin:$PATH"
}
END
"""


def program(path, text=PYTHON):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Node:
    """A place to run scripts in, where ``python`` is the wrong one."""

    def __init__(self, root):
        self.root = root
        self.wrong = program(root / "usual bin" / "python")
        self.environment = {
            "PATH": f"{self.wrong.parent}:{os.environ['PATH']}",
            "HOME": str(root / "home dir"),
        }

    def run(self, shell, software, before=(), system="slurm", **keywords):
        text = job_script(
            system, software=software, job_script_prologue=before, security=False, **{**LARGE, **keywords}
        )
        path = self.root / "job.sh"
        path.write_text(text)
        command = [shutil.which(shell), str(path)]
        return subprocess.run(
            command, env=self.environment, cwd=self.root, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def works(self, shell, software, **keywords):
        done = self.run(shell, software, **keywords)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def fails(self, shell, software, words, **keywords):
        done = self.run(shell, software, **keywords)
        assert done.returncode != 0
        assert words in done.stderr
        assert "python is" not in done.stdout, "a worker was started in another Python"


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


every_shell = pytest.mark.parametrize("shell", SHELLS)


# -- modules -----------------------------------------------------------------------------------------------------------


@every_shell
@pytest.mark.parametrize("variable", ["MODULESHOME", "LMOD_PKG"])
def test_modules_are_loaded_in_a_shell_that_does_not_know_them(node, shell, variable):
    program(node.root / "the modules" / "init" / "sh", MODULES)
    node.environment[variable] = str(node.root / "the modules")
    out = node.works(
        shell, {"modules": ["gcc/12", "my module"], "environment": {"CC": "$GCC_HOME/bin/gcc"}}, python="python"
    )
    assert out.startswith("module load\nmodule gcc/12\nmodule my module\n")
    assert f"python is {node.wrong}\n" in out, "modules alone leave Python as it is"


@every_shell
def test_a_shell_that_knows_modules_is_left_alone(node, shell):
    program(node.root / "init" / "sh", "echo read again")
    node.environment["MODULESHOME"] = str(node.root)
    assert node.works(shell, {"modules": "gcc python/3.12"}, before=[MODULES], python="python").startswith(
        "module load\nmodule gcc\nmodule python/3.12\n"
    )


@every_shell
def test_a_module_that_is_not_there(node, shell):
    node.fails(shell, {"modules": ["gcc", "broken"]}, "module: broken is not there", before=[MODULES], python="python")


@every_shell
def test_no_modules_at_all(node, shell):
    node.environment["MODULESHOME"] = str(node.root / "nowhere")
    node.fails(shell, {"modules": ["jobclusters-has-no-such-module"]}, "module", python="python")


# -- conda -------------------------------------------------------------------------------------------------------------


@every_shell
@pytest.mark.parametrize("known_by", ["PATH", "CONDA_EXE"])
def test_conda_by_name(node, shell, known_by):
    conda = program(node.root / "my conda" / "conda", CONDA)
    node.environment["ENVIRONMENTS"] = str(node.root / "my envs")
    python = program(node.root / "my envs" / "good" / "bin" / "python")
    if known_by == "PATH":
        node.environment["PATH"] = f"{conda.parent}:{node.environment['PATH']}"
    else:
        node.environment["CONDA_EXE"] = str(conda)
    out = node.works(shell, {"conda": "good"})
    assert f"python is {python}\nconda is {python.parent.parent}, venv is none\n" in out
    node.fails(shell, {"conda": "bad"}, "EnvironmentNameNotFound: bad")
    python.unlink()
    node.fails(shell, {"conda": "good"}, str(python))


@every_shell
def test_no_conda(node, shell):
    node.environment["PATH"] = f"{node.wrong.parent}:/usr/bin:/bin"
    node.fails(shell, {"conda": "good"}, "conda")


@every_shell
def test_conda_by_directory(node, shell):
    prefix = node.root / "an env's dir"
    python = program(prefix / "bin" / "python")
    program(prefix / "etc" / "conda" / "activate.d" / "a.sh", 'echo "activated $CONDA_PREFIX"\n')
    out = node.works(shell, {"conda": str(prefix)})
    assert out.startswith(f"activated {prefix}\npython is {python}\nconda is {prefix}, venv is none\n")
    python.unlink()
    node.fails(shell, {"conda": str(prefix)}, str(python))


@every_shell
@pytest.mark.parametrize("more", [{}, {"python": "python"}])
def test_a_conda_directory_that_is_not_there(node, shell, more):
    node.fails(shell, {"conda": str(node.root / "nowhere"), **more}, "nowhere: not found")


# -- venv --------------------------------------------------------------------------------------------------------------


def make_venv(path):
    """Make a real one that sees the packages of this Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    (packages,) = path.glob("lib/python*/site-packages")
    (packages / "base.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return path


@every_shell
def test_venv(node, shell):
    venv = make_venv(node.root / "home dir" / "my venv")
    text = "import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV'], sys.argv[1:3])"
    (venv / "look.py").write_text(text)
    out = node.works(shell, {"venv": "~/my venv", "environment": {"PYTHONPATH": str(venv)}}, worker_command="look one")
    assert out == f"{venv} {venv} ['one', 'tcp://<insert-scheduler-address-here>:8786']\n"


@every_shell
def test_a_venv_that_is_not_there(node, shell):
    node.fails(shell, {"venv": str(node.root / "nowhere")}, "nowhere/bin/activate")


@every_shell
def test_a_venv_whose_python_has_gone_or_that_was_moved(node, shell):
    venv = make_venv(node.root / "old")
    venv = venv.rename(node.root / "new")  # bin/activate still names the old place
    (venv / "look.py").write_text("import sys; print(sys.prefix)")
    software = {"venv": str(venv), "environment": {"PYTHONPATH": str(venv)}}
    assert node.works(shell, software, worker_command="look") == f"{venv}\n"
    (venv / "bin" / "python").unlink()
    node.fails(shell, {"venv": str(venv)}, "new/bin/python")


# -- container ---------------------------------------------------------------------------------------------------------

CONTAINER = """#!/bin/sh
echo "run by $(basename "$0")"
while [ $# -gt 0 ]; do
  echo "argument: $1"
  case $1 in *.sif|docker://*) shift; break;; esac
  shift
done
exec "$@"
"""


@every_shell
@pytest.mark.parametrize("there", [["apptainer"], ["singularity"], ["apptainer", "singularity"]])
def test_container(node, shell, there):
    for name in there:
        program(node.root / "runtime" / name, CONTAINER)
    node.environment["PATH"] = f"{node.root}/runtime:{node.wrong.parent}:/usr/bin:/bin"
    options = ["--bind /data", "--cleanenv"]
    out = node.works(shell, {"container": "~/my image.sif", "container_options": options})
    image = f"{node.environment['HOME']}/my image.sif"
    assert out.startswith(
        f"run by {there[0]}\n"
        + "".join(f"argument: {each}\n" for each in ("exec", "--bind", "/data", "--cleanenv", image))
        + f"python is {node.wrong}\n"
    )


@every_shell
def test_gpus_bring_their_driver_into_a_container(node, shell):
    program(node.root / "runtime" / "mine", CONTAINER)
    software = {"container": "docker://rapids", "container_command": f"'{node.root}/runtime/mine'", "python": "python"}
    out = node.works(shell, software, worker_size="g4dnxlarge")
    assert out.startswith("run by mine\nargument: exec\nargument: --nv\nargument: docker://rapids\npython is")


@every_shell
def test_no_container_runtime(node, shell):
    node.environment["PATH"] = f"{node.wrong.parent}:/usr/bin:/bin"
    node.fails(shell, {"container": "x.sif"}, "apptainer")


# -- variables ---------------------------------------------------------------------------------------------------------


@every_shell
def test_environment(node, shell):
    program(
        node.root / "bin" / "python", '#!/bin/sh\nprintf "%s|" "$PLAIN" "$QUOTES" "$EMPTY" "$WHERE" "$NUMBER" "$PATH"\n'
    )
    variables = {
        "PLAIN": "a b",
        "QUOTES": """it's "so"; $(date) stays?""".replace("$(date)", "\\"),
        "EMPTY": None,
        "NUMBER": 4,
        "WHERE": "~/x/$NUMBER",
        "PATH": f"{node.root}/bin:$PATH",
    }
    out = node.works(shell, {"environment": variables}, python="python")
    assert out.split("|")[:-1] == [
        "a b",
        """it's "so"; \\ stays?""",
        "",
        f"{node.environment['HOME']}/x/4",
        "4",
        f"{node.root}/bin:{node.environment['PATH']}",
    ]


@every_shell
@pytest.mark.parametrize("variable", ["MODULESHOME", "LMOD_PKG"])
@pytest.mark.parametrize("software", [{"modules": "gcc"}, {"conda": "PREFIX"}, {"venv": "PREFIX"}])
def test_strict_shells(node, shell, software, variable):
    prefix = make_venv(node.root / "x")
    (prefix / "look.py").write_text("print('here')")
    software = {key: value.replace("PREFIX", str(prefix)) for key, value in software.items()}
    software["environment"] = {"PYTHONPATH": str(prefix)}
    program(node.root / "init" / "sh", MODULES)
    node.environment[variable] = str(node.root)
    assert node.works(shell, software, before=["set -eu"], worker_command="look").endswith("here\n")


@every_shell
def test_each_worker_of_several_gets_the_software(node, shell):
    python = program(node.root / "env" / "bin" / "python")
    out = node.works(
        shell, {"conda": str(node.root / "env")}, worker_size="p38xlarge", job_script_epilogue=["echo finished"]
    )
    assert out.count(f"python is {python}\n") == 4
    assert out.endswith("finished\n")


# -- versions ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def other_distributed(node):
    """Make a distributed of version 1.2.3 whose worker tells what it got."""
    program(
        node.root / "lib" / "distributed" / "__init__.py",
        "import logging; __version__ = '1.2.3'\nlogging.basicConfig(level=20)",
    )
    program(node.root / "lib" / "distributed" / "cli" / "__init__.py", "")
    program(
        node.root / "lib" / "distributed" / "cli" / "dask_worker.py",
        "import sys\nprint(__name__, __spec__.name, sys.modules['__main__'].__dict__ is globals(), sys.argv, sep='|')",
    )
    return {"python": sys.executable, "environment": {"PYTHONPATH": str(node.root / "lib")}}


@every_shell
@pytest.mark.parametrize(
    ("python", "distributed", "words"),
    [
        (None, "1.2.3", "they match"),
        ("3.99.1", "1.2.3", "tasks may fail, so give both the same software"),
        (None, "1.2.4", "tasks may fail, so give both the same software"),
    ],
)
def test_versions_are_compared_in_one_line(node, other_distributed, monkeypatch, shell, python, distributed, words):
    here = ".".join(map(str, sys.version_info[:3]))
    python = python or here
    monkeypatch.setattr("jobclusters.config.settings.version", lambda name: distributed)
    monkeypatch.setattr("jobclusters.config.settings.platform.python_version", lambda: python)
    done = node.run(shell, other_distributed)
    level = "INFO" if words == "they match" else "WARNING"
    assert done.stderr == (
        f"{level}:distributed.worker:Python {here} and distributed 1.2.3 here,"
        f" Python {python} and distributed {distributed} at the scheduler: {words}\n"
    )
    name, spec, main, argv = done.stdout.strip().split("|")
    assert (name, spec, main) == ("__main__", "distributed.cli.dask_worker", "True"), "as python -m would have it"
    assert argv.startswith(f"['{node.root}/lib/distributed/cli/dask_worker.py', 'tcp://")


@every_shell
def test_a_python_without_distributed_says_so(node, shell):
    script = "import sys; sys.path = [path for path in sys.path if 'site-packages' not in path]"
    (node.root / "sitecustomize.py").write_text(script)
    done = node.run(shell, {"python": f"{sys.executable} -S"})
    assert done.returncode != 0
    assert "No module named 'distributed'" in done.stderr


def test_workers_in_the_schedulers_own_python_compare_nothing():
    assert "at the scheduler" not in job_script("slurm", **LARGE)
    assert "at the scheduler" not in job_script(
        "slurm", **LARGE, software={"modules": ["gcc"], "environment": {"A": 1}}
    )
    assert "at the scheduler" not in job_script("slurm", **LARGE, python="python3", worker_command="mine.worker")
    assert "at the scheduler" in job_script("slurm", **LARGE, python="python3")


def test_a_site_that_replaces_the_software_block_still_starts_workers(node, tmp_path):
    (tmp_path / "slurm.sh.j2").write_text(
        '{% extends "jobclusters/slurm.sh.j2" %}{% block software %}\necho ours\n{% endblock %}\n'
    )
    python = program(node.root / "env" / "bin" / "python")
    out = node.works("sh", {"python": str(python)}, template_dirs=[tmp_path])
    assert out.startswith(f"ours\npython is {python}\n")
    assert "\nrunpy.run_module(" in out
    assert "word: distributed.cli.dask_worker\n" in out


@pytest.mark.parametrize("system", ["slurm", "pbs", "torque", "moab", "lsf", "sge", "htcondor", "local"])
def test_every_system_has_the_block(system):
    more = {"parallel_environment": "smp"} if system == "sge" else {}
    text = job_script(system, **LARGE, **more, software={"modules": ["gcc"]}, job_script_prologue=["echo before"])
    assert text.index("echo before") < text.index("module load gcc || exit") < text.index("\nname=")


@pytest.mark.parametrize(
    "software",
    [
        {"modules": ["gcc", "my module"], "venv": "~/it's"},
        {"conda": "my env", "environment": {"A": "it's", "B": "$HOME/x"}},
        {"conda": "/opt/my env"},
        {"container": "docker://x", "dask_cuda": True},
    ],
)
@pytest.mark.parametrize("size", ["large", "p38xlarge"])
def test_shellcheck_finds_nothing(software, size):
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    text = job_script("slurm", worker_size=size, software=software)
    done = subprocess.run(
        [program, "--exclude=SC1090,SC1091", "-"],  # it can't read what is found on the node
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("software", "words"),
    [
        (5, "software must be a mapping with some of modules, conda, venv"),
        (True, "software must be a mapping"),
        (["gcc"], "software must be a mapping"),
        ("pydat", "unknown software 'pydat': did you mean 'pydata'? Valid: 12, pydata"),
        ("gone", "unknown software 'gone'"),
        ("12", "jobclusters.software.12 must be a mapping"),
        ({"module": "gcc"}, "software: unknown key 'module': did you mean 'modules'?"),
        ({"modules": {"gcc": 12}}, "software: modules must be a list of names, such as ['gcc/12'], not {'gcc': 12}"),
        ({"modules": 5}, "software: modules must be a list of texts"),
        ({"modules": [["gcc"]]}, "software: modules must be text, not ['gcc']"),
        ({"modules": ["a\nb"]}, "can't hold line breaks"),
        ({"conda": "a", "venv": "/b"}, "software: conda and venv each bring a Python: give only one of them"),
        ({"conda": ["a"]}, "software: conda must be text, not ['a']"),
        ({"venv": "a\nb"}, "can't hold line breaks"),
        ({"python": ["python", "-u"]}, "software: python must be text, not ['python', '-u']"),
        ({"python": "py'thon"}, "can't be read by a shell"),
        (
            {"container": "x", "container_options": "--nv"},
            "software: container_options must be a list of texts, such as ['--nv']",
        ),
        ({"dask_cuda": "yes"}, "software: dask_cuda must be True or False, not 'yes'"),
        ({"environment": ["A=1"]}, "software: environment must be a mapping of variables to values"),
        ({"environment": {"A B": 1, "2": 3}}, "software: environment: A B, 2 can't be the name of a variable"),
        ({"environment": {"A": True}}, "software: environment: A is True: write it in quotes, as the program reads it"),
        ({"environment": {"A": [1]}}, "software: A must be text, not [1]"),
        ({"environment": {"A": "x\n#$ -q other"}}, "can't hold line breaks"),
        ({"environment": {"A": "$(date"}}, "can't be read by a shell: no closing )"),
    ],
)
def test_what_cannot_be_read(configure, software, words):
    configure(site="jobclusters: {software: {pydata: {conda: pydata}, gone: null, '12': 13}}")
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", **LARGE, software=software)
    assert words in str(caught.value)


@pytest.mark.parametrize("software", ["", {}, {"venv": "", "conda": None, "modules": [], "environment": {}}])
def test_no_software_takes_the_sites_away(configure, software):
    configure(site="jobqueue: {slurm: {software: {conda: pydata}}}")
    assert "conda activate pydata" in job_script("slurm", **LARGE)
    assert "conda" not in job_script("slurm", **LARGE, software=software)


def test_a_users_file_changes_a_part_of_the_sites_software(configure):
    configure(
        site="jobclusters: {software: {pydata: {modules: [gcc], conda: old}}}",
        user="jobclusters: {software: {pydata: {conda: new}}}",
    )
    text = job_script("slurm", **LARGE, software="pydata")
    assert "module load gcc ||" in text
    assert "conda activate new ||" in text


# -- a real cluster ----------------------------------------------------------------------------------------------------


def versions_line(cluster):
    lines = "".join(cluster.get_job_logs().values()).splitlines()
    (line,) = [line for line in lines if "at the scheduler:" in line]
    return line


LOOK = "lambda dask_worker: (sys.prefix, os.environ['COLOUR'], dask_worker.preloaded)"


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    return make_venv(tmp_path_factory.mktemp("a venv") / "it")


def test_workers_live_in_a_venv(venv, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def dask_setup(worker): worker.preloaded = 'mine'\n")
    variables = {"COLOUR": "dark blue", "DASK_DISTRIBUTED__WORKER__PRELOAD": str(tmp_path / "mine.py")}
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    with (
        LocalQueueCluster(
            n_workers=1, cores=1, memory="1 GiB", software={"venv": str(venv), "environment": variables}
        ) as cluster,
        cluster.get_client() as client,
    ):
        client.wait_for_workers(1, timeout=PATIENCE)
        (seen,) = client.run(eval(LOOK, {"sys": sys, "os": os})).values()  # by value: workers don't have this module
        assert seen == (str(venv), "dark blue", "mine"), "and the user's own preload isn't forgotten"
        line = versions_line(cluster)
    assert "- INFO -" in line
    assert line.endswith("they match")


def test_workers_of_another_version_say_so(venv, monkeypatch):
    monkeypatch.setattr("jobclusters.config.settings.version", lambda name: "1999.1.0")
    with (
        LocalQueueCluster(n_workers=1, cores=1, memory="1 GiB", software={"venv": str(venv)}) as cluster,
        cluster.get_client() as client,
    ):
        client.wait_for_workers(1, timeout=PATIENCE)
        line = versions_line(cluster)
    assert "- WARNING -" in line
    assert "and distributed 1999.1.0 at the scheduler: tasks may fail, so give both the same software" in line


def test_a_venv_that_is_not_there_is_reported_at_once():
    with (
        LocalQueueCluster(n_workers=1, cores=1, memory="1 GiB", software={"venv": "/nowhere"}) as cluster,
        pytest.raises(JobsFailed, match="/nowhere/bin/activate"),
    ):
        cluster.wait_for_workers(1, timeout=PATIENCE)
