"""The only place that starts a batch system's commands: argument list in, :class:`~jobclusters.dialect.Reply` out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import weakref
from collections.abc import Mapping, Sequence

from jobclusters.dialect import Reply
from jobclusters.errors import NoBatchSystem

logger = logging.getLogger(__name__)

#: Commands at once in a process: a login node is shared, and a batch system's controller even more.
AT_ONCE = 4

_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


async def run(
    argv: Sequence[str], *, stdin: str | None = None, timeout: float, env: Mapping[str, str] | None = None
) -> Reply:
    """Run a command without blocking the event loop.

    Parameters
    ----------
    argv
        The command and its arguments; there is no shell.
    stdin
        What it reads.
    timeout
        Seconds after which it is killed, with all that it started. Waiting for a slot doesn't count.
    env
        Its environment; None for ours.

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
    async with _slots.setdefault(loop, asyncio.Semaphore(AT_ONCE)):
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                start_new_session=True,  # Ctrl-C is for the person's program, not for a submission under way
            )
        except (FileNotFoundError, PermissionError) as error:
            raise NoBatchSystem(f"{argv[0]} can't be run on this machine: {error.strerror}") from None
        except OSError as error:  # too many processes or open files: as if nobody had answered, it is tried again
            return Reply(tuple(argv), None, err=f"this machine can't start it now: {error.strerror}")
        talk = asyncio.ensure_future(process.communicate(None if stdin is None else stdin.encode()))
        try:
            done, _ = await asyncio.wait([talk], timeout=timeout)
            if not done:
                logger.debug("%s: no answer in %g s", shlex.join(argv), timeout)
                return Reply(tuple(argv), None, err=f"no answer in {timeout:g} s")
            out, err = talk.result()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            talk.cancel()
    reply = Reply(tuple(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    logger.debug("%s: exit status %s: %s", shlex.join(argv), reply.status, reply.words)
    return reply
