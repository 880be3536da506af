"""Ends whole process trees of this machine's jobs, however they have been detached."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil


def processes_by_job(token: str) -> dict[str, set[psutil.Process]]:
    """Find all living processes of a queue's jobs, children that left home included.

    Parameters
    ----------
    token
        The part before the dot of what ``JOBCLUSTERS_JOB_ID`` is in their environment.

    Returns
    -------
    dict of str to set of psutil.Process
        By the whole of that variable.
    """
    found: dict[str, set[psutil.Process]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get("JOBCLUSTERS_JOB_ID", "")
            if mark.startswith(f"{token}."):
                found.setdefault(mark, set()).add(process)
    return found


def job_processes(token: str) -> set[psutil.Process]:
    """Find all living processes of all of a queue's jobs."""
    return set().union(*processes_by_job(token).values())


def end_processes(token: str, wait: float) -> None:
    """End all processes of a queue's jobs.

    Parameters
    ----------
    token
        As for :func:`processes_by_job`.
    wait
        Seconds between SIGTERM and SIGKILL.
    """
    tree = job_processes(token)
    send(tree, "terminate")
    _wait(tree, wait)
    for _ in range(10):  # what is killed may just have started something
        left = job_processes(token)
        if not left:
            return
        send(left, "kill")
        _wait(left, 1)


def send(processes: Iterable[psutil.Process], verb: str) -> None:
    """Send a signal, by the name of psutil's method for it, to those that still live."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            getattr(process, verb)()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _wait(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Wait for ends without reaping: psutil's own wait would take exit codes away from whoever started them."""
    deadline = time.monotonic() + seconds
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
