from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from jobclusters.batch.script import command
from jobclusters.errors import InvalidRequest
from jobclusters.network.interfaces import Interface, check, choose, interfaces, worker_interface


def some(*names, **addresses):
    """Interfaces that are up, each with an address of its own unless one is given."""
    plain = {name: f"10.{number}.0.1" for number, name in enumerate(names)}
    return {name: Interface(name, address) for name, address in {**plain, **addresses}.items()}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("", None),
        ("lo", None),
        ("eth0", None),
        ("lo ib0", None),
        ("ib0", None),
        ("ib0 docker0 veth12ab br-05c845ef845c virbr0 cni0 flannel.1 tun0 tap0 wg0", None),
        ("lo eno1 eno2", None),
        ("eno1 ens1f0np0 enp1s0 bond0 br0 team0 vlan5", None),
        ("eno1 ib0", "ib0"),
        ("ib0 eno1", "ib0"),
        ("eno1 ib10 ib2", "ib2"),
        ("hsn3 hsn1 hsn0 hsn2", "hsn0"),
        ("nmn0 hsn10 hsn9", "hsn9"),
        ("eth0 hsn0 ib0", "hsn0"),
        ("eth0 ipogif0 hsn0", "hsn0"),
        ("eth0 ipogif0 hfi1_opa0 ib0", "ib0"),
        ("eth0 ipogif0 hfi1_opa0", "hfi1_opa0"),
        ("eth0 ib0.8001 ib0", "ib0"),
        ("eth0 docker0", None),
        ("tun0 wg0 docker0 veth1 eth0 lo", None),
        ("eth0 tun-ib0 docker-hsn0 veth-ib0", None),
        ("ib0:1 ib0", "ib0"),
        ("ibft0 eth0", None),
        ("eno1 iblah", None),
        ("eno1 hsnake", None),
        ("eno1 xib0 mib0", None),
    ],
)  # fmt: skip
def test_choose(names, chosen):
    found = choose(some(*names.split()))
    assert (found and found.name) == chosen


FAST = "hsn0 hsn1 ib0 ib1 ib0.8001 ibp12s0 ibp196s0f0 ibs3 ibs2f0 ibP257p0s0 ib-data ib_data ibbond0 mlx4_ib0 mlx5_ib1 qib_ib0 hfi1_opa0 hfi0 opa0 ipogif0"  # fmt: skip


@pytest.mark.parametrize("name", FAST.split())
def test_names_of_fast_networks(name):
    assert choose(some("eno1", name)).name == name


def test_infiniband_by_another_name():
    found = some("eno1", "ibs3") | {"fabric": Interface("fabric", "10.9.0.1", infiniband=True)}
    assert choose(found).name == "fabric"
    assert choose(found | some("hsn0")).name == "hsn0"
    del found["fabric"]
    assert choose(found).name == "ibs3"


@pytest.mark.parametrize(
    "ib0",
    [Interface("ib0"), Interface("ib0", "10.1.0.1", up=False), Interface("ib0", "169.254.3.4"), Interface("ib0", "127.0.0.2")],
)  # fmt: skip
def test_what_does_not_count(ib0):
    assert choose({**some("eno1", "eno2"), "ib0": ib0}) is None
    assert choose({**some("ib1"), "ib0": ib0}) is None
    assert choose({**some("ib1", "eno1"), "ib0": ib0}).name == "ib1"


def test_interfaces_of_this_machine():
    found = interfaces()
    loopback = [each for each in found.values() if each.address == "127.0.0.1"]
    assert loopback
    assert all(each.usable for each in loopback)
    for name, each in found.items():
        assert each.name == name
        if each.usable:
            socket.inet_aton(each.address)
            check(name, found)


def test_loopback_is_no_choice():
    loopback = {name: each for name, each in interfaces().items() if (each.address or "").startswith("127.")}
    assert choose({**loopback, **some("ib0")}) is None


@pytest.fixture
def machine(monkeypatch):
    """A machine as psutil tells it."""

    def address(family, text):
        return SimpleNamespace(family=family, address=text)

    def v4(text):
        return address(socket.AF_INET, text)

    link, v6 = address(-1, "00:11"), address(socket.AF_INET6, "fe80::1")
    addresses = {
        "lo": [v4("127.0.0.1")],
        "eth0": [v6, v4("10.0.0.1"), v4("10.0.0.2"), link],
        "ib0": [v4("10.1.0.1"), link],
        "ib0:1": [v4("10.1.0.2")],
        "eth1": [v4("10.2.0.1")],
        "eth2": [v6],
    }
    stats = {name: SimpleNamespace(isup=name != "eth1") for name in ("lo", "eth0", "ib0", "eth1", "eth2", "bare")}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats)


def test_what_is_read(machine):
    found = interfaces()
    assert {name: each.address for name, each in found.items()} == {
        "lo": "127.0.0.1",
        "eth0": "10.0.0.1",
        "ib0": "10.1.0.1",
        "ib0:1": "10.1.0.2",
        "eth1": "10.2.0.1",
        "eth2": None,
        "bare": None,
    }
    assert [name for name, each in found.items() if not each.up] == ["eth1"]


def test_link_type_is_read(machine, monkeypatch):
    asked = []
    monkeypatch.setattr(Path, "read_text", lambda path: asked.append(str(path)) or "32\n")
    assert all(each.infiniband for each in interfaces().values())
    assert set(asked) == {f"/sys/class/net/{name}/type" for name in ("lo", "eth0", "ib0", "eth1", "eth2", "bare")}


VALID = "Valid: eth0 (10.0.0.1), ib0 (10.1.0.1), ib0:1 (10.1.0.2), lo (127.0.0.1)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ib9", f"unknown interface 'ib9': did you mean 'ib0'? {VALID}"),
        ("hsn0", f"unknown interface 'hsn0': {VALID}"),
        ("eth1", f"interface 'eth1' is down. {VALID}"),
        ("eth2", f"interface 'eth2' has no IPv4 address. {VALID}"),
        ("", f"unknown interface '': {VALID}"),
    ],
)
def test_check(machine, name, text):
    with pytest.raises(InvalidRequest) as caught:
        check(name, interfaces())
    assert caught.value.problems == (text,)


@pytest.mark.parametrize("name", ["lo", "eth0", "ib0:1"])
def test_check_passes(machine, name):
    check(name, interfaces())


def test_check_without_any():
    with pytest.raises(InvalidRequest, match=re.escape("unknown interface 'ib0': Valid: none")):
        check("ib0", {})


def test_what_dask_takes(machine):
    from distributed.utils import get_ip_interface

    for name, each in interfaces().items():
        if each.usable:
            assert get_ip_interface(name) == each.address


@pytest.mark.skipif(not Path("/sys/class/net/lo/carrier").exists(), reason="nodes run Linux")
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lo", ["--interface", "lo"]),
        ("lo:1", ["--interface", "lo:1"]),
        ("missing0", []),
        ("ib-no.such:1", []),
    ],
)
def test_workers_flag_in_the_shell(shell, name, words):
    text = command(["printf", r"%s\n", "first", worker_interface(name), "last"])
    done = subprocess.run([shell, "-ec", text], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["first", *words, "last", ""]
    assert done.stderr == ""


def test_an_interface_that_is_off_is_left_out(tmp_path):
    for name, link in (("on", "1\n"), ("off", "0\n")):
        (tmp_path / "class/net" / name).mkdir(parents=True)
        (tmp_path / "class/net" / name / "carrier").write_text(link)
    for name, words in (("on", "--interface on\n"), ("off", "\n")):
        text = f"echo {worker_interface(name)}".replace("/sys", str(tmp_path))
        assert subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout == words


@pytest.mark.parametrize(
    "name", ["", "a b", "$(reboot)", "`x`", "ib0;x", "a/b", "..", ".", "-x", "ib0\n", "é", "a'b", 'a"', "*", "~"]
)
def test_names_that_are_no_interface(name):
    with pytest.raises(InvalidRequest, match="the name of an interface holds only"):
        worker_interface(name)
