"""Decides what the call of a cluster class makes: a cluster in this process, one elsewhere, or a connection."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from jobclusters.batch.script import render
from jobclusters.cluster.connected import ConnectedCluster
from jobclusters.cluster.job import check_job_class
from jobclusters.config import dask_settings, settings
from jobclusters.config.call import Call, read_call, timeouts
from jobclusters.config.head_options import Head, head_kind, head_spec
from jobclusters.config.keywords import CONNECTION_KEYWORDS, HEAD_KEYWORDS, check_name
from jobclusters.config.saved import Configuration, find_configuration
from jobclusters.errors import InvalidRequest
from jobclusters.head.launcher import HeadLauncher
from jobclusters.head.order import Order
from jobclusters.head.registration import Registration
from jobclusters.network.scheduler import check_options
from jobclusters.registry import liveness, names
from jobclusters.registry.liveness import ClusterStatus
from jobclusters.registry.names import Presence
from jobclusters.registry.record import ClusterRecord, Liveness
from jobclusters.scaling.policy import read_policy
from jobclusters.spec.units import handover_times

logger = logging.getLogger(__name__)


def existing(name: str, *, at_once: bool) -> ClusterStatus | None:
    """Find the cluster that has this name now, and clear up after one that is gone.

    ``at_once``, for an event loop, only reads the record: the cluster's start then asks the scheduler and clears up.
    """
    files = names.directory(name)
    if not files.path.exists():
        return None
    if at_once:
        found = liveness.estimate(files)
    else:
        with ThreadPoolExecutor(1) as pool:  # this thread may have a running loop
            found = pool.submit(asyncio.run, liveness.check_and_sweep(files)).result()
    if found is None or found.liveness not in (Liveness.ENDED, Liveness.GONE):
        return found
    logger.info("The last cluster %s has ended: %s.", name, found.sentence)
    return None


def given_name(given: Mapping[str, Any], configuration: str | Configuration | None) -> str | None:
    """Read the name in a call, before anything else of it."""
    value = given.get("name")
    if value is None:
        value = find_configuration(configuration).keywords.get("name")
    return None if value in (None, "") else check_name(value)


@dataclass(frozen=True)
class Blueprint:
    """A cluster to be made in this process; its registration has its name by now, or takes it at the start."""

    call: Call
    registration: Registration


def route(
    cls: type, given: Mapping[str, Any], configuration: str | Configuration | None
) -> ConnectedCluster | Blueprint:
    """Decide what a call of a class makes, by its keywords and its configuration.

    Give a connection to a cluster that exists, or whose head starts elsewhere; or the blueprint of one in this process.
    Raise InvalidRequest with every problem of the call.
    """
    name, later = given_name(given, configuration), bool(given.get("asynchronous"))
    call: Call | None = None
    while True:
        if name is not None and (found := existing(name, at_once=later)) is not None:
            return _connect(cls, found, given)
        call = call or _read(cls, given, configuration)
        kind = head_kind(call)
        record = _new_record(call, kind)
        if kind != "process":
            return _start(cls, call, given, configuration, record)
        if name is None or later or names.claim(record) is None:  # else another process was faster
            return _blueprint(call, record, to_take=name is not None and later)


def route_here(cls: type, given: Mapping[str, Any], configuration: str | Configuration | None) -> Blueprint:
    """Do as :func:`route` for a class with an ``__init__`` of its own, which only this process can make."""
    call = _read(cls, given, configuration)
    if (kind := head_kind(call)) != "process":
        raise InvalidRequest(
            f"head={kind!r}: {cls.__name__} has an __init__ of its own, so that another process can't make it; leave"
            " that out"
        )
    record, later = _new_record(call, kind), bool(call.value("asynchronous"))
    if call.name is not None and (
        existing(call.name, at_once=later) is not None or (not later and names.claim(record) is not None)
    ):
        raise names.name_taken(call.name)
    return _blueprint(call, record, to_take=call.name is not None and later)


def route_head(
    cls: type, presence: Presence, given: Mapping[str, Any], configuration: str | Configuration | None
) -> Blueprint:
    """Do as :func:`route` for the process that is a cluster's head: the name is its own."""
    call = _read(cls, given, configuration)
    return Blueprint(call, Registration(presence, timeouts(call)))


def _read(cls: type, given: Mapping[str, Any], configuration: str | Configuration | None) -> Call:
    """Read a call, and check everything that needs no cluster."""
    call = read_call(cls.dialect, given, configuration)  # type: ignore[attr-defined]
    cls.check(call)  # type: ignore[attr-defined]
    call.warn()
    render(call.spec, call.dialect, call.template_dirs)
    read_policy(call.spec, call.limits, settings.adaptive())
    if not isinstance(call.value("scheduler_class"), str):  # a name may be known to the head alone
        check_options(call)
    check_job_class(call.value("job_cls", cls.job_cls))  # type: ignore[attr-defined]
    return call


def _new_record(call: Call, kind: str) -> ClusterRecord:
    """Describe the cluster that a call makes, under its name or a generated one."""
    system = call.dialect.name
    name = call.name or f"{system}-{uuid.uuid4().hex[:8]}"
    return names.new_record(name, system, kind, named=call.name is not None)


def _blueprint(call: Call, record: ClusterRecord, *, to_take: bool) -> Blueprint:
    presence = Presence(names.directory(record.name), record)
    return Blueprint(call, Registration(presence, timeouts(call), to_take=to_take))


def _start(
    cls: type, call: Call, given: Mapping[str, Any], configuration: str | Configuration | None, record: ClusterRecord
) -> ConnectedCluster:
    """Make the connection to a head that is to be started."""
    site = settings.site(call.dialect, call.value("config_name"))
    head = Head(record.head, head_spec(call, site, record.name) if record.head == "job" else None)
    presence = Presence(names.directory(record.name), record)
    launcher = HeadLauncher(
        presence,
        head,
        _order(cls, given, configuration, record.name, head),
        call.dialect,
        call.template_dirs,
        alone=call.value("shutdown_on_close") is False,
    )
    return ConnectedCluster(
        presence.files,
        kind=cls.__name__,
        launcher=launcher,
        shutdown_on_close=call.value("shutdown_on_close"),
        **_connection(given),
    )


def connect(name: str, *, system: str | None = None, **keywords: Any) -> ConnectedCluster:
    """Connect to an existing cluster, on a given batch system or any: see :meth:`JobCluster.from_name`."""
    files = names.known_files(name)
    record = files.record()
    if record is None:
        raise names.no_cluster(name)
    if existing(name, at_once=bool(keywords.get("asynchronous"))) is None:
        raise InvalidRequest(f"cluster {name!r} has ended: {(files.record() or record).why}")
    if system not in (None, record.system):
        raise InvalidRequest(_elsewhere(record, str(system)))
    return ConnectedCluster(files, kind="Cluster", **keywords)


def _elsewhere(record: ClusterRecord, system: str) -> str:
    return (
        f"cluster {record.name!r} runs on {record.system}, not on {system}: Cluster(name={record.name!r}) connects to"
        " it, or choose another name"
    )


def _connection(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"asynchronous": bool(given.get("asynchronous")), "loop": given.get("loop")}


def _connect(cls: Any, found: ClusterStatus, given: Mapping[str, Any]) -> ConnectedCluster:
    record = found.record
    if record.system != cls.dialect.name:
        raise InvalidRequest(_elsewhere(record, cls.dialect.name))
    unused = sorted(given.keys() - CONNECTION_KEYWORDS - {"name"})
    more = f" As it was made before, these do nothing now: {', '.join(unused)}." if unused else ""
    logger.info("Cluster %s is there: %s.%s", record.name, found.sentence, more)
    return ConnectedCluster(
        names.directory(record.name),
        kind=cls.__name__,
        shutdown_on_close=given.get("shutdown_on_close"),
        **_connection(given),
    )


def _order(
    cls: type, given: Mapping[str, Any], configuration: str | Configuration | None, name: str, head: Head
) -> Order:
    found = find_configuration(configuration)
    here = {*CONNECTION_KEYWORDS, *HEAD_KEYWORDS, "head"}  # they don't concern what the head makes
    rest = {key: value for key, value in found.keywords.items() if key not in here}
    keywords = {key: value for key, value in given.items() if key not in here}
    return Order(
        cls=cls,
        keywords={**keywords, "name": name, "configuration": replace(found, keywords=rest)},
        config=dask_settings.snapshot(),
        directory=os.getcwd(),
        lifetime=handover_times(head.walltime, None).lifetime,
    )
