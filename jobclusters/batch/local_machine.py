"""Finds the processes of this machine's jobs, and reads their directives."""

from __future__ import annotations

import argparse
import contextlib
import logging
import shlex
import time
from collections.abc import Iterable
from functools import lru_cache

import psutil

from jobclusters.errors import Refused
from jobclusters.spec.units import parse_walltime

logger = logging.getLogger(__name__)


def processes_by_job(token: str) -> dict[str, set[psutil.Process]]:
    """Find all living processes of a queue's jobs, daemons included, by their ``JOBCLUSTERS_JOB_ID``.

    ``token`` is that variable's part before the dot.
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


def end_processes(token: str, timeout: float) -> None:
    """End all processes of a queue's jobs: SIGTERM, and SIGKILL after the timeout."""
    tree = job_processes(token)
    send(tree, "terminate")
    _wait(tree, timeout)
    for _ in range(10):  # a killed process may just have started another
        left = job_processes(token)
        if not left:
            return
        send(left, "kill")
        _wait(left, 1)


def send(processes: Iterable[psutil.Process], verb: str) -> None:
    """Send a signal, named by psutil's method, to the processes that still live."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            getattr(process, verb)()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _wait(processes: Iterable[psutil.Process], timeout: float) -> None:
    """Wait for ends without reaping: psutil's own wait would take the exit codes from the parents."""
    deadline = time.monotonic() + timeout
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


class _Directives(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise Refused(f"the local queue can't read the script's #JOB lines: {message}")


def read_directives(script: str) -> argparse.Namespace:
    """Read the ``#JOB --option=value`` lines; those of other batch systems are ignored, and the log names them."""
    parser = _Directives(prog="local queue", add_help=False, allow_abbrev=False)
    parser.add_argument("--name", default="job")
    parser.add_argument("--output")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--memory", type=lambda text: int(text.removesuffix("M")) * 2**20, default=0)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--time", type=lambda text: parse_walltime(text, "minutes, MM:SS"))
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#JOB "):
            try:
                words += shlex.split(line.removeprefix("#JOB"))
            except ValueError as error:
                parser.error(f"{line}: {error}")
    known, others = parser.parse_known_args(words)
    if others:
        _warn_of(shlex.join(others))
    return known


@lru_cache(maxsize=256)
def _warn_of(directives: str) -> None:
    logger.warning("%s: this machine's queue knows no such directives, and ignores them.", directives)
