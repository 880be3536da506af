"""For dask-ctl: ``dask cluster list`` and its like find the clusters that run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from jobclusters import finding, registry
from jobclusters.connected import ConnectedCluster
from jobclusters.entry import Standing
from jobclusters.errors import JobClustersError

#: Seconds in which a cluster has to answer: dask-ctl waits for five, and then for none of the others.
PATIENCE = 4.0


class JobClusterControl(ConnectedCluster):
    """What dask-ctl holds of a cluster: closing it ends it, as with other kinds of clusters."""

    @classmethod
    def from_name(cls, name: str, **keywords: Any) -> ConnectedCluster:
        """Connect to a cluster; ``close()`` ends it, and ``dask cluster delete``."""
        from jobclusters.route import (
            connect,  # dask-ctl asks all it knows for clusters: where there is none, it's quick
        )

        return connect(name, made=cls, **{"shutdown_on_close": True, **keywords})

    def get_snippet(self) -> str:
        """Tell how to connect in Python."""
        name = self.files.path.name
        return (
            f"from jobclusters import Cluster\n\ncluster = Cluster.from_name({name!r})\nclient = cluster.get_client()\n"
        )


async def discover() -> AsyncIterator[tuple[str, type[JobClusterControl]]]:
    """Name the clusters that run, each with the class that connects to it; the first that answer come first."""
    names = await asyncio.to_thread(registry.names)
    looks = [asyncio.ensure_future(finding.look(registry.directory(name))) for name in names]
    try:
        for look in asyncio.as_completed(looks, timeout=PATIENCE):
            with suppress(JobClustersError, OSError, asyncio.TimeoutError):  # jobclusters list tells of those
                found = await look
                if found is not None and found.standing is Standing.RUNNING:
                    yield found.entry.name, JobClusterControl
    finally:
        for each in looks:
            each.cancel()
