"""What is said of a head that does not start."""

from __future__ import annotations

import os

import pytest

from jobclusters import JobsFailed, LocalQueueCluster, Refused, SLURMCluster
from jobclusters.head.launcher import HeadLauncher
from jobclusters.registry.names import directory

REFUSED = "echo 'sbatch: error: invalid partition specified: nosuch' >&2; exit 1"
FAILED = "echo '7|N/A|FAILED|n1|N/A|N/A|N/A|NonZeroExitCode'"
CANCELLED = "echo '7|N/A|CANCELLED|n1|N/A|N/A|N/A|None'"
NEVER = "echo '7|N/A|PENDING||N/A|N/A|N/A|PartitionConfig'"


@pytest.mark.parametrize(
    ("sbatch", "squeue", "error", "words", "hint"),
    [
        (REFUSED, "exit 1", Refused, "invalid partition specified: nosuch", False),
        ("echo 7", NEVER, JobsFailed, "job 7 can never start", False),
        ("echo 7", CANCELLED, JobsFailed, "did not start: job 7: CANCELLED", False),
        ("echo 7", FAILED, JobsFailed, "job 7: FAILED", True),
    ],
)
def test_a_shared_directory_is_asked_about_only_where_a_head_ran(
    monkeypatch, tmp_path, sbatch, squeue, error, words, hint
):
    gone = f"{tmp_path}/cancelled"
    squeue, scancel = f"[ -e {gone} ] || {squeue}", f"touch {gone}"
    for name, does in {"sbatch": sbatch, "squeue": squeue, "scancel": scancel, "scontrol": "exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(error, match=words) as caught:
        SLURMCluster(cores=1, memory="1 GB", head="job")
    assert ("Do all nodes see" in str(caught.value)) is hint


def test_a_start_that_was_interrupted_is_not_said_to_be_a_users_kill(monkeypatch):
    """The head runs already when its start is given up, and notes a reason of its own: that it got a TERM."""
    until_there = HeadLauncher._until_there

    async def interrupted(self):
        await until_there(self)
        raise RuntimeError  # as a cancellation, without words

    monkeypatch.setattr(HeadLauncher, "_until_there", interrupted)
    with pytest.raises(RuntimeError):
        LocalQueueCluster(name="a", head="detached", cores=1, memory="1 GB")
    assert directory("a").record().why == "its start was interrupted"
