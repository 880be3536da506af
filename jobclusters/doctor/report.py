"""The outcome of a probe, and the ways of its report: network, shared directory, the job's output."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobclusters.doctor import probe
from jobclusters.registry import private
from jobclusters.state import JobState, JobStatus


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes
    ----------
    check
        Its name.
    verdict
        "unchecked" if nothing could be found out.
    says
        The facts, in a clause.
    do
        What to do about it; "" if it is ok.
    """

    check: str
    verdict: Literal["ok", "wrong", "unchecked"]
    says: str
    do: str = ""


def ok(check: str, says: str) -> Verdict:
    """All is well."""
    return Verdict(check, "ok", says)


def wrong(check: str, says: str, do: str) -> Verdict:
    """Something is to be done."""
    return Verdict(check, "wrong", says, do)


def unchecked(check: str, says: str) -> Verdict:
    """Nothing was found out."""
    return Verdict(check, "unchecked", says)


#: Seconds for a connection to the probe, and for its answer.
CALL_TIMEOUT = 10.0

#: Bytes of a job's output that are read.
TAIL_BYTES = 64 * 1024

#: An address, and its port.
Address = tuple[str, int]


@dataclass
class Outcome:
    """The outcome of a probe.

    Attributes
    ----------
    found
        Its report; None without one.
    back
        The error when this machine connected to the probe; "" for none, None if it wasn't tried.
    by
        The ways in which the report came: "network", "directory", "output".
    error
        The batch system's words if it refused the job or didn't answer; "" otherwise.
    job_id, status
        Of the job.
    output
        The end of the job's output; None without a file here.
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
        """Whether there will be no report: the job can't start, or has failed and printed why."""
        status = self.status
        if status.state is JobState.PENDING:
            return status.reason in never
        return status.state is JobState.FAILED and self.found is None and bool(self.output)

    def take(self, text: str | bytes, token: str, by: str) -> None:
        """Accept a report, if it is the probe's."""
        with suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, dict) and found.get("token") == token:
                self.found = found
                self.by.add(by)


@asynccontextmanager
async def listening(address: Address, outcome: Outcome, token: str) -> AsyncIterator[Address]:
    """Answer connections with the time, and accept reports."""

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


async def call_probe(host: str, port: int) -> str:
    """Connect to the probe, and give the error; "" for none."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), CALL_TIMEOUT)
        greeting = await asyncio.wait_for(reader.readline(), CALL_TIMEOUT)
        writer.close()
    except asyncio.TimeoutError:
        return "timed out"
    except OSError as error:
        return error.strerror or str(error)
    return "" if greeting.startswith(b"jobclusters") else "another program answered"


@contextmanager
def probe_directory(directory: str, token: str) -> Iterator[Path]:
    """Give the probe's directory, removed at the end, as is its parent if it is new."""
    parent = Path(directory)
    path = parent / f"doctor-{token}"
    new = not parent.exists()
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700)
    try:
        (path / "token").write_text(token)
        yield path
    finally:
        private.remove(path)  # the job may still be ending
        if new:
            with suppress(OSError):  # another cluster has begun to use it
                parent.rmdir()


def read_output(names: Sequence[str], outcome: Outcome, token: str) -> None:
    """Search the job's output so far for the report."""
    texts = []
    for name in names:
        with suppress(OSError), open(name, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            texts.append(file.read().decode(errors="replace"))
    outcome.output = "\n".join(texts) if texts else None
    for line in (outcome.output or "").splitlines():
        if line.startswith(probe.MARK):
            outcome.take(line.removeprefix(probe.MARK), token, "output")
