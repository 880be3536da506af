"""No loop ends because of one exception."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import SimpleNamespace

import pytest

from jobclusters.guard import Guard
from jobclusters.head.idle import Activity
from jobclusters.head.registration import Registration
from jobclusters.head.server import Service
from jobclusters.registry.record import ClusterRecord
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until


def rounds(guard, *errors):
    for error in errors:
        with guard:
            if error is not None:
                raise error


def test_a_failure_is_logged_once_with_what_it_means_and_its_end_too(caplog):
    rounds(Guard("Polling the jobs"), KeyError("a"), KeyError("b"), None, None)
    first, last = [record.getMessage() for record in caplog.records]
    assert first == "Polling the jobs failed; it is tried again; please report this"
    assert "KeyError: 'a'" in caplog.text
    assert last == "Polling the jobs works again; it failed 2 times."


def test_what_is_not_a_fault_of_the_program_is_reported_without_a_traceback(caplog):
    rounds(Guard("A sign of life"), OSError(122, "Disk quota exceeded"))
    assert "A sign of life failed; it is tried again. [Errno 122] Disk quota exceeded" in caplog.text
    assert "Traceback" not in caplog.text


def test_another_kind_of_failure_is_logged_too(caplog):
    rounds(Guard("A step"), KeyError("a"), ValueError("b"), ValueError("c"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_what_ends_a_task_or_the_program_goes_through(error):
    with pytest.raises(type(error)):
        rounds(Guard("A step"), error)


@pytest.fixture
def registration():
    presence = SimpleNamespace(beat=lambda: True, record=ClusterRecord(name="a", run="r", system="slurm", head="job"))
    return Registration(presence, {"idle_timeout": 60.0, "no_client_timeout": None})


def test_heartbeat_and_idle_monitor_go_on_after_an_error(registration, caplog):
    closed = []

    async def finish(why):
        closed.append(why)

    def broken(*_):
        raise KeyError("a worker that has just gone")

    cluster = SimpleNamespace(
        closing=False, name="a", scheduler=SimpleNamespace(handlers={}, address="", log_event=print), finish=finish
    )

    async def main():
        registration._presence.note = lambda **_: None
        registration._publish = lambda: None
        registration.serve(cluster)
        for callback in registration._callbacks:
            callback.stop()
        cluster.activity = broken
        await registration._watch_use(cluster)
        cluster.activity = Activity
        await registration._watch_use(cluster)
        registration._presence.beat = broken
        await registration._beat(cluster)
        await registration._beat(cluster)
        assert closed == [], "an error is no sign that the cluster can't be found"
        registration._presence.beat = lambda: False
        await registration._beat(cluster)
        assert len(closed) == 1

    asyncio.run(main())
    assert caplog.text.count("The cluster's sign of life failed") == 1
    assert caplog.text.count("Looking whether the cluster is used works again") == 1


def test_a_head_whose_end_fails_once_can_be_closed_again(caplog):
    async def finish(why):
        raise KeyError("a bug")

    async def main():
        service = Service(
            SimpleNamespace(status=None, finish=finish), ClusterRecord(name="a", run="r", system="slurm", head="job")
        )
        await service._finish("closed by a client")

    asyncio.run(main())
    assert "Closing the cluster failed; close it again" in caplog.text


@pytest.fixture
def held():
    return ScriptedQueue(hold=True)


SMALL = {"cores": 1, "memory": "1 GiB", "scheduler_options": {"dashboard": False}}


def test_one_group_that_fails_keeps_no_other_from_scaling(held, caplog):
    with ScriptedCluster(held, **SMALL) as cluster:
        cluster.add_group("other", cores=1, memory="1 GiB")
        adaptive = cluster.adapt(minimum_jobs=1, interval="1 hour")
        cluster.adapt(minimum_jobs=1, interval="1 hour", group="other")
        real, step = cluster._adaptive._step, cluster._adaptive
        step._step = lambda group, todo: 1 / 0 if group.name == "default" else real(group, todo)
        cluster.sync(step.adapt)
        until(lambda: len(held.living()) == 1)
        assert "Scaling group default failed" in caplog.text
        step._step = real
        cluster.sync(step.adapt)
        until(lambda: len(held.living()) == 2)
        del adaptive


def test_close_cancels_all_though_everything_before_it_fails(held, monkeypatch):
    cluster = ScriptedCluster(held, **SMALL)
    cluster.scale(jobs=3)
    until(lambda: len(held.living()) == 3)
    monkeypatch.setattr(cluster.pool, "measure", lambda: 1 / 0)
    monkeypatch.setattr(cluster.registration._credentials, "remove", lambda: 1 / 0)
    cluster.close(timeout=PATIENCE)
    assert held.living() == []
    assert cluster.status.name == "closed"


def test_threads_that_close_at_once_all_see_it_closed(held):
    cluster = ScriptedCluster(held, **SMALL)
    cluster.scale(jobs=2)
    until(lambda: len(held.living()) == 2)
    seen = []

    def close():
        try:
            cluster.close(timeout=PATIENCE)
            seen.append(cluster.status.name)
        except BaseException as error:
            seen.append(error)

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    assert seen == ["closed"] * 4
    assert held.living() == []
