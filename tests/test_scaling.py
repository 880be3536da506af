from __future__ import annotations

import pytest

from jobclusters.scaling import JobSnapshot, victims
from jobclusters.state import JobState

FAILED = JobSnapshot("failed", 0, JobState.FAILED)
GONE = JobSnapshot("gone", 1, JobState.GONE)
OLD = JobSnapshot("pending-old", 2, JobState.PENDING)
YOUNG = JobSnapshot("pending-young", 9, JobState.PENDING)
IDLE = JobSnapshot("idle", 3, JobState.RUNNING)
IDLE_YOUNG = JobSnapshot("idle-young", 8, JobState.RUNNING)
HOLDS = JobSnapshot("idle-holds", 4, JobState.RUNNING, held=10**9)
BUSY = JobSnapshot("busy", 5, JobState.RUNNING, busy=True)
BUSY_HOLDS = JobSnapshot("busy-holds", 6, JobState.RUNNING, busy=True, held=1)

ALL = [BUSY_HOLDS, HOLDS, OLD, IDLE, GONE, BUSY, YOUNG, FAILED, IDLE_YOUNG]


@pytest.mark.parametrize(
    ("jobs", "count", "go"),
    [
        (ALL, 0, []),
        (ALL, 2, ["gone", "failed"]),
        (ALL, 3, ["gone", "failed", "pending-young"]),
        (ALL, 5, ["gone", "failed", "pending-young", "pending-old", "idle-young"]),
        (ALL, 7, ["gone", "failed", "pending-young", "pending-old", "idle-young", "idle", "idle-holds"]),
        ([BUSY_HOLDS, BUSY, HOLDS], 1, ["idle-holds"]),
        ([BUSY_HOLDS, BUSY], 1, ["busy"]),
        ([IDLE], 5, ["idle"]),
        ([], 3, []),
    ],
)
def test_victims(jobs, count, go):
    assert victims(jobs, count) == go
    assert victims(reversed(jobs), count) == go


@pytest.mark.parametrize(
    "state",
    [JobState.PENDING, JobState.UNKNOWN, JobState.COMPLETING],
)
def test_a_job_with_busy_workers_is_no_pending_job(state):
    """The batch system's answer may be a minute old; workers that work are the newer news."""
    assert victims([JobSnapshot("busy", 1, state, busy=True, held=1), IDLE], 1) == ["idle"]
