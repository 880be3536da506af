"""SLURM. Manuals: https://slurm.schedmd.com/sbatch.html, squeue.html, scancel.html, scontrol.html."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType

from jobclusters.dialect import Dialect, Reply, ranges
from jobclusters.dialects.slurm_words import NEVER, STATES, meaning
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

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
    job_variable = "SLURM_JOB_ID"
    index_variable = "SLURM_ARRAY_TASK_ID"
    submit_host_variable = "SLURM_SUBMIT_HOST"
    restart_variable = "SLURM_RESTART_COUNT"
    nested_prefixes = ("SLURM_", "SBATCH_")
    nested_keep = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_TIME_FORMAT"})
    inside_variables = ("SLURM_JOB_ID",)
    limit_words = ("SubmitJob",)  # QOSMaxSubmitJobPerUserLimit, AssocGrpSubmitJobsLimit, ...
    array_words = ("Invalid job array specification",)
    never = NEVER
    # "No error" is what sbatch says when the controller's name can't be resolved.
    outage_words = (
        "Socket timed out",
        "Unable to contact slurm controller",
        "Connection refused",
        "Connection timed out",
        "submission failed: No error",
        "Communication connection failure",
        "Zero Bytes were transmitted",
        "authentication credential",
        "slurm_persist_conn",
        "Resource temporarily unavailable",
        "Transport endpoint is not connected",
        "backup controller",
        "controller not responding",
    )

    version_argv = ("sbatch", "--version")
    queues_argv = ("sinfo", "-h", "-o", "%R")

    def parse_queues(self, reply: Reply) -> list[str]:
        """Read one name in a line."""
        return list(dict.fromkeys(reply.out.split()))

    def accounts_argv(self, user: str) -> list[str]:
        """Ask the accounting."""
        return ["sacctmgr", "-nP", "show", "assoc", f"user={user}", "format=account,maxsubmitjobs"]

    def parse_accounts(self, reply: Reply) -> dict[str, int | None]:
        """Read ``lab|100``; where there is no limit, nothing follows."""
        lines = (line.partition("|") for line in reply.out.split())
        return {name: int(most) if most.isdigit() else None for name, _, most in lines if name}

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
        arrays: dict[str, list[int]] = {}
        for job_id in ids:
            array, _, index = job_id.partition("_")
            arrays.setdefault(array, []).extend([int(index)] if index else [])
        return ["scancel", *(f"{a}_[{','.join(ranges(found))}]" if found else a for a, found in arrays.items())]

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
        state = STATES.get(fields["JobState"], JobState.UNKNOWN)
        pending = state is JobState.PENDING
        start = _date(fields.get("StartTime", ""))
        reason = match[1] if (match := re.search(r"\bReason=(.*?)(?:\s+\w+=|\s*$)", reply.out)) else ""
        return JobStatus(
            state=state,
            reason="" if reason == "None" else reason,
            meaning=meaning(reason),
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
    state = STATES.get(word, JobState.UNKNOWN)
    pending = state is JobState.PENDING
    return (
        array if index == "N/A" else f"{array}_{index}",
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
