"""Directories and files that only their owner may write, checked at each use as ssh checks its own."""

from __future__ import annotations

import errno
import grp
import logging
import os
import pwd
import shlex
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from jobclusters.errors import InvalidRequest

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

#: How to choose another directory.
HINT = "set jobclusters.directory to a directory of your own that this machine and all nodes see"

#: Symbolic links that the kernel follows at most in a path.
MAX_LINKS = 40

#: Times that a directory is removed into which others still write.
REMOVALS = 10

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_warned: set[str] = set()


class OtherOwner(InvalidRequest):
    """A directory or file belongs to another user."""

    def __init__(self, problem: str, owner: int = -1) -> None:
        self.owner = owner
        super().__init__(problem)


def user_name(number: int) -> str:
    """Name a user; in some containers a user has no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def check_own(path: Path, found: os.stat_result) -> None:
    """Refuse what another user owns or may write; the error names the command that mends it."""
    if found.st_uid != os.getuid():
        raise OtherOwner(f"{path} belongs to {user_name(found.st_uid)}; {HINT}", found.st_uid)
    if found.st_mode & _OTHERS:
        raise _open_to_others(path)


def check_way(path: Path) -> None:
    """Refuse a path on which others could put a directory of theirs in the place of ours; the error names the remedy.

    This user can't help a directory that a group may write, of root or of a project: a warning names it, once.
    """
    for level, found in _levels(path):
        system = found.st_uid in _system()
        own = found.st_uid == os.getuid()
        if stat.S_ISLNK(found.st_mode):
            if not own and not system:
                raise InvalidRequest(f"{level} is a symbolic link of {user_name(found.st_uid)}; {HINT}")
            continue
        writers = 0 if found.st_mode & stat.S_ISVTX else found.st_mode & _OTHERS
        if writers and own:
            raise _open_to_others(level)
        if writers & stat.S_IWOTH:
            raise InvalidRequest(f"everybody may write in {level}, and exchange what is below it; {HINT}")
        if writers:
            _warn(level, f"The group {_group_name(found.st_gid)}")
        elif not own and not system:
            _warn(level, user_name(found.st_uid))


def _levels(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """List each directory and symbolic link on the way to a path, without the path itself."""
    start = Path(os.path.abspath(path))
    at, todo, links = Path(start.anchor), list(reversed(start.parts[1:-1])), 0
    yield at, os.lstat(at)
    while todo:
        part = todo.pop()
        if part == "..":
            at = at.parent
            continue
        step = at / part
        found = os.lstat(step)
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            at = step
            continue
        if (links := links + 1) > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(step))
        at = Path(target.anchor) if target.is_absolute() else at
        todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)


@cache
def _system() -> frozenset[int]:
    """Give the id of root, and of its stand-in where a container doesn't map it."""
    with suppress(OSError, ValueError):
        return frozenset({0, int(Path("/proc/sys/kernel/overflowuid").read_text())})
    return frozenset({0})


def _open_to_others(path: Path) -> InvalidRequest:
    return InvalidRequest(
        f"others than you may write to {path}, and could have put there what isn't yours. Look at what is in it, then:"
        f" chmod go-w {shlex.quote(str(path))}"
    )


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _warn(level: Path, who: str) -> None:
    if str(level) not in _warned:
        _warned.add(str(level))
        logger.warning("%s may write to %s, and could exchange what is below it.", who, level)


def warn_of_strangers(path: Path) -> None:
    """Warn once of a directory for output that every user could exchange."""
    with suppress(OSError):
        for level, found in _levels(path / "file"):
            open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
            if open_to_all and not stat.S_ISLNK(found.st_mode):
                _warn(level, "Everybody on this system")


def make(path: Path, *, fresh: bool = False) -> None:
    """Make a directory and its missing parents for this user alone, or make an existing one private.

    An existing one is a FileExistsError if it has to be ``fresh``, and refused if others could write to or exchange it.
    """
    with suppress(FileNotFoundError):  # before anything is made
        check_way(path)
    for level in [*reversed(path.parents), path]:
        last = level == path
        try:
            os.mkdir(level, 0o700)
        except FileExistsError:
            if last and fresh:
                raise
        except OSError:
            if last or not level.is_dir():  # / and others' directories exist, and can't be made
                raise
        else:
            os.chmod(level, 0o700)  # whatever the umask
    with Directory(path) as place:
        place.close_to_readers()


def remove(path: Path) -> None:
    """Remove a directory and its contents, though other processes may still write into it."""
    aside = path.with_name(f".{path.name.lstrip('.')}.{uuid.uuid4().hex[:8]}")
    with suppress(OSError):
        path.rename(aside)  # out of their way
        for _ in range(REMOVALS):  # who has it open finds it all the same
            shutil.rmtree(aside, ignore_errors=True)
            if not aside.exists():
                break


def scratch() -> str:
    """Make a directory for a scheduler's temporary files, from which Dask lets Python import modules.

    Dask would take one in /tmp that another user has made. Job scripts do the same for workers.
    """
    path = os.path.join(tempfile.gettempdir(), f"dask-scratch-space-{os.getuid()}")
    try:
        os.mkdir(path, 0o700)
    except OSError:
        with suppress(OSError):
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                os.chmod(path, 0o700)
                return path
        return tempfile.mkdtemp(prefix=f"{path}-")
    return path


class Directory:
    """An open directory of this user: its methods act on it even if another one takes its path.

    Entering it raises an InvalidRequest, with the command that mends it, if others could write to it or exchange it.
    Symbolic links are refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = -1

    def __enter__(self) -> Self:
        check_way(self.path)
        number = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            check_own(self.path, os.fstat(number))
        except BaseException:
            os.close(number)
            raise
        self._number = number
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._number)

    def close_to_readers(self) -> None:
        """Keep others from reading it."""
        if stat.S_IMODE(os.fstat(self._number).st_mode) != 0o700:
            os.fchmod(self._number, 0o700)

    def names(self) -> list[str]:
        """List its contents."""
        return os.listdir(self._number)

    def stat(self, name: str) -> os.stat_result:
        """Examine a file; symbolic links aren't followed."""
        return os.stat(name, dir_fd=self._number, follow_symlinks=False)

    def read(self, name: str, *, written_by_others: bool = False) -> bytes:
        """Read a file of this user that others may not write; symbolic links are refused.

        Others may have written it if ``written_by_others``: batch systems write output with the job's umask.
        """
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._number)
        with os.fdopen(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidRequest(f"{self.path / name} is no file")
            if not written_by_others:
                check_own(self.path / name, found)
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file that only its owner can read, atomically."""
        temporary = f".{name}.{uuid.uuid4().hex}"
        number = self.create(temporary)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(number)
            os.replace(temporary, name, src_dir_fd=self._number, dst_dir_fd=self._number)
        except OSError:
            self.remove(temporary)
            raise

    def create(self, name: str) -> int:
        """Make a new file, and give its descriptor; FileExistsError if it exists."""
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=self._number)

    def append(self, name: str, text: str) -> None:
        """Append a line to a file that only its owner can read, after ending a line that was written in part."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        number = os.open(name, flags, 0o600, dir_fd=self._number)
        try:
            found = os.fstat(number)
            check_own(self.path / name, found)
            begun = found.st_size > 0 and os.pread(number, 1, found.st_size - 1) != b"\n"
            data = (("\n" if begun else "") + text + "\n").encode()
            if os.write(number, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / name))
        finally:
            os.close(number)

    def touch(self, name: str) -> None:
        """Set a file's time to now, by the file system's clock."""
        os.utime(name, dir_fd=self._number, follow_symlinks=False)

    def now(self) -> float:
        """Read the file system's clock; OSError if it takes no new file."""
        name = f".now.{uuid.uuid4().hex}"
        number = self.create(name)
        try:
            return os.fstat(number).st_mtime
        finally:
            os.close(number)
            self.remove(name)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=self._number)

    def remove(self, name: str) -> None:
        """Remove a file, if that is possible."""
        with suppress(OSError):
            self.unlink(name)
