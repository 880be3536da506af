"""Decides what a call of a cluster class makes: a cluster in this process, one elsewhere, or a connection to one."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import dask.config

from jobclusters import config, finding, registry
from jobclusters.call import Call
from jobclusters.configurations import Configuration, find_configuration
from jobclusters.connected import ConnectedCluster
from jobclusters.entry import Entry, Standing, check_name
from jobclusters.errors import InvalidRequest
from jobclusters.finding import Found
from jobclusters.headspec import SCHEDULER_KEYWORDS, Head, head_kind, head_spec
from jobclusters.lasting import Held
from jobclusters.registry import Presence
from jobclusters.start import Order, Start
from jobclusters.walltime import terms

logger = logging.getLogger(__name__)

#: Keywords that concern the connection, or where the head runs, and not what it makes.
_NOT_THE_HEADS = frozenset({*SCHEDULER_KEYWORDS, "head", "shutdown_on_close", "asynchronous", "loop"})


def existing(name: str, *, at_once: bool) -> Found | None:
    """Find a cluster that has this name now; one that is gone is cleared away.

    Parameters
    ----------
    name
        Of the cluster.
    at_once
        Whether nobody may be asked, nor anything cleared away, as an event loop waits: that is left to its start.

    Raises
    ------
    InvalidRequest
        If its entry can't be read, or is somebody else's.
    """
    files = registry.directory(name)
    if not files.path.exists():
        return None
    if at_once:
        found = finding.seems(files)
    else:
        with ThreadPoolExecutor(1) as pool:  # there may be a loop in this thread
            found = pool.submit(asyncio.run, finding.find(files)).result()
    if found is None or found.standing not in (Standing.ENDED, Standing.GONE):
        return found
    logger.info("The last cluster %s has ended: %s.", name, found.sentence)
    return None


def given_name(given: Mapping[str, Any], configuration: str | Configuration | None) -> str | None:
    """Give the name that a call asks for, before anything else of it is read."""
    value = given.get("name")
    if value is None:
        value = find_configuration(configuration).keywords.get("name")
    return None if value in (None, "") else check_name(value)


def route(
    cls: type, read: Callable[[], Call], given: Mapping[str, Any], configuration: str | Configuration | None
) -> ConnectedCluster | Held | None:
    """Decide what a call makes.

    Parameters
    ----------
    cls
        The class that is called.
    read
        Reads the whole call.
    given, configuration
        Its keywords, and the set of parameters that it names.

    Returns
    -------
    ConnectedCluster, Held or None
        A connection; or that the name is this process's, now or when it starts; or None for a cluster of this process
        without a name.

    Raises
    ------
    InvalidRequest
        With every problem of the call.
    """
    name, later = given_name(given, configuration), bool(given.get("asynchronous"))
    if name is not None and (found := existing(name, at_once=later)) is not None:
        return _connect(cls, found, given)
    call = read()
    kind = head_kind(call)
    if kind == "process" and name is None:
        return None
    if kind != "process":
        cls._check(call.spec)  # type: ignore[attr-defined]
    system = call.dialect.name
    entry = registry.new_entry(name or f"{system}-{uuid.uuid4().hex[:8]}", system, kind, named=name is not None)
    head = _head(call, kind, entry.name)
    presence = Presence(registry.directory(entry.name), entry)
    if kind == "process":
        if not later and registry.claim(entry) is not None:  # somebody was faster
            return route(cls, read, given, configuration)
        return Held(presence, to_take=later)
    starting = Start(
        presence,
        head,
        _order(cls, given, configuration, entry.name, head),
        call.dialect,
        call.template_dirs,
        alone=call.value("shutdown_on_close") is False,
    )
    return ConnectedCluster(
        presence.files,
        kind=cls.__name__,
        start=starting,
        shutdown_on_close=call.value("shutdown_on_close"),
        **_connection(given),
    )


def claim_here(cls: type, call: Call) -> Held | None:
    """Take a name for a cluster of a class with an ``__init__`` of its own: it can only be made in this process.

    Returns
    -------
    Held or None
        None for a cluster without a name.

    Raises
    ------
    InvalidRequest
        If the name is taken, or the head is to run elsewhere.
    """
    if (kind := head_kind(call)) != "process":
        raise InvalidRequest(
            f"head={kind!r}: {cls.__name__} has an __init__ of its own, so that another process can't make it; leave"
            " that out"
        )
    if call.name is None:
        return None
    entry, later = registry.new_entry(call.name, call.dialect.name, kind), bool(call.value("asynchronous"))
    if existing(call.name, at_once=later) is not None or (not later and registry.claim(entry) is not None):
        raise registry.taken(call.name)
    return Held(Presence(registry.directory(call.name), entry), to_take=later)


def unnamed(call: Call) -> Held:
    """Describe a cluster that nobody asks for by name."""
    system = call.dialect.name
    entry = registry.new_entry(f"{system}-{uuid.uuid4().hex[:8]}", system, "process", named=False)
    return Held(Presence(registry.directory(entry.name), entry))


def connect(
    name: str, *, system: str | None = None, made: type[ConnectedCluster] = ConnectedCluster, **keywords: Any
) -> ConnectedCluster:
    """Connect to a cluster that there is; one that is starting is waited for.

    Parameters
    ----------
    name
        Of the cluster.
    system
        The batch system that it has to be on.
    made
        The class of the connection.
    **keywords
        ``shutdown_on_close``, ``asynchronous`` and ``loop``, as for a cluster.

    Raises
    ------
    InvalidRequest
        If there is none of this name, or it has ended, or it is on another batch system.
    QueueError
        If it can't be reached.
    """
    files = registry.known(name)
    entry = files.entry()
    if entry is None:
        raise registry.nobody(name)
    if existing(name, at_once=bool(keywords.get("asynchronous"))) is None:
        raise InvalidRequest(f"cluster {name!r} has ended: {(files.entry() or entry).why}")
    if system not in (None, entry.system):
        raise InvalidRequest(_elsewhere(entry, str(system)))
    return made(files, kind="Cluster", **keywords)


def _elsewhere(entry: Entry, system: str) -> str:
    return (
        f"cluster {entry.name!r} runs on {entry.system}, not on {system}: Cluster(name={entry.name!r}) connects to it,"
        " or choose another name"
    )


def _head(call: Call, kind: str, name: str) -> Head:
    site = config.site(call.dialect, call.value("config_name"))
    return Head(kind, head_spec(call, site, name) if kind == "job" else None)


def _connection(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"asynchronous": bool(given.get("asynchronous")), "loop": given.get("loop")}


def _connect(cls: Any, found: Found, given: Mapping[str, Any]) -> ConnectedCluster:
    entry = found.entry
    if entry.system != cls.dialect.name:
        raise InvalidRequest(_elsewhere(entry, cls.dialect.name))
    unused = sorted(given.keys() - {"name", "shutdown_on_close", "asynchronous", "loop"})
    more = f" As it was made before, these do nothing now: {', '.join(unused)}." if unused else ""
    logger.info("Cluster %s is there: %s.%s", entry.name, found.sentence, more)
    return ConnectedCluster(
        registry.directory(entry.name),
        kind=cls.__name__,
        shutdown_on_close=given.get("shutdown_on_close"),
        **_connection(given),
    )


def _order(
    cls: type, given: Mapping[str, Any], configuration: str | Configuration | None, name: str, head: Head
) -> Order:
    found = find_configuration(configuration)
    rest = {key: value for key, value in found.keywords.items() if key not in _NOT_THE_HEADS}
    keywords = {key: value for key, value in given.items() if key not in _NOT_THE_HEADS}
    seconds = terms(head.walltime, None).lifetime
    return Order(
        cls=cls,
        keywords={**keywords, "name": name, "configuration": replace(found, keywords=rest)},
        config=copy.deepcopy(dask.config.config),
        directory=os.getcwd(),
        lifetime=seconds,
    )
