"""The pages of docs/ and the README: their examples are run as they stand there.

Of a page, the Python is run in one go, with the library's names at hand, on this machine's queue; clusters of batch systems
get a queue that holds all jobs. ``jobclusters`` commands are run, YAML is read as configuration, and templates print a
script. What can't be run says so behind it: ``<!-- not run: needs a running cluster -->``.
"""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import time
from pathlib import Path
from typing import NamedTuple

import dask.config
import dask_jobqueue
import pytest
import yaml
from click.testing import CliRunner
from distributed import Client

import jobclusters
from jobclusters import LocalQueueCluster, diagnose, job_script, list_configurations, list_sizes
from jobclusters.cli import COMMANDS, main_group
from jobclusters.cluster import JobCluster
from jobclusters.config import find_system, site
from jobclusters.configurations import CLUSTER_KEYWORDS
from jobclusters.dialects import DIALECTS
from jobclusters.headspec import head_kind, head_spec
from jobclusters.layers import job_keywords
from jobclusters.testing import ScriptedQueue
from jobclusters.waiting import WaitingCluster

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]}

#: What has a test of its own.
ELSEWHERE = {("cli.md", "console"): "test_cli_docs.py", ("sites.md", "python"): "test_sites.py"}
#: Why an example isn't run, and what is run in its place.
NOT_RUN = {
    "needs SLURM": "tests/live/test_slurm.py and its neighbours, on a real one",
    "needs a running cluster": "tests/test_head.py, tests/test_credentials.py and tests/live/, which have some",
}
#: Fenced, but no examples: what something prints, and Sphinx's directives.
SHOWN = re.compile(r"|\{.*\}")
#: A page's examples may use what such a site has.
SITE = {"jobclusters": {"software": {"pydata": {"conda": "pydata"}}}}


class Example(NamedTuple):
    """A fenced block, the line where it begins, and why it isn't run."""

    page: str
    language: str
    line: int
    text: str
    not_run: str | None


def found(page: str, text: str) -> list[Example]:
    fence = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$(?:\n<!-- not run: ([^\n]*) -->)?", re.MULTILINE | re.DOTALL)
    return [
        Example(page, each[1], text.count("\n", 0, each.start(2)), each[2], each[3]) for each in fence.finditer(text)
    ]


EXAMPLES = [example for page, text in PAGES.items() for example in found(page, text)]


def to_run(language: str) -> list[Example]:
    return [
        each
        for each in EXAMPLES
        if each.language == language and not each.not_run and (each.page, language) not in ELSEWHERE
    ]


def named(examples):
    return pytest.mark.parametrize("example", examples, ids=lambda each: f"{each.page}:{each.line}")


def test_all_examples_are_run_or_say_why_not():
    assert {each.language for each in EXAMPLES if not SHOWN.fullmatch(each.language)} == {
        "python",
        "console",
        "yaml",
        "jinja",
    }
    assert {each.not_run for each in EXAMPLES} - {None} <= set(NOT_RUN)
    assert all(
        text.count("not run:") == sum(bool(e.not_run) for e in EXAMPLES if e.page == page)
        for page, text in PAGES.items()
    )
    for each in EXAMPLES:
        if each.language == "python":
            compile(each.text, f"docs/{each.page}", "exec")


# -- Python ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch, configure):
    """Give clusters of batch systems a queue that holds all jobs; those of this machine are as ever."""
    configure(site=yaml.safe_dump(SITE))
    made = []

    def kind(call):
        if (kind := real_kind(call)) != "job":
            return kind
        head_spec(
            call, site(call.dialect), "head"
        )  # what is wrong with that is told, and then it stays in this process
        return "process"

    def verbs(cluster):
        made.append(cluster)
        return ScriptedQueue(hold=True)

    def wait(cluster, *args, **keywords):
        return real_wait(cluster, *args, **keywords) if isinstance(cluster, LocalQueueCluster) else None

    def local(cluster):
        made.append(cluster)
        return real_verbs(cluster)

    real_kind, real_wait, real_verbs = head_kind, WaitingCluster.wait_for_workers, LocalQueueCluster._verbs
    monkeypatch.setattr("jobclusters.route.head_kind", kind)
    monkeypatch.setattr(JobCluster, "_verbs", verbs)
    monkeypatch.setattr(LocalQueueCluster, "_verbs", local)
    monkeypatch.setattr(WaitingCluster, "wait_for_workers", wait)
    dask.config.set({"jobclusters.system": "local"})  # whatever is installed here
    yield made
    for cluster in made:
        cluster.close()


def decided(cluster):
    cluster.adapt(maximum_jobs=2)
    deadline = time.monotonic() + 60
    while not cluster.history:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return cluster


#: What stands before a page's first example.
BEFORE = {"scaling.md": lambda: {"cluster": decided(jobclusters.SLURMCluster(worker_size="2xlarge"))}}


@pytest.mark.parametrize("page", dict.fromkeys(each.page for each in to_run("python")))
def test_python(page, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {name: getattr(jobclusters, name) for name in jobclusters.__all__} | BEFORE.get(page, dict)()
    names["__name__"] = "__main__"
    try:
        for each in to_run("python"):
            if each.page == page:
                exec(compile("\n" * each.line + each.text, f"docs/{page}", "exec"), names)
    finally:
        for value in names.values():
            if isinstance(value, Client):
                value.close()
    if page == "start.md":
        assert names["total"] == 328350
        assert all(
            status.state.ended
            for cluster in stand_in
            for status in cluster.jobs.values()
            if cluster.status.name == "closed"
        )


# -- the others ------------------------------------------------------------------------------------------------


@named(to_run("console"))
def test_commands(example):
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example.text, re.MULTILINE):
        program, *words = shlex.split(command)
        assert program == "jobclusters"
        done = CliRunner().invoke(main_group, words)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(expected, done.output, flags), f"$ {command}\n{done.output}"


@named(to_run("yaml"))
def test_settings(example, configure, caplog):
    configure(example.text)
    assert yaml.safe_load(example.text).keys() <= {"jobclusters", "jobqueue", "distributed", "labextension"}
    assert all(site(dialect) for dialect in DIALECTS.values())
    assert caplog.text == ""  # no key that means nothing
    assert list_sizes()
    assert find_system() in DIALECTS
    if panel := dask.config.get("labextension.factory", None):
        keywords = {key.replace("-", "_"): value for key, value in panel["kwargs"].items()}
        assert job_script(getattr(jobclusters, panel["class"]).dialect.name, **keywords)
    assert list_configurations() == sorted(dask.config.get("jobclusters.configurations"))


@named(to_run("jinja"))
def test_templates(example, tmp_path):
    (system,) = re.findall(r'extends "jobclusters/(\w+)\.sh\.j2"', example.text)
    (tmp_path / f"{system}.sh.j2").write_text(example.text)
    scripts = [job_script(system, worker_size="large", template_dirs=where) for where in ([str(tmp_path)], [])]
    assert scripts[0] != scripts[1]


MENTIONED = re.compile(r"(?:^    |`)(jobclusters|make) ([a-z][\w-]*)([^`\n#|]*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_only_mentioned_are_there(page):
    """In a line of text, or in one that needs more than this machine."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, name, rest in MENTIONED.findall(PAGES[page]):
        if program == "make":
            assert name in targets
            continue
        assert name in COMMANDS
        known = {option for each in main_group.get_command(None, name).params for option in each.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known, (name, rest)


# -- what pages list -------------------------------------------------------------------------------------------


def first_cells(text):
    """Give the names in the first column of a page's tables, and what the others say."""
    return [
        (re.findall(r"`([\w.]+)`", first), rest)
        for first, rest in re.findall(r"^\| (.*?) \|(.*)\|$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_the_first_pages_point_to_is_there(page):
    """Of the others Sphinx asks that."""
    places = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_all_that_the_keeper_guesses_is_explained():
    meanings = [meaning.replace(r"\1", "...") for _, meaning in diagnose._IN_LOG] + list(diagnose._BY_STATE.values())
    assert [each for each in meanings if each.partition(": ask for a larger")[0] not in PAGES["trouble.md"]] == []


def test_troubles_are_told_in_the_words_that_are_said():
    source = "".join(path.read_text() for path in sorted((ROOT / "jobclusters").rglob("*.py")))
    source = re.sub(r'"\s+f?"', "", source)  # a text in several pieces
    source = source.replace('unknown("', "unknown ")
    firsts = re.findall(r"^\| (.*?) \|", PAGES["trouble.md"], re.MULTILINE)
    messages = [each for first in firsts for each in re.findall("`([^`]+)`", first) if each.count(" ") > 1]
    assert len(messages) > 12
    parts = {part.strip() for each in messages for part in re.split(r"'[^']*'|\.\.\.|\b\d+\b|\bSLURM|\bsbatch", each)}
    theirs = {"Event loop was unresponsive"}
    assert [part for part in parts - theirs if len(part) > 8 and part not in source] == []


def test_moving_tells_of_every_keyword_of_dask_jobqueue():
    theirs = set()
    for name in ("SLURM", "PBS", "LSF", "SGE"):
        cluster, job = (getattr(dask_jobqueue, f"{name}Cluster"), getattr(dask_jobqueue, f"{name}Cluster").job_cls)
        for cls in {*cluster.__mro__, *job.__mro__}:
            if cls.__module__.startswith("dask_jobqueue."):
                theirs |= inspect.signature(cls.__init__).parameters.keys()
    section = PAGES["moving.md"].partition("## From dask-jobqueue")[2].partition("\n## ")[0]
    told = {name for names, _ in first_cells(section) for name in names}
    assert theirs - told == {"self", "scheduler", "job_kwargs", "base_class_kwargs"}
    assert told <= theirs


@pytest.mark.parametrize("whose", ["Saturn Cloud", "Coiled"])
def test_what_is_called_the_same_is_a_keyword_here(whose):
    section = PAGES["moving.md"].partition(f"## From {whose}")[2].partition("\n## ")[0].partition("\n(")[0]
    same = {name for names, rest in first_cells(section) if rest.startswith(" the same") for name in names}
    assert len(same) >= 5
    assert same - {"describe_sizes", "list_sizes"} <= job_keywords(DIALECTS["slurm"]) | CLUSTER_KEYWORDS | {
        "configuration"
    }


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs" / "reference.rst").read_text()
    errors = text.partition("jobclusters.errors")[2]
    missing = [
        name
        for name in jobclusters.__all__
        if f" jobclusters.{name}\n" not in text and not re.search(rf"\b{name}\b", errors)
    ]
    assert missing == []
