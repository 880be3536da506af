"""How a cluster shows itself in a notebook; in a real one: tests/browser/."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from jobclusters import InvalidRequest, JobState, JobStatus
from jobclusters.cluster.html import SHOWN, jobs_html
from jobclusters.cluster.views import JobLogs, Jobs
from jobclusters.jobs.record import JobRecord
from jobclusters.spec.units import UNLIMITED
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import until

NOW = datetime(2030, 1, 1, 9, 30)
EVIL = "<script>alert(1)</script>"


def held(**keywords):
    """Make a cluster whose jobs stay pending."""
    return ScriptedCluster(ScriptedQueue(hold=True), cores=2, processes=2, memory="512 MiB", **keywords)


def record(state=JobState.RUNNING, walltime=timedelta(hours=2), **status):
    return JobRecord("c-0", 0, SimpleNamespace(walltime=walltime), status=JobStatus(state, **status))


# -- time left -------------------------------------------------------------------------------------------------


def test_walltimes_end_after_the_start_that_the_batch_system_dates():
    assert record(started=NOW).walltime_ends_at(5.0, NOW) == NOW + timedelta(hours=2)


def test_where_it_dates_none_the_first_worker_does():
    assert record().walltime_ends_at(60.0, NOW) == NOW + timedelta(minutes=119)


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
    assert each.walltime_ends_at(None, NOW) is None


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
    assert "closed" in panel._message.value
    assert panel._scale.disabled
    assert cluster._widget() is widget


def test_a_closed_cluster_gets_no_widget():
    with held() as cluster:
        pass
    assert cluster._widget() is None


def test_without_ipywidgets_there_is_html(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "jobclusters.cluster.widget", raising=False)
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
    assert "the minimum, 5 jobs, is above the maximum, 2" in panel._message.value


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
        assert "closed" in panel._message.value

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
            while "above the maximum" not in panel._message.value:  # noqa: ASYNC110 -- as a browser would look
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(drive(), 60))


def test_a_thousand_jobs_are_a_short_text():
    with held() as cluster:
        cluster.scale(jobs=1000)
        until(lambda: sum("_" in job for job in cluster.jobs) == 1000)
        cluster._widget()
        until(lambda: "1000 pending" in cluster._panel._jobs.value)
        assert len(cluster._panel._jobs.value) < 10_000


def test_the_fields_begin_with_what_is_in_force(panel):
    """Whoever clicks Scale without a look at the number cancels nothing."""
    panel._cluster.scale(jobs=3)
    until(lambda: panel._number.value == 3)
    panel._scale.click()
    assert panel._cluster.groups["default"].wanted == 3
    panel._unit.value = "workers"
    assert panel._number.value == 6
    panel._group.value = "gpu"
    assert panel._number.value == 0
    panel._cluster.adapt(minimum_jobs=1, maximum_jobs=7, group="gpu")
    until(lambda: (panel._minimum.value, panel._maximum.value) == (1, 7))


def test_what_is_being_typed_stays(panel):
    panel._number.value = 9
    panel.refresh()
    assert panel._number.value == 9


def test_old_words_go(panel):
    panel._number.value = 2
    panel._scale.click()
    assert "Asked for this" in panel._message.value
    panel.refresh()
    assert "Asked for this" in panel._message.value
    panel._cluster.scale(jobs=1)
    until(lambda: panel._message.value == "")
    panel._cluster.adapt(minimum_jobs=1, maximum_jobs=2)
    until(lambda: panel._cluster.history and panel._cluster.history[-1].decision.because in panel._groups.value)
    because = panel._cluster.history[-1].decision.because
    panel._cluster.scale(jobs=0)
    until(lambda: because not in panel._groups.value)


# -- what a cluster tells --------------------------------------------------------------------------------------


def test_it_prints_as_tables_and_is_what_it_was():
    with held(n_jobs=2) as cluster:
        until(lambda: len(cluster.jobs) == 2)
        adapting = cluster.adapt(minimum_jobs=1, maximum_jobs=2)
        until(lambda: cluster.history)
        jobs, logs, usage, history = cluster.jobs, cluster.get_job_logs(), cluster.usage, cluster.history
        assert [type(each).__mro__[1] for each in (jobs, logs, usage, history)] == [dict, dict, dict, deque]
        first, *rows = repr(jobs).splitlines()
        assert first.split() == ["JOB", "STATE", "REASON", "NODE", "TIME", "LEFT", "WORKERS"]
        assert [row.split()[:2] for row in rows] == [[job_id, "PENDING"] for job_id in jobs]
        assert repr(logs).startswith(f"==> {next(iter(jobs))} <==\n(nothing yet)")
        assert repr(usage) == "default: 2 jobs asked for, 0 core-hours used, 0 % of them idle"
        assert history[-1].decision.because in repr(history)
        assert repr(adapting) == "QueueAdaptive(default: 1 to 2 jobs)"
        for each in (jobs, logs, usage, history):
            assert each._repr_html_().startswith(("<table", "<details"))
        assert repr(Jobs()) == "no jobs"


def test_what_jobs_print_is_no_html():
    logs = JobLogs({"1": EVIL})
    assert EVIL in repr(logs)
    assert EVIL not in logs._repr_html_()


def test_jobs_are_in_order():
    ended = {f"1_{n}": JobStatus(JobState.CANCELLED) for n in (2, 0, 10, 1)}
    living = {f"2_{n}": JobStatus(JobState.PENDING) for n in (10, 9)}
    rows = repr(Jobs({**ended, **living})).splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["2_9", "2_10", "1_10", "1_2", "1_1", "1_0"]
