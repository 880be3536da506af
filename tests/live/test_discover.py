"""What ``jobclusters discover`` finds on a real system, and what comes of it once it is written down."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import dask.config
import pytest

from jobclusters import InvalidRequest, job_script, list_sizes

from .systems import TOO_MANY, call
from .tools import PATIENCE

ROOT = Path(__file__).parents[2]
RUN = "from jobclusters.cli.discover import command; command(prog_name='jobclusters discover')"


def discover(system, *args):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", RUN, "--system", system.name, *args]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def written(system, shared):
    """What was found is the user's configuration."""
    discover(system, "--write")
    dask.config.refresh(paths=dask.config.paths)


def queue_of(system, job_id):
    """Ask the batch system for a job's queue."""
    if system.name == "slurm":
        return call("squeue", "-h", "-o", "%P", "-j", job_id).strip()
    if system.name == "oar":
        return re.search(r"queue = (\S+)", call("oarstat", "-f", "-j", job_id))[1]
    return re.search(r"^hard_queue_list: +(\S+)", call("qstat", "-j", job_id.partition(".")[0]), re.MULTILINE)[1]


def test_queues_and_sizes_are_found(system, shared):
    found = json.loads(discover(system, "--json"))
    queue = system.setting("QUEUE")
    assert queue is None or queue in [each["name"] for each in found["queues"]]
    assert any(each["nodes"] for each in found["queues"])
    assert "node" in found["sizes"]


def test_jobs_run_and_impossible_ones_are_refused(system, written, make, look):
    cluster = make(n_jobs=1)
    seen = look(cluster)
    cluster.wait_for_workers(1, timeout=PATIENCE)
    with pytest.raises(InvalidRequest, match=r"100000 cores, but a node of queue|no listed queue holds the job"):
        make(cores=TOO_MANY)
    assert len(seen.ever()) == 1


@pytest.mark.containers
def test_a_size_of_the_site_gets_its_queue(system, written, shared, look):
    cluster = system.cluster(worker_size=system.gpu, log_directory=str(shared), n_jobs=1)
    try:
        seen = look(cluster)
        cluster.wait_for_workers(1, timeout=PATIENCE)
        (job_id,) = seen.living()
        if system.queues:
            assert queue_of(system, job_id) == {"slurm": "normal", "sge": "all.q", "oar": "default"}[system.name]
    finally:
        cluster.close()


@pytest.mark.containers
def test_what_our_containers_have(system, written):
    gpus = {system.gpu, f"2x{system.gpu}", f"4x{system.gpu}"}
    assert {"node", "half-node", "quarter-node", *gpus} <= set(list_sizes())
    with pytest.raises(InvalidRequest, match="no listed queue holds the job"):
        job_script(system.name, worker_cpu=65)
    if system.name == "slurm":
        chosen = {"node": "big", "quarter-node": "big", "4xv100": "normal"}
        for size, queue in chosen.items():
            assert f"#SBATCH --partition={queue}\n" in job_script("slurm", worker_size=size)
        script = job_script("slurm", worker_size="v100", walltime="00:30:00", worker_is_spot=True)
        assert "#SBATCH --partition=spot\n" in script
    elif system.name == "oar":
        script = job_script("oar", worker_size="v100", worker_is_spot=True)
        for line in ("-l /nodes=1/gpu=1,", "-q besteffort", "-p \"memcore>=4054 AND gpu_model='v100'\""):
            assert f"#OAR {line}" in script
    elif system.name == "sge":
        script = job_script("sge", worker_size="quarter-node")
        for line in ("-q all.q", "-pe smp 8", "-l h_vmem="):
            assert f"#$ {line}" in script
