"""docs/cli.md: its examples are run as they are, and it describes all commands and options."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobclusters.cli import COMMANDS, main_group
from tests.helpers.cli_page import DOCS, SECTIONS, TEXT, told_keys
from tests.helpers.commands import command_runner
from tests.helpers.waiting import PATIENCE


def blocks(text):
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


#: The examples of these are the life of one cluster.
LIFE = ("start", "list", "status", "scale", "adapt", "logs", "connect", "close", "cleanup")
LIVED = [block for name in LIFE for block in blocks(SECTIONS[name])]
CONSOLE = [block for block in blocks(TEXT) if block not in LIVED] + ["".join(LIVED)]


def steps(block):
    """Give the commands of a block, and what each prints."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


@pytest.fixture
def site(home):
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (home / "site").mkdir()
    (home / "site" / "jobclusters.yaml").write_text(text)


@pytest.mark.timeout(600)  # some are many commands
@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.split("\n")[0][2:60])
def test_examples_print_what_they_are_said_to(block, site, home, tmp_path):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    # The dashboard's port may be taken between look and use by a test that runs at the same time.
    environment = {"PATH": path, "HOME": str(home), "PYTHONWARNINGS": "ignore:Port:UserWarning"}
    for command, expected in steps(block):
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **environment},
            timeout=PATIENCE,
        )
        printed = done.stdout.replace(str(home / "site"), "/etc/dask").replace(str(home), "/home/alice")
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(expected, printed, flags), f"$ {command}\n{printed}"


def test_there_is_an_example_of_every_command():
    listed = re.findall(r"^\| `jobclusters (\w+)` \|", TEXT, re.MULTILINE)
    assert listed == [*COMMANDS] == [*SECTIONS]
    for name, section in SECTIONS.items():
        assert f"jobclusters {name}" in "".join(blocks(section))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sizes", []),
        ("script", ["--worker-size", "medium"]),
        ("keywords", []),
        ("config", []),
        ("doctor", ["--no-job"]),
        ("discover", []),
    ],
)
def test_keys_of_json_are_reported(name, options):
    facts = json.loads(command_runner().invoke(main_group, [name, "--system", "local", "--json", *options]).stdout)
    assert told_keys(name) == set(facts[0] if isinstance(facts, list) else facts)


def test_checks_of_the_doctor_are_reported(home):
    table = SECTIONS["doctor"].partition("| check |")[2].partition("\n\n")[0]
    documented = {name.strip() for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for name in row.split(",")}
    modules = (Path(DOCS).parent / "jobclusters" / "doctor").glob("*_verdicts.py")
    source = "\n".join(module.read_text() for module in modules)
    made = set(re.findall(r'(?:ok|wrong|unchecked)\(\s*"([^"]+)"', source)) | set(
        re.findall(r'check = "([^"]+)"', source)
    )
    assert set() < made <= documented
