"""The janitor's process: follows its owner, and cancels what is left when that dies.

Each cluster starts one, just when its first jobs start: it imports next to nothing then, and the rest a little later.
It does not wait for the death of its owner, as what it imports may have been changed or removed by then.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from jobclusters.registry.journal import apply_messages, parsed

#: Seconds after which it imports what it needs to cancel jobs.
IMPORT_DELAY = 10.0
#: Seconds for which it tries to cancel what is left: nothing else does once the owner has closed.
JANITOR_TIMEOUT = 24 * 3600.0


class LeftBehind:  # no dataclass: they import inspect
    """What an owner has reported.

    Attributes
    ----------
    submissions
        The ids of each submission, as far as they are known and haven't ended.
    tokens
        Of its local queues.
    clusters
        Of the site, to which its scripts went.
    run
        The run of its cluster; "" unless it has a directory.
    """

    def __init__(self) -> None:
        self.submissions: dict[str, list[str]] = {}
        self.tokens: set[str] = set()
        self.clusters: set[str] = set()
        self.run = ""


def follow_owner(prepare: Callable[[], object]) -> LeftBehind | None:
    """Follow the owner until it dies; give what it has reported, or None after its goodbye.

    Most deaths end the pipe; the others change this process's parent, as a forked child of the owner may hold the pipe.
    ``prepare`` is called after :data:`IMPORT_DELAY`, unless the owner has died by then, and again if it fails.
    """
    parent, began = os.getppid(), time.monotonic()
    left, rest, prepared = LeftBehind(), b"", False
    while os.getppid() == parent:
        if not prepared and time.monotonic() - began > IMPORT_DELAY:
            began = time.monotonic()
            with suppress(Exception):  # a file system that fails now may not do so later
                prepare()
                prepared = True
        ready, _, _ = select.select([0], [], [], 1.0)
        if not ready:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        if not apply_messages(left.submissions, lines, left.tokens, left.clusters):
            return None
        left.run = next((str(message["run"]) for message in parsed(lines) if "run" in message), left.run)
    return left


def clear_up(system: str, directory: str, left: LeftBehind) -> None:
    """Cancel what a dead owner has left, and record the end of its cluster."""
    import asyncio

    from jobclusters.registry.files import ClusterFiles
    from jobclusters.registry.sweep import cancel_submissions, end_local_jobs, record_end

    remaining: list[str] = []
    if system == "local":
        for token in left.tokens:
            end_local_jobs(token)
    elif left.submissions:
        remaining = asyncio.run(cancel_submissions(system, left.submissions, JANITOR_TIMEOUT, left.clusters))
    if left.run and not remaining:  # else whoever looks for the cluster next tries again
        record_end(ClusterFiles(directory), left.run, "the process that held it has ended without closing it")


def prepare(system: str) -> None:
    """Import what :func:`clear_up` needs."""
    gc.disable()
    try:
        import jobclusters.registry.sweep

        if system == "local":
            import jobclusters.batch.local_queue  # noqa: F401
        gc.freeze()
    finally:
        gc.enable()


def main(system: str, directory: str = "") -> None:
    """Run as a process of its own, which ignores Ctrl-C and a closed terminal."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.enable()
    left = follow_owner(lambda: prepare(system))
    if left is not None:
        clear_up(system, directory, left)


if __name__ == "__main__":
    main(*sys.argv[1:])
