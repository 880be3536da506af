"""Ends whole process trees of this machine's jobs, however they have been detached."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil


def job_processes(token: str) -> set[psutil.Process]:
    """Find all living processes of a job, or of a queue's jobs, children that left home included.

    Parameters
    ----------
    token
        What ``JOBCLUSTERS_JOB_ID`` is in their environment, or its part before a dot.
    """
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get("JOBCLUSTERS_JOB_ID", "")
            if mark == token or mark.startswith(f"{token}."):
                found.add(process)
    return found


def end_processes(token: str, wait: float) -> None:
    """End all processes of a job, or of a queue's jobs.

    Parameters
    ----------
    token
        As for :func:`job_processes`.
    wait
        Seconds between SIGTERM and SIGKILL.
    """
    tree = job_processes(token)
    _signal(tree, "terminate")
    _wait(tree, wait)
    for _ in range(10):  # what is killed may just have started something
        left = job_processes(token)
        if not left:
            return
        _signal(left, "kill")
        _wait(left, 1)


def _signal(processes: Iterable[psutil.Process], verb: str) -> None:
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
