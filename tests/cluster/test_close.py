"""Closing a cluster."""

from __future__ import annotations

import dask

from jobclusters import LocalQueueCluster
from tests.helpers.waiting import PATIENCE


def test_close_does_not_wait_for_a_scheduler_that_has_gone():
    """Old versions of distributed try for as long as a connection may take to reach it."""
    with dask.config.set({"distributed.comm.timeouts.connect": 100 * PATIENCE}):
        LocalQueueCluster(cores=1, memory="1 GiB").close()
