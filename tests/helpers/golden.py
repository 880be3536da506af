"""What the golden scripts in tests/scripts/ are made of; ``test_script.py`` compares, checks and runs them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

import dask.config
import yaml

from jobclusters.batch.script import render
from jobclusters.config import settings
from jobclusters.config.call import read_call
from jobclusters.config.head_options import head_spec, with_files
from jobclusters.config.own_python import own_python
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS

OURS = yaml.safe_load((files("jobclusters") / "jobclusters.yaml").read_text())["jobclusters"]


def site(dialect):
    """Give what is configured, but nothing of this machine: the interpreter of the tests, dask-cuda, versions."""
    return replace(settings.site(dialect), python="python", dask_cuda=False, versions=("3.12.1", "2026.8.0"))


def script(
    system="slurm",
    *,
    first=None,
    count=1,
    exclude=(),
    worker_name="dask-worker",
    spot=None,
    template_dirs=(),
    **keywords,
):
    """Render what a cluster would submit; ``first`` makes it the script of an array, ``exclude`` names bad nodes."""
    dialect = DIALECTS[system]
    with dask.config.set({f"jobclusters.spot.{system}": spot or {}}):
        spec = resolve(dialect, keywords, site(dialect), worker_name, "tcp://10.0.0.1:8786")
    return render(replace(spec, first=first, count=count, exclude=exclude), dialect, template_dirs)


def head_script(case, directory="/home/me/.jobclusters/clusters/production"):
    """Render what the cluster "production" would submit for its head."""
    dialect = DIALECTS[case.partition("-")[0]]
    spec = head_spec(read_call(dialect, HEADS[case]), site(dialect), "production")
    return render(with_files(spec, (directory, "run0", "digest0"), own_python("python", "/opt/python")), dialect)


SMALL = {"cores": 1, "memory": "1 GiB"}
FULL = {
    "worker_size": "large",
    "processes": 2,
    "nthreads": 2,
    "job_name": "my-job",
    "queue": "normal",
    "walltime": "1-12",
    "log_directory": "/my logs/",
    "shebang": "#!/bin/bash",
    "python": "apptainer exec 'my image.sif' python",
    "local_directory": "$TMPDIR/dask",
    "death_timeout": 300,
    "job_script_prologue": ["module load python", "export OMP_NUM_THREADS=1"],
    "worker_extra_args": ["--lifetime", "55m", "--preload 'my module'"],
    "worker_class": "mine.Nanny",
    "worker_options": {"resources": {"fast": 1}},
}
#: Cases of every system.
SHARED = {
    "full": FULL,
    "spot": {"worker_size": "large", "worker_is_spot": True, "spot": {"queue": "preemptable"}},
    "fitted": {"worker_cpu": 6, "worker_memory": "20 GiB", "worker_gpu": 2},
    "gpu": {"cores": 8, "memory": "61 GB", "gpus": 1},
    "gpu-type": {"worker_size": "p38xlarge", "gpu_type": "v100"},
    "gpus-of-one-worker": {"worker_size": "p38xlarge", "processes": 1},
    "dask-cuda": {"worker_size": "p38xlarge", "software": {"container": "/images/rapids.sif", "dask_cuda": True}},
    "software": {**SMALL, "software": {"modules": ["gcc/12"], "conda": "/envs/dask", "environment": {"A": "$HOME/b"}}},
    "own-worker": {**SMALL, "worker_command": 'my.cli "${MODE:-fast}"', "nthreads": 3},
    "no-nanny": {**SMALL, "nanny": False},
    "epilogue": {**SMALL, "job_script_epilogue": ["rm -rf /scratch/mine", "echo finished"]},
    "old-names": {
        "cores": 2,
        "memory": "4 GiB",
        "nprocs": 1,
        "extra": ["--lifetime", "55m"],
        "env_extra": ["module load python"],
    },
    "array": {**SMALL, "first": 7, "count": 3, "worker_name": "C"},
    "array-gpu": {"worker_size": "p38xlarge", "first": 0, "count": 2, "worker_name": "C"},
    "log-directory": {**SMALL, "log_directory": "/my logs"},
    "log-directory-array": {**SMALL, "log_directory": "/logs", "first": 0, "count": 2},
    "rounded-up": {**SMALL, "memory": "1000000001", "walltime": timedelta(hours=1, seconds=0.5)},
    "bare-walltime": {**SMALL, "walltime": "00:10"},
}
_PBS = {
    "full": {"account": "physics", "job_extra_directives": ["-m e", "-M me@here", "-k oed"]},
    "old-names": {"project": "physics", "job_extra": ["-m e"], "header_skip": ["-j"]},
    "resource-spec": {"worker_size": "p38xlarge", "resource_spec": "select=1:ncpus=32:mem=250gb:ngpus=4:model=x"},
    "skip": {**SMALL, "job_directives_skip": ["-N", "walltime"], "use_stdin": False},
}
#: What each system adds to those cases, and cases of its own.
OWN = {
    "slurm": {
        "full": {
            "job_name": "my job",
            "account": "physics",
            "qos": "low",
            "job_cpu": 4,
            "job_mem": "20G",
            "job_extra_directives": ["--exclusive", "--mail-type=END"],
        },
        "spot": {"spot": {"queue": "preemptable", "qos": "low"}},
        "old-names": {"project": "physics", "job_extra": ["--exclusive"], "header_skip": ["-t"]},
        "slides": {
            "queue": "normal",
            "cores": 24,
            "memory": "128GB",
            "walltime": "02:00:00",
            "job_extra": ["--constraint=haswell"],
        },
        "exclude": {**SMALL, "exclude": ("c1", "c7")},
        "site-template": {**SMALL, "job_script_prologue": ["module load mine"]},
        "unlimited": {**SMALL, "walltime": "unlimited"},
        "fragments": {
            **SMALL,
            "python": "OMP_NUM_THREADS=1 $(command -v python)",
            "local_directory": "${TMPDIR:-/tmp}/my dask",
            "worker_extra_args": ["--contact-address=tcp://$(hostname -i)", "--preload ~/mine.py"],
        },
        "skip-long": {**SMALL, "job_directives_skip": ["--mem", "--ntasks"], "use_stdin": False},
        "skip-short": {**SMALL, "job_directives_skip": ["-t", "-n", "-J"]},
        "skip-value": {**SMALL, "job_directives_skip": ["--nodes=1", "-n 1", "--cpus-per-task=2", "--mem=1G"]},
    },
    "pbs": _PBS,
    "torque": {
        **_PBS,
        "full": {"account": "physics", "job_extra_directives": ["-m e", "-M me@here"]},
        "resource-spec": {**SMALL, "resource_spec": "nodes=1:ppn=1:fast,pmem=1gb"},
        "skip": {**SMALL, "job_directives_skip": ["-l", "-j oe"], "use_stdin": False},
    },
    "moab": {
        **_PBS,
        "full": {"account": "physics", "job_extra_directives": ["-m e", "-M me@here"]},
        "resource-spec": {**SMALL, "resource_spec": "nodes=1:ppn=1:fast,pmem=1gb"},
    },
    "htcondor": {
        "full": {
            "account": "physics",
            "disk": "10 GB",
            "lease_duration": "10 minutes",
            "vacate_time": 60,
            "submit_command_extra": ["-name", "schedd2"],
            "cancel_command_extra": ["-reason", "by dask"],
            "job_cpu": 4,
            "job_extra_directives": {"+ProjectName": '"dask"', "environment": '"A=1"', "requirements": "Memory > 1"},
        },
        "spot": {"spot": {"account": "group_spot"}},
        "old-names": {"project": "physics", "job_extra": {"+Fast": True}, "header_skip": ["RequestMemory"]},
        "exclude": {**SMALL, "exclude": ("c1", "c7")},
        "unlimited": {**SMALL, "walltime": "unlimited"},
        "skip": {**SMALL, "job_directives_skip": ["output", "request_cpus = 1", "request_memory=1"]},
    },
    "lsf": {
        "full": {"account": "physics", "job_extra_directives": ["-N", "-u me@here"]},
        "old-names": {"project": "physics", "ncpus": 4, "job_extra": ["-N"], "header_skip": ["-W"]},
        "exclude": {**SMALL, "exclude": ("c1", "c7")},
        "requests": {**SMALL, "job_cpu": 4, "mem": 3_000_000_001, "use_stdin": False},
        "units": {"worker_size": "large", "lsf_units": "gb"},
        "skip": {**SMALL, "job_directives_skip": ["-R", "-J", "-o"], "first": 0, "count": 2},
    },
    "sge": {
        "full": {"account": "physics", "job_extra_directives": ["-M me@x.org"]},
        "old-names": {"project": "physics", "job_extra": ["-M me@x.org"], "header_skip": ["-cwd"]},
        "gpu-type": {"gpu_type_complex": "card"},
        "exclude": {**SMALL, "exclude": ("c1", "c7")},
        "unlimited": {**SMALL, "walltime": "unlimited"},
        "resource-spec": {"worker_size": "large", "resource_spec": "m_mem_free=8G,exclusive"},
        "complexes": {"worker_size": "p38xlarge", "memory_complex": "mem_free", "gpu_complex": "ngpus"},
        # Where the complex is counted for each slot (consumable YES in qconf -sc), not for the job.
        "gpu-per-slot": {"worker_size": "p38xlarge", "gpu_complex": "", "job_extra_directives": ["-l gpu=0.125"]},
        "skip": {**SMALL, "job_directives_skip": ["-cwd", "-S", "h_vmem", "-l h_rt=00:30:00"], "use_stdin": False},
    },
    "oar": {
        "full": {"account": "physics", "job_extra_directives": ["--notify mail:me@x.org"]},
        "spot": {"spot": {"queue": "besteffort"}},
        "gpu-type": {"gpu_type_property": "gpu_model"},
        "old-names": {"project": "physics", "job_extra": ["--notify mail:me@x.org"], "header_skip": ["--signal"]},
        "resource-spec": {"worker_size": "large", "resource_spec": "{cluster='fast'}/nodes=1/cpu=1"},
        "own-walltime": {**SMALL, "resource_spec": "/nodes=1/core=1,walltime=0:20"},
        "own-properties": {
            **SMALL,
            "job_extra_directives": ["-p 'gpu_count=1'", "-p \"cluster = 'fast' OR cluster = 'new'\""],
        },
        "no-memory": {**SMALL, "memory_per_core_property_name": "not_applicable"},
        "gpu-property": {"worker_size": "p38xlarge", "gpu_property": "gpudevice"},
        "skip": {
            **SMALL,
            "job_directives_skip": ["-l", "walltime", "--checkpoint"],
            "job_extra_directives": ["-l core=1"],
        },
    },
    "local": {
        "full": {"job_extra_directives": ["--comment=mine"]},
        "old-names": {"job_extra": ["--comment=mine"], "header_skip": ["--cores"]},
        "unlimited": {**SMALL, "walltime": "unlimited"},
        "skip": {**SMALL, "job_directives_skip": ["--memory"]},
    },
}
#: What every call needs there.
NEEDED = {"sge": {"parallel_environment": "smp"}, "oar": {"memory_per_core_property_name": "memcore"}}


def _cases(system):
    own = OWN[system]
    for name in {**SHARED, **own}:
        yield f"{system}-{name}", {**NEEDED.get(system, {}), **SHARED.get(name, {}), **own.get(name, {})}


CASES = {case: keywords for system in DIALECTS for case, keywords in _cases(system)}
#: The jobs of heads.
HEADS = {
    f"{system}-{case}": {**SMALL, **NEEDED.get(system, {}), **keywords}
    for system in DIALECTS
    if system != "local"
    for case, keywords in {
        "head": {"head": "job"},
        "head-full": {
            "scheduler_size": "large",
            "queue": "normal",
            "scheduler_queue": "services",
            "scheduler_walltime": "7-00:00:00",
            "account": "physics",
            "software": {"modules": ["gcc/12"]},
            "job_script_prologue": ["export SITE=1"],
            "worker_is_spot": True,
        },
    }.items()
}
#: All sizes of a system are in one file.
SIZES = {
    f"{system}-sizes": {size: {"worker_size": size, **NEEDED.get(system, {})} for size in OURS["sizes"]}
    for system in DIALECTS
}
#: Keywords that leave a system's script as it is: this machine has no queues and no types of GPUs; elsewhere one says how
#: the script is handed over.
SILENT = {
    **{system: {"use_stdin"} for system in DIALECTS},
    "oar": set(),
    "local": {"queue", "gpu_type", "worker_is_spot"},
    # There are no queues; the others are words of commands.
    "htcondor": {"queue", "submit_command_extra", "cancel_command_extra"},
}
