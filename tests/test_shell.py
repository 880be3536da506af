"""Commands of a batch system, as this machine starts them."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys

import pytest

from jobclusters import shell
from jobclusters.commandqueue import CommandQueue
from jobclusters.dialects import DIALECTS
from jobclusters.errors import NoBatchSystem, Unavailable


@pytest.fixture(params=[errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def exhausted(request, monkeypatch):
    """Let this machine start no more processes."""

    async def refused(*argv, **keywords):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    return os.strerror(request.param)


def test_a_machine_that_can_start_no_process_is_no_answer(exhausted):
    queue = CommandQueue(DIALECTS["slurm"])
    for question in (queue.states(["1"]), queue.cancel(["1"]), queue.find("a"), queue.submit("#!/bin/sh\n", 1)):
        with pytest.raises(Unavailable, match=f"this machine can't start it now: {exhausted}"):
            asyncio.run(question)


def test_a_command_that_is_not_there_or_may_not_be_run(tmp_path):
    (tmp_path / "sbatch").write_text("")
    for command, words in (("/nowhere/sbatch", "No such file"), (str(tmp_path / "sbatch"), "Permission denied")):
        with pytest.raises(NoBatchSystem, match=f"{command} can't be run on this machine: {words}"):
            asyncio.run(shell.run([command], timeout=10))


def test_it_reads_its_input_and_is_killed_with_its_children_after_the_timeout():
    reply = asyncio.run(shell.run([sys.executable, "-c", "print(input())"], stdin="ä\n", timeout=60))
    assert (reply.status, reply.out) == (0, "ä\n")
    reply = asyncio.run(shell.run(["sh", "-c", "sleep 600 | cat"], timeout=0.2))
    assert (reply.status, reply.err) == (None, "no answer in 0.2 s")


def test_the_log_tells_of_commands_and_scripts_at_level_debug(caplog):
    """As with dask-jobqueue, by ``logging.basicConfig(level=logging.DEBUG)``."""
    caplog.set_level(logging.DEBUG, "jobclusters")
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    asyncio.run(shell.run([sys.executable, "-c", program], stdin="#!/bin/sh\nsleep 1\n", timeout=60))
    (said, script), (_, answer) = ((each.levelname, each.getMessage()) for each in caplog.records)
    assert said == "DEBUG"
    assert script == f"for {sys.executable}:\n#!/bin/sh\nsleep 1\n"
    assert answer == f"{sys.executable} -c '{program}': exit status 3: #!/BIN/SH\nSLEEP 1"


def test_the_log_tells_of_commands_without_an_answer(caplog):
    caplog.set_level(logging.DEBUG, "jobclusters")
    asyncio.run(shell.run(["sleep", "600"], timeout=0.01))
    assert [each.getMessage() for each in caplog.records] == ["sleep 600: no answer in 0.01 s"]
