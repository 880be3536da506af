"""PBS Professional and OpenPBS. Manuals: qsub(1B), qstat(1B), qdel(1B), qselect(1B), pbs_job_attributes(7B).

What was recorded of OpenPBS 23.06 is in tests/replies/pbs/; what comes from the manuals alone says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar

from jobclusters.dialect import Beginnings, Dialect, Reply, ranges
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

#: B, F, E, H, Q and R were seen; the others stand in qstat(1B), C in TORQUE's. An array itself is always in B.
_STATES = {
    "Q": JobState.PENDING,
    "H": JobState.PENDING,  # held
    "W": JobState.PENDING,  # waits for its time
    "T": JobState.PENDING,  # on its way to another place
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,  # suspended
    "U": JobState.RUNNING,  # suspended because somebody works at the machine
    "E": JobState.COMPLETING,
    "X": JobState.COMPLETED,  # an array's element
    "F": JobState.COMPLETED,
    "C": JobState.COMPLETED,
}
_ID = re.compile(r"(\d+)(?:\[(\d*)\])?(\.[^\s@]+)?")
# The job's environment: it may be long, and hold what makes the JSON of some versions wrong.
_ENVIRONMENT = re.compile(r'^\s*"Variable_List":\s*\{.*?^\s*\},?$\n?', re.DOTALL | re.MULTILINE)
_NO_HISTORY = "not configured to maintain job history"
#: A comment that tells of a start isn't why a job waits: it was requeued, or it's an element of an array that runs.
_BEGAN = re.compile(r"^Job (run at|Array Began at|started on) .*")


class Pbs(Dialect):
    """The commands of PBS Professional and OpenPBS."""

    name = "pbs"
    title = "PBS"
    probe = "pbsnodes"  # Grid Engine has a qsub, too
    directive = "#PBS"
    clock = "seconds, MM:SS"
    keywords = frozenset({"account", "resource_spec"})
    renamed = MappingProxyType({"project": "account"})
    job_name_rule = (r"[A-Za-z0-9][A-Za-z0-9_.+-]*", "letters, digits, and _ . + - behind the first")
    job_variable = "PBS_JOBID"
    index_variable = "PBS_ARRAY_INDEX"
    submit_host_variable = "PBS_O_HOST"
    excludes = False  # "select" knows only what a node is to have
    nested_prefixes = ("PBS_",)
    nested_keep = frozenset({"PBS_CONF_FILE", "PBS_EXEC", "PBS_SERVER", "PBS_DEFAULT"})
    inside_variables = ("PBS_JOBID",)
    cancel_only_listed = True  # a queued id and an unknown one in one qdel: pbs_server crashes
    never = Beginnings({"Can Never Run", "job held, too many failed attempts to run"})
    # "Job violates queue and/or server resource limits" is about the job, and final.
    limit_words = ("Maximum number of jobs", "would exceed")
    array_words = ("exceeds server or queue size limit",)
    outage_words = (
        "cannot connect to server",
        "Couldn't connect to cluster",
        "Connection refused",
        "Unknown Host",
        "Communication failure",
        "Server shutting down",
        "timed out",
    )
    #: Exit statuses that PBS gives where it ended a job itself (-27 and -29 were seen, the others: job.h).
    endings: ClassVar[Mapping[int, JobState]] = MappingProxyType(
        {
            -29: JobState.TIMEOUT,
            -28: JobState.TIMEOUT,  # CPU time
            -27: JobState.OUT_OF_MEMORY,
            -26: JobState.OUT_OF_MEMORY,  # virtual memory
        }
    )
    _history: ClassVar[tuple[str, ...]] = ("-x",)

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Take the account from ``PBS_ACCOUNT``, as dask-jobqueue does."""
        return {"account": environ["PBS_ACCOUNT"]} if environ.get("PBS_ACCOUNT") else {}

    version_argv = ("qstat", "--version")
    queues_argv = ("qstat", "-Qf")

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read ``Queue: workq``."""
        return re.findall(r"^Queue:\s*(\S+)", reply.out, re.MULTILINE)

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub; an array of one element isn't allowed, and never asked for."""
        return ["qsub", *(["-J", f"0-{count - 1}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``123.server`` or ``123[].server`` from the last line that is one."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if match := _ID.fullmatch(line.strip()):
                number, _, server = match.groups("")
                return [f"{number}[{i}]{server}" for i in range(count)] if count > 1 else [number + server]
        raise Unavailable(f"qsub printed no job id: {reply.words!r}")

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qdel with ranges of elements: ``12[0-499].server``; it takes no lists."""
        arrays: dict[tuple[str, str], list[int]] = {}
        singles = []
        for job_id in ids:
            number, index, server = _parts(job_id)
            if index:
                arrays.setdefault((number, server), []).append(int(index))
            else:
                singles.append(job_id)
        elements = [f"{n}[{each}]{server}" for (n, server), found in arrays.items() for each in ranges(found)]
        return ["qdel", *elements, *singles]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qstat for whole arrays: ``-t`` lists their elements, ``-x`` those that have ended."""
        return ["qstat", *self._history, "-t", "-f", "-F", "json", *_arrays(ids)]

    def find_argv(self, job_name: str) -> list[str]:
        """Call qselect, which finds by name: ``-T`` lists elements, not arrays (read in its manual)."""
        return ["qselect", *self._history, "-T", "-N", job_name]

    def parse_find(self, reply: Reply, job_name: str) -> dict[str, JobStatus]:
        """Read qselect's ids; ``@server`` may follow."""
        if not reply.ok or _NO_HISTORY in reply.err:
            raise Unavailable(reply.sentence())
        found = [match for word in reply.out.split() if (match := _ID.match(word))]
        return {match[0]: JobStatus(JobState.UNKNOWN) for match in found if match[2] != ""}

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read qstat's JSON. Ids that it doesn't know are an error of qstat, but an answer for us."""
        if not self._answers(reply):
            raise Unavailable(reply.sentence())
        return {key: self._status(job) for key, job in self._jobs(reply).items() if "[]" not in key}

    def _answers(self, reply: Reply) -> bool:
        if any(words in reply.err for words in (*self.outage_words, _NO_HISTORY)):
            return False  # qstat then prints JSON without jobs all the same
        errors = [line for line in reply.err.splitlines() if line.strip()]
        known = ("Unknown Job Id", "Job has finished")
        return reply.ok or (bool(errors) and all(any(words in line for words in known) for line in errors))

    def _jobs(self, reply: Reply) -> dict[str, dict[str, str]]:
        """Give the attributes of each job, with small letters."""
        text = _ENVIRONMENT.sub("", reply.out)
        try:
            jobs = json.loads(text if reply.ok else text or "{}", strict=False).get("Jobs", {})
        except ValueError as error:
            raise Unavailable(f"{' '.join(reply.argv)} printed what can't be read: {error}") from None
        return {key: {name.lower(): str(value) for name, value in job.items()} for key, job in jobs.items()}

    def _status(self, job: Mapping[str, str]) -> JobStatus:
        state = _STATES.get(job.get("job_state", ""), JobState.UNKNOWN)
        pending, over = state is JobState.PENDING, state.ended
        exit_code = signal = None
        if over:
            state, exit_code, signal = self._end(job)
        runs = int(job.get("run_count") or job.get("start_count") or 0)
        return JobStatus(
            state=state,
            reason=_BEGAN.sub("", job.get("comment", "")).strip() if pending else "",
            exit_code=exit_code,
            signal=signal,
            node=re.split(r"[/+:]", job.get("exec_host", ""))[0],
            submitted=_date(job.get("ctime")),
            # Of a running job it would tell a rerun, whose workers have the names of the first run's: no variable of
            # PBS counts runs.
            started=_date(job.get("stime") or job.get("start_time")) if over and "exec_host" in job else None,
            ended=_date(job.get("obittime") or job.get("comp_time")) if over else None,
            restarts=max(0, runs if pending else runs - 1),
        )

    def _end(self, job: Mapping[str, str]) -> tuple[JobState, int | None, int | None]:
        """Read how a job ended: 256 and more, or as in a shell 128, is a signal, less than 0 PBS's own doing."""
        if not ("exec_host" in job and "exit_status" in job):  # deleted before it ran; an element shows its array's end
            return JobState.CANCELLED, None, None
        status = int(job["exit_status"])
        if status in self.endings:
            return self.endings[status], None, None
        signal = status - 256 if status > 256 else status - 128 if 128 < status <= 128 + 64 else None
        if status == 271 or job.get("substate") == "91":  # deleted
            return JobState.CANCELLED, None, signal
        return JobState.FAILED if status else JobState.COMPLETED, None if signal else status, signal

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``-o`` names, or qsub's default; it appears when the job has ended."""
        number, index, _ = _parts(job_id)
        element = f".{index}" if index else ""
        return [
            f"{job_name}.o{number}{element}" if log_directory is None else f"{log_directory}/{job_name}{element}.out"
        ]

    def variant(self, reply: Reply) -> Dialect | None:
        """Stop asking for ended jobs where the server remembers none."""
        return PbsWithoutHistory() if _NO_HISTORY in reply.words else None


class PbsWithoutHistory(Pbs):
    """PBS whose server forgets a job as it ends: ``job_history_enable`` is off unless a site sets it."""

    _history = ()


def _parts(job_id: str) -> tuple[str, str, str]:
    [(number, index, server), *_] = _ID.findall(job_id)
    return number, index, server


def _arrays(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", job_id) for job_id in ids))


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%a %b %d %H:%M:%S %Y")
    except ValueError:
        return None
