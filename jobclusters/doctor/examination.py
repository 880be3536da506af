"""Examines the way from this machine to a worker: this machine first, and then, with a probe, a node."""

from __future__ import annotations

import platform
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from jobclusters.batch.base import BatchSystem
from jobclusters.batch.script import render
from jobclusters.config.call import Call
from jobclusters.config.dask_settings import chunk_size
from jobclusters.config.settings import absent_after
from jobclusters.doctor import node_verdicts
from jobclusters.doctor.batchsystem import (
    DIRECTORY,
    Scheduler,
    ask_batch_system,
    find_directories,
    find_scheduler,
    tls_files,
    usable_directory,
)
from jobclusters.doctor.configuration import configuration_verdicts
from jobclusters.doctor.encryption import try_encryption
from jobclusters.doctor.probejob import send_probe
from jobclusters.doctor.report import Outcome, Verdict, unchecked
from jobclusters.spec.job_spec import JobSpec


async def examine(
    call: Call,
    batch_system: BatchSystem,
    *,
    directory: str = DIRECTORY,
    job: bool = True,
    wait: float = 120.0,
    sized: bool = True,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
    on_start: Callable[[str], None] = lambda _: None,
) -> tuple[list[Verdict], dict[str, Any] | None]:
    """Check everything.

    Parameters
    ----------
    call
        Of a worker's job.
    batch_system
        The batch system, or this machine's queue.
    directory
        Shared by clusters and their jobs.
    job
        Whether to send a job to a node.
    wait
        Seconds to wait for it.
    sized
        Whether the job has the size of workers.
    on_verdict
        Takes each verdict as it comes.
    on_start
        Takes a message about each step that takes a while.

    Returns
    -------
    verdicts : list of Verdict
    node : dict or None
        The probe's report.
    """
    lines: list[Verdict] = []

    def add(*more: Verdict | None) -> None:
        for each in filter(None, more):
            lines.append(each)
            on_verdict(each)

    add(*await ask_batch_system(call))
    add(*configuration_verdicts())
    log, shared, trouble = find_directories(call, directory)
    add(*trouble.values(), node_verdicts.open_files(_limit(resource.RLIMIT_NOFILE)), try_encryption())
    add(
        node_verdicts.chunk_size(chunk_size(), call.spec) if sized else unchecked("chunks", "no size of a job is given")
    )
    scheduler = find_scheduler(call)
    if isinstance(scheduler, Verdict):
        add(scheduler)
    if not job:
        add(unchecked("probe job", "not sent"))
        return lines, None
    if isinstance(scheduler, Verdict) or "logs" in trouble or lines[0].verdict == "wrong":
        add(unchecked("probe job", "not sent: what is wrong above comes first"))
        return lines, None
    on_start(f"A job is sent to look from a node; it has {wait:g} s.")
    settings = _ProbeSettings(call, batch_system, scheduler, log, None if "shared" in trouble else shared, wait)
    named_wrongly = any(each.verdict == "wrong" for each in lines if each.check in ("queue", "account"))
    return lines, await _examine_node(settings, add, named_wrongly=named_wrongly)


def _limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class _ProbeSettings:
    """What a probe and its verdicts depend on; ``log`` is None if the queue has its own, ``shared`` if unusable."""

    call: Call
    batch_system: BatchSystem
    scheduler: Scheduler
    log: str | None
    shared: str | None
    wait: float


async def _examine_node(
    settings: _ProbeSettings, add: Callable[..., None], *, named_wrongly: bool
) -> dict[str, Any] | None:
    """Send a probe, judge its report, and give it; ``named_wrongly`` expects a refusal for queue or account."""
    call, wait = settings.call, settings.wait
    outcome = await _send(settings, call.spec)
    found_out = node_verdicts.probe_job(outcome, call.dialect.never, settings.log, wait)
    if outcome.error and named_wrongly:
        found_out = [unchecked("probe job", f"refused, as was to be expected: {outcome.error}")]
    add(*found_out)
    # Another directory shows the rest.
    if settings.shared and found_out[0].check == found_out[-1].check == "log directory":
        outcome = await _send(settings, replace(call.spec, log_directory=settings.shared))
        add(*node_verdicts.probe_job(outcome, call.dialect.never, None, wait))
    if outcome.found is not None:
        add(*_judge_node(outcome.found, outcome.back, settings))
    return outcome.found


async def _send(settings: _ProbeSettings, spec: JobSpec) -> Outcome:
    call, scheduler = settings.call, settings.scheduler
    other_port = scheduler.address[1] if scheduler.ports else 0  # no other is to be let through
    with usable_directory(settings.shared) as place:
        return await send_probe(
            settings.batch_system,
            spec,
            lambda spec: render(spec, call.dialect, call.template_dirs),
            directory=place,
            addresses=[scheduler.address, *((address, other_port) for address in scheduler.others.values())],
            ports=scheduler.ports,
            files=tls_files(call),
            wait=settings.wait,
            absent_after=absent_after(),
        )


def _judge_node(found: Mapping[str, Any], back: str | None, settings: _ProbeSettings) -> list[Verdict]:
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
