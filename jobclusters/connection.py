"""How workers reach their scheduler: the network, and the flags of ``dask worker`` for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.config

from jobclusters.explain import Origin
from jobclusters.network import check, choose, interfaces, worker_interface
from jobclusters.words import ShellWord, Word

if TYPE_CHECKING:
    from distributed.security import Security

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """The network of scheduler and workers.

    Attributes
    ----------
    interface
        Its name on this machine; None leaves it to Dask.
    worker
        What the workers are told: a name, or flags that the node's shell works out.
    source
        Who says so.
    """

    interface: str | None
    worker: Word | None
    source: str


def choose_network(named: Origin | None, options: Mapping[str, object], *, local: bool = False) -> Network:
    """Take the network that was named, or the fastest of this machine's.

    Parameters
    ----------
    named
        What ``interface=`` or the configuration says; None where nobody says anything.
    options
        Of the Dask scheduler: one that has its own address or interface doesn't use this one.
    local
        Whether the workers are on this machine, too: then nothing is chosen.

    Raises
    ------
    InvalidRequest
        For an interface that the scheduler can't use; it lists those there are.
    """
    if own := options.get("interface"):
        check(str(own), interfaces())
    elsewhere = bool(own) or "host" in options
    if named is not None:
        name = str(named.value) if named.value else None
        if name and not elsewhere:
            check(name, interfaces())
        return Network(name, name, named.source)
    if local:
        return Network(None, None, "")
    found = None if elsewhere or not dask.config.get("jobclusters.choose-interface") else choose(interfaces())
    if found is None:
        return Network(None, None, "default")
    logger.info("Scheduler and workers use the network of %s (%s).", found.name, found.address)
    return Network(found.name, worker_interface(found.name), "the fastest of this machine's networks")


def connection_args(protocol: str | None, security: Security | None, network: Network | None) -> tuple[Word, ...]:
    """Give the flags of ``dask worker`` for its connection to the scheduler."""
    args: list[Word] = []
    if network and network.worker:
        flag = isinstance(network.worker, ShellWord)
        args += [network.worker] if flag else ["--interface", network.worker]
    if protocol:
        # With "tls://" Dask's worker wouldn't take the address at which it reaches the scheduler, but the machine's.
        args += ["--protocol", "tls" if protocol == "tls://" else protocol]
    if security:
        files: Mapping[str, Any] = security.get_tls_config_for_role("worker")
        # 'ciphers' has no flag
        args += [
            word
            for key, path in files.items()
            if key != "ciphers" and path
            for word in (f"--tls-{key.replace('_', '-')}", path)
        ]
    return tuple(args)
