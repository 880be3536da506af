"""The doctor's verdicts: each is a pure function of facts from this machine or from the probe on a node."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jobclusters.dialects.base import Dialect
from jobclusters.doctor.report import Outcome, Verdict, ok, unchecked, wrong
from jobclusters.errors import unknown
from jobclusters.jobs import failures
from jobclusters.registry.openssl import SETTING
from jobclusters.spec.job_spec import JobSpec
from jobclusters.spec.units import MIB

#: Lines of a job's output that are shown.
OUTPUT_LINES = 8

#: A word in the hints of :mod:`jobclusters.jobs.failures`, the check that it belongs to, and what to do.
_CAUSES = (
    ("log directory", "log directory", "set --log-directory (log_directory=) to a directory that nodes see"),
    ("Python", "Python there", "set --python or --software to what is on the nodes"),
    ("walltime", "probe job", "give it more with --walltime"),
    ("memory", "probe job", "give it more with --memory or --worker-memory"),
)


def silent(job_id: str, sentence: str, hint: str, output: Iterable[str]) -> Verdict:
    """Judge a job that ended without a report: its state, the likely cause, and its last lines."""
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
        f"job {job_id} has not reported for {seconds:g} s: {sentence}",
        "wait longer with --wait, or ask for a queue with free nodes",
    )


def log_directory(path: str, seen: bool, ended: bool = True) -> Verdict:
    """Judge whether the output of jobs arrives here; some batch systems bring it when a job has ended."""
    if not seen and not ended:
        return unchecked("log directory", f"the job hasn't ended yet, and its output hasn't arrived in {path}")
    if not seen:
        return wrong(
            "log directory",
            f"the job's output didn't arrive in {path}",
            "set --log-directory (log_directory=) to a directory that nodes see, such as one in your home",
        )
    return ok("log directory", f"the job's output arrived in {path}")


def probe_job(outcome: Outcome, never: Collection[str], log: str | None, wait: float) -> list[Verdict]:
    """Judge whether the job ran and reported; ``log`` is None if the queue has its own directory of output."""
    status, job_id = outcome.status, outcome.job_id
    if outcome.found is not None:
        lines = [ok("probe job", f"job {job_id} ran on {outcome.found['node']}")]
        return lines + ([log_directory(log, "output" in outcome.by, status.state.ended)] if log else [])
    if outcome.error:
        return [wrong("probe job", outcome.error, "change what these words name, such as --queue or --account")]
    if status.state.ended:
        last = [line for line in (outcome.output or "").splitlines() if line.strip()][-OUTPUT_LINES:]
        return [silent(job_id, status.sentence(), failures.hint(status, outcome.output), last)]
    return [waiting(job_id, status.sentence(), wait, never, status.reason)]


#: Open files that a scheduler or a worker of a small cluster needs.
OPEN_FILES = 1024

#: Chunks of an array in a thread's memory at once: input, output, and intermediate results.
THREAD_CHUNKS = 4


def batch_system(dialect: Dialect, missing: Sequence[str], version: str) -> Verdict:
    """Judge whether the batch system's commands are here."""
    if missing:
        return wrong(
            "batch system",
            f"{dialect.title}'s {', '.join(missing)} can't be found on this machine",
            "log in to a machine that submits jobs, load the batch system's module, or name another with --system",
        )
    return ok("batch system", " ".join(filter(None, (dialect.title, version and f"({version})"))))


def no_answer(sentence: str) -> Verdict:
    """Judge a batch system whose commands are here, but get no answer."""
    return wrong("batch system", sentence, "wait until it answers, or ask its administrators what is the matter")


def queue(name: str | None, queues: Sequence[str] | None) -> Verdict:
    """Judge the name of a queue; ``queues`` is None if they can't be listed."""
    if name is None:
        return ok("queue", "none is named: the batch system chooses")
    if queues is None:
        return unchecked("queue", f"whether {name} exists isn't known: the queues can't be listed here")
    # A list of queues (SLURM), or one on some hosts (Grid Engine).
    bad = [each for each in (part.partition("@")[0] for part in name.split(",")) if each not in queues]
    if bad and not re.search(r"[*?@]", name):
        return wrong(
            "queue", unknown("queue", bad[0], queues), "name one of these with --queue or in the configuration"
        )
    return ok("queue", f"{name} is there")


def account(name: str | None, accounts: Mapping[str, int | None]) -> Verdict:
    """Judge the account that is charged."""
    if name is not None and name not in accounts:
        return wrong(
            "account", f"you have no account {name!r}; yours: {', '.join(accounts) or 'none'}", "use one with --account"
        )
    most = accounts.get(name) if name is not None else min(filter(None, accounts.values()), default=None)
    limit = f", for at most {most} jobs at once; more are held back, and follow" if most is not None else ""
    return ok("account", f"{name or ', '.join(accounts)}{limit}")


def own_directory(check: str, path: str, error: str, setting: str) -> Verdict | None:
    """Judge a directory on this machine; None if nothing is wrong here."""
    if not error:
        return None
    return wrong(check, f"{path} can't be used on this machine: {error}", f"make it, or set {setting} to another")


def open_files(limit: int | None) -> Verdict:
    """Judge the limit of open files for the scheduler on this machine; each connection is one."""
    if limit is not None and limit < OPEN_FILES:
        return wrong(
            "limits here",
            f"only {limit} open files: a scheduler needs two for each worker",
            f"ulimit -n {4 * OPEN_FILES}",
        )
    return ok("limits here", f"{limit or 'any number of'} open files")


def encryption(python: str, library: str, ours: str, pythons: str, *, off: bool) -> Verdict:
    """Judge whether encrypted connections survive another one that breaks off.

    ``ours`` and ``pythons`` are the errors of a cluster's connections, and of Python's own, or ""; ``off`` says whether
    a setting leaves the cluster's to Python.
    """
    check, here = "encryption", f"Python {python} with {' '.join(library.split()[:2])}"
    if ours:
        return wrong(
            check,
            f"{here}: a connection fails when another one has broken off ({ours})",
            f"leave out {SETTING}: false" if off else "use a Python with OpenSSL 3.3 or older, and report this line",
        )
    if pythons:
        return ok(check, f"{here}: a cluster's connections outlast one that breaks off; others don't ({pythons})")
    return ok(check, f"{here}: connections outlast one that breaks off")


def chunk_size(size: int, spec: JobSpec) -> Verdict:
    """Judge Dask's ``array.chunk-size``, in bytes, against the memory of a thread."""
    share = spec.memory_limit // spec.nthreads
    says = f"array.chunk-size is {size // MIB} MiB, and a thread has {share // MIB} MiB"
    if size * THREAD_CHUNKS <= share:
        return ok("chunks", says)
    return wrong(
        "chunks",
        f"{says}: {THREAD_CHUNKS} chunks don't fit into that",
        f"dask.config.set({{'array.chunk-size': '{max(1, share // THREAD_CHUNKS // MIB)} MiB'}}), or ask for more"
        " memory",
    )


#: Seconds by which clocks may differ.
CLOCK_TOLERANCE = 5.0


def address(chosen: str, interface: str | None, reached: Mapping[str, str], names: Mapping[str, str]) -> Verdict:
    """Judge the way from a node to the scheduler's address.

    ``reached`` has the node's error for each address, or ""; ``names`` the networks of other addresses.
    """
    check = "scheduler's address"
    where = f"{chosen}{f' ({interface})' if interface else ''}"
    error = reached.get(chosen, "not tried")
    if not error:
        return ok(check, f"{where} is reached from the node")
    others = [names[each] for each, what in reached.items() if not what and each in names]
    return wrong(
        check,
        f"{where} isn't reached from the node: {error}",
        f"--interface {others[0]} (interface={others[0]!r}), which is"
        if others
        else "ask for the network between login and compute nodes (--interface), and whether a firewall closes ports",
    )


def way_back(host: str, error: str) -> Verdict:
    """Judge the way from the scheduler to a worker: the scheduler connects to workers, too."""
    if error:
        return wrong(
            "worker's address",
            f"{host} isn't reached from this machine: {error}",
            "ask which ports a firewall leaves, and keep to these: --ports 40000-40100 (ports=)",
        )
    return ok("worker's address", f"{host} is reached from this machine")


def software(found: Mapping[str, Any], here: Mapping[str, str]) -> Verdict:
    """Judge the probe's Python against the versions of python, dask and distributed at the scheduler."""
    check = "Python there"
    packages = found["packages"]
    for name in ("dask", "distributed"):
        if error := packages[name]["error"]:
            return wrong(
                check, f"{found['executable']} on the node can't import {name}: {error}", "set --python or --software"
            )
    there = {"python": found["python"], **{name: packages[name]["version"] for name in ("dask", "distributed")}}
    differ = [name for name in here if _comparable(name, here[name]) != _comparable(name, there[name])]
    if differ:
        versions = ", ".join(f"{name} {there[name]} there and {here[name]} here" for name in differ)
        return wrong(check, f"{versions}: tasks may fail", "give both the same software (--python or --software)")
    return ok(check, f"Python {there['python']} and distributed {there['distributed']}, as here")


def _comparable(name: str, version: str) -> list[str]:
    return version.split(".")[:2] if name == "python" else [version]


def shared_directory(path: str, error: str) -> Verdict:
    """Judge whether a node sees the directory that clusters and their jobs share."""
    if error:
        return wrong(
            "shared directory",
            f"{path} of this machine isn't seen by the node: {error}",
            "set jobclusters.directory to a directory that nodes see, such as one in your home",
        )
    return ok("shared directory", f"{path} is seen by the node")


def tls_files(errors: Mapping[str, str]) -> Verdict:
    """Judge whether a node can read the files of encrypted connections."""
    if bad := {path: error for path, error in errors.items() if error}:
        path, error = next(iter(bad.items()))
        return wrong(
            "TLS files",
            f"{path} can't be read on the node: {error}",
            "keep them where nodes see them (distributed.comm.tls)",
        )
    return ok("TLS files", f"{', '.join(errors)} can be read on the node" if errors else "none are configured")


def clocks(ahead: float | None) -> Verdict:
    """Judge the difference between the clocks, in seconds."""
    if ahead is None:
        return unchecked("clocks", "they can't be compared, as the node didn't reach this machine")
    if abs(ahead) > CLOCK_TOLERANCE:
        return wrong(
            "clocks",
            f"the node's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
            "tell the administrators that NTP doesn't run",
        )
    return ok("clocks", f"they differ by {abs(ahead):.2f} s")


def limits_there(files: Sequence[int | None], processes: Sequence[int | None], spec: JobSpec) -> Verdict:
    """Judge limits on a node: soft and hard ones. ``dask worker`` raises that of open files by itself."""
    need = spec.processes * 20 + 2 * spec.cores
    (_, most_files), (most_processes, _) = files, processes
    problems = [
        ("-n", f"only {most_files} open files", OPEN_FILES, most_files),
        ("-u", f"only {most_processes} processes and threads, and a job has about {need}", need, most_processes),
    ]
    for flag, says, least, limit in problems:
        if limit is not None and limit < least:
            line = f"ulimit {flag} {4 * least}"
            return wrong("limits there", says, f"ask for more, or try job_script_prologue=[{line!r}]")
    numbers = " and ".join(
        f"{'any number of' if limit is None else limit} {what}"
        for what, limit in (("open files", most_files), ("processes", most_processes))
    )
    return ok("limits there", numbers)
