"""Hostile values through every keyword on every system: each is refused with a sentence, or its scripts run harmlessly.

The keywords are those of the table and of the dialects, under all their names, so a new one takes part, and is taken
for one whose text means nothing to a shell; what does is named in ``SHELL`` and ``OWN`` below. The scripts of workers
and heads run in a sandbox: a directory with a few commands that do nothing. Everything else that is run leaves a canary.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from jobclusters.batch.script import render
from jobclusters.config import settings
from jobclusters.config.call import read_call
from jobclusters.config.head_options import head_spec, with_files
from jobclusters.config.keywords import CLUSTER_KEYWORDS, HEAD_KEYWORDS, job_keywords
from jobclusters.config.own_python import own_python
from jobclusters.config.worker_command import WORKER_OPTIONS
from jobclusters.dialects import DIALECTS
from jobclusters.errors import JobClustersError
from jobclusters.spec.software import KEYS
from tests.helpers.fuzzing import chances, rounds
from tests.helpers.golden import CASES, HEADS, NEEDED, SMALL, head_script, script
from tests.helpers.waiting import PATIENCE

#: What a shell would run or fill in.
LIVE = [
    *("$(canary)", "`canary`", "${x:-$(canary)}", "$((`canary`))", "<(canary)", "$'\\n'canary", "a$(canary)b", "$"),
    *("${x:=canary}", "\n$(canary)", "$[$(canary)]", "'$(canary)'", '"$(canary)"', "\\$(canary)", "${", "$(", "`"),
]
#: What ends a word, a line, a quote or a comment, and what else means something on the way to a script.
DEAD = [
    *("; canary", "\ncanary\n", "\r\ncanary", "\rcanary", "' ; canary ; '", '" ; canary ; "', "&& canary", "| canary"),
    *("& canary &", "\x00canary", "-canary", "--canary", "a --canary", "--", "a b", "%j%u%A", "\\", "\\\ncanary", "'"),
    *('"', "é\u2028canary", "\u0085canary", "\u200b", "\udcff", "{{ 7*7 }}", "{% for x in y %}", "{#", "*", "?", "[a]"),
    *("~root", "~", "~/x", "!!", "#", "a#b", "", " ", "\t", "{a,b}", ">canary", ">>canary", "<canary", "\x0bcanary"),
    *("\x0ccanary", "\x1b[31m", "：", "EOF", "\nEOF\ncanary\n", "%%", "../../x", "/", "\uff04(canary)", ") canary ("),
    *("}; canary; {", "a]; canary", "a=b", "x\"'\\", "'\\''; canary; '", '\\"; canary; "', "PATH=/", "0", "-1", "²"),
    *(
        "9" * 30,
        "1e400",
        "nan",
        "1-1",
        "00:10",
        "1 GB",
        "9" * 5000,
        "a" * 300,
        "\n#{} --canary\n",
        "x\n \t#{} --canary",
    ),
]
#: Keywords whose text the node's shell fills in, as documented: only what it would do beyond that is hostile.
SHELL = {"local_directory", "worker_extra_args", "extra", "worker_options", "software", "python", "worker_command"}
#: Whole lines of a user's own: nothing of them is quoted, and only a line break is no part of them.
OWN_LINES = {"job_extra_directives", "job_extra", "scheduler_extra_directives", "resource_spec"}
#: Shell lines of a user's own: there is nothing that they may not do.
OWN = {"job_script_prologue", "env_extra", "job_script_epilogue"}
#: Commands of a user's own: the first word is what they want to be run.
COMMANDS = {"python": "python ", "container_command": "apptainer "}

#: How often each option may be in a script of a system.
OPTIONS = {}


def directives(text, mark):
    """Read directives as batch systems do, wherever they are: words, quotes, comments."""
    return [
        shlex.split(line.strip()[len(mark) :], comments=True)
        for line in text.split("\n")
        if line.strip().startswith(mark)
    ]


def options(text, mark):
    return Counter(words[0].partition("=")[0] for words in directives(text, mark) if words)


@pytest.fixture(scope="module", autouse=True)
def usual_options():
    """Learn from the golden scripts what a system's scripts ask for, and how often."""
    for case, keywords in {**CASES, **HEADS}.items():
        system = case.partition("-")[0]
        if not {*keywords} & OWN_LINES and case != "slurm-site-template":
            text = head_script(case) if case in HEADS else script(system, **keywords)
            OPTIONS[system] = OPTIONS.get(system, Counter()) | options(text, DIALECTS[system].directive)


COMMAND = "#!/bin/sh\n{}\n"
ECHO = """printf '%s\\0' "$@" > "$SANDBOX/words" """


class Sandbox:
    """Runs scripts where no command of this machine is found."""

    def __init__(self, path):
        self.path = path
        self.work = path / "work"
        self.work.mkdir()
        (path / "bin").mkdir()
        commands = dict.fromkeys(("module", "conda", "apptainer", "singularity", "sleep", "id", "mkdir"), "exit 0")
        for name, does in {
            **commands,
            "python": ECHO,
            "date": "echo 1795262946",
            "tr": "exec /usr/bin/tr , ' '",
        }.items():
            (path / "bin" / name).write_text(COMMAND.format(does))
            (path / "bin" / name).chmod(0o755)

    def run(self, text, **variables):
        """Give the words that the worker's Python got, [] if it was not run; fail if anything else happened."""
        for file in self.path.iterdir():
            if file.is_file():
                file.unlink()
        environ = {
            "PATH": str(self.path / "bin"),
            "HOME": str(self.work),
            "SANDBOX": str(self.path),
            # bash calls it for every command that isn't there.
            "BASH_FUNC_command_not_found_handle%%": '() { printf "%s " "$@" >> "$SANDBOX/canary"; }',
            **variables,
        }
        done = subprocess.run(
            ["/bin/bash", "-s"],
            input=text.encode(errors="surrogateescape"),
            cwd=self.work,
            env=environ,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        canary = self.path / "canary"
        assert not canary.exists(), f"it ran {canary.read_text(errors='replace')}"
        assert [*self.work.iterdir()] == [], "it made a file"
        assert b"syntax error" not in done.stderr, done.stderr
        words = self.path / "words"
        return words.read_bytes().decode(errors="surrogateescape").split("\0")[:-1] if words.exists() else []


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    return Sandbox(tmp_path_factory.mktemp("sandbox"))


class Hostile:
    """Makes values of any type for a keyword."""

    def __init__(self, keyword, mark, chance):
        self.keyword, self.chance = keyword, chance
        self.pieces = DEAD if keyword in SHELL else [*DEAD, *LIVE]
        self.mark = mark.removeprefix("#")

    def text(self):
        chance = self.chance
        pieces = chance.choices(self.pieces, k=chance.choice([1, 1, 2]))
        if chance.random() < 0.2:
            pieces.append(
                "".join(chr(chance.choice([chance.randrange(1, 256), chance.randrange(0xD800)])) for _ in "abc")
            )
        text = "".join(pieces).replace("{} --", f"{self.mark} --")
        return text.translate({ord(sign): None for sign in "$`"}) if self.keyword in SHELL else text

    def command(self, of):
        return COMMANDS.get(of, "") + self.text()

    def mapping(self):
        known = {"worker_options": [*WORKER_OPTIONS], "software": KEYS}.get(self.keyword, ["A", "B_1"])
        keys = self.chance.choices([*known, self.text()], k=self.chance.choice([1, 1, 2]))
        return {key: self.inner(key) for key in keys}

    def inner(self, key):
        if key == "environment":
            return {self.chance.choice(["A", "B_1", self.text()]): self.text()}
        return self.one_of(key, lambda: self.command(key), lambda: self.command(key), self.list)

    def one_of(self, key, *makers):
        """Make a value in one of these ways, or of a type that may be wrong; as a command it would be the user's."""
        return self.chance.choice([*makers, *([] if key in COMMANDS else [self.other])])()

    def list(self):
        return [self.text() for _ in range(self.chance.randint(0, 3))]

    def other(self):
        return self.chance.choice(
            [None, True, False, 0, 2, -1, 10**30, 1.5, float("nan"), float("inf"), b"canary", (), {}, [[]], [None], object(),
             timedelta(hours=1), timedelta.max, {"A": {"B": self.text()}}, {1: 2}, {None: self.text()}]
        )  # fmt: skip

    def value(self):
        likely = self.mapping if self.keyword in ("software", "worker_options") else lambda: self.command(self.keyword)
        return self.one_of(self.keyword, likely, likely, likely, self.list, self.mapping)


def call_of(system, keyword, value, chance):
    """Give a usual call with one hostile value."""
    size = chance.choice([SMALL, {"cores": 2, "memory": "2 GiB", "gpus": 2}])
    usual = {**size, **NEEDED.get(system, {})}
    if chance.random() < 0.5:
        usual |= {"log_directory": "/logs", "queue": "normal"}
    if chance.random() < 0.5 and keyword != "python":
        usual["python"] = "python"
    if chance.random() < 0.2:
        usual["job_script_epilogue"] = ["true"]
    if keyword in HEAD_KEYWORDS or chance.random() < 0.1:
        usual["head"] = "job"
    return {**usual, keyword: value}


def scripts(call, site, chance):
    """Give the spec and the script of a job, or of an array, and that of the head where it has one."""
    dialect = call.dialect
    name = call.name or "C"
    spec = replace(call.spec, worker_name=f"{name}-1", scheduler="tls://10.0.0.1:1", directory=f"/clusters/{name}")
    spec = replace(spec, job_name=f"{spec.job_name}-k2")
    if chance.random() < 0.5:
        spec = replace(spec, first=3, count=2)
    yield spec, render(spec, dialect, call.template_dirs)
    if call.value("head") == "job" and dialect.name != "local":
        words = (f"/clusters/{name}", "run0", "digest0")
        spec = with_files(head_spec(call, site, name), words, own_python("python", "/opt/python"))
        yield spec, render(spec, dialect, call.template_dirs)


@pytest.mark.parametrize("system", [system for system, dialect in DIALECTS.items() if dialect.excludes])
def test_a_hostile_node_is_refused_or_harmless(sandbox, system):
    """Nodes to avoid are named by a batch system's answers."""
    dialect = DIALECTS[system]
    for number in range(rounds(30)):
        nodes = ("n1", Hostile("exclude", dialect.directive, chances(system, "exclude", number)).text())
        try:
            text = script(system, **SMALL, **NEEDED.get(system, {}), exclude=nodes)
        except JobClustersError as error:
            assert "is no name of a node" in str(error)  # noqa: PT017 -- others are none
            continue
        check_directives(text, read_call(dialect, {**SMALL, **NEEDED.get(system, {})}).spec, dialect)
        sandbox.run(text, **VARIABLES)


def check_directives(text, spec, dialect):
    own = {f"{dialect.directive} {line}" for line in spec.directives}
    own |= {f"{dialect.directive} -l {spec.options.get('resource_spec')}"}
    ours = "\n".join(line for line in text.split("\n") if line not in own)
    found = options(ours, dialect.directive)
    gained = {option: n for option, n in found.items() if n > OPTIONS[dialect.name][option]}
    assert not gained, "a directive was gained"
    for words in directives(ours, dialect.directive):
        options_there = [word for word in words[2 - ("=" in words[0]) :] if word.startswith("-") and dialect.dashes]
        assert not options_there, "an option was gained"


def check_words(words, spec, call):
    """The name and the arguments arrive as they are, each as one word."""
    if not words or spec.head is not None:
        return
    if "worker_command" not in call.asked.values and "software" not in call.asked.values:
        assert words[words.index("--name") + 1].startswith(f"{call.name or 'C'}-")
    if (args := spec.worker_args) and all(type(word) is str for word in args):
        assert words[-len(args) :] == [*args]


#: The variables of a job and of an element, on all systems.
VARIABLES = {
    name: "1" for dialect in DIALECTS.values() for name in (dialect.job_variable, dialect.index_variable) if name
}

CASES_OF = [
    (system, keyword)
    for system, dialect in DIALECTS.items()
    for keyword in sorted((job_keywords(dialect) | CLUSTER_KEYWORDS) - OWN)
]


@pytest.mark.parametrize(("system", "keyword"), CASES_OF)
def test_a_hostile_value_is_refused_or_harmless(sandbox, monkeypatch, system, keyword):
    monkeypatch.setattr("sys.executable", "python")
    dialect = DIALECTS[system]
    site = replace(settings.site(dialect), dask_cuda=False)
    for number in range(rounds(6)):
        chance = chances(system, keyword, number)
        value = Hostile(keyword, dialect.directive, chance).value()
        keywords = call_of(system, keyword, value, chance)
        try:
            try:
                call = read_call(dialect, keywords)
                made = [*scripts(call, site, chance)]
            except JobClustersError:
                continue
            for spec, text in made:
                check_directives(text, spec, dialect)
                check_words(sandbox.run(text, **VARIABLES), spec, call)
        except Exception as error:
            pytest.fail(f"round {number}: {error!a}\ncame of {system} with {keywords!a}")
