"""Looks at the directories and the files on this machine that a cluster and its jobs use."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import dask.config
from distributed.security import Security

from jobclusters.call import Call
from jobclusters.config import expand
from jobclusters.doctor.machine_verdicts import own_directory
from jobclusters.doctor.verdict import Verdict

#: What clusters and their jobs share, unless it is set.
DIRECTORY = "~/.jobclusters"
#: What says where these are.
LOGS, SHARED = "--log-directory (log_directory=)", "jobclusters.directory"


def shared_directory() -> str:
    """Give ``jobclusters.directory``, or what it is unless set."""
    return dask.config.get("jobclusters.directory", None) or DIRECTORY


def find_directories(call: Call, directory: str) -> tuple[str | None, str, dict[str, Verdict]]:
    """Give the directory of the jobs' output (None if the queue has its own), the shared one, and what is wrong."""
    log = call.spec.log_directory or (os.getcwd() if call.dialect.probe else None)
    shared = os.path.abspath(expand(directory))
    found = {
        "logs": own_directory("log directory", log, _unusable(log), LOGS) if log else None,
        "shared": own_directory("shared directory", shared, _unusable(shared, make=True), SHARED),
    }
    return log, shared, {name: verdict for name, verdict in found.items() if verdict}


def _unusable(path: str, *, make: bool = False) -> str:
    """Say why files can't be made in a directory, which may have to be made itself; "" if they can."""
    while make and not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        return os.strerror(errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def tls_files(call: Call) -> list[str]:
    """Name the files that a worker needs for encrypted connections."""
    found = Security().get_tls_config_for_role("worker")
    paths = [found.get(key) for key in ("ca_file", "cert", "key")]
    return [expand(path) for path in [*paths, call.value("shared_temp_directory")] if path and "\n" not in path]


@contextmanager
def directory_or_own(path: str | None) -> Iterator[str]:
    """Give the directory, or one of our own where it can't be used."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as own:
        yield own
