"""Starts the janitor of a cluster, which cancels its jobs when the process that owns them dies, and reports to it.

The owner starts ``jobclusters.registry.janitor_process``, and reports each submission before it is tried, and each
end. After the owner's goodbye the janitor exits; if the owner dies without it, the janitor cancels all that is left.
The cluster's directory holds the same journal, so that others can cancel the jobs if the janitor dies as well, for
instance with its machine. If the janitor alone dies, its owner starts another one and reports everything again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from jobclusters.config.own_python import own_environment, own_python
from jobclusters.errors import InvalidRequest
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.identity import batch_identity
from jobclusters.registry.journal import JOURNAL, compact_journal, no_jobs
from jobclusters.registry.sweep import run_of

logger = logging.getLogger(__name__)

#: Seconds between two checks of the janitor.
CHECK_INTERVAL = 2.0
#: Seconds before a janitor that died young is started again.
RESTART_INTERVAL = 10.0
#: Seconds for a dismissed janitor to exit; then it is killed, as nothing is left for it to do.
GOODBYE_TIMEOUT = 5.0
#: Lines after which the journal is rewritten without ended jobs.
JOURNAL_LINES = 1000


class Janitor:
    """The owner's end: starts the janitor at the first submission, reports to it, and restarts it when it dies.

    Nothing here waits for the janitor: messages that its pipe doesn't take are kept.

    Parameters
    ----------
    system, token
        Name of the batch system; "local" for this machine's queue, whose processes the token marks.
    files
        Of the cluster, for the journal; None for no journal.
    starts
        Whether there is a janitor process at all.
    """

    def __init__(self, system: str, token: str = "", files: ClusterFiles | None = None, *, starts: bool = True) -> None:
        self._starts = starts
        self._system = system
        self._token = token
        self._files = files
        #: Of the cluster, which its janitor is to remember: its directory may be another cluster's later.
        self._run: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        #: The janitor that goes on cancelling after this owner has closed.
        self._successor: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._starting = asyncio.Lock()
        self._introduced = False
        #: The clusters of the site to which scripts went; "" is the usual one. Empty where all go to that.
        self._clusters: set[str] = set()
        #: The ids of each submission, as far as they are known and haven't ended.
        self._submissions: dict[str, list[str]] = {}
        self._unsent = bytearray()
        self._lines = 0
        self._next_check: asyncio.TimerHandle | None = None
        self._restarting: asyncio.Task[None] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._files is not None and self._run is None:
            self._run = run_of(self._files)
        process = subprocess.Popen(
            # The pipe carries what other users must not see: they can read command lines.
            [
                *own_python(),
                *("-m", "jobclusters.registry.janitor_process", self._system),
                *([str(self._files.path)] if self._files else []),
            ],
            cwd="/",
            env=own_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.set_blocking(process.stdin.fileno(), False)  # type: ignore[union-attr]
        return process

    async def _begin(self) -> None:
        """Start the janitor, and report everything to it."""
        try:
            process = await asyncio.to_thread(self._start)
        except RuntimeError:  # this Python is ending, and starts no thread any more
            process = self._start()
        self._process, self._began = process, time.monotonic()
        self._unsent.clear()
        if self._run is not None:
            self._send({"run": self._run})
        if self._token:
            self._send({"token": self._token})
        if self._clusters:
            self._send({"clusters": sorted(self._clusters)})
        for name, ids in self._submissions.items():
            self._send({"submitting": name})
            if ids:
                self._send({"submitted": name, "ids": ids})
        self._check_soon()

    def _check_soon(self) -> None:
        with suppress(RuntimeError):
            self._next_check = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        """Send the janitor what its pipe didn't take; start another one if it has died."""
        self._next_check = None
        if self._process is None:
            return
        self._flush()
        if self._process.poll() is None:
            self._check_soon()
        elif time.monotonic() - self._began < RESTART_INTERVAL:
            self._next_check = asyncio.get_running_loop().call_later(RESTART_INTERVAL, self._restart_soon)
        else:
            self._restart_soon()

    def _restart_soon(self) -> None:
        self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        async with self._starting:
            if self._process is None or self._process.poll() is None:
                return
            logger.warning(
                "The process that cancels this program's jobs if it dies has ended (%s); it is started again.",
                self._process.returncode,
            )
            try:
                await self._begin()
            except OSError as error:
                logger.warning("It can't be started now: %s", error)
                self._check_soon()

    async def submitting(self, job_name: str) -> None:
        """Report that a submission with this name is about to be tried; OSError if no janitor can start."""
        async with self._starting:
            if not self._introduced:
                self._introduced = True
                await self._introduce()
            if self._starts and (self._process is None or self._process.poll() is not None):
                if self._next_check is not None:
                    self._next_check.cancel()
                await self._begin()
        self._submissions[job_name] = []
        self._report({"submitting": job_name})

    async def _introduce(self) -> None:
        """Write down what is to be swept, and where, if this process and its janitor die."""
        if self._token:
            self._write({"token": self._token})
        if self._files is not None and (identity := await batch_identity(self._system)):
            self._write({"identity": identity})
            with suppress(OSError, InvalidRequest, RuntimeError):  # no thread may be left
                await asyncio.to_thread(self._files.note_identity, identity)

    def goes_to(self, clusters: Collection[str]) -> None:
        """Report to which other clusters of the site the next script goes."""
        if not self._clusters.issuperset(clusters):
            self._clusters.update(clusters, [""])
            self._report({"clusters": sorted(self._clusters)})

    def submitted(self, job_name: str, ids: Sequence[str]) -> None:
        """Report the jobs of a submission."""
        self._submissions[job_name] = list(ids)
        self._report({"submitted": job_name, "ids": list(ids)})

    def refused(self, job_name: str) -> None:
        """Report that a submission became no jobs."""
        self._submissions.pop(job_name, None)
        self._report(no_jobs(job_name))

    def ended(self, job_name: str, job_id: str | None) -> None:
        """Report the end of a job: it is forgotten, and never cancelled."""
        ids = self._submissions.get(job_name)
        if ids and job_id in ids:
            ids.remove(job_id)
            if not ids:
                self.refused(job_name)

    async def goodbye(self) -> None:
        """Dismiss the janitor: nothing is left to cancel."""
        # The journal has no goodbye: a head and the process that started it write into the same file.
        if self._submissions:
            self._write(*map(no_jobs, self._submissions))
        self._submissions.clear()
        if self._next_check is not None:
            self._next_check.cancel()
        async with self._starting:
            process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            if not self._unsent:
                os.write(process.stdin.fileno(), _line({"goodbye": True}))  # type: ignore[union-attr]
        try:
            await asyncio.to_thread(_leave, process)
        except RuntimeError:  # this Python is ending
            _leave(process)

    def hand_over(self) -> bool:
        """Let the janitor cancel what is left while its owner lives; False without a janitor that knows it."""
        self._starts = False
        if self._next_check is not None:
            self._next_check.cancel()
        self._flush()
        process, self._process = self._process, None
        if process is None or process.poll() is not None or self._unsent:
            return False
        self._successor = process  # else Python would warn of an unfinished process
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        return True

    def _write(self, *messages: object) -> None:
        if self._files is not None:
            with suppress(OSError, InvalidRequest):  # the janitor knows it, too
                self._files.append(JOURNAL, "\n".join(map(json.dumps, messages)))

    def _report(self, message: object) -> None:
        self._write(message)
        self._send(message)
        self._lines += 1
        if self._files is not None and self._lines >= JOURNAL_LINES + 4 * len(self._submissions):
            self._lines = 0
            with suppress(OSError, InvalidRequest):
                compact_journal(self._files)

    def _send(self, message: object) -> None:
        if self._process is not None:
            self._unsent += _line(message)
            self._flush()

    def _flush(self) -> None:
        """Write what the pipe takes; a killed or stopped janitor must not harm its owner."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                while self._unsent:
                    del self._unsent[: os.write(self._process.stdin.fileno(), self._unsent[:65536])]


def _line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Wait for a dismissed janitor, and kill one that doesn't exit, such as a stopped one."""
    with suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]
    try:
        process.wait(GOODBYE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
