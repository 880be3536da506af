"""Gives clients the credentials of this process's clusters: ``Client(cluster.scheduler_address)`` names none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed.security import Security

from jobclusters.config import dask_settings

#: By the scheduler's address.
_CREDENTIALS: dict[str, Security] = {}


def remember(address: str, security: Security | None) -> None:
    """Have Dask ask :func:`load` for the credentials of an address, unless it is configured to ask another."""
    if security is not None:
        _CREDENTIALS[address] = security
        dask_settings.set_security_loader(f"{__name__}.load")


def forget(address: str | None) -> None:
    """Forget the credentials of a cluster that has closed."""
    _CREDENTIALS.pop(str(address), None)


def load(info: Mapping[str, Any]) -> Security | None:
    """Find the credentials of an address for ``distributed.client.security-loader``; None if it is no cluster's."""
    return _CREDENTIALS.get(str(info["address"]))
