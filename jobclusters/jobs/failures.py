"""Explains how jobs ended, counts failures, leaves nodes out, and stops submitting after too many in a row."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from jobclusters.errors import JobsFailed, QueueError
from jobclusters.jobs.record import JobRecord
from jobclusters.spec.job_spec import NODE_NAME
from jobclusters.spec.units import counted
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: What a job's output holds, and what that means. The first that fits is shown.
_IN_LOG: tuple[tuple[str, str], ...] = (
    (
        r"--tls-[a-z-]+'?: .*'(/.*)/[^/']*' (?:does not exist|is not readable)",
        r"the node can't read the cluster's credentials in \1: set jobclusters.directory to where all nodes can",
    ),
    (
        r"python\S*: (?:command )?not found|python\S*: No such file|python\S*: not found|env: .*python.*: No such file",
        "Python was not found on the node: it must be at the same path there, or set python=",
    ),
    (r"No module named '?distributed", "Dask is not installed in the Python that the node ran: set python="),
    (r"No module named", "a module is missing in the Python that the node ran"),
    (
        r"(?i)(?:Timed out trying to connect|Connection refused|No route to host|OSError: Timed out)",
        "the worker could not reach the scheduler: set interface= to a network that the nodes see",
    ),
    (r"(?i)exceeded (?:job )?memory limit|oom[-_ ]kill|out of memory", "it used more memory than the job has"),
    (
        r"GLIBC(?:XX)?_[\d.]+\W* not found|\bGLIBC(?:XX)?_\d",
        "the node's system is older than what Python or a package was built for: build it there, or take a container",
    ),
    (
        r"(?i)illegal instruction",
        "the node's processor is older than what Python or a package was built for: build there, or take other nodes",
    ),
    (
        r"'([^'\s]+)' is not a valid network interface",
        r"the node has no network \1: set interface= to one that scheduler and nodes have",
    ),
    (r"EnvironmentNameNotFound|Could not find conda environment", "the conda environment isn't there on the node"),
    (
        r"Unable to locate a modulefile for|(?i:module\(s\) (?:are unknown|exist but cannot be loaded))",
        "a module of software= or job_script_prologue isn't there on the node",
    ),
    (
        r"Unknown argument specified|Error: No such option",
        "the worker doesn't know an argument of worker_extra_args or worker_options",
    ),
    (r"(?i)mismatched versions|version.*mismatch", "the worker's packages differ from the scheduler's"),
    # Python's numbers stay, whatever the language of the words is.
    (r"\[Errno 28\]|(?i:no space left on device)", "a disk of the node is full: set local_directory="),
    (
        r"\[Errno 122\]|(?i:disk quota exceeded)",
        "your quota is used up: remove files, or set local_directory= and log_directory= to other file systems",
    ),
    (
        r"\[Errno 24\]|(?i:too many open files)",
        "it may not open more files: put ulimit -n 65536 into job_script_prologue",
    ),
    (r"\[Errno 99\]", "the worker could not listen at its address: set interface= to a network that the nodes have"),
    (
        r"\[Errno (?:2|20|30)\][^\n]*?'([^'\n]+)'",
        r"the node has no \1, and it can't be made there: see local_directory=",
    ),
    (r"\[Errno (?:1|13)\]|(?i:permission denied)", "a file or directory may not be used on the node"),
)

#: Python's path at the beginning of a shell's complaint, whose words may be in any language.
_NO_PYTHON = re.compile(r"\bpython[\w.]*'?: ")

_BY_STATE = {
    JobState.OUT_OF_MEMORY: "it used more memory than the job has: ask for a larger size",
    JobState.TIMEOUT: "its walltime was over: ask for more walltime=",
    JobState.CANCELLED: "a user or an administrator cancelled it",
    JobState.NODE_FAIL: "its node failed",
    JobState.PREEMPTED: "it gave way to another job",
}


#: Exit codes of shells: a command is not there, a signal ended it.
_NOT_FOUND = 127
_ILLEGAL = 128 + signal.SIGILL
#: Python's exit code if the last of its output could not be written.
_NOT_WRITTEN = 120

#: Characters of a line of output that are shown.
LONGEST_LINE = 500


def hint(status: JobStatus, log: str | None) -> str:
    """Name the likely cause of a job's end, in a clause; "" if none is known.

    ``log`` is the end of its output; None if there is no output file.

    >>> hint(JobStatus(JobState.FAILED, exit_code=127), "slurm_script: line 9: /opt/python: No such file or directory")
    'Python was not found on the node: it must be at the same path there, or set python='
    >>> hint(JobStatus(JobState.FAILED, signal=53), None)
    "the log directory or the working directory can't be used on the node"
    """
    if status.state in _BY_STATE:
        return _BY_STATE[status.state]
    # SLURM reports 0:53 when slurmd can't open the output file or enter the working directory.
    # Grid Engine and OAR put the job into an error state, HTCondor holds it, with these words.
    lost = status.signal == 53 or re.search(
        r"can't (?:open output file|chdir to)|unable to establish standard|as standard (?:output|error)"
        r"|Cannot access initial working directory|Cannot create \.stdout|Cannot go into the working directory",
        status.reason,
    )
    if status.state is JobState.FAILED and log is None and lost:
        return "the log directory or the working directory can't be used on the node"
    for pattern, meaning in _IN_LOG:
        if log and (found := re.search(pattern, log)):
            return found.expand(meaning)
    if status.exit_code == _NOT_FOUND and log and _NO_PYTHON.search(log):
        return next(meaning for pattern, meaning in _IN_LOG if pattern.startswith("python"))
    if status.signal == signal.SIGILL or status.exit_code == _ILLEGAL:
        return next(meaning for pattern, meaning in _IN_LOG if "illegal" in pattern)
    if status.exit_code == _NOT_WRITTEN and not log:
        return "its output can't be written: the disk of log_directory is full, or your quota there is used up"
    if status.exit_code == _NOT_FOUND:
        return "a command of the script was not found on the node (Python, or one of job_script_prologue)"
    return ""


def explain_end(job_id: str, status: JobStatus, log: str | None, lines: int = 8) -> str:
    """Explain a job's end: state, exit code, node, a hint, and the last lines of its output."""
    text = f"job {job_id}: {status.sentence()}"
    if meaning := hint(status, log):
        text += f": {meaning}"
    last = [line[:LONGEST_LINE] for line in (log or "").splitlines() if line.strip()][-lines:]
    return text + "".join(f"\n    | {line}" for line in last)


#: Jobs of a group that may end in a row before any worker registers; then submitting them stops. Where more jobs of the
#: group work, as many as those: a node, or a moment, then says little about the next jobs.
MOST_FAILURES = 3

#: Jobs that may end so on one node; then the next ones stay away from it.
MOST_NODE_FAILURES = 2

#: Seconds after its last failure for which a node is left out.
NODE_TIMEOUT = 3600.0

#: Nodes that are left out at once; a cluster has more, and a command line takes no end of names.
MOST_AVOIDED = 16

#: Nodes of which it is remembered how jobs did there.
MOST_NODES = 1000

#: Ends that are explained one by one when many jobs end at once; the others are counted.
MOST_EXPLAINED = 5


class Failures:
    """Counts failures, and decides whether jobs that ended are replaced, those of each group by themselves.

    Parameters
    ----------
    log_tail
        Gives the end of a job's output, or None.
    excludes
        Whether the batch system can keep jobs away from a node.

    Attributes
    ----------
    bad_nodes : frozenset of str
        Nodes that new jobs stay away from: several jobs ended there before a worker registered, lately, while others
        have worked elsewhere.
    """

    def __init__(self, log_tail: Callable[[JobRecord], str | None], *, excludes: bool = True) -> None:
        self._log_tail = log_tail
        self._excludes = excludes
        #: Failures of each group since a worker of it last registered.
        self._in_a_row = Counter[str]()
        #: Why jobs of a group are submitted no more.
        self._stopped: dict[str, str] = {}
        self._last_end = ""
        self._refusal: QueueError | None = None
        #: How many jobs failed on a node, when the last one did, and of which groups; the latest at the end.
        self._by_node: dict[str, tuple[int, float, frozenset[str]]] = {}
        #: Nodes on which workers have registered, and of which groups; the latest at the end.
        self._proven: dict[str, frozenset[str]] = {}
        self.bad_nodes: frozenset[str] = frozenset()
        self.ever_worked = False

    @property
    def stopped(self) -> str:
        """Why jobs of some group are submitted no more; "" while those of all are."""
        return next(iter(self._stopped.values()), "")

    def stopped_for(self, group: str) -> str:
        """Give why a group's jobs are submitted no more; "" while they are."""
        return self._stopped.get(group, "")

    @property
    def refusal(self) -> str:
        """The batch system's words when it refused; "" if it didn't."""
        return str(self._refusal or "")

    def reset(self) -> None:
        """Start afresh: something new was asked for."""
        self._in_a_row.clear()
        self._stopped.clear()
        self._last_end = ""
        self._refusal = None
        self._by_node.clear()
        self.bad_nodes = frozenset()

    def worked(self, node: str = "", group: str = "") -> None:
        """Note that a worker of a group registered: its node, where that is known, is forgiven what was before."""
        self._in_a_row.pop(group, None)
        self.ever_worked = True
        if node:
            _remember(self._proven, node, self._proven.get(node, frozenset()) | {group})
            self._by_node.pop(node, None)
            self.review_nodes()

    def refused(self, error: QueueError, groups: Iterable[str] = ("",)) -> None:
        """Note a refused submission, of jobs of these groups."""
        self._refusal = error
        logger.error("The jobs were refused. %s", error)
        for group in groups:
            self._count(group, str(error), 1, MOST_FAILURES)

    def explain(self, records: Sequence[JobRecord]) -> dict[str, str]:
        """Explain the first of the jobs that ended without a worker, by their outputs; give it by name.

        It reads files, which may take long: any thread may do it.
        """
        dead = [record for record in records if not record.had_worker][:MOST_EXPLAINED]
        return {each.name: explain_end(str(each.job_id), each.status, self._log_tail(each)) for each in dead}

    def ended(
        self,
        records: Sequence[JobRecord],
        explanations: Mapping[str, str] | None = None,
        working: Mapping[str, int] | None = None,
    ) -> None:
        """Note jobs that ended without our asking, and log it.

        Parameters
        ----------
        records
            The jobs.
        explanations
            Of some of them, by name; read now unless given.
        working
            How many jobs of each group have a connected worker; none unless given.
        """
        known = self.explain(records) if explanations is None else explanations
        logged, others = 0, Counter[str]()
        for record in records:
            text = known.get(record.name) or f"job {record.job_id}: {record.status.sentence()}"
            if record.had_worker:
                self.ever_worked = True
            elif record.status.state is not JobState.CANCELLED:
                self._last_end = text
                self._blame(record)
            if logged == MOST_EXPLAINED:
                others[str(record.status.state)] += 1
                continue
            logged += 1
            if record.had_worker:
                logger.warning("Job %s ended: %s.", record.job_id, record.status.sentence())
            else:
                logger.warning("A job ended before a worker registered: %s", text)
        if others:
            states = ", ".join(f"{count} {state}" for state, count in others.most_common())
            logger.warning("%d more jobs ended at the same time: %s.", others.total(), states)
        self._count_failed([record for record in records if not record.had_worker], known, working or {})
        self.review_nodes()

    def _count_failed(self, failed: Sequence[JobRecord], known: Mapping[str, str], working: Mapping[str, int]) -> None:
        """Count jobs that ended before a worker registered; where others work, those of one node count as one."""
        for group in dict.fromkeys(record.group for record in failed):
            dead = [record for record in failed if record.group == group]
            works = working.get(group, 0)
            count = len({record.status.node or record.name for record in dead}) if works else len(dead)
            last = next((each for each in reversed(dead) if each.name in known), dead[-1])
            text = known.get(last.name) or f"job {last.job_id}: {last.status.sentence()}"
            self._count(group, text, count, max(MOST_FAILURES, works))

    def _blame(self, record: JobRecord) -> None:
        if NODE_NAME.fullmatch(node := record.status.node):  # a script names those that are left out
            now = time.monotonic()
            count, last, groups = self._by_node.get(node, (0, now, frozenset()))
            if now - last >= NODE_TIMEOUT:
                count, groups = 0, frozenset()
            _remember(self._by_node, node, (count + 1, now, groups | {record.group}))

    def review_nodes(self) -> None:
        """Decide which nodes are left out, and log what has changed.

        A node is forgiven after a time, and when a worker registers there. The last one on which jobs of a group are
        known to work is never left out, and none is while nothing has worked anywhere: then it may not be the nodes.
        """
        if not self._by_node and not self.bad_nodes:
            return
        since = time.monotonic() - NODE_TIMEOUT
        by_node = self._by_node.items()
        failing = [node for node, (count, last, _) in by_node if count >= MOST_NODE_FAILURES and last > since][
            -MOST_AVOIDED:
        ]
        elsewhere = frozenset[str]().union(*(groups for node, groups in self._proven.items() if node not in failing))
        bad = frozenset(
            node for node in failing if self._by_node[node][2] | self._proven.get(node, frozenset()) <= elsewhere
        )
        for node in sorted(bad - self.bad_nodes):
            away = (
                "stay away from it" if self._excludes else "can't be kept away from it here; ask for it to be looked at"
            )
            logger.warning("%s failed on node %s: new jobs %s.", counted(self._by_node[node][0], "job"), node, away)
        if forgiven := sorted(self.bad_nodes - bad):
            logger.info("New jobs may run on %s again.", ", ".join(forgiven))
        self.bad_nodes = bad

    def _count(self, group: str, text: str, count: int, allowed: int) -> None:
        self._in_a_row[group] += count
        if self._in_a_row[group] >= allowed and group not in self._stopped:
            why = f"{self._in_a_row[group]} failures in a row without a worker; the last: {text}"
            self._stopped[group] = why
            logger.error("No more jobs are submitted until the next scale(): %s", why)

    def trouble(self, records: Iterable[JobRecord], never: Iterable[str]) -> QueueError | None:
        """Give the error for those who wait for workers, or None."""
        if self._refusal is not None:
            return type(self._refusal)(str(self._refusal))  # a new one: each raise adds to an error's traceback
        if self.stopped:
            return JobsFailed(f"no more jobs are submitted after {self.stopped}")
        if self._last_end and not self.ever_worked:
            return JobsFailed(f"jobs end before a worker registers: {self._last_end}")
        pending = [record for record in records if not record.leaving]
        hopeless = [r for r in pending if r.status.state is JobState.PENDING and r.status.reason in never]
        if hopeless and len(hopeless) == len(pending):
            job = hopeless[0]
            return JobsFailed(
                f"job {job.job_id} can never start: the batch system says {job.status.reason}."
                " Ask for less, or for another queue"
            )
        return None


def _remember(nodes: dict[str, T], node: str, value: T) -> None:
    """Note something of a node, as the latest; forget the earliest where there are many."""
    nodes.pop(node, None)
    nodes[node] = value
    if len(nodes) > MOST_NODES:
        del nodes[next(iter(nodes))]
