"""dask-labextension makes, scales and closes our clusters from its configuration alone, with its own manager."""

from __future__ import annotations

import asyncio
from importlib.resources import files

import dask.config
import distributed  # noqa: F401 -- for its defaults, before a fixture keeps them
import pytest
import yaml

FACTORY = """
labextension:
  factory:
    module: jobclusters
    class: {name}
    args: []
    kwargs: {{worker-cpu: 2, processes: 2, worker-memory: 512 MiB, walltime: "00:10:00"}}
jobclusters:
  system: local
  local: {{cores: 4, memory: 4 GiB}}
"""


async def until(condition, what):
    for _ in range(2400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"did not happen: {what}")


@pytest.fixture
def factory(configure):
    def named(name):
        configure(user=FACTORY.format(name=name))
        defaults = yaml.safe_load(files("dask_labextension").joinpath("labextension.yaml").read_text())
        dask.config.update(dask.config.config, defaults, priority="old")  # as importing it does, once

    return named


def test_scaled_adapted_and_closed(factory):
    factory("LocalQueueCluster")

    async def drive():
        from dask_labextension.manager import DaskClusterManager

        async with DaskClusterManager() as manager:
            made = await manager.start_cluster(configuration={"workers": 2})
            key, cluster = made["id"], manager._clusters[made["id"]]

            def workers():
                return manager.get_cluster(key)["workers"]

            await until(lambda: workers() == 2, "the two workers that the YAML asks for")
            await manager.scale_cluster(key, 4)
            await until(lambda: workers() == 4, "four workers")
            assert manager.adapt_cluster(key, 0, 2)["adapt"] == {"minimum": 0, "maximum": 2}
            await until(lambda: workers() == 0, "no workers, as there is no work")
            assert cluster.history[-1].decision.because
            await manager.scale_cluster(key, 2)
            await until(lambda: workers() == 2, "two workers again")
            assert "adapt" not in manager.get_cluster(key)
            closed = await manager.close_cluster(key)
            assert closed["workers"] == 0
            assert all(job.state.ended for job in cluster.jobs.values())
            assert manager.list_clusters() == []

    asyncio.run(drive())


def test_the_class_of_this_machine(factory):
    factory("Cluster")

    async def drive():
        from dask_labextension.manager import DaskClusterManager

        async with DaskClusterManager() as manager:
            made = await manager.start_cluster(configuration={"adapt": {"minimum": 0, "maximum": 4}})
            assert made["name"] == "LocalQueueCluster 1"
            assert made["adapt"] == {"minimum": 0, "maximum": 4}

    asyncio.run(drive())
