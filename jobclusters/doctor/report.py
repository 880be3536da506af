"""What became of a probe, and the ways in which its report comes: network, shared directory, the job's output."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobclusters.doctor import probe
from jobclusters.state import JobState, JobStatus

#: Seconds in which the probe should answer.
KNOCK = 3.0
#: Bytes of a job's output that are looked at.
TAIL = 64 * 1024

#: An address, and its port.
Address = tuple[str, int]


@dataclass
class Outcome:
    """What became of a probe.

    Attributes
    ----------
    found
        What it reported; None if it didn't.
    back
        What went wrong when this machine connected to the probe; "" if nothing did, None if it wasn't tried.
    by
        The ways in which the report came: "network", "directory", "output".
    error
        What the batch system said if it refused the job, or nobody answered; "" otherwise.
    job_id, status
        Of the job.
    output
        The end of what the job printed; None if there is no such file here.
    """

    found: dict[str, Any] | None = None
    back: str | None = None
    by: set[str] = field(default_factory=set)
    error: str = ""
    job_id: str = ""
    status: JobStatus = field(default_factory=lambda: JobStatus(JobState.UNKNOWN))
    output: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing more will come."""
        if self.found is None:
            return False
        seen = {"directory"} if not self.found["directory"] else set()
        return seen | {"output"} <= self.by

    def hopeless(self, never: Collection[str]) -> bool:
        """Whether there will be no report: the job can't start, or has failed and said why."""
        status = self.status
        if status.state is JobState.PENDING:
            return status.reason in never
        return status.state is JobState.FAILED and self.found is None and bool(self.output)

    def take(self, text: str | bytes, token: str, by: str) -> None:
        """Take a report, if it is the probe's."""
        with suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, dict) and found.get("token") == token:
                self.found = found
                self.by.add(by)


@asynccontextmanager
async def listening(address: Address, outcome: Outcome, token: str) -> AsyncIterator[Address]:
    """Answer with the time, and take reports."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            writer.write(f"jobclusters {time.time()}\n".encode())
            await writer.drain()
            outcome.take(await reader.readline(), token, "network")
        writer.close()

    server = await asyncio.start_server(answer, *address)
    try:
        yield (address[0], server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def knock(host: str, port: int) -> str:
    """Connect to the probe, and give what went wrong."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), KNOCK)
        greeting = await asyncio.wait_for(reader.readline(), KNOCK)
        writer.close()
    except asyncio.TimeoutError:
        return "timed out"
    except OSError as error:
        return error.strerror or str(error)
    return "" if greeting.startswith(b"jobclusters") else "somebody else answered"


class probe_directory:  # noqa: N801 -- it is used as contextlib's are
    """The probe's directory, which is gone afterwards, as is the one around it if it's new."""

    def __init__(self, directory: str, token: str) -> None:
        self._around = Path(directory)
        self._path = self._around / f"doctor-{token}"
        self._token = token
        self._new = False

    def __enter__(self) -> Path:
        self._new = not self._around.exists()
        self._around.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.mkdir(mode=0o700)
        (self._path / "token").write_text(self._token)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
        if self._new:
            with suppress(OSError):  # somebody else has begun to use it
                self._around.rmdir()


def read_output(names: Sequence[str], outcome: Outcome, token: str) -> None:
    """Look for the report in what the job has printed so far."""
    texts = []
    for name in names:
        with suppress(OSError), open(name, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            texts.append(file.read().decode(errors="replace"))
    outcome.output = "\n".join(texts) if texts else None
    for line in (outcome.output or "").splitlines():
        if line.startswith(probe.MARK):
            outcome.take(line.removeprefix(probe.MARK), token, "output")
