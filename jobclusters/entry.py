"""What is noted of a cluster for other processes: who runs it, where it answers, and how it ended."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import get_type_hints

from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest
from jobclusters.state import JobState

#: Seconds between two signs of life of a head, and without any after which it counts as dead.
HEARTBEAT = 30.0
SILENCE = 150.0

#: What a cluster may be called: its name names files, jobs and workers.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Phase(str, Enum):
    """What a cluster's entry says of it."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class Standing(str, Enum):
    """How a cluster stands, as far as it can be known from here."""

    STARTING = "starting"
    RUNNING = "running"
    SILENT = "silent"
    GONE = "gone"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A cluster, as its registry notes it.

    Attributes
    ----------
    name, named
        Of the cluster, and whether somebody chose it and may ask for it.
    run
        Tells this cluster from others that had its name.
    system
        Name of the batch system.
    head
        Where its scheduler runs: "process", "detached" or "job".
    phase
        Whether it is starting, running, or has ended.
    user, host, pid, process_began
        Of the process that holds the head, or starts it; the last in seconds since 1970, as psutil gives it.
    job_id, job_name
        Of the head's job; None where it has none. The name is known before the id.
    scheduler, dashboard
        Addresses; None before there are any.
    created, ends
        When it was made, and when the head's walltime will end it, in seconds since 1970; None if it won't.
    why
        Why it has ended; "" before.
    version
        Of this package.
    """

    name: str
    run: str
    system: str
    head: str
    named: bool = True
    phase: Phase = Phase.STARTING
    user: str = ""
    host: str = ""
    pid: int = 0
    process_began: float = 0.0
    job_id: str | None = None
    job_name: str | None = None
    scheduler: str | None = None
    dashboard: str | None = None
    created: float = 0.0
    ends: float | None = None
    why: str = ""
    version: str = ""

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Read it; what a newer version has added is left out.

        Raises
        ------
        ValueError
            If it isn't an entry.
        """
        types = get_type_hints(cls)
        found = json.loads(text)
        if not isinstance(found, dict) or not {"name", "run", "system", "head"} <= found.keys():
            raise ValueError("it is not the entry of a cluster")
        known = {key: value for key, value in found.items() if key in types}
        known["phase"] = Phase(known.get("phase", Phase.STARTING))
        for key, value in known.items():
            if not isinstance(value, (int, float) if types[key] is float else types[key]):
                raise ValueError(f"its {key} can't be {value!r}")
        if known["system"] not in DIALECTS:
            raise ValueError(f"this version knows no batch system {known['system']!r}")
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found out about a cluster from here; None where nothing could be.

    Attributes
    ----------
    answers
        Whether its scheduler answers.
    process
        Whether its process lives; None if that is another machine's.
    job
        The state of its head's job.
    silence
        Seconds since its last sign of life.
    """

    answers: bool | None = None
    process: bool | None = None
    job: JobState | None = None
    silence: float = 0.0


def judge(entry: Entry, evidence: Evidence) -> tuple[Standing, str]:
    """Tell how a cluster stands, with a sentence.

    Nothing is called gone that might be there: a scheduler that doesn't answer is silent, unless the batch system or
    its machine says that it has ended; where neither can be asked, when no sign of life came for :data:`SILENCE`.

    Examples
    --------
    >>> entry = Entry(name="a", run="1", system="slurm", head="job", job_id="12", phase=Phase.RUNNING)
    >>> judge(entry, Evidence(answers=False, job=JobState.CANCELLED))[1]
    'its head, job 12, is CANCELLED'
    """
    if entry.phase is Phase.ENDED:
        return Standing.ENDED, entry.why
    if evidence.answers:
        return Standing.RUNNING, "its scheduler answers"
    where = f"job {entry.job_id}" if entry.job_id else f"process {entry.pid} on {entry.host}"
    if evidence.job is not None and evidence.job.ended:
        return Standing.GONE, f"its head, {where}, is {evidence.job.value}"
    if evidence.process is False:
        return Standing.GONE, f"its head, {where}, is gone"
    waits = evidence.job is JobState.PENDING
    if entry.job_id is None and evidence.process is None and evidence.silence > SILENCE:
        return Standing.GONE, f"its head, {where}, has given no sign of life for {evidence.silence:.0f} seconds"
    if entry.phase is Phase.STARTING:
        return Standing.STARTING, f"its head, {where}, is {'pending' if waits else 'starting'}"
    return Standing.SILENT, f"its scheduler at {entry.scheduler} does not answer, but {where} may still be there"


def check_name(name: object) -> str:
    """Give the name of a cluster as text.

    Raises
    ------
    InvalidRequest
        If it can't be one.

    Examples
    --------
    >>> check_name("production")
    'production'
    """
    text = str(name)
    if not _NAME.fullmatch(text):
        better = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:64]
        hint = f": say {better!r}" if _NAME.fullmatch(better) else ""
        raise InvalidRequest(
            f"name={text!r}: a cluster's name is made of at most 64 letters, digits and _ . -, the first a letter or"
            f" digit, as it names files and jobs{hint}"
        )
    return text
