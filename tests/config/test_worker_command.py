"""The worker's command: whose Python, plain workers or dask-cuda's, and what each of them understands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import dask.config
import pytest

from jobclusters import InvalidRequest, job_script, save_configuration
from jobclusters.config.worker_command import CUDA_OPTIONS, DASK_OPTIONS, WORKER_OPTIONS
from tests.helpers.waiting import PATIENCE

LARGE = {"worker_size": "large"}
ONE_GPU = {"worker_size": "g4dnxlarge"}
FOUR_GPUS = {"worker_size": "p38xlarge"}

#: What ``dask cuda worker --help`` lists (dask-cuda 26.10, with distributed 2026.8).
CUDA_HELP = """
    --contact-address --cudf-spill-stats --dashboard --dashboard-address --dashboard-prefix --death-timeout
    --device-memory-limit --disable-cudf-spill --disable-infiniband --disable-nvlink --disable-rdmacm
    --disable-tcp-over-ucx --enable-cudf-spill --enable-infiniband --enable-nvlink --enable-rdmacm
    --enable-tcp-over-ucx --host --interface --listen-address --local-directory --memory-limit
    --multiprocessing-method --name --no-dashboard --no-rmm-async --no-rmm-managed-memory --no-rmm-track-allocations
    --nthreads --pid-file --pre-import --preload --protocol --resources --rmm-async --rmm-log-directory
    --rmm-managed-memory --rmm-maximum-pool-size --rmm-pool-size --rmm-release-threshold --rmm-track-allocations
    --scheduler-file --set-rmm-allocator-for-libs --tls-ca-file --tls-cert --tls-key --worker-class --worker-port
"""
CUDA_FLAGS = frozenset(CUDA_HELP.split())
OURS = f'{sys.executable} -c "$start" {sys.executable} -m '


def command(system="slurm", **keywords):
    """Give what follows the interpreter in a script."""
    text = job_script(system, **keywords)
    (line,) = [line for line in text.splitlines() if " --nthreads " in line]
    return line.removeprefix("exec ")


# -- whose Python ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "python"),
    [
        ({}, "/site/python "),
        ({"python": "/mine/python"}, "/mine/python "),
        ({"software": "env"}, '"$CONDA_PREFIX/bin/python" '),
        ({"software": {"venv": "~/my venv"}}, '"$HOME/my venv/bin/python" '),
        ({"software": {"venv": "/venv", "python": "python -u"}}, "python -u "),
        ({"software": {"modules": ["gcc"]}}, "/site/python "),
        ({"software": "env", "python": "/mine/python"}, "/mine/python "),
        ({"software": {"container": "x.sif"}, "python": "/mine/python"}, "exec x.sif /mine/python "),
        ({"software": {"container": "x.sif"}}, "exec x.sif python "),
        ({"configuration": "both"}, "/saved/python "),
        ({"configuration": "both", "software": {"venv": "/venv"}}, "/venv/bin/python "),
        ({"configuration": "both", "software": {"modules": ["gcc"]}}, "/saved/python "),
        ({"configuration": "soft"}, '"$CONDA_PREFIX/bin/python" '),
        ({"configuration": "soft", "python": "/mine/python"}, "/mine/python "),
        ({"configuration": "soft", "software": ""}, "/site/python "),
    ],
)
def test_keyword_over_software_over_site(configure, keywords, python):
    configure(site="jobqueue: {slurm: {python: /site/python}}\njobclusters: {software: {env: {conda: env}}}")
    save_configuration("both", software="env", python="/saved/python")
    save_configuration("soft", software="env")
    assert f"{python}-" in command(**LARGE, **keywords)


def test_the_sites_software_over_the_sites_python(configure):
    configure(
        site="jobqueue: {slurm: {python: /site/python, software: env}}\njobclusters: {software: {env: {venv: /v}}}"
    )
    assert command(**LARGE).startswith("/v/bin/python ")
    assert command(**LARGE, python="/mine").startswith("/mine ")
    assert command(**LARGE, software="").startswith("/site/python ")


def test_a_variable_before_python_reaches_into_a_container():
    text = command(**LARGE, software={"container": "x.sif"}, python="A=1 python")
    assert ' exec x.sif env A=1 python -c "$start" ' in text


# -- plain workers or dask-cuda's --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "cuda"),
    [
        (FOUR_GPUS, True),
        (ONE_GPU, True),
        ({"cores": 4, "memory": "8 GB", "gpus": 2}, True),
        (LARGE, False),
        ({**FOUR_GPUS, "processes": 1}, False),
        ({**FOUR_GPUS, "nanny": False}, False),
        ({**FOUR_GPUS, "worker_class": "distributed.Worker"}, False),
        ({**FOUR_GPUS, "worker_command": "distributed.cli.dask_worker"}, False),
        ({**FOUR_GPUS, "worker_options": {"resources": {"A": 1}}}, True),
        ({**FOUR_GPUS, "worker_options": {"lifetime": "1h"}}, False),
        ({**FOUR_GPUS, "worker_extra_args": ["--rmm-pool-size 1GB"]}, True),
        ({**FOUR_GPUS, "worker_extra_args": ["--lifetime", "55m", "--lifetime-stagger", "4m"]}, False),
        ({**FOUR_GPUS, "worker_extra_args": ["--lifetime=55m"]}, False),
    ],
)
def test_dask_cuda_where_it_can_do_what_is_asked(keywords, cuda):
    software = {"conda": "rapids", "dask_cuda": True}
    assert (" dask cuda worker " in command(**keywords, software=software)) is cuda
    assert (" distributed.cli.dask_worker " in command(**keywords, software=software)) is not cuda


def test_dask_cuda_only_where_it_is(monkeypatch):
    assert " dask cuda worker " not in command(**FOUR_GPUS, software={"conda": "rapids"})
    monkeypatch.setattr("jobclusters.config.settings.find_spec", lambda name: None)
    assert " -m distributed.cli.dask_worker " in command(**FOUR_GPUS)
    monkeypatch.setattr("jobclusters.config.settings.find_spec", lambda name: name)
    assert command(**FOUR_GPUS).startswith(f"{OURS}dask cuda worker ")
    assert " dask cuda worker " not in command(**FOUR_GPUS, software={"conda": "rapids"}), "there it isn't known to be"
    assert " dask cuda worker " not in command(**FOUR_GPUS, python="python3")


def test_every_flag_is_one_that_dask_cuda_knows():
    everything = {
        "local_directory": "/scratch",
        "death_timeout": 60,
        "worker_class": "mine.Nanny",
        "interface": "ib0",
        "protocol": "tls",
        "worker_options": {
            key: {"a": 1} if key == "resources" else flag == "dashboard" or "1"
            for key, flag in WORKER_OPTIONS.items()
            if flag in CUDA_OPTIONS
        },
    }
    text = command(**FOUR_GPUS, **everything, software={"conda": "rapids", "dask_cuda": True})
    assert " dask cuda worker " in text
    flags = set(re.findall(r"(?<= )--[\w-]+", text))
    assert {"--name", "--nthreads", "--memory-limit", "--preload", "--interface", "--local-directory"} <= flags
    assert flags <= CUDA_FLAGS
    assert {f"--{flag}" for flag in CUDA_OPTIONS} <= CUDA_FLAGS
    assert CUDA_FLAGS.isdisjoint(f"--{flag}" for flag in DASK_OPTIONS)


def test_flags_for_certificates_are_dask_cudas_too():
    from distributed.security import Security

    from jobclusters.network.interfaces import connection_args

    security = Security(tls_ca_file="ca", tls_worker_cert="cert", tls_worker_key="key", require_encryption=True)
    args = connection_args("tls", security, None)
    assert {str(arg) for arg in args if str(arg).startswith("--")} <= CUDA_FLAGS
    assert len(args) == 8


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"worker_options": {"lifetime": "1h"}}, "unknown option of dask cuda worker (worker_command='distributed.cli.dask_worker' starts plain workers) 'lifetime'"),
        ({"processes": 1}, "dask cuda worker makes one worker with a nanny for each GPU: with 4 GPUs, processes=1"),
        ({"nanny": False}, "nanny=False leave worker_command to us"),
    ],
)  # fmt: skip
def test_what_dask_cuda_cannot_do_is_refused_if_it_is_asked_for(keywords, words):
    with pytest.raises(InvalidRequest) as caught:
        job_script("slurm", **FOUR_GPUS, worker_command="dask cuda worker", **keywords)
    assert words in str(caught.value)


@pytest.mark.parametrize("shell", [name for name in ("sh", "bash", "dash", "ksh") if shutil.which(name)])
@pytest.mark.parametrize(("given", "seen"), [(None, "0,1,2,3"), ("", "0,1,2,3"), ("GPU-a,GPU-b", "GPU-a,GPU-b")])
def test_dask_cuda_takes_the_jobs_gpus(tmp_path, shell, given, seen):
    """It starts a worker for each of CUDA_VISIBLE_DEVICES; without that, for each of the node's."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES"\n')
    python.chmod(0o755)
    text = job_script("slurm", **FOUR_GPUS, software={"python": str(python), "dask_cuda": True})
    path = tmp_path / "job.sh"
    path.write_text(text)
    environment = {"PATH": os.environ["PATH"]} | ({} if given is None else {"CUDA_VISIBLE_DEVICES": given})
    done = subprocess.run(
        [shutil.which(shell), str(path)], env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout == f"{seen}\n", "one command, which starts all of them"


def test_the_memory_limit_and_threads_are_each_workers():
    text = command(**FOUR_GPUS, software={"conda": "rapids", "dask_cuda": True})
    assert " --nthreads 8 --memory-limit 52356MiB " in text
    assert " --resources GPU=1 " in text


# -- what is loaded into workers ---------------------------------------------------------------------------------------


def test_what_dasks_configuration_loads_is_not_hidden_by_what_we_load():
    with dask.config.set({"distributed.worker.preload": ["mine", "other"], "distributed.nanny.preload": "theirs"}):
        assert "--preload mine --preload other --preload-nanny theirs" in command(**LARGE)
        assert "--preload mine" not in command(**LARGE, worker_options={"preload": ["said"]})
        assert "--preload-nanny theirs" in command(**LARGE, worker_extra_args=["--preload=said"])
        # another Python may not have our package, but is given what guards its TLS connections
        assert "--preload mine --preload other --preload-nanny theirs" in command(**LARGE, python="/mine/python")
    with dask.config.set({"jobclusters.guard-tls": False}):  # nothing is hidden, as nothing is loaded
        assert "--preload" not in command(**LARGE, python="/mine/python")


# -- how its workers start ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "settings", "forks"),
    [
        ({}, {}, True),
        ({"processes": 2}, {}, True),
        ({"worker_class": "mine.Worker"}, {}, True),
        ({"nanny": False}, {}, False),
        ({"worker_class": "distributed.Worker"}, {}, False),
        ({"worker_extra_args": ["--no-nanny"]}, {}, False),
        ({"worker_command": "mine"}, {}, False),
        ({"python": "/mine/python"}, {}, False),
        ({"software": {"container": "x.sif"}}, {}, False),
        ({}, {"jobclusters.fork-workers": False}, False),
        ({}, {"distributed.worker.multiprocessing-method": "forkserver"}, False),
        ({}, {"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": "$(nproc)"}}, False),
        ({}, {"distributed.nanny.pre-spawn-environ": {"no name": "1"}}, False),
    ],
)
def test_workers_with_nannies_in_the_schedulers_python_are_forks(keywords, settings, forks):
    with dask.config.set(settings):
        text = job_script("slurm", **LARGE, **keywords)
    assert ("forkserver.start()" in text, "PYTHONHASHSEED" in text) == (forks, forks)


@pytest.mark.parametrize("shell", [name for name in ("sh", "bash", "dash", "ksh") if shutil.which(name)])
@pytest.mark.parametrize("keywords", [{}, {"job_script_epilogue": ["echo $PYTHONHASHSEED$OMP_NUM_THREADS"]}])
def test_python_starts_with_what_dask_sets_for_workers_unless_it_is_set(tmp_path, monkeypatch, shell, keywords):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho $OMP_NUM_THREADS $MKL_NUM_THREADS $MINE $PYTHONHASHSEED\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    environ = {"MINE": "a", "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1}
    with dask.config.set({"distributed.nanny.pre-spawn-environ": environ}):
        text = job_script("slurm", **LARGE, **keywords)
    given = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [shutil.which(shell), "-c", text], env=given, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout == "4 1 a 6640\n" + ("74\n" if keywords else ""), "what follows Python has its own"
