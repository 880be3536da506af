"""What docs/adding.md says about adding a batch system: here ACME is added to a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

import jobclusters
from tests.helpers.waiting import PATIENCE

ACME = Path(__file__).with_name("acme")
TABLE = "dialects/__init__.py"
PAGE = (ACME.parents[1] / "docs" / "adding.md").read_text()


def shown(language):
    """Give the examples of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Copy the package, and add ACME as docs/adding.md says."""
    copy = tmp_path_factory.mktemp("copy") / "jobclusters"
    shutil.copytree(Path(jobclusters.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ACME / "acme.sh.j2", copy / "templates")
    shutil.copy(ACME / "dialect.py", copy / "dialects" / "acme.py")
    text = (copy / TABLE).read_text()
    first, entry = "from jobclusters.dialects.base import Dialect\n", "        Local(),\n"
    assert text.count(first) == text.count(entry) == 1
    text = text.replace(first, f"from jobclusters.dialects.acme import Acme\n{first}")
    (copy / TABLE).write_text(text.replace(entry, f"        Acme(),\n{entry}"))
    return copy


@pytest.fixture
def acme(package, tmp_path, home, configure):
    """Give a function that runs Python where ACME is installed, on the copy of the package."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (tmp_path / "state").mkdir()
    for name in ("acme-submit", "acme-list", "acme-cancel"):
        (commands / name).write_text(f"#!{sys.executable} -ES\n{(ACME / 'commands.py').read_text()}")
        (commands / name).chmod(0o700)
    configure(user="jobqueue: {acme: {color: blue, death-timeout: 100}}\njobclusters: {spot: {acme: {queue: cheap}}}")
    environ = {
        **os.environ,
        "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
        "PYTHONPATH": str(package.parent),
        "ACME_STATE": str(tmp_path / "state"),
    }

    def run(*words, status=0):
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environ,
            timeout=PATIENCE,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr * bool(status)

    yield run
    jobs = [file.name for file in (tmp_path / "state").glob("[0-9]*.[0-9]*")]
    subprocess.run([commands / "acme-cancel", *jobs], env=environ, check=True)


CLUSTER = """
import inspect
import sys

import jobclusters
from jobclusters import ACMECluster, Cluster

assert jobclusters.__file__.startswith(sys.argv[1])
assert "ACMECluster" in jobclusters.__all__
assert "colour : str, default grey" in ACMECluster.__doc__
assert "colour" in inspect.signature(ACMECluster).parameters
with Cluster(worker_cpu=1, worker_memory="1 GiB", account="lab") as cluster:
    assert type(cluster) is ACMECluster, cluster
    assert cluster.job_cls.__name__ == "ACMEJob"
    cluster.scale(jobs=2)
    cluster.wait_for_workers(2)
    with cluster.get_client() as client:
        print(client.submit(sum, [40, 2]).result())
    print(cluster.explain()["colour"].source)
    print(sorted(str(status.state) for status in cluster.jobs.values()))
"""


def test_a_cluster_runs_on_it(acme, package, tmp_path, home):
    total, source, states = acme("-c", CLUSTER, str(package.parent)).splitlines()
    assert total == "42"
    assert source == f"jobqueue.acme.color in {home}/user/settings.yaml"
    assert states == "['RUNNING', 'RUNNING']"
    (script,) = (tmp_path / "state").glob("*.sh")
    assert {"#ACME colour=blue", "#ACME account=lab", "#ACME cores=1"} <= set(script.read_text().splitlines())
    listed = subprocess.run(
        [tmp_path / "bin" / "acme-list", "1.0", "1.1"],
        env={**os.environ, "ACME_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() in (["1.0", "over", "1.1", "over"], ["1.1", "over", "1.0", "over"])


def test_the_command_line_knows_it(acme):
    words = ("script", "--system", "acme", "--worker-size", "large", "--set", "color=red")
    script = acme("-m", "jobclusters", *words)
    assert "#ACME colour=red\n" in script
    assert "account" not in script
    ((typed, *printed),) = (example.splitlines() for example in shown("console"))
    assert typed.removeprefix("$ jobclusters ").partition(" | ")[0].split() == [*words]
    assert printed == [line for line in script.splitlines() if line.startswith("#ACME")]
    (colour,) = [
        each
        for each in json.loads(acme("-m", "jobclusters", "keywords", "--system", "acme", "--json"))
        if each["name"] == "colour"
    ]
    assert (colour["old_names"], colour["default"], colour["systems"]) == (["color"], "grey", ["acme"])
    found = {
        each["key"]: each["value"] for each in json.loads(acme("-m", "jobclusters", "config", "--json"))["settings"]
    }
    assert found["jobqueue.acme.color"] == "blue"
    assert found["jobqueue.acme.walltime"] == "00:30:00"
    assert found["jobclusters.spot.acme.queue"] == "cheap"
    assert acme("-m", "jobclusters", "config", "--check") == ""
    assert "unknown keyword 'colur'" in acme(
        "-m", "jobclusters", "script", "--worker-size", "large", "--set", "colur=red", status=1
    )


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def test_the_page_shows_all_of_the_dialect_and_of_the_template():
    module, *methods = shown("python")
    whole = lines(module) + [line for each in methods for line in lines(indent(each, "    "))]
    text = (ACME / "dialect.py").read_text()
    assert sorted(whole) == sorted(lines(text[text.index("from __future__") :]))
    assert all("\n".join(lines(indent(each, "    "))) in "\n".join(lines(text)) for each in methods)
    assert shown("jinja") == [(ACME / "acme.sh.j2").read_text()]
