"""The programs in the documents of Saturn Cloud, Coiled and dask-jobqueue, with their class renamed and nothing else."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field

import dask.config
import pytest
from distributed import Client, default_client

from jobclusters import Cluster, InvalidRequest, LocalQueueCluster, describe_sizes, job_script
from jobclusters.config import settings
from jobclusters.config.call import read_call
from jobclusters.config.head_options import head_kind, head_spec
from jobclusters.dialects import DIALECTS


@dataclass(frozen=True)
class Program:
    """A program of a document.

    Attributes
    ----------
    text
        As it is there.
    imports
        What becomes an import of ours, and what the class is called there.
    machine
        The machine on which it runs, where this one is too small: its ``jobclusters.local``.
    settings
        What the site configures for it.
    jobs
        The number of jobs that it asks for; None for as many as this machine holds.
    """

    text: str
    imports: str
    machine: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    jobs: int | None = None

    def run(self, cluster_class):
        """Run it with another class in the place of its own; give its variables."""
        module, dot, attribute = CLASS[self.imports].partition(".")
        given = type(module, (), {attribute: staticmethod(cluster_class)}) if dot else cluster_class
        variables = {module: given, "__name__": "__main__", "Client": Client}
        exec(self.text.replace(self.imports, ""), variables)
        return variables


#: The name of the class after each import.
CLASS = {
    "from dask_saturn import SaturnCluster": "SaturnCluster",
    "from dask_jobqueue import SLURMCluster": "SLURMCluster",
    "import coiled": "coiled.Cluster",
}
SATURN, JOBQUEUE, COILED = CLASS
LARGE = {"cores": 32, "memory": "256 GB"}

PROGRAMS = {
    "saturn-bare": Program(
        """
from dask_saturn import SaturnCluster
from dask.distributed import Client

cluster = SaturnCluster()
client = Client(cluster)
client
""",
        SATURN,
    ),
    "saturn-sized": Program(
        """
from dask_saturn import SaturnCluster
from dask.distributed import Client

cluster = SaturnCluster(
    n_workers=10,
    worker_size='8xlarge',
    scheduler_size='2xlarge',
    nthreads=32,
    worker_is_spot=True,
)
client = Client(cluster)
client
""",
        SATURN,
        machine=LARGE,
        jobs=10,
    ),
    "saturn-starting": Program(
        """
from dask_saturn import SaturnCluster
from dask.distributed import Client

client = Client(SaturnCluster())

import dask


@dask.delayed
def lazy_exponent(args):
    x, y = args
    return x**y


inputs = [[1, 2], [3, 4], [5, 6], [9, 10], [11, 12]]
outputs = [lazy_exponent(i) for i in inputs]
futures = client.compute(outputs, sync=False)

results = [x.result() for x in futures]
results
""",
        SATURN,
    ),
    "jobqueue": Program(
        """
from dask_jobqueue import SLURMCluster
cluster = SLURMCluster(
    queue='normal',
    cores=24,
    memory='128GB',
    walltime='02:00:00',
    job_extra=['--constraint=haswell']
)

cluster.scale(jobs=10)  # Request 10 nodes
client = Client(cluster)
""",
        JOBQUEUE,
        machine=LARGE,
        jobs=10,
    ),
    "coiled-five": Program(
        """
import coiled

cluster = coiled.Cluster(n_workers=5)

from dask.distributed import Client

client = Client(cluster)

cluster.dashboard_link
""",
        COILED,
        jobs=5,
    ),
    "coiled-sized": Program(
        """
import coiled

cluster = coiled.Cluster(
    n_workers=5,
    worker_cpu=2,
    worker_memory="8 GiB",
    scheduler_memory="16 GiB",
)
""",
        COILED,
        machine={"cores": 4, "memory": "16 GiB"},
        jobs=5,
    ),
    "coiled-software": Program(
        """
import coiled

cluster = coiled.Cluster(software="examples/scaling-xgboost")
""",
        COILED,
        settings={"jobclusters.software": {"examples/scaling-xgboost": {"environment": {"XGBOOST": "1"}}}},
    ),
    "coiled-classes": Program(
        """
import coiled

cluster = coiled.Cluster(
    worker_class="distributed.Worker",
    scheduler_options={"idle_timeout": "2 hours"},
)
""",
        COILED,
    ),
    "coiled-production": Program(
        """
import coiled

cluster = coiled.Cluster(
    name="production",
    n_workers=5,
    worker_cpu=2,
    worker_memory="8 GiB",
)
""",
        COILED,
        machine={"cores": 4, "memory": "16 GiB"},
        jobs=5,
    ),
}


@pytest.fixture(params=PROGRAMS)
def program(request):
    program = PROGRAMS[request.param]
    machine = {f"jobclusters.local.{key}": value for key, value in program.machine.items()}
    with dask.config.set({**machine, **program.settings}):
        yield program


@pytest.fixture
def calls(program):
    """Read the calls of the class in a program, which makes no cluster."""
    found = []

    def called(**keywords):
        found.append(keywords)
        raise Stop

    with contextlib.suppress(Stop):
        program.run(called)
    return found


class Stop(Exception):
    pass


@pytest.mark.timeout(600)
def test_it_runs_on_this_machine(program):
    variables = {}
    try:
        variables = program.run(LocalQueueCluster if program.imports == JOBQUEUE else Cluster)
        client = variables.get("client") or Client(variables["cluster"])
        if program.jobs is not None:
            assert len(client.cluster.plan) == program.jobs * client.cluster.spec.processes
        assert client.submit(sum, [1, 2]).result() == 3
        assert variables.get("results", [1]) in ([1], [1, 81, 15625, 3486784401, 3138428376721])
    finally:
        with contextlib.suppress(ValueError):  # it has no client
            default_client().close()
        for each in (variables.get("client"), variables.get("cluster")):
            if each is not None:
                getattr(each, "cluster", each).close()


@pytest.mark.parametrize("system", DIALECTS)
def test_it_renders_on(system, calls):
    dialect = DIALECTS[system]
    with dask.config.set({"jobqueue.sge.parallel-environment": "smp"}):
        for keywords in calls:
            if system == "htcondor":  # its directives are no flags
                keywords.pop("job_extra", None)
            assert "dask_worker" in job_script(system, **keywords)
            call = read_call(dialect, keywords)
            if head_kind(call) == "job":
                head_spec(call, settings.site(dialect), "production")


def test_sizes():
    # The document's, but for its curly quotes.
    assert describe_sizes() == {
        "medium": "Medium - 2 cores - 4 GB RAM",
        "large": "Large - 2 cores - 16 GB RAM",
        "xlarge": "XLarge - 4 cores - 32 GB RAM",
        "2xlarge": "2XLarge - 8 cores - 64 GB RAM",
        "4xlarge": "4XLarge - 16 cores - 128 GB RAM",
        "8xlarge": "8XLarge - 32 cores - 256 GB RAM",
        "12xlarge": "12XLarge - 48 cores - 384 GB RAM",
        "16xlarge": "16XLarge - 64 cores - 512 GB RAM",
        "g4dnxlarge": "T4-XLarge - 4 cores - 16 GB RAM - 1 GPU",
        "g4dn4xlarge": "T4-4XLarge - 16 cores - 64 GB RAM - 1 GPU",
        "g4dn8xlarge": "T4-8XLarge - 32 cores - 128 GB RAM - 1 GPU",
        "p32xlarge": "V100-2XLarge - 8 cores - 61 GB RAM - 1 GPU",
        "p38xlarge": "V100-8XLarge - 32 cores - 244 GB RAM - 4 GPU",
        "p316xlarge": "V100-16XLarge - 64 cores - 488 GB RAM - 8 GPU",
    }


# -- what such calls mean --------------------------------------------------------------------------------------------


def shape(system="local", **keywords):
    spec = read_call(DIALECTS[system], keywords).spec
    return spec.cores, spec.memory, spec.processes, spec.nthreads


GIB = 2**30


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, (4, 8 * GIB, 1, 4)),  # as LocalCluster() on 16 cores: four of four threads
        ({"n_workers": 1}, (16, 32 * GIB, 1, 16)),
        ({"n_workers": 5}, (3, 6 * GIB, 1, 3)),
        ({"n_workers": [1, 8]}, (2, 4 * GIB, 1, 2)),
        ({"n_workers": 99}, (1, 2 * GIB, 1, 1)),
        ({"n_jobs": 2}, (8, 16 * GIB, 1, 8)),
        ({"nthreads": 2}, (2, 4 * GIB, 1, 2)),
        ({"nprocs": 4, "nthreads": 2}, (8, 16 * GIB, 4, 2)),
        ({"n_workers": 8, "nprocs": 4}, (4, 8 * GIB, 4, 1)),
        ({"nthreads": 99}, (16, 32 * GIB, 1, 99)),
        ({"worker_cpu": 2}, (2, 16 * GIB, 1, 2)),
    ],
)
def test_a_call_without_a_size_gets_a_share_of_this_machine(keywords, expected):
    with dask.config.set({"jobclusters.local": {"cores": 16, "memory": "32 GiB"}}):
        assert shape(**keywords) == expected


@pytest.mark.parametrize("keywords", [{}, {"n_workers": 5}, {"nthreads": 4}])
def test_on_a_batch_system_it_is_coileds_default(keywords):
    assert shape("slurm", **keywords) == (4, 16 * GIB, 1, 4)


def test_or_the_sites():
    with dask.config.set({"jobqueue.slurm.cores": 24, "jobqueue.slurm.memory": "96 GiB"}):
        assert shape("slurm")[:2] == (24, 96 * GIB)


def test_a_batch_system_gets_no_jobs_that_nothing_asks_for():
    call = read_call(DIALECTS["slurm"], {})
    assert (call.value("n_workers"), call.value("n_jobs")) == (None, None)


def test_what_the_scheduler_would_get_in_a_job_is_a_line_in_the_log(caplog):
    with LocalQueueCluster(cores=1, memory="256 MB", scheduler_memory="16 GiB", scheduler_size="2xlarge") as cluster:
        assert type(cluster).__name__ == "LocalQueueCluster"
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == [
        "scheduler_size, scheduler_memory: this machine's queue has no job for the scheduler; it does nothing here."
    ]


def test_a_size_larger_than_the_machine_is_an_error():
    with pytest.raises(InvalidRequest, match="is larger than this machine"):
        Cluster(worker_size="16xlarge", n_workers=1, scheduler_size="2xlarge")


def test_a_cluster_that_is_to_stay_gets_a_process_of_its_own():
    keywords = {"name": "stays", "cores": 1, "memory": "256 MB", "shutdown_on_close": False}
    with Cluster(**keywords, scheduler_memory="8 GiB") as made:
        scheduler = made.scheduler_address
    with Cluster(name="stays") as found:
        assert found.scheduler_address == scheduler
        found.shutdown()
