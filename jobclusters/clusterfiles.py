"""The private directory of a cluster: its entry, its credentials, what it has submitted, what its head printed."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import dask.config

from jobclusters import config
from jobclusters.entry import Entry, check_name
from jobclusters.errors import InvalidRequest

#: The ends of the names of files with credentials, and of what a head is told to do.
SECRET = (".pem", ".pickle")

#: The beginnings of the names of files with what a head printed, and characters of each that are read.
HEAD = ("head.log", "dask-head-")
PRINTED = 4000

#: How to name another place.
_HINT = "set jobclusters.directory to a directory of your own that this machine and all nodes see"


def root() -> Path:
    """Give ``jobclusters.directory``, under which each cluster has its own.

    Raises
    ------
    InvalidRequest
        If it isn't an absolute path.
    """
    config.load()
    value = dask.config.get("jobclusters.directory")
    path = config.expand(str(value))
    if not value or not os.path.isabs(path):
        raise InvalidRequest(f"jobclusters.directory must be an absolute path or begin with ~, not {value!r}; {_HINT}")
    if not path.isprintable():
        raise InvalidRequest(f"jobclusters.directory can't be {path!r}: no job script can hold it; {_HINT}")
    return Path(path)


def place(name: object, system: str, directory: str | None = None) -> ClusterFiles:
    """Give the files of a cluster; nothing is made yet.

    Parameters
    ----------
    name
        Of the cluster; None or "" if it was given none: then the directory is its alone, and goes with it.
    system
        Of its batch system.
    directory
        Another place than :func:`root`. Others may write there: the name is one that nobody can foresee.

    Raises
    ------
    InvalidRequest
        If the name can't name a directory.
    """
    token = uuid.uuid4().hex
    if directory is not None:
        return ClusterFiles(Path(os.path.abspath(config.expand(directory))) / f".jobclusters-{token}")
    return ClusterFiles(root() / "clusters" / (check_name(name) if name else f"{system}-{token[:8]}"))


class ClusterFiles:
    """The files of one cluster; nobody else may read them.

    Parameters
    ----------
    path
        Of the directory, which may not be there yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def make(self, *, fresh: bool = False) -> None:
        """Make the directory for its owner alone; one that is there is made private.

        Parameters
        ----------
        fresh
            Whether it must not be there yet.

        Raises
        ------
        FileExistsError
            If it is there, and must not be.
        InvalidRequest
            If it can't be made or belongs to somebody else; it says what to set.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.mkdir(mode=0o700, exist_ok=not fresh)
            if (owner := self.path.stat()).st_uid != os.getuid():
                raise InvalidRequest(f"{self.path} belongs to {user_name(owner.st_uid)}; {_HINT}")
            if stat.S_IMODE(owner.st_mode) != 0o700:
                self.path.chmod(0o700)
        except FileExistsError:
            if fresh:
                raise
            raise InvalidRequest(f"{self.path} is not a directory; {_HINT}") from None
        except OSError as error:
            raise InvalidRequest(f"the directory {self.path} can't be made: {error.strerror}; {_HINT}") from None

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file that only its owner can read, at once as a whole.

        Raises
        ------
        InvalidRequest
            If the directory can't be written to.
        """
        target = self.path / name
        try:
            with _opened(self.path) as place:
                _write(place, name, text.encode() if isinstance(text, str) else text)
        except OSError as error:
            raise InvalidRequest(f"{target} can't be written: {error.strerror}; {_HINT}") from None
        return target

    def append(self, name: str, line: str) -> None:
        """Add a line to a file that only its owner can read."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(os.open(self.path / name, flags, 0o600), "a") as file:
            file.write(line + "\n")
            file.flush()

    def put(self, entry: Entry) -> None:
        """Note how the cluster stands."""
        self.write("entry.json", entry.to_json())

    def update(self, entry: Entry) -> bool:
        """Note how the cluster stands, unless its name has gone to another, whose directory this is then.

        Returns
        -------
        bool
            Whether it is noted.

        Raises
        ------
        InvalidRequest
            If the directory can't be written to.
        """
        try:
            with _opened(self.path) as place:  # another one's has the same path, but would not be this one
                with open("entry.json", opener=partial(os.open, dir_fd=place)) as file:
                    if Entry.from_json(file.read()).run != entry.run:
                        return False
                _write(place, "entry.json", entry.to_json().encode())
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return False
        except OSError as error:
            raise InvalidRequest(f"{self.path} can't be written: {error.strerror}; {_HINT}") from None
        return True

    def entry(self) -> Entry | None:
        """Read how the cluster stands; None if nothing is noted.

        Raises
        ------
        InvalidRequest
            If what is noted can't be read, or belongs to somebody else.
        """
        file = self.path / "entry.json"
        try:
            if (owner := file.stat().st_uid) != os.getuid():
                raise InvalidRequest(
                    f"the name {self.path.name!r} is held by a cluster of {user_name(owner)} in {self.path.parent}:"
                    f" choose another name, or {_HINT}"
                )
            return Entry.from_json(file.read_text())
        except FileNotFoundError:
            self._check_owner()
            return None
        except PermissionError as error:
            raise InvalidRequest(f"{file} can't be read: {error.strerror}; {_HINT}") from None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidRequest(
                f"{file} can't be read: {error}. If no such cluster runs (ask the batch system for your jobs), remove"
                f" {self.path}"
            ) from None

    def _check_owner(self) -> None:
        try:
            owner = self.path.stat().st_uid
        except OSError:
            return
        if owner != os.getuid():
            raise InvalidRequest(
                f"the name {self.path.name!r} is held by {user_name(owner)} in {self.path.parent}; {_HINT}"
            )

    def beat(self) -> None:
        """Give a sign of life."""
        os.utime(self.path / "entry.json")

    def silence(self) -> float:
        """Give the seconds since the last sign of life, by the file system's clock."""
        try:
            with tempfile.NamedTemporaryFile(dir=self.path) as now:
                return os.fstat(now.fileno()).st_mtime - (self.path / "entry.json").stat().st_mtime
        except OSError:
            return time.time() - self.path.stat().st_mtime

    def printed(self) -> str:
        """Read the end of what the cluster's head printed."""
        try:
            files = [path for path in self.path.iterdir() if path.name.startswith(HEAD)]
        except OSError:
            return ""
        texts = [path.read_text(errors="replace")[-PRINTED:].strip() for path in sorted(files)]
        return "\n".join(filter(None, texts))

    def remove_secrets(self) -> None:
        """Remove what must not outlive the cluster."""
        for name in os.listdir(self.path):
            if name.endswith(SECRET) or name.startswith("."):
                (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def _write(place: int, name: str, data: bytes) -> None:
    """Write a file of an open directory, at once as a whole."""
    temporary = f".{name}.{uuid.uuid4().hex}"
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=place)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
        os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place)
        raise


def user_name(number: int) -> str:
    """Name a user; in some containers a user has no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
