"""The files in which clusters are found again: who gets a name, what is private, and the errors for what is odd."""

from __future__ import annotations

import multiprocessing
import os
import re
import stat
import threading
import time
from contextlib import suppress
from dataclasses import replace

import dask.config
import psutil
import pytest

from jobclusters.errors import InvalidRequest
from jobclusters.registry import names as registry
from jobclusters.registry.files import ClusterFiles, root
from jobclusters.registry.names import ENDED_RETENTION, Presence, claim, directory, lives, names, new_record
from jobclusters.registry.record import Phase
from tests.helpers.users import nobody
from tests.helpers.waiting import PATIENCE

FORK = multiprocessing.get_context("fork")


def record(name="a", **changes):
    return replace(new_record(name, "local", "detached"), **changes)


def held(name="a", **changes):
    """Take a name, and give what is noted of it."""
    mine = record(name, **changes)
    assert claim(mine) is None
    return Presence(directory(name), mine)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def listed():
    return sorted(path.name for path in (root() / "clusters").iterdir())


# -- one name, one cluster -----------------------------------------------------------------------------------------


def race(count, prepare=None):
    """Let processes take a name at the same moment; give the answer to each, and what it had asked with."""
    barrier, answers = FORK.Barrier(count), FORK.Queue()

    def take():
        mine = record(why=str(os.getpid()))
        barrier.wait(PATIENCE)
        before = claim(mine)
        answers.put((mine.run, before and before.run))

    processes = [FORK.Process(target=take) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        return [answers.get(timeout=PATIENCE) for _ in processes]
    finally:
        for process in processes:
            process.join(5)
            process.kill()


def winner(answers):
    winners = [run for run, before in answers if before is None]
    assert len(winners) == 1
    assert {before for _, before in answers if before is not None} == set(winners), "the others get the one that has it"
    assert directory("a").record().run == winners[0]
    assert listed() == ["a"], "neither locks nor what was replaced stay"


def test_of_many_processes_one_gets_a_new_name():
    for _ in range(5):
        winner(race(12))
        directory("a").remove()


def test_of_many_processes_one_replaces_a_cluster_that_has_ended():
    for _ in range(5):
        before = held()
        before.ended("it was closed")
        winner(race(12))
        assert directory("a").record().run != before.record.run
        directory("a").remove()


def test_of_many_processes_one_gets_past_the_lock_of_a_dead_one(monkeypatch):
    monkeypatch.setattr(registry, "LOCK_TIMEOUT", 0.3)
    for _ in range(5):
        ClusterFiles(root() / "clusters").make()
        (root() / "clusters" / ".a.lock").touch()
        winner(race(12))
        directory("a").remove()


def test_a_lock_that_is_held_is_respected_whatever_its_date(monkeypatch):
    """Clocks of machines and file servers differ: an old date alone says nothing."""
    monkeypatch.setattr(registry, "LOCK_TIMEOUT", 3600)
    ClusterFiles(root() / "clusters").make()
    lock = root() / "clusters" / ".a.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    done = threading.Event()
    threading.Thread(target=lambda: claim(record()) or done.set(), daemon=True).start()
    assert not done.wait(0.3)
    lock.unlink()
    assert done.wait(PATIENCE)


def test_a_lock_that_changed_hands_is_not_taken_away(tmp_path):
    lock = tmp_path / ".a.lock"
    lock.touch()
    seen = registry._identity(lock)
    lock.unlink()
    (tmp_path / "other").touch()
    lock.write_text("of another")
    registry._break(lock, seen)
    assert lock.read_text() == "of another"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.lock", "other"]


@pytest.mark.parametrize("ended", [False, True])
def test_who_was_suspended_for_longer_than_a_lock_lasts_takes_no_name_away(ended, monkeypatch):
    """As with a machine that sleeps, or waits for a file server: meanwhile another process has broken the lock."""
    if ended:
        held().ended("it was closed")
    read, lock, others = ClusterFiles.record, root() / "clusters" / ".a.lock", []

    def slowly(files):
        found = read(files)
        if lock.exists() and not others:
            others.append(record())
            lock.unlink()
            assert claim(others[0]) is None
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ClusterFiles, "record", slowly)
        assert claim(record()) == others[0]
    assert directory("a").record() == others[0]
    assert listed() == ["a"]


def test_a_name_that_is_held_stays():
    first = held()
    assert claim(record()) == first.record
    assert directory("a").record() == first.record


def test_names_are_independent():
    assert [held(name).record.name for name in ("a", "b", "a.b")] == ["a", "b", "a.b"]
    assert names() == ["a", "a.b", "b"]


# -- a name that has gone to another -------------------------------------------------------------------------------


def test_who_has_lost_a_name_no_longer_notes_anything_there():
    """As a head does that was suspended for long, and taken for dead."""
    first = held()
    directory("a").update(replace(first.record, phase=Phase.ENDED))
    second = held()
    directory("a").write("key.pem", "secret")
    assert first.note(scheduler="tcp://1.2.3.4:5") is False
    first.ended("at last")
    assert directory("a").record() == second.record
    assert (directory("a").path / "key.pem").exists()


def test_an_end_can_be_noted_though_the_directory_is_gone(caplog):
    first = held()
    first.files.remove()
    first.ended("it was closed")
    assert not first.files.path.exists()


def test_an_end_that_cannot_be_noted_is_said_and_no_error(caplog, monkeypatch):
    first = held()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    first.ended("it was closed")
    assert "The end of cluster a can't be noted" in caplog.text
    assert "No space left on device" in caplog.text
    assert [path.name for path in first.files.path.iterdir()] == ["entry.json"], "no half file stays"


@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_left_of_a_cluster_into_whose_directory_a_worker_writes_as_it_goes(opened, monkeypatch):
    """Workers note there that they look for a lost head, as they end with their cluster."""
    mine = held("local-1", named=False, head="process")
    workers, unlink, marked = ClusterFiles(mine.files.path), os.unlink, []
    place = workers.opened()

    def marking(*where, **more):
        if not marked:
            marked.append(True)
            with suppress(FileNotFoundError):
                os.close(place.create(".swept")) if opened else workers.take_mark(".swept", 60)
        unlink(*where, **more)

    with place:
        monkeypatch.setattr(os, "unlink", marking)
        mine.ended("closed")
    assert marked
    assert (names(), listed()) == ([], [])


def test_what_is_secret_goes_with_the_end():
    first = held()
    for name in ("key.pem", "order.pickle", "order.json", "security.json", "head.log"):
        first.files.write(name, "text")
    first.ended("it was closed")
    assert sorted(path.name for path in first.files.path.iterdir()) == ["entry.json", "head.log"]
    assert (directory("a").record().phase, directory("a").record().why) == (Phase.ENDED, "it was closed")


def test_a_cluster_without_a_name_leaves_nothing():
    first = held(named=False)
    first.note(phase=Phase.RUNNING)
    first.ended("it was closed")
    assert listed() == []


# -- private -------------------------------------------------------------------------------------------------------


def test_nobody_else_may_read_anything():
    before = os.umask(0)
    try:
        first = held()
        first.files.write("head.log", "text")
        first.files.append("jobs.jsonl", "{}")
        first.note(phase=Phase.RUNNING)
    finally:
        os.umask(before)
    assert {path: mode(path) for path in (root(), root() / "clusters", first.files.path)} == dict.fromkeys(
        (root(), root() / "clusters", first.files.path), 0o700
    )
    assert {path.name: oct(mode(path)) for path in first.files.path.iterdir()} == dict.fromkeys(
        ("entry.json", "head.log", "jobs.jsonl"), oct(0o600)
    )


def test_a_directory_that_was_open_is_closed():
    path = root() / "clusters"
    path.mkdir(parents=True)
    path.chmod(0o755)
    held()
    assert mode(path) == 0o700


@pytest.fixture
def other_user(monkeypatch):
    """Become, as far as the package sees, another user than the one who wrote the files."""

    def become():
        monkeypatch.setattr(os, "getuid", lambda: 54321)

    return become


def test_a_name_of_another_users_cluster_is_reported(other_user):
    held()
    other_user()
    refusal = pytest.raises(
        InvalidRequest, match=r"the name 'a' is held by a cluster of \w+ in .*clusters: choose another"
    )
    with refusal as raised:
        directory("a").record()
    assert "set jobclusters.directory to a directory of your own" in str(raised.value)
    with pytest.raises(InvalidRequest, match=r"clusters belongs to \w+; set jobclusters.directory"):
        claim(record())


def test_another_users_directory_without_an_entry_is_reported(other_user):
    directory("a").make()
    other_user()
    with pytest.raises(InvalidRequest, match=r"the name 'a' is held by \w+ in"):
        directory("a").record()


# -- odd -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "a"}', "\x00\xff"])
def test_an_entry_that_is_none_is_reported_with_what_to_do(text):
    first = held()
    (first.files.path / "entry.json").write_text(text, "latin-1")
    with pytest.raises(InvalidRequest, match=r"entry.json can't be read: .* remove \S+clusters/a$"):
        claim(record())


def test_a_truncated_entry_is_reported():
    first = held()
    whole = (first.files.path / "entry.json").read_text()
    (first.files.path / "entry.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(InvalidRequest, match=r"entry.json can't be read"):
        claim(record())


def test_a_name_whose_maker_died_at_once_is_free():
    directory("a").make()
    first = held()
    assert directory("a").record() == first.record


def test_an_unreadable_entry_is_reported(place):
    first = held()
    (first.files.path / "entry.json").chmod(0)
    with nobody(place), pytest.raises(InvalidRequest, match=r"entry.json can't be read: Permission denied; set jobc"):
        directory("a").record()


def test_an_unwritable_place_is_reported(place):
    place.chmod(0o500)
    with nobody(place), pytest.raises(InvalidRequest, match=r"clusters can't be made: Permission denied; set jobc"):
        claim(replace(record(), user="me"))
    place.chmod(0o755)


def test_an_unreadable_place_is_reported(place):
    held()
    (place / "clusters").chmod(0)
    with nobody(place), pytest.raises(InvalidRequest, match=r"clusters can't be read: Permission denied; set jobc"):
        names()
    (place / "clusters").chmod(0o700)


def test_a_place_that_is_a_file_is_reported(place):
    (place / "clusters").write_text("")
    with pytest.raises(InvalidRequest, match=r"clusters is not a directory; set jobclusters\.directory"):
        claim(record())


@pytest.mark.parametrize("value", ["", None, "relative/path", "."])
def test_the_place_must_be_absolute(value):
    refusal = pytest.raises(InvalidRequest, match=re.escape(f"or begin with ~, not {value!r}"))
    with dask.config.set({"jobclusters.directory": value}), refusal:
        names()


@pytest.mark.parametrize("value", ["/a\nreboot", "/a\tb", "/a\x00b"])
def test_the_place_can_stand_in_a_script(value):
    with (
        dask.config.set({"jobclusters.directory": value}),
        pytest.raises(InvalidRequest, match="no job script can hold"),
    ):
        names()


def test_where_nothing_was_ever_noted_there_are_no_names():
    assert names() == []


# -- forgetting ----------------------------------------------------------------------------------------------------


def test_a_cluster_that_has_ended_is_forgotten_after_a_week():
    recent, old, lives_on = held("recent"), held("old"), held("lives")
    recent.ended("closed")
    old.ended("closed")
    for presence, age in (
        (recent, ENDED_RETENTION - 60),
        (old, ENDED_RETENTION + 60),
        (lives_on, ENDED_RETENTION + 60),
    ):
        os.utime(presence.files.path / "entry.json", (time.time() - age,) * 2)
    assert names() == ["lives", "recent"]
    assert listed() == ["lives", "recent"]


def test_a_sign_of_life_ends_the_silence():
    first = held()
    os.utime(first.files.path / "entry.json", (time.time() - 500,) * 2)
    assert 490 < first.files.silence() < 560
    assert first.beat()
    assert abs(first.files.silence()) < 60
    assert [path.name for path in first.files.path.iterdir()] == ["entry.json"]


def test_a_head_that_can_no_longer_be_found_is_reported():
    first = held()
    first.files.remove()
    assert not first.beat()
    second = held()
    os.utime(second.files.path / "entry.json", (1000, 1000))
    assert not first.beat()
    assert (second.files.path / "entry.json").stat().st_mtime == 1000, "another one's sign of life"
    (second.files.path / "entry.json").write_text("{")
    assert second.beat(), "that is no information"
    root().rename(root().with_name("away"))
    assert first.beat()
    assert second.beat()
    assert not root().exists()


# -- whether its process lives -------------------------------------------------------------------------------------


def test_this_process_lives():
    assert lives(record()) is True


def test_another_process_with_its_number_is_another():
    mine = record()
    assert lives(replace(mine, ticks=mine.ticks - 1)) is False
    assert lives(replace(mine, boot="", process_began=mine.process_began - 60)) is False


def test_a_clock_that_is_set_kills_nobody():
    """What psutil gives moves with the clock."""
    mine = record()
    assert lives(replace(mine, process_began=mine.process_began - 60)) is True


def test_after_a_reboot_or_on_another_machine_of_the_same_name_nothing_is_known():
    assert lives(replace(record(), boot="another")) is None


def test_a_process_that_has_ended_is_gone():
    process = FORK.Process(target=lambda: None)
    process.start()
    began = psutil.Process(process.pid).create_time()
    process.join()
    assert lives(record(pid=process.pid, process_began=began)) is False


def test_of_another_machines_process_nothing_is_known():
    assert lives(record(host="another.example")) is None


def test_what_a_process_left_that_died_while_it_took_a_name_is_removed():
    held()
    left = root() / "clusters" / ".a.0123abcd"
    left.mkdir()
    assert registry.names() == ["a"]
    assert left.is_dir(), "another one may be at it"
    os.utime(left, (time.time() - registry.ENDED_RETENTION - 60,) * 2)
    assert registry.names() == ["a"]
    assert listed() == ["a"]
