"""The private directory of a cluster: its record, its credentials, its submissions, its head's output."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jobclusters.config import settings
from jobclusters.config.keywords import check_name
from jobclusters.errors import InvalidRequest
from jobclusters.registry import private
from jobclusters.registry.private import HINT, OtherOwner, user_name
from jobclusters.registry.record import SILENCE_TIMEOUT, ClusterRecord

#: The directory of all clusters, in ``jobclusters.directory``.
CLUSTERS = "clusters"

#: Endings of files with credentials, those of version 0.1 included.
SECRET = (".pem", ".pickle", ".secret")
#: The file that holds each part of the credentials.
FILES = {"ca_file": "tls-ca.pem", "cert": "tls-cert.pem", "key": "tls-key.pem"}

#: Holds the settings of Dask for workers, among which there may be passwords.
SETTINGS = "dask-settings.secret"
#: Holds the paths of a user's own credentials.
SECURITY = "security.json"
#: Holds what a head is to make.
ORDER = "order.json"

#: Beginnings of the names of a head's output.
HEAD = ("head.log", "dask-head-")
#: Characters of each that are read.
PRINTED = 4000


def root() -> Path:
    """Give ``jobclusters.directory``, the parent of all clusters' directories; it must be an absolute path."""
    value = settings.shared_directory()
    path = settings.expand(str(value))
    if not value or not os.path.isabs(path):
        raise InvalidRequest(f"jobclusters.directory must be an absolute path or begin with ~, not {value!r}; {HINT}")
    if not path.isprintable():
        raise InvalidRequest(f"jobclusters.directory can't be {path!r}: no job script can hold it; {HINT}")
    return Path(path)


def place(name: object, system: str, directory: str | None = None) -> ClusterFiles:
    """Give the files of a cluster, without making any.

    A directory that is used once has no name. Others may write to another parent ``directory`` than :func:`root`: there
    the name is unpredictable. Raise InvalidRequest if the name can't name a directory.
    """
    token = uuid.uuid4().hex
    if directory is not None:
        return ClusterFiles(Path(os.path.abspath(settings.expand(directory))) / f".jobclusters-{token}")
    return ClusterFiles(root() / CLUSTERS / (check_name(name) if name else f"{system}-{token[:8]}"))


class ClusterFiles:
    """The files of one cluster, readable by its owner only.

    Each use opens the directory anew, and refuses it if others could have put something into it: see
    :mod:`jobclusters.registry.private`.

    Parameters
    ----------
    path
        Of the directory, which need not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def make(self, *, fresh: bool = False) -> None:
        """Make the directory for its owner alone, or make an existing one private unless it has to be ``fresh``."""
        try:
            if self.path.parent.name == CLUSTERS:
                private.make(self.path.parent)
            private.make(self.path, fresh=fresh)
        except (FileExistsError, NotADirectoryError):
            if fresh:
                raise
            raise InvalidRequest(f"{self.path} is not a directory; {HINT}") from None
        except OSError as error:
            raise InvalidRequest(f"the directory {self.path} can't be made: {error.strerror}; {HINT}") from None

    def opened(self) -> private.Directory:
        """Give the directory, to be entered; the parent of all clusters' directories is checked as well."""
        if self.path.parent.name == CLUSTERS:
            with suppress(FileNotFoundError):
                private.check_own(self.path.parent, os.stat(self.path.parent))
        return private.Directory(self.path)

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file that only its owner can read, atomically."""
        target = self.path / name
        try:
            with self.opened() as place:
                place.write(name, text.encode() if isinstance(text, str) else text)
        except OSError as error:
            raise InvalidRequest(f"{target} can't be written: {error.strerror}; {HINT}") from None
        return target

    def read(self, name: str) -> bytes:
        """Read a file; an :class:`InvalidRequest` if another user may write to it or to the directory."""
        with self.opened() as place:
            return place.read(name)

    def append(self, name: str, text: str) -> None:
        """Append a line to a file that only its owner can read."""
        with self.opened() as place:
            place.append(name, text)

    def put(self, record: ClusterRecord) -> None:
        """Write the cluster's record."""
        self.write("entry.json", record.to_json())

    def update(self, record: ClusterRecord) -> bool:
        """Write the cluster's record, unless its name belongs to another cluster now; whether it was written."""
        try:
            with self.opened() as place:  # another cluster's directory may get the path, but is not the opened one
                noted = ClusterRecord.from_json(place.read("entry.json").decode())
                if noted.run != record.run:
                    return False
                record = replace(record, identity=record.identity or noted.identity)
                place.write("entry.json", record.to_json().encode())
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError) as error:
            if isinstance(error, InvalidRequest):
                raise
            return False
        except OSError as error:
            raise InvalidRequest(f"{self.path} can't be written: {error.strerror}; {HINT}") from None
        return True

    def note_identity(self, identity: str) -> None:
        """Record on which batch system the cluster's jobs are."""
        record = self.record()
        if record is not None and record.identity != identity:
            self.update(replace(record, identity=identity))

    def record(self) -> ClusterRecord | None:
        """Read the cluster's record; None if there is none, an :class:`InvalidRequest` if another user owns it."""
        file = self.path / "entry.json"
        try:
            return ClusterRecord.from_json(self.read("entry.json").decode())
        except FileNotFoundError:
            return None
        except OtherOwner as error:
            holder = f"held by {'a cluster of ' if file.exists() else ''}{user_name(error.owner)}"
            raise InvalidRequest(
                f"the name {self.path.name!r} is {holder} in {self.path.parent}: choose another name, or {HINT}"
            ) from None
        except InvalidRequest:
            raise
        except PermissionError as error:
            raise InvalidRequest(f"{file} can't be read: {error.strerror}; {HINT}") from None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidRequest(
                f"{file} can't be read: {error}. If no such cluster runs (ask the batch system for your jobs), remove"
                f" {self.path}"
            ) from None

    def beat(self) -> None:
        """Record a heartbeat."""
        with self.opened() as place:
            place.touch("entry.json")

    def silence(self) -> float:
        """Give the seconds since the last heartbeat, by the file system's clock.

        If the file system takes no new file, this machine's clock counts, which may differ: the result then never
        exceeds :data:`~jobclusters.registry.record.SILENCE_TIMEOUT`, so that nothing follows from it.
        """
        try:
            with self.opened() as place:
                beat = place.stat("entry.json").st_mtime
                try:
                    return place.now() - beat
                except OSError:
                    return min(time.time() - beat, SILENCE_TIMEOUT)
        except OSError:
            return 0.0

    def take_mark(self, name: str, stale: float) -> bool:
        """Make a file that gives this process a task which only one at a time may do; False if another one has it.

        That one counts as dead after ``stale`` seconds without :meth:`touch_mark`.
        """
        with self.opened() as place:
            try:
                os.close(place.create(name))
            except FileExistsError:
                if place.now() - place.stat(name).st_mtime < stale:
                    return False
                place.touch(name)
        return True

    def touch_mark(self, name: str) -> None:
        """Keep the task of :meth:`take_mark`."""
        with suppress(OSError, InvalidRequest), self.opened() as place:
            place.touch(name)

    def remove_mark(self, name: str) -> None:
        """Give up the task of :meth:`take_mark`."""
        with suppress(OSError, InvalidRequest), self.opened() as place:
            place.remove(name)

    def age(self) -> float:
        """Give the seconds since a file was made or removed here, by this machine's clock; 0 if unknown."""
        with suppress(OSError, InvalidRequest), self.opened():
            return time.time() - os.lstat(self.path).st_mtime
        return 0.0

    def printed(self) -> str:
        """Read the end of the head's output."""
        texts = []
        with suppress(OSError), self.opened() as place:
            for name in sorted(name for name in place.names() if name.startswith(HEAD)):
                with suppress(OSError, InvalidRequest):
                    texts.append(place.read(name, written_by_others=True).decode(errors="replace")[-PRINTED:].strip())
        return "\n".join(filter(None, texts))

    def remove_file(self, name: str, text: str) -> None:
        """Remove a file with this text, but not another cluster's file in its place."""
        with self.opened() as place:
            if place.read(name) == text.encode():
                place.unlink(name)

    def remove_secrets(self) -> None:
        """Remove what must not outlive the cluster."""
        with self.opened() as place:
            for name in place.names():
                if name.endswith(SECRET) or name in (SECURITY, ORDER) or name.startswith("."):
                    place.remove(name)

    def remove(self) -> None:
        """Remove the directory and its contents, if it is this user's."""
        with suppress(OSError, InvalidRequest), self.opened():
            self.remove_secrets()
            private.remove(self.path)  # a worker that ends may put its mark there meanwhile
