"""IBM Spectrum LSF, and openlava. Manuals: https://www.ibm.com/docs/en/spectrum-lsf (bsub, bjobs, bkill, lsf.conf).

What was recorded of openlava 4.0 is in tests/replies/lsf/; IBM's JSON and its words come from the manual.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from jobclusters.dialect import Dialect, Reply, ranges
from jobclusters.errors import Unavailable
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
    # UNKWN and ZOMBI: its host doesn't answer.
}
#: Why LSF ended a job: the first word of bjobs' exit_reason (manual).
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
#: A line of ``bjobs -w``: id, user, state, queue, from, on, name, submitted.
_LINE = re.compile(r"(\d+)\s+\S+\s+(\S+)\s+\S+\s+\S+\s+(\S+)\s+(.*?)\s+\w{3}\s+\d+\s+\d\d:\d\d\s*")
_NONE = ("is not found", "No matching job found", "No unfinished job found", "No job found")


class Lsf(Dialect):
    """LSF's commands, from 10.1 on."""

    name = "lsf"
    title = "LSF"
    probe = "bsub"
    directive = "#BSUB"
    glued = False  # -gpu is no -g
    clock = "minutes, HH:MM"
    keywords = frozenset({"account", "job_cpu", "mem", "lsf_units", "use_stdin"})
    renamed = MappingProxyType({"project": "account", "ncpus": "job_cpu"})
    spaced_accounts = True
    job_name_rule = (r"[A-Za-z0-9_ .:+=@-]+", "letters, digits, spaces and _ . : + = @ -")
    job_variable = "LSB_JOBID"
    index_variable = "LSB_JOBINDEX"
    submit_host_variable = "LSB_SUB_HOST"
    first_index = 1
    nested_prefixes = ("LSB_", "LS_")
    nested_keep = frozenset({"LSB_DEFAULTQUEUE", "LSB_DEFAULTPROJECT", "LSB_NTRIES"})
    inside_variables = ("LSB_JOBID",)
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

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Let commands fail where they would try for ever, as far as they listen (manual: ``LSB_NTRIES``)."""
        return {"LSB_NTRIES": "1", **super().environment(environ)}

    def settings(self, environ: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, object]:
        """Read the unit of memory limits from lsf.conf, where dask-jobqueue looks for it."""
        directory = environ.get("LSF_ENVDIR") or environ.get("LSF_CONFDIR") or "/etc"
        units = re.findall(r"^\s*LSF_UNIT_FOR_LIMITS\s*=\s*\"?(\w+)", read(f"{directory}/lsf.conf"), re.MULTILINE)
        return {"lsf_units": units[-1].lower()} if units else {}

    version_argv = ("bsub", "-V")
    queues_argv = ("bqueues", "-w")

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the first column, below a heading."""
        return [line.split()[0] for line in reply.out.splitlines()[1:] if line.strip()]

    def submit_argv(self, count: int) -> list[str]:
        """Call bsub; how many elements an array has stands in the script, behind the name."""
        return ["bsub"]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``Job <123> is submitted to default queue <normal>.``."""
        if not reply.ok:
            raise self.failure(reply)
        if match := re.search(r"^Job <(\d+)> is submitted", reply.out, re.MULTILINE):
            return [f"{match[1]}[{index}]" for index in range(1, count + 1)] if count > 1 else [match[1]]
        raise Unavailable(f"bsub printed no job id: {reply.words!r}")

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Call bkill with ranges of elements: ``12[1-500]``. Its exit status says nothing."""
        arrays: dict[str, list[int]] = {}
        for job_id in ids:
            number, _, index = job_id.partition("[")
            arrays.setdefault(number, []).extend([int(index.rstrip("]"))] if index else [])
        return ["bkill", *(f"{n}[{','.join(ranges(found))}]" if found else n for n, found in arrays.items())]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call bjobs for whole arrays; ``-a`` lists those that have ended, too."""
        return ["bjobs", "-a", "-json", "-o", _FIELDS, *_arrays(ids)]

    def find_argv(self, job_name: str) -> list[str]:
        """Call bjobs by name; an array's name stands for all its elements."""
        return ["bjobs", "-a", "-json", "-o", _FIELDS, "-J", job_name]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read bjobs' JSON; what it says while it waits for LSF may stand before it."""
        try:
            records = json.loads(reply.out[reply.out.index("{") :])["RECORDS"]
        except (ValueError, KeyError) as error:
            if "{" in reply.out:
                raise Unavailable(f"{' '.join(reply.argv)} printed what can't be read: {error!r}") from None
            return _nothing(self, reply)
        # Records of unknown jobs hold an ERROR in the place of a STAT.
        return dict(_record(record) for record in records if "STAT" in record)

    def detail_argv(self, job_id: str) -> list[str]:
        """Call bjobs -l: on openlava only it knows the exit code."""
        return ["bjobs", "-l", job_id]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read sentences, which bjobs breaks inside words."""
        text = re.sub(r"\n {21}", "", reply.out)
        state = re.search(r"Status <(\w+)>", text)
        if not reply.ok or state is None or state[1] not in _STATES:
            return None
        code = re.search(r"Exited with exit code (\d+)", text)
        node = re.search(r"[Ss]tarted (?:\d+ Task\(s\) )?on (?:\d+ Hosts/Processors )?(?:Host\(s\) )?<([^>]+)>", text)
        reason = re.search(r"TERM_\w+[^.;\n]*", text)
        return _status(state[1], code[1] if code else "", reason[0] if reason else "", "", node[1] if node else "")

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``-o`` names."""
        return [f"{log_directory or '.'}/{job_name}-{job_id.replace('[', '-').rstrip(']')}.out"]

    def variant(self, reply: Reply) -> Dialect | None:
        """Ask as openlava, and LSF before 10.1, understand it."""
        told = re.search(r"bjobs: (?:invalid|unrecognized|illegal) option|json: Illegal option", reply.err)
        return Openlava() if told else None


class Openlava(Lsf):
    """LSF without JSON."""

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call bjobs with wide lines, in which names and hosts are whole."""
        return ["bjobs", "-a", "-w", "-noheader", *_arrays(ids)]

    def find_argv(self, job_name: str) -> list[str]:
        """Call bjobs by name."""
        return ["bjobs", "-a", "-w", "-noheader", "-J", job_name]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read bjobs' lines; an element's index stands behind its name."""
        states = {}
        for line in reply.out.splitlines():
            if match := _LINE.fullmatch(line):
                index = re.search(r"\[\d+\]$", match[4])
                states[match[1] + (index[0] if index else "")] = _status(match[2], "", "", "", match[3])
            elif line[:1].isdigit():
                raise Unavailable(f"{' '.join(reply.argv)} printed what can't be read: {line!r}")
        return states or _nothing(self, reply)


def _nothing(dialect: Dialect, reply: Reply) -> dict[str, JobStatus]:
    """Tell "there are none" from "nobody answered"."""
    outage = any(words in reply.words for words in dialect.outage_words)
    if not outage and ((reply.ok and reply.words) or any(words in reply.words for words in _NONE)):
        return {}
    raise Unavailable(reply.sentence())


def _record(record: Mapping[str, str]) -> tuple[str, JobStatus]:
    number, index = str(record.get("JOBID", "")), str(record.get("JOBINDEX", ""))
    number = number.partition("[")[0]
    values = [str(record.get(key, "")) for key in ("STAT", "EXIT_CODE", "EXIT_REASON", "PEND_REASON", "EXEC_HOST")]
    return number if index in ("", "0") else f"{number}[{index}]", _status(*values)


def _status(word: str, code: str, exit_reason: str, pend_reason: str, host: str) -> JobStatus:
    state = _STATES.get(word, JobState.UNKNOWN)
    number = int(code) if code.isdigit() else 0
    if state is JobState.FAILED:
        # openlava gives no reasons: what it kills for a limit has 140.
        otherwise = JobState.TIMEOUT if number == 140 and not exit_reason else state
        state = _ENDINGS.get(exit_reason.partition(":")[0].strip(), otherwise)
    signal = number - 128 if 128 < number <= 128 + 64 else None
    return JobStatus(
        state=state,
        reason=(pend_reason if state is JobState.PENDING else exit_reason).strip(" -;"),
        exit_code=0 if word == "DONE" else number if number and signal is None else None,
        signal=signal,
        node=re.sub(r"^\d+\*", "", host.split(":", maxsplit=1)[0]).strip("-"),
    )


def _arrays(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(job_id.partition("[")[0] for job_id in ids))
