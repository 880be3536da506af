"""A call as a whole: what concerns the cluster, and what its script says of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobclusters import InvalidRequest, job_script
from jobclusters.call import read_call
from jobclusters.dialects import DIALECTS

LARGE = {"worker_size": "large"}


def test_the_configurations_settings_for_clusters(configure):
    configure(site="jobqueue: {slurm: {interface: ib0, scheduler-options: {port: 1}}}")
    call = read_call(DIALECTS["slurm"], LARGE)
    assert (call.value("interface"), call.value("scheduler_options")) == ("ib0", {"port": 1})
    call = read_call(DIALECTS["slurm"], {**LARGE, "interface": "eth0"})
    assert call.value("interface") == "eth0"


def test_what_nobody_says_is_not_there():
    """An empty setting of dask-jobqueue's defaults isn't somebody."""
    call = read_call(DIALECTS["slurm"], {**LARGE, "name": None})
    assert not {"interface", "shared_temp_directory", "name"} & call.cluster.keys()
    assert call.value("interface", "otherwise") == "otherwise"


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"template_dirs": 5}, "template_dirs must be a list of directories, not 5"),
        ({"template_dirs": [None]}, "template_dirs must be a list of directories"),
        ({"scheduler_options": "port"}, "scheduler_options must be a mapping, not 'port'"),
        ({"interface": 5}, "interface must be text, not 5"),
        ({"protocol": ["tls"]}, "protocol must be text, not ['tls']"),
        ({"config_name": ["x"]}, "config_name must be text, not ['x']"),
        ({"config_name": "x"}, "unknown config_name 'x'"),
        ({"n_workers": "many"}, "n_workers must be a whole number, not 'many'"),
        ({"n_jobs": -1}, "n_jobs must be at least 0, not -1"),
        ({"name": "a\nb"}, "a cluster's name is made of"),
    ],
)
def test_what_cannot_be(keywords, words):
    with pytest.raises(InvalidRequest) as caught:
        read_call(DIALECTS["slurm"], {**LARGE, **keywords})
    (problem,) = caught.value.problems
    assert words in problem


@pytest.mark.parametrize("value", [5, "[[a]]", "{a: b}"])
def test_a_site_whose_template_directories_are_none(configure, value):
    configure(site=f"jobclusters: {{template-dirs: {value}}}")
    with pytest.raises(InvalidRequest, match=r"jobclusters\.template-dirs must be a list of directories"):
        job_script("slurm", **LARGE)


@pytest.mark.parametrize(
    "given", ["$WHERE/my templates", ["$WHERE/my templates"], ("/nowhere", "$WHERE/my templates"), Path]
)
def test_template_directories(tmp_path, monkeypatch, given):
    monkeypatch.setenv("WHERE", str(tmp_path))
    (tmp_path / "my templates").mkdir()
    (tmp_path / "my templates" / "slurm.sh.j2").write_text("#!mine\n")
    given = tmp_path / "my templates" if given is Path else given
    assert job_script("slurm", **LARGE, template_dirs=given) == "#!mine\n"


@pytest.mark.parametrize("given", ["", [], (), [""], None])
def test_no_template_directories(given, tmp_path, monkeypatch):
    (tmp_path / "slurm.sh.j2").write_text("#!not asked for\n")
    monkeypatch.chdir(tmp_path)
    assert "#SBATCH" in job_script("slurm", **LARGE, template_dirs=given)


def test_the_script_says_how_workers_connect(configure):
    assert "--interface" not in job_script("slurm", **LARGE)
    assert " --interface ib7 --protocol tls" in job_script("slurm", **LARGE, interface="ib7", protocol="tls")
    configure(site="jobqueue: {slurm: {interface: ib0}}")
    assert " --interface ib0\n" in job_script("slurm", **LARGE)
    assert "--interface" not in job_script("slurm", **LARGE, interface="")
