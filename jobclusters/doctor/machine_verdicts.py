"""What the doctor makes of this machine: each verdict is a pure function of facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jobclusters.dialect import Dialect
from jobclusters.doctor.verdict import Verdict, ok, unchecked, wrong
from jobclusters.errors import unknown
from jobclusters.spec import JobSpec
from jobclusters.units import MIB

#: Open files that a scheduler or a worker of a small cluster needs.
OPEN_FILES = 1024
#: Chunks of an array that a thread handles at once: what it reads, what it writes, and what lies between.
CHUNKS = 4


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
    """Judge a batch system whose commands are here, but reach nobody."""
    return wrong("batch system", sentence, "wait until it answers, or ask its administrators what is the matter")


def queue(name: str | None, queues: Sequence[str] | None) -> Verdict:
    """Judge the name of a queue; ``queues`` is None if nobody could be asked."""
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
    """Judge whose share is charged."""
    if name is not None and name not in accounts:
        return wrong(
            "account", f"you have no account {name!r}; yours: {', '.join(accounts) or 'none'}", "use one with --account"
        )
    most = accounts.get(name) if name is not None else min(filter(None, accounts.values()), default=None)
    limit = f", for at most {most} jobs at once; more are held back, and follow" if most is not None else ""
    return ok("account", f"{name or ', '.join(accounts)}{limit}")


def own_directory(check: str, path: str, error: str, setting: str) -> Verdict | None:
    """Judge a directory on this machine; None if all is well as far as that goes."""
    if not error:
        return None
    return wrong(check, f"{path} can't be used on this machine: {error}", f"make it, or set {setting} to another")


def open_files(limit: int | None) -> Verdict:
    """Judge how many files the scheduler may have open on this machine, a connection being one."""
    if limit is not None and limit < OPEN_FILES:
        return wrong(
            "limits here",
            f"only {limit} open files: a scheduler needs two for each worker",
            f"ulimit -n {4 * OPEN_FILES}",
        )
    return ok("limits here", f"{limit or 'any number of'} open files")


def chunk_size(size: int, spec: JobSpec) -> Verdict:
    """Judge Dask's usual size of a chunk against what a thread has.

    Parameters
    ----------
    size
        ``array.chunk-size``, in bytes.
    spec
        Of the job.
    """
    share = spec.memory_limit // spec.nthreads
    says = f"array.chunk-size is {size // MIB} MiB, and a thread has {share // MIB} MiB"
    if size * CHUNKS <= share:
        return ok("chunks", says)
    return wrong(
        "chunks",
        f"{says}: {CHUNKS} chunks don't fit into that",
        f"dask.config.set({{'array.chunk-size': '{max(1, share // CHUNKS // MIB)} MiB'}}), or ask for more memory",
    )
