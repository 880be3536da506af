"""Finds clusters again by name, on any machine that sees the user's directory; a name is held by one at a time."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from jobclusters import __version__
from jobclusters.clusterfiles import ClusterFiles, root, user_name
from jobclusters.entry import Entry, Phase, check_name
from jobclusters.errors import InvalidRequest, unknown

logger = logging.getLogger(__name__)

#: Seconds for which the same lock on a name must be seen until it is that of a dead process: it is held for moments.
LOCK = 20.0
#: Seconds for which a cluster that has ended is remembered.
REMEMBERED = 7 * 24 * 3600.0


def directory(name: str) -> ClusterFiles:
    """Give the files of the cluster of this name."""
    return ClusterFiles(root() / "clusters" / name)


def known(name: str) -> ClusterFiles:
    """Give the files of the cluster of this name, if there is one.

    Raises
    ------
    InvalidRequest
        If there is none; it lists those there are.
    """
    with suppress(InvalidRequest):
        files = directory(check_name(name))
        if os.path.isdir(files.path):
            return files
    raise nobody(name)


def nobody(name: str) -> InvalidRequest:
    """Say that there is no cluster of this name, and which there are."""
    others = [other for other in names() if other != name]
    return InvalidRequest(unknown("cluster", name, others) + ("" if others else "; jobclusters start makes one"))


def taken(name: str, sentence: str = "") -> InvalidRequest:
    """Say that another cluster has a name."""
    how = f" ({sentence})" if sentence else ""
    return InvalidRequest(f"there is a cluster {name!r} already{how}; Cluster(name={name!r}) connects to it")


def new_entry(name: str, system: str, head: str, *, named: bool = True) -> Entry:
    """Describe a cluster that this process makes."""
    return Entry(
        name=name,
        named=named,
        run=uuid.uuid4().hex,
        system=system,
        head=head,
        user=user_name(os.getuid()),
        created=time.time(),
        version=__version__,
        **owner(),
    )


def owner() -> dict[str, Any]:
    """Tell which process this is, on which machine."""
    here = psutil.Process()
    return {"host": socket.gethostname(), "pid": here.pid, "process_began": here.create_time()}


def lives(entry: Entry) -> bool | None:
    """Tell whether the process that holds a cluster is there; None if it is another machine's."""
    if entry.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(entry.pid)
        # A pid is used again; a second is the clock's precision here.
        return abs(process.create_time() - entry.process_began) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None


def names() -> list[str]:
    """Name the clusters that are noted; those that ended long ago are forgotten.

    Raises
    ------
    InvalidRequest
        If the directory can't be read.
    """
    place = root() / "clusters"
    try:
        there = [path for path in place.iterdir() if path.is_dir()]
        found = sorted(path.name for path in there if not path.name.startswith("."))
        for path in there:  # a process may have died while it made room for another cluster of this name
            if path.name.startswith(".") and time.time() - path.stat().st_mtime > REMEMBERED:
                ClusterFiles(path).remove()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidRequest(f"{place} can't be read: {error.strerror}; set jobclusters.directory") from None
    return [name for name in found if not _forgotten(name)]


def _forgotten(name: str) -> bool:
    files = directory(name)
    with suppress(InvalidRequest, OSError):
        entry = files.entry()
        if entry is not None and entry.phase is Phase.ENDED and files.silence() > REMEMBERED:
            files.remove()
            return True
    return False


def claim(entry: Entry) -> Entry | None:
    """Take a name for a cluster.

    Of two at once, one gets it.

    Parameters
    ----------
    entry
        Of the new cluster.

    Returns
    -------
    Entry or None
        Of the cluster that has the name; None if it is taken for the new one now.

    Raises
    ------
    InvalidRequest
        If it can't be noted; it says what to set.
    """
    files = directory(entry.name)
    ClusterFiles(files.path.parent).make()
    gone = ClusterFiles(files.path.with_name(f".{entry.name}.{uuid.uuid4().hex[:8]}"))
    with _locked(files.path.with_name(f".{entry.name}.lock")):
        before = files.entry()
        if before is not None and before.phase is not Phase.ENDED:
            return before
        if files.path.exists():
            files.path.rename(gone.path)  # a moment; removing takes longer
        files.make(fresh=True)
        files.put(entry)
    gone.remove()
    return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a name: a file that only one can make, on any file system."""
    seen, since = None, time.monotonic()
    while True:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if (other := _identity(path)) != seen:
                seen, since = other, time.monotonic()
            elif other is not None and time.monotonic() - since > LOCK:
                _break(path, other)
            time.sleep(0.02)
        except OSError as error:
            raise InvalidRequest(f"{path} can't be made: {error.strerror}; set jobclusters.directory") from None
    mine = _identity(path)
    try:
        yield
    finally:
        if _identity(path) == mine:
            with suppress(OSError):
                path.unlink()


def _identity(lock: Path) -> tuple[int, int] | None:
    """Tell a lock from others of this path."""
    try:
        found = lock.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _break(lock: Path, seen: tuple[int, int]) -> None:
    """Take away the lock of a dead process, but not that of another one who has done the same a moment ago."""
    aside = lock.with_name(f"{lock.name}.{uuid.uuid4().hex[:8]}")
    with suppress(OSError):
        lock.rename(aside)
        if _identity(aside) != seen:
            os.link(aside, lock)
    with suppress(OSError):
        aside.unlink()


class Presence:
    """What the process that holds a cluster notes of it.

    Parameters
    ----------
    files
        Of the cluster.
    entry
        As it is noted now.
    """

    def __init__(self, files: ClusterFiles, entry: Entry) -> None:
        self.files = files
        self.entry = entry

    def note(self, **changes: object) -> bool:
        """Note what has changed; tell whether it could be, as the name may have gone to another cluster."""
        self.entry = replace(self.entry, **changes)  # type: ignore[arg-type]
        return self.files.update(self.entry)

    def beat(self) -> bool:
        """Give a sign of life; tell whether the cluster can still be found, as far as that is known."""
        with suppress(InvalidRequest, OSError):  # the file system may be away for a while
            found = self.files.entry()
            if found is None:
                return not self.files.path.parent.is_dir()
            if found.run != self.entry.run:
                return False
            self.files.beat()
        return True

    def ended(self, why: str) -> None:
        """Note that the cluster has ended; one without a name leaves nothing, unless somebody waits for it to begin."""
        begun = self.entry.phase is Phase.RUNNING or self.entry.head == "process"
        if begun and not self.entry.named:
            self.files.remove()
            return
        try:
            noted = self.files.entry()
            if noted is not None and noted.run == self.entry.run:
                self.files.remove_secrets()  # first: from then on the name, and its directory, may be another's
            self.note(phase=Phase.ENDED, why=why)
        except (InvalidRequest, OSError) as error:  # it has ended all the same
            logger.error("The end of cluster %s can't be noted: %s", self.entry.name, error)  # noqa: TRY400 -- said
