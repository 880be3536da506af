"""The record of a cluster on disk, and whether the cluster is alive, judged by evidence."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import Enum
from typing import get_type_hints

from jobclusters.dialects import DIALECTS
from jobclusters.state import JobState

#: Seconds between two heartbeats of a head.
HEARTBEAT_INTERVAL = 30.0
#: Seconds without a heartbeat after which a head counts as dead.
SILENCE_TIMEOUT = 150.0

#: Why a cluster has ended of whose head no more is known.
TERMINATED = "its head was ended: the batch system, or a user, sent it TERM"


class Phase(str, Enum):
    """The phase of a cluster, as its record says."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class Liveness(str, Enum):
    """Whether a cluster is alive, as far as it can be found out from here."""

    STARTING = "starting"
    RUNNING = "running"
    SILENT = "silent"
    ELSEWHERE = "elsewhere"
    GONE = "gone"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class ClusterRecord:
    """What the registry keeps of a cluster.

    Attributes
    ----------
    name, named
        Of the cluster, and whether its user chose the name.
    run
        Unique: tells the cluster from others that had its name.
    system
        Name of the batch system.
    identity
        Which batch system of that kind: see :mod:`jobclusters.registry.identity`. "" if unknown.
    head
        Where the scheduler runs: "process", "detached" or "job".
    user, host, pid, process_began
        Of the process that holds or starts the head; the last in seconds since 1970, by psutil.
    boot, ticks
        The boot of that machine, and the process's start in clock ticks after it, which no change of the clock alters.
        "" and 0 if unknown.
    job_id, job_name
        Of the head's job; None if it has none. The name is known before the id.
    scheduler, dashboard
        Addresses; None before there are any.
    created, ends
        Seconds since 1970: when it was made, and when the head's walltime ends; None for no limit.
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
    boot: str = ""
    ticks: int = 0
    identity: str = ""
    job_id: str | None = None
    job_name: str | None = None
    scheduler: str | None = None
    dashboard: str | None = None
    created: float = 0.0
    ends: float | None = None
    why: str = ""
    version: str = ""

    def to_json(self) -> str:
        """Serialize the record."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ClusterRecord:
        """Read a record, without fields of newer versions; ValueError if the text is none."""
        types = get_type_hints(cls)
        found = json.loads(text)
        if not isinstance(found, dict) or not {"name", "run", "system", "head"} <= found.keys():
            raise ValueError("it is not the record of a cluster")
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
    """Facts about a cluster, found from here; None where unknown.

    Attributes
    ----------
    answers
        Whether its scheduler answers.
    process
        Whether its process runs; None on another machine.
    job
        The state of its head's job.
    confirmed
        Whether the recorded batch system reports that state for a job of that name.
    here
        Whether the batch system of this machine is the recorded one.
    silence
        Seconds since the last heartbeat.
    """

    answers: bool | None = None
    process: bool | None = None
    job: JobState | None = None
    confirmed: bool = False
    here: bool | None = None
    silence: float | None = None


def judge(record: ClusterRecord, evidence: Evidence) -> tuple[Liveness, str]:
    """Decide whether a cluster is alive, and give the reason as a sentence.

    A cluster is gone only on proof. A scheduler that doesn't answer is silent, unless its machine reports that its
    process has ended, or its batch system that the job of its name has. Any other sign, such as a job unknown to the
    batch system, counts only after :data:`SILENCE_TIMEOUT` without a heartbeat. A cluster of another batch system isn't
    judged.

    Examples
    --------
    >>> record = ClusterRecord(name="a", run="1", system="slurm", head="job", job_id="12", phase=Phase.RUNNING)
    >>> judge(record, Evidence(answers=False, job=JobState.CANCELLED, confirmed=True))[1]
    'its head, job 12, is CANCELLED'
    """
    if record.phase is Phase.ENDED:
        return Liveness.ENDED, record.why
    if evidence.answers:
        return Liveness.RUNNING, "its scheduler answers"
    where = f"job {record.job_id}" if record.job_id else f"process {record.pid} on {record.host}"
    if evidence.here is False:
        return Liveness.ELSEWHERE, f"on {DIALECTS[record.system].title} {record.identity}, not visible from here"
    if evidence.process is False:
        return Liveness.GONE, f"its head, {where}, is gone"
    unclear = evidence.here is None and record.identity != ""
    silent = evidence.silence is not None and evidence.silence > SILENCE_TIMEOUT and not unclear
    if evidence.job is not None and evidence.job.ended and (evidence.confirmed or silent):
        return Liveness.GONE, f"its head, {where}, is {evidence.job.value}"
    if record.job_id is None and evidence.process is None and silent:
        return Liveness.GONE, f"its head, {where}, has given no sign of life for {evidence.silence:.0f} seconds"
    if record.phase is Phase.STARTING:
        waits = evidence.job is JobState.PENDING
        return Liveness.STARTING, f"its head, {where}, is {'pending' if waits else 'starting'}"
    return Liveness.SILENT, f"its scheduler at {record.scheduler} does not answer, but {where} may still be there"
