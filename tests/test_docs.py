"""The pages of docs/ and the README: their examples are run as they are.

Of a page, the Python is run in one go, with the library's names at hand, on this machine's queue; clusters of batch systems
get a queue that holds all jobs. ``jobclusters`` commands are run, YAML is read as configuration, and templates print a
script. What can't be run says so behind it: ``<!-- not run: needs a running cluster -->``. Links lead to pages and headings
that are there, tables list what the code has.
"""

from __future__ import annotations

import doctest
import inspect
import json
import re
import shlex
import subprocess
import sys
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
from jobclusters import LocalQueueCluster, job_script, list_configurations, list_sizes
from jobclusters.cli import COMMANDS, main_group
from jobclusters.cluster.base import ClusterBase
from jobclusters.cluster.job_cluster import JobCluster
from jobclusters.config.head_options import head_kind, head_spec
from jobclusters.config.keywords import CLUSTER_KEYWORDS, job_keywords
from jobclusters.config.settings import find_system, ours, site
from jobclusters.dialects import DIALECTS
from jobclusters.doctor.configuration import check_configuration
from jobclusters.jobs import failures
from jobclusters.scaling.model import Census, JobSnapshot, Policy, Snapshot
from jobclusters.scaling.rules import decide
from jobclusters.state import JobState
from jobclusters.testing import ScriptedQueue

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]}

#: What has a test of its own.
ELSEWHERE = {
    ("cli.md", "console"): "test_cli_docs.py",
    ("sites.md", "python"): "test_sites.py",
    ("adding.md", "python"): "test_acme.py",
    ("adding.md", "console"): "test_acme.py",
    ("adding.md", "jinja"): "test_acme.py",
}
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


def prose(text):
    """Leave out what is printed as it is."""
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)


#: For whom or what is meant there is a word: the user, another user, the message; the log says, a table lists.
VAGUE = re.compile(r"\b(nobody|somebody|anybody|person|told|said|stands|hears)\b", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_who_does_what(page):
    assert VAGUE.findall(prose(PAGES[page])) == []


def test_console_examples_print_all_that_they_show():
    """An ellipsis may stand for a part of a line, such as a port."""
    assert [
        f"{each.page}:{each.line}"
        for each in EXAMPLES
        if each.language == "console" and re.search(r"^\.\.\.$", each.text, re.MULTILINE)
    ] == []


# -- Python ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch, configure):
    """Give clusters of batch systems a queue that holds all jobs; those of this machine are as ever."""
    configure(site=yaml.safe_dump(SITE))
    made = []

    def kind(call):
        if (kind := real_kind(call)) != "job":
            return kind
        head_spec(call, site(call.dialect), "head")  # its problems are raised, and then it stays in this process
        return "process"

    def batch_system(cluster):
        made.append(cluster)
        return ScriptedQueue(hold=True)

    def wait(cluster, *args, **keywords):
        return real_wait(cluster, *args, **keywords) if isinstance(cluster, LocalQueueCluster) else None

    def local(cluster):
        made.append(cluster)
        return real_batch_system(cluster)

    real_kind, real_wait, real_batch_system = (
        head_kind,
        ClusterBase.wait_for_workers,
        LocalQueueCluster._make_batch_system,
    )
    monkeypatch.setattr("jobclusters.cluster.factory.head_kind", kind)
    monkeypatch.setattr(JobCluster, "_make_batch_system", batch_system)
    monkeypatch.setattr(LocalQueueCluster, "_make_batch_system", local)
    monkeypatch.setattr(ClusterBase, "wait_for_workers", wait)
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


#: What precedes a page's first example.
BEFORE = dict.fromkeys(
    ("scaling.md", "adaptive.md"), lambda: {"cluster": decided(jobclusters.SLURMCluster(worker_size="2xlarge"))}
)


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


def site_of(example):
    """Give the YAML that precedes an example on a page that shows whole sites."""
    before = [each for each in EXAMPLES if each.page == example.page and each.language == "yaml"]
    return next((each.text for each in reversed(before) if each.line < example.line), "")


@named(to_run("console"))
def test_commands(example, configure, home):
    if example.page == "example-sites.md":
        configure(site=site_of(example))
    for line, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example.text, re.MULTILINE):
        command, _, filtered = line.partition(" | ")
        program, *words = shlex.split(command)
        assert program == "jobclusters"
        printed = CliRunner().invoke(main_group, words).output.replace(str(home), "/home/alice")
        if filtered:
            printed = subprocess.run(
                ["bash", "-c", filtered], input=printed, stdout=subprocess.PIPE, text=True, check=True
            ).stdout
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(expected, printed, flags), f"$ {line}\n{printed}"


@named([each for each in to_run("yaml") if each.page == "example-sites.md"])
def test_nothing_is_wrong_with_the_example_sites(example, configure):
    configure(site=example.text)
    assert [str(each) for each in check_configuration()] == []


@pytest.mark.timeout(600)  # jobs start with several Pythons
def test_the_notebook_runs_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs" / "first-steps.ipynb").read_text())["cells"]
    names = {"__name__": "__main__"}
    try:
        for number, cell in enumerate(each for each in cells if each["cell_type"] == "code"):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
        assert abs(names["pi"] - 3.14159) < 0.1
        assert all(each.state.ended for each in names["cluster"].jobs.values())
    finally:
        names["cluster"].close()
    assert not any(cell.get("outputs") for cell in cells)  # what it prints is the reader's


@pytest.mark.timeout(600)
def test_the_fixture_for_tests_of_users_works(tmp_path):
    first = next(each for each in to_run("python") if each.page == "own-tests.md")
    (tmp_path / "test_mine.py").write_text(first.text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


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


def anchors(path):
    """Name the headings of a page as links do, and its labels."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for included in re.findall(r"^```\{include\} (\S+)$", path.read_text(), re.MULTILINE):
        yield from anchors(path.parent / included)
    yield from re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES if name != "README.md")]
)
def test_links_lead_to_pages_and_headings_that_are_there(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text())
    for target, anchor in links:
        where = (path.parent / target).resolve() if target else path
        generated = target.startswith("_build/")  # by conf.py
        assert where.exists() or generated, target
        assert not anchor or anchor in set(anchors(where)), f"{target}#{anchor}"


def test_the_pages_that_messages_name_are_there():
    sources = [
        path.read_text()
        for path in [*(ROOT / "jobclusters").rglob("*.*y*"), *(ROOT / "templates").iterdir()]
        if path.is_file() and path.suffix != ".pyc"
    ]
    named_pages = {name for text in sources for name in re.findall(r"(?<![\w/.])docs/[\w/-]+\.\w+", text)}
    assert len(named_pages) > 4
    assert [name for name in sorted(named_pages) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("running", "needed", "more", "words"),
    [
        (0, 60, 60, "**60 jobs**"),
        (10, 60, 0, "**0 new"),
        (2, 60, 34, "34 of them new"),
        (0, 0, 53, "with 60 of them, 53 are submitted at once"),
    ],
)
def test_the_worked_example_of_scaling_is_what_the_rules_give(running, needed, more, words):
    assert words in PAGES["scaling.md"]
    jobs = [JobSnapshot(str(number), number, JobState.RUNNING, busy=True) for number in range(running)]
    for_a_minute = ((-100.0, needed),)
    snapshot = Snapshot(tasks=1200, seconds=2400.0, wait=60.0, jobs=Census.of(jobs), needs=for_a_minute)
    assert decide(snapshot, Policy(threads=8, cores=8, memory=10**9), 0.0).submit == more


def test_every_page_is_in_the_contents():
    listed = re.findall(r"^[\w-]+$", PAGES["index.md"], re.MULTILINE)
    pages = {path.stem for path in (ROOT / "docs").glob("*.*") if path.suffix in (".md", ".rst")} - {"index"}
    assert sorted(listed) == sorted(pages)


def test_every_setting_has_a_row_with_its_default():
    found = {}
    for section, table in re.findall(
        r"^\| `jobclusters\.([\w.]*)` \|.*\n\|---.*\n((?:\|.*\n)+)", PAGES["settings.md"], re.MULTILINE
    ):
        for name, kind, default, means in (row.strip("| ").split(" | ", 3) for row in table.splitlines()):
            assert kind, name
            assert means.endswith("."), name
            found[section + name.strip("`")] = default
    defaults = ours()
    scalars = {key: value for key, value in defaults.items() if not isinstance(value, dict)}
    scalars |= {f"{part}.{key}": value for part in ("adaptive", "local") for key, value in defaults[part].items()}
    assert {key: yaml.safe_load(default) for key, default in found.items() if "<" not in key} == scalars
    sections = {key.partition(".")[0] for key in found if "<" in key}
    assert sections == set(defaults) - set(scalars) - {"adaptive", "local"}


def test_all_that_the_keeper_guesses_is_explained():
    meanings = [meaning.replace(r"\1", "...") for _, meaning in failures._IN_LOG] + list(failures._BY_STATE.values())
    assert [each for each in meanings if each.partition(": ask for a larger")[0] not in PAGES["trouble.md"]] == []


def test_troubles_are_reported_in_the_words_that_are_said():
    source = "".join(path.read_text() for path in sorted((ROOT / "jobclusters").rglob("*.py")))
    source = re.sub(r'"\s+f?"', "", source)  # a text in several pieces
    source = source.replace('unknown("', "unknown ").replace("%s awaited", "workers awaited")
    firsts = re.findall(r"^\| (.*?) \|", PAGES["trouble.md"], re.MULTILINE)
    messages = [each for first in firsts for each in re.findall("`([^`]+)`", first) if each.count(" ") > 1]
    assert len(messages) > 12
    parts = {part.strip() for each in messages for part in re.split(r"'[^']*'|\.\.\.|\b\d+\b|\bSLURM|\bsbatch", each)}
    theirs = {"Event loop was unresponsive", "TypeError: TLS expects a ssl_context argument"}
    assert [part for part in parts - theirs if len(part) > 8 and part not in source] == []


def test_reasons_of_waiting_jobs_are_in_the_words_of_the_batch_systems():
    """Each is in a reply of that system, or in what its dialect makes of one."""
    section = PAGES["trouble.md"].partition("## Why a job waits")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \| .* \|$", section, re.MULTILINE)[1:]
    assert {title for systems, _ in rows for title in systems.split(", ")} == {
        dialect.title for dialect in DIALECTS.values() if dialect.name not in ("moab", "local")
    }
    for systems, reasons in rows:
        for name, dialect in DIALECTS.items():
            if dialect.title not in systems.split(", "):
                continue
            sources = [*(ROOT / "tests" / "replies" / name).rglob("*.txt"), Path(inspect.getfile(type(dialect)))]
            sources += [Path(inspect.getfile(base)) for base in type(dialect).__bases__]
            known = "".join(path.read_text() for path in sources)
            parts = [part.strip() for each in re.findall("`([^`]+)`", reasons) for part in each.split("...")]
            assert [part for part in parts if part not in known] == [], systems


def test_moving_tells_of_every_keyword_of_dask_jobqueue():
    theirs = set()
    for name in ("SLURM", "PBS", "LSF", "SGE", "OAR"):
        cluster, job = (getattr(dask_jobqueue, f"{name}Cluster"), getattr(dask_jobqueue, f"{name}Cluster").job_cls)
        for cls in {*cluster.__mro__, *job.__mro__}:
            if cls.__module__.startswith("dask_jobqueue."):
                theirs |= inspect.signature(cls.__init__).parameters.keys()
    section = PAGES["moving.md"].partition("## From dask-jobqueue")[2].partition("\n## ")[0]
    documented = {name for names, _ in first_cells(section) for name in names}
    assert theirs - documented == {"self", "scheduler", "job_kwargs", "base_class_kwargs"}
    assert documented <= theirs


@pytest.mark.parametrize("whose", ["Saturn Cloud", "Coiled"])
def test_what_is_called_the_same_is_a_keyword_here(whose):
    section = PAGES["moving.md"].partition(f"## From {whose}")[2].partition("\n## ")[0].partition("\n(")[0]
    same = {name for names, rest in first_cells(section) if rest.startswith(" the same") for name in names}
    assert len(same) >= 5
    assert same - {"describe_sizes", "list_sizes"} <= job_keywords(DIALECTS["slurm"]) | CLUSTER_KEYWORDS | {
        "configuration"
    }


def test_every_public_name_is_in_the_reference():
    text = "".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.rst")))
    errors = text.partition("jobclusters.errors")[2]
    missing = [
        name
        for name in jobclusters.__all__
        if f" jobclusters.{name}\n" not in text and not re.search(rf"\b{name}\b", errors)
    ]
    assert missing == []


def test_the_modules_that_the_architecture_names_are_there():
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", (ROOT / "docs" / "architecture.md").read_text()))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / "jobclusters" / name).exists()] == []


def test_the_page_of_systems_has_a_row_for_each():
    table = re.search(r"^\| \|.*?\n\n", PAGES["systems.md"], re.MULTILINE | re.DOTALL)[0]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.strip().splitlines()]
    rows = {title: name for title, name, *_ in cells[2:]}
    dialects = [dialect for dialect in DIALECTS.values() if dialect.probe]
    assert rows == {dialect.title: f"`{dialect.prefix}Cluster`" for dialect in dialects}
