"""What jobs print: where it goes, and reading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jobclusters.commandqueue import Verbs
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.record import JobRecord
from jobclusters.sizes import whole

#: Bytes of a job's output that are looked at when it ends.
TAIL = 16 * 1024


class Output:
    """Reads what jobs printed.

    Parameters
    ----------
    verbs
        The batch system, or this machine's queue: it knows the files.
    """

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    def read(self, known: Mapping[str, JobRecord], job_id: str | None, tail: int | None) -> dict[str, str]:
        """Read what jobs printed, by id; "" where there is no output yet.

        Parameters
        ----------
        known
            The jobs, by id.
        job_id
            Of one job; None for all.
        tail
            Only so many last lines of each; None for all.

        Raises
        ------
        InvalidRequest
            For a job that isn't known, or a tail that's no number.
        """
        problems = Problems()
        lines = None if tail is None else problems.attempt(lambda: whole("tail", tail, least=0), 0)
        problems.raise_any()
        if job_id is not None and str(job_id) not in known:
            raise InvalidRequest(unknown("job", job_id, known))
        wanted = known if job_id is None else {str(job_id): known[str(job_id)]}
        return {key: _last(self._whole(record), lines) for key, record in wanted.items()}

    def end(self, record: JobRecord) -> str | None:
        """Read the last :data:`TAIL` bytes of what a job printed; None if there is no file."""
        texts = []
        for path in self._paths(record):
            with suppress(OSError), path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL))
                texts.append(file.read().decode(errors="replace"))
        return "".join(texts) if texts else None

    def _whole(self, record: JobRecord) -> str:
        texts = []
        for path in self._paths(record):
            with suppress(OSError):
                texts.append(path.read_text(errors="replace"))
        return "".join(texts)

    def _paths(self, record: JobRecord) -> list[Path]:
        names = self._verbs.log_files(str(record.job_id), record.spec.log_directory, record.job_name)
        return [Path(name) for name in names]


def make_directory(log_directory: str | None) -> None:
    """Make the directory that jobs print into, where one was asked for.

    Raises
    ------
    InvalidRequest
        If it can't be made.
    """
    if log_directory:
        try:
            os.makedirs(log_directory, exist_ok=True)
        except OSError as error:
            raise InvalidRequest(f"log_directory {log_directory!r} can't be made: {error}") from None


def _last(text: str, lines: int | None) -> str:
    return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:] if lines else [])
