"""What can be asked without a cluster, and what importing costs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from jobclusters import InvalidRequest, job_script


def loaded_after(code):
    """Name the packages that a fresh Python has imported after some code."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "not_loaded"),
    [
        ("import jobclusters", {"dask", "dask_jobqueue", "distributed", "jinja2", "yaml", "asyncio"}),
        ("from jobclusters import InvalidRequest, JobState", {"dask", "dask_jobqueue", "distributed", "jinja2"}),
        (
            "import jobclusters\nassert jobclusters.job_script('slurm', worker_size='large')\njobclusters.describe_sizes()",
            {"dask_jobqueue", "distributed", "tornado"},
        ),
    ],
)
def test_imports_are_late(code, not_loaded):
    assert not loaded_after(code) & not_loaded


def test_files_are_read_as_dask_finds_them(home):
    """In a fresh Python: the site's directory, then the user's."""
    for name, text in (
        (
            "site",
            "jobclusters: {sizes: {big: {cores: 9, memory: 9 GB}}}\njobqueue: {slurm: {queue: site, account: site}}",
        ),
        ("user", "jobclusters: {sizes: {big: {cores: 8}}}\njobqueue: {slurm: {queue: user}}"),
    ):
        (home / name).mkdir()
        (home / name / "jobclusters.yaml").write_text(text)
    code = "import jobclusters; print(jobclusters.job_script('slurm', worker_size='big'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    for line in ("--cpus-per-task=8", "--mem=8584M", "--partition=user", "--account=site"):
        assert f"#SBATCH {line}\n" in done.stdout


def test_unknown_system():
    with pytest.raises(InvalidRequest, match="unknown batch system 'slrum': did you mean 'slurm'"):
        job_script("slrum", worker_size="large")


def test_all_problems_of_a_call():
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", worker_size="lrge", walltime="soon", quue="x")
    assert len(caught.value.problems) == 3


def test_workers_run_this_python_by_default():
    assert f'\nexec {shlex.quote(sys.executable)} -c "$start" ' in job_script("slurm", worker_size="large")
    assert "\nexec python3 -c " in job_script("slurm", worker_size="large", python="python3")


def test_no_scheduler_yet_is_said():
    text = job_script("slurm", worker_size="large")
    assert "'tls://<insert-scheduler-address-here>:8786'" in text
    assert "/.jobclusters/clusters/<cluster>/tls-key.pem'" in text
    plain = job_script("slurm", worker_size="large", security=False)
    assert "'tcp://<insert-scheduler-address-here>:8786'" in plain
    assert "--tls" not in plain


def test_template_directories_of_the_call_come_first(configure, tmp_path, monkeypatch):
    for name in ("mine", "site"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "slurm.sh.j2").write_text(f"#!{name}\n")
    configure(site=f"jobclusters: {{template-dirs: {tmp_path}/site}}")
    monkeypatch.setenv("WHERE", str(tmp_path))
    assert job_script("slurm", worker_size="large") == "#!site\n"
    assert job_script("slurm", worker_size="large", template_dirs=["$WHERE/mine"]) == "#!mine\n"
