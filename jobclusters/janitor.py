"""Cancels a cluster's jobs if the process that owns them dies, in whatever way.

The owner starts ``python -m jobclusters.janitor`` and tells it of every submission before it is tried. When the
owner says goodbye the janitor leaves. When the owner is gone without a word, it looks up and cancels everything.
The same is written into the cluster's directory: if the janitor dies, too, as with its machine, others can do it.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jobclusters.clusterfiles import ClusterFiles
from jobclusters.entry import Entry, Phase
from jobclusters.errors import InvalidRequest, QueueError, Unavailable

#: What was submitted, in the cluster's directory.
JOURNAL = "jobs.jsonl"
#: Seconds for which a dead owner's jobs are looked for and cancelled again.
PATIENCE = 300.0


class Janitor:
    """The owner's end: starts the janitor at the first submission, and keeps it informed.

    Parameters
    ----------
    system
        Name of the batch system; "local" for this machine's queue.
    token
        Of the local queue, whose processes are to be ended.
    files
        Of the cluster, to write it down; None doesn't.
    starts
        Whether there is a janitor at all.
    """

    def __init__(self, system: str, token: str = "", files: ClusterFiles | None = None, *, starts: bool = True) -> None:
        self._starts = starts
        self._arguments = [system, token, *([str(files.path)] if files else [])]
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._names: set[str] = set()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "jobclusters.janitor", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def submitting(self, job_name: str) -> None:
        """Tell that a submission with this name is about to be tried."""
        async with self._starting:
            if self._process is None and self._starts:
                try:
                    self._process = await asyncio.to_thread(self._start)
                except RuntimeError:  # this Python is about to end, and has no threads any more
                    self._process = self._start()
                if token := self._arguments[1]:
                    self._write({"token": token})
        self._names.add(job_name)
        self._tell({"submitting": job_name})

    def submitted(self, job_name: str, ids: Sequence[str]) -> None:
        """Tell which jobs it became."""
        self._tell({"submitted": job_name, "ids": list(ids)})

    def refused(self, job_name: str) -> None:
        """Tell that it became none."""
        self._tell(_none(job_name))

    def goodbye(self) -> None:
        """Let the janitor leave: nothing is left to cancel."""
        for name in self._names:
            self._write(_none(name))  # not goodbye: who starts a head and the head itself write into the same file
        self._names.clear()
        if self._process is not None:
            self._say({"goodbye": True})
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait()
            self._process = None

    def _write(self, message: object) -> None:
        if self._files is not None:
            with suppress(OSError):  # the janitor knows it, too
                self._files.append(JOURNAL, json.dumps(message))

    def _tell(self, message: object) -> None:
        self._write(message)
        self._say(message)

    def _say(self, message: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # a killed janitor must not harm its owner
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()


def _none(job_name: str) -> dict[str, object]:
    return {"submitted": job_name, "ids": []}


def listen() -> dict[str, list[str]] | None:
    """Follow the owner until it is gone; give its submissions, or None if it said goodbye.

    The end of the pipe tells of most deaths; a changed parent of the others, where a forked child of the owner
    still holds the pipe.
    """
    parent = os.getppid()
    submissions: dict[str, list[str]] = {}
    rest = b""
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], 1.0)
        if not ready:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        if not note(submissions, lines):
            return None
    return submissions


def note(submissions: dict[str, list[str]], lines: Iterable[str | bytes]) -> bool:
    """Note what the owner tells, a line each; give False if it said goodbye."""
    for message in _messages(lines):
        if "goodbye" in message:
            return False
        if "submitting" in message:
            submissions[message["submitting"]] = []
        elif "submitted" not in message:  # the local queue's token
            continue
        elif message["ids"]:
            submissions[message["submitted"]] = message["ids"]
        else:
            submissions.pop(message["submitted"], None)
    return True


def _messages(lines: Iterable[str | bytes]) -> Iterator[dict[str, Any]]:
    """Read lines; one that was written by halves, as where a disk was full, is left out."""
    for line in lines:
        with suppress(ValueError):
            if isinstance(message := json.loads(line), dict):
                yield message


def written(files: ClusterFiles) -> dict[str, list[str]]:
    """Read what a cluster has submitted."""
    submissions: dict[str, list[str]] = {}
    try:
        lines = (files.path / JOURNAL).read_bytes().splitlines()
    except OSError:
        return {}
    note(submissions, lines)
    return submissions


async def sweep(files: ClusterFiles, entry: Entry, why: str) -> None:
    """Cancel what a cluster without an owner has left in the queue, and note how it ended.

    Raises
    ------
    NoBatchSystem
        If that isn't possible on this machine; nothing is noted then.
    Unavailable
        If jobs are still there after :data:`PATIENCE`; nothing is noted then.
    """
    tokens, submissions = _tokens(files), written(files)
    if _run(files) != entry.run:  # its name has gone to another cluster, and so has its directory
        return
    if entry.system == "local":
        for token in tokens:
            await asyncio.to_thread(_clean_up, token)
    elif submissions and (left := await clean(entry.system, submissions)):
        raise Unavailable(f"cluster {entry.name} ({why}) has left jobs that could not be cancelled: {', '.join(left)}")
    bury(files, entry.run, why)


def _run(files: ClusterFiles) -> str | None:
    with suppress(InvalidRequest, OSError):
        entry = files.entry()
        return entry.run if entry else None
    return None


def _tokens(files: ClusterFiles) -> set[str]:
    with suppress(OSError):
        lines = (files.path / JOURNAL).read_bytes().splitlines()
        return {message["token"] for message in _messages(lines) if "token" in message}
    return set()


def _clean_up(token: str) -> None:
    from jobclusters.localqueue import clean_up

    clean_up(token, wait=5)


def bury(files: ClusterFiles, run: str, why: str) -> None:
    """Note how a cluster without an owner ended; what was secret goes, and all if it had no name to be asked for."""
    with suppress(InvalidRequest, OSError):
        entry = files.entry()
        if entry is None or entry.run != run:
            return
        if not entry.named:
            files.remove()
        elif entry.phase is not Phase.ENDED:
            files.remove_secrets()  # first: from then on the name, and its directory, may be another's
            files.update(replace(entry, phase=Phase.ENDED, why=why))


async def clean(system: str, submissions: dict[str, list[str]]) -> list[str]:
    """Cancel all jobs of these submissions, again and again until the batch system says that they are gone.

    Returns
    -------
    list of str
        The ids, or names, of those that are still there after :data:`PATIENCE`.

    Raises
    ------
    NoBatchSystem
        If the batch system's commands aren't on this machine.
    """
    from jobclusters.commandqueue import CommandQueue
    from jobclusters.dialects import DIALECTS

    queue = CommandQueue(DIALECTS[system])
    queue.check()
    deadline = time.monotonic() + PATIENCE
    pause = 1.0
    # A submission whose answer never came may still be on its way to the batch system: look for it a while.
    unclear_until = time.monotonic() + 60.0
    while submissions and time.monotonic() < deadline:
        with suppress(QueueError):
            for job_name in [name for name, ids in submissions.items() if not ids]:
                submissions[job_name] = list(await queue.find(job_name))
            ids = [job_id for ids in submissions.values() for job_id in ids]
            if ids:
                await queue.cancel(ids)
                states = await queue.states(ids)
                alive = {job_id for job_id, status in states.items() if not status.state.ended}
                submissions = {
                    name: [job_id for job_id in ids if job_id in alive]
                    for name, ids in submissions.items()
                    if not ids or alive.intersection(ids)
                }
            if time.monotonic() > unclear_until:
                submissions = {name: ids for name, ids in submissions.items() if ids}
        await asyncio.sleep(pause)
        pause = min(2 * pause, 10.0)
    return [job for name, ids in submissions.items() for job in ids or [name]]


def main(system: str, token: str = "", directory: str = "") -> None:
    """Run as a process of its own, which Ctrl-C and a closed terminal don't reach."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    run = _run(ClusterFiles(directory)) if directory else None
    submissions = listen()
    if submissions is None:
        return
    left: list[str] = []
    if system == "local":
        _clean_up(token)
    elif submissions:
        left = asyncio.run(clean(system, submissions))
    if run and not left:  # else whoever looks for the cluster next tries again
        bury(ClusterFiles(directory), run, "the process that held it has ended without closing it")


if __name__ == "__main__":
    main(*sys.argv[1:])
