"""Grid Engine: 8.1.9 and its relatives. Manuals: qsub(1), qstat(1), qdel(1), sge_types(1), accounting(5).

What was recorded of 8.1.9 is in tests/replies/sge/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import unescape
from types import MappingProxyType

from jobclusters.dialect import Dialect, Reply, ranges
from jobclusters.errors import Unavailable
from jobclusters.spec import JobSpec
from jobclusters.state import JobState, JobStatus

#: What to do for jobs of several cores.
ENVIRONMENT = (
    "give parallel_environment='smp', or what else `qconf -spl` lists, or set it for all as"
    " jobqueue.sge.parallel-environment; with allocation_rule $pe_slots in `qconf -sp smp`"
)


class Sge(Dialect):
    """Grid Engine's commands."""

    name = "sge"
    title = "Grid Engine"
    probe = "qconf"  # PBS has a qsub, too
    directive = "#$"
    glued = False
    clock = "seconds, MM:SS"
    unlimited = True
    keywords = frozenset(
        {"account", "resource_spec", "parallel_environment", "memory_complex", "gpu_complex", "gpu_type_complex"}
    )
    renamed = MappingProxyType({"project": "account"})
    job_name_rule = ("[A-Za-z_.][A-Za-z0-9_.+-]*", "letters, digits and _ . + - (and begins with none of the last two)")
    job_variable = "JOB_ID"
    index_variable = "SGE_TASK_ID"
    submit_host_variable = "SGE_O_HOST"
    warnings = "USR1 USR2"  # with -notify, or at s_rt
    first_index = 1
    # Not PE, QUEUE, ARC: those are the beginnings of too many others.
    nested_prefixes = ("SGE_", "JOB_", "NSLOTS", "NQUEUES", "NHOSTS", "PE_HOSTFILE", "RESTARTED")
    nested_keep = frozenset({"SGE_ROOT", "SGE_CELL", "SGE_CLUSTER_NAME", "SGE_QMASTER_PORT", "SGE_EXECD_PORT"})
    inside_variables = ("SGE_TASK_ID",)
    failed_stay = True
    detail_delay = 17.0  # the accounting file is written every 15 s
    limit_words = ("jobs are allowed per",)
    array_words = ("submit a job with more than",)
    outage_words = ("commlib error", "unable to send message to qmaster", "unable to contact qmaster")

    def takes_one_slot(self, spec: JobSpec) -> bool:
        """Tell whether no parallel environment is named, in any way."""
        own = spec.resource_spec is not None or any(line.split()[:1] == ["-pe"] for line in spec.directives)
        return spec.cores > 1 and spec.parallel_environment is None and not own

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Tell what the site has to name first: slots on one node, a type of GPU."""
        if spec.request_cores is None and self.takes_one_slot(spec):
            yield f"{spec.cores} cores need a parallel environment, which each site names itself: {ENVIRONMENT}"
        if spec.gpu_type is not None and spec.gpu_type_complex is None and spec.resource_spec is None:
            yield (
                f"gpu_type={spec.gpu_type!r}: say by gpu_type_complex= what the site calls a GPU's type (`qconf -sc`),"
                " or set it for all as jobqueue.sge.gpu-type-complex"
            )

    version_argv = ("qstat", "-help")
    queues_argv = ("qstat", "-g", "c")

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the first column, below a heading and a line."""
        return [line.split()[0] for line in reply.out.splitlines()[2:] if line.strip()]

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub; ``-terse`` prints the id alone."""
        return ["qsub", "-terse", *(["-t", f"1-{count}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``123`` or ``123.1-10:1`` from the last line that is one: what a site adds may stand around it."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if match := re.fullmatch(r"(\d+)(\.\d+-\d+:\d+)?", line.strip()):
                return [f"{match[1]}.{index}" for index in range(1, count + 1)] if count > 1 else [match[1]]
        raise Unavailable(f"qsub printed no job id: {reply.words!r}")

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qdel with ranges of elements: ``22.4-5``. It kills at once, without a TERM."""
        arrays: dict[str, list[int]] = {}
        for job_id in ids:
            job, _, index = job_id.partition(".")
            arrays.setdefault(job, []).extend([int(index)] if index else [])
        words = []
        for job, indices in arrays.items():
            words += [f"{job}.{elements}" for elements in ranges(indices)] or [job]
        return ["qdel", *words]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Ask for all jobs of the user (qstat fills in ``$user``); ``-g d`` lists elements one by one."""
        return ["qstat", "-xml", "-u", "$user", "-g", "d"]

    def find_argv(self, job_name: str) -> list[str]:
        """Ask for all jobs of the user: what lists elements can't be asked by name."""
        return self.query_argv([])

    def parse_find(self, reply: Reply, job_name: str) -> dict[str, JobStatus]:
        """Read the jobs of this name."""
        return {job["id"]: _status(job) for job in _jobs(reply) if job["JB_name"] == job_name}

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read qstat's XML; a job that has ended isn't in it."""
        return {job["id"]: _status(job) for job in _jobs(reply)}

    def stuck_argv(self, ids: Sequence[str]) -> list[str]:
        """Ask why jobs are in an error state."""
        return ["qstat", "-j", ",".join(dict.fromkeys(job_id.partition(".")[0] for job_id in ids))]

    def parse_stuck(self, reply: Reply) -> dict[str, str]:
        """Read ``error reason``; a job that isn't an array has an element 1 there."""
        found: dict[str, str] = {}
        for block in re.split(r"^=+$", reply.out, flags=re.MULTILINE):
            job = re.search(r"^job_number: +(\d+)", block, re.MULTILINE)
            reasons = re.findall(r"^error reason +(\d+): +(?:\S+ \S+ \[\d+:\d+\]: )?(.*)", block, re.MULTILINE)
            if job:
                array = "job-array tasks:" in block
                found |= {f"{job[1]}.{index}" if array else job[1]: reason.strip() for index, reason in reasons}
        return found

    def detail_argv(self, job_id: str) -> list[str]:
        """Call qacct, which knows jobs that have ended."""
        job, _, index = job_id.partition(".")
        return ["qacct", "-j", job, *(["-t", index] if index else [])]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read qacct's last record, each of whose fields is the last of its name: each requeue has left one before."""
        fields = dict(re.findall(r"^(\w+) +(\S.*?) *$", reply.out, re.MULTILINE))
        if not {"failed", "exit_status"} <= fields.keys():
            return None
        failed, code = (int(fields[key].split()[0]) for key in ("failed", "exit_status"))
        if failed in _AGAIN:  # what the last run came to is not written yet
            return None
        reason = fields["failed"].partition(":")[2]
        return JobStatus(
            state=_end(failed, code, fields),
            reason=_REASONS.get(failed, reason.strip()),
            exit_code=None if failed else code,
            signal=code - 128 if failed and code > 128 else None,
            node=fields.get("hostname", ""),
            submitted=_date(fields.get("qsub_time", "")),
            started=_date(fields.get("start_time", "")),
            ended=_date(fields.get("end_time", "")),
        )

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the file as Grid Engine does: ``-o`` is a directory, and stderr goes there too."""
        return [f"{log_directory}/{job_name}.o{job_id}" if log_directory else f"{job_name}.o{job_id}"]


_ISO = "%Y-%m-%dT%H:%M:%S"
#: A run that made way for another: migrating (read in the manual), rescheduling.
_AGAIN = (24, 25)
#: Our scripts end by the signals that have warned them.
_KILL, _USR1, _USR2 = 9, 10, 12
#: What qacct says of these helps nobody.
_REASONS = {100: "killed by qdel or another signal"}


def _end(failed: int, code: int, fields: Mapping[str, str]) -> JobState:
    """Read how a job ended from ``failed``, a number of accounting(5), and the exit status."""
    if failed == 0:
        return JobState.COMPLETED if code == 0 else JobState.FAILED
    if failed == 100 and code in (128 + _KILL, 128 + _USR2):  # as qdel does it, with -notify
        return JobState.CANCELLED
    if failed == 100 and code == 128 + _USR1:  # over its soft limit of time, or about to be suspended
        return JobState.TIMEOUT if re.search(r"\bs_rt=", fields.get("category", "")) else JobState.PREEMPTED
    if failed == 37:  # over a limit: of time if that time has passed
        limit = re.search(r"\bh_rt=(\d+)", fields.get("category", ""))
        ran = re.match(r"\d+", fields.get("ru_wallclock", ""))
        return JobState.OUT_OF_MEMORY if limit and ran and int(ran[0]) < int(limit[1]) else JobState.TIMEOUT
    return JobState.FAILED


def _jobs(reply: Reply) -> list[dict[str, str]]:
    """Read what qstat says of each job, with its id. Half an answer is none: who isn't in it would seem dead."""
    if not reply.ok:
        raise Unavailable(reply.sentence())
    if not re.search(r"</job_info>\s*</job_info>\s*$", reply.out):
        raise Unavailable(f"{' '.join(reply.argv)} did not print its XML to the end: {reply.words[-200:]!r}")
    jobs = []
    for block in re.findall(r"<job_list\b.*?</job_list>", reply.out, re.DOTALL):
        job = {key: unescape(value) for key, value in re.findall(r"<(\w+)[^<>]*>([^<>]*)</\1>", block)}
        job["id"] = f"{job['JB_job_number']}.{job['tasks']}" if "tasks" in job else job["JB_job_number"]
        jobs.append(job)
    return jobs


def _status(job: Mapping[str, str]) -> JobStatus:
    letters = job.get("state", "")
    state = _state(letters)
    return JobStatus(
        state=state,
        reason=f"error state {letters}" if state is JobState.FAILED else "held" if "h" in letters else "",
        node=job.get("queue_name", "").partition("@")[2],
        submitted=_date(job.get("JB_submission_time", ""), _ISO),
        started=_date(job.get("JAT_start_time", ""), _ISO),
        restarts=int("R" in letters),  # or more: nobody counts
    )


def _state(letters: str) -> JobState:
    """Read qstat's letters: the first of these that is there decides. ``Rq`` waits again, ``Rr`` runs again."""
    for some, state in (
        ("E", JobState.FAILED),
        ("d", JobState.COMPLETING),
        ("qw", JobState.PENDING),
        ("rtsST", JobState.RUNNING),  # t: on its way to the node; s, S, T: suspended
    ):
        if set(some) & set(letters):
            return state
    return JobState.UNKNOWN


def _date(text: str, form: str = "%a %b %d %H:%M:%S %Y") -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:  # -/-
        return None
