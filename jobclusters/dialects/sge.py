"""Grid Engine: 8.1.9 and its relatives. Manuals: qsub(1), qstat(1), qdel(1), sge_types(1), accounting(5).

tests/replies/sge/ holds replies of 8.1.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from html import unescape
from itertools import islice
from types import MappingProxyType

from jobclusters.dialects.base import (
    ACCOUNT,
    USE_STDIN,
    Dialect,
    Reply,
    amount,
    intern_statuses,
    number,
    ranges,
    split_for_commands,
)
from jobclusters.errors import Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword, Options, Read, Shared
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

#: Waiting jobs that are asked why: their reasons differ little, and each answer has a line for each queue of a node.
_MOST_WAITING = 5
#: Reasons of a job that are quoted.
_MOST_REASONS = 2
#: What the scheduler writes in place of reasons, or of queues that the job doesn't ask for.
_NO_REASON = re.compile(r"\((?!-l ).*\)$|.* not contained in its hard queue list")
#: Of a job that its state explains: the others would let it wait, too, but they aren't why.
_HELD = re.compile(r"Job is in (error|hold) state")
#: The advice for jobs of several cores.
ENVIRONMENT = (
    "give parallel_environment='smp', or what else `qconf -spl` lists, or set it for all as"
    " jobqueue.sge.parallel-environment; with allocation_rule $pe_slots in `qconf -sp smp`"
)


def _complex(default: str) -> Read:
    """Make a reader of a complex's name."""
    return lambda read, key: read.word(key) if key in read.asked else default


class Sge(Dialect):
    """Grid Engine's commands."""

    name = "sge"
    title = "Grid Engine"
    prefix = "SGE"
    example = 'worker_size="large", queue="all.q", parallel_environment="smp"'
    probe = "qconf"  # PBS has a qsub, too
    directive = "#$"
    attached_values = False
    asks = MappingProxyType({"-N": "name", "-q": "queue"})
    clock = "seconds, MM:SS"
    unlimited = True
    keywords = (
        ACCOUNT,
        Keyword(
            "resource_spec",
            "str",
            "What follows ``-l``, instead of our request for memory.",
            read=Reader.text,
            shape=True,
        ),
        Keyword(
            "parallel_environment",
            "str",
            "The one with all slots on one node, such as ``smp`` (``qconf -spl``); jobs of several cores need it.",
            read=Reader.word,
            shared=Shared.ALL,
        ),
        Keyword(
            "memory_complex",
            "str",
            "What memory is asked for by, for each slot; empty text asks for none.",
            default="``h_vmem``",
            read=_complex("h_vmem"),
            shared=Shared.ALL,
        ),
        Keyword(
            "gpu_complex",
            "str",
            "What GPUs are asked for by; empty text asks for none.",
            default="``gpu``",
            read=_complex("gpu"),
            shared=Shared.GROUPS,
        ),
        Keyword(
            "gpu_type_complex",
            "str",
            "What a type of GPU is asked for by (``qconf -sc``).",
            read=Reader.word,
            shared=Shared.GROUPS,
        ),
        USE_STDIN,
    )
    job_name_rule = ("[A-Za-z_.][A-Za-z0-9_.+-]*", "letters, digits and _ . + - (and begins with none of the last two)")
    output_fields = r"\$\w+"
    output_hosts = True
    output_placeholders = "$:"  # before a colon is a host
    job_variable = "JOB_ID"
    index_variable = "SGE_TASK_ID"
    submit_host_variable = "SGE_O_HOST"
    warnings = "USR1 USR2"  # with -notify, or at s_rt
    first_index = 1
    # Users set the others: SGE_ROOT, SGE_CELL, SGE_CLUSTER_NAME, SGE_QMASTER_PORT, SGE_EXECD_PORT, ...
    set_in_jobs = (
        *("SGE_TASK_*", "SGE_O_*", "SGE_ARCH", "SGE_BINARY_PATH", "SGE_JOB_*", "SGE_STD*_PATH", "SGE_CWD_PATH"),
        *("SGE_ACCOUNT", "SGE_CKPT_*", "SGE_HGR_*", "SGE_RERUN_*", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "JOB_SPOOL_DIR"),
        *("NSLOTS", "NQUEUES", "NHOSTS", "PE", "PE_HOSTFILE", "QUEUE", "ARC", "RESTARTED", "REQNAME", "REQUEST"),
    )
    inside_job_variables = ("SGE_TASK_ID",)
    question_variables = submit_variables = ("SGE_DEBUG_*",)  # they fill the output
    keeps_failed_jobs = True
    detail_delay = 17.0  # the accounting file is written every 15 s
    limit_words = ("jobs are allowed per",)
    array_words = ("submit a job with more than",)
    #: A list of no queues.
    _queues = ","
    outage_words = ("commlib error", "unable to send message to qmaster", "unable to contact qmaster")

    def _kinds(self, option: str, value: str) -> Iterator[tuple[str, str]]:
        """Read resources, ``-l h_rt=01:00:00,h_vmem=2G``, each of which is a kind."""
        if option != "-l":
            yield from super()._kinds(option, value)
            return
        for item in value.split(","):
            key, _, amount = item.partition("=")
            yield "walltime" if key == "h_rt" else f"-l {key}", amount

    def add_options(self, spec: JobSpec, read: Reader, sized: bool) -> JobSpec:
        """Leave out what the user's own ``-pe`` and ``resource_spec`` request; compute slots and the memory of each."""
        spec = super().add_options(spec, read, sized)
        options = dict(spec.options)
        own_pe = any(line.split()[:1] == ["-pe"] for line in spec.directives)
        if own_pe:
            options["parallel_environment"] = None
        requested = {item.partition("=")[0].strip() for item in (options["resource_spec"] or "").split(",")}
        for key in ("memory_complex", "gpu_complex", "gpu_type_complex"):
            if options[key] in requested or (key == "memory_complex" and options["resource_spec"]):
                options[key] = None
        no_pe = spec.cores > 1 and not (own_pe or options["parallel_environment"] or options["resource_spec"])
        # With dask-jobqueue's keywords alone, such a job gets one slot, as with dask-jobqueue.
        slots = 1 if no_pe and not (sized or spec.gpus) else spec.cores
        options |= {"slots": slots, "lacks_pe": no_pe, "memory_per_slot": -(-spec.memory // slots)}
        return replace(spec, options=Options(**options))

    def problems(self, spec: JobSpec) -> Iterable[str]:
        """Require the site's names of slots on one node and of a GPU's type."""
        options = spec.options
        if options["lacks_pe"] and options["slots"] > 1:
            yield f"{spec.cores} cores need a parallel environment, which each site names itself: {ENVIRONMENT}"
        if spec.gpu_type is not None and options["gpu_type_complex"] is None and options["resource_spec"] is None:
            yield (
                f"gpu_type={spec.gpu_type!r}: say by gpu_type_complex= what the site calls a GPU's type (`qconf -sc`),"
                " or set it for all as jobqueue.sge.gpu-type-complex"
            )

    def remarks(self, spec: JobSpec) -> Iterable[str]:
        """Warn that a job of several cores gets one slot."""
        if spec.options["slots"] < spec.cores:
            yield f"Jobs for {spec.cores} cores get one slot, as with dask-jobqueue: {ENVIRONMENT}."

    version_argv = ("qstat", "-help")
    queues_argv = ("qstat", "-g", "c", "-q", "*")

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read the first column, below a heading and a line."""
        return [line.split()[0] for line in reply.out.splitlines()[2:] if line.strip()]

    def identity(self, environ: Mapping[str, str], read: Callable[[str], str]) -> str:
        """Read the master from the cell's file: qconf shows nothing to a host that only submits jobs."""
        root, cell = environ.get("SGE_ROOT", ""), environ.get("SGE_CELL") or "default"
        master = read(f"{root}/{cell}/common/act_qmaster").strip() if root else ""
        return f"{master}/{cell}" if master else ""

    def own_memory(self, spec: JobSpec) -> int:
        """Read ``-l`` of the resource by which memory is asked for, of each slot; small letters are powers of 1000."""
        asked = self.all_requests(spec.directives)
        text = asked.get(f"-l {spec.options['memory_complex']}", "")
        own_slots = re.fullmatch(r"\S+ (\d+)", asked.get("-pe", ""))
        slots = int(own_slots[1]) if own_slots else spec.options["slots"]
        power = " kmg".find(text[-1:]) if text else 0
        return amount(text[:-1]) * 1000**power * slots if power > 0 else amount(text) * slots

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub; ``-terse`` prints the id alone, and the rest goes before ``sge_request``'s defaults.

        With ``-b y`` in there the script isn't read, with ``-now y`` a job may not wait.
        """
        return ["qsub", "-terse", "-b", "n", "-now", "n", *(["-t", f"1-{count}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``123`` or ``123.1-10:1``, or ``Your job 123 ("name") has been submitted`` from a wrapper.

        A ``-t`` among a user's defaults makes an array of a single job.
        """
        match = self.find_id(reply, _SUBMITTED)
        if count == 1 and match[2]:
            raise Unavailable(f"qsub made an array of one job, as a -t in sge_request asks for: {reply.words!r}")
        return [f"{match[1]}.{index}" for index in range(1, count + 1)] if count > 1 else [match[1]]

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call qdel with ranges of elements: ``22.4-5``. It kills at once, without a TERM."""
        arrays: dict[str, list[int]] = {}
        for job_id in ids:
            job, _, index = job_id.partition(".")
            arrays.setdefault(job, []).extend([int(index)] if index else [])
        words = []
        for job, indices in arrays.items():
            words += [f"{job}.{elements}" for elements in ranges(indices)] or [job]
        return [["qdel", *part] for part in split_for_commands(words)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Ask for all jobs of the user (qstat expands ``$user``); ``-g d`` lists elements one by one.

        ``-s prs`` is the default, and so is no list of queues, unless the user's ``~/.sge_qstat`` has others. With any
        list, ``*`` too, qstat leaves out the waiting jobs that no queue in it could ever run.
        """
        return ["qstat", "-xml", "-u", "$user", "-s", "prs", "-g", "d", "-q", self._queues]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Ask for all jobs of the user: no command lists elements by name."""
        return self.query_argv([])

    def parse_find(self, reply: Reply, job_name: str, user: str) -> dict[str, JobStatus]:
        """Read the jobs of this name."""
        found = {job["id"]: _status(job) for job in self._jobs(reply) if job.get("JB_name") == job_name}
        if odd := [job_id for job_id in found if not _ID.fullmatch(job_id)]:
            raise Unavailable(f"{' '.join(reply.argv)} printed a job id that can't be read: {odd[0][:80]!r}")
        return found

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read qstat's XML, without ended jobs."""
        return intern_statuses((job["id"], _status(job)) for job in self._jobs(reply))

    def _jobs(self, reply: Reply) -> Iterator[dict[str, str]]:
        """Read the fields of each job, with its id. A partial answer is refused: the missing jobs would seem dead."""
        if not reply.ok or self.silent(reply):
            raise Unavailable(reply.sentence())
        text = reply.out
        if not _COMPLETE.search(text[-200:]):
            raise Unavailable(f"{' '.join(reply.argv)} did not print its XML to the end: {reply.words[-200:]!r}")
        place = text.find(_FIRST)
        while place >= 0:
            end = text.find(_LAST, place)
            job = dict(_FIELD.findall(text, place, end))
            if end < 0 or number(job.get("JB_job_number", "")) is None:
                raise reply.unreadable(repr(text[place : place + 200]))
            for key in ("JB_name", "queue_name"):
                if "&" in job.get(key, ""):
                    job[key] = unescape(job[key])
            job["id"] = f"{job['JB_job_number']}.{job['tasks']}" if "tasks" in job else job["JB_job_number"]
            yield job
            place = text.find(_FIRST, end)

    def variant(self, reply: Reply) -> Dialect | None:
        """Name all queues where a list of none is an error of usage."""
        refused = not reply.ok and self._queues in reply.argv and "usage: qstat" in reply.words
        return SgeWithQueues() if refused else None

    def reasons_argv(self, states: Mapping[str, JobStatus]) -> list[str]:
        """Call qstat -j, which prints why jobs wait, where the site lets the scheduler note it (schedd_job_info)."""
        waiting = (
            job_id for job_id, status in states.items() if status.state is JobState.PENDING and not status.reason
        )
        jobs = list(islice(dict.fromkeys(job_id.partition(".")[0] for job_id in waiting), _MOST_WAITING))
        return ["qstat", "-j", ",".join(jobs)] if jobs else []

    def parse_reasons(self, reply: Reply) -> dict[str, str]:
        """Read ``scheduling info`` and the lines below it; all elements of an array have the same."""
        found: dict[str, str] = {}
        for block in re.split(r"^=+$", reply.out if reply.ok else "", flags=re.MULTILINE):
            job = re.search(r"^job_number: +(\d+)", block, re.MULTILINE)
            info = re.search(r"^scheduling info: +(.*(?:\n +.*)*)", block, re.MULTILINE)
            if not (job and info and (reason := _reason(info[1].splitlines()))):
                continue
            array = re.search(r"^job-array tasks: +(\d{1,5})-(\d{1,5}):([1-9]\d{0,4})\b", block, re.MULTILINE)
            elements = range(int(array[1]), int(array[2]) + 1, int(array[3])) if array else ()
            found |= {f"{job[1]}.{index}": reason for index in elements} or {job[1]: reason}
        return found

    def stuck_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qstat -j, which prints why jobs are in an error state."""
        return ["qstat", "-j", ",".join(dict.fromkeys(job_id.partition(".")[0] for job_id in ids))]

    def parse_stuck(self, reply: Reply) -> dict[str, str]:
        """Read ``error reason``; a job that isn't an array has an element 1 in it."""
        found: dict[str, str] = {}
        for block in re.split(r"^=+$", reply.out, flags=re.MULTILINE):
            job = re.search(r"^job_number: +(\d+)", block, re.MULTILINE)
            reasons = re.findall(r"^error reason +(\d+): +(?:\S+ \S+ \[\d+:\d+\]: )?(.*)", block, re.MULTILINE)
            if job:
                array = "job-array tasks:" in block
                found |= {f"{job[1]}.{index}" if array else job[1]: reason.strip() for index, reason in reasons}
        return found

    def detail_argv(self, job_id: str) -> list[str]:
        """Call qacct, which knows ended jobs."""
        job, _, index = job_id.partition(".")
        return ["qacct", "-j", job, *(["-t", index] if index else [])]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read qacct's last record, the last field of each name: each requeue leaves a record."""
        lines = (line.partition(" ") for line in reply.out.split("\n"))
        fields = {name: value.strip() for name, _, value in lines if name.isidentifier() and value.strip()}
        if not {"failed", "exit_status"} <= fields.keys():
            return None
        failed, code = (number(fields[key].split()[0]) for key in ("failed", "exit_status"))
        if failed is None or code is None or failed in _AGAIN:  # the record of the last run is not written yet
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

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the values of its pseudo variables."""
        number, _, index = job_id.partition(".")
        return {"$JOB_ID": number, "$TASK_ID": index or "undefined", "$JOB_NAME": job_name}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the file as Grid Engine does: ``-o`` is a directory, and stderr goes there too."""
        return [f"{log_directory}/{job_name}.o{job_id}" if log_directory else f"{job_name}.o{job_id}"]


#: The tags around a job in qstat's XML, a field in there, and the end of the XML.
_FIRST, _LAST = "<job_list", "</job_list>"
_FIELD = re.compile(r"<(\w+)[^<>]*>([^<>]*)</")
_ID = re.compile(r"[0-9]+(\.[0-9]{1,18})?")
_COMPLETE = re.compile(r"</job_info>\s*</job_info>\s*$")
_SUBMITTED = re.compile(r"(?:Your job(?:-array)? )?(\d+)(\.\d+-\d+:\d+)?(?: \(.*\) has been submitted)?")
#: Values of ``failed`` for a run that a later one replaced: migrating (read in the manual), rescheduling.
_AGAIN = (24, 25)
#: The job scripts end by the signals that announced their end.
_KILL, _USR1, _USR2 = 9, 10, 12
#: Clearer words than qacct's.
_REASONS = {100: "killed by qdel or another signal"}


class SgeWithQueues(Sge):
    """A Grid Engine whose qstat takes no empty list of queues: jobs that no queue could ever run are missing in it."""

    _queues = "*"

    def variant(self, reply: Reply) -> Dialect | None:
        """Have no other variant."""
        return None


def _end(failed: int, code: int, fields: Mapping[str, str]) -> JobState:
    """Read how a job ended from ``failed``, a number of accounting(5), and the exit status."""
    if failed == 0:
        return JobState.COMPLETED if code == 0 else JobState.FAILED
    if failed == 100 and code in (128 + _KILL, 128 + _USR2):  # by qdel, with -notify
        return JobState.CANCELLED
    if failed == 100 and code == 128 + _USR1:  # its soft limit of time, or a suspension
        return JobState.TIMEOUT if re.search(r"\bs_rt=", fields.get("category", "")) else JobState.PREEMPTED
    if failed == 37:  # a limit: of time if that time has passed
        limit = re.search(r"\bh_rt=(\d+)", fields.get("category", ""))
        ran = re.match(r"\d+", fields.get("ru_wallclock", ""))
        return JobState.OUT_OF_MEMORY if limit and ran and int(ran[0]) < int(limit[1]) else JobState.TIMEOUT
    return JobState.FAILED


def _status(job: Mapping[str, str]) -> JobStatus:
    letters = job.get("state", "")
    state = _state(letters)
    return JobStatus(
        state=state,
        reason=f"error state {letters}" if state is JobState.FAILED else "held" if "h" in letters else "",
        node=job.get("queue_name", "").partition("@")[2],
        submitted=_date(job.get("JB_submission_time", "")),
        started=_date(job.get("JAT_start_time", "")),
        restarts=int("R" in letters),  # or more: Grid Engine doesn't count
    )


def _reason(lines: Iterable[str]) -> str:
    """Join a job's reasons: its own before those of whole queues; what holds for several nodes is quoted once."""
    kinds: dict[str, list[str]] = {}
    found = sorted(map(str.strip, lines), key=lambda line: line.startswith("queue instance"))
    if any(map(_HELD.match, found)):
        return ""
    for line in found:
        if line and not _NO_REASON.match(line):
            kinds.setdefault(re.sub('"[^"]*"', "", line), []).append(line)
    quoted = [f"{same[0]} (and {len(same) - 1} more)" if len(same) > 1 else same[0] for same in kinds.values()]
    return "; ".join(quoted[:_MOST_REASONS])


def _state(letters: str) -> JobState:
    """Read qstat's letters: the first row that matches decides. ``Rq`` waits again, ``Rr`` runs again."""
    for some, state in (
        ("E", JobState.FAILED),
        ("d", JobState.COMPLETING),
        ("qw", JobState.PENDING),
        ("rtsST", JobState.RUNNING),  # t: on its way to the node; s, S, T: suspended
    ):
        if set(some) & set(letters):
            return state
    return JobState.UNKNOWN


@lru_cache(maxsize=4096)  # the elements of an array have the same
def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if "T" in text else datetime.strptime(text, "%a %b %d %H:%M:%S %Y")
    except ValueError:  # -/-
        return None
