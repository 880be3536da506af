"""Whether a cluster's connections are encrypted, and who says so; they are unless somebody says no."""

from __future__ import annotations

import getpass
import inspect
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import dask.config
from distributed.security import Security

from jobclusters import config, credentials
from jobclusters.errors import InvalidRequest
from jobclusters.explain import Origin

#: Protocols that encrypt.
_ENCRYPTED = frozenset({"tls", "wss"})

_PARTS = ("tls_ca_file", *(f"tls_{role}_cert" for role in ("scheduler", "worker", "client")))


def choose_security(asked: Origin | None, protocol: str | None, options: Mapping[str, Any]) -> Security | None:
    """Give what scheduler and clients use; None for connections that anybody may make.

    Parameters
    ----------
    asked
        What ``security=`` or a configuration says: True, False, or credentials as in Dask. None if nobody says
        anything: then it is as Dask's configuration says, where that asks for TLS with certificates of its own, or
        ``jobclusters.security``.
    protocol
        What ``protocol=`` says.
    options
        Of the Dask scheduler, which may say both, too.

    Raises
    ------
    InvalidRequest
        If these contradict each other, or certificates are missing.
    """
    said: Any = options.get("security") if asked is None else asked.value
    spoken = protocol or options.get("protocol")
    plain = spoken is not None and not _encrypts(spoken)
    if said is True and plain:
        raise InvalidRequest(f"security=True and protocol={spoken!r} contradict each other: leave one of them out")
    if said is False and spoken is not None and not plain:
        raise InvalidRequest(f"security=False and protocol={spoken!r} contradict each other: leave one of them out")
    if said is not None and not isinstance(said, bool):
        return _theirs(said, plain, spoken)
    if said is False or plain:
        _warn("security=False" if said is False else f"protocol={spoken!r}")
        return None
    if said is True or spoken is not None:
        return credentials.make()
    return _by_configuration()


def _encrypts(protocol: object) -> bool:
    several = protocol if isinstance(protocol, (list, tuple)) else [protocol]
    return all(str(each).partition("://")[0] in _ENCRYPTED for each in several)


def _theirs(security: Security, plain: bool, protocol: object) -> Security | None:
    if not plain:
        if missing := [part for part in _PARTS if not getattr(security, part)]:
            raise InvalidRequest(
                f"security={security!r} has no {', '.join(missing)}: give all of them, or leave security out: then"
                " credentials are made for this cluster alone"
            )
        return security
    if security.require_encryption:
        raise InvalidRequest(
            f"protocol={protocol!r} does not encrypt, and security= requires it: leave one of them out"
        )
    _warn(f"protocol={protocol!r}")
    return None


def _by_configuration() -> Security | None:
    config.load()
    ours = dask.config.get("jobclusters.security")
    if not isinstance(ours, bool):
        raise InvalidRequest(f"jobclusters.security must be true or false, not {ours!r}")
    if dask.config.get("distributed.comm.default-scheme") == "tls":
        theirs = Security()
        if all(getattr(theirs, part) for part in _PARTS):
            return theirs
    elif not ours:
        _warn_of_setting()
        return None
    return credentials.make()


@lru_cache(maxsize=1)
def _warn_of_setting() -> None:
    _warn("jobclusters.security: false in the configuration")


def _warn(because: str) -> None:
    """Warn where the person who makes the cluster sees it.

    It isn't logged: Dask's users silence logs, a notebook shows warnings beside the call, and a person who has read it
    can filter it by its class.
    """
    warnings.warn(
        f"{because}: connections to this cluster are neither encrypted nor checked: everybody who reaches its ports"
        f" over the network, or is on one of its machines, can run code as {getpass.getuser()} (docs/security.md)",
        UserWarning,
        stacklevel=_outside(),
    )


def _outside() -> int:
    """Count the calls from :func:`_warn` to whoever has called this package."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "jobclusters":
        frame, level = frame.f_back, level + 1
    return level
