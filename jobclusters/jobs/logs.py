"""What jobs print: where it goes, and reading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jobclusters.batch.base import BatchSystem
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.jobs.record import JobRecord
from jobclusters.registry.private import warn_of_strangers
from jobclusters.spec.sizes import whole

#: Bytes of a job's output that are looked at when it ends.
TAIL_BYTES = 16 * 1024


class Output:
    """Reads what jobs printed; the batch system knows the files."""

    def __init__(self, batch_system: BatchSystem) -> None:
        self._batch_system = batch_system

    def read(self, known: Mapping[str, JobRecord], job_id: str | None, tail: int | None) -> dict[str, str]:
        """Read what jobs printed, by id; "" where there is no output yet.

        ``known`` are the jobs, by id; ``job_id`` is None for all of them, and ``tail`` None for all lines, not only so
        many last ones. Raise InvalidRequest for an unknown job, or a tail that is no number.
        """
        problems = Problems()
        lines = None if tail is None else problems.attempt(lambda: whole("tail", tail, least=0), 0)
        problems.raise_any()
        if job_id is not None and str(job_id) not in known:
            raise InvalidRequest(unknown("job", job_id, known, see="cluster.jobs"))
        wanted = known if job_id is None else {str(job_id): known[str(job_id)]}
        return {key: last_lines(self._whole(record), lines) for key, record in wanted.items()}

    def end(self, record: JobRecord) -> str | None:
        """Read the last :data:`TAIL_BYTES` bytes of what a job itself printed; None if there is no file."""
        texts = []
        for path in self._paths(record):
            with suppress(OSError), path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                texts.append(file.read().decode(errors="replace"))
        return self._batch_system.dialect.own_output("".join(texts)) if texts else None

    def _whole(self, record: JobRecord) -> str:
        texts, paths, dialect = [], self._paths(record), self._batch_system.dialect
        for path in paths:
            with suppress(OSError):
                texts.append(path.read_text(errors="replace"))
        hidden = [path for path in paths if record.spec.directives and dialect.is_placeholder(str(path))]
        if hidden and not texts:
            return f"[not found: a directive puts it into {hidden[0]}, a name that only {dialect.title} can complete]\n"
        return "".join(texts)

    def _paths(self, record: JobRecord) -> list[Path]:
        job_id, name, spec = str(record.job_id), record.job_name, record.spec
        found = [*map(Path, self._batch_system.log_files(job_id, spec.log_directory, name, spec.directives))]
        if not spec.directives or not any(path.is_dir() for path in found):
            return found
        # A directive may name a directory; then the file has its usual name there.
        usual = self._batch_system.log_files(job_id, None, name)[:1]
        return [path / Path(each).name if path.is_dir() else path for path in found for each in usual]


def make_directory(log_directory: str | None) -> None:
    """Make the directory that jobs print into, where one was asked for; raise InvalidRequest if it can't be made."""
    if log_directory:
        try:
            os.makedirs(log_directory, exist_ok=True)
        except OSError as error:
            raise InvalidRequest(f"log_directory {log_directory!r} can't be made: {error}") from None
        warn_of_strangers(Path(log_directory))


def last_lines(text: str, lines: int | None) -> str:
    """Give so many last lines of a text; all if there is no number."""
    return text if lines is None else "".join(text.splitlines(keepends=True)[-lines:] if lines else [])
