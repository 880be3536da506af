"""How a cluster shows itself in a notebook; in a real one: tests/browser/."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from jobclusters import InvalidRequest, JobState, JobStatus
from jobclusters.notebook import SHOWN, jobs_html
from jobclusters.record import JobRecord
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from jobclusters.units import UNLIMITED

NOW = datetime(2030, 1, 1, 9, 30)
EVIL = "<script>alert(1)</script>"


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def held(**keywords):
    """Make a cluster whose jobs stay pending."""
    return ScriptedCluster(ScriptedQueue(hold=True), cores=2, processes=2, memory="512 MiB", **keywords)


def record(state=JobState.RUNNING, walltime=timedelta(hours=2), **status):
    return JobRecord("c-0", 0, SimpleNamespace(walltime=walltime), status=JobStatus(state, **status))


# -- time left -------------------------------------------------------------------------------------------------


def test_walltimes_end_after_the_start_that_the_batch_system_dates():
    assert record(started=NOW).walltime_over(5.0, NOW) == NOW + timedelta(hours=2)


def test_where_it_dates_none_the_first_worker_does():
    assert record().walltime_over(60.0, NOW) == NOW + timedelta(minutes=119)


@pytest.mark.parametrize(
    "each",
    [
        record(),
        record(JobState.PENDING, started=NOW),
        record(JobState.FAILED, started=NOW),
        record(walltime=None, started=NOW),
        record(walltime=UNLIMITED, started=NOW),
        record(walltime=timedelta(days=9_999_999), started=NOW),
    ],
)
def test_otherwise_nothing_is_said(each):
    assert each.walltime_over(None, NOW) is None


# -- HTML ------------------------------------------------------------------------------------------------------


def test_a_row_tells_what_is_known_of_a_job():
    jobs = {
        "7_0": JobStatus(JobState.RUNNING, node="c1", workers=2, ends=NOW + timedelta(minutes=83)),
        "7_1": JobStatus(JobState.PENDING, "Priority", "others go first", estimated_start=NOW + timedelta(hours=1)),
        "7_2": JobStatus(JobState.FAILED, exit_code=127, node="c2"),
    }
    text = jobs_html(jobs, NOW)
    for cells in (
        ("7_0", "RUNNING", "", "c1", "1 h 23 min", "2"),
        ("7_1", "PENDING", "Priority: others go first, expected to start at 10:30", "", "", ""),
        ("7_2", "FAILED", "exit code 127", "c2", "", ""),
    ):
        assert "".join(f"<td>{cell}</td>" for cell in cells) in text


def test_of_many_jobs_the_running_ones_are_shown_and_the_rest_counted():
    jobs = {f"1_{i}": JobStatus(JobState.CANCELLED) for i in range(500)}
    jobs |= {f"2_{i}": JobStatus(JobState.PENDING) for i in range(495)}
    jobs |= {f"3_{i}": JobStatus(JobState.RUNNING) for i in range(5)}
    text = jobs_html(jobs, NOW)
    assert text.count("<tr>") == SHOWN + 1
    assert text.count("RUNNING") == 5
    assert "... and 950 more." in text


def test_the_latest_end_is_shown_first():
    text = jobs_html({"1": JobStatus(JobState.COMPLETED), "2": JobStatus(JobState.FAILED)}, NOW)
    assert text.index("FAILED") < text.index("COMPLETED")


def test_everything_is_escaped():
    jobs = {EVIL: JobStatus(JobState.PENDING, EVIL, EVIL, node=EVIL)}
    assert EVIL not in jobs_html(jobs, NOW)
    with held(n_jobs=1) as cluster:
        cluster.name = EVIL
        cluster.scheduler_info["workers"]["tcp://1"] = {
            "name": EVIL,
            "type": "Worker",
            "nthreads": 1,
            "memory_limit": 2**30,
            "nanny": None,
            "services": {},
            "local_directory": "/tmp",
            "host": "c1",
            "address": "tcp://1",
        }
        assert EVIL not in cluster._repr_html_()
        assert "Jobs:</strong> 1 pending" in cluster._repr_html_()
        cluster.scheduler_info["workers"].clear()


# -- the widget ------------------------------------------------------------------------------------------------


def test_it_is_one_however_often_it_is_displayed_and_ends_with_the_cluster():
    with held() as cluster:
        before = set(cluster.periodic_callbacks)
        widget = cluster._widget()
        assert all(cluster._widget() is widget for _ in range(5))
        until(lambda: set(cluster.periodic_callbacks) - before == {"cluster-repr"})
        callback, panel = cluster.periodic_callbacks["cluster-repr"], cluster._panel
        cluster.scale(jobs=2)
        until(lambda: panel._jobs.value.count("PENDING") == 2)
    assert not callback.is_running()
    assert "2 cancelled" in panel._jobs.value
    assert "closed" in panel._said.value
    assert panel._scale.disabled
    assert cluster._widget() is widget


def test_a_closed_cluster_gets_no_widget():
    with held() as cluster:
        pass
    assert cluster._widget() is None


def test_without_ipywidgets_there_is_html(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "jobclusters.widget", raising=False)
    with held() as cluster:
        assert cluster._widget() is None
        assert "Jobs:" in cluster._repr_html_()


@pytest.fixture
def panel():
    with held() as cluster:
        cluster.add_group("gpu", cores=1, memory="256 MiB")
        cluster._widget()
        yield cluster._panel


@pytest.mark.parametrize(("group", "unit", "number", "jobs"), [("gpu", "jobs", 3, 3), ("default", "workers", 3, 2)])
def test_scaling_by_button(panel, group, unit, number, jobs):
    panel._group.value, panel._unit.value, panel._number.value = group, unit, number
    panel._scale.click()
    assert panel._cluster.groups[group].wanted == jobs
    until(lambda: panel._jobs.value.count("PENDING") == jobs)


@pytest.mark.parametrize(("unit", "limits"), [("jobs", (2, 6)), ("workers", (1, 3))])
def test_adapting_by_button(panel, unit, limits):
    panel._unit.value, panel._minimum.value, panel._maximum.value = unit, 2, 6
    panel._adapt.click()
    policy = panel._cluster.groups["default"].policy
    assert (policy.minimum, policy.maximum) == limits
    assert panel._cluster.groups["gpu"].policy is None
    until(lambda: f"with the work, {limits[0]} to {limits[1]} jobs" in panel._groups.value)
    panel._number.value = 1
    panel._scale.click()
    until(lambda: "with the work" not in panel._groups.value)


def test_what_is_refused_is_said(panel):
    panel._minimum.value, panel._maximum.value = 5, 2
    panel._adapt.click()
    assert "the minimum, 5 jobs, is above the maximum, 2" in panel._said.value


def test_a_new_group_can_be_chosen(panel):
    panel._cluster.add_group("large", cores=1, memory="1 GiB")
    until(lambda: "large" in panel._group.options)


def test_on_an_event_loop():
    async def drive():
        async with held(asynchronous=True) as cluster:
            cluster._widget()
            panel = cluster._panel
            panel._number.value = 2
            panel._scale.click()
            while panel._jobs.value.count("PENDING") < 2:  # noqa: ASYNC110 -- as a browser would look
                await asyncio.sleep(0.02)
        assert "closed" in panel._said.value

    asyncio.run(drive())


def test_on_an_event_loop_a_connection_says_what_its_head_refuses():
    """It gives a future where the cluster itself would give a scaler."""

    async def drive():
        async with held(asynchronous=True) as cluster:
            cluster._widget()
            panel = cluster._panel

            async def refused():
                raise InvalidRequest("the minimum is above the maximum")

            cluster.adapt = lambda **_: asyncio.ensure_future(refused())
            panel._adapt.click()
            while "above the maximum" not in panel._said.value:  # noqa: ASYNC110 -- as a browser would look
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(drive(), 60))


def test_a_thousand_jobs_are_a_short_text():
    with held() as cluster:
        cluster.scale(jobs=1000)
        until(lambda: sum("_" in job for job in cluster.jobs) == 1000)
        cluster._widget()
        until(lambda: "1000 pending" in cluster._panel._jobs.value)
        assert len(cluster._panel._jobs.value) < 10_000
