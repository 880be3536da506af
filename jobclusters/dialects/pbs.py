"""PBS Professional and OpenPBS. Manuals: qsub(1B), qstat(1B), qdel(1B), qselect(1B), pbs_job_attributes(7B).

tests/replies/pbs/ holds replies of OpenPBS 23.06; comments mark what comes from the manuals alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

from jobclusters.dialects.base import (
    ACCOUNT,
    USE_STDIN,
    Beginnings,
    Dialect,
    Reply,
    amount,
    intern_statuses,
    iter_lines,
    number,
    ranges,
    split_for_commands,
)
from jobclusters.dialects.large_json import parts
from jobclusters.errors import Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

#: B, F, E, H, Q and R were seen; the others are in qstat(1B), C in TORQUE's. An array itself is always in B.
_STATES = {
    "Q": JobState.PENDING,
    "H": JobState.PENDING,  # held
    "W": JobState.PENDING,  # waits for its time
    "T": JobState.PENDING,  # on its way to another place
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,  # suspended
    "U": JobState.RUNNING,  # suspended because its machine has a user
    "E": JobState.COMPLETING,
    "X": JobState.COMPLETED,  # an array's element
    "F": JobState.COMPLETED,
    "C": JobState.COMPLETED,
}
_ID = re.compile(r"(\d+)(?:\[(\d*)\])?(\.[^\s@]+)?")
#: The attributes that are read, in small letters, as TORQUE writes them.
_READ = frozenset(
    {
        *("job_name", "job_owner", "job_state", "substate", "comment", "hold_types"),
        *("exec_host", "exit_status"),
        *("run_count", "start_count", "ctime", "stime", "start_time", "obittime", "comp_time"),
    }
)
_NO_HISTORY = "not configured to maintain job history"
#: A comment about a start or an end isn't why a job waits: it was requeued, or others of its array ran.
_BEGAN = re.compile(r"^(Job (run at|Array Began at|started on) |Subjob finished).*")


class Pbs(Dialect):
    """The commands of PBS Professional and OpenPBS."""

    name = "pbs"
    title = "PBS"
    product = "PBS Professional or OpenPBS"
    prefix = "PBS"
    example = 'worker_size="large", queue="workq", walltime="02:00:00"'
    probe = "pbsnodes"  # Grid Engine has a qsub, too
    directive = "#PBS"
    asks = MappingProxyType({"-N": "name", "-q": "queue"})
    clock = "seconds, MM:SS"
    keywords = (
        ACCOUNT,
        Keyword(
            "resource_spec",
            "str",
            "What follows ``-l``, instead of our request for cores, memory and GPUs.",
            read=Reader.text,
            shape=True,
        ),
        USE_STDIN,
    )
    job_name_rule = (r"[A-Za-z0-9][A-Za-z0-9_.+-]*", "letters, digits, and _ . + - behind the first")
    longest_job_name = 230  # 236 in some versions' manuals
    output_placeholders = "^"
    output_fields = r"\^array_index\^|\$\{?\w+\}?"
    output_hosts = True
    job_variable = "PBS_JOBID"
    index_variable = "PBS_ARRAY_INDEX"
    submit_host_variable = "PBS_O_HOST"
    submit_directory = "${PBS_O_INITDIR:-${PBS_O_WORKDIR:-.}}"  # the first is that of TORQUE's -d
    excludes = False  # "select" knows only what a node is to have
    # Here and on TORQUE. Users set the others: PBS_CONF_FILE, PBS_EXEC, PBS_SERVER, PBS_DEFAULT, PBS_ACCOUNT, ...
    set_in_jobs = (
        *("PBS_JOB*", "PBS_O_*", "PBS_ARRAY*", "PBS_QUEUE", "PBS_ENVIRONMENT", "PBS_NODE*", "PBS_TASKNUM"),
        *("PBS_MOMPORT", "PBS_NUM_*", "PBS_NP", "PBS_WALLTIME", "PBS_VNODENUM", "PBS_VERSION"),
        *("PBS_GPUFILE", "PBS_MICFILE", "PBS_TMPDIR"),
    )
    question_variables = ("PBS_QSTAT_*", "QSTAT_*")
    submit_variables = ("PBS_DPREFIX",)  # with another prefix, PBS would ignore the directives
    inside_job_variables = ("PBS_JOBID",)
    cancel_only_listed = True
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
    #: Exit statuses of jobs that PBS ended itself (-27 and -29 were seen, the others are in job.h).
    endings: ClassVar[Mapping[int, JobState]] = MappingProxyType(
        {
            -29: JobState.TIMEOUT,
            -28: JobState.TIMEOUT,  # CPU time
            -27: JobState.OUT_OF_MEMORY,
            -26: JobState.OUT_OF_MEMORY,  # virtual memory
        }
    )
    _history: ClassVar[tuple[str, ...]] = ("-x",)

    keyword_variables = MappingProxyType({"PBS_ACCOUNT": "account"})

    def _kinds(self, option: str, value: str) -> Iterator[tuple[str, str]]:
        """Read resources, ``-l select=1:ncpus=2,walltime=01:00:00``: those that say what a job gets are one kind."""
        if option != "-l":
            yield from super()._kinds(option, value)
            return
        for item in value.split(","):
            key, _, amount = item.partition("=")
            shape = key in ("select", "nodes", "ncpus")
            yield "resources" if shape else key if key == "walltime" else f"-l {key}", amount

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Take the account from ``PBS_ACCOUNT``, as dask-jobqueue does."""
        return {"account": environ["PBS_ACCOUNT"]} if environ.get("PBS_ACCOUNT") else {}

    version_argv = ("qstat", "--version")
    queues_argv = ("qstat", "-Qf")
    identity_argv = ("qstat", "-B", "-f")
    identity_pattern = r"^Server:\s*(\S+)"

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read ``Queue: workq``."""
        return re.findall(r"^Queue:\s*(\S+)", reply.out, re.MULTILINE)

    def own_memory(self, spec: JobSpec) -> int:
        """Read ``select=1:mem=8gb``, of one chunk, or ``mem=8gb``."""
        asked = self.all_requests(spec.directives)
        count, *rest = asked.get("resources", "").split(":")
        of_chunk = [word.removeprefix("mem=") for word in (count, *rest) if word.startswith("mem=")]
        several = "+" in asked.get("resources", "") or (count.isdecimal() and count != "1")
        return 0 if of_chunk and several else amount(of_chunk[-1] if of_chunk else asked.get("-l mem", ""))

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub; an array of one element isn't allowed, and never asked for."""
        return ["qsub", *(["-J", f"0-{count - 1}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``123.server`` or ``123[].server``."""
        number, _, server = self.find_id(reply, _ID).groups("")
        return [f"{number}[{i}]{server}" for i in range(count)] if count > 1 else [number + server]

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call qdel in ways that don't crash the server of OpenPBS 22.05, 23.06 and today's.

        One qdel names waiting jobs, or running jobs, or one array (if it cancels all its living elements), or one range
        or element. pbs_server crashes, for all users of the site, over waiting elements beside anything else and over
        waiting jobs beside an id that it doesn't know; or it silently keeps elements. A running job may end before qdel
        names it, so it never shares a qdel with a waiting one.
        """
        waiting: list[str] = []
        others: list[str] = []
        arrays: dict[tuple[str, str], set[int]] = {}
        living: dict[tuple[str, str], set[int]] = {}
        wanted = set(ids)
        for job_id, status in listed.items():
            number, index, server = _parts(job_id)
            if status.state.ended:
                continue
            if index:
                living.setdefault((number, server), set()).add(int(index))
            if job_id not in wanted:
                continue
            if index:
                arrays.setdefault((number, server), set()).add(int(index))
            else:
                (waiting if status.state is JobState.PENDING else others).append(job_id)
        argvs = [["qdel", *part] for some in (waiting, others) for part in split_for_commands(some)]
        for (number, server), found in arrays.items():
            whole = found == living[number, server]
            argvs += [["qdel", f"{number}[{each}]{server}"] for each in ([""] if whole else ranges(found))]
        return argvs

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qstat for whole arrays: ``-t`` lists their elements, ``-x`` ended ones, too."""
        return ["qstat", *self._history, "-t", "-f", "-F", "json", *_arrays(ids)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call qselect, which finds by name: ``-T`` lists elements, not arrays (read in its manual)."""
        return ["qselect", *self._history, "-T", "-N", job_name, "-u", user]

    def parse_find(self, reply: Reply, job_name: str, user: str) -> dict[str, JobStatus]:
        """Read qselect's ids; ``@server`` may follow."""
        if not reply.ok or self.silent(reply) or _NO_HISTORY in reply.err:
            raise Unavailable(reply.sentence())
        found = [match for word in reply.out.split() if (match := _ID.match(word))]
        return {match[0]: JobStatus(JobState.UNKNOWN) for match in found if match[2] != ""}

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read qstat's JSON. Unknown ids are an error of qstat, but information for the poller."""
        if not self._answers(reply):
            raise Unavailable(reply.sentence())
        return intern_statuses((_checked(key), self._status(job)) for key, job in self._jobs(reply) if "[]" not in key)

    def _answers(self, reply: Reply) -> bool:
        if self.silent(reply) or _NO_HISTORY in reply.err:
            return False  # qstat then prints JSON without jobs all the same
        errors = [line for line in reply.err.splitlines() if line.strip()]
        known = ("Unknown Job Id", "Job has finished")
        return reply.ok or (bool(errors) and all(any(words in line for words in known) for line in errors))

    def _jobs(self, reply: Reply) -> Iterator[tuple[str, dict[str, str]]]:
        """Give the attributes of each job, with small letters."""
        if not reply.ok and not reply.out.strip():
            return
        try:
            try:
                yield from _json_jobs(reply.out)
            except ValueError:
                yield from _json_jobs(_without_environment(reply.out))
        except (ValueError, AttributeError) as error:
            raise reply.unreadable(error) from None

    def _status(self, job: Mapping[str, str]) -> JobStatus:
        state = _STATES.get(job.get("job_state", ""), JobState.UNKNOWN)
        pending, over = state is JobState.PENDING, state.ended
        exit_code = signal = None
        if over:
            state, exit_code, signal = self._end(job)
        runs = number(job.get("run_count") or job.get("start_count") or "") or 0
        return JobStatus(
            state=state,
            reason=_reason(job) if pending else "",
            exit_code=exit_code,
            signal=signal,
            node=re.split(r"[/+:]", job.get("exec_host", ""))[0],
            submitted=_date(job.get("ctime")),
            # A running job has none: its start would reveal a rerun, whose workers have the names of the first run's,
            # as no variable of PBS counts runs.
            started=_date(job.get("stime") or job.get("start_time")) if over and "exec_host" in job else None,
            ended=_date(job.get("obittime") or job.get("comp_time")) if over else None,
            restarts=max(0, runs if pending else runs - 1),
        )

    def _end(self, job: Mapping[str, str]) -> tuple[JobState, int | None, int | None]:
        """Read how a job ended: above 256, or as in a shell 128, is a signal; PBS itself ends jobs with less than 0."""
        if not ("exec_host" in job and "exit_status" in job):  # deleted before it ran; an element shows its array's end
            return JobState.CANCELLED, None, None
        if (status := number(job["exit_status"])) is None:
            raise Unavailable(f"qstat printed an exit status that can't be read: {job['exit_status'][:80]!r}")
        if status in self.endings:
            return self.endings[status], None, None
        signal = status - 256 if status > 256 else status - 128 if 128 < status <= 128 + 64 else None
        if status == 271 or job.get("substate") == "91":  # deleted
            return JobState.CANCELLED, None, signal
        return JobState.FAILED if status else JobState.COMPLETED, None if signal else status, signal

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the index of an element."""
        return {"^array_index^": index} if (index := _parts(job_id)[1]) else {}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``-o``, or qsub's default; it appears when the job has ended."""
        number, index, _ = _parts(job_id)
        element = f".{index}" if index else ""
        return [
            f"{job_name}.o{number}{element}" if log_directory is None else f"{log_directory}/{job_name}{element}.out"
        ]

    def variant(self, reply: Reply) -> Dialect | None:
        """Stop asking for ended jobs where the server remembers none."""
        return PbsWithoutHistory() if _NO_HISTORY in reply.err else None


class PbsWithoutHistory(Pbs):
    """PBS without history: the server forgets a job as it ends, unless the site sets ``job_history_enable``."""

    _history = ()


def _reason(job: Mapping[str, str]) -> str:
    """Give the comment; a job that a user or an operator holds may have none."""
    comment = _BEGAN.sub("", job.get("comment", "")).strip()
    return comment or ("held" if job.get("hold_types", "n") not in ("n", "") else "")


def _checked(job_id: str) -> str:
    if not _ID.fullmatch(job_id):
        raise Unavailable(f"qstat printed a job id that can't be read: {job_id[:80]!r}")
    return job_id


def _parts(job_id: str) -> tuple[str, str, str]:
    [(number, index, server), *_] = _ID.findall(job_id)
    return number, index, server


def _arrays(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", job_id) for job_id in ids))


def _json_jobs(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for key, job in parts(text, "Jobs", strict=False):
        yield key, {name.lower(): str(value) for name, value in job.items() if name.lower() in _READ}


def _without_environment(text: str) -> str:
    """Remove the jobs' variables: in some versions they break the JSON."""
    kept = []
    closing = None
    for line in iter_lines(text):
        if closing is None and line.lstrip().startswith('"Variable_List":'):
            closing = line[: len(line) - len(line.lstrip())] + "}"
        if closing is None:
            kept.append(line)
        elif line.rstrip().rstrip(",") == closing:
            closing = None
    return "\n".join(kept)


@lru_cache(maxsize=4096)  # the elements of an array have the same
def _date(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%a %b %d %H:%M:%S %Y")
    except ValueError:
        return None
