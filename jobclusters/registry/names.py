"""The names of clusters, on all machines that share the user's directory; one cluster holds a name at a time."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from jobclusters import __version__
from jobclusters.config.keywords import check_name
from jobclusters.errors import InvalidRequest, unknown
from jobclusters.registry.files import CLUSTERS, ClusterFiles, root
from jobclusters.registry.private import Directory, user_name
from jobclusters.registry.record import ClusterRecord, Phase

logger = logging.getLogger(__name__)

#: Seconds after which a lock on a name counts as a dead process's: a living one holds it for moments.
LOCK_TIMEOUT = 20.0

#: Seconds for which the record of an ended cluster is kept.
ENDED_RETENTION = 7 * 24 * 3600.0


def directory(name: str) -> ClusterFiles:
    """Give the files of the cluster of this name."""
    return ClusterFiles(root() / CLUSTERS / name)


def known_files(name: str) -> ClusterFiles:
    """Give the files of an existing cluster; an :class:`InvalidRequest` lists the others if there is none."""
    with suppress(InvalidRequest):
        files = directory(check_name(name))
        if os.path.isdir(files.path):
            return files
    raise no_cluster(name)


def no_cluster(name: str) -> InvalidRequest:
    """Make the error that there is no cluster of this name; it lists the others."""
    others = [other for other in names() if other != name]
    return InvalidRequest(
        unknown("cluster", name, others, see="jobclusters list") + ("" if others else "; jobclusters start makes one")
    )


def name_taken(name: str, sentence: str = "") -> InvalidRequest:
    """Make the error that another cluster has a name."""
    how = f" ({sentence})" if sentence else ""
    return InvalidRequest(f"there is a cluster {name!r} already{how}; Cluster(name={name!r}) connects to it")


def new_record(name: str, system: str, head: str, *, named: bool = True) -> ClusterRecord:
    """Describe a cluster that this process makes."""
    return ClusterRecord(
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
    """Describe this process, and its machine."""
    here = psutil.Process()
    began = {"boot": _boot(), "ticks": _ticks(here.pid)}
    return {"host": socket.gethostname(), "pid": here.pid, "process_began": here.create_time(), **began}


def _boot() -> str:
    """Identify the boot of this machine, and the container on it, to which process ids belong; "" if unknown."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _ticks(pid: int) -> int:
    """Read how long after the boot a process began, which no change of the clock alters; 0 if unknown."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def lives(record: ClusterRecord) -> bool | None:
    """Find out whether a cluster's process runs; None on another machine of the same or another name, or boot."""
    if record.host != socket.gethostname() or (record.boot and record.boot != _boot()):
        return None
    try:
        process = psutil.Process(record.pid)
        if record.boot and record.ticks:
            return _ticks(record.pid) == record.ticks and process.status() != psutil.STATUS_ZOMBIE
        # A pid is used again; a second is the clock's precision here.
        return abs(process.create_time() - record.process_began) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None


def names() -> list[str]:
    """List the recorded clusters, and forget those that ended long ago."""
    place = root() / CLUSTERS
    try:
        with Directory(place) as opened:
            all_there = {name: opened.stat(name) for name in opened.names()}
        there = {name: each.st_mtime for name, each in all_there.items() if stat.S_ISDIR(each.st_mode)}
        found = sorted(name for name in there if not name.startswith("."))
        for name in there.keys() - set(found):  # left by a process that died while it claimed a name
            if time.time() - there[name] > ENDED_RETENTION:
                ClusterFiles(place / name).remove()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidRequest(f"{place} can't be read: {error.strerror}; set jobclusters.directory") from None
    return [name for name in found if not _forgotten(name)]


def _forgotten(name: str) -> bool:
    files = directory(name)
    with suppress(InvalidRequest, OSError):
        record = files.record()
        if record is not None and record.phase is Phase.ENDED and files.silence() > ENDED_RETENTION:
            files.remove()
            return True
    return False


def claim(record: ClusterRecord) -> ClusterRecord | None:
    """Take a name for a cluster, or give the record of the one that has it; of two processes at once, one gets it."""
    files = directory(record.name)
    ClusterFiles(files.path.parent).make()
    made, gone = _beside(files), _beside(files)
    made.make(fresh=True)  # complete before it has its name, so that the lock is held for moments
    try:
        made.put(record)
        with _locked(files.path.with_name(f".{record.name}.lock")):
            return _put_in_place(files, made, gone)
    finally:
        made.remove()
        gone.remove()


def _beside(files: ClusterFiles) -> ClusterFiles:
    """Give the files of a new directory beside another one, which is no cluster's."""
    return ClusterFiles(files.path.with_name(f".{files.path.name}.{uuid.uuid4().hex[:8]}"))


def _put_in_place(files: ClusterFiles, made: ClusterFiles, gone: ClusterFiles) -> ClusterRecord | None:
    """Give a new cluster's directory its name, or give the record of the living cluster that has it.

    The lock alone doesn't decide: that of a process which is suspended counts as a dead one's after a while, and the
    process goes on afterwards. A cluster that has taken the name meanwhile keeps it.
    """
    before = files.record()
    if before is not None and before.phase is not Phase.ENDED:
        return before
    with suppress(FileNotFoundError):
        files.path.rename(gone.path)
        moved = gone.record()
        if moved is not None and (before is None or moved.run != before.run):
            gone.path.rename(files.path)
            return moved
    try:
        made.path.rename(files.path)  # this fails where another one has made a directory
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return files.record()
    return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on a name: a file that only one process can make, on any file system."""
    seen, since = None, time.monotonic()
    while True:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if (other := _identity(path)) != seen:
                seen, since = other, time.monotonic()
            elif other is not None and time.monotonic() - since > LOCK_TIMEOUT:
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
    """Tell a lock from others of the same path."""
    try:
        found = lock.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _break(lock: Path, seen: tuple[int, int]) -> None:
    """Remove the lock of a dead process, but not one that another process has just made in its place."""
    aside = lock.with_name(f"{lock.name}.{uuid.uuid4().hex[:8]}")
    with suppress(OSError):
        lock.rename(aside)
        if _identity(aside) != seen:
            os.link(aside, lock)
    with suppress(OSError):
        aside.unlink()


class Presence:
    """Keeps the record of a cluster that this process holds."""

    def __init__(self, files: ClusterFiles, record: ClusterRecord) -> None:
        self.files = files
        self.record = record

    def note(self, **changes: object) -> bool:
        """Write changes; False if the name belongs to another cluster now."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        return self.files.update(self.record)

    def restore(self) -> bool:
        """Write the record again if the directory was removed, as scratch file systems do; whether it was."""
        if self.files.path.joinpath("entry.json").exists():
            return False
        self.files.make()
        if self.files.record() is not None:
            return False
        self.files.put(self.record)
        return True

    def beat(self) -> bool:
        """Record a heartbeat; False if others can't find the cluster any more."""
        with suppress(InvalidRequest, OSError):  # the file system may be unreachable for a while
            found = self.files.record()
            if found is None:
                return not self.files.path.parent.is_dir()
            if found.run != self.record.run:
                return False
            self.files.beat()
        return True

    def ended(self, why: str) -> None:
        """Record the end of the cluster; one without a name leaves nothing, once it has begun."""
        begun = self.record.phase is Phase.RUNNING or self.record.head == "process"
        if begun and not self.record.named:
            self.files.remove()
            return
        try:
            noted = self.files.record()
            if noted is not None and noted.run == self.record.run:
                self.files.remove_secrets()  # first: afterwards the name, and its directory, may be another cluster's
            self.note(phase=Phase.ENDED, why=why)
        except (InvalidRequest, OSError) as error:  # the cluster has ended all the same
            logger.error("The end of cluster %s can't be noted: %s", self.record.name, error)  # noqa: TRY400
