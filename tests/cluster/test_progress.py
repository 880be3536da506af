"""Waiting for workers: for how many, and what is shown meanwhile."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import SimpleNamespace

import dask.config
import pytest

from jobclusters import InvalidRequest, JobState, JobStatus, LocalQueueCluster, QueueError
from jobclusters.cluster import base
from jobclusters.cluster import progress as display
from jobclusters.cluster.progress import Display, Notebook, Plain, Progress, Rich, lines, open_display, workers_meant
from jobclusters.config.machine import Machine
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE, until

NOW = datetime(2030, 1, 1, 9, 30)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def pending(reason="Resources", **more):
    return JobStatus(JobState.PENDING, reason, **more)


def lines_of(*jobs, arrived=0, wanted=4):
    return lines(Progress(arrived, wanted, {str(i): job for i, job in enumerate(jobs)}, NOW))


# -- how many --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "there_should_be", "meant"), [(1, 10, 1), (1.0, 10, 10), (0.5, 5, 3), (0.07, 100, 7), (1e-12, 10, 1)]
)
def test_numbers_and_fractions(asked, there_should_be, meant):
    assert workers_meant(asked, there_should_be) == meant


@pytest.mark.parametrize(
    "asked", [0, -1, 0.0, -0.5, 1.01, 2.0, float("nan"), float("inf"), True, False, "all", None, [3]]
)
def test_anything_else_is_refused_in_one_message(asked):
    with pytest.raises(InvalidRequest, match=r"at least 1, or a fraction .* above 0\.0 and at most 1\.0; not "):
        workers_meant(asked, 10)


def test_a_fraction_of_nothing_says_what_to_do():
    with pytest.raises(InvalidRequest, match=r"wait_for_workers\(0\.5\).*scale\(\) or adapt\(\) the cluster first"):
        workers_meant(0.5, 0)


# -- the lines -------------------------------------------------------------------------------------------------


def test_reasons_are_counted_the_commonest_first():
    jobs = [pending("Priority")] + [pending("Resources", meaning="waits for free nodes")] * 3 + [pending("")] * 2
    assert lines_of(*jobs) == [
        "0 of 4 workers; jobs: 6 pending",
        "  3 wait: Resources: waits for free nodes",
        "  1 wait: Priority",
    ]


def test_many_reasons_are_cut():
    assert lines_of(*(pending(f"Reason{i}") for i in range(9)))[-1] == "  6 wait for other reasons"


def test_the_first_expected_start_is_reported():
    starts = [NOW + timedelta(hours=2), NOW + timedelta(minutes=12), None]
    assert "  the first is expected to start at 09:42" in lines_of(*(pending(estimated_start=each) for each in starts))


def test_jobs_that_run_without_workers_are_reported_and_those_that_failed():
    running = [JobStatus(JobState.RUNNING), JobStatus(JobState.RUNNING, workers=1)]
    failed = [JobStatus(JobState.FAILED, "NonZeroExitCode", exit_code=127, node="c1")] * 2
    assert lines_of(*running, *failed, JobStatus(JobState.CANCELLED), arrived=1) == [
        "1 of 4 workers; jobs: 2 running",
        "  1 running, the workers are starting",
        "  2 ended: FAILED (NonZeroExitCode), exit code 127, on c1",
    ]


def test_the_last_line_does_not_wait_for_workers_that_are_there():
    """A poll of the jobs may be older than the workers that have arrived."""
    assert lines_of(JobStatus(JobState.RUNNING), arrived=1, wanted=1) == ["1 of 1 workers; jobs: 1 running"]


def test_a_reason_cannot_move_the_cursor():
    assert not any(letter in "".join(lines_of(pending("\x1b[2J\r\nheld"))) for letter in "\x1b\r\n")


# -- where it is shown -----------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """Be on one. Not by sys.stderr, which pytest itself replaces before a test."""
    stream = Terminal()
    monkeypatch.setattr(display, "sys", SimpleNamespace(stderr=stream, modules=sys.modules))
    return stream


def test_nothing_is_shown_but_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(open_display()) is Display
    assert isinstance(open_display(wanted=True), Plain)


def test_a_terminal_gets_a_bar(terminal):
    assert isinstance(open_display(), Rich)


def test_it_can_be_switched_off(terminal):
    assert type(open_display(wanted=False)) is Display
    with dask.config.set({"jobclusters.progress": False}):
        assert type(open_display()) is Display
        assert isinstance(open_display(wanted=True), Rich)
    with (
        dask.config.set({"jobclusters.progress": "maybe"}),
        pytest.raises(InvalidRequest, match=r"jobclusters\.progress"),
    ):
        open_display()


def test_plain_lines_are_printed_once(terminal):
    shown = Plain(terminal)
    for arrived in (0, 0, 1):
        shown.show(Progress(arrived, 2, {"1": pending()}))
    assert terminal.getvalue().splitlines() == [
        "0 of 2 workers; jobs: 1 pending",
        "  1 wait: Resources",
        "1 of 2 workers; jobs: 1 pending",
    ]


def test_rich_draws_a_bar_and_takes_words_as_they_are(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = Rich(terminal)
    shown.show(Progress(1, 2, {"1": pending("[red]held[/nothing]")}))
    shown.end()
    assert "━" in terminal.getvalue()
    assert "1 of 2 workers; jobs: 1 pending" in terminal.getvalue(), "not cut off by the bar"
    assert "[red]held[/nothing]" in terminal.getvalue()


@pytest.mark.parametrize("kind", ["xterm", "screen", "linux", "xterm-256color"])
def test_what_is_done_of_a_bar_has_another_colour(terminal, monkeypatch, kind):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("TERM", kind)
    shown = Rich(terminal)
    shown.show(Progress(1, 2, {"1": pending()}))
    shown.end()
    done, rest = re.findall(r"\x1b\[([0-9;]+)m[━╸╺]+", terminal.getvalue())[:2]
    assert (done, rest) == ("32", "90"), "green, and grey"


def test_rich_that_showed_nothing_leaves_nothing(terminal):
    Rich(terminal).end()
    assert terminal.getvalue() == ""


def test_a_notebook_shows_it_in_one_place(monkeypatch):
    import IPython

    seen = []
    handle = SimpleNamespace(update=lambda bundle, raw: seen.append(bundle))
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", lambda bundle, **how: seen.append(bundle) or handle)
    shown = open_display()
    assert isinstance(shown, Notebook)
    for arrived in (0, 1):
        shown.show(Progress(arrived, 2, {"1": pending("<script>")}))
    first, second = seen
    assert "<script>" in first["text/plain"]
    assert "<script>" not in first["text/html"]
    assert second["text/plain"].startswith("1 of 2 workers")


# -- on a cluster ----------------------------------------------------------------------------------------------


@pytest.fixture
def one_at_a_time():
    return ScriptedQueue(Machine(cores=1, memory=2**40))


def test_a_fraction_is_waited_for_and_shown(one_at_a_time, capsys, tmp_path):
    """The other job can't start: who waited for both would wait for ever."""
    go, shown = tmp_path / "go", []

    def seen(words):
        shown.append(capsys.readouterr().err)
        return words in "".join(shown)

    prologue = [f"until [ -e {go} ]; do sleep 0.1; done"]
    with ScriptedCluster(one_at_a_time, cores=1, memory="256 MiB", job_script_prologue=prologue) as cluster:
        cluster.scale(jobs=2)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(cluster.wait_for_workers, 0.5, timeout=PATIENCE, progress=True)
            try:
                until(lambda: seen("0 of 1 workers; jobs: 1 running, 1 pending\n  1 wait: Resources"))
            finally:
                go.touch()
            waiting.result()
        assert len(cluster.observed) == 1
        assert seen("1 of 1 workers")
        assert "".join(shown).splitlines()[-1].startswith("1 of 1 workers")
        with pytest.raises(TimeoutError):
            cluster.wait_for_workers(1.0, timeout=1)
        assert capsys.readouterr().err == "", "no terminal, no words"


def test_on_an_event_loop(one_at_a_time, capsys):
    async def drive():
        cluster = ScriptedCluster(one_at_a_time, cores=1, memory="256 MiB", asynchronous=True)
        async with cluster:
            cluster.adapt(minimum=2)
            await cluster.wait_for_workers(0.5, timeout=PATIENCE, progress=True)
            assert len(cluster.observed) == 1

    asyncio.run(drive())
    assert "1 of 1 workers" in capsys.readouterr().err


def test_a_client_waits_in_the_same_way(one_at_a_time, monkeypatch):
    with ScriptedCluster(one_at_a_time, cores=1, memory="256 MiB", n_workers=1) as cluster:
        seen = []
        monkeypatch.setattr(cluster, "wait_for_workers", lambda *asked: seen.append(asked))
        with cluster.get_client() as client:
            client.wait_for_workers(1, timeout=PATIENCE)
        assert seen == [(1, PATIENCE)]


def test_a_closed_cluster_is_not_waited_for():
    with ScriptedCluster(ScriptedQueue(hold=True), cores=1, memory="256 MiB") as cluster:
        pass
    with pytest.raises(QueueError, match="is closed: no workers will come"):
        cluster.wait_for_workers(1)


@pytest.mark.parametrize("head", ["process", "detached"])
def test_a_wait_ends_with_its_cluster(head, monkeypatch):
    async def story():
        async with LocalQueueCluster(cores=1, memory="256 MiB", head=head, asynchronous=True) as cluster:
            looks, look = [], cluster._find_trouble
            monkeypatch.setattr(cluster, "_find_trouble", lambda: looks.append(1) or look())
            waiting = asyncio.ensure_future(cluster.wait_for_workers(1))
            while len(looks) < 2:  # noqa: ASYNC110 -- the second one begins where it waits
                await asyncio.sleep(0.01)
            await cluster.close()
            with pytest.raises(QueueError, match=r"is clos(ing|ed) |was closed"):
                await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(story())


def test_a_display_that_fails_ends_the_wait(monkeypatch):
    class Broken(Display):
        def show(self, progress):
            raise KeyboardInterrupt

    monkeypatch.setattr("jobclusters.cluster.base.open_display", lambda wanted: Broken())
    with ScriptedCluster(ScriptedQueue(hold=True), cores=1, memory="256 MiB", n_workers=1) as cluster:
        began = []
        waits = cluster._wait_for_workers

        async def noted(*asked):
            began.append(asyncio.current_task())
            await waits(*asked)

        monkeypatch.setattr(cluster, "_wait_for_workers", noted)
        with pytest.raises(KeyboardInterrupt):
            cluster.wait_for_workers(1)
        cluster.sync(asyncio.wait, began)
        assert began[0].cancelled()


def test_a_wait_for_more_than_was_asked_for_says_so_once(one_at_a_time, caplog, monkeypatch):
    looks, count = [], base._count_requested
    monkeypatch.setattr(base, "VAIN_NOTICE", 0.5)
    monkeypatch.setattr(base, "_count_requested", lambda cluster: looks.append(1) or count(cluster))
    with ThreadPoolExecutor(1) as pool:
        with ScriptedCluster(one_at_a_time, cores=1, memory="256 MiB", name="few", n_workers=1) as cluster:
            waiting = pool.submit(cluster.wait_for_workers, 5)
            until(lambda: "awaited" in caplog.text)
            looks.clear()
            until(lambda: len(looks) > 3)
        assert isinstance(waiting.exception(PATIENCE), QueueError)
        assert [m for m in caplog.messages if "awaited" in m] == [
            "Cluster few: 5 workers awaited, and 1 asked for: cluster.scale(5), or adapt(minimum=5), asks for them."
        ]


def test_a_wait_for_what_was_asked_for_says_nothing_of_it(one_at_a_time, caplog, monkeypatch):
    monkeypatch.setattr(base, "VAIN_NOTICE", 0.1)
    with ScriptedCluster(one_at_a_time, cores=1, memory="256 MiB", n_jobs=5) as cluster:
        with pytest.raises(TimeoutError):
            cluster.wait_for_workers(5, timeout=2)
        assert "awaited" not in caplog.text
