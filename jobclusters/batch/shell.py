"""Starts a batch system's commands: an argument list in, a :class:`~jobclusters.dialects.base.Reply` out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import weakref
from collections.abc import Mapping, Sequence

from jobclusters.dialects.base import Reply
from jobclusters.errors import NoBatchSystem

logger = logging.getLogger(__name__)

#: Commands of a process that run at once: login nodes and controllers are shared.
MOST_COMMANDS = 4

#: Seconds to wait for the rest of the output after a command's end, and for its end after a kill.
OUTPUT_TIMEOUT = 1.0
KILL_TIMEOUT = 2.0

#: Bytes that a command may print: a reply of 100,000 jobs with all their attributes has half of that.
LARGEST_OUTPUT = 400 * 2**20

#: Bytes from which on output is decoded in a thread.
LARGE_OUTPUT = 2**18

#: Bytes of a killed command's error messages that are kept: it may have told why it takes so long.
MOST_SAID = 1000

#: Commands that could not be killed: setuid ones can't, nor can those that hang in the kernel.
_unkilled: list[_Unkilled] = []

_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


class _Output(asyncio.SubprocessProtocol):
    """Collects a command's output; its futures are done when it has ended, closed its output, or printed too much.

    The end doesn't depend on the output: a process that a command leaves behind may keep it open for ever.
    """

    def __init__(self) -> None:
        create = asyncio.get_running_loop().create_future
        self.ended: asyncio.Future[None] = create()
        self.closed: asyncio.Future[None] = create()
        self.too_much: asyncio.Future[None] = create()
        self.chunks: dict[int, list[bytes]] = {1: [], 2: []}
        self.size = 0
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.size += len(data)
        if self.size <= LARGEST_OUTPUT:
            self.chunks[fd].append(data)
        else:
            _settle(self.too_much)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._open.discard(fd)
        if not self._open:
            _settle(self.closed)

    def process_exited(self) -> None:
        _settle(self.ended)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def run(
    argv: Sequence[str], *, stdin: str | None = None, timeout: float, env: Mapping[str, str] | None = None
) -> Reply:
    """Run a command without blocking the event loop.

    Parameters
    ----------
    argv
        The command and its arguments; there is no shell.
    stdin
        Its standard input.
    timeout
        Seconds after which it is killed, with all its processes; waiting for a slot doesn't count.
    env
        Its environment; None for this process's.

    Returns
    -------
    Reply
        With ``status`` None if it was killed, or this machine could not start it now.

    Raises
    ------
    NoBatchSystem
        If there is no such command.
    """
    loop = asyncio.get_running_loop()
    if stdin is not None:
        logger.debug("for %s:\n%s", argv[0], stdin)
    async with _slots.setdefault(loop, asyncio.Semaphore(MOST_COMMANDS)):
        try:
            transport, output = await loop.subprocess_exec(
                _Output,
                *argv,
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                start_new_session=True,  # Ctrl-C must not reach a submission under way
            )
        except (FileNotFoundError, PermissionError) as error:
            raise NoBatchSystem(f"{argv[0]} can't be run on this machine: {error.strerror}") from None
        except OSError as error:  # too many processes or open files: no answer, which is tried again
            return Reply(tuple(argv), None, err=f"this machine can't start it now: {error.strerror}")
        except RuntimeError as error:  # before Python 3.12 a thread waits for each command: it may have run, or not
            if "shutdown" in str(error):
                raise
            return Reply(tuple(argv), None, err=f"this machine can't start it now: {error}")
        try:
            if stdin is not None:
                pipe = transport.get_pipe_transport(0)
                pipe.write(stdin.encode(errors="surrogateescape"))  # type: ignore[union-attr]
                pipe.close()  # type: ignore[union-attr]
            why = await _finish(output, timeout)
            status = transport.get_returncode()
        finally:
            await _clear_up(argv[0], transport, output)
    if why:
        if said := b"".join(output.chunks[2])[-MOST_SAID:].decode(errors="replace").strip():
            why = f"{why}; it printed: {said}"
        logger.debug("%s: %s", shlex.join(argv), why)
        return Reply(tuple(argv), None, err=why)
    if output.size > LARGE_OUTPUT:
        return await asyncio.to_thread(_reply, argv, status, output)
    return _reply(argv, status, output)


async def _finish(output: _Output, timeout: float) -> str:
    """Wait for a command's end, and then for the rest of its output; explain why there is no reply, "" if there is."""
    await asyncio.wait([output.ended, output.too_much], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if output.ended.done() and not output.too_much.done():
        # Its output is on its way; a process that it left behind may keep the pipe open.
        await asyncio.wait(
            [output.closed, output.too_much], timeout=OUTPUT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
    if output.too_much.done():
        return f"it printed more than {LARGEST_OUTPUT >> 20} MiB"
    return "" if output.ended.done() else f"no answer in {timeout:g} s"


async def _clear_up(command: str, transport: asyncio.SubprocessTransport, output: _Output) -> None:
    """Kill a command's remaining processes, and wait for :data:`KILL_TIMEOUT`: one may hang in the kernel."""
    try:
        if not (output.ended.done() and output.closed.done()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await asyncio.wait([output.ended], timeout=KILL_TIMEOUT)
    finally:  # also where this is cancelled: a transport that stays open complains once its event loop is closed
        if not output.ended.done():
            _unkilled.append(_Unkilled(command, transport, output))
        with contextlib.suppress(OSError):  # before Python 3.13, for a command that runs as another user
            transport.close()


class _Unkilled:
    """A command that runs on. Its output keeps a reader: without one it might undo what it does, as oarsub does."""

    def __init__(self, command: str, transport: asyncio.SubprocessTransport, output: _Output) -> None:
        self.command = command
        self.ended = output.ended
        self._readers: list[int] = []
        pipes = [pipe for fd in (1, 2) if (pipe := transport.get_pipe_transport(fd)) and not pipe.is_closing()]
        with contextlib.suppress(OSError):  # too many open files: no reader is better than an open transport
            for pipe in pipes:
                self._readers.append(os.dup(pipe.get_extra_info("pipe").fileno()))
        self.ended.add_done_callback(lambda _: self.close())

    @property
    def over(self) -> bool:
        """Whether it has ended, or can't be watched any more."""
        return self.ended.done() or self.ended.get_loop().is_closed()

    def close(self) -> None:
        """Read no more; may be called again."""
        while self._readers:
            os.close(self._readers.pop())


def goes_on(command: str) -> bool:
    """Tell whether such a command still runs that exceeded its timeout, and could not be killed."""
    for each in [each for each in _unkilled if each.over]:
        each.close()
        _unkilled.remove(each)
    return any(each.command == command for each in _unkilled)


def _reply(argv: Sequence[str], status: int | None, output: _Output) -> Reply:
    """Decode a command's output."""
    reply = Reply(tuple(argv), status, *(b"".join(output.chunks[fd]).decode(errors="replace") for fd in (1, 2)))
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: exit status %s: %s", shlex.join(argv), reply.status, reply.words)
    return reply
