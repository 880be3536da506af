"""Decides whether a cluster's connections are encrypted: they are, unless the user or the configuration declines."""

from __future__ import annotations

import getpass
import inspect
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from distributed.security import Security

from jobclusters.config import dask_settings, settings
from jobclusters.config.origins import Origin
from jobclusters.errors import InvalidRequest
from jobclusters.registry import credentials
from jobclusters.registry.openssl import guard_security

#: Protocols that encrypt.
_ENCRYPTED = frozenset({"tls", "wss"})

_PARTS = ("tls_ca_file", *(f"tls_{role}_cert" for role in ("scheduler", "worker", "client")))


def choose_security(asked: Origin | None, protocol: str | None, options: Mapping[str, Any]) -> Security | None:
    """Choose the credentials of scheduler and clients; None for plain connections, which anyone can open.

    Parameters
    ----------
    asked
        ``security=``, or its value in a configuration: True, False, or Dask's credentials. None for the default: Dask's
        own setting if it asks for TLS and has certificates, or else ``jobclusters.security``.
    protocol
        ``protocol=``.
    options
        Of the Dask scheduler, which may contain both, too.

    Raises
    ------
    InvalidRequest
        If these contradict each other, or certificates are missing.
    """
    wanted: Any = options.get("security") if asked is None else asked.value
    protocol = protocol or options.get("protocol")
    plain = protocol is not None and not _encrypts(protocol)
    if isinstance(wanted, bool) and protocol is not None and wanted is plain:
        raise InvalidRequest(
            f"security={wanted} and protocol={protocol!r} contradict each other: leave one of them out"
        )
    if wanted is not None and not isinstance(wanted, bool):
        return _own_credentials(wanted, plain, protocol)
    if wanted is False or plain:
        _warn("security=False" if wanted is False else f"protocol={protocol!r}")
        return None
    if wanted is True or protocol is not None:
        return credentials.make()
    return _by_configuration()


def _encrypts(protocol: object) -> bool:
    several = protocol if isinstance(protocol, (list, tuple)) else [protocol]
    return all(str(each).partition("://")[0] in _ENCRYPTED for each in several)


def _own_credentials(security: Security, plain: bool, protocol: object) -> Security | None:
    if not plain:
        if missing := [part for part in _PARTS if not getattr(security, part)]:
            raise InvalidRequest(
                f"security={security!r} has no {', '.join(missing)}: give all of them, or leave security out: then"
                " credentials are made for this cluster alone"
            )
        return guard_security(security)
    if security.require_encryption:
        raise InvalidRequest(
            f"protocol={protocol!r} does not encrypt, and security= requires it: leave one of them out"
        )
    _warn(f"protocol={protocol!r}")
    return None


def _by_configuration() -> Security | None:
    encrypts = settings.encrypts()
    if not isinstance(encrypts, bool):
        raise InvalidRequest(f"jobclusters.security must be true or false, not {encrypts!r}")
    if dask_settings.default_scheme() == "tls":
        configured = Security()
        if all(getattr(configured, part) for part in _PARTS):
            return guard_security(configured)
    elif not encrypts:
        _warn_of_setting()
        return None
    return credentials.make()


@lru_cache(maxsize=1)
def _warn_of_setting() -> None:
    _warn("jobclusters.security: false in the configuration")


def _warn(because: str) -> None:
    """Warn of plain connections.

    A warning, not a log record: Dask's users silence logs; a notebook shows warnings beside the call, and their class
    filters them.
    """
    warnings.warn(
        f"{because}: connections to this cluster are neither encrypted nor checked: everybody who reaches its ports"
        f" over the network, or is on one of its machines, can run code as {getpass.getuser()} (docs/security.md)",
        UserWarning,
        stacklevel=_outside(),
    )


def _outside() -> int:
    """Count the calls from :func:`_warn` to the first caller outside this package."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "jobclusters":
        frame, level = frame.f_back, level + 1
    return level
