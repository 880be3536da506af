"""What the packages may do, and which module does it: read off the source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import jobclusters

ROOT = Path(jobclusters.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
PACKAGES = [name for name in MODULES if name.count("/") == 1 and name.endswith("/__init__.py")]

#: What may start processes.
STARTS_PROCESSES = {
    "batch/shell.py",
    "batch/local_queue.py",
    "forkserver.py",
    "registry/janitor.py",
    "head/launcher.py",
}
#: What does.
STARTS = re.compile(
    r"subprocess\.(Popen|run|call|check_call|check_output|getoutput)|asyncio\.create_subprocess_\w+|loop\.subprocess_\w+"
    r"|os\.(fork|forkpty|popen|system|posix_spawnp?|spawn\w+|exec\w+)"
)

#: Imports inside of functions, and the reason.
START_UP = "the command line and the package start without what only some calls need"
LATE = {
    "__init__.py": START_UP,
    "cli/": START_UP,
    "preload.py": "a worker needs it only where its cluster's head is gone",
    "discovery/survey.py": START_UP,
    "head/__main__.py": "the configuration of the cluster comes before what reads it",
    "registry/liveness.py": START_UP,
    "registry/credentials.py": "who reads credentials, or has none, needs no cryptography, which is slow to import",
    "registry/janitor_process.py": "each cluster's start includes one, which needs the rest only if its owner dies",
    "registry/sweep.py": START_UP,
    "cluster/base.py": "ipywidgets is there for notebooks alone",
    "cluster/progress.py": "rich is slow to import where nothing is shown, and IPython is there for notebooks alone",
}


@cache
def nodes(name):
    return list(ast.walk(ast.parse(MODULES[name].read_text())))


def is_config(node):
    return isinstance(node, ast.Attribute) and node.attr == "config" and ast.unparse(node) == "dask.config"


def imports(within):
    """Give the modules that are imported; names that are taken from one are taken for modules, too."""
    for node in within:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def having(test):
    return {name for name in MODULES if not name.startswith("templates/") and test(name)}


def test_the_root_holds_at_most_ten_modules():
    assert len([name for name in MODULES if "/" not in name]) <= 10


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_in_one_sentence_what_it_does(package):
    first, *rest = (ast.get_docstring(ast.parse(MODULES[package].read_text())) or "").split("\n")
    assert re.fullmatch(r"[A-Z`](?:(?!\. ).)*\.", first)
    assert rest[:1] in ([], [""])


def test_only_config_reads_dasks_configuration():
    def reads(name):
        return "dask.config" in imports(nodes(name)) or any(map(is_config, nodes(name)))

    assert {name for name in having(reads) if not name.startswith("config/")} == set()


def test_only_the_cluster_package_imports_dask_jobqueue():
    found = having(lambda name: any(each.split(".")[0] == "dask_jobqueue" for each in imports(nodes(name))))
    assert found == {"cluster/dask_base.py"}


def test_processes_start_in_five_modules():
    """Called, or handed to what calls it."""

    def starts(name):
        calls = [node for node in nodes(name) if isinstance(node, ast.Call)]
        return any(STARTS.fullmatch(ast.unparse(each)) for call in calls for each in (call.func, *call.args))

    assert having(starts) == STARTS_PROCESSES


def late(name):
    """Tell whether something is imported inside of a function."""
    functions = [node for node in nodes(name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(True for function in functions for _ in imports(ast.walk(function)))


def test_late_imports_have_a_reason():
    found = having(late)
    assert {each for each in found if not any(each == place or each.startswith(place) for place in LATE)} == set()
    assert {place for place in LATE if not any(each.startswith(place) for each in found)} == set()


def test_a_module_of_more_than_500_lines_says_why():
    def long(name):
        text = MODULES[name].read_text()
        return text.count("\n") > 500 and "It is long because " not in (ast.get_docstring(ast.parse(text)) or "")

    assert having(long) == set()
