"""docs/sites.md: its examples are read, rendered and run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import dask.config
import pytest
import yaml

from jobclusters import InvalidRequest, job_script, list_configurations, list_sizes
from jobclusters.config.call import read_call
from jobclusters.config.settings import site
from jobclusters.dialects import DIALECTS
from jobclusters.spec.software import KEYS

TEXT = (Path(__file__).parents[1] / "docs" / "sites.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(home, tmp_path):
    """Put each example into a file of its own, as a site may."""
    (home / "site").mkdir()
    for number, text in enumerate(blocks("yaml")):
        if "system: torque" not in text:  # that one is for a single cluster
            (home / "site" / f"{number}.yaml").write_text(text.replace("/etc/jobclusters/templates", str(tmp_path)))
    for name, text in re.findall(
        r"^`/etc/jobclusters/templates/(\S+)`:\n\n```jinja\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).write_text(text)
    dask.config.refresh(paths=dask.config.paths)
    return home / "site"


def test_the_sites_own_test_passes(files):
    (text,) = blocks("python")
    names = {}
    exec(compile(text, "docs/sites.md", "exec"), names)
    tests = {name: function for name, function in names.items() if name.startswith("test_")}
    assert tests.keys() == {"test_sizes", "test_queues", "test_configurations"}
    assert list_configurations() == ["gpus", "nightly"]
    for name, function in tests.items():
        for more in [{"name": each} for each in list_configurations()] if name == "test_configurations" else [{}]:
            function(**more)


def test_sizes(files):
    assert "p38xlarge" not in list_sizes()
    assert "#SBATCH --exclusive\n" in job_script("slurm", worker_size="node")
    script = job_script("slurm", worker_size="4xa100")
    for line in ("--gpus-per-node=a100:4", "--time=0-12:00:00", "--partition=gpu", '--comment="4 GPUs for Dask"'):
        assert f"#SBATCH {line}\n" in script


def test_queues_are_limits(files):
    with pytest.raises(InvalidRequest, match="no listed queue holds the job"):
        job_script("slurm", worker_cpu=128)
    with pytest.raises(InvalidRequest, match="queue='long' or queue='gpu' would hold the job"):
        job_script("slurm", worker_cpu=4, queue="short", walltime="1-00:00:00")
    assert "--partition=elsewhere\n" in job_script("slurm", worker_cpu=128, queue="elsewhere")


def test_software(files):
    script = job_script("slurm", worker_size="half")
    assert script.index("module load gcc/12 miniforge/24 ||") < script.index("export OMP_NUM_THREADS=1\n")
    assert script.index("OMP_NUM_THREADS") < script.index("export CONDA_PREFIX=/opt/conda/envs/pydata\n")
    assert "ulimit -n 65536\n" in script
    assert '--local-directory "${TMPDIR:-/tmp}"' in script
    assert "conda" not in job_script("slurm", worker_size="half", software="")
    assert " dask cuda worker " in job_script("slurm", worker_size="4xa100", software="rapids")


def test_the_table_of_software_lists_every_key():
    table = TEXT.partition("| key | |\n")[2].partition("\n\n")[0]
    listed = {
        key.replace("-", "_")
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for key in re.findall(r"`([\w-]+)`", row)
    }
    assert listed == set(KEYS)


def test_spot_and_configurations(files):
    script = job_script("slurm", worker_size="half", worker_is_spot=True)
    assert "--partition=preempt\n" in script
    assert "--qos=scavenger\n" in script
    call = read_call(DIALECTS["slurm"], {}, "gpus")
    assert (call.value("n_workers"), call.spec.gpus) == (2, 1)
    assert "--partition=long\n" in job_script("slurm", configuration="nightly")


def test_each_system_gets_its_own(files):
    assert "--partition=short\n" in job_script("slurm", worker_size="half")
    script = job_script("pbs", worker_size="half", worker_is_spot=True)
    assert "#PBS -q low\n" in script
    assert "#PBS -l select=1:ncpus=14:mem=57221mb:model=bro\n#PBS -l place=group=rack\n" in script
    assert re.search(
        r"#PBS -l select=1:ncpus=4:mem=\d+mb:ngpus=1\n\n?#PBS -l place=group=rack\n",
        job_script("pbs", worker_gpu=1, queue="gpu"),
    )
    assert "#$ -pe smp 14\n" in job_script("sge", worker_size="half")


def test_the_table_of_explain(files):
    (shown,) = re.findall(r"^>>> cluster.explain\(\)\n(.*?)^\.\.\.$", TEXT, re.MULTILINE | re.DOTALL)
    found = read_call(DIALECTS["slurm"], {"worker_size": "a100", "software": "rapids"}).explain({}, "")
    for line in shown.splitlines():
        key, value, source = re.split("  +", line)
        assert repr(found[key].value) == value
        assert re.sub(r"in .*/site/\d+\.yaml", "in /etc/dask/jobclusters.yaml", found[key].source) == source


def test_the_warning_is_the_one_that_is_logged():
    (line,) = re.findall(r"WARNING - (Python.*)\n    (.*at the scheduler: .*)\n", TEXT)
    script = job_script("slurm", worker_size="large", python="x")
    (logged,) = re.findall(r'"(Python %s .*)",', script)
    (words,) = re.findall(r'else "(.*)",', script)
    assert " ".join(line) == logged % ("3.12.1", "2026.7.0", "3.12.1", "2026.8.0", words)


def test_one_clusters_own_file(files):
    (text,) = [text for text in blocks("yaml") if "torque" in text]
    (files / "zz.yaml").write_text(text)
    dask.config.refresh(paths=dask.config.paths)
    from jobclusters.cluster.systems import find_system

    assert find_system() == "torque"
    assert job_script("torque", worker_size="half")


def test_every_example_is_read(files):
    """Those above, and the defaults, have no key that means nothing."""
    assert len(blocks("yaml")) == len([*re.finditer(r"^```yaml$", TEXT, re.MULTILINE)]) == 9
    for text in blocks("yaml"):
        assert yaml.safe_load(text).keys() <= {"jobclusters", "jobqueue"}
    for dialect in DIALECTS.values():
        assert site(dialect)


def test_what_discover_writes_is_what_it_writes():
    """It says what becomes of a size and of 65 cores, which test_discovery.py asks of the same file."""
    (shown,) = re.findall(r"^```\{code-block\} yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert shown == (Path(__file__).parent / "discovered" / "slurm-container.yaml").read_text()
