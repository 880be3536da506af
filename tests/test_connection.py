"""How workers are told to reach their scheduler."""

from __future__ import annotations

import logging

import dask.config
import pytest
from distributed.security import Security

from jobclusters import InvalidRequest, LocalQueueCluster, SLURMCluster
from jobclusters.call import read_call
from jobclusters.connection import Network, choose_network, connection_args
from jobclusters.dialects import DIALECTS
from jobclusters.explain import Origin
from jobclusters.network import Interface

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
    monkeypatch.setattr("jobclusters.connection.interfaces", lambda: MACHINE)


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
