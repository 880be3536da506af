from __future__ import annotations

from jobclusters.scaling.model import Census, JobSnapshot
from jobclusters.scaling.usage import Meter
from jobclusters.state import JobState


def job(state=JobState.RUNNING, *, busy=False):
    return JobSnapshot("j", 0, state, busy=busy)


def test_running_jobs_are_paid_for_whether_they_work_or_not():
    meter = Meter()
    meter.asked("default", 3)
    cores = {"default": 4, "gpu": 8}
    meter.add(0.0, {"default": Census.of([job(), job()])}, cores)  # what was before is not known
    some = Census.of([job(busy=True), job(), job(JobState.PENDING)])
    meter.add(1800.0, {"default": some, "gpu": Census.of([job(busy=True)])}, cores)
    usage = meter.groups
    assert (usage["default"].jobs, usage["default"].core_hours, usage["default"].idle_share) == (3, 4.0, 0.5)
    assert (usage["gpu"].core_hours, usage["gpu"].idle_share) == (4.0, 0.0)
    assert meter.core_hours == 8.0


def test_nothing_used_is_no_division_by_zero():
    meter = Meter()
    meter.asked("default", 1)
    assert meter.groups["default"].sentence() == "1 job asked for, 0 core-hours used, 0 % of them idle"
