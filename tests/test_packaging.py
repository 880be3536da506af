"""What is in the wheel and in the sdist. `make dist` has them checked that it made; otherwise they are made here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What a checkout has, and a distribution needn't.
NOT_THERE = shutil.ignore_patterns(
    ".*", "build", "dist", "dist.log", "_build", "*.egg-info", "__pycache__", "slurm-*.out", "dask-*-space"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy without what earlier builds left, which would go into this one."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("copy") / "source", ignore=NOT_THERE))


@pytest.fixture(scope="module")
def files(source, tmp_path_factory):
    """All that there is to distribute, by its path."""
    return {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(files, source, tmp_path_factory):
    if directory := os.environ.get("JOBCLUSTERS_DIST"):
        return Path(directory)
    directory = tmp_path_factory.mktemp("dist")
    command = "import sys; from setuptools import build_meta as b; d = sys.argv[1]; b.build_wheel(d); b.build_sdist(d)"
    subprocess.run([sys.executable, "-c", command, str(directory)], cwd=source, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def wheel(made):
    (path,) = made.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(made):
    (path,) = made.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel, files):
    package = {name for name in files if name.startswith("jobclusters/")}
    assert {name for name in wheel if ".dist-info/" not in name} == package
    assert {"jobclusters/py.typed", "jobclusters/jobclusters.yaml", "jobclusters/templates/slurm.sh.j2"} <= wheel.keys()


def test_the_sdist_holds_all_from_which_it_is_made_tested_and_documented(sdist, files):
    assert sdist - files - {"PKG-INFO"} == {name for name in sdist if ".egg-info/" in name}
    assert files <= sdist


def test_what_is_installed_can_be_called(wheel):
    (text,) = (text for name, text in wheel.items() if name.endswith("entry_points.txt"))
    points = ConfigParser()
    points.read_string(text)
    assert dict(points["console_scripts"]) == {"jobclusters": "jobclusters.cli:main"}
    assert dict(points["dask_cli"]) == {"jobclusters": "jobclusters.cli:main_group"}


def test_what_people_may_install_with_it_is_documented(wheel):
    (text,) = (text for name, text in wheel.items() if name.endswith("METADATA"))
    extras = set(Parser().parsestr(text).get_all("Provides-Extra"))
    assert {"notebook", "gpu", "test", "docs"} <= extras
    start = (ROOT / "docs" / "start.md").read_text()
    developing = (ROOT / "CONTRIBUTING.md").read_text()
    assert {extra for extra in extras if f"`{extra}`" not in start + developing} == set()
