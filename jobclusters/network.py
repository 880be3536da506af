"""The network that scheduler and workers use: which interfaces there are, and which of them is the fast one."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobclusters.errors import InvalidRequest, nearest
from jobclusters.words import ShellWord


@dataclass(frozen=True)
class Interface:
    """A network interface of this machine.

    Attributes
    ----------
    name
        As the system calls it.
    address
        Its first IPv4 address, which is the one that Dask takes; None if it has none.
    up
        Whether it's switched on and connected.
    infiniband
        Whether the system says that it's InfiniBand or Omni-Path, whatever its name.
    """

    name: str
    address: str | None = None
    up: bool = True
    infiniband: bool = False

    @property
    def usable(self) -> bool:
        """Whether Dask can use it."""
        return self.up and self.address is not None


#: ARPHRD_INFINIBAND: what Linux calls IP over InfiniBand, and over Omni-Path too.
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

#: What leads nowhere beyond this machine, or through a tunnel.
_VIRTUAL = re.compile(
    r"lo\d*$|docker|podman|lxc|lxd|veth|virbr|vnet|br-|cni|cali|flannel|kube|vxlan|u?tun|tap|wg|tailscale|dummy|ifb"
)


def interfaces() -> dict[str, Interface]:
    """Look at this machine's network interfaces, those that Dask can't use included."""
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
    """Give the fast interface where there is a choice.

    Loopback, virtual and link-local ones don't count. Ethernets alone are no choice: Dask takes the one with the
    route out.

    Parameters
    ----------
    interfaces
        By name.

    Returns
    -------
    Interface or None
        Slingshot before InfiniBand before Omni-Path before Aries; of several, the one with the lowest number.

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
    """Whether it leads to other machines, as far as its name and address tell."""
    local = (interface.address or "").startswith(("127.", "169.254."))
    return interface.usable and not local and not _VIRTUAL.match(interface.name)


def _speed(interface: Interface) -> int:
    """Give the place of its kind in the order of fast networks; what is behind them all isn't fast."""
    by_name = (place for place, pattern in enumerate(_FAST) if pattern.match(interface.name))
    return next(by_name, 1 if interface.infiniband else len(_FAST))


def _natural(name: str) -> list[tuple[str, int]]:
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def check(name: str, interfaces: Mapping[str, Interface]) -> None:
    """Refuse an interface that Dask can't use.

    Parameters
    ----------
    name
        What the user wrote.
    interfaces
        Those of this machine, by name.

    Raises
    ------
    InvalidRequest
        If there is none of this name, it's down, or it has no IPv4 address.

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
    """Give the worker's flag for an interface, which the node's shell leaves out where the interface isn't.

    Nodes are not all alike: one without this network, or whose cable is out, uses the way to the scheduler that it has.

    Parameters
    ----------
    name
        Of the interface.

    Raises
    ------
    InvalidRequest
        If it isn't the name of an interface; it would stand in a script.

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
