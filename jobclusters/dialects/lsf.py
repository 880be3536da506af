"""IBM Spectrum LSF, and openlava. Manuals: https://www.ibm.com/docs/en/spectrum-lsf (bsub, bjobs, bkill, lsf.conf).

tests/replies/lsf/ holds replies of openlava 4.0; IBM's JSON and its texts come from the manual.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from jobclusters.dialects.base import (
    ACCOUNT,
    JOB_CPU,
    USE_STDIN,
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
from jobclusters.spec.keyword import Keyword, Options, Shared
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

#: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=jobs-job-states. PEND, PSUSP, RUN, DONE, EXIT were seen.
_STATES = {
    "PEND": JobState.PENDING,
    "PSUSP": JobState.PENDING,
    "PROV": JobState.PENDING,  # has a host that still wakes up
    "WAIT": JobState.PENDING,  # for others of its chunk
    "RUN": JobState.RUNNING,
    "USUSP": JobState.RUNNING,
    "SSUSP": JobState.RUNNING,
    "DONE": JobState.COMPLETED,
    "EXIT": JobState.FAILED,
    # Not UNKWN and ZOMBI: its host doesn't answer.
}
#: The first word of bjobs' exit_reason, where LSF ended a job (manual).
_ENDINGS = {
    "TERM_RUNLIMIT": JobState.TIMEOUT,
    "TERM_CPULIMIT": JobState.TIMEOUT,
    "TERM_DEADLINE": JobState.TIMEOUT,
    "TERM_WINDOW": JobState.TIMEOUT,
    "TERM_MEMLIMIT": JobState.OUT_OF_MEMORY,
    "TERM_SWAP": JobState.OUT_OF_MEMORY,
    "TERM_PREEMPT": JobState.PREEMPTED,
    "TERM_OWNER": JobState.CANCELLED,
    "TERM_ADMIN": JobState.CANCELLED,
    "TERM_FORCE_OWNER": JobState.CANCELLED,
    "TERM_FORCE_ADMIN": JobState.CANCELLED,
}
_FIELDS = "jobid jobindex stat exit_code exit_reason pend_reason exec_host"
#: The beginning of an event in ``bjobs -l``.
_EVENT = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8}")
#: The time of a submission, at the end of a line of ``bjobs -w``.
_SUBMITTED = re.compile(r"\w{3} \d+ \d\d:\d\d")
_GPUS = re.compile(r"^#BSUB\s+(?:.*\s)?-gpu\b", re.MULTILINE)
#: A job in ``bjobs -p``: its id, and an element's index at the end of its name.
_WAITING = re.compile(r"([0-9]+) .*?(\[[0-9]+\])? +\w{3} [ \d]\d \d\d:\d\d *$")
#: The refusal of ``-rn``, and the line.
_NO_RN = "option cannot have an argument -- r"
_RN = re.compile(r"^#BSUB -rn\n", re.MULTILINE)
#: The end of the report that LSF writes into an output file before what the job printed.
_REPORT = "The output (if any) follows:"
#: A signal that ends a job, in ``bhist -l``.
_SIGNAL = re.compile(r"Signal <(?:KILL|TERM|INT|QUIT)> requested by user or administrator <[^>]*>")
_NONE = ("is not found", "No matching job found", "No unfinished job found", "No job found")


def _unit(read: Reader, key: str) -> str | None:
    unit = read.text(key)
    if unit is not None and not re.fullmatch(r"[kmgtpez]b?", unit, re.IGNORECASE):
        read.problems.append(f"{key}={unit!r} must be one of kb, mb, gb, tb, pb, eb and zb")
        return None
    return unit


class Lsf(Dialect):
    """LSF's commands, from 10.1 on."""

    name = "lsf"
    title = "LSF"
    product = "LSF or openlava"
    prefix = "LSF"
    example = 'worker_size="large", queue="normal", walltime="02:00"'
    probe = "bsub"
    directive = "#BSUB"
    attached_values = False  # -gpu is no -g
    asks = MappingProxyType({"-W": "walltime", "-J": "name", "-q": "queue", "-oo": "-o", "-eo": "-e", "-rn": "-r"})
    adds = frozenset({"-R"})
    clock = "minutes, HH:MM"
    keywords = (
        replace(ACCOUNT, read=Reader.name),
        replace(JOB_CPU, old_names=("ncpus",)),
        Keyword(
            "mem",
            "int or str",
            "Memory to ask for, where that is another amount than the workers use.",
            default="``memory``",
            read=Reader.memory,
            shape=True,
        ),
        Keyword(
            "lsf_units",
            "str",
            "The unit in which LSF reads memory: ``kb``, ``mb``, ``gb``, ...",
            default="that of ``lsf.conf``",
            read=_unit,
            shared=Shared.ALL,
        ),
        USE_STDIN,
    )
    # A leading - would be an option of bjobs, and bjobs doesn't find a name with a leading space.
    job_name_rule = (
        r"[A-Za-z0-9_.:+=@][A-Za-z0-9_ .:+=@-]*",
        "letters, digits, spaces and _ . : + = @ - (and begins with neither space nor -)",
    )
    job_variable = "LSB_JOBID"
    index_variable = "LSB_JOBINDEX"
    submit_host_variable = "LSB_SUB_HOST"
    warnings = "INT USR2"  # by bkill, 10 s before the TERM; when the run limit is over
    first_index = 1
    set_in_jobs = ("LSB_*", "LS_*")
    set_by_users = ("LSB_DEFAULT*", "LSB_NTRIES", "LSB_API_*", "LSB_CMD_LOG*", "LSB_DEBUG_CMD")
    keyword_variables = MappingProxyType({"LSB_DEFAULTPROJECT": "account", "LSB_DEFAULTQUEUE": "queue"})
    question_variables = ("LSB_BJOBS_*", "LSB_DISPLAY_YEAR")
    submit_variables = ("BSUB_*",)  # among them: print no id, check only
    inside_job_variables = ("LSB_JOBID",)
    array_words = ("Job array index too large",)
    limit_words = ("Pending job threshold reached",)  # manual: lsb.users, MAX_PEND_JOBS
    outage_words = (
        "LIM is down",
        "not responding",
        "LSF is down",
        "Cannot connect to LSF",
        "Please wait",
        "Failed in sending/receiving",
        "Communication time out",
    )

    def add_options(self, spec: JobSpec, read: Reader, sized: bool) -> JobSpec:
        """Note also whether a directive of the user's own reserves memory: LSF allows one reservation."""
        spec = super().add_options(spec, read, sized)
        own = any(re.search(r"rusage\[[^]]*\bmem\b", line) for line in spec.directives)
        return replace(spec, options=Options(**spec.options, reserves_memory=own))

    def environment(self, environ: Mapping[str, str], script: str | None = None) -> dict[str, str]:
        """Limit the retries of commands, as far as they heed it (manual: ``LSB_NTRIES``)."""
        return {"LSB_NTRIES": "1", **super().environment(environ, script)}

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Read the unit of memory limits from lsf.conf, where dask-jobqueue looks for it."""
        directory = environ.get("LSF_ENVDIR") or environ.get("LSF_CONFDIR") or "/etc"
        units = re.findall(r"^\s*LSF_UNIT_FOR_LIMITS\s*=\s*\"?(\w+)", read(f"{directory}/lsf.conf"), re.MULTILINE)
        return {"lsf_units": units[-1].lower()} if units else {}

    version_argv = ("bsub", "-V")
    queues_argv = ("bqueues", "-w")
    identity_argv = ("lsid",)
    identity_pattern = r"^My cluster name is (\S+)"

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the first column, below a heading."""
        return [line.split()[0] for line in reply.out.splitlines()[1:] if line.strip()]

    def own_memory(self, spec: JobSpec) -> int:
        """Read the limit ``-M``, in the unit of our own."""
        return amount(self.all_requests(spec.directives).get("-M", ""), (spec.options["lsf_units"] or "kb")[0])

    def submit_argv(self, count: int) -> list[str]:
        """Call bsub; the script has the size of an array, behind the name."""
        return ["bsub"]

    def submit_file_argv(self, count: int, path: str, script: str) -> list[str]:
        """Call bsub with the directives as options: it reads none of a file. ``-Zs`` keeps a copy (manual)."""
        directives = [line[len(self.directive) :] for line in script.splitlines() if line.startswith(self.directive)]
        return ["bsub", "-Zs", *(word for line in directives for word in shlex.split(line)), path]

    def precheck_argv(self, script: str) -> tuple[str, ...]:
        """Ask for the version if the script requests GPUs: ``-gpu``, for openlava a job group, kills its mbatchd."""
        return self.version_argv if _GPUS.search(script) else ()

    def parse_precheck(self, reply: Reply) -> str:
        """Accept IBM's own: IBM Spectrum LSF, or Platform LSF."""
        if re.search(r"\bLSF\b", reply.words) and not re.search("lava", reply.words, re.IGNORECASE):
            return ""
        return (
            "GPUs were asked for by bsub's -gpu, which only IBM's LSF has: another system takes it for a job group, and"
            f" ends for all its users. `bsub -V` says: {reply.words or 'nothing'}. Ask for GPUs as this site does it,"
            " by job_extra_directives=, and leave gpus= out"
        )

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``Job <123> is submitted to default queue <normal>.``."""
        if not reply.ok:
            raise self.failure(reply)
        if match := re.search(r"^[ \t]*Job <(\d+)> is submitted", reply.out, re.MULTILINE):
            return [f"{match[1]}[{index}]" for index in range(1, count + 1)] if count > 1 else [match[1]]
        raise Unavailable(f"bsub printed no job id: {reply.words!r}")

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call bkill with ranges of elements: ``12[1-500]``. Its exit status is meaningless."""
        arrays: dict[str, list[int]] = {}
        for job_id in ids:
            number, _, index = job_id.partition("[")
            arrays.setdefault(number, []).extend([int(index.rstrip("]"))] if index else [])
        words = [f"{n}[{','.join(ranges(found))}]" if found else n for n, found in arrays.items()]
        return [["bkill", *part] for part in split_for_commands(words)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call bjobs for whole arrays; ``-a`` lists those that have ended, too."""
        return ["bjobs", "-a", "-json", "-o", _FIELDS, *_arrays(ids)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call bjobs by name; an array's name selects all its elements."""
        return ["bjobs", "-a", "-json", "-o", _FIELDS, "-u", user, "-J", job_name]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read bjobs' JSON; messages of bjobs may precede it."""
        if "{" not in reply.out:
            return _nothing(self, reply)
        try:
            # Records of unknown jobs have an ERROR instead of a STAT.
            records = parts(reply.out[reply.out.index("{") :], "RECORDS")
            states = intern_statuses(_record(record) for _, record in records if "STAT" in record)
        except (ValueError, TypeError, AttributeError) as error:
            raise reply.unreadable(repr(error)) from None
        if not states and '"RECORDS"' not in reply.out:
            raise reply.unreadable("no RECORDS")
        return states

    def detail_argv(self, job_id: str) -> list[str]:
        """Call bjobs -l: on openlava no other command prints the exit code."""
        return ["bjobs", "-l", job_id]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read sentences with line breaks inside words."""
        text = _unwrapped(reply.out)
        state = re.search(r"Status <(\w+)>", text)
        if not reply.ok or state is None or state[1] not in _STATES:
            return None
        # Only in the lines of events: the text of the job's script may hold such words, too.
        events = "\n".join(line for line in text.split("\n") if _EVENT.match(line) or line.startswith("TERM_"))
        code = re.search(r"Exited with exit code (\d+)", events)
        node = re.search(r"[Ss]tarted (?:\d+ Task\(s\) )?on (?:\d+ Hosts/Processors )?(?:Host\(s\) )?<([^>]+)>", events)
        reason = re.search(r"TERM_\w+[^.;\n]*", events)
        return _status(state[1], code[1] if code else "", reason[0] if reason else "", "", node[1] if node else "")

    def history_argv(self, job_id: str, status: JobStatus) -> list[str]:
        """Call bhist where a job failed without a reason of LSF's: openlava tells whose signal it was there alone."""
        unexplained = status.state is JobState.FAILED and not status.reason and status.exit_code is None
        return ["bhist", "-l", job_id] if unexplained else []

    def parse_history(self, reply: Reply, status: JobStatus) -> JobStatus:
        """Read ``Signal <KILL> requested by user or administrator <alice>``."""
        signal = _SIGNAL.search(_unwrapped(reply.out)) if reply.ok else None
        return replace(status, state=JobState.CANCELLED, reason=signal[0]) if signal else status

    def own_output(self, text: str) -> str:
        """Leave out the report of the job's end that precedes its output."""
        return text.rpartition(_REPORT)[2].lstrip("\n")

    def without_refused(self, script: str, words: str) -> str:
        """Leave ``-rn`` out where bsub doesn't know it: jobs aren't rerun then, unless their queue says so."""
        return _RN.sub("", script) if _NO_RN in words else script

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the id of the job or the array, and the index."""
        number, _, index = job_id.rstrip("]").partition("[")
        return {"%J": number, "%I": index or "0"}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``-o``."""
        return [f"{log_directory or '.'}/{job_name}-{job_id.replace('[', '-').rstrip(']')}.out"]

    def variant(self, reply: Reply) -> Dialect | None:
        """Switch to openlava, and LSF before 10.1, which know no JSON."""
        refused = re.search(r"bjobs: (?:invalid|unrecognized|illegal) option|json: Illegal option", reply.err)
        return Openlava() if refused else None


class Openlava(Lsf):
    """LSF without JSON: openlava, or IBM's before 10.1."""

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call bjobs with wide lines, which have whole names and hosts."""
        return ["bjobs", "-a", "-w", "-noheader", *_arrays(ids)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call bjobs by name."""
        return ["bjobs", "-a", "-w", "-noheader", "-u", user, "-J", job_name]

    def reasons_argv(self, states: Mapping[str, JobStatus]) -> list[str]:
        """Call ``bjobs -p`` for the jobs that wait."""
        waiting = _arrays([job_id for job_id, status in states.items() if status.state is JobState.PENDING])
        return ["bjobs", "-p", *next(iter(split_for_commands(waiting)))] if waiting else []

    def parse_reasons(self, reply: Reply) -> dict[str, str]:
        """Read the indented lines below each job; they hold only the number of hosts where there is no reason yet."""
        found: dict[str, list[str]] = {}
        job = None
        for line in iter_lines(reply.out) if reply.ok else ():
            if match := _WAITING.match(line):
                job = found.setdefault(match[1] + (match[2] or ""), [])
            elif job is not None and line.startswith(" ") and not line.startswith(" :"):
                job.append(line.strip().rstrip(";"))
        return {job_id: "; ".join(reasons) for job_id, reasons in found.items() if reasons}

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read bjobs' lines; an element's index follows its name."""
        return intern_statuses(self._lines(reply)) or _nothing(self, reply)

    def _lines(self, reply: Reply) -> Iterator[tuple[str, JobStatus]]:
        for line in iter_lines(reply.out):
            if not re.match("[0-9]", line):
                continue
            # Id, user, state, queue, from, on, the name with its spaces, and when it was submitted.
            words = line.split()
            if len(words) < 10 or number(words[0]) is None or not _SUBMITTED.fullmatch(" ".join(words[-3:])):
                raise reply.unreadable(repr(line[:200]))
            index = re.search(r"\[\d+\]$", words[-4])
            yield words[0] + (index[0] if index else ""), _status(words[2], "", "", "", words[5])


def _nothing(dialect: Dialect, reply: Reply) -> dict[str, JobStatus]:
    """Tell "no jobs" from "no answer"."""
    outage = any(words in reply.words for words in dialect.outage_words)
    if not outage and ((reply.ok and reply.words) or any(words in reply.words for words in _NONE)):
        return {}
    raise Unavailable(reply.sentence())


def _record(record: Mapping[str, str]) -> tuple[str, JobStatus]:
    job, index = str(record.get("JOBID", "")).partition("[")[0], str(record.get("JOBINDEX", ""))
    if number(job) is None or (index and number(index) is None):
        raise ValueError(f"{job[:80]!r} with index {index[:80]!r} is no job id")
    values = [str(record.get(key, "")) for key in ("STAT", "EXIT_CODE", "EXIT_REASON", "PEND_REASON", "EXEC_HOST")]
    return job if index in ("", "0") else f"{job}[{index}]", _status(*values)


def _status(word: str, code: str, exit_reason: str, pend_reason: str, host: str) -> JobStatus:
    state = _STATES.get(word, JobState.UNKNOWN)
    exit_status = number(code) or 0
    if state is JobState.FAILED:
        # openlava gives no reasons: a job that it kills for a limit ends with 140.
        if exit_status == 140 and not exit_reason:
            state = JobState.TIMEOUT
        elif not (exit_status or exit_reason.strip(" -") or host.strip("-")):  # it never ran
            state = JobState.CANCELLED
        state = _ENDINGS.get(exit_reason.partition(":")[0].strip(), state)
    signal = exit_status - 128 if 128 < exit_status <= 128 + 64 else None
    return JobStatus(
        state=state,
        reason=(pend_reason if state is JobState.PENDING else exit_reason).strip(" -;"),
        exit_code=0 if word == "DONE" else exit_status if exit_status and signal is None else None,
        signal=signal,
        node=re.sub(r"^\d+\*", "", host.split(":", maxsplit=1)[0]).strip("-"),
    )


def _unwrapped(text: str) -> str:
    """Join the lines of ``bjobs -l`` and ``bhist -l``, which break inside words."""
    return text.replace("\n" + 21 * " ", "")


def _arrays(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(job_id.partition("[")[0] for job_id in ids))
