"""Reads where a cluster's head runs, and the spec of its job."""

from __future__ import annotations

import logging
import re
import shlex
from dataclasses import dataclass, replace
from datetime import timedelta

from jobclusters.config.call import Call
from jobclusters.config.keywords import HEAD_KEYWORDS, shared_keywords
from jobclusters.config.layers import DIRECTIVES, Layer
from jobclusters.config.resolve import resolve_layers
from jobclusters.config.site import Site
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.spec.job_spec import NO_SCHEDULER, JobSpec
from jobclusters.spec.software import NO_SOFTWARE
from jobclusters.spec.units import UNLIMITED

logger = logging.getLogger(__name__)

#: A head runs in this Python, in a process of its own on this machine, or in a job.
HEADS = ("process", "detached", "job")

#: The default cores and memory of a head's job (Coiled's).
DEFAULT_CPU, DEFAULT_MEMORY = 1, "8 GiB"


@dataclass(frozen=True)
class Head:
    """Where a cluster's head runs.

    Attributes
    ----------
    kind
        One of :data:`HEADS`.
    spec
        Of its job; None where it has none.
    """

    kind: str
    spec: JobSpec | None = None

    @property
    def walltime(self) -> timedelta | None:
        """The walltime of its job; None without a job or a limit."""
        walltime = self.spec.walltime if self.spec else None
        return None if walltime == UNLIMITED else walltime


def head_kind(call: Call) -> str:
    """Choose where the head of a cluster runs; raise InvalidRequest if the keywords contradict each other."""
    problems = Problems()
    given = [key for key in HEAD_KEYWORDS if call.value(key) is not None]
    here = call.dialect.name == "local"
    if given and here and call.value("head") != "job":
        logger.warning("%s: this machine's queue has no job for the scheduler; it does nothing here.", ", ".join(given))
        given = []
    kind = call.value("head", _usual_head(call, given, here))
    if kind not in HEADS:
        problems.append(unknown("head", kind, HEADS))
    elif given and kind != "job":
        problems.append(f"head={kind!r} has no job, but {', '.join(given)} asks for one: leave them out, or head='job'")
    if kind == "job" and here:
        problems.append("head='job': this machine's queue ends with the process that holds it; say head='detached'")
    if kind == "process" and call.value("shutdown_on_close") is False:
        problems.append(
            "shutdown_on_close=False: the head is in this process, and ends with it; with head='job' or"
            " head='detached' the cluster goes on"
        )
    problems.raise_any()
    return str(kind)


def _usual_head(call: Call, given: list[str], here: bool) -> str:
    if here:
        return "detached" if call.value("shutdown_on_close") is False else "process"
    return "job" if given else "process"


def head_spec(call: Call, site: Site, name: str) -> JobSpec:
    """Resolve the job of the head of the cluster of this name: no GPU, never spot; raise InvalidRequest otherwise."""
    shared = call.asked.of_the_user(shared_keywords(call.dialect, head=True))
    own: dict[str, object] = {"job_name": f"dask-head-{name[:24]}", "processes": 1, "nanny": False}
    own |= {sets: call.value(key) for key, sets in HEAD_KEYWORDS.items() if call.value(key) is not None}
    if "worker_size" not in own:
        own = {"worker_cpu": DEFAULT_CPU, "worker_memory": DEFAULT_MEMORY, **own}
    elif own.keys() & {"worker_cpu", "worker_memory"}:
        both = "scheduler_size, and scheduler_cpu or scheduler_memory"
        raise InvalidRequest(f"{both}: each says how large the head's job is; give only one of them")
    layers: list[Layer] = [("the head", own), ("the workers", shared)]
    try:
        spec, asked = resolve_layers(call.dialect, layers, site, "head", NO_SCHEDULER)
    except InvalidRequest as error:
        raise InvalidRequest(map(_with_head_keywords, error.problems)) from None
    queue_found = site.queues.get(spec.queue or "")
    chosen = call.value("scheduler_walltime") is not None or asked.sources.get("walltime") == DIRECTIVES
    if not chosen and queue_found is not None and queue_found.walltime is not None:
        spec = replace(spec, walltime=queue_found.walltime)  # the head must outlast its workers
    if spec.gpus:
        Problems(
            [f"scheduler_size={own['worker_size']!r} has GPUs, which a scheduler doesn't use: take one without"]
        ).raise_any()
    own_python = spec.software.own_python
    return replace(spec, software=NO_SOFTWARE if own_python else spec.software, requeue=False)


def _with_head_keywords(problem: str) -> str:
    """Name the keywords of the head in a problem of its job."""
    return "the head: " + re.sub(r"\bworker_(size|cpu|memory)\b", r"scheduler_\1", problem)


def with_files(spec: JobSpec, words: tuple[str, str, str], python: tuple[str, ...]) -> JobSpec:
    """Complete the spec of a head's job: its command, and a sweep after it.

    ``words`` are the cluster's directory, its run, and the digest of its order; ``python`` is the command of
    :func:`jobclusters.config.own_python.own_python`.
    """
    directory, run, _ = words
    sweep = shlex.join([*python, "-m", "jobclusters.head", "--sweep", directory, run])
    return replace(
        spec,
        head=words,
        python=python,
        worker_args=(),
        versions=None,
        hands_over=False,
        forks=(),
        guards=False,
        due=None,
        lifetime=None,
        log_directory=directory,
        epilogue=(sweep,),
    )
