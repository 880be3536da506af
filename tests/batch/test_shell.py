"""Commands of a batch system, as this machine starts them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest

from jobclusters.batch import shell
from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects import DIALECTS
from jobclusters.errors import NoBatchSystem, Unavailable
from tests.helpers.waiting import PATIENCE, until


@pytest.fixture(params=[errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def exhausted(request, monkeypatch):
    """Let this machine start no more processes."""

    async def refused(*argv, **keywords):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(asyncio.BaseEventLoop, "subprocess_exec", refused)
    return os.strerror(request.param)


def test_a_machine_that_can_start_no_process_is_no_answer(exhausted):
    queue = BatchCommands(DIALECTS["slurm"])
    for question in (queue.states(["1"]), queue.cancel(["1"]), queue.find("a"), queue.submit("#!/bin/sh\n", 1)):
        with pytest.raises(Unavailable, match=f"this machine can't start it now: {exhausted}"):
            asyncio.run(question)


def test_a_command_that_is_not_there_or_may_not_be_run(tmp_path):
    (tmp_path / "sbatch").write_text("")
    for command, words in (("/nowhere/sbatch", "No such file"), (str(tmp_path / "sbatch"), "Permission denied")):
        with pytest.raises(NoBatchSystem, match=f"{command} can't be run on this machine: {words}"):
            asyncio.run(shell.run([command], timeout=10))


def test_it_reads_its_input_and_is_killed_with_its_children_after_the_timeout():
    reply = asyncio.run(shell.run([sys.executable, "-c", "print(input())"], stdin="ä\n", timeout=PATIENCE))
    assert (reply.status, reply.out) == (0, "ä\n")
    reply = asyncio.run(shell.run(["sh", "-c", "sleep 600 | cat"], timeout=0.2))
    assert (reply.status, reply.err) == (None, "no answer in 0.2 s")


def run(argv, **more):
    return asyncio.run(shell.run(argv, **more))


@pytest.fixture
def left(tmp_path):
    """Give a program that leaves a process behind, and tell whether that still runs.

    In another session: killing the command's process group doesn't reach it, and it keeps the output open.
    """
    noted = tmp_path / "left"
    program = (
        "import subprocess, sys; left = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        f" open({str(noted)!r}, 'w').write(str(left.pid)); print('7', flush=True); "
    )

    def pid():
        return int((noted.exists() and noted.read_text()) or 0)

    yield SimpleNamespace(program=program, pid=pid, runs=lambda: psutil.pid_exists(pid()))
    if pid():
        os.kill(pid(), signal.SIGKILL)


def test_what_a_command_leaves_behind_holds_nobody_up(left):
    reply = run([sys.executable, "-c", left.program], timeout=PATIENCE)
    assert (reply.status, reply.out) == (0, "7\n"), "what it printed counts"
    assert left.pid()
    assert left.runs()


def test_the_timeout_holds_for_what_a_command_leaves_behind(left, monkeypatch):
    wait = asyncio.wait

    async def wait_from_then_on(*arguments, **more):
        await asyncio.to_thread(until, left.pid)
        return await wait(*arguments, **more)

    monkeypatch.setattr(asyncio, "wait", wait_from_then_on)
    reply = run([sys.executable, "-c", left.program + "import time; time.sleep(600)"], timeout=0.2)
    assert (reply.status, reply.err) == (None, "no answer in 0.2 s")
    assert left.runs()


def collect(processes):
    """Collect what is left of commands: asyncio complains of what is still open after its event loop."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not [each for each in threading.enumerate() if each.name.startswith("asyncio-waitpid")])
    gc.collect()


@pytest.mark.parametrize("error", [PermissionError, ProcessLookupError])
def test_a_command_that_can_not_be_killed_is_left_alone(error, monkeypatch):
    """As one of another user, or in the kernel's hands."""
    killed = []

    def refused(pid, number):
        killed.append(pid)
        raise error

    monkeypatch.setattr(os, "killpg", refused)
    monkeypatch.setattr(shell, "KILL_TIMEOUT", 0.1)
    reply = run(["sleep", "600"], timeout=0.1)
    assert (reply.status, len(killed)) == (None, 1)
    assert not shell.goes_on("sleep"), "its event loop is closed"
    collect(killed)


def test_a_command_that_can_not_be_killed_is_no_answer_where_files_are_used_up(monkeypatch):
    def refused(_):
        raise OSError(errno.EMFILE, "Too many open files")

    killed = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    monkeypatch.setattr(shell, "KILL_TIMEOUT", 0.1)
    monkeypatch.setattr(os, "dup", refused)
    reply = run(["sleep", "600"], timeout=0.1)
    assert (reply.status, reply.err) == (None, "no answer in 0.1 s")
    collect(killed)


def test_a_command_whose_end_is_waited_for_no_more_leaves_nothing_open(monkeypatch):
    """As by Ctrl-C, twice."""
    killed = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))

    async def scenario():
        begun, wait = asyncio.Event(), asyncio.wait

        async def noted(*arguments, **more):
            begun.set()
            return await wait(*arguments, **more)

        monkeypatch.setattr(asyncio, "wait", noted)
        running = asyncio.ensure_future(shell.run(["sleep", "600"], timeout=PATIENCE))
        for _ in range(2):  # while it is waited for, and while its end is
            await begun.wait()
            begun.clear()
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    collect(killed)


def test_a_command_that_prints_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr(shell, "LARGEST_OUTPUT", 2**20)
    reply = run(["yes"], timeout=PATIENCE)
    assert (reply.status, reply.out, reply.err) == (None, "", "it printed more than 1 MiB")


def test_names_that_are_no_text_come_through():
    """As of a directory whose name isn't UTF-8."""
    name = os.fsdecode(b"/home/J\xf6rg")
    reply = run([sys.executable, "-c", "import sys; print(sys.stdin.buffer.read())"], stdin=name, timeout=PATIENCE)
    assert reply.out == "b'/home/J\\xf6rg'\n"


def test_a_machine_without_room_for_a_thread_is_no_answer(monkeypatch):
    """Before Python 3.12 asyncio starts one for each command."""

    async def refused(*argv, **keywords):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.BaseEventLoop, "subprocess_exec", refused)
    reply = run(["true"], timeout=PATIENCE)
    assert (reply.status, reply.err) == (None, "this machine can't start it now: can't start new thread")


def test_the_log_tells_of_commands_and_scripts_at_level_debug(caplog):
    """As with dask-jobqueue, by ``logging.basicConfig(level=logging.DEBUG)``."""
    caplog.set_level(logging.DEBUG, "jobclusters")
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    asyncio.run(shell.run([sys.executable, "-c", program], stdin="#!/bin/sh\nsleep 1\n", timeout=PATIENCE))
    (said, script), (_, answer) = ((each.levelname, each.getMessage()) for each in caplog.records)
    assert said == "DEBUG"
    assert script == f"for {sys.executable}:\n#!/bin/sh\nsleep 1\n"
    assert answer == f"{sys.executable} -c '{program}': exit status 3: #!/BIN/SH\nSLEEP 1"


def test_the_log_tells_of_commands_without_an_answer(caplog):
    caplog.set_level(logging.DEBUG, "jobclusters")
    asyncio.run(shell.run(["sleep", "600"], timeout=0.01))
    assert [each.getMessage() for each in caplog.records] == ["sleep 600: no answer in 0.01 s"]


def test_a_command_that_is_given_up_has_told_why_it_takes_so_long(tmp_path, monkeypatch):
    """As ``sbatch`` does where the queue is full, before it sleeps."""
    wait, told = asyncio.wait, tmp_path / "told"

    async def wait_from_then_on(*arguments, **more):
        await asyncio.to_thread(until, told.exists)
        return await wait(*arguments, **more)

    monkeypatch.setattr(asyncio, "wait", wait_from_then_on)
    reply = run(["sh", "-c", 'echo no room >&2; touch "$0"; exec sleep 600', str(told)], timeout=0.2)
    assert (reply.status, reply.err) == (None, "no answer in 0.2 s; it printed: no room")


def test_only_a_few_commands_run_at_once(tmp_path):
    """Each of them ends only when the test has seen which ones have started, and the next begins when one ends."""
    script = 'touch "$0/$1.began"; until [ -e "$0/$1.ends" ]; do sleep 0.01; done'
    count = 2 * shell.MOST_COMMANDS + 1

    def began():
        return {int(path.stem) for path in tmp_path.glob("*.began")}

    async def story():
        starts = []
        loop = asyncio.get_running_loop()
        start = loop.subprocess_exec

        async def noted(protocol, *argv, **keywords):
            starts.append(argv[-1])
            return await start(protocol, *argv, **keywords)

        loop.subprocess_exec = noted
        argvs = [["sh", "-c", script, str(tmp_path), str(number)] for number in range(count)]
        running = [asyncio.ensure_future(shell.run(argv, timeout=PATIENCE)) for argv in argvs]
        for ended in range(count):
            expected = min(ended + shell.MOST_COMMANDS, count)
            await asyncio.to_thread(until, lambda expected=expected: len(began()) >= expected)
            for _ in range(20):  # whatever could start by now has its turn
                await asyncio.sleep(0)
            assert len(starts) == expected
            (tmp_path / f"{ended}.ends").touch()
            await running[ended]
        assert [each.result().status for each in running] == [0] * count

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
