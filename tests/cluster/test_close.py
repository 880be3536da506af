"""Closing a cluster."""

from __future__ import annotations

import time

from jobclusters import LocalQueueCluster


def test_close_does_not_wait_for_a_scheduler_that_has_gone():
    """Old versions of distributed try for 30 s to reach it."""
    cluster = LocalQueueCluster(cores=1, memory="1 GiB")
    begin = time.monotonic()
    cluster.close()
    assert time.monotonic() - begin < 15
