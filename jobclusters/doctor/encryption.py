"""Breaks a TLS connection in this process, and checks whether another connection raises its error."""

from __future__ import annotations

import platform
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobclusters.config.dask_settings import guards_tls
from jobclusters.doctor.node_verdicts import encryption
from jobclusters.doctor.report import Verdict, wrong
from jobclusters.errors import InvalidRequest
from jobclusters.registry import credentials
from jobclusters.registry.openssl import SETTING

#: Rounds of a handshake at most; it takes three.
HANDSHAKE_ROUNDS = 10


def try_encryption() -> Verdict:
    """Test connections made as a cluster's are, and as Python's are."""
    try:
        ours, pythons = connections_trouble(), connections_trouble(guarded=False)
    except InvalidRequest as error:
        return wrong("encryption", str(error), f"set {SETTING} to true, or leave it out")
    off = guards_tls() is False
    return encryption(platform.python_version(), ssl.OPENSSL_VERSION, ours, pythons, off=off)


def connections_trouble(*, guarded: bool = True) -> str:
    """Give the error of a connection after another one of its thread broke off, guarded or as Python's; "" for none."""
    security = credentials.make()
    try:
        server = security.get_listen_args("scheduler")["ssl_context"]
        client = security.get_connection_args("client")["ssl_context"]
        if not guarded:
            server.sslsocket_class = client.sslsocket_class = ssl.SSLSocket
        with _connection(server, client) as first, _connection(server, client) as second:
            first[1].close()
            with suppress(OSError):
                first[0].send(b"lost")
            with suppress(ssl.SSLWantReadError):  # right: no data has arrived
                second[0].recv(1)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def _connection(server: ssl.SSLContext, client: ssl.SSLContext) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Give a connection's ends, the server's first; neither blocks."""
    inner, outer = socket.socketpair()
    inner.setblocking(False)
    outer.setblocking(False)
    with (
        server.wrap_socket(inner, server_side=True, do_handshake_on_connect=False) as one,
        client.wrap_socket(outer, do_handshake_on_connect=False) as other,
    ):
        for _ in range(HANDSHAKE_ROUNDS):
            for end in (other, one):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        for end in (other, one):
            end.do_handshake()  # raises unless it is complete
        yield one, other
