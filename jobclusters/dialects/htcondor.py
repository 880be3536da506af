"""HTCondor. Manual: https://htcondor.readthedocs.io: condor_submit, condor_q, condor_rm, condor_history, attributes.

tests/replies/htcondor/ holds replies of 23.9.6; comments mark what comes from the manual alone.

HTCondor reads a submit description, not a script: ``#CONDOR`` lines of a script hold it, and it runs the script. The
schedd keeps a copy of the script until its jobs have left the queue, and sends it to the nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jobclusters.dialects.base import (
    ACCOUNT,
    JOB_CPU,
    Dialect,
    Reply,
    amount,
    intern_statuses,
    iter_lines,
    ranges,
    split_for_commands,
)
from jobclusters.dialects.large_json import parts
from jobclusters.errors import InvalidRequest, Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword, Read, Shared
from jobclusters.spec.reader import Reader
from jobclusters.spec.units import parse_memory, read_timeout
from jobclusters.state import JobState, JobStatus

#: HTCondor has no queues: discover calls all its machines by this name.
POOL = "pool"
#: A job that waits for this waits for ever.
NO_MACHINE = "no machine of the pool can run it"
#: The reason of a job that no free machine fits: it may be one that no machine at all fits.
_NO_MATCH = "no match found"
#: The reasons of the negotiator, LastRejMatchReason: whole, or as they begin. All but the first are from its source.
_MEANINGS = {
    _NO_MATCH: "no free machine fits it",
    "submitter limit exceeded": "you use as much of the pool as your share allows",
    "PREEMPTION_REQUIREMENTS == False": "the machines that fit it run jobs of others",
    "concurrency limit": "as many jobs use what it asks for as may",
}

#: https://htcondor.readthedocs.io/en/latest/classad-attributes/job-classad-attributes.html, JobStatus
_PENDING, _RUNNING, _REMOVED, _COMPLETED, _HELD, _TRANSFERS, _SUSPENDED = range(1, 8)
_STATES: Mapping[object, JobState] = {
    _PENDING: JobState.PENDING,
    _RUNNING: JobState.RUNNING,
    _REMOVED: JobState.COMPLETING,  # its processes may still be going
    _TRANSFERS: JobState.COMPLETING,  # read: its output is on its way
    _SUSPENDED: JobState.RUNNING,  # read
}
#: The same page, HoldReasonCode: a user's, one at the submission, and (read) a wait for the job's files.
_WAITS = frozenset({1, 15, 16})
_HELD_AS: Mapping[object, JobState] = {
    21: JobState.OUT_OF_MEMORY,  # with 102, the policy HOLD_IF_MEMORY_EXCEEDED; else the node's own rule
    34: JobState.OUT_OF_MEMORY,  # read
    46: JobState.TIMEOUT,
    47: JobState.TIMEOUT,
}
_MEMORY_RULE = 102

_ATTRIBUTES = (
    *("ClusterId", "ProcId", "JobStatus", "HoldReasonCode", "HoldReasonSubCode", "HoldReason", "LastRejMatchReason"),
    *("NumShadowStarts", "NumJobReconnects", "JobCurrentReconnectAttempt", "RemoteHost", "LastRemoteHost"),
    *("ExitCode", "ExitBySignal", "ExitSignal", "RemoveReason", "LastJobStatus", "QDate", "JobCurrentStartDate"),
    *("EnteredCurrentStatus", "JobclustersName", "Owner"),
)
_ASKED = ("-json", "-attributes", ",".join(_ATTRIBUTES))
_SUBMITTED = re.compile(r"(\d+)\.(\d+) - (\d+)\.(\d+)")
_SENTENCE = re.compile(r"(\d+) job\(s\) submitted to cluster (\d+)\.")
_LINE = re.compile(r"^#CONDOR[ \t]+(\+?[A-Za-z][\w.]*)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"\+?[A-Za-z][\w.]*\s*=.*[^\\]|\+?[A-Za-z][\w.]*\s*=")
#: Keys whose values are joined if there are several; of others the last counts.
_JOINED = {"requirements": "&&", "periodic_remove": "||", "periodic_hold": "||"}
#: HTCondor has no variables for these.
_VARIABLES = {
    "JOBCLUSTERS_JOB_ID": "$(ClusterId).$(ProcId)",
    "JOBCLUSTERS_PROC_ID": "$(ProcId)",
    "JOBCLUSTERS_STARTS": "$$([NumJobStarts])",
    "JOBCLUSTERS_SUBMIT_DIRECTORY": "$$([Iwd])",
}


def _size(read: Reader, key: str) -> int | None:
    value = read.asked.get(key)
    if value in (None, ""):
        return None
    try:
        return parse_memory(value)
    except ValueError:
        read.problems.append(f"{key}={value!r} can't be read: write it like '10 GB'")
        return None


def _seconds(default: int) -> Read:
    """Make a reader of a time in seconds."""

    def read_seconds(read: Reader, key: str) -> int:
        value = read.asked.get(key)
        if value in (None, ""):
            return default
        try:
            return max(1, round(read_timeout(key, value) or 0))
        except InvalidRequest as error:
            read.problems += error.problems
            return default

    return read_seconds


class Htcondor(Dialect):
    """HTCondor's commands.

    Parameters
    ----------
    submit_extra, cancel_extra
        More words of condor_submit and condor_rm. Those that name a schedd or a pool are for all commands.
    """

    name = "htcondor"
    title = "HTCondor"
    prefix = "HTCondor"
    example = 'worker_size="large", disk="10 GB", walltime="02:00:00"'
    probe = "condor_submit"
    directive = "#CONDOR"
    dashes = False
    aliases = MappingProxyType(
        {
            "RequestCpus": "request_cpus",
            "RequestMemory": "request_memory",
            "RequestDisk": "request_disk",
            "Output": "output",
            "Error": "error",
            "Stream_Output": "stream_output",
            "Stream_Error": "stream_error",
        }
    )
    clock = "seconds, MM:SS"
    unlimited = True
    keywords = (
        replace(ACCOUNT, spot=True),
        JOB_CPU,
        Keyword("disk", "str or int", "Disk of a job, such as ``10 GB``.", read=_size, shared=Shared.ALL),
        Keyword(
            "lease_duration",
            "str or int",
            "How long HTCondor waits for a node that doesn't answer before the job starts on another one.",
            default="60 s",
            read=_seconds(60),
            shared=Shared.ALL,
        ),
        Keyword(
            "vacate_time",
            "str or int",
            "How long a cancelled job may go on after its TERM.",
            default="30 s",
            read=_seconds(30),
            shared=Shared.ALL,
        ),
        Keyword(
            "submit_command_extra",
            "list of str",
            "More words of ``condor_submit``; ``-name`` and ``-pool`` are for the other commands, too.",
            read=Reader.texts,
            shared=Shared.ALL,
        ),
        Keyword(
            "cancel_command_extra",
            "list of str",
            "More words of ``condor_rm``.",
            read=Reader.texts,
            shared=Shared.ALL,
        ),
    )
    command_keywords = ("submit_command_extra", "cancel_command_extra")
    job_name_rule = (r"[^\s\"'\\$]+", "letters, digits and signs, but no spaces, quotes, backslashes and $")
    output_placeholders = "$"
    output_options = ("output", "error")
    output_fields = r"\$\w*\([^()]*\)"
    job_variable = "JOBCLUSTERS_JOB_ID"
    index_variable = "JOBCLUSTERS_PROC_ID"
    # Users set _CONDOR_... to change their configuration, but not in a job.
    set_in_jobs = ("_CONDOR_*", "BATCH_SYSTEM", "CUDA_VISIBLE_DEVICES", "JOBCLUSTERS_JOB_ID", "JOBCLUSTERS_PROC_ID")
    inside_job_variables = ("_CONDOR_JOB_AD",)
    largest_array = 20_000  # MAX_JOBS_PER_SUBMISSION, unless a site changes it
    needs_file = True
    keeps_failed_jobs = True
    never = frozenset({NO_MACHINE})
    limit_words = ("would exceed MAX_JOBS_PER_OWNER", "would exceed MAX_JOBS_SUBMITTED")
    array_words = ("would exceed MAX_JOBS_PER_SUBMISSION",)
    outage_words = (
        "SECMAN:",
        "AUTHENTICATE:",
        "CEDAR:",
        "Can't find address",
        "Failed to connect",
        "Failed to fetch ads",
        "Could not fetch startd ads",
        "communication error",
    )

    def __init__(self, submit_extra: Sequence[str] = (), cancel_extra: Sequence[str] = ()) -> None:
        self._submit_extra = tuple(submit_extra)
        self._cancel_extra = tuple(cancel_extra)
        pairs = zip(self._submit_extra, self._submit_extra[1:], strict=False)
        self._where = tuple(word for pair in pairs if pair[0] in ("-name", "-pool") for word in pair)

    def configured(self, options: Mapping[str, Any]) -> Htcondor:
        """Take over more words for the commands."""
        return Htcondor(options.get("submit_command_extra") or (), options.get("cancel_command_extra") or ())

    def written(self, directives: object) -> object:
        """Write a mapping as HTCondor does: ``key = value``."""
        if isinstance(directives, Mapping):
            return [f"{key} = {value}" for key, value in directives.items()]
        return directives

    def add_options(self, spec: JobSpec, read: Reader, sized: bool) -> JobSpec:
        """Replace the first line that dask-jobqueue has, which is that of a submit description."""
        spec = super().add_options(spec, read, sized)
        return replace(spec, shebang="#!/usr/bin/env bash") if "condor_submit" in spec.shebang else spec

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Refuse what would be another line of a submit description, or a macro in one."""
        for line in spec.directives:
            if not _DIRECTIVE.fullmatch(line):
                yield (
                    f"job_extra_directives: {line!r} is no 'key = value' of a submit description; a mapping will do,"
                    " too, like {'+ProjectName': '\"physics\"'}"
                )
            elif line.partition("=")[0].strip().lower() in ("executable", "copy_to_spool"):
                yield f"job_extra_directives: {line!r}: the script is the executable; job_script_prologue adds to it"
        for key, value in (("account", spec.options["account"]), ("gpu_type", spec.gpu_type)):
            if value is not None and "$" in value:
                yield f"{key}={value!r} can't hold $: HTCondor puts something else in its place"

    def remarks(self, spec: JobSpec) -> Iterable[str]:
        """Warn that there are no queues."""
        if spec.queue not in (None, POOL):
            yield f"HTCondor has no queues: queue={spec.queue!r} is left out. account= or requirements choose machines."

    version_argv = ("condor_version",)
    queues_argv = ("condor_status", "-limit", "1", "-af", "Machine")
    #: The address of the schedd, which gives the ids.
    identity_argv = ("condor_q", "-totals")
    identity_pattern = r"^-- Schedd: .* : <([^?>]+)"

    def parse_queues(self, reply: Reply) -> list[str]:
        """Give the only name that there is."""
        return [POOL]

    def own_memory(self, spec: JobSpec) -> int:
        """Read ``request_memory``."""
        asked = self.all_requests(spec.directives)
        return amount(asked.get("request_memory", asked.get("requestmemory", "")), "m")

    def submit_argv(self, count: int) -> list[str]:
        """Call condor_submit, which reads a submit description from standard input; ``-terse`` prints the ids alone."""
        return ["condor_submit", "-terse", *self._submit_extra]

    def submit_file_argv(self, count: int, path: str, script: str) -> list[str]:
        """Call condor_submit: the submit description names the file."""
        return self.submit_argv(count)

    def description(self, count: int, path: str, script: str) -> str:
        """Make the submit description from the script's directives: the script is the executable.

        The user's environment gets the ids of the job, for HTCondor has no variables for them.
        """
        lines: dict[str, tuple[str, str]] = {}
        for key, value in _LINE.findall(script):
            name = re.sub(r"^(\+|my\.)", "+", key.lower())
            joint = _JOINED.get(name)
            before = lines.get(name, ("", ""))[1] if joint else ""
            lines[name] = (key, f"({before}) {joint} ({value})" if before and value else value)
        environment = _environment(lines.pop("environment", ("", ""))[1])
        text = "".join(f"{key} = {value}\n" for key, value in lines.values())
        return f"executable = {path}\n{text}environment = {environment}\nqueue {count}\n"

    def precheck_argv(self, script: str) -> tuple[str, ...]:
        """Try the submit description: a misspelt key is only a warning of a submission, whose jobs would be there."""
        return ("condor_submit", *self._submit_extra, "-dry-run", "/dev/null", "-")

    def precheck_input(self, script: str) -> str:
        """Give the same text for all submissions of like jobs: names are replaced."""
        name = re.search(r'^#CONDOR MY\.JobclustersName = "(.*)"$', script, re.MULTILINE)
        return self.description(1, "/bin/sh", script.replace(name[1], "name") if name else script)

    def parse_precheck(self, reply: Reply) -> str:
        """Read the warning; errors are for the submission to say."""
        found = re.findall(r"the line '(.*)' was unused by condor_submit", reply.err)
        return f"condor_submit doesn't know what is meant by: {'; '.join(found)}" if found else ""

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``7.0 - 7.4`` from the last such line, or what a wrapper without ``-terse`` prints."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if match := _SUBMITTED.fullmatch(line.strip()):
                return [f"{match[1]}.{proc}" for proc in range(int(match[2]), int(match[4]) + 1)]
            if match := _SENTENCE.fullmatch(line.strip()):
                return [f"{match[2]}.{proc}" for proc in range(int(match[1]))]
        raise Unavailable(f"condor_submit printed no job id: {reply.words!r}")

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call condor_rm with ranges; it removes no other user's jobs. The main process gets a TERM."""
        clusters: dict[str, list[int]] = {}
        for job_id in ids:
            cluster, _, proc = job_id.partition(".")
            clusters.setdefault(cluster, []).extend([int(proc)] if proc else [])
        terms = []
        for cluster, procs in clusters.items():
            for run in ranges(procs) or [""]:
                first, _, last = run.partition("-")
                within = f" && ProcId >= {first} && ProcId <= {last or first}" if run else ""
                terms.append(f"(ClusterId == {cluster}{within})")
        rm = ["condor_rm", *self._where, *self._cancel_extra, "-constraint"]
        return [[*rm, " || ".join(part)] for part in split_for_commands(terms)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call condor_q for whole clusters of jobs."""
        return ["condor_q", *self._where, *_ASKED, *dict.fromkeys(job_id.partition(".")[0] for job_id in ids)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call condor_q by the attribute of the template, and the owner."""
        return [
            "condor_q",
            *self._where,
            *_ASKED,
            "-constraint",
            f'JobclustersName == "{job_name}" && Owner == "{user}"',
        ]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read condor_q's JSON; it prints nothing at all if there are no such jobs."""
        if not reply.ok or self.silent(reply):
            raise Unavailable(reply.sentence())
        return intern_statuses((_id(job), _status(job)) for job in self._jobs(reply))

    def _jobs(self, reply: Reply) -> Iterator[Mapping[str, Any]]:
        """Read the attributes of each job."""
        if not reply.out.strip():
            return
        try:
            for _, job in parts(f'{{"jobs": {reply.out}}}', "jobs"):
                job["id"] = f"{int(job['ClusterId'])}.{int(job['ProcId'])}"
                yield job
        except (ValueError, TypeError, LookupError) as error:
            raise Unavailable(f"{' '.join(reply.argv)} printed what can't be read: {error}") from None

    def reasons_argv(self, states: Mapping[str, JobStatus]) -> list[str]:
        """Ask which of the user's jobs would fit no machine, were they all free. Of an array one job has the reason."""
        unmatched = any(status.reason == _NO_MATCH for status in states.values())
        return ["condor_q", *self._where, "-unmatchable", "-af:j", "JobStatus"] if unmatched else []

    def parse_reasons(self, reply: Reply) -> dict[str, str]:
        """Read ``104.0 1``."""
        return {line.split()[0]: NO_MACHINE for line in iter_lines(reply.out) if line.strip()} if reply.ok else {}

    def stuck_argv(self, ids: Sequence[str]) -> list[str]:
        """Ask nothing more: the states have the reasons."""
        return []

    def detail_argv(self, job_id: str) -> list[str]:
        """Call condor_history, which knows jobs that have left the queue."""
        return ["condor_history", *self._where, *_ASKED, "-limit", "1", job_id]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read condor_history's JSON: an empty array if it doesn't know the job."""
        if not reply.ok:
            return None
        try:
            (job,) = self._jobs(reply)
        except (Unavailable, ValueError):
            return None
        return _status(job, left=True)

    def all_requests(self, directives: Iterable[str]) -> dict[str, str]:
        """Read ``output = x``, where capitals count as small letters."""
        pairs = (line.partition("=") for line in directives)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the numbers of the cluster and the process, each of which has two names."""
        cluster, _, process = job_id.partition(".")
        numbers = {"ClusterId": cluster, "Cluster": cluster, "ProcId": process, "Process": process}
        return {f"$({name})": number for name, number in numbers.items()}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template does."""
        return [f"{log_directory or '.'}/{job_name}-{job_id}.{end}" for end in ("out", "err")]


def _environment(own: str) -> str:
    """Add our variables to the user's, which are quoted in the new syntax, and separated by ; in the old one."""
    if own and not own.startswith('"'):
        return ";".join([own, *(f"{name}={value}" for name, value in _VARIABLES.items())])
    inner = own[1:].removesuffix('"')
    ours = " ".join(f"{name}='{value}'" for name, value in _VARIABLES.items())
    return f'"{inner} {ours}"' if inner else f'"{ours}"'


def _id(job: Mapping[str, Any]) -> str:
    return str(job["id"])


def _status(job: Mapping[str, Any], *, left: bool = False) -> JobStatus:
    """Read a job's attributes; ``left`` is whether it has left the queue."""
    status = JobStatus(
        state=_STATES.get(job.get("JobStatus"), JobState.UNKNOWN),
        node=str(job.get("RemoteHost") or job.get("LastRemoteHost") or "").rpartition("@")[2],
        submitted=_date(job.get("QDate")),
        restarts=_restarts(job),
    )
    held = _held(job)
    if job.get("JobStatus") == _COMPLETED or (left and job.get("LastJobStatus") == _COMPLETED):
        return _ended(job, status)
    if left or job.get("JobStatus") == _HELD:
        ended = _date(job.get("EnteredCurrentStatus"))
        if left and not held:
            return replace(status, state=_removed(job), reason=_words(job.get("RemoveReason")), ended=ended)
        if job.get("HoldReasonCode") in _WAITS:
            return replace(status, state=JobState.CANCELLED if left else JobState.PENDING, reason=held)
        return replace(status, state=_held_as(job), reason=held, ended=ended)
    if held and status.state is JobState.RUNNING:  # it is about to be held, and has its grace
        return replace(status, state=JobState.COMPLETING, reason=held)
    if status.state is JobState.PENDING:
        reason = _words(job.get("LastRejMatchReason")).strip()
        return replace(status, reason=reason, meaning=_meaning(reason), node="")
    return status


def _meaning(reason: str) -> str:
    return next((words for begin, words in _MEANINGS.items() if reason.startswith(begin)), "")


def _restarts(job: Mapping[str, Any]) -> int:
    """Count the starts but the first; a schedd that starts anew finds its jobs again, which is no start."""
    found = (job.get("NumShadowStarts"), job.get("NumJobReconnects"))
    starts, reconnects = (each if isinstance(each, int) else 0 for each in found)
    underway = job.get("JobCurrentReconnectAttempt") is not None
    return max(0, starts - reconnects - underway - (job.get("JobStatus") != _PENDING))


def _held(job: Mapping[str, Any]) -> str:
    """Give the reason why a job is held, or about to be; "" if it isn't."""
    if not isinstance(job.get("HoldReasonCode"), int):
        return ""
    return re.sub(r"^Error from \S+: ", "", _words(job.get("HoldReason"))) or f"held, code {job['HoldReasonCode']}"


def _held_as(job: Mapping[str, Any]) -> JobState:
    code = job.get("HoldReasonCode")
    if code == 21 and job.get("HoldReasonSubCode") != _MEMORY_RULE:
        return JobState.FAILED
    return _HELD_AS.get(code, JobState.FAILED)


def _ended(job: Mapping[str, Any], status: JobStatus) -> JobStatus:
    code = job.get("ExitCode") if isinstance(job.get("ExitCode"), int) else None
    signal = job.get("ExitSignal") if isinstance(job.get("ExitSignal"), int) else None
    return replace(
        status,
        state=JobState.COMPLETED if code == 0 else JobState.FAILED,
        exit_code=code,
        signal=signal,
        started=_date(job.get("JobCurrentStartDate")),
        ended=_date(job.get("EnteredCurrentStatus")),
    )


def _removed(job: Mapping[str, Any]) -> JobState:
    """Read who removed a job: a user, or rules of the template (a running job for its walltime, or an evicted one)."""
    if "PeriodicRemove" not in _words(job.get("RemoveReason")):
        return JobState.CANCELLED
    return JobState.PREEMPTED if job.get("LastJobStatus") == _PENDING else JobState.TIMEOUT


def _words(value: object) -> str:
    return value if isinstance(value, str) else ""


def _date(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value) if isinstance(value, int) and value > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
