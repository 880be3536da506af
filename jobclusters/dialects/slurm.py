"""SLURM. Manuals: https://slurm.schedmd.com/sbatch.html, squeue.html, scancel.html, scontrol.html."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
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
from jobclusters.errors import Unavailable
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.keyword import Keyword, Shared
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

#: https://slurm.schedmd.com/job_state_codes.html
STATES = {
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.PENDING,  # its node boots
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "EXPEDITING": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "COMPLETING": JobState.COMPLETING,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "NODE_FAIL": JobState.NODE_FAIL,
    "CANCELLED": JobState.CANCELLED,
    "REVOKED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "DEADLINE": JobState.TIMEOUT,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "PREEMPTED": JobState.PREEMPTED,
}

#: https://slurm.schedmd.com/job_reason_codes.html: limits of one job, which waiting doesn't lift.
NEVER = frozenset(
    {
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "PartitionConfig",
        "BadConstraints",
        "AccountNotAllowed",
        "QOSNotAllowed",
        "AssocMaxWallDurationPerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerJob",
        "QOSMaxGRESPerJob",
        "QOSMaxNodePerJobLimit",
    }
)

#: https://slurm.schedmd.com/job_reason_codes.html: whole words, or prefixes.
_MEANINGS = {
    "Resources": "waits for free nodes",
    "Priority": "others in the queue go first",
    "BeginTime": "may not start before its begin time",
    "Dependency": "waits for another job",
    "JobHeldUser": "held by you",
    "JobHeldAdmin": "held by an administrator",
    "JobArrayTaskLimit": "as many elements of its array run as may",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is not active",
    "PartitionTimeLimit": "asks for more time than the partition allows",
    "PartitionNodeLimit": "asks for more nodes than the partition allows",
    "PartitionConfig": "asks for something that the partition does not allow",
    "BadConstraints": "asks for something that no node has",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation",
    "ReqNodeNotAvail": "a node that it needs is down or reserved",
    "Nodes required for job are DOWN": "all nodes that it could use are down or reserved",
    "QOSMax": "you use as much as this quality of service allows",
    "QOSGrp": "this quality of service is used up by all its users",
    "AssocMax": "you use as much as your account allows",
    "AssocGrp": "your account's share is used up",
    "job requeued in held state": "held since it was requeued",
    "NonZeroExitCode": "its script failed",
    "RaisedSignal:53": "its output file or its directories can't be used on the node",
    "RaisedSignal": "a signal ended it",
    "TimeLimit": "its walltime was over",
    "OutOfMemory": "used more memory than it had asked for",
}


def meaning(reason: str) -> str:
    """Explain a reason; "" for an unknown one.

    >>> meaning("QOSMaxCpuPerUserLimit"), meaning("None")
    ('you use as much as this quality of service allows', '')
    """
    return _MEANINGS.get(reason) or next((words for begin, words in _MEANINGS.items() if reason.startswith(begin)), "")


# Array id and index, state, node, submitted, start, end, reason: the reason may hold anything, so it is last.
_FORMAT = "%F|%K|%T|%N|%V|%S|%e|%r"

_JOB = re.compile(r"\s*\d+\|(?:\d+|N/A)(?:\|[^|]*){5}\|")
#: The prefix of each value in ``scontrol -o show job``.
_KEY = re.compile(r"(?:^|\s)(\w[\w/:]*)=")
#: An array or a job; an element; its cluster, where the site has several.
_ID = re.compile(r"(\d+)(?:_(\d+))?(?:;(\S+))?")
#: The reply of ``sbatch --parsable``, and of a site's wrapper.
_SUBMITTED = re.compile(r"(?:Submitted batch job )?(\d+)(?:(?:;| on cluster )(\S+))?")
_DIRECTIVE = re.compile(r"^#SBATCH\s+(--[A-Za-z][\w-]*|-[A-Za-z])(?:[= \t]+(\S+)|(\S+))?", re.MULTILINE)
_LONG = {"-M": "--clusters", "--cluster": "--clusters", "-C": "--constraint", "-w": "--nodelist", "-x": "--exclude"}
#: Variables that override options, if their names differ from ``SBATCH_<OPTION>``.
_MEMORY = ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU")
_REQUEUE = ("SBATCH_REQUEUE", "SBATCH_NO_REQUEUE")
_VARIABLES = {
    "--time": ("SBATCH_TIMELIMIT",),
    "--mem": _MEMORY,
    "--mem-per-cpu": _MEMORY,
    "--mem-per-gpu": _MEMORY,
    "--requeue": _REQUEUE,
    "--no-requeue": _REQUEUE,
    "--clusters": ("SBATCH_CLUSTERS", "SLURM_CLUSTERS"),
    "--gpus-per-node": ("SBATCH_GPUS", "SBATCH_GPUS_PER_NODE", "SBATCH_GPUS_PER_TASK"),
}


def _memory(read: Reader, key: str) -> str | None:
    value = read.text(key)
    if value is not None and not re.fullmatch(r"\d+([KMGT]B?)?", value, re.IGNORECASE):
        read.problems.append(f"{key}={value!r} can't be read: write it as SLURM does, like '16G'")
    return value


class Slurm(Dialect):
    """SLURM's commands, from 20.02 on."""

    name = "slurm"
    title = "SLURM"
    prefix = "SLURM"
    probe = "sbatch"
    directive = "#SBATCH"
    aliases = MappingProxyType(
        {
            "-J": "--job-name",
            "-e": "--error",
            "-o": "--output",
            "-p": "--partition",
            "-A": "--account",
            "-q": "--qos",
            "-N": "--nodes",
            "-n": "--ntasks",
            "-c": "--cpus-per-task",
            "-t": "--time",
            "-G": "--gpus",
        }
    )
    asks = MappingProxyType(
        {
            "--time": "walltime",
            "--job-name": "name",
            "--partition": "queue",
            **dict.fromkeys(("--mem", "--mem-per-cpu", "--mem-per-gpu"), "memory"),
            **dict.fromkeys(("--gpus", "--gpus-per-node", "--gpus-per-task", "--gpus-per-socket"), "gpus"),
            **dict.fromkeys(("--cpus-per-task", "--cpus-per-gpu"), "cores"),
            **dict.fromkeys(("--requeue", "--no-requeue"), "requeue"),
        }
    )
    output_options = ("--output", "--error")
    output_fields = r"%\d*[A-Za-z%]"
    clock = "minutes, MM:SS"
    unlimited = True
    keywords = (
        ACCOUNT,
        Keyword("qos", "str", "The quality of service.", read=Reader.word, shared=Shared.ALL, spot=True),
        JOB_CPU,
        Keyword(
            "job_mem",
            "str",
            "Memory to ask for, as SLURM writes it (``16G``), where that is another amount than the workers use.",
            default="``memory``",
            read=_memory,
            shape=True,
        ),
        USE_STDIN,
    )
    job_variable = "SLURM_JOB_ID"
    index_variable = "SLURM_ARRAY_TASK_ID"
    submit_host_variable = "SLURM_SUBMIT_HOST"
    restart_variable = "SLURM_RESTART_COUNT"
    # Users set the other SBATCH_*.
    set_in_jobs = ("SLURM_*", "SLURMD_*", "SBATCH_CPU_BIND*", "SBATCH_MEM_BIND*")
    set_by_users = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT")
    question_variables = ("SQUEUE_*", "SCANCEL_*", "SACCT_*", "SCONTROL_*", "SINFO_*", "SLURM_TIME_FORMAT")
    submit_variables = ("SBATCH_ARRAY_INX", "SBATCH_WAIT")
    keyword_variables = MappingProxyType(
        {
            "SBATCH_ACCOUNT": "account",
            "SBATCH_PARTITION": "queue",
            "SBATCH_QOS": "qos",
            "SBATCH_TIMELIMIT": "walltime",
        }
    )
    inside_job_variables = ("SLURM_JOB_ID",)
    # QOSMaxSubmitJobPerUserLimit, AssocGrpSubmitJobsLimit, ...; then what sbatch writes before it tries again for two
    # minutes, where the queue of all users is full (MaxJobCount). Whether it got through then has to be looked up.
    limit_words = ("SubmitJob", "temporarily unable to accept job", "job queue full")
    array_words = ("Invalid job array specification",)
    never = NEVER
    # "No error" means that sbatch can't resolve the controller's name.
    outage_words = (
        "Socket timed out",
        "Unable to contact slurm controller",
        "Connection refused",
        "Connection timed out",
        "submission failed: No error",
        "Communication connection failure",
        "Zero Bytes were transmitted",
        "authentication credential",
        "authentication error",
        "slurm_persist_conn",
        "Resource temporarily unavailable",
        "Transport endpoint is not connected",
        "backup controller",
        "controller not responding",
    )

    version_argv = ("sbatch", "--version")
    queues_argv = ("sinfo", "-h", "-o", "%R")
    identity_argv = ("scontrol", "show", "config")
    identity_pattern = r"^ClusterName\s*=\s*(\S+)"

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read one name in a line."""
        return list(dict.fromkeys(reply.out.split()))

    def accounts_argv(self, user: str) -> list[str]:
        """Ask the accounting."""
        return ["sacctmgr", "-nP", "show", "assoc", f"user={user}", "format=account,maxsubmitjobs"]

    def parse_accounts(self, reply: Reply) -> dict[str, int | None]:
        """Read ``lab|100``; without a limit, the number is missing."""
        lines = (line.partition("|") for line in reply.out.split())
        return {name: number(most) for name, _, most in lines if name}

    def _kinds(self, option: str, value: str) -> Iterator[tuple[str, str]]:
        """Read also GPUs that are asked for as ``--gres=gpu:2``."""
        gpus = option == "--gres" and any(each.startswith("gpu") for each in value.split(","))
        return super()._kinds("--gpus" if gpus else option, value)

    def own_memory(self, spec: JobSpec) -> int:
        """Read ``--mem`` and ``--mem-per-cpu``."""
        times = {"--mem": 1, "--mem-per-cpu": spec.options["job_cpu"] or spec.cores}
        asked = [each for line in spec.directives for each in self._options(line)]
        return next((amount(text, "m") * times[option] for option, text in reversed(asked) if option in times), 0)

    def submit_argv(self, count: int) -> list[str]:
        """Call sbatch; ``--parsable`` prints the id alone."""
        return ["sbatch", "--parsable", *([f"--array=0-{count - 1}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``id`` or ``id;cluster``."""
        job, cluster = self.find_id(reply, _SUBMITTED).groups("")
        return [_id(job, str(index) if count > 1 else None, cluster) for index in range(count)]

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call scancel with whole ranges of elements: ``12_[0-499]``."""
        argvs = []
        for some in self.split_by_cluster(ids):
            arrays: dict[str, list[int]] = {}
            for job_id in some:
                array, index, cluster = _parts(job_id)
                arrays.setdefault(array, []).extend([int(index)] if index else [])
            words = [f"{array}_[{','.join(ranges(found))}]" if found else array for array, found in arrays.items()]
            argvs += [["scancel", *_on(cluster), *part] for part in split_for_commands(words)]
        return argvs

    def clusters_of(self, ids: Iterable[str]) -> Iterable[str]:
        """Read ``77;b``; "" is the usual cluster."""
        return dict.fromkeys(_parts(job_id)[2] for job_id in ids)

    def split_by_cluster(self, ids: Sequence[str]) -> list[Sequence[str]]:
        """Split ids by their cluster: the same number may be a job on each."""
        clusters: dict[str, list[str]] = {}
        for job_id in ids:
            clusters.setdefault(_parts(job_id)[2], []).append(job_id)
        return list(clusters.values())

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call squeue for all arrays at once; ``-r`` prints a line for each element."""
        arrays = dict.fromkeys(_parts(job_id)[0] for job_id in ids)
        cluster = _parts(ids[0])[2]
        return ["squeue", *_on(cluster), "-h", "-r", "-t", "all", "-o", _FORMAT, "-j", ",".join(arrays)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call squeue by name and user (``--me`` came with 20.11); ``-a`` shows hidden partitions."""
        squeue = ["squeue", *_on(cluster), "-a", "-h", "-r", "-t", "all", "-o", _FORMAT]
        return [*squeue, "-u", user, "--name", job_name]

    def find_anywhere_argv(self, job_name: str, user: str) -> list[str]:
        """Call squeue for all clusters in the accounting; its headings name the cluster of the jobs that follow."""
        return ["squeue", "-M", "all", "-a", "-r", "-t", "all", "-o", _FORMAT, "-u", user, "--name", job_name]

    def other_clusters(self, script: str, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Read ``--clusters=a,b``, or the variable that only sbatch heeds: the job goes to one of them."""
        named = [value for option, value in _directives(script) if option == "--clusters"]
        names = named[-1] if named else environ.get("SBATCH_CLUSTERS", "")
        return tuple(names.strip("\"'").split(",")) if names else ()

    def environment_settings(self, environ: Mapping[str, str], script: str) -> dict[str, tuple[str, str]]:
        """Read sbatch's variables; those of options without a keyword are ``--constraint`` and the like."""
        kept = self.environment(environ, script)
        found = {name: value for name, value in kept.items() if name.startswith("SBATCH_") and value}
        option = {name: "--" + name.removeprefix("SBATCH_").lower().replace("_", "-") for name in found}
        return {self.keyword_variables.get(name, option[name]): (value, name) for name, value in found.items()}

    def overriding_variables(self, script: str) -> tuple[str, ...]:
        """Name the variables that would override a script's directives: ``SBATCH_PARTITION`` is ``--partition``."""
        options = dict.fromkeys(option for option, _ in _directives(script))
        usual = (("SBATCH_" + option.strip("-").upper().replace("-", "_"),) for option in options)
        return tuple(
            name for option, names in zip(options, usual, strict=True) for name in _VARIABLES.get(option, names)
        )

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read squeue's lines. A single unknown id is an error of squeue, but information for the poller.

        Other errors are no information, even with exit status 0, unless squeue lists jobs beside them.
        """
        if not reply.ok and "Invalid job id specified" in reply.words:
            return {}
        if not reply.ok or self.silent(reply):
            raise Unavailable(reply.sentence())
        found = intern_statuses(_lines(reply))
        if not found and "error:" in reply.err and "Invalid job id specified" not in reply.err:
            raise Unavailable(reply.sentence())
        return found

    def detail_argv(self, job_id: str) -> list[str]:
        """Call scontrol: it prints the exit code without an accounting database, for five minutes."""
        array, index, cluster = _parts(job_id)
        return ["scontrol", *_on(cluster), "-o", "show", "job", _id(array, index, "")]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read scontrol's ``Key=value`` line."""
        if not reply.ok:
            return None
        _, *found = _KEY.split(reply.out)
        # The first of a key counts: comments and command lines that follow may look like one.
        fields = {key: value.strip() for key, value in reversed([*zip(found[::2], found[1::2], strict=True)])}
        if "JobState" not in fields:
            return None
        code, signal = (number(part) or 0 for part in f"{fields.get('ExitCode', '')}:".split(":")[:2])
        state = STATES.get(fields["JobState"], JobState.UNKNOWN)
        pending = state is JobState.PENDING
        start = _date(fields.get("StartTime", ""))
        reason = fields.get("Reason", "").replace("_", " ")  # newer ones write spaces so
        return JobStatus(
            state=state,
            reason="" if reason == "None" else reason,
            meaning=meaning(reason),
            exit_code=code if state in (JobState.COMPLETED, JobState.FAILED) else None,
            signal=signal or None,
            node=_node(fields.get("BatchHost") or fields.get("NodeList", "")),
            submitted=_date(fields.get("SubmitTime", "")),
            started=None if pending else start,
            ended=_date(fields.get("EndTime", "")) if state.ended else None,
            estimated_start=start if pending else None,
            restarts=number(fields.get("Restarts", "")) or 0,
        )

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give the array's id and the index; only SLURM knows the id that an element has of its own."""
        array, index, _ = _parts(job_id)
        own = {"%j": array, "%J": array} if index is None else {"%a": index}
        return {"%%": "%", "%A": array, "%x": job_name, **own}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``--output`` and ``--error``, or sbatch's default."""
        job_id = job_id.partition(";")[0]
        if log_directory is None:
            return [f"slurm-{job_id}.out"]
        return [f"{log_directory}/{job_name}-{job_id}.{kind}" for kind in ("err", "out")]


def _parts(job_id: str) -> tuple[str, str | None, str]:
    """Split an id into array or job, element, and cluster.

    >>> _parts("77_3;b"), _parts("77")
    (('77', '3', 'b'), ('77', None, ''))
    """
    array, _, index = job_id.partition("_")
    if index.isdecimal() and array.isdecimal():  # as nearly all are: there may be thousands
        return array, index, ""
    match = _ID.fullmatch(job_id)
    return (match[1], match[2], match[3] or "") if match else (job_id, None, "")


def _id(array: str, index: str | None, cluster: str) -> str:
    return array + (f"_{index}" if index is not None else "") + (f";{cluster}" if cluster else "")


def _on(cluster: str) -> list[str]:
    return ["-M", cluster] if cluster else []


def _directives(script: str) -> list[tuple[str, str]]:
    """Give the options of a script, by their long names, with their values."""
    return [
        (_LONG.get(option) or Slurm.aliases.get(option, option), value or glued)
        for option, value, glued in _DIRECTIVE.findall(script)
    ]


def _lines(reply: Reply) -> Iterator[tuple[str, JobStatus]]:
    cluster = reply.argv[reply.argv.index("-M") + 1] if "-M" in reply.argv else ""
    for line in iter_lines(reply.out):
        if _JOB.match(line):
            yield _line(line, cluster)
        elif line.startswith("CLUSTER: "):
            cluster = line.partition(" ")[2].strip()


def _line(line: str, cluster: str) -> tuple[str, JobStatus]:
    array, index, word, node, submitted, start, end, reason = line.strip().split("|", 7)
    state = STATES.get(word, JobState.UNKNOWN)
    pending = state is JobState.PENDING
    return (
        _id(array, None if index == "N/A" else index, cluster),
        JobStatus(
            state=state,
            reason="" if reason == "None" else reason,
            meaning=meaning(reason),
            node=_node(node),
            submitted=_date(submitted),
            started=None if pending else _date(start),
            ended=_date(end) if state.ended else None,
            estimated_start=_date(start) if pending else None,
        ),
    )


def _node(text: str) -> str:
    return "" if text in ("(null)", "n/a", "None assigned") else text


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # N/A, Unknown, NONE
        return None
