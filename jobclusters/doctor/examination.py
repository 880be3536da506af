"""Checks the way from this machine to a worker, and says what to set."""

from __future__ import annotations

import errno
import getpass
import os
import platform
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import dask.config
from dask.utils import parse_bytes
from distributed.security import Security
from distributed.utils import get_ip

from jobclusters import shell
from jobclusters.call import Call
from jobclusters.commandqueue import Verbs
from jobclusters.config import expand
from jobclusters.connection import choose_network
from jobclusters.diagnose import hint
from jobclusters.dialect import Dialect, Reply
from jobclusters.doctor import verdicts
from jobclusters.doctor.probejob import Address, Outcome, send_probe
from jobclusters.doctor.verdicts import Verdict
from jobclusters.errors import InvalidRequest, QueueError, Unavailable
from jobclusters.network import Interface, interfaces, leads_out
from jobclusters.script import render
from jobclusters.spec import JobSpec

#: What clusters and their jobs share, unless it is set.
DIRECTORY = "~/.jobclusters"
#: What says where these are.
LOGS, SHARED = "--log-directory (log_directory=)", "jobclusters.directory"
#: Seconds that a command may take.
TIMEOUT = 30.0
#: Lines of a job's output that are shown.
LINES = 8


def shared_directory() -> str:
    """Give ``jobclusters.directory``, or what it is unless set."""
    return dask.config.get("jobclusters.directory", None) or DIRECTORY


@dataclass(frozen=True)
class Scheduler:
    """Where a scheduler would listen.

    Attributes
    ----------
    interface
        Its network; None if Dask chooses.
    address
        Its own; port 0 is any.
    others
        This machine's other addresses, by the name of their network.
    """

    interface: str | None
    address: Address
    others: Mapping[str, str]


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

    tell(*await _ask(call))
    log, shared, trouble = _directories(call, directory)
    tell(*trouble.values(), verdicts.open_files(_limit(resource.RLIMIT_NOFILE)))
    chunk = parse_bytes(dask.config.get("array.chunk-size", "128 MiB"))
    tell(verdicts.chunk_size(chunk, call.spec) if sized else verdicts.unchecked("chunks", "no size of a job is given"))
    scheduler = _scheduler(call)
    if isinstance(scheduler, Verdict):
        tell(scheduler)
    if not job:
        tell(verdicts.unchecked("probe job", "not sent"))
        return lines, None
    if isinstance(scheduler, Verdict) or "logs" in trouble or lines[0].verdict == "wrong":
        tell(verdicts.unchecked("probe job", "not sent: what is wrong above comes first"))
        return lines, None
    starts(f"A job is sent to look from a node; it has {wait:g} s.")
    visible = None if "shared" in trouble else shared
    send = partial(_send, call, verbs, scheduler, visible, wait)
    outcome = await send(call.spec)
    found_out = _of_the_job(outcome, call.dialect, log, wait)
    if outcome.error and any(each.verdict == "wrong" for each in lines if each.check in ("queue", "account")):
        found_out = [verdicts.unchecked("probe job", f"refused, as was to be expected: {outcome.error}")]
    tell(*found_out)
    if visible and found_out[0].check == found_out[-1].check == "log directory":  # another will do to see the rest
        outcome = await send(replace(call.spec, log_directory=visible))
        tell(*_of_the_job(outcome, call.dialect, None, wait))
    if outcome.found is not None:
        tell(*_of_the_node(outcome.found, outcome.back, call, scheduler, visible))
    return lines, outcome.found


async def _send(
    call: Call, verbs: Verbs, scheduler: Scheduler, visible: str | None, wait: float, spec: JobSpec
) -> Outcome:
    with _somewhere(visible) as place:
        return await send_probe(
            verbs,
            spec,
            lambda spec: render(spec, call.dialect, call.template_dirs),
            directory=place,
            addresses=[scheduler.address, *((address, 0) for address in scheduler.others.values())],
            files=_tls_files(call),
            wait=wait,
        )


# -- asked here ---------------------------------------------------------------------------------------------------


async def _ask(call: Call) -> list[Verdict]:
    """Ask the batch system's commands."""
    dialect, spec = call.dialect, call.spec
    if not dialect.probe:
        return [verdicts.ok("batch system", "this machine's own queue")]
    missing = [name for name in _commands(dialect) if shutil.which(name) is None]
    told = None if missing or not dialect.version_argv else await _reply(dialect, dialect.version_argv)
    lines = [verdicts.batch_system(dialect, missing, next(iter(told.words.splitlines()), "") if told else "")]
    if missing:
        return lines
    reply = await _reply(dialect, dialect.queues_argv) if dialect.queues_argv else None
    if reply and not reply.ok and isinstance(dialect.failure(reply), Unavailable):
        return [verdicts.no_answer(reply.sentence())]
    lines.append(verdicts.queue(spec.queue, dialect.parse_queues(reply) if reply and reply.ok else None))
    if argv := dialect.accounts_argv(getpass.getuser()):
        reply = await _reply(dialect, argv)
        if reply and reply.ok and (accounts := dialect.parse_accounts(reply)):
            lines.append(verdicts.account(spec.account, accounts))
    return lines


def _commands(dialect: Dialect) -> list[str]:
    """Name the commands without which nothing works."""
    argvs = (dialect.submit_argv(1), dialect.query_argv(["1"]), dialect.cancel_argv(["1"]))
    return list(dict.fromkeys(argv[0] for argv in argvs))


async def _reply(dialect: Dialect, argv: tuple[str, ...] | list[str]) -> Reply | None:
    try:
        return await shell.run(argv, timeout=TIMEOUT, env=dialect.environment(os.environ))
    except QueueError:
        return None


def _directories(call: Call, directory: str) -> tuple[str | None, str, dict[str, Verdict]]:
    """Give the directory of the jobs' output (None if the queue has its own), the shared one, and what is wrong."""
    log = call.spec.log_directory or (os.getcwd() if call.dialect.probe else None)
    shared = os.path.abspath(expand(directory))
    found = {
        "logs": verdicts.own_directory("log directory", log, _unusable(log), LOGS) if log else None,
        "shared": verdicts.own_directory("shared directory", shared, _unusable(shared, make=True), SHARED),
    }
    return log, shared, {name: verdict for name, verdict in found.items() if verdict}


def _unusable(path: str, *, make: bool = False) -> str:
    """Say why files can't be made in a directory, which may have to be made itself; "" if they can."""
    while make and not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        return os.strerror(errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def _limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def _scheduler(call: Call) -> Scheduler | Verdict:
    """Find out where a scheduler would listen, as a cluster does."""
    check, here = "scheduler's address", interfaces()
    local = not call.dialect.probe
    options = dict(call.value("scheduler_options") or {})
    try:
        network = choose_network(call.cluster.get("interface"), options, local=local)
        name = options.get("interface") or network.interface
        host = options.get("host") or call.value("host")
        address = socket.gethostbyname(str(host)) if host else _usual_address(here, name, local)
        port = _free_port(address, int(options.get("port") or 0))
    except InvalidRequest as error:
        return verdicts.wrong(check, str(error), "name one of these with --interface")
    except OSError as error:
        return verdicts.wrong(check, f"this machine can't listen there: {error}", "leave out host, or set --interface")
    others = {} if local else {each.name: str(each.address) for each in here.values() if leads_out(each)}
    return Scheduler(name, (address, port), {name: other for name, other in others.items() if other != address})


def _usual_address(here: Mapping[str, Interface], name: str | None, local: bool) -> str:
    if name:
        return str(here[name].address)
    return "127.0.0.1" if local else str(get_ip())


def _free_port(address: str, port: int) -> int:
    """Give this port, or 0 if somebody has it; raise OSError if the address isn't this machine's."""
    for each in (port, 0):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((address, each))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return each
    return 0


def _tls_files(call: Call) -> list[str]:
    """Name the files that a worker needs for encrypted connections."""
    found = Security().get_tls_config_for_role("worker")
    paths = [found.get(key) for key in ("ca_file", "cert", "key")]
    return [expand(path) for path in [*paths, call.value("shared_temp_directory")] if path and "\n" not in path]


@contextmanager
def _somewhere(path: str | None) -> Iterator[str]:
    """Give the directory, or one of our own where it can't be used."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as own:
        yield own


# -- what came of the job -----------------------------------------------------------------------------------------


def _of_the_job(outcome: Outcome, dialect: Dialect, log: str | None, wait: float) -> list[Verdict]:
    status, job_id = outcome.status, outcome.job_id
    if outcome.found is not None:
        lines = [verdicts.ok("probe job", f"job {job_id} ran on {outcome.found['node']}")]
        return lines + ([verdicts.log_directory(log, "output" in outcome.by)] if log else [])
    if outcome.error:
        return [
            verdicts.wrong("probe job", outcome.error, "change what these words name, such as --queue or --account")
        ]
    if status.state.ended:
        last = [line for line in (outcome.output or "").splitlines() if line.strip()][-LINES:]
        return [verdicts.silent(job_id, status.sentence(), hint(status, outcome.output), last)]
    return [verdicts.waiting(job_id, status.sentence(), wait, dialect.never, status.reason)]


def _of_the_node(
    found: Mapping[str, Any], back: str | None, call: Call, scheduler: Scheduler, shared: str | None
) -> list[Verdict]:
    reached = {each.rpartition(":")[0]: error for each, error in found["addresses"].items()}
    here = {"python": platform.python_version(), "dask": version("dask"), "distributed": version("distributed")}
    names = {address: name for name, address in scheduler.others.items()}
    return [
        verdicts.address(scheduler.address[0], scheduler.interface, reached, names),
        *([verdicts.way_back(found["listens"][0], back)] if back is not None else []),
        *([verdicts.shared_directory(shared, found["directory"])] if shared else []),
        verdicts.software(found, here),
        verdicts.tls_files(found["files"]),
        verdicts.clocks(found["clock_ahead"]),
        verdicts.limits_there(found["open_files"], found["processes"], call.spec),
    ]
