"""SLURM. Manuals: https://slurm.schedmd.com/sbatch.html, squeue.html, scancel.html, scontrol.html."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType

from jobclusters.dialect import Dialect, Reply
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

#: https://slurm.schedmd.com/job_state_codes.html
_STATES = {
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.PENDING,  # has a node that still boots
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
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

#: https://slurm.schedmd.com/job_reason_codes.html; first the whole word, then the beginnings.
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
    "NonZeroExitCode": "its script failed",
    "TimeLimit": "its walltime was over",
    "OutOfMemory": "used more memory than it had asked for",
}


def _meaning(reason: str) -> str:
    """Put a reason into plain words, if we know it.

    >>> _meaning("QOSMaxCpuPerUserLimit"), _meaning("None")
    ('you use as much as this quality of service allows', '')
    """
    return _MEANINGS.get(reason) or next((words for begin, words in _MEANINGS.items() if reason.startswith(begin)), "")


# Array id and index, raw id, state, node, submitted, start, end, reason: the reason may hold anything, so it is last.
_FORMAT = "%F|%K|%T|%N|%V|%S|%e|%r"
_JOB = re.compile(r"\s*\d+\|(?:\d+|N/A)(?:\|[^|]*){5}\|")


class Slurm(Dialect):
    """SLURM's commands, from 20.02 on."""

    name = "slurm"
    title = "SLURM"
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
        }
    )
    clock = "minutes, MM:SS"
    unlimited = True
    keywords = frozenset({"account", "qos", "job_cpu", "job_mem"})
    renamed = MappingProxyType({"project": "account"})
    index_variable = "SLURM_ARRAY_TASK_ID"
    restart_variable = "SLURM_RESTART_COUNT"
    nested_prefixes = ("SLURM_", "SBATCH_")
    nested_keep = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_TIME_FORMAT"})
    inside_variables = ("SLURM_JOB_ID",)
    limit_words = ("SubmitJob",)  # QOSMaxSubmitJobPerUserLimit, AssocGrpSubmitJobsLimit, ...
    array_words = ("Invalid job array specification",)
    # https://slurm.schedmd.com/job_reason_codes.html: limits of one job, which waiting doesn't change.
    never = frozenset(
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
    # "No error" is what sbatch says when the controller's name can't be resolved.
    outage_words = (
        "Socket timed out",
        "Unable to contact slurm controller",
        "Connection refused",
        "Connection timed out",
        "submission failed: No error",
        "Communication connection failure",
        "Zero Bytes were transmitted",
        "Invalid authentication credential",
        "authentication credential",
        "slurm_persist_conn",
        "Resource temporarily unavailable",
        "Transport endpoint is not connected",
        "backup controller",
        "controller not responding",
    )

    def submit_argv(self, count: int) -> list[str]:
        """Call sbatch; ``--parsable`` prints the id alone."""
        return ["sbatch", "--parsable", *([f"--array=0-{count - 1}"] if count > 1 else [])]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``id`` or ``id;cluster`` from the last line: sites print quotas and greetings before it."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if match := re.fullmatch(r"(\d+)(;\S+)?", line.strip()):
                return [f"{match[1]}_{index}" for index in range(count)] if count > 1 else [match[1]]
        raise Unavailable(f"sbatch printed no job id: {reply.words!r}")

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Call scancel with whole ranges of elements: ``12_[0-499]``."""
        return ["scancel", *_ranges(ids)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call squeue for all arrays at once; ``-r`` prints a line for each element."""
        arrays = dict.fromkeys(job_id.partition("_")[0] for job_id in ids)
        return ["squeue", "-h", "-r", "-t", "all", "-o", _FORMAT, "-j", ",".join(arrays)]

    def find_argv(self, job_name: str) -> list[str]:
        """Call squeue by name: ``--me`` came with 20.11, so the name alone must be unique."""
        return ["squeue", "-h", "-r", "-t", "all", "-o", _FORMAT, "--name", job_name]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read squeue's lines. An unknown id asked for alone is an error of squeue, but an answer for us."""
        if not reply.ok:
            if "Invalid job id specified" in reply.words:
                return {}
            raise Unavailable(reply.sentence())
        return dict(_line(line) for line in reply.out.splitlines() if _JOB.match(line))

    def detail_argv(self, job_id: str) -> list[str]:
        """Call scontrol: it knows the exit code without an accounting database, for five minutes."""
        return ["scontrol", "-o", "show", "job", job_id]

    def parse_detail(self, reply: Reply) -> JobStatus | None:
        """Read scontrol's ``Key=value`` line."""
        if not reply.ok:
            return None
        fields = dict(re.findall(r"(\w+)=(\S*)", reply.out))
        if "JobState" not in fields:
            return None
        code, _, signal = fields.get("ExitCode", "0:0").partition(":")
        state = _STATES.get(fields["JobState"], JobState.UNKNOWN)
        pending = state is JobState.PENDING
        start = _date(fields.get("StartTime", ""))
        reason = match[1] if (match := re.search(r"\bReason=(.*?)(?:\s+\w+=|\s*$)", reply.out)) else ""
        return JobStatus(
            state=state,
            reason="" if reason == "None" else reason,
            meaning=_meaning(reason),
            exit_code=int(code) if state in (JobState.COMPLETED, JobState.FAILED) else None,
            signal=int(signal or 0) or None,
            node=_node(fields.get("BatchHost") or fields.get("NodeList", "")),
            submitted=_date(fields.get("SubmitTime", "")),
            started=None if pending else start,
            ended=_date(fields.get("EndTime", "")) if state.ended else None,
            estimated_start=start if pending else None,
            restarts=int(fields.get("Restarts", "0")),
        )

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``--output`` and ``--error`` name, or sbatch's default."""
        if log_directory is None:
            return [f"slurm-{job_id}.out"]
        return [f"{log_directory}/{job_name}-{job_id}.{kind}" for kind in ("err", "out")]


def _line(line: str) -> tuple[str, JobStatus]:
    array, index, word, node, submitted, start, end, reason = line.strip().split("|", 7)
    state = _STATES.get(word, JobState.UNKNOWN)
    pending = state is JobState.PENDING
    return (
        array if index == "N/A" else f"{array}_{index}",
        JobStatus(
            state=state,
            reason="" if reason == "None" else reason,
            meaning=_meaning(reason),
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


def _ranges(ids: Sequence[str]) -> list[str]:
    """Write ids as scancel's ranges.

    >>> _ranges(["7_0", "7_1", "7_2", "7_9", "8"])
    ['7_[0-2,9]', '8']
    """
    elements: dict[str, list[int]] = {}
    singles: list[str] = []
    for job_id in ids:
        array, _, element = job_id.partition("_")
        if element:
            elements.setdefault(array, []).append(int(element))
        else:
            singles.append(job_id)
    texts = []
    for array, indices in elements.items():
        runs: list[tuple[int, int]] = []
        for index in sorted(indices):
            if runs and index == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((index, index))
        texts.append(f"{array}_[{','.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)}]")
    return texts + singles
