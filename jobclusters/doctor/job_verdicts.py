"""What the doctor makes of what came of the probe job: each verdict is a pure function of facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jobclusters import diagnose
from jobclusters.doctor.report import Outcome
from jobclusters.doctor.verdict import Verdict, ok, wrong

#: Lines of a job's output that are shown.
LINES = 8
#: What stands in a hint of :mod:`jobclusters.diagnose`, the check that it belongs to, and what to do.
_CAUSES = (
    ("log directory", "log directory", "set --log-directory (log_directory=) to a directory that nodes see"),
    ("Python", "Python there", "set --python or --software to what is on the nodes"),
    ("walltime", "probe job", "give it more with --walltime"),
    ("memory", "probe job", "give it more with --memory or --worker-memory"),
)


def silent(job_id: str, sentence: str, hint: str, output: Iterable[str]) -> Verdict:
    """Judge a job that ended without a report: its state, what that may mean, and its last lines."""
    last = "".join(f"\n    | {line}" for line in output)
    for word, check, do in _CAUSES:
        if word in hint:
            return wrong(check, f"job {job_id}: {sentence}: {hint}{last}", do)
    return wrong(
        "probe job",
        f"job {job_id} ended without a report: {sentence}{hint and f': {hint}'}{last}",
        "look at its script (jobclusters script) and at what it prints",
    )


def waiting(job_id: str, sentence: str, seconds: float, never: Collection[str], reason: str) -> Verdict:
    """Judge a job that didn't start, or didn't report, in time."""
    if reason in never:
        return wrong("probe job", f"job {job_id} can never start: {sentence}", "ask for less, or for another queue")
    return wrong(
        "probe job",
        f"job {job_id} has told nothing for {seconds:g} s: {sentence}",
        "wait longer with --wait, or ask for a queue with free nodes",
    )


def log_directory(path: str, seen: bool) -> Verdict:
    """Judge whether the output of jobs arrives here."""
    if not seen:
        return wrong(
            "log directory",
            f"the job's output didn't arrive in {path}",
            "set --log-directory (log_directory=) to a directory that nodes see, such as one in your home",
        )
    return ok("log directory", f"the job's output arrived in {path}")


def probe_job(outcome: Outcome, never: Collection[str], log: str | None, wait: float) -> list[Verdict]:
    """Judge whether the job ran and reported.

    Parameters
    ----------
    outcome
        What became of it.
    never
        The reasons for which the batch system never starts a job.
    log
        The directory of its output; None if the queue has its own.
    wait
        Seconds for which it was waited for.
    """
    status, job_id = outcome.status, outcome.job_id
    if outcome.found is not None:
        lines = [ok("probe job", f"job {job_id} ran on {outcome.found['node']}")]
        return lines + ([log_directory(log, "output" in outcome.by)] if log else [])
    if outcome.error:
        return [wrong("probe job", outcome.error, "change what these words name, such as --queue or --account")]
    if status.state.ended:
        last = [line for line in (outcome.output or "").splitlines() if line.strip()][-LINES:]
        return [silent(job_id, status.sentence(), diagnose.hint(status, outcome.output), last)]
    return [waiting(job_id, status.sentence(), wait, never, status.reason)]
