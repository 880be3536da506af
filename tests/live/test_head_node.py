"""A head whose node is lost, with everything that could have cleared up after it."""

from __future__ import annotations

import asyncio

import pytest

from jobclusters.registry import liveness
from jobclusters.registry.names import directory
from jobclusters.registry.record import Liveness

from .test_head import _held, head, name, place, seen, standing  # noqa: F401 -- fixtures
from .tools import PATIENCE, until

pytestmark = pytest.mark.breaks
ONLY = "slurm"  # Grid Engine doesn't tell that a job ended with its node


def test_drill_head_node_lost(system, head, seen, name, keywords, lever):  # noqa: F811 -- the fixtures
    cluster = head()
    node = directory(name).record().host
    away = keywords(job_name=f"live-{name}", job_extra_directives=[f"--exclude={node}"])
    cluster.add_group("away", n_jobs=1, **away)
    cluster.add_group("waiting", n_jobs=1, **keywords(job_name=f"live-{name}", **_held(system)))
    cluster.wait_for_workers(1, timeout=PATIENCE)
    until(lambda: len(seen.workers.living()) == 2)
    cluster.periodic_callbacks["view"].stop()  # this process is as good as gone, too: it must not clear up
    lever("kill", node)
    until(lambda: not seen.living())
    assert standing(name) in (Liveness.GONE, Liveness.ENDED)  # the worker may have ended before it could note it
    asyncio.run(liveness.check_and_sweep(directory(name)))
    assert "NODE_FAIL" in directory(name).record().why
