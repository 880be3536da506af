"""Examines the way from this machine to a worker: this machine first, and then, with a probe, a node."""

from __future__ import annotations

import platform
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import dask.config
from dask.utils import parse_bytes

from jobclusters.call import Call
from jobclusters.commandqueue import Verbs
from jobclusters.doctor import job_verdicts, machine_verdicts, node_verdicts
from jobclusters.doctor.batchsystem import ask_batch_system
from jobclusters.doctor.directories import DIRECTORY, directory_or_own, find_directories, tls_files
from jobclusters.doctor.probejob import send_probe
from jobclusters.doctor.report import Outcome
from jobclusters.doctor.scheduler import Scheduler, find_scheduler
from jobclusters.doctor.verdict import Verdict, unchecked
from jobclusters.script import render
from jobclusters.spec import JobSpec


async def examine(
    call: Call,
    verbs: Verbs,
    *,
    directory: str = DIRECTORY,
    job: bool = True,
    wait: float = 120.0,
    sized: bool = True,
    told: Callable[[Verdict], None] = lambda _: None,
    starts: Callable[[str], None] = lambda _: None,
) -> tuple[list[Verdict], dict[str, Any] | None]:
    """Check everything.

    Parameters
    ----------
    call
        Of a worker's job.
    verbs
        The batch system, or this machine's queue.
    directory
        What clusters and their jobs share.
    job
        Whether to send a job to a node.
    wait
        Seconds to wait for it.
    sized
        Whether the job's size is what workers will have.
    told
        Hears each verdict as it comes.
    starts
        Hears what takes a while.

    Returns
    -------
    verdicts : list of Verdict
    node : dict or None
        What the probe reported.
    """
    lines: list[Verdict] = []

    def tell(*more: Verdict | None) -> None:
        for each in filter(None, more):
            lines.append(each)
            told(each)

    tell(*await ask_batch_system(call))
    log, shared, trouble = find_directories(call, directory)
    tell(*trouble.values(), machine_verdicts.open_files(_limit(resource.RLIMIT_NOFILE)))
    chunk = parse_bytes(dask.config.get("array.chunk-size", "128 MiB"))
    tell(machine_verdicts.chunk_size(chunk, call.spec) if sized else unchecked("chunks", "no size of a job is given"))
    scheduler = find_scheduler(call)
    if isinstance(scheduler, Verdict):
        tell(scheduler)
    if not job:
        tell(unchecked("probe job", "not sent"))
        return lines, None
    if isinstance(scheduler, Verdict) or "logs" in trouble or lines[0].verdict == "wrong":
        tell(unchecked("probe job", "not sent: what is wrong above comes first"))
        return lines, None
    starts(f"A job is sent to look from a node; it has {wait:g} s.")
    settings = _ProbeSettings(call, verbs, scheduler, log, None if "shared" in trouble else shared, wait)
    named_wrongly = any(each.verdict == "wrong" for each in lines if each.check in ("queue", "account"))
    return lines, await _look_from_a_node(settings, tell, named_wrongly=named_wrongly)


def _limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class _ProbeSettings:
    """What sending a probe, and judging what comes of it, depends on.

    Attributes
    ----------
    call, verbs, wait
        As for :func:`examine`.
    scheduler
        Whose addresses the probe tries.
    log
        The directory of the jobs' output; None if the queue has its own.
    shared
        What clusters and their jobs share; None if it can't be used.
    """

    call: Call
    verbs: Verbs
    scheduler: Scheduler
    log: str | None
    shared: str | None
    wait: float


async def _look_from_a_node(
    settings: _ProbeSettings, tell: Callable[..., None], *, named_wrongly: bool
) -> dict[str, Any] | None:
    """Send a probe, tell the verdicts, and give what it reported.

    Parameters
    ----------
    settings
        Of the probe.
    tell
        Takes the verdicts.
    named_wrongly
        Whether the batch system will refuse the job because of its queue or its account.
    """
    call, wait = settings.call, settings.wait
    outcome = await _send(settings, call.spec)
    found_out = job_verdicts.probe_job(outcome, call.dialect.never, settings.log, wait)
    if outcome.error and named_wrongly:
        found_out = [unchecked("probe job", f"refused, as was to be expected: {outcome.error}")]
    tell(*found_out)
    # Another directory will do to see the rest.
    if settings.shared and found_out[0].check == found_out[-1].check == "log directory":
        outcome = await _send(settings, replace(call.spec, log_directory=settings.shared))
        tell(*job_verdicts.probe_job(outcome, call.dialect.never, None, wait))
    if outcome.found is not None:
        tell(*_of_the_node(outcome.found, outcome.back, settings))
    return outcome.found


async def _send(settings: _ProbeSettings, spec: JobSpec) -> Outcome:
    call, scheduler = settings.call, settings.scheduler
    with directory_or_own(settings.shared) as place:
        return await send_probe(
            settings.verbs,
            spec,
            lambda spec: render(spec, call.dialect, call.template_dirs),
            directory=place,
            addresses=[scheduler.address, *((address, 0) for address in scheduler.others.values())],
            files=tls_files(call),
            wait=settings.wait,
        )


def _of_the_node(found: Mapping[str, Any], back: str | None, settings: _ProbeSettings) -> list[Verdict]:
    scheduler, shared = settings.scheduler, settings.shared
    reached = {each.rpartition(":")[0]: error for each, error in found["addresses"].items()}
    here = {"python": platform.python_version(), "dask": version("dask"), "distributed": version("distributed")}
    names = {address: name for name, address in scheduler.others.items()}
    return [
        node_verdicts.address(scheduler.address[0], scheduler.interface, reached, names),
        *([node_verdicts.way_back(found["listens"][0], back)] if back is not None else []),
        *([node_verdicts.shared_directory(shared, found["directory"])] if shared else []),
        node_verdicts.software(found, here),
        node_verdicts.tls_files(found["files"]),
        node_verdicts.clocks(found["clock_ahead"]),
        node_verdicts.limits_there(found["open_files"], found["processes"], settings.call.spec),
    ]
