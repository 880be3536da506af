"""The network of scheduler and workers: this machine's interfaces, and the choice of the fast one."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from jobclusters.config import settings
from jobclusters.config.origins import Origin
from jobclusters.errors import InvalidRequest, nearest
from jobclusters.spec.job_spec import CUDA_WORKER, DASK_WORKER, JobSpec
from jobclusters.spec.shell_words import ShellWord, Word

if TYPE_CHECKING:
    from distributed.security import Security

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """The network of scheduler and workers.

    Attributes
    ----------
    interface
        Its name on this machine; None leaves the choice to Dask.
    worker
        The name for workers, or flags that the node's shell works out.
    source
        Where the choice comes from.
    ports
        The first and the last port that may be used; None for any.
    """

    interface: str | None
    worker: Word | None
    source: str
    ports: tuple[int, int] | None = None


def choose_network(named: Origin | None, options: Mapping[str, object], *, local: bool = False) -> Network:
    """Take the named network, or the fastest one of this machine.

    ``named`` is ``interface=``, or its value in the configuration. An address or interface among the ``options`` of the
    Dask scheduler comes first. Where the workers are ``local``, on this machine, nothing is chosen. Raise
    InvalidRequest for an interface that the scheduler can't use; it lists the usable ones.
    """
    if own := options.get("interface"):
        check(str(own), interfaces())
    elsewhere = bool(own) or "host" in options
    if named is not None:
        name = str(named.value) if named.value else None
        if name and not elsewhere:
            _check_named(name, interfaces())
        return Network(name, name, named.source)
    if local:
        return Network(None, None, "")
    found = None if elsewhere or not settings.chooses_interface() else choose(interfaces())
    if found is None:
        return Network(None, None, "default")
    logger.info("Scheduler and workers use the network of %s (%s).", found.name, found.address)
    return Network(found.name, worker_interface(found.name), "the fastest of this machine's networks")


def _check_named(name: str, here: Mapping[str, Interface]) -> None:
    try:
        check(name, here)
    except InvalidRequest as error:
        if usable := [each.name for each in here.values() if each.usable and leads_out(each)]:
            way = f"scheduler_options={{'interface': {usable[0]!r}}}"
            raise InvalidRequest(
                f"{error}. If only nodes have {name!r}, name another for the scheduler: {way}"
            ) from None
        raise


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
        for key, path in files.items():
            if key != "ciphers" and path:  # it has no flag
                args += [f"--tls-{key.replace('_', '-')}", path]
    return tuple(args)


def port_args(spec: JobSpec, network: Network | None) -> tuple[Word, ...]:
    """Give the flags of a worker's command for the ports that a firewall leaves."""
    words = {str(word).partition("=")[0] for word in spec.worker_args}
    if network is None or network.ports is None or "--worker-port" in words:
        return ()
    ports = "{}:{}".format(*network.ports)
    if spec.worker_command == DASK_WORKER and "--no-nanny" not in words:
        return ("--worker-port", ports, "--nanny-port", ports)
    return ("--worker-port", ports) if spec.worker_command in (DASK_WORKER, CUDA_WORKER) else ()


@dataclass(frozen=True)
class Interface:
    """A network interface of this machine.

    Attributes
    ----------
    name
        The system's name for it.
    address
        Its first IPv4 address, which is the one that Dask takes; None if it has none.
    up
        Whether it is switched on and connected.
    infiniband
        Whether the system calls it InfiniBand or Omni-Path, whatever its name.
    """

    name: str
    address: str | None = None
    up: bool = True
    infiniband: bool = False

    @property
    def usable(self) -> bool:
        """Whether Dask can use it."""
        return self.up and self.address is not None


#: ARPHRD_INFINIBAND: Linux's number for IP over InfiniBand, and over Omni-Path too.
_INFINIBAND = "32"

#: Names of fast networks, the first kind before the second. On a Slingshot machine, InfiniBand leads to storage.
_FAST = tuple(
    re.compile(pattern)
    for pattern in (
        r"hsn\d",  # Slingshot (HPE Cray EX): hsn0, hsn1, ...
        # InfiniBand: the kernel's ib0 and its partitions ib0.8001; systemd's ibp7s0, ibs2f0 and ibP257p0s0; Red Hat's
        # mlx5_ib0; a site's ib-data. Not everything that begins so: ibft0 is an Ethernet that the firmware set up.
        r"(mlx\d+_|qib\d*_)?ib(bond)?[\d_-]|ib(P\d+)?[pso]\d",
        r"(hfi\d+_)?opa\d|hfi\d",  # Omni-Path: Red Hat's hfi1_opa0; elsewhere it's ib0 too
        r"ipogif\d",  # Gemini and Aries (Cray XE, XC)
    )
)

#: Interfaces within this machine, and tunnels.
_VIRTUAL = re.compile(
    r"lo\d*$|docker|podman|lxc|lxd|veth|virbr|vnet|br-|cni|cali|flannel|kube|vxlan|u?tun|tap|wg|tailscale|dummy|ifb"
)


def interfaces() -> dict[str, Interface]:
    """List this machine's network interfaces, including those that Dask can't use."""
    addresses, stats = psutil.net_if_addrs(), psutil.net_if_stats()
    found = {}
    for name in {**stats, **addresses}:
        device = name.partition(":")[0]  # ib0:1 is another address of ib0, and has no state of its own
        ipv4 = (each.address for each in addresses.get(name, ()) if each.family == socket.AF_INET)
        up = device in stats and stats[device].isup
        found[name] = Interface(name, next(ipv4, None), up, _link_type(device) == _INFINIBAND)
    return found


def _link_type(name: str) -> str:
    try:
        return Path("/sys/class/net", name, "type").read_text().strip()
    except OSError:  # not Linux, or gone meanwhile
        return ""


def choose(interfaces: Mapping[str, Interface]) -> Interface | None:
    """Choose the fast interface where there is a choice: Slingshot, then InfiniBand, Omni-Path, Aries, by number.

    Loopback, virtual and link-local ones don't count. Ethernets alone are no choice: Dask takes the one with the
    route out.

    Examples
    --------
    >>> choose({"eno1": Interface("eno1", "10.0.0.1"), "ib0": Interface("ib0", "10.1.0.1")}).name
    'ib0'
    """
    real = [each for each in interfaces.values() if leads_out(each)]
    fast = [each for each in real if _speed(each) < len(_FAST)]
    if len(real) < 2 or not fast:
        return None
    return min(fast, key=lambda each: (_speed(each), _natural(each.name)))


def leads_out(interface: Interface) -> bool:
    """Whether an interface leads to other machines, judged by its name and address."""
    local = (interface.address or "").startswith(("127.", "169.254."))
    return interface.usable and not local and not _VIRTUAL.match(interface.name)


def _speed(interface: Interface) -> int:
    """Rank an interface in the order of fast networks; the last rank isn't fast."""
    by_name = (place for place, pattern in enumerate(_FAST) if pattern.match(interface.name))
    return next(by_name, 1 if interface.infiniband else len(_FAST))


def _natural(name: str) -> list[tuple[str, int]]:
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def check(name: str, interfaces: Mapping[str, Interface]) -> None:
    """Refuse an unknown interface, or one that Dask can't use.

    Examples
    --------
    >>> check("ib1", {"ib0": Interface("ib0", "10.1.0.1")})
    Traceback (most recent call last):
    ...
    jobclusters.errors.InvalidRequest: unknown interface 'ib1': did you mean 'ib0'? Valid: ib0 (10.1.0.1)
    """
    found = interfaces.get(name)
    usable = [each for each in interfaces.values() if each.usable]
    if found is None:
        hint = nearest(name, [each.name for each in usable])
        raise InvalidRequest(f"unknown interface {name!r}:{hint} Valid: {_listed(usable)}")
    if not found.usable:
        lack = "has no IPv4 address" if found.up else "is down"
        raise InvalidRequest(f"interface {name!r} {lack}. Valid: {_listed(usable)}")


def _listed(interfaces: Iterable[Interface]) -> str:
    ordered = sorted(interfaces, key=lambda each: _natural(each.name))
    return ", ".join(f"{each.name} ({each.address})" for each in ordered) or "none"


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")


def worker_interface(name: str) -> ShellWord:
    """Give the worker's flag for an interface; the node's shell omits it if the node doesn't have the interface.

    A node without this network, or with its cable out, then reaches the scheduler another way. A name that no interface
    has is refused, as the script contains it.

    Examples
    --------
    >>> print(worker_interface("ib0"))
    $(grep -qs 1 /sys/class/net/ib0/carrier && echo --interface ib0)
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"interface {name!r}: the name of an interface holds only letters, digits and _ . : -")
    device = name.partition(":")[0]
    # The file holds 1 where there is a link; where the interface is switched off, it can't be read.
    return ShellWord(f"$(grep -qs 1 /sys/class/net/{device}/carrier && echo --interface {name})")
