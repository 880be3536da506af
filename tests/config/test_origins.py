"""The source of each value: ``cluster.explain()``."""

from __future__ import annotations

from pathlib import Path

import dask.config
import pytest

from jobclusters import LocalQueueCluster, save_configuration
from jobclusters.batch.script import render
from jobclusters.config.call import read_call
from jobclusters.config.origins import Explanation, Origin, merged
from jobclusters.dialects import DIALECTS

LARGE = {"worker_size": "large"}


def explain(system="slurm", configuration=None, **keywords):
    call = read_call(DIALECTS[system], keywords, configuration)
    return call.explain({}, render(call.spec, call.dialect))


def sources(*args, **keywords):
    return {key: origin.source for key, origin in explain(*args, **keywords).items()}


@pytest.fixture
def files(configure, home, monkeypatch):
    """Settings in each place there is."""
    site = """
    jobqueue:
      slurm:
        {project: physics, job-extra: [--x], death_timeout: 99, name: site-name, queue: site, python: /site/python,
         scheduler-options: {port: 0}, shebang: "#!/bin/sh"}
      big: {queue: big, cores: 2, memory: 4 GB}
    jobclusters:
      spot: {slurm: {qos: cheap}}
      template-dirs: [/usr]
      configurations:
        v1.2: {queue: night, worker-size: xlarge, log-directory: ~/logs, template-dirs: /usr/lib}
      software: {env: {conda: env}}
    """
    configure(
        site=site, user="jobqueue: {slurm: {queue: user, death-timeout: 99, scheduler-options: {dashboard: false}}}"
    )
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__LOCAL_DIRECTORY", "/scratch")
    dask.config.refresh(paths=dask.config.paths)
    return {"site": home / "site" / "settings.yaml", "user": home / "user" / "settings.yaml"}


def test_every_place(files):
    with dask.config.set({"jobqueue.slurm.shebang": "#!/bin/zsh"}):
        found = explain(**LARGE, qos="low", worker_is_spot=True)
    assert {key: origin.source for key, origin in found.items()} == {
        "worker_size": "keyword",
        "qos": "keyword",
        "worker_is_spot": "keyword",
        "cores": "size 'large'",
        "memory": "size 'large'",
        "queue": f"jobqueue.slurm.queue in {files['user']}",
        "account": f"jobqueue.slurm.project in {files['site']}",
        "job_extra_directives": f"jobqueue.slurm.job-extra in {files['site']}",
        "death_timeout": f"jobqueue.slurm.death-timeout in {files['user']}",
        "job_name": f"jobqueue.slurm.name in {files['site']}",
        "python": f"jobqueue.slurm.python in {files['site']}",
        "scheduler_options": f"jobqueue.slurm.scheduler-options in {files['user']} and {files['site']}",
        "template_dirs": f"jobclusters.template-dirs in {files['site']}",
        "local_directory": "DASK_JOBQUEUE__SLURM__LOCAL_DIRECTORY in the environment",
        "shebang": "jobqueue.slurm.shebang, set by the program",
        "walltime": "default",
        "worker_command": "default",
        "processes": "one worker",
        "nthreads": "cores / processes",
        "memory_limit": "memory / processes, less jobclusters.memory-headroom",
    }
    assert found["account"] == ("physics", f"jobqueue.slurm.project in {files['site']}")
    assert (found["cores"].value, found["memory"].value, found["job_name"].value) == (2, "16 GB", "site-name")


def test_spot(files):
    assert sources(**LARGE, worker_is_spot=True)["qos"] == f"jobclusters.spot.slurm.qos in {files['site']}"


def test_configurations(files):
    found = explain(configuration="v1.2", queue="mine")
    assert found["queue"] == ("mine", "keyword")
    assert found["worker_size"] == ("xlarge", f"jobclusters.configurations.v1.2.worker-size in {files['site']}")
    assert found["template_dirs"].source == f"jobclusters.configurations.v1.2.template-dirs in {files['site']}"
    path = save_configuration("mine", queue="night", worker_size="large")
    assert explain(configuration="mine")["queue"] == ("night", f"configuration {str(path)!r}")


def test_a_section_of_ones_own_has_its_systems_defaults(files):
    found = sources(config_name="big")
    assert found["queue"] == f"jobqueue.big.queue in {files['site']}"
    assert found["walltime"] == found["death_timeout"] == "default"


def test_python_is_the_one_that_is_run(files):
    assert explain(**LARGE, software="env")["python"] == ('"$CONDA_PREFIX/bin/python"', "software")
    assert explain(**LARGE, software="env", python="/mine")["python"] == ("/mine", "keyword")
    assert sources("local", cores=1, memory="1 GiB")["python"] == "this Python"


def test_the_workers_command_is_the_one_that_is_run():
    rapids = {"conda": "rapids", "dask_cuda": True}
    assert explain(worker_size="p38xlarge", software=rapids)["worker_command"] == (
        "dask cuda worker",
        "dask-cuda is there",
    )
    asked = explain(worker_size="p38xlarge", software=rapids, worker_command="dask cuda worker")
    assert asked["worker_command"].source == "keyword"


def test_a_size_that_was_measured():
    found = explain(worker_cpu=3, worker_gpu=1)
    assert found["cores"] == (3, "worker_cpu")
    assert found["memory"] == ("16 GiB", "default of worker_memory")
    assert found["gpus"] == (1, "worker_gpu")
    assert found["processes"] == (1, "one worker for each GPU")


def test_cores_and_memory():
    found = explain(cores=24, memory="100 GB")
    assert found["cores"] == (24, "keyword")
    assert found["processes"] == (6, "the cores, as Dask cuts them")


def test_what_variables_add_to_a_submission(monkeypatch):
    """Modules set them; sbatch would let them beat directives, so they count only where a script has none."""
    for name, value in {"PARTITION": "long", "TIMELIMIT": "2", "CONSTRAINT": "ib", "QOS": "low", "WAIT": "1"}.items():
        monkeypatch.setenv(f"SBATCH_{name}", value)
    found = explain("slurm", **LARGE, qos="high")
    assert found["queue"] == ("long", "SBATCH_PARTITION in the environment")
    assert found["qos"] == ("high", "keyword")
    assert found["walltime"] == ("00:30:00", "default")
    assert found["--constraint"] == ("ib", "SBATCH_CONSTRAINT in the environment")
    assert "SBATCH_WAIT" not in str(found.values())
    assert explain("slurm", **LARGE, job_extra_directives=["-p other"])["queue"] == ("other", "job_extra_directives")
    monkeypatch.setenv("LSB_DEFAULTQUEUE", "night")
    assert explain("lsf", **LARGE)["queue"] == ("night", "LSB_DEFAULTQUEUE in the environment")
    assert explain("lsf", **LARGE, queue="day")["queue"] == ("day", "keyword")


def test_the_queue_that_fits_best(configure):
    configure(site="jobclusters: {queues: {slurm: {short: {cores: 8}}}}")
    assert explain(**LARGE)["queue"] == ("short", "the best fit among jobclusters.queues")


def test_what_the_batch_system_itself_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PBS_ACCOUNT", "physics")
    assert explain("pbs", **LARGE)["account"] == ("physics", "PBS_ACCOUNT in the environment")
    (tmp_path / "lsf.conf").write_text("LSF_UNIT_FOR_LIMITS=GB\n")
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    assert explain("lsf", **LARGE)["lsf_units"] == ("gb", "LSF's own settings")


def test_torque_reads_the_section_of_pbs(configure, home):
    configure(site="jobqueue: {pbs: {queue: batch}}")
    found = sources("torque", **LARGE)
    assert found["queue"] == f"jobqueue.pbs.queue in {home}/site/settings.yaml"
    assert found["walltime"] == "default"


def test_a_file_that_was_spoiled_meanwhile(files):
    Path(files["user"]).write_text("jobqueue: [")
    found = sources(**LARGE)
    assert found["account"] == f"jobqueue.slurm.project in {files['site']}"
    assert found["queue"] == "jobqueue.slurm.queue, set by the program", "it is still what the program has read"


def test_a_cluster_tells(files, caplog):
    with LocalQueueCluster(cores=1, memory="1 GiB", job_script_prologue=["echo <hello>"]) as cluster:
        found = cluster.explain()
    assert found["cores"] == (1, "keyword")
    lines = repr(found).splitlines()
    assert len({line.index("keyword") for line in lines if line.endswith("keyword")}) == 1, "a table"
    assert "<td>[&#x27;echo &lt;hello&gt;&#x27;]</td>" in found._repr_html_()


def test_the_table():
    assert repr(Explanation()) == ""
    long = Explanation({"a": Origin("x" * 100, "keyword")})
    assert repr(long) == f"a  '{'x' * 56}...  keyword"
    found = merged(
        {"a": Origin("", "keyword"), "b": Origin(False, "keyword"), "c": Origin(0, "x")}, {"b": Origin(1, "y")}
    )
    assert found == {"b": (False, "keyword"), "c": (0, "x")}
