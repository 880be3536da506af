"""Job scripts: compared whole with tests/scripts/, checked by shells and shellcheck, and run.

After a change of the templates: ``pytest tests/test_script.py --rewrite-scripts``, and read the difference.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sysconfig
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobclusters import job_script
from jobclusters.batch.script import command, directive, render, shell
from jobclusters.config import settings as config
from jobclusters.config.keywords import job_keywords
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, TemplateError
from jobclusters.jobs.record import job_of
from tests.helpers.golden import CASES, HEADS, SILENT, SIZES, SMALL, script, site
from tests.helpers.waiting import PATIENCE, until

SCRIPTS = Path(__file__).parents[1] / "scripts"

SITE_TEMPLATE = """\
{% extends "jobclusters/slurm.sh.j2" %}
{% block directives %}
{{ super() }}
#SBATCH --licenses=dask
{% endblock %}
{% block prologue %}
module load site/default
{{ super() }}
{% endblock %}
"""


def compare(text, file, request):
    if request.config.getoption("--rewrite-scripts"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("case", CASES)
def test_script(case, request, tmp_path):
    template_dirs = ()
    if case == "slurm-site-template":
        (tmp_path / "slurm.sh.j2").write_text(SITE_TEMPLATE)
        template_dirs = (str(tmp_path),)
    text = script(case.partition("-")[0], template_dirs=template_dirs, **CASES[case])
    compare(text, SCRIPTS / f"{case}.sh", request)


@pytest.mark.parametrize("case", SIZES)
def test_sizes(case, request):
    """All of a system in one file, to be read from the smallest to the largest."""
    texts = {size: script(case.partition("-")[0], **keywords) for size, keywords in SIZES[case].items()}
    text = "".join(f"======== {size}\n{text}\n" for size, text in texts.items())
    compare(text, SCRIPTS / f"{case}.txt", request)


def test_there_are_no_other_scripts():
    assert {file.name for file in SCRIPTS.iterdir()} == {
        *(f"{c}.sh" for c in (*CASES, *HEADS)),
        *(f"{c}.txt" for c in SIZES),
    }


def changes(system, keywords, keyword):
    """Tell whether the script would be another without this keyword, or none."""
    try:
        return script(system, **{k: v for k, v in keywords.items() if k != keyword}) != script(system, **keywords)
    except InvalidRequest:
        return True


@pytest.mark.parametrize("system", DIALECTS)
def test_every_keyword_is_seen_in_a_golden_script(system):
    """A keyword in no case of golden.py, or without an effect in any of them, has not been looked at."""
    valid = job_keywords(DIALECTS[system])
    cases = [keywords for case, keywords in CASES.items() if case.partition("-")[0] == system]
    given = {keyword for keywords in cases for keyword in keywords if keyword in valid}
    seen = {word for word in given if any(changes(system, each, word) for each in cases if word in each)}
    assert (valid - given, given - seen) == (set(), SILENT.get(system, set()))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Give a file for each golden script, those of the sizes included."""
    directory = tmp_path_factory.mktemp("scripts")
    for file in SCRIPTS.iterdir():
        if file.suffix == ".sh":
            (directory / file.name).write_text(file.read_text())
        else:
            _, *parts = re.split(r"^======== (.*)\n", file.read_text(), flags=re.MULTILINE)
            for size, text in zip(parts[::2], parts[1::2], strict=True):
                (directory / f"{file.stem}-{size}.sh").write_text(text)
    assert len(list(directory.iterdir())) == len(CASES) + len(HEADS) + sum(map(len, SIZES.values()))
    return sorted(directory.iterdir())


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_can_read_the_scripts(shell, files):
    for file in files:
        subprocess.run([shell, "-n", file], check=True)


def test_shellcheck_finds_nothing(files):
    program = Path(sysconfig.get_path("scripts"), "shellcheck")
    # Which file of modules or of an environment is sourced is known on the node only.
    done = subprocess.run([program, "--exclude=SC1090", *files], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


# -- the head of a script ------------------------------------------------------------------------------------------


def head(text, mark="#SBATCH"):
    """Read directives as sbatch does: words, quotes, comments."""
    return [shlex.split(line, comments=True) for line in re.findall(rf"^{mark} (.*)$", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("skip", "gone"),
    [
        (["-t"], ["--time"]),
        (["--time"], ["--time"]),
        (["-c"], ["--cpus-per-task"]),
        (["-n", "-N"], ["--nodes", "--ntasks"]),
        (["--mem"], ["--mem"]),
        (["--mem="], ["--mem"]),
        (["#SBATCH --mem"], ["--mem"]),
        (["--mem=1024M"], ["--mem"]),
        (["--mem 1024M"], ["--mem"]),
        (["-n 1"], ["--ntasks"]),
        (["-n 2", "--mem=4G", "--me", "--memory", "-x", ""], []),
        (["mem"], ["--mem"]),
        (["#SBATCH mem"], ["--mem"]),
        (["my job"], ["--job-name"]),
        (["tasks", "cpus"], ["--ntasks", "--cpus-per-task"]),
        (["-p", "-o"], []),
        (["-n1"], ["--ntasks"]),
        (["--job-name=my job"], ["--job-name"]),
    ],
)  # fmt: skip
def test_directives_skip(skip, gone):
    def options(**keywords):
        return {words[0].partition("=")[0] for words in head(script(**SMALL, job_name="my job", **keywords))}

    assert options() - options(job_directives_skip=skip) == set(gone)


def test_skipping_leaves_what_was_asked_for():
    kept = script(**SMALL, job_directives_skip=["--mem"], job_extra_directives=["--mem=0"])
    assert [words for words in head(kept) if "--mem" in words[0]] == [["--mem=0"]]


# -- quoting -------------------------------------------------------------------------------------------------------

HOSTILE = ["$(reboot)", "`reboot`", "; reboot", "a'b", 'a"b', "a\\b", "a\\\\b", "\\", "a b", "&&", "*", "!x", "#x", "~root", "é", "", "{a,b}", "<x", "-x"]  # fmt: skip


def echo(text, **variables):
    """Let bash print a word."""
    return subprocess.run(
        ["bash", "-c", f"printf %s {text}"], env=variables, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("word", [*HOSTILE, "$HOME", "~/x", "${X:-y}"])
def test_shell_gives_back_the_word(word):
    assert echo(shell(word), HOME="/home/me") == word


def test_command_keeps_words_apart():
    assert shlex.split(command(["a b", "", "$X"])) == ["a b", "", "$X"]


@pytest.mark.parametrize("value", [word for word in HOSTILE if word])
def test_directive_gives_back_the_value(value):
    assert shlex.split(f"--x={directive(value)}", comments=True) == [f"--x={value}"]


# -- what the scripts do -------------------------------------------------------------------------------------------

PYTHON = """\
#!/bin/bash
# Takes the place of python: writes down its GPU and its words, and each TERM. With WAITS it works until a TERM and a file.
exec {nothing}<> <(:)  # opened once: bash can't read a trap while it reads this
trap 'echo TERM >> "$RECORD/term-$$"' TERM
printf '%s\\0' "$CUDA_VISIBLE_DEVICES" "$@" > "$RECORD/.new-$$"
mv "$RECORD/.new-$$" "$RECORD/call-$$"
until [[ -z $WAITS || -e $RECORD/term-$$ && -e $RECORD/end ]] || ((SECONDS > 60)); do read -rt 0.01 -u "$nothing"; done
exit "${STATUS:-0}"
"""


class Run:
    """Runs job scripts with a python that only takes notes."""

    def __init__(self, directory):
        self.directory = directory
        self.records = directory / "records"
        self.records.mkdir()
        (directory / "bin").mkdir()
        (directory / "bin" / "python").write_text(PYTHON)
        (directory / "bin" / "python").chmod(0o755)

    def start(self, text, **variables):
        for file in self.records.iterdir():
            file.unlink()
        file = self.directory / "job.sh"
        file.write_text(text)
        paths = {"PATH": f"{self.directory / 'bin'}:/usr/bin:/bin", "RECORD": str(self.records)}
        return subprocess.Popen(
            ["bash", file], env={**paths, **variables}, cwd=self.directory, stdout=subprocess.PIPE, text=True
        )

    def calls(self):
        """Give the GPU and the words of each call, in the order of the workers' names."""
        found = [file.read_text().split("\0")[:-1] for file in self.records.glob("call-*")]
        found = [[gpu, *(words[3:] if words[2] == "python" else words)] for gpu, *words in found]  # without "$start"
        return sorted(((gpu, words) for gpu, *words in found), key=lambda call: call[1])

    def count_terms(self):
        """Count the TERMs of each worker that got any."""
        return [len(file.read_text().split()) for file in self.records.glob("term-*")]

    def __call__(self, text, **variables):
        """Run to the end; give the only call's words."""
        with self.start(text, **variables) as job:
            job.communicate(timeout=PATIENCE)
        assert job.returncode == int(variables.get("STATUS", 0))
        ((_, words),) = self.calls()
        return words


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def name_of(words):
    return words[words.index("--name") + 1]


HANDOVER = "jobclusters.preload"


@pytest.mark.parametrize(
    ("system", "variables", "place"),
    [
        ("pbs", {"PBS_O_WORKDIR": "project"}, "project"),
        ("torque", {"PBS_O_WORKDIR": "project"}, "project"),
        ("torque", {"PBS_O_WORKDIR": "project", "PBS_O_INITDIR": "own"}, "own"),
        ("pbs", {"PBS_O_WORKDIR": "gone"}, "."),
        ("pbs", {}, "."),
        ("slurm", {}, "."),
    ],
)
def test_jobs_work_where_they_were_submitted(run, system, variables, place):
    for name in ("my project", "my own"):
        (run.directory / name).mkdir()
    variables = {key: str(run.directory / f"my {name}") for key, name in variables.items()}
    run(script(system, **SMALL, job_script_prologue=['pwd > "$RECORD/../where"']), **variables)
    expected = run.directory if place == "." else run.directory / f"my {place}"
    assert (run.directory / "where").read_text().strip() == str(expected)


def test_worker_command(run):
    words = run(script(**SMALL, death_timeout=60))
    assert words == [
        *("-m", "distributed.cli.dask_worker", "tcp://10.0.0.1:8786", "--name", "dask-worker", "--nthreads", "1"),
        *("--memory-limit", "921MiB", "--preload", HANDOVER, "--preload-nanny", HANDOVER),
        *("--nanny", "--death-timeout", "60", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
    ]


@pytest.mark.parametrize(
    ("system", "first", "variables", "name"),
    [
        ("slurm", None, {}, "C-3"),
        ("slurm", None, {"SLURM_ARRAY_TASK_ID": "5"}, "C-3"),
        ("slurm", None, {"SLURM_RESTART_COUNT": "2"}, "C-3-r2"),
        ("slurm", None, {"SLURM_RESTART_COUNT": ""}, "C-3"),
        ("slurm", 0, {"SLURM_ARRAY_TASK_ID": "0"}, "C-3-0"),
        ("slurm", 7, {"SLURM_ARRAY_TASK_ID": "5"}, "C-3-12"),
        ("slurm", 7, {"SLURM_ARRAY_TASK_ID": "5", "SLURM_RESTART_COUNT": "1"}, "C-3-12-r1"),
        ("pbs", None, {"PBS_ARRAY_INDEX": "5"}, "C-3"),
        ("pbs", 7, {"PBS_ARRAY_INDEX": "0"}, "C-3-7"),
        ("torque", 7, {"PBS_ARRAYID": "5"}, "C-3-12"),
        ("lsf", None, {"LSB_JOBINDEX": "0"}, "C-3"),
        ("lsf", 7, {"LSB_JOBINDEX": "1"}, "C-3-7"),
        ("sge", None, {"SGE_TASK_ID": "undefined", "RESTARTED": "0"}, "C-3"),
        ("sge", 7, {"SGE_TASK_ID": "1"}, "C-3-7"),
        ("htcondor", None, {"JOBCLUSTERS_PROC_ID": "0", "JOBCLUSTERS_STARTS": "0"}, "C-3"),
        ("htcondor", 7, {"JOBCLUSTERS_PROC_ID": "0", "JOBCLUSTERS_STARTS": "2"}, "C-3-7-r2"),
        ("local", None, {}, "C-3"),
        ("local", 7, {"JOBCLUSTERS_TASK_ID": "5"}, "C-3-12"),
    ],
)
def test_worker_name(run, system, first, variables, name):
    assert name_of(run(script(system, **SMALL, first=first, worker_name="C-3"), **variables)) == name


@pytest.mark.parametrize(
    ("system", "first", "variables"),
    [
        ("sge", None, {"SGE_TASK_ID": "undefined", "RESTARTED": "1"}),
        ("sge", 7, {"SGE_TASK_ID": "3", "RESTARTED": "1"}),
        ("lsf", None, {"LSB_JOBINDEX": "0", "LSB_RESTART": "Y"}),
        ("lsf", 7, {"LSB_JOBINDEX": "3", "LSB_RESTART": "Y"}),
    ],
)
def test_each_restart_has_a_name_of_its_own(run, system, first, variables):
    """Where the batch system doesn't count them: a worker of the last run may still be known to the scheduler."""
    (run.directory / "bin" / "date").write_text('#!/bin/sh\necho "$NOW"\n')
    (run.directory / "bin" / "date").chmod(0o755)
    text = script(system, **SMALL, first=first, worker_name="C-3")
    job = "C-3" if first is None else "C-3-9"
    for now in ("1795262946", "1795262977"):
        name = name_of(run(text, NOW=now, **variables))
        assert name == f"{job}-r{now}"
        assert job_of(name, {job}) == job


@pytest.mark.parametrize("word", [*filter(None, HOSTILE), "$HOME", "~/x", "${X:-y}"])
@pytest.mark.parametrize("first", [None, 1])
def test_hostile_cluster_names(run, word, first):
    name = name_of(run(script(**SMALL, worker_name=word, first=first), SLURM_ARRAY_TASK_ID="1"))
    assert name == (word if first is None else f"{word}-2")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a b", "$(echo c d)", "`echo e f`"], ["a b", "c d", "e f"]),
        (["--x 'a b' c"], ["--x", "a b", "c"]),
        (["--x='$(exit)'", "--y=`echo 'a  b'`"], ["--x=$(exit)", "--y=a  b"]),
        (["--contact-address=tcp://$(echo me)"], ["--contact-address=tcp://me"]),
        (["--x", "$TMPDIR/a b", "~/y"], ["--x", "/my tmp/a b", "/home/me/y"]),
        (["--local-directory=$TMPDIR"], ["--local-directory=/my tmp"]),
        (["--local-directory=~/x", "--y"], ["--local-directory=/home/me/x", "--y"]),
        (["--x", "$MYARGS", "${MYARGS:-}", "$NONE"], ["--x", "a", "b", "a", "b"]),
        (["--x $MYARGS"], ["--x", "a", "b"]),
        (["--x", '"$MYARGS"'], ["--x", "a b"]),
        (['"--x y"'], ["--x y"]),
    ],
)
def test_worker_extra_args(run, args, words):
    found = run(script(**SMALL, worker_extra_args=args), TMPDIR="/my tmp", HOME="/home/me", MYARGS="a b")
    assert found[-len(words) :] == words


@pytest.mark.parametrize(
    ("python", "gpu"),
    [
        ("$(command -v python)", ""),
        ("`command -v python`", ""),
        ("${PYTHON:-python}", ""),
        ("$WHERE/python", ""),
        ("$LAUNCH python", "5"),
        ("CUDA_VISIBLE_DEVICES=7 python", "7"),
        ("CUDA_VISIBLE_DEVICES='6 7' X=$HOME python", "6 7"),
    ],
)
@pytest.mark.parametrize("keywords", [{}, {"job_script_epilogue": ["true"]}], ids=["plain", "epilogue"])
def test_python_is_the_users_own_command(run, python, gpu, keywords):
    text = script(**SMALL, **keywords, python=python)
    run(text, WHERE=str(run.directory / "bin"), LAUNCH="env CUDA_VISIBLE_DEVICES=5", HOME="/home/me")
    assert [found for found, _ in run.calls()] == [gpu]


@pytest.mark.parametrize("keyword", ["local_directory", "worker_options"])
@pytest.mark.parametrize(
    ("directory", "variables", "found"),
    [
        ("${TMPDIR:-/tmp}/x y", {}, "/tmp/x y"),
        ("${TMPDIR:-/tmp}/x", {"TMPDIR": "/my tmp"}, "/my tmp/x"),
        ("$(echo /scratch)/`echo me`", {}, "/scratch/me"),
        ("~/dask", {"HOME": "/home/me"}, "/home/me/dask"),
        ("/it's $mine", {"mine": "yours"}, "/it's yours"),
    ],
)
def test_local_directory_of_the_node(run, keyword, directory, variables, found):
    value = directory if keyword == "local_directory" else {"local_directory": directory}
    words = run(script(**SMALL, **{keyword: value}), **variables)
    assert words[words.index("--local-directory") + 1] == found


def test_worker_command_with_a_variable(run):
    assert run(script(**SMALL, worker_command="my.cli $(echo sub)"))[1:3] == ["my.cli", "sub"]


def test_what_is_not_the_users_command_is_not_filled_in(run):
    """The scheduler's address and what a cluster adds to its workers' arguments, say a certificate's path."""
    spec = resolve(DIALECTS["slurm"], SMALL, site(DIALECTS["slurm"]), "C", "tcp://$HOST")
    words = run(
        render(replace(spec, worker_args=(*spec.worker_args, "--tls-key", "~/$USER/`x`")), DIALECTS["slurm"]), HOST="x"
    )
    assert words[2] == "tcp://$HOST"
    assert words[-1] == "~/$USER/`x`"


def test_prologue_runs_before_in_the_same_shell(run):
    prologue = [
        "export SHOWN=1\ncat > heredoc <<END",
        "a",
        "END",
        "CUDA_VISIBLE_DEVICES=x$SHOWN",
        "export CUDA_VISIBLE_DEVICES",
    ]
    run(script(**SMALL, job_script_prologue=prologue))
    assert run.calls()[0][0] == "x1"
    assert (run.directory / "heredoc").read_text() == "a\n"


def test_prologue_is_left_as_it_is(run):
    run(script(**SMALL, job_script_prologue=["cat > heredoc <<END\na\n\n\n\nb\nEND"]))
    assert (run.directory / "heredoc").read_text() == "a\n\n\n\nb\n"


GPUS = {"worker_size": "p38xlarge"}
EPILOGUE = {**SMALL, "job_script_epilogue": ["echo epilogue"]}


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({}, ["0", "1", "2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "4,5,6,7"}, ["4", "5", "6", "7"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,MIG-c,MIG-d"}, ["GPU-a", "GPU-b", "MIG-c", "MIG-d"]),
    ],
)
@pytest.mark.parametrize("status", [0, 3])
def test_a_worker_for_each_gpu(run, variables, gpus, status):
    with run.start(script(**GPUS, worker_name="C-3"), STATUS=str(status), **variables) as job:
        job.communicate(timeout=PATIENCE)
    assert [(gpu, name_of(words)) for gpu, words in run.calls()] == [(g, f"C-3-{i}") for i, g in enumerate(gpus)]
    assert job.returncode == status


@pytest.mark.parametrize("processes", [None, 1])
def test_all_gpus_for_the_only_worker(run, processes):
    size = {"cores": 2, "memory": "4 GB", "gpus": 1 if processes is None else 2, "processes": processes}
    run(script(**size), CUDA_VISIBLE_DEVICES="6,7")
    assert run.calls()[0][0] == "6,7"


@pytest.mark.parametrize("status", [0, 3, 127])
@pytest.mark.parametrize("keywords", [SMALL, EPILOGUE], ids=["plain", "epilogue"])
def test_exit_status_is_passed_on(run, keywords, status):
    with run.start(script(**keywords), STATUS=str(status)) as job:
        out, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == status
    assert out == ("epilogue\n" if keywords is EPILOGUE else "")


BOTH = {**GPUS, "job_script_epilogue": ["echo epilogue"]}


@pytest.mark.parametrize(
    ("keywords", "workers", "end", "terms"),
    [
        (SMALL, 1, "", 1),
        (SMALL, 1, "", 2),
        (EPILOGUE, 1, "epilogue\n", 1),
        (EPILOGUE, 1, "epilogue\n", 2),
        (GPUS, 4, "", 1),
        (GPUS, 4, "", 2),
        (BOTH, 4, "epilogue\n", 1),
    ],
)
def test_workers_hear_of_the_end(run, keywords, workers, end, terms):
    """TERM to the script alone reaches every worker; the script ends when they have, with their exit status.

    A second one comes from a cancel that is repeated while the workers still hand over their results.
    """
    with run.start(script(**keywords), WAITS="1", STATUS="7") as job:
        until(lambda: len(run.calls()) == workers)
        for count in range(1, terms + 1):
            job.terminate()
            until(lambda: run.count_terms() == [count] * workers)
        (run.records / "end").touch()
        out, _ = job.communicate(timeout=PATIENCE)
    assert (job.returncode, out) == (7, end)


def heeds(process, number):
    """Tell whether a process has a handler for a signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(caught[1], 16) >> (number - 1) & 1


@pytest.mark.parametrize(("keywords", "workers", "end"), [(SMALL, 1, ""), (EPILOGUE, 1, "epilogue\n"), (GPUS, 4, "")])
@pytest.mark.parametrize("warning", [signal.SIGUSR1, signal.SIGUSR2])
def test_workers_hear_of_grid_engines_warning(run, keywords, workers, end, warning):
    """It goes to all processes of a job, some of them twice. Workers get one TERM; the script ends by the warning."""
    text = script("sge", parallel_environment="smp", **keywords)
    with run.start(text, WAITS="1", STATUS="7") as job:
        until(lambda: len(run.calls()) == workers and heeds(job, warning))
        for _ in range(2):
            for process in [*psutil.Process(job.pid).children(recursive=True), job]:
                with suppress(psutil.NoSuchProcess):  # the stand-in's own short-lived ones
                    process.send_signal(warning)
            until(lambda: len(run.count_terms()) == workers)
        (run.records / "end").touch()
        out, _ = job.communicate(timeout=PATIENCE)
    assert run.count_terms() == [1] * workers
    assert (job.returncode, out) == (-warning, end)


# -- anything ------------------------------------------------------------------------------------------------------

printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12) | st.sampled_from(HOSTILE)
word = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="'\"\\"), max_size=12) | printable
# What a shell fills in is tests/test_words.py's.
dead = printable.filter(lambda text: not {"$", "`", "~"} & set(text))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(queue=word, account=word, job_name=printable, log_directory=printable, arg=dead, name=printable)
@example(queue="q", account="a", job_name="$(reboot) 'x", log_directory='/a"b\\', arg="; reboot", name='"; reboot; "')
@example(queue="q", account="a", job_name="#x", log_directory="/é x", arg="\\", name="\\")
def test_any_text_is_refused_or_arrives(run, queue, account, job_name, log_directory, arg, name):
    keywords = {"queue": queue, "account": account, "job_name": job_name, "log_directory": log_directory}
    try:
        text = script(**SMALL, **keywords, worker_extra_args=[arg], worker_name=name)
    except InvalidRequest:
        return
    job_name = job_name or "dask-worker"
    wanted = [f"--job-name={job_name}"]
    if log_directory:
        base = f"{config.expand(log_directory).rstrip('/') or '/'}/{job_name}-%j"
        wanted += [f"--output={base}.out", f"--error={base}.err"]
    wanted += [f"--{key}={value}" for key, value in (("partition", queue), ("account", account)) if value]
    wanted += ["--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=1024M", "--time=0-00:30:00"]
    assert head(text) == [[word] for word in wanted]
    words = run(text)
    assert name_of(words) == name
    last = shlex.split(arg) if arg[:1] in ("-", "'", '"') else [arg] * bool(arg)
    assert words[words.index("--dashboard-address") + 2 :] == last


# -- templates that are wrong --------------------------------------------------------------------------------------

EXTENDS = '{% extends "jobclusters/slurm.sh.j2" %}\n'


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [
        (EXTENDS + "{% block prologue %}\n{{ spec.quee }}\n{% endblock %}", 3, "quee"),
        (EXTENDS + "{% block prologue %}\n{{ spec.qos }}\n{% endblock %}", 3, "no attribute 'qos'; it is options.qos"),
        (EXTENDS + "{% block prologue %}\n{{ qeue }}\n{% endblock %}", 3, "'qeue' is undefined"),
        (EXTENDS + "\n{% block prologue %}{{ spec.memory | mibs }}{% endblock %}", 3, "No filter named 'mibs'"),
        (EXTENDS + "{% block prologue %}{{ spec.memory | dhms }}{% endblock %}", 2, "total_seconds"),
        (EXTENDS + "{% block prologue %}{{ 1 // spec.gpus }}{% endblock %}", 2, "zero"),
        (EXTENDS + "\n\n{% block prologue %}", 4, "end of"),
        ("#!/bin/bash\n{% if spec.gpus %}\n", 2, "end of"),
        ('\n{% extends "jobclusters/slrm.sh.j2" %}', 2, "slrm.sh.j2"),
        (EXTENDS + '{% block prologue %}{% include "mine.sh" %}{% endblock %}', 2, "mine.sh"),
        ('{% extends "slurm.sh.j2" %}', 1, "itself"),
    ],
)  # fmt: skip
def test_template_errors_name_file_and_line(tmp_path, template, line, words):
    file = tmp_path / "slurm.sh.j2"
    file.write_text(template)
    with pytest.raises(TemplateError) as caught:
        script(**SMALL, template_dirs=[str(tmp_path)])
    assert f"{file}, line {line}: " in str(caught.value)
    assert words in str(caught.value)


def test_missing_template_says_where_was_looked(tmp_path):
    (tmp_path / "slurm.sh.j2").write_text('{% extends "house.sh.j2" %}')
    with pytest.raises(TemplateError, match=r"'house.sh.j2' is in none of: .*, jobclusters") as caught:
        script(**SMALL, template_dirs=[str(tmp_path)])
    assert str(tmp_path) in str(caught.value)


def test_the_first_template_directory_wins(tmp_path):
    (tmp_path / "none").mkdir()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "slurm.sh.j2").write_text(f"#!{name}\n")
    dirs = [str(tmp_path / name) for name in ("none", "two", "one")]
    assert script(**SMALL, template_dirs=dirs) == "#!two\n"
    assert script("local", **SMALL, template_dirs=dirs) == script("local", **SMALL)


@pytest.mark.parametrize("away", ["directory", "file"])
@pytest.mark.parametrize("name", ["slurm", "base"])
def test_a_sites_template_that_is_away_is_not_replaced_by_ours(tmp_path, away, name):
    """It may load what all jobs there need, and its file system be away for a moment; below is an empty directory."""
    site = tmp_path / "site"
    site.mkdir()
    path = site / f"{name}.sh.j2"
    path.write_text(
        f'{{% extends "jobclusters/{name}.sh.j2" %}}{{% block prologue %}}\nmodule load site\n{{% endblock %}}'
    )
    moved = site if away == "directory" else path
    assert "module load site" in script(**SMALL, template_dirs=[str(site)])
    moved.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(TemplateError, match=rf"{moved} is (no longer|not) there; bring it back, or leave"):
            script(**SMALL, template_dirs=[str(site)])
    (tmp_path / "away").rename(moved)
    assert "module load site" in script(**SMALL, template_dirs=[str(site)])


VALUES = ["import os\n{} x\nimport sys", "\n{} x", "a\n \t{} x", "'\n{} x"]


@pytest.mark.parametrize("value", [*VALUES, "$HOME\n{} x"])
@pytest.mark.parametrize("system", DIALECTS)
def test_no_line_of_a_value_is_a_directive(system, value):
    """LSF, Grid Engine and the local queue read them wherever they are; a preload is source text, for example."""
    mark = DIALECTS[system].directive

    def directives(**more):
        lines = job_script(system, **SMALL, **more).splitlines()
        return [line for line in lines if line.strip().startswith(mark)]

    assert directives(worker_options={"preload": value.format(mark)}) == directives()


@pytest.mark.parametrize("value", VALUES)
def test_lines_of_a_value_arrive_as_they_are(value):
    for mark in ("#$", "#BSUB", "#"):
        text = value.format(mark)
        done = subprocess.run(["sh", "-c", f"printf %s {shell(text)}"], capture_output=True, text=True, check=True)
        assert done.stdout == text


@pytest.mark.parametrize("system", ["slurm", "lsf", "local"])
def test_a_log_directory_holds_nothing_that_is_filled_in(system):
    with pytest.raises(InvalidRequest, match=r"log_directory='/logs/%u' can't hold %"):
        job_script(system, **SMALL, log_directory="/logs/%u")
