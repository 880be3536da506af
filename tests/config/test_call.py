"""A call as a whole: what concerns the cluster, and what its script says of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobclusters import InvalidRequest, job_script
from jobclusters.config.call import read_call
from jobclusters.config.keywords import shared_keywords
from jobclusters.dialects import DIALECTS

LARGE = {"worker_size": "large"}


def test_the_configurations_settings_for_clusters(configure):
    configure(site="jobqueue: {slurm: {interface: ib0, scheduler-options: {port: 1}}}")
    call = read_call(DIALECTS["slurm"], LARGE)
    assert (call.value("interface"), call.value("scheduler_options")) == ("ib0", {"port": 1})
    call = read_call(DIALECTS["slurm"], {**LARGE, "interface": "eth0"})
    assert call.value("interface") == "eth0"


def test_what_nobody_says_is_not_there():
    """An empty setting of dask-jobqueue's defaults isn't the user."""
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


def test_a_name_that_a_file_says_as_a_number_is_text():
    assert read_call(DIALECTS["slurm"], {**LARGE, "name": 2026}).value("name") == "2026"


@pytest.mark.parametrize("value", [5, "[[a]]", "{a: b}"])
def test_a_site_whose_template_directories_are_none(configure, value):
    configure(site=f"jobclusters: {{template-dirs: {value}}}")
    with pytest.raises(InvalidRequest, match=r"jobclusters\.template-dirs must be a list of directories"):
        job_script("slurm", **LARGE)


@pytest.mark.parametrize(
    "given", ["$WHERE/my templates", ["$WHERE/my templates"], ("/usr", "$WHERE/my templates"), Path]
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
    assert " --interface ib0 " in job_script("slurm", **LARGE)
    assert "--interface" not in job_script("slurm", **LARGE, interface="")


CLUSTERS = {
    "worker_size": "2xlarge",
    "queue": "normal",
    "project": "physics",
    "qos": "long",
    "walltime": "02:00:00",
    "job_name": "me",
    "log_directory": "/logs",
    "local_directory": "/scratch",
    "software": {"modules": ["gcc"]},
    "job_script_prologue": ["ulimit -n 4096"],
    "job_extra_directives": ["--mail-user=me"],
    "job_cpu": 3,
    "nthreads": 2,
    "worker_options": {"resources": {"fast": 1}},
    "worker_is_spot": True,
}


def group(keywords=None, configuration=None, **own):
    """Read the call of a group of a cluster."""
    asked = read_call(DIALECTS["slurm"], CLUSTERS if keywords is None else keywords, configuration).asked
    return read_call(
        DIALECTS["slurm"], {**LARGE, **own}, None, asked.of_the_user(shared_keywords(DIALECTS["slurm"], head=False))
    ).spec


def test_a_group_takes_over_what_concerns_person_and_site_but_no_size():
    spec = group()
    assert (spec.options["account"], spec.options["qos"], spec.queue, str(spec.walltime)) == (
        "physics",
        "long",
        "normal",
        "2:00:00",
    )
    assert (spec.job_name, spec.log_directory, spec.software.modules) == ("me", "/logs", ("gcc",))
    assert (spec.prologue, spec.directives) == (("ulimit -n 4096",), ("--mail-user=me",))
    assert spec.worker_args[spec.worker_args.index("--local-directory") + 1] == "/scratch"
    assert (spec.cores, spec.options["job_cpu"], spec.nthreads, spec.requeue) == (2, None, 2, None)
    assert "--resources" not in spec.worker_args


def test_what_a_group_says_itself_wins_and_nothing_takes_away(configure):
    configure(site="jobclusters: {sizes: {card: {cores: 2, memory: 4 GB, slurm: {queue: gpu, account: cards}}}}")
    spec = group(worker_size="card", qos="", walltime="10:00:00", job_extra_directives=[])
    assert (spec.queue, spec.options["account"], spec.options["qos"], str(spec.walltime)) == (
        "gpu",
        "cards",
        None,
        "10:00:00",
    )
    assert spec.directives == ()
    assert group(worker_size="card", queue="other", project="mine").queue == "other"
    assert group(worker_size="card", queue="other", project="mine").options["account"] == "mine"


def test_a_group_takes_over_what_a_configuration_says_and_not_what_the_clusters_size_does(configure):
    configure(
        site="jobqueue: {slurm: {account: everybody, queue: batch}}\n"
        "jobclusters: {sizes: {card: {cores: 2, memory: 4 GB, slurm: {queue: gpu, account: cards}}},"
        " configurations: {c: {account: physics}}}"
    )
    spec = group({"worker_size": "card"})
    assert (spec.options["account"], spec.queue) == ("everybody", "batch")
    assert group({"worker_size": "card"}, "c").options["account"] == "physics"


def test_a_group_goes_where_its_jobs_fit_best(configure):
    configure(
        site="jobclusters: {queues: {slurm: {normal: {cores: 64, gpus: 0, walltime: '08:00:00'}, gpu: {cores: 64, gpus: 4,"
        " walltime: '01:00:00'}}}}"
    )
    assert group(worker_size="p32xlarge", walltime="01:00:00").queue == "gpu"
    assert group().queue == "normal"
    with pytest.raises(InvalidRequest, match="nearest is 'gpu': walltime 02:00:00, but queue 'gpu' allows 01:00:00"):
        group(worker_size="p32xlarge")
    unlisted = {**LARGE, "queue": "mine"}
    assert group(unlisted).queue == "normal"
    assert group(unlisted, worker_size="p316xlarge").queue == "mine"


def test_a_groups_own_python_wins_over_the_clusters():
    cluster = {**LARGE, "python": "/mine/python"}
    assert group(cluster).python == ("/mine/python",)
    assert group(cluster, software={"venv": "/venv"}).python == ("/venv/bin/python",)
    assert group({**cluster, "software": {"venv": "/venv"}}).python == ("/mine/python",)
