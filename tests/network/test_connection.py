"""The flags with which workers reach their scheduler."""

from __future__ import annotations

import asyncio
import logging
import re
import socket

import dask.config
import pytest
from distributed.security import Security

from jobclusters import InvalidRequest, LocalQueueCluster, SLURMCluster, job_script
from jobclusters.config.call import read_call
from jobclusters.config.origins import Origin
from jobclusters.dialects import DIALECTS
from jobclusters.network.interfaces import Interface, Network, choose_network, connection_args
from jobclusters.network.links import free_port
from tests.helpers.waiting import PATIENCE

MACHINE = {
    "lo": Interface("lo", "127.0.0.1"),
    "eth0": Interface("eth0", "192.168.0.1"),
    "ib0": Interface("ib0", "10.0.0.1"),
    "ib1": Interface("ib1", None),
}
WHERE_IT_IS = "$(grep -qs 1 /sys/class/net/ib0/carrier && echo --interface ib0)"
LARGE = {"worker_size": "large"}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr("jobclusters.network.interfaces.interfaces", lambda: MACHINE)


def chosen(options=None, **keywords):
    """Choose for a call as a cluster does."""
    call = read_call(DIALECTS["slurm"], {**LARGE, **keywords})
    return choose_network(call.cluster.get("interface"), options or {})


def test_the_fast_network_is_taken_and_that_is_said(caplog):
    with caplog.at_level(logging.INFO, "jobclusters"):
        network = chosen()
    assert (network.interface, str(network.worker)) == ("ib0", WHERE_IT_IS)
    assert caplog.messages == ["Scheduler and workers use the network of ib0 (10.0.0.1)."]
    assert network.source == "the fastest of this machine's networks"


def test_a_named_network_is_taken(configure, caplog):
    assert chosen(interface="eth0") == Network("eth0", "eth0", "keyword")
    configure(site="jobqueue: {slurm: {interface: eth0}}")
    assert chosen() == Network("eth0", "eth0", "jobqueue.slurm")
    assert chosen(interface="ib0") == Network("ib0", "ib0", "keyword")
    assert not caplog.messages


@pytest.mark.parametrize("text", ["jobqueue: {slurm: {interface: ''}}", "jobclusters: {choose-interface: false}"])
def test_a_site_may_leave_the_choice_to_dask(configure, text):
    configure(site=text)
    assert chosen().interface is None


def test_a_call_may_leave_the_choice_to_dask(configure):
    configure(site="jobqueue: {slurm: {interface: eth0}}")
    assert chosen(interface="") == Network(None, None, "keyword")


@pytest.mark.parametrize("options", [{"host": "10.1.1.1"}, {"interface": "eth0"}])
def test_nothing_is_chosen_for_a_scheduler_that_has_its_own_address(options):
    assert chosen(options).worker is None


def test_a_network_only_the_workers_have(configure):
    assert chosen({"host": "10.1.1.1"}, interface="hsn0") == Network("hsn0", "hsn0", "keyword")


@pytest.mark.parametrize("options", [{}, {"interface": "ib7"}])
def test_what_is_not_there_lists_what_is(options):
    with pytest.raises(InvalidRequest, match=r"unknown interface 'ib7': .*Valid: eth0 \(192.168.0.1\), ib0"):
        choose_network(None if options else Origin("ib7", "keyword"), options)


def test_a_network_of_nodes_alone_names_the_way():
    with pytest.raises(InvalidRequest, match=r"only nodes have 'hsn0', .*scheduler_options=\{'interface': 'eth0'\}"):
        chosen(interface="hsn0")
    assert chosen({"interface": "eth0"}, interface="hsn0").worker == "hsn0"


def test_a_cluster_without_a_network_is_not_made():
    with pytest.raises(InvalidRequest, match="interface 'ib1' has no IPv4 address"):
        SLURMCluster(**LARGE, interface="ib1")


def test_on_this_machine_nothing_is_chosen():
    with LocalQueueCluster(cores=1, memory="1 GiB") as cluster:
        assert "--interface" not in cluster.job_script()
        assert cluster.scheduler_address.startswith("tls://127.0.0.1")
        assert "interface" not in cluster.explain()


@pytest.mark.parametrize(
    ("network", "args"),
    [
        (None, []),
        (Network(None, None, ""), []),
        (Network("eth0", "eth0", ""), ["--interface", "eth0"]),
    ],
)
def test_arguments(network, args):
    assert [*connection_args(None, None, network)] == args
    assert [*connection_args("tcp", None, network)] == [*args, "--protocol", "tcp"]


def test_certificates():
    security = Security(
        tls_ca_file="ca", tls_worker_cert="cert", tls_worker_key="key", tls_ciphers="x", require_encryption=True
    )
    args = connection_args(None, security, None)
    assert dict(zip(args[::2], args[1::2], strict=True)) == {
        "--tls-ca-file": "ca",
        "--tls-cert": "cert",
        "--tls-key": "key",
    }


def test_the_switch_is_read_when_a_cluster_is_made():
    with dask.config.set({"jobclusters.choose-interface": False}):
        assert chosen().interface is None
    assert chosen().interface == "ib0"


def test_an_option_that_the_scheduler_does_not_take_is_refused():
    with pytest.raises(InvalidRequest, match="unknown scheduler option 'idle_timout': did you mean 'idle_timeout'"):
        LocalQueueCluster(cores=1, memory="256 MB", scheduler_options={"idle_timout": "2 hours"})


def taken():
    """Listen at a port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


def test_all_stays_within_a_range_of_ports():
    listener, first = taken()
    with listener, LocalQueueCluster(cores=1, memory="1 GiB", ports=f"{first}-{first + 40}") as cluster:
        cluster.scale(jobs=1)
        cluster.wait_for_workers(1, timeout=PATIENCE)
        with cluster.get_client() as client:
            (info,) = client.scheduler_info()["workers"].values()
            ports = [
                int(address.rpartition(":")[2]) for address in (*client.scheduler_info()["workers"], info["nanny"])
            ]
        ports.append(int(cluster.scheduler_address.rpartition(":")[2]))
    assert [port for port in ports if not first < port <= first + 40] == []


def test_clusters_that_start_at_the_same_time_share_a_range_of_ports():
    listener, first = taken()

    async def both():
        keywords = {"cores": 1, "memory": "1 GiB", "ports": f"{first}-{first + 40}", "asynchronous": True}
        made = [LocalQueueCluster(**keywords) for _ in range(2)]
        async with made[0], made[1]:
            return [int(each.scheduler_address.rpartition(":")[2]) for each in made]

    with listener:
        ports = asyncio.run(both())
    assert len({*ports}) == 2
    assert all(first < port <= first + 40 for port in ports)


@pytest.mark.parametrize(
    ("keywords", "flags"),
    [
        ({}, "--worker-port 40000:40100 --nanny-port 40000:40100"),
        ({"nanny": False}, "--worker-port 40000:40100"),
        ({"worker_extra_args": ["--worker-port=1:9"]}, "--worker-port=1:9"),
        ({"worker_command": "my.cli"}, ""),
    ],
)
def test_workers_are_given_the_ports(configure, keywords, flags):
    configure(site="jobqueue: {slurm: {ports: 40000-40100}}")
    (line,) = [each for each in job_script("slurm", **LARGE, **keywords).splitlines() if each.startswith("exec ")]
    assert " ".join(word for word in re.findall(r"--(?:worker|nanny)-port[ =]\S+", line)) == flags


@pytest.mark.parametrize("ports", ["40000", "0-10", "10-5", "40000-70000", 40000, "a-b", [1, 2]])
def test_a_range_of_ports_that_is_none(ports):
    with pytest.raises(InvalidRequest, match="ports must be a range of ports, the first and the last"):
        job_script("slurm", **LARGE, ports=ports)


def test_a_port_that_is_taken_is_one_clear_error():
    listener, port = taken()
    with listener:
        with pytest.raises(InvalidRequest, match=f"another process of this machine listens at port {port}"):
            LocalQueueCluster(cores=1, memory="1 GiB", scheduler_options={"port": port})
        with pytest.raises(InvalidRequest, match=r"port must be a number below 65536, .*ports='40000-40100'"):
            LocalQueueCluster(cores=1, memory="1 GiB", scheduler_options={"port": "8000:8100"})
        with pytest.raises(InvalidRequest, match="other processes of this machine use all of them"):
            free_port((port, port))
