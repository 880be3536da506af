"""Examines this machine: the batch system's commands, directories, and the address of a scheduler."""

from __future__ import annotations

import errno
import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from distributed.security import Security
from distributed.utils import get_ip

from jobclusters.batch import shell
from jobclusters.config import settings
from jobclusters.config.call import Call
from jobclusters.dialects.base import Dialect, Reply
from jobclusters.doctor import node_verdicts
from jobclusters.doctor.node_verdicts import own_directory
from jobclusters.doctor.report import Address, Verdict, ok, wrong
from jobclusters.errors import InvalidRequest, QueueError, Unavailable
from jobclusters.network.interfaces import Interface, choose_network, interfaces, leads_out
from jobclusters.network.links import free_port
from jobclusters.spec.units import read_ports
from jobclusters.state import JobState, JobStatus

#: The default of the directory that clusters and their jobs share.
DIRECTORY = "~/.jobclusters"

#: The settings of these directories.
LOGS, SHARED = "--log-directory (log_directory=)", "jobclusters.directory"


def shared_directory() -> str:
    """Give ``jobclusters.directory``, or its default."""
    return str(settings.shared_directory() or DIRECTORY)


def find_directories(call: Call, directory: str) -> tuple[str | None, str, dict[str, Verdict]]:
    """Give the directory of the jobs' output (None if the queue has its own), the shared one, and their faults."""
    log = call.spec.log_directory or (os.getcwd() if call.dialect.probe else None)
    shared = os.path.abspath(settings.expand(directory))
    found = {
        "logs": own_directory("log directory", log, _unusable(log), LOGS) if log else None,
        "shared": own_directory("shared directory", shared, _unusable(shared, make=True), SHARED),
    }
    return log, shared, {name: verdict for name, verdict in found.items() if verdict}


def _unusable(path: str, *, make: bool = False) -> str:
    """Give the reason why files can't be made in a directory, or in the one that has to be made; "" if they can."""
    while make and not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        return os.strerror(errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def tls_files(call: Call) -> list[str]:
    """List the files that a worker needs for encrypted connections."""
    found = Security().get_tls_config_for_role("worker")
    paths = [found.get(key) for key in ("ca_file", "cert", "key")]
    return [
        settings.expand(path) for path in [*paths, call.value("shared_temp_directory")] if path and "\n" not in path
    ]


@contextmanager
def usable_directory(path: str | None) -> Iterator[str]:
    """Give the directory, or a temporary one if it can't be used."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as own:
        yield own


@dataclass(frozen=True)
class Scheduler:
    """Where a scheduler would listen.

    Attributes
    ----------
    interface
        Its network; None leaves the choice to Dask.
    address
        Its own; port 0 is any.
    others
        This machine's other addresses, by the name of their network.
    ports
        Those to which scheduler and workers keep; None leaves the choice to each machine.
    """

    interface: str | None
    address: Address
    others: Mapping[str, str]
    ports: tuple[int, int] | None = None


def find_scheduler(call: Call) -> Scheduler | Verdict:
    """Find out where a scheduler would listen, as a cluster does."""
    here, local = interfaces(), not call.dialect.probe
    options = dict(call.value("scheduler_options") or {})
    try:
        ports = read_ports(call.value("ports"))
        free = free_port(ports) if ports else 0
    except InvalidRequest as error:
        return wrong("scheduler's address", str(error), "give others with --ports")
    try:
        network = choose_network(call.cluster.get("interface"), options, local=local)
        name = options.get("interface") or network.interface
        host = options.get("host") or call.value("host")
        address = socket.gethostbyname(str(host)) if host else _usual_address(here, name, local)
        port = _free_port(address, int(options.get("port") or free))
    except InvalidRequest as error:
        return wrong("scheduler's address", str(error), "name one of these with --interface")
    except OSError as error:
        says, do = f"this machine can't listen there: {error}", "leave out host, or set --interface"
        return wrong("scheduler's address", says, do)
    others = {} if local else {each.name: str(each.address) for each in here.values() if leads_out(each)}
    return Scheduler(name, (address, port), {name: other for name, other in others.items() if other != address}, ports)


def _usual_address(here: Mapping[str, Interface], name: str | None, local: bool) -> str:
    if name:
        return str(here[name].address)
    return "127.0.0.1" if local else str(get_ip())


def _free_port(address: str, port: int) -> int:
    """Give this port, or 0 if it is in use; raise OSError if the address isn't this machine's."""
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


#: Seconds for a command.
COMMAND_TIMEOUT = 30.0


async def ask_batch_system(call: Call) -> list[Verdict]:
    """Check the batch system's commands, the queue and the account."""
    dialect, spec = call.dialect, call.spec
    if not dialect.probe:
        return [ok("batch system", "this machine's own queue")]
    missing = [name for name in _commands(dialect) if shutil.which(name) is None]
    reply = None if missing or not dialect.version_argv else await _reply(dialect, dialect.version_argv)
    lines = [node_verdicts.batch_system(dialect, missing, next(iter(reply.words.splitlines()), "") if reply else "")]
    if missing:
        return lines
    reply = await _reply(dialect, dialect.queues_argv) if dialect.queues_argv else None
    if reply and not reply.ok and isinstance(dialect.failure(reply), Unavailable):
        return [node_verdicts.no_answer(reply.sentence())]
    lines.append(node_verdicts.queue(spec.queue, dialect.parse_queues(reply) if reply and reply.ok else None))
    if argv := dialect.accounts_argv(getpass.getuser()):
        reply = await _reply(dialect, argv)
        if reply and reply.ok and (accounts := dialect.parse_accounts(reply)):
            lines.append(node_verdicts.account(spec.options.get("account"), accounts))
    return lines


def _commands(dialect: Dialect) -> list[str]:
    """List the commands that a cluster needs."""
    cancels = dialect.cancel_argvs(["1"], {"1": JobStatus(JobState.PENDING)})
    argvs = (dialect.submit_argv(1), dialect.query_argv(["1"]), *cancels)
    return list(dict.fromkeys(argv[0] for argv in argvs))


async def _reply(dialect: Dialect, argv: tuple[str, ...] | list[str]) -> Reply | None:
    try:
        return await shell.run(argv, timeout=COMMAND_TIMEOUT, env=dialect.environment(os.environ))
    except QueueError:
        return None
