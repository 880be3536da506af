"""Finds out where on this machine a scheduler would listen."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from distributed.utils import get_ip

from jobclusters.call import Call
from jobclusters.connection import choose_network
from jobclusters.doctor.report import Address
from jobclusters.doctor.verdict import Verdict, wrong
from jobclusters.errors import InvalidRequest
from jobclusters.network import Interface, interfaces, leads_out


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


def find_scheduler(call: Call) -> Scheduler | Verdict:
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
        return wrong(check, str(error), "name one of these with --interface")
    except OSError as error:
        return wrong(check, f"this machine can't listen there: {error}", "leave out host, or set --interface")
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
