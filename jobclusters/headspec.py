"""Reads where a cluster's head is to run, and what its job looks like if it gets one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from jobclusters.call import Call
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.layers import COMMON, Layer, Site
from jobclusters.request import resolve_layers
from jobclusters.software import NO_SOFTWARE
from jobclusters.spec import NO_SCHEDULER, JobSpec
from jobclusters.units import UNLIMITED

#: Where a head may run: in this Python, in a process of its own on this machine, in a job.
HEADS = ("process", "detached", "job")

#: Keywords that say how large the head's job is, and where it goes; each means that there is one.
SCHEDULER_KEYWORDS = (
    *("scheduler_size", "scheduler_cpu", "scheduler_memory"),
    *("scheduler_queue", "scheduler_walltime", "scheduler_extra_directives"),
)

#: A head's cores and memory unless something is said (Coiled's).
CPU, MEMORY = 1, "8 GiB"

_RENAMED = {"scheduler_walltime": "walltime", "scheduler_extra_directives": "job_extra_directives"}


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
        """After which the batch system ends it; None if it doesn't."""
        walltime = self.spec.walltime if self.spec else None
        return None if walltime == UNLIMITED else walltime


def head_kind(call: Call) -> str:
    """Tell where the head of a cluster is to run.

    Raises
    ------
    InvalidRequest
        If it is asked for in two ways, or in one there isn't.
    """
    problems = Problems()
    said = [key for key in SCHEDULER_KEYWORDS if call.value(key) is not None]
    kind = call.value("head", "job" if said else "process")
    if kind not in HEADS:
        problems.append(unknown("head", kind, HEADS))
    elif said and kind != "job":
        problems.append(f"head={kind!r} has no job, but {', '.join(said)} asks for one: leave them out, or head='job'")
    if kind == "job" and call.dialect.name == "local":
        problems.append("head='job': this machine's queue ends with the process that holds it; say head='detached'")
    if kind == "process" and call.value("shutdown_on_close") is False:
        problems.append(
            "shutdown_on_close=False: the head is in this process, and ends with it; with head='job' or"
            " head='detached' the cluster goes on"
        )
    problems.raise_any()
    return str(kind)


def head_spec(call: Call, site: Site, name: str) -> JobSpec:
    """Resolve the head's job: no GPU, never spot.

    Parameters
    ----------
    call
        Of the cluster.
    site
        The configuration.
    name
        Of the cluster.

    Raises
    ------
    InvalidRequest
        With every problem.
    """
    shared = call.asked.said(COMMON)
    own: dict[str, object] = {"job_name": f"dask-head-{name[:24]}", "processes": 1, "nanny": False}
    own |= {new: call.value(key) for key, new in _RENAMED.items() if call.value(key) is not None}
    if (size := call.value("scheduler_size")) is not None:
        own["worker_size"] = size
    cpu, memory = call.value("scheduler_cpu"), call.value("scheduler_memory")
    if size is None:
        own |= {"worker_cpu": CPU if cpu is None else cpu, "worker_memory": MEMORY if memory is None else memory}
    elif cpu is not None or memory is not None:
        both = "scheduler_size, and scheduler_cpu or scheduler_memory"
        raise InvalidRequest(f"{both}: each says how large the head's job is; give only one of them")
    if (queue := call.value("scheduler_queue")) is not None:
        own["queue"] = queue
    layer: Layer = ("the head", {**shared, **own})
    try:
        spec, _ = resolve_layers(call.dialect, [layer], site, "head", NO_SCHEDULER)
    except InvalidRequest as error:
        raise InvalidRequest(map(_in_its_words, error.problems)) from None
    queue_found = site.queues.get(spec.queue or "")
    if call.value("scheduler_walltime") is None and queue_found is not None and queue_found.walltime is not None:
        spec = replace(spec, walltime=queue_found.walltime)  # it has to outlast its workers
    if spec.gpus:
        Problems([f"scheduler_size={size!r} has GPUs, which a scheduler doesn't use: take one without"]).raise_any()
    own_python = spec.software.own_python
    return replace(spec, software=NO_SOFTWARE if own_python else spec.software, requeue=False)


def _in_its_words(problem: str) -> str:
    """Name the keywords that were given."""
    return "the head: " + re.sub(r"\bworker_(size|cpu|memory)\b", r"scheduler_\1", problem)


def with_files(spec: JobSpec, directory: Path, run: str, python: str) -> JobSpec:
    """Tell a head's job where its files are; what follows the head there looks whether it has left something behind."""
    leftovers = shlex.join([python, "-m", "jobclusters.head", "--sweep", str(directory), run])
    return replace(
        spec,
        head=(str(directory), run),
        python=(python,),
        worker_args=(),
        versions=None,
        hands_over=False,
        due=None,
        lifetime=None,
        log_directory=str(directory),
        epilogue=(leftovers,),
    )
