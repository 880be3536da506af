"""Named sets of parameters: saved, listed, shown, deleted, shared as files, and used."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import dask.config
import pytest
import yaml
from distributed.security import Security

from jobclusters import (
    Cluster,
    InvalidRequest,
    LocalQueueCluster,
    SLURMCluster,
    delete_configuration,
    job_script,
    list_configurations,
    save_configuration,
    show_configuration,
)
from jobclusters.config.saved import read_file
from tests.helpers.waiting import PATIENCE

SITE = """
jobclusters:
  configurations:
    night: {system: slurm, worker-size: large, queue: night, walltime: "08:00:00"}
    v1.2: {queue: old}
    my conf: {queue: spaces}
    gone: null
    "12": {queue: twelve}
"""


def own(name):
    return Path(dask.config.PATH, "jobclusters", f"{name}.yaml")


def write(name, text):
    own(name).parent.mkdir(parents=True, exist_ok=True)
    own(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return own(name)


# -- saved, listed, shown, deleted -------------------------------------------------------------------------------------


def test_a_life(configure):
    configure(site=SITE)
    assert list_configurations() == ["12", "my conf", "night", "v1.2"]
    path = save_configuration(
        "mine", system="slurm", worker_size="xlarge", job_extra=("--x", "é"), software={"modules": ["a"]}
    )
    assert list_configurations() == ["12", "mine", "my conf", "night", "v1.2"]
    shown = {"system": "slurm", "worker_size": "xlarge", "job_extra": ["--x", "é"], "software": {"modules": ["a"]}}
    assert show_configuration("mine") == shown
    assert yaml.safe_load(path.read_text()).keys() == {"system", "worker-size", "job-extra", "software"}, (
        "as in other files"
    )
    assert path == own("mine")
    assert [each.name for each in path.parent.iterdir()] == ["mine.yaml"], "nothing else is left there"
    text = job_script("slurm", configuration="mine")
    assert "--cpus-per-task=4\n" in text
    assert "module load a ||" in text
    delete_configuration("mine")
    assert "mine" not in list_configurations()


def test_the_users_file_counts(configure):
    configure(site=SITE)
    assert "--partition=night\n" in job_script("slurm", configuration="night")
    save_configuration("night", worker_size="large", queue="mine")
    assert "--partition=mine\n" in job_script("slurm", configuration="night")
    delete_configuration("night")
    assert "--partition=night\n" in job_script("slurm", configuration="night"), "the site's is back"


@pytest.mark.parametrize("name", ["12", "my conf", "v1.2", "night"])
def test_whatever_is_listed_can_be_used(configure, name):
    configure(site=SITE)
    assert name in list_configurations()
    assert show_configuration(name)["queue"] in job_script("slurm", configuration=name, worker_size="large")


def test_a_cluster_has_a_name_too():
    save_configuration("mine", name="my-cluster", worker_size="large")
    assert show_configuration("mine")["name"] == "my-cluster"


def test_files_that_are_none(configure):
    write("good", "queue: x")
    write("bad name", "queue: x")
    write(".hidden", "queue: x")
    (own("good").parent / "notes.txt").write_text("")
    assert list_configurations() == ["good"]


@pytest.mark.parametrize("name", ["", "a b", "../mine", "/tmp/mine", ".mine", "é", "a\n", None, 5])
def test_names_that_name_no_file(name, home):
    with pytest.raises(InvalidRequest, match=r"a name is letters, digits and _ \. -"):
        save_configuration(name, queue="x")
    for use in (show_configuration, delete_configuration):
        with pytest.raises(InvalidRequest, match="unknown configuration"):
            use(name)


def test_a_very_long_name():
    for use in (lambda name: save_configuration(name, queue="x"), show_configuration, delete_configuration):
        with pytest.raises(InvalidRequest, match="aaa"):
            use("a" * 300)


def test_unknown_names_are_reported_with_the_nearest(configure):
    configure(site=SITE)
    for use in (show_configuration, delete_configuration, lambda name: Cluster(configuration=name)):
        with pytest.raises(
            InvalidRequest, match=r"unknown configuration 'nigth': did you mean 'night'\? Valid: 12, my conf, night, v1"
        ):
            use("nigth")


def test_the_sites_cannot_be_deleted(configure):
    configure(site=SITE)
    with pytest.raises(
        InvalidRequest, match=r"is in the configuration files as jobclusters\.configurations\.night: take it out"
    ):
        delete_configuration("night")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"queu": "x"}, "configuration 'mine': unknown keyword 'queu': did you mean 'queue'?"),
        ({"configuration": "other"}, "unknown keyword 'configuration'"),
        ({"system": "slrum"}, "unknown batch system 'slrum': did you mean 'slurm'?"),
        ({"system": ["slurm"]}, "unknown batch system ['slurm']"),
        ({"system": ""}, "unknown batch system ''"),
        ({"system": "local", "account": "x"}, "unknown keyword 'account'"),
        ({"walltime": 30}, "walltime 30 is a number: write it in quotes"),
        ({"walltime": timedelta(hours=1)}, "datetime.timedelta(seconds=3600) can't be written to a file"),
        (
            {"log_directory": Path("/x")},
            "can't be written to a file; give texts, numbers, lists and mappings (a class by its name)",
        ),
        ({"worker_class": Path}, "can't be written to a file"),
        ({"security": Security()}, "can't be written to a file"),
        ({"software": {"venv": Path("/x")}}, "can't be written to a file"),
        ({"job_cls": "x"}, "unknown keyword 'job_cls'"),
        ({"loop": 5}, "unknown keyword 'loop'"),
    ],
)
def test_what_cannot_be_saved(keywords, words):
    with pytest.raises(InvalidRequest) as caught:
        save_configuration("mine", **keywords)
    assert words in str(caught.value)
    assert list_configurations() == []


def test_secrets_are_not_shown():
    security = Security.temporary()
    with pytest.raises(InvalidRequest) as caught:
        save_configuration("mine", security=security)
    assert "PRIVATE KEY" not in str(caught.value)


# -- several at once, and places that can't be written -----------------------------------------------------------------


def test_nothing_is_replaced_unless_asked():
    save_configuration("mine", queue="first")
    with pytest.raises(InvalidRequest, match=r"configuration 'mine' exists already \(.*\): give replace=True"):
        save_configuration("mine", queue="second")
    assert show_configuration("mine") == {"queue": "first"}
    save_configuration("mine", queue="second", replace=True)
    assert show_configuration("mine") == {"queue": "second"}


def test_of_many_that_save_at_once_one_wins(tmp_path):
    """And no process ever reads half a file."""
    code = """if True:
        import sys, time
        from jobclusters import InvalidRequest, save_configuration, show_configuration
        while time.time() < float(sys.argv[1]): pass
        try:
            save_configuration("shared", queue=sys.argv[2] * 10_000)
            print("saved", sys.argv[2])
        except InvalidRequest as error:
            assert "exists already" in str(error), error
        assert len(show_configuration("shared")["queue"]) == 10_000
    """
    start = str(time.time() + 2)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, start, letter], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for letter in "abcd"
    ]
    results = [process.communicate(timeout=PATIENCE) for process in running]
    assert [err for _, err in results] == [""] * 4
    (winner,) = [out.split()[1] for out, _ in results if out]
    assert set(show_configuration("shared")["queue"]) == {winner}


def test_a_directory_that_cannot_be_written(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setattr(dask.config, "PATH", str(home / "file" / "dask"))
    with pytest.raises(InvalidRequest, match=r"configuration 'mine' can't be written: .*Not a directory"):
        save_configuration("mine", queue="x")
    assert list_configurations() == []


def test_a_full_disk_leaves_nothing_behind(monkeypatch):
    def full(self, text, **_):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InvalidRequest, match=r"can't be written: .*No space left on device"):
        save_configuration("mine", queue="x")
    assert [*own("mine").parent.iterdir()] == []


def test_a_directory_that_may_not_be_read(monkeypatch, configure):
    configure(site=SITE)

    def closed(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(InvalidRequest, match=r"configurations can't be read: .*Permission denied"):
        job_script("slurm", configuration="night")


def test_where_dask_keeps_its_configuration(home, monkeypatch):
    for place, directory in ((home / "elsewhere", home / "elsewhere"), (home / "one.yaml", home)):
        monkeypatch.setattr(dask.config, "PATH", str(place))
        if place.suffix:
            place.write_text("")
        assert save_configuration("mine", queue="x") == directory / "jobclusters" / "mine.yaml"
        assert show_configuration("mine") == {"queue": "x"}


def test_dask_does_not_take_them_for_its_own():
    save_configuration("mine", queue="x")
    dask.config.refresh(paths=dask.config.paths)
    assert dask.config.get("queue", None) is None


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping of a cluster's parameters, not None"),
        ("- queue: x", "must be a mapping of a cluster's parameters, not [{'queue': 'x'}]"),
        ("queue", "must be a mapping of a cluster's parameters, not 'queue'"),
        ("queue: [", "is no YAML: while parsing a flow node"),
        ("queue: !!python/object/apply:os.getcwd []", "is no YAML: could not determine a constructor"),
        ("queue: 2026-13-45", "is no YAML: month must be in 1..12"),
        ("n_workers: " + "9" * 5000, "is no YAML: "),
        ("[" * 5000, "is no YAML: "),
        ("queue: a\n---\nqueue: b", "is no YAML: expected a single document"),
        ("queue: \0", "is no YAML: unacceptable character"),
        ("queue: café".encode("latin-1"), "is no YAML: "),
        ("on: x", "unknown keyword 'True'"),
        ("walltime: 12:00:00", "walltime 43200 is a number: write it in quotes, like '12:00:00'"),
        ("system: [slurm]", "unknown batch system ['slurm']"),
        ("system: pbs\nworker-size: large", "is for pbs, not for slurm"),
        ("template-dirs: 5", "template_dirs must be a list of directories, not 5"),
        ("template-dirs: [[a]]", "template_dirs must be a list of directories, not [['a']]"),
        ("scheduler-options: [a]", "scheduler_options must be a mapping, not ['a']"),
        ("interface: [ib0]", "interface must be text, not ['ib0']"),
        ("config-name: [a]", "config_name must be text, not ['a']"),
        ("protocol: 5", "protocol must be text, not 5"),
        ("n-workers: two", "n_workers must be a whole number, not 'two'"),
        ("queue: [a]", "queue must be text, not ['a']"),
        ("python: [a]", "python must be text, not ['a']"),
        ("local-directory: {a: b}", "local_directory must be text, not {'a': 'b'}"),
        ("job-extra: [[--x]]", "job_extra must be text, not ['--x']"),
        ("worker-size: [a]", "unknown size ['a']"),
        ("queu: x\nsystm: y", "2 problems"),
    ],
)  # fmt: skip
def test_what_cannot_be_in_a_file(tmp_path, text, words):
    path = tmp_path / "my file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidRequest) as caught:
        SLURMCluster.from_yaml(path)
    assert words in str(caught.value)
    write("mine", text)
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", configuration="mine")
    assert words in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_editors_write(tmp_path, encoding):
    path = tmp_path / "é.yaml"
    path.write_bytes("# ü\r\nworker_size: large\r\njob-name: naïve\r\n".encode(encoding))
    assert dict(read_file(path).keywords) == {"worker_size": "large", "job_name": "naïve"}


@pytest.mark.parametrize(("make", "words"), [(Path.mkdir, "Is a directory"), (lambda path: None, "No such file")])
def test_files_that_cannot_be_read(tmp_path, make, words):
    make(tmp_path / "x.yaml")
    with pytest.raises(InvalidRequest, match=f"x.yaml' can't be read: .*{words}"):
        Cluster.from_yaml(tmp_path / "x.yaml")


def test_paths_are_expanded(home, monkeypatch):
    Path(home, "my dir").mkdir()
    Path(home, "my dir", "x.yaml").write_text("queue: x")
    monkeypatch.setenv("WHERE", "my dir")
    assert dict(read_file("~/$WHERE/x.yaml").keywords) == {"queue": "x"}


# -- used --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [5, True, {"queue": "x"}, ["night"], Path("/x.yaml"), b"night"])
@pytest.mark.parametrize("make", [Cluster, SLURMCluster, lambda **keywords: job_script("slurm", **keywords)])
def test_what_is_no_name(make, value):
    with pytest.raises(InvalidRequest, match=r"configuration must be a name, not .*: parameters are given as keywords"):
        make(worker_size="large", configuration=value)


def test_everything_wrong_is_reported_at_once(configure):
    configure(site="jobclusters: {configurations: {night: {queue: a b, parallel-environment: smp, n-workers: -1}}}")
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", configuration="night", walltime="soon", quue="x", worker_size="lrge")
    problems = caught.value.problems
    for words in ("'quue'", "'soon'", "'lrge'", "'a b'", "n_workers must be at least 0"):
        assert any(words in problem for problem in problems), words
    assert any(
        problem.startswith("jobclusters.configurations.night: unknown keyword 'parallel_environment'")
        for problem in problems
    )
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", configuration="nigth", quue="x")
    assert len(caught.value.problems) == 2
    with pytest.raises(InvalidRequest) as caught:
        Cluster(quue="x", walltime="soon", cores=1)
    assert len(caught.value.problems) == 3, "without a configuration, too"


def test_cluster_takes_the_configurations_system(configure):
    configure(site="jobclusters: {system: slurm, configurations: {here: {system: local, cores: 1, memory: 1 GiB}}}")
    with Cluster(configuration="here") as cluster:
        assert isinstance(cluster, LocalQueueCluster)
    with pytest.raises(InvalidRequest, match=r"jobclusters\.configurations\.here is for local, not for slurm"):
        SLURMCluster(configuration="here")


def test_what_concerns_the_cluster_may_be_in_a_configuration(tmp_path, monkeypatch):
    (tmp_path / "local.sh.j2").write_text(
        '{% extends "jobclusters/local.sh.j2" %}{% block prologue %}echo mine\n{% endblock %}'
    )
    monkeypatch.setenv("MINE", str(tmp_path))
    (tmp_path / "c.yaml").write_text(
        "system: local\ncores: 1\nmemory: 1 GiB\nname: saved\ntemplate-dirs: $MINE\nscheduler-options: {port: 0, dashboard: false}\n"
        "nprocs: 1\nworker-options: {resources: {A: 1}}\nn-workers: 0\n"
    )
    with Cluster.from_yaml(tmp_path / "c.yaml") as cluster:
        assert (cluster.name, cluster.plan) == ("saved", set())
        script = cluster.job_script()
        assert "\necho mine\n" in script
        assert "--resources A=1" in script
        assert cluster.scheduler_info["address"].startswith("tls://")
    with Cluster.from_yaml(tmp_path / "c.yaml", name="mine", template_dirs="", n_jobs=0) as cluster:
        assert cluster.name == "mine"
        assert "echo mine" not in cluster.job_script()


def test_a_configuration_starts_workers(tmp_path):
    save_configuration(
        "small", system="local", cores=1, memory="1 GiB", n_workers=1, job_script_prologue=["echo saved"]
    )
    with Cluster(configuration="small") as cluster:
        cluster.wait_for_workers(1, timeout=PATIENCE)
        assert "saved" in "".join(cluster.get_job_logs().values())
