"""Keeps a broken TLS connection from breaking others of its thread, on OpenSSL 3.4 and newer.

OpenSSL has a queue of errors for each thread, and Python's reads, writes and handshakes don't empty it first
(python/cpython#148594). Since 3.4 it also holds what the system reports of a connection: a reset by a peer leaves an
error there, which the next read of another connection raises as its own. The sockets here empty the queue before each
call, and after one that may have left an error.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import platform
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from distributed.security import Security

from jobclusters.config.dask_settings import guards_tls
from jobclusters.errors import InvalidRequest

logger = logging.getLogger(__name__)

#: False turns the guard off.
SETTING = "jobclusters.guard-tls"

P = ParamSpec("P")
T = TypeVar("T")


def _clear_error() -> Callable[[], None]:
    """Find ``ERR_clear_error`` of the very OpenSSL that Python uses: another library has another queue."""
    try:
        function = ctypes.PyDLL(_ssl.__file__).ERR_clear_error
    except (AttributeError, OSError):  # Python contains OpenSSL, as uv's does
        return _clear_by_failing
    function.argtypes, function.restype = (), None
    return function


def _clear_by_failing() -> None:
    """Provoke an error that Python reports, after which it empties the queue; this one is quick."""
    with suppress(ssl.SSLError):
        _NO_CONNECTIONS.load_verify_locations(cadata=b"0")  # where a certificate would begin


_NO_CONNECTIONS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_clear = _clear_error()


def _guard(call: Callable[P, T], *, succeeds_with_errors: bool = False) -> Callable[P, T]:
    @wraps(call)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        _clear()
        try:
            result = call(*args, **kwargs)
        except OSError:
            _clear()
            raise
        if succeeds_with_errors:
            _clear()
        return result

    return guarded


class GuardedSocket(ssl.SSLSocket):
    """A TLS connection that minds its own errors; its other methods use these."""

    # a server's handshake succeeds even if the peer leaves before it gets its session tickets
    do_handshake = _guard(ssl.SSLSocket.do_handshake, succeeds_with_errors=True)
    read = _guard(ssl.SSLSocket.read)
    write = _guard(ssl.SSLSocket.write)
    send = _guard(ssl.SSLSocket.send)
    unwrap = _guard(ssl.SSLSocket.unwrap)


class GuardedObject(ssl.SSLObject):
    """The same for asyncio's connections."""

    do_handshake = _guard(ssl.SSLObject.do_handshake, succeeds_with_errors=True)
    read = _guard(ssl.SSLObject.read)
    write = _guard(ssl.SSLObject.write)
    unwrap = _guard(ssl.SSLObject.unwrap)


def guard_context(context: ssl.SSLContext | type[ssl.SSLContext]) -> None:
    """Guard the connections of a context, or of all contexts; classes set by others stay."""
    if context.sslsocket_class is ssl.SSLSocket:
        context.sslsocket_class = GuardedSocket
    if context.sslobject_class is ssl.SSLObject:
        context.sslobject_class = GuardedObject


class GuardedSecurity(Security):  # type: ignore[misc]
    """Dask's credentials, with guarded contexts."""

    def get_connection_args(self, role: str) -> dict[str, Any]:
        """Give the arguments of a client's connections."""
        return self._guarded(super().get_connection_args(role))

    def get_listen_args(self, role: str) -> dict[str, Any]:
        """Give the arguments of a server."""
        return self._guarded(super().get_listen_args(role))

    @staticmethod
    def _guarded(arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments["ssl_context"] is not None:
            guard_context(arguments["ssl_context"])
        return arguments


def guard_security(security: Security) -> Security:
    """Guard the connections of credentials, where this OpenSSL needs it."""
    if isinstance(security, GuardedSecurity) or not _needed():
        return security
    if type(security) is not Security:  # subclasses make their own contexts
        guard_process()
        return security
    guarded = GuardedSecurity()
    for field in Security.__slots__:
        setattr(guarded, field, getattr(security, field))
    return guarded


def guard_process() -> None:
    """Guard all TLS connections of this process, where needed: Dask's workers make their own contexts."""
    if _needed():
        guard_context(ssl.SSLContext)


def _needed() -> bool:
    wanted = guards_tls()
    if not isinstance(wanted, bool):
        raise InvalidRequest(f"{SETTING} must be true or false, not {wanted!r}")
    needed = ssl.OPENSSL_VERSION.startswith("OpenSSL") and ssl.OPENSSL_VERSION_INFO >= (3, 4)
    does = "guards TLS connections" if needed else "needs no guard of TLS connections"
    if needed and not wanted:
        does = f"guards no TLS connections, as {SETTING} is false"
    logger.debug("Python %s with %s %s", platform.python_version(), ssl.OPENSSL_VERSION, does)
    return needed and wanted
