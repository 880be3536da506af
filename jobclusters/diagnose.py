"""Says why a job ended before its workers registered, and what to do about it."""

from __future__ import annotations

import re

from jobclusters.state import JobState, JobStatus

#: What a job's output holds, and what that means. The first that fits is told.
_IN_LOG: tuple[tuple[str, str], ...] = (
    (
        r"--tls-[a-z-]+'?: .*'(/.*)/[^/']*' (?:does not exist|is not readable)",
        r"the node can't read the cluster's credentials in \1: set jobclusters.directory to where all nodes can",
    ),
    (
        r"python\S*: (?:command )?not found|python\S*: No such file|python\S*: not found|env: .*python.*: No such file",
        "Python was not found on the node: it must stand at the same path there, or set python=",
    ),
    (r"No module named '?distributed", "Dask is not installed in the Python that the node ran: set python="),
    (r"No module named", "a module is missing in the Python that the node ran"),
    (
        r"(?i)(?:Timed out trying to connect|Connection refused|No route to host|OSError: Timed out)",
        "the worker could not reach the scheduler: set interface= to a network that the nodes see",
    ),
    (r"(?i)exceeded (?:job )?memory limit|oom[-_ ]kill|out of memory", "it used more memory than the job has"),
    (r"(?i)mismatched versions|version.*mismatch", "the worker's packages differ from the scheduler's"),
    (r"(?i)no space left on device", "a disk of the node is full: set local_directory="),
    (r"(?i)permission denied", "a file or directory may not be used on the node"),
)

_BY_STATE = {
    JobState.OUT_OF_MEMORY: "it used more memory than the job has: ask for a larger size",
    JobState.TIMEOUT: "its walltime was over: ask for more walltime=",
    JobState.CANCELLED: "somebody cancelled it",
    JobState.NODE_FAIL: "its node failed",
    JobState.PREEMPTED: "it gave way to another job",
}


def hint(status: JobStatus, log: str | None) -> str:
    """Say what the matter may be.

    Parameters
    ----------
    status
        How the job ended.
    log
        The end of its output; None if there is no output file.

    Returns
    -------
    str
        One clause; "" if nothing is known.

    Examples
    --------
    >>> hint(JobStatus(JobState.FAILED, exit_code=127), "slurm_script: line 9: /opt/python: No such file or directory")
    'Python was not found on the node: it must stand at the same path there, or set python='
    >>> hint(JobStatus(JobState.FAILED, signal=53), None)
    "the log directory or the working directory can't be used on the node"
    """
    if status.state in _BY_STATE:
        return _BY_STATE[status.state]
    # SLURM reports 0:53 when slurmd can't open the output file or enter the working directory.
    # Grid Engine puts the job into an error state, with these words.
    lost = status.signal == 53 or re.search(r"can't (?:open output file|chdir to)", status.reason)
    if status.state is JobState.FAILED and log is None and lost:
        return "the log directory or the working directory can't be used on the node"
    for pattern, meaning in _IN_LOG:
        if log and (found := re.search(pattern, log)):
            return found.expand(meaning)
    if status.exit_code == 127:
        return "a command of the script was not found on the node (Python, or one of job_script_prologue)"
    return ""


def obituary(job_id: str, status: JobStatus, log: str | None, lines: int = 8) -> str:
    """Tell of a job's end: state, exit code, node, a hint, and the last lines of its output."""
    text = f"job {job_id}: {status.sentence()}"
    if meaning := hint(status, log):
        text += f": {meaning}"
    last = [line for line in (log or "").splitlines() if line.strip()][-lines:]
    return text + "".join(f"\n    | {line}" for line in last)
