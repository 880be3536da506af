"""Plays other users: what a function does as one, in a child of this process."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import dask.config
import pytest

#: The one whose files they are, and one who shares a group with them.
VICTIM, ATTACKER, GROUP = 5001, 5002, 6000

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can play two users; CI is root")


def as_user(user, function, *arguments, umask=0o022, group=GROUP):
    """Call a function as another user; give its value, or raise its error."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            os.umask(umask)
            try:
                answer = (function(*arguments), None)
            except Exception as error:
                answer = (None, error)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(answer, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        value, error = pickle.load(file)
    os.waitpid(child, 0)
    if error is not None:
        raise error
    return value


@contextmanager
def nobody(path):
    """Be a user whom modes of files bind, even where the tests are run by root."""
    if os.getuid() != 0:
        yield
        return
    for place in (path, *path.rglob("*")):
        os.chown(place, 65534, 65534)
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def place():
    """A directory that everybody can reach; pytest's own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    path.chmod(0o755)
    with dask.config.set({"jobclusters.directory": str(path)}):
        yield path
    for each in path.iterdir():
        each.chmod(0o700)  # a directory that can't be read can't be removed either, but by root
    shutil.rmtree(path)
