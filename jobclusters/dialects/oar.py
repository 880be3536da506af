"""OAR, from 2.5 on. Manuals: oarsub(1), oarstat(1), oardel(1), https://oar.readthedocs.io.

tests/replies/oar/ holds replies of 2.6.1. Its commands ask a database, and are setuid: their caller can't kill them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from jobclusters.dialects.base import (
    ACCOUNT,
    Dialect,
    Reply,
    intern_statuses,
    iter_lines,
    number,
    split_for_commands,
)
from jobclusters.dialects.large_json import parts
from jobclusters.errors import QueueError, Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword, Options, Shared
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

#: How an ended job ended is in its full answer alone: Terminated has any exit code, Error any other reason.
_STATES = {
    "Waiting": JobState.PENDING,
    "Hold": JobState.PENDING,
    "toLaunch": JobState.PENDING,
    "Launching": JobState.PENDING,
    "toAckReservation": JobState.PENDING,
    "Running": JobState.RUNNING,
    "Suspended": JobState.RUNNING,
    "Resuming": JobState.RUNNING,
    "Finishing": JobState.COMPLETING,
    "toError": JobState.COMPLETING,
    "Terminated": JobState.FAILED,
    "Error": JobState.FAILED,
}
#: The letters of oarstat's table: L is toLaunch, too, S Resuming, E toError.
_LETTERS = {
    "W": JobState.PENDING,
    "H": JobState.PENDING,
    "L": JobState.PENDING,
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,
    "F": JobState.COMPLETING,
    "T": JobState.FAILED,
    "E": JobState.FAILED,
}
#: Events of a job in state Error: the first of these decides.
_ENDINGS = {
    "BESTEFFORT_KILL": JobState.PREEMPTED,
    "WALLTIME": JobState.TIMEOUT,
    "FRAG_JOB_REQUEST": JobState.CANCELLED,
}
#: Events that explain no end.
_STEPS = re.compile(r"SWITCH_INTO_|SEND_KILL_JOB|SIG|CHECKPOINT|SCHEDULER_PRIORITY_|RESUBMIT_JOB_")
_SUBMITTED = re.compile(r"^OAR_JOB_ID=(\d{1,18})\s*$", re.MULTILINE)
_ROW = re.compile(r"(\d{1,18})\s+(\S)\s+\S+\s+\S+\s*(.*)")
_HEADING = re.compile(r"Job id |-{9} |\s*$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: An error of the database, which oarstat prints without failing.
_DATABASE = ("DBD::", "DBI ")
#: The signal with which the job scripts end after they got it as a warning.
_WARNING = 12
#: A time, in seconds, that OAR never gives: its database takes none beyond.
_NEVER = 2**31
#: Waiting jobs that are asked why: they wait for the same.
_MOST_WAITING = 20
#: The property of dask-jobqueue's programs that have none.
_NO_PROPERTY = "not_applicable"


def _property(read: Reader, key: str) -> str | None:
    """Read the name of a property: it goes into SQL."""
    name = read.text(key)
    if name is not None and not _NAME.fullmatch(name):
        read.problems.append(f"{key}={name!r} is no name of a property: `oarnodes` lists them")
        return None
    return name


def _text(value: object) -> str:
    """Quote a text for SQL.

    >>> _text("it's")
    "'it''s'"
    """
    return "'" + str(value).replace("'", "''") + "'"


class Oar(Dialect):
    """OAR's commands."""

    name = "oar"
    title = "OAR"
    prefix = "OAR"
    example = 'worker_size="large", queue="default", memory_per_core_property_name="memcore", walltime="02:00:00"'
    probe = "oarsub"
    directive = "#OAR"
    aliases = MappingProxyType(
        {
            "-n": "--name",
            "-l": "--resource",
            "-p": "--property",
            "-q": "--queue",
            "-t": "--type",
            "-O": "--stdout",
            "-E": "--stderr",
        }
    )
    output_options = ("--stdout", "--stderr")
    output_fields = r"%\w+%"
    attached_values = False
    asks = MappingProxyType({"--name": "name", "--queue": "queue"})
    adds = frozenset({"-t", "--type"})
    clock = "hours, HH:MM"
    needs_file = True
    keywords = (
        ACCOUNT,
        Keyword(
            "resource_spec",
            "str",
            "What follows ``-l``, instead of our request for cores or GPUs; a walltime in it wins.",
            read=Reader.text,
            shape=True,
        ),
        Keyword(
            "memory_per_core_property_name",
            "str",
            "The property with the memory of a core in MiB, such as ``memcore`` (``oarnodes``), by which memory is"
            " requested; ``not_applicable`` where there is none.",
            read=_property,
            shared=Shared.ALL,
        ),
        Keyword(
            "gpu_property",
            "str",
            "The property by which GPUs are asked for.",
            default="``gpu``",
            read=_property,
            shared=Shared.GROUPS,
        ),
        Keyword(
            "gpu_type_property",
            "str",
            "The property with a GPU's type, such as ``gpu_model``.",
            read=_property,
            shared=Shared.GROUPS,
        ),
    )
    job_name_rule = ("[A-Za-z0-9_.][A-Za-z0-9_.-]*", "letters, digits and _ . - (and begins with no -)")
    output_placeholders = "%'\\"
    job_variable = "OAR_JOB_ID"
    index_variable = "OAR_ARRAY_INDEX"
    first_index = 1
    warnings = "USR2"  # --checkpoint
    excludes = False
    set_in_jobs = ("OAR_*", "OARDO_*", "OARDIR", "OARUSER", "OARCONFFILE", "OARXAUTHLOCATION")
    inside_job_variables = ("OAR_JOB_ID",)
    brief = True
    successor_delay = 2.0
    outage_words = (
        "DBI connect",
        "DB connection error",
        "server closed the connection",
        "terminating connection",
        "cannot connect to executor",
        "Could not connect to the socket",
    )

    def add_options(self, spec: JobSpec, read: Reader, sized: bool) -> JobSpec:
        """Compose what is asked for: OAR takes one ``-l``, and of several ``-p`` the last."""
        spec = super().add_options(spec, read, sized)
        options = dict(spec.options)
        skips = any(_option(entry) == "--resource" for entry in spec.directives_skip)
        requests = [] if skips else [line for line in spec.directives if _option(line) == "--resource"]
        if len(requests) > 1:
            read.problems.append("job_extra_directives= has several -l, which OAR takes for alternatives: give one")
        resources = _value(requests[0]) if requests else options["resource_spec"] or ""
        if spec.walltime is not None:  # which has been read from it
            resources = _WALLTIME.sub("", resources)
        ours = f"{options['gpu_property'] or 'gpu'}={spec.gpus}" if spec.gpus else f"core={spec.cores}"
        own = [line for line in spec.directives if _option(line) == "--property"]
        conditions = [_value(own[-1])] if own else []
        memory_property = options["memory_per_core_property_name"]
        if memory_property not in (None, _NO_PROPERTY):
            conditions.append(f"{memory_property}>={-(-spec.memory // (spec.cores * 2**20))}")
        if spec.gpu_type is not None and options["gpu_type_property"] is not None:
            conditions.append(f"{options['gpu_type_property']}={_text(spec.gpu_type)}")
        if own and len(conditions) > 1:
            conditions[0] = f"({conditions[0]})"
        options |= {
            "resources": resources or f"/nodes=1/{ours}",
            "properties": " AND ".join(conditions) or None,
            "checkpoint": _checkpoint(spec.walltime),
        }
        directives = tuple(line for line in spec.directives if line not in (*own, *requests))
        return replace(spec, directives=directives, options=Options(**options))

    def _kinds(self, option: str, value: str) -> Iterator[tuple[str, str]]:
        """Read the walltime behind the resources, ``-l core=2,walltime=1:00``."""
        yield from super()._kinds(option, value)
        if option == "--resource" and (walltime := _WALLTIME.search(value)):
            yield "walltime", walltime[1]

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Require the site's name of a GPU's type."""
        if spec.gpu_type is not None and not (spec.options["gpu_type_property"] or spec.options["resource_spec"]):
            yield (
                f"gpu_type={spec.gpu_type!r}: say by gpu_type_property= in which property the site has it (`oarnodes`),"
                " or set it for all as jobqueue.oar.gpu-type-property"
            )

    def remarks(self, spec: JobSpec) -> Iterable[str]:
        """Warn that memory isn't asked for."""
        if spec.options["memory_per_core_property_name"] is None:
            yield (
                "Jobs ask for cores, and for no memory: say by memory_per_core_property_name= which property has the"
                " memory of a core (`oarnodes` lists them), or 'not_applicable' if none has, or set it for all as"
                " jobqueue.oar.memory-per-core-property-name."
            )

    version_argv = ("oarsub", "--version")

    def submit_argv(self, count: int) -> list[str]:
        """Call oarsub; it reads no script from standard input."""
        return ["oarsub", *(["--array", str(count)] if count > 1 else [])]

    def submit_file_argv(self, count: int, path: str, script: str) -> list[str]:
        """Call oarsub with the directives as options, and the script itself: a job reads a file only as it starts.

        The user's login shell runs it, whatever its first line is; that one hands it over.
        """
        lines = script.splitlines()
        directives = [line[len(self.directive) :] for line in lines if line.startswith(f"{self.directive} ")]
        shell = lines[0].removeprefix("#!").strip() if lines and lines[0].startswith("#!") else "/bin/sh"
        options = [word for line in directives for word in shlex.split(line)]
        return [*self.submit_argv(count), *options, f"exec {shell} -c {shlex.quote(script)}"]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read the lines ``OAR_JOB_ID=12``, behind those of admission rules.

        A job may be there although oarsub failed, and it may yet run.
        """
        ids = sorted(_SUBMITTED.findall(reply.out), key=int)
        if ids and not (reply.ok and len(ids) == count):
            raise Unavailable(f"{_short(reply).sentence()} (it printed {len(ids)} of {count} job ids)")
        if not reply.ok:
            raise self.failure(reply)
        if not ids:
            raise Unavailable(f"oarsub printed no job id: {reply.words!r}")
        return ids

    def failure(self, reply: Reply) -> QueueError:
        """Make the error, without the script in the command."""
        return super().failure(_short(reply))

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call oardel: it notes the jobs, and some seconds later they are killed, without a TERM."""
        return [["oardel", *part] for part in split_for_commands(ids)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call oarstat for the states alone: all there is to know of a thousand jobs takes it half a minute."""
        return ["oarstat", "-s", "-J", *(word for job_id in ids for word in ("-j", job_id))]

    def reasons_argv(self, states: Mapping[str, JobStatus]) -> list[str]:
        """Call oarstat for the table of the waiting jobs: its last column says why."""
        waiting = [job_id for job_id, status in states.items() if status == _WAITING][:_MOST_WAITING]
        return ["oarstat", "--format", "2", "--sql", f"job_id in ({', '.join(waiting)})"] if waiting else []

    def parse_reasons(self, reply: Reply) -> dict[str, str]:
        """Read the messages, but for what a job asks for and when it may start: ``R=2,W=0:20:0,J=B (Karma=0.000)``."""
        rows = (_ROW.match(line) for line in iter_lines(reply.out if reply.ok else ""))
        return {row[1]: row[3].strip() for row in rows if row is not None and not row[3].startswith("R=")}

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call oarstat for its table, which is quick, too; the database knows ended jobs for ever."""
        return ["oarstat", "--format", "2", "--sql", f"job_name = {_text(job_name)} and job_user = {_text(user)}"]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read ``{"12": "Running"}``; unknown jobs are left out."""
        return intern_statuses((job_id, _status(word)) for job_id, word in objects(reply))

    def parse_find(self, reply: Reply, job_name: str, user: str) -> dict[str, JobStatus]:
        """Read oarstat's table; it prints nothing if there are no jobs."""
        _check(reply)
        found = {}
        for line in iter_lines(reply.out):
            row = _ROW.match(line)
            if row is None and not _HEADING.match(line):
                raise Unavailable(f"{_command(reply)} printed what can't be read: {line[:200]!r}")
            if row is not None:
                found[row[1]] = JobStatus(_LETTERS.get(row[2], JobState.UNKNOWN))
        return found

    def successors_argv(self, ids: Sequence[str]) -> list[str]:
        """Ask for the jobs that OAR has submitted again with a new id, as they failed to start, or were preempted."""
        return ["oarstat", "-J", "--sql", f"resubmit_job_id in ({', '.join(ids)})"]

    def parse_successors(self, reply: Reply) -> dict[str, str]:
        """Read ``resubmit_job_id``; oarstat prints nothing if there are no jobs."""
        _check(reply)
        if not reply.out.strip():
            return {}
        found = {job_id: job.get("resubmit_job_id") for job_id, job in objects(reply) if isinstance(job, dict)}
        return {str(old): new for new, old in found.items() if isinstance(old, int) and 0 < old < int(new)}

    def details_argv(self, ids: Sequence[str]) -> list[str]:
        """Call oarstat for all there is to know."""
        return ["oarstat", "-J", *(word for job_id in ids for word in ("-j", job_id))]

    def parse_details(self, reply: Reply) -> dict[str, JobStatus]:
        """Read a JSON object for each job."""
        return {job_id: _detailed(job) for job_id, job in objects(reply) if isinstance(job, dict)}

    def detail_argv(self, job_id: str) -> list[str]:
        """Call oarstat for one job."""
        return self.details_argv([job_id])

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read the only job."""
        with suppress(Unavailable):
            found = [*self.parse_details(reply).values()]
            return found[0] if len(found) == 1 else None
        return None

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the id, which each element has of its own, and the name."""
        return {"%jobid%": job_id, "%jobname%": job_name}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``-O`` and ``-E``, or oarsub's defaults."""
        if log_directory is None:
            return [f"OAR.{job_name}.{job_id}.{stream}" for stream in ("stdout", "stderr")]
        return [f"{log_directory}/{job_name}-{job_id}.{stream}" for stream in ("out", "err")]


#: The part of OAR that wrote down an event.
_MODULE = re.compile(r"^\[\w+(?: \d+)?\] ")
_WAITING = JobStatus(JobState.PENDING)
_WALLTIME = re.compile(r"(?:^|,)\s*walltime\s*=\s*([\d:]+)")


def objects(reply: Reply) -> Iterator[tuple[str, Any]]:
    """Read the JSON objects of jobs or resources, by their number; raise Unavailable if there are none."""
    _check(reply)
    if not reply.out.lstrip().startswith("{"):
        raise Unavailable(f"{_command(reply)} printed what can't be read: {reply.out[:200]!r}")
    try:
        for key, value in parts(f'{{"all": {reply.out}}}', "all"):
            yield _numbered(key), value
    except ValueError as error:
        raise Unavailable(f"{_command(reply)} printed what can't be read: {error}") from None


def _check(reply: Reply) -> None:
    if not reply.ok or any(words in reply.err for words in _DATABASE):
        raise Unavailable(reply.sentence())


def _numbered(key: str) -> str:
    if number(key) is None:
        raise ValueError(f"{key[:80]!r} is no number")
    return key


def _command(reply: Reply) -> str:
    return " ".join(reply.argv[:4])


def _short(reply: Reply) -> Reply:
    """Leave the script out of oarsub's command."""
    return replace(reply, argv=tuple("..." if "\n" in word else word for word in reply.argv))


def _option(line: str) -> str:
    """Name the long form of a directive's option."""
    option = re.split(r"[\s=]", line.strip().removeprefix(Oar.directive).strip(), maxsplit=1)[0]
    return Oar.aliases.get(option, option)


def _value(line: str) -> str:
    """Read the value of a directive, without its quotes."""
    value = re.split(r"[\s=]", line.strip(), maxsplit=1)[1].strip()
    quoted = re.fullmatch(r"'([^']*)'|\"([^\"]*)\"", value)
    return (quoted[1] or quoted[2]) if quoted else value


def _checkpoint(walltime: timedelta | None) -> int:
    """Choose the seconds before a job's end at which it is warned: after its workers should have left by themselves."""
    return 60 if walltime is None else min(60, max(6, int(walltime.total_seconds() / 60)))


def _status(word: object) -> JobStatus:
    state = _STATES.get(str(word), JobState.UNKNOWN)
    return JobStatus(state, reason="held" if word == "Hold" else "")


def _detailed(job: Mapping[str, Any]) -> JobStatus:
    """Read all of a job; its exit code is a wait status."""
    state, reason = _STATES.get(str(job.get("state")), JobState.UNKNOWN), ""
    message = str(job.get("message") or "")
    code = job.get("exit_code") if isinstance(job.get("exit_code"), int) else None
    exit_code, signal = (None, None) if code is None else (code >> 8, code & 127)
    if job.get("state") == "Error":
        state, reason = _end(_events(job))
    elif state is JobState.FAILED and code is not None:
        state = JobState.COMPLETED if code == 0 else state
        if signal == _WARNING:
            asked = _events(job).get("CHECKPOINT", "")
            state = JobState.PREEMPTED if "(metasched)" in asked else JobState.TIMEOUT
    elif state is JobState.PENDING and not message.startswith("R="):
        reason = message
    nodes = job.get("assigned_network_address")
    return JobStatus(
        state=state,
        reason=reason,
        exit_code=None if signal else exit_code,
        signal=signal or None,
        node=str(nodes[0]) if isinstance(nodes, list) and nodes else "",
        submitted=_date(job.get("submissionTime")),
        started=_date(job.get("startTime")),
        ended=_date(job.get("stopTime")),
        estimated_start=_date(job.get("scheduledStart")) if state is JobState.PENDING else None,
    )


def _events(job: Mapping[str, Any]) -> dict[str, str]:
    """Read the descriptions of a job's events, by their type."""
    events = job.get("events")
    found = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    return {str(event.get("type")): str(event.get("description")) for event in found}


def _end(events: Mapping[str, str]) -> tuple[JobState, str]:
    """Read how a job came into the state Error."""
    known = next((name for name in _ENDINGS if name in events), None)
    name = known or next((name for name in events if not _STEPS.match(name)), None)
    if name is None:
        return JobState.FAILED, ""
    return _ENDINGS.get(name, JobState.FAILED), f"{name}: {_MODULE.sub('', events[name])}"


def _date(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds) if isinstance(seconds, int) and 0 < seconds < _NEVER else None
