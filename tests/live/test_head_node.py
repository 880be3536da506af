"""A head whose node is lost, with everything that could have cleared up after it."""

from __future__ import annotations

import asyncio

from jobclusters import finding
from jobclusters.entry import Standing
from jobclusters.registry import directory

from .test_head import _held, head, named, place, standing  # noqa: F401 -- fixtures
from .tools import PATIENCE, until

ONLY = "slurm"  # Grid Engine doesn't tell that a job ended with its node


def test_drill_head_node_lost(system, head, named, keywords, lever):  # noqa: F811 -- the fixtures
    cluster = head("node")
    entry = directory("node").entry()
    cluster.add_group(
        "away", n_jobs=1, **keywords(job_name="live-node", job_extra_directives=[f"--exclude={entry.host}"])
    )
    cluster.add_group("waiting", n_jobs=1, **keywords(job_name="live-node", **_held(system)))
    cluster.wait_for_workers(1, timeout=PATIENCE)
    seen = named("node")
    until(lambda: len(seen.workers.living()) == 2)
    cluster.close = lambda: None  # this process is as good as gone, too: it must not be the one that clears up
    cluster.periodic_callbacks["view"].stop()
    lever("kill", entry.host)
    until(lambda: not seen.living())
    assert standing("node") in (Standing.GONE, Standing.ENDED)  # the worker may have ended before it could note it
    asyncio.run(finding.find(directory("node")))
    assert "NODE_FAIL" in directory("node").entry().why
