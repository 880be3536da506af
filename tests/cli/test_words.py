"""The command line speaks of its options, and never of Python's keywords."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from jobclusters.cli import main_group
from jobclusters.cli.words import in_options


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("worker_size='a b' and cores, memory: each says", "--worker-size 'a b' and cores, memory: each says"),
        ("cores must be at least 1, not 0", "--cores must be at least 1, not 0"),
        ("nprocs=3 with 4 GPUs", "--set nprocs=3 with 4 GPUs"),
        ("job_extra_directives must be a list", "--set job-extra-directives must be a list"),
        ("head='job': say head='detached'", "--head job: say --head detached"),
        ("name='a b': say 'a-b'", "NAME 'a b': say 'a-b'"),
        ("Cluster(name='a') connects to it", "Cluster(name='a') connects to it"),
        ("jobclusters.sizes.x: worker_size='a'", "jobclusters.sizes.x: worker_size='a'"),
        ("cluster a has 4 cores", "cluster a has 4 cores"),
    ],
)
def test_words(problem, text):
    assert in_options(problem) == text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("start x --worker-size 16xlarge", "Error: --worker-size 16xlarge: a job of 64 cores"),
        ("start x --worker-size 16xlarge", "DASK_JOBCLUSTERS__LOCAL__OVERSUBSCRIBE=True in the environment"),
        ("doctor --worker-size 16xlarge", "Sizes that fit: "),
        ("script --cores 3", "give --memory, too; or instead --worker-size large"),
        ("script --worker-memory 5x", "Error: --worker-memory '5x' can't be read"),
        ("script --set nprocs=x", "Error: nprocs must be a whole number"),
        (
            "script --worker-size lrge",
            "did you mean 'large'? Similar: xlarge, 8xlarge, 4xlarge; jobclusters sizes lists",
        ),
        ("script --set threads_per_worker=2", "unknown keyword 'threads_per_worker': say --set nthreads"),
        ("discover --system pbs", "--system local runs jobs on this machine"),
        ("script --system sge --cores 24 --memory 128GB", "Warning: Jobs for 24 cores get one slot"),
        ("script --system sge --cores 24 --memory 128GB", "give --set parallel-environment=smp"),
        (
            "script --system slurm --set worker_is_spot=true",
            "Warning: --set worker-is-spot=True: jobclusters.spot.slurm",
        ),
        ("start --configuration coiled/default", "jobclusters.save_configuration() in Python makes one"),
    ],
)
def test_commands(arguments, told):
    result = CliRunner().invoke(main_group, arguments.split())
    assert told in result.output + (result.stderr if result.stderr_bytes else "")
