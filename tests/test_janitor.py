"""What is written of submissions, for those who clear up after a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from dataclasses import replace

import psutil
import pytest

from jobclusters import NoBatchSystem, Unavailable, janitor
from jobclusters.commandqueue import CommandQueue
from jobclusters.entry import Phase
from jobclusters.janitor import JOURNAL, Janitor, bury, note, sweep, written
from jobclusters.registry import claim, directory, new_entry
from jobclusters.state import JobState, JobStatus


@pytest.fixture
def cluster():
    entry = new_entry("a", "local", "detached")
    assert claim(entry) is None
    return directory("a"), entry


def journal(files, *messages):
    for message in messages:
        files.append(JOURNAL, message if isinstance(message, str) else json.dumps(message))


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([], {}),
        ([{"submitting": "x"}], {"x": []}),
        ([{"submitting": "x"}, {"submitted": "x", "ids": ["1_0", "1_1"]}], {"x": ["1_0", "1_1"]}),
        ([{"submitting": "x"}, {"submitted": "x", "ids": []}], {}),
        ([{"submitted": "x", "ids": []}], {}),
        ([{"submitting": "x"}, {"submitting": "y"}, {"submitted": "y", "ids": ["7"]}], {"x": [], "y": ["7"]}),
        ([{"token": "t"}, {"submitting": "x"}], {"x": []}),
    ],
)
def test_what_a_cluster_has_submitted(cluster, messages, left):
    files, _ = cluster
    journal(files, *messages)
    assert written(files) == left


@pytest.mark.parametrize("half", ['{"submitting": "y', "{", "nonsense", '{"submitted": "x", "ids": ["1'])
def test_a_last_line_that_was_being_written_is_left_out(cluster, half):
    files, _ = cluster
    journal(files, {"submitting": "x"})
    with (files.path / JOURNAL).open("a") as file:
        file.write(half)
    assert written(files) == {"x": []}
    assert janitor._tokens(files) == set()


def test_a_half_line_that_another_process_wrote_on_is_left_out(cluster):
    """A disk that was full for a moment, say."""
    files, _ = cluster
    journal(files, {"token": "t"}, {"submitting": "x"}, '{"submitt', {"submitting": "z"}, "[1]", "7", "\x00\x00")
    assert written(files) == {"x": [], "z": []}
    assert janitor._tokens(files) == {"t"}


def test_nothing_was_written():
    assert written(directory("nosuch")) == {}
    assert janitor._tokens(directory("nosuch")) == set()


def test_the_owner_writes_it_down_for_itself_alone(cluster):
    files, _ = cluster
    mine = Janitor("local", "token0", files)
    asyncio.run(mine.submitting("x"))
    pid = mine._process.pid
    assert janitor._tokens(files) == {"token0"}
    mine.submitted("x", ["1"])
    assert written(files) == {"x": ["1"]}
    assert stat.S_IMODE((files.path / JOURNAL).stat().st_mode) == 0o600
    mine.goodbye()
    assert written(files) == {}
    assert not psutil.pid_exists(pid)


def test_who_leaves_takes_nothing_with_it_that_others_have_submitted(cluster):
    """As who starts a head and the head itself, one of which leaves while the other begins."""
    files, _ = cluster
    first, second = Janitor("slurm", "", files, starts=False), Janitor("slurm", "", files, starts=False)
    asyncio.run(first.submitting("head"))
    asyncio.run(second.submitting("x"))
    first.submitted("head", ["1"])
    first.goodbye()
    second.submitted("x", ["2"])
    asyncio.run(second.submitting("y"))
    assert written(files) == {"x": ["2"], "y": []}
    second.goodbye()
    assert written(files) == {}


def test_one_that_does_not_start_still_writes_it_down(cluster):
    files, _ = cluster
    mine = Janitor("slurm", "", files, starts=False)
    asyncio.run(mine.submitting("x"))
    assert mine._process is None
    assert written(files) == {"x": []}


def test_a_journal_that_cannot_be_written_harms_nobody(cluster):
    files, _ = cluster
    files.remove()
    mine = Janitor("slurm", "", files, starts=False)
    asyncio.run(mine.submitting("x"))
    mine.refused("x")
    assert not files.path.exists()


def test_lines_are_read_as_they_come():
    submissions = {}
    assert note(submissions, [b'{"submitting": "x"}'])
    assert note(submissions, [b'{"submitted": "x", "ids": ["1"]}'])
    assert submissions == {"x": ["1"]}
    assert not note(submissions, [b'{"goodbye": true}'])


def test_a_sweep_ends_the_processes_of_a_dead_owners_queue(cluster):
    files, entry = cluster
    journal(files, {"token": "token1"})
    files.write("key.pem", "secret")
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token1.1"})
    asyncio.run(sweep(files, entry, "its head is gone"))
    assert process.wait(10) == -15
    assert (files.entry().phase, files.entry().why) == (Phase.ENDED, "its head is gone")
    assert not (files.path / "key.pem").exists()


def test_a_sweep_leaves_the_next_cluster_of_the_name_alone(cluster):
    files, before = cluster
    files.update(replace(before, phase=Phase.ENDED))
    entry = new_entry("a", "local", "detached")
    assert claim(entry) is None
    journal(files, {"token": "token2"})
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBCLUSTERS_JOB_ID": "token2.1"})
    try:
        asyncio.run(sweep(files, before, "its head is gone"))
        assert process.poll() is None
        assert files.entry() == entry
    finally:
        process.kill()
        process.wait()


def test_a_burial_keeps_the_first_reason_and_removes_what_has_no_name(cluster):
    files, entry = cluster
    bury(files, entry.run, "first")
    bury(files, entry.run, "second")
    assert files.entry().why == "first"
    unnamed = new_entry("local-1", "local", "detached", named=False)
    assert claim(unnamed) is None
    bury(directory("local-1"), unnamed.run, "gone")
    assert not directory("local-1").path.exists()
    bury(directory("local-1"), unnamed.run, "gone")
    assert not directory("local-1").path.exists()


def test_what_cannot_be_cancelled_from_here_stays_noted(monkeypatch, tmp_path):
    entry = new_entry("far", "slurm", "job")
    assert claim(entry) is None
    files = directory("far")
    journal(files, {"submitting": "x"}, {"submitted": "x", "ids": ["7"]})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBatchSystem, match="no SLURM here"):
        asyncio.run(sweep(files, entry, "its head is gone"))
    assert files.entry().phase is Phase.STARTING
    assert written(files) == {"x": ["7"]}


@pytest.mark.parametrize("goes", [True, False])
def test_a_cluster_ends_when_its_jobs_have(monkeypatch, tmp_path, goes):
    """A SLURM that says of job 7 that it runs until it is cancelled, or always."""
    entry = new_entry("near", "slurm", "job")
    assert claim(entry) is None
    files = directory("near")
    journal(files, {"submitting": "x"}, {"submitted": "x", "ids": ["7"]})
    cancelled = []

    async def cancel(self, ids):
        cancelled.extend(ids)

    async def states(self, ids):
        return {} if goes and cancelled else {"7": JobStatus(JobState.RUNNING)}

    monkeypatch.setattr(CommandQueue, "check", lambda self: None)
    monkeypatch.setattr(CommandQueue, "cancel", cancel)
    monkeypatch.setattr(CommandQueue, "states", states)
    monkeypatch.setattr(janitor, "PATIENCE", 0.5)
    if goes:
        asyncio.run(sweep(files, entry, "its head is gone"))
    else:
        with pytest.raises(Unavailable, match=r"cluster near .its head is gone. has left jobs .* cancelled: 7"):
            asyncio.run(sweep(files, entry, "its head is gone"))
    assert cancelled[0] == "7"
    assert files.entry().phase is (Phase.ENDED if goes else Phase.STARTING)
