"""The ways to a dashboard."""

from __future__ import annotations

import asyncio
import socket
import sys
import urllib.error
import urllib.request
import warnings
from types import SimpleNamespace

import dask.config
import pytest
from distributed import Client

from jobclusters import InvalidRequest, LocalQueueCluster
from jobclusters.network.dashboard import dashboard_path
from jobclusters.network.links import Links, free_address, make_links, through_server
from tests.helpers.waiting import PATIENCE

ON_ITS_MACHINE = {"dashboard": "http://127.0.0.1:8787/status", "host": "127.0.0.1"}
ON_THE_NETWORK = {"dashboard": "http://10.1.0.1:8787/status", "host": "10.1.0.1"}
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}
SMALL = {"cores": 1, "memory": "1 GiB"}


def links(where, environment=(), **more):
    return make_links(**where, port=8787, user="me", **{"node": "login1", **more}, environment=dict(environment))


@pytest.mark.parametrize(
    ("where", "more", "line"),
    [
        (ON_ITS_MACHINE, {}, "ssh -N -L 8787:127.0.0.1:8787 me@login1"),
        (ON_ITS_MACHINE, {"node": "c7", "login": "login1"}, "ssh -N -L 8787:127.0.0.1:8787 -J me@login1 me@c7"),
        (ON_THE_NETWORK, {}, "ssh -N -L 8787:10.1.0.1:8787 me@login1"),
        (ON_THE_NETWORK, {"node": "c7", "login": "login1"}, "ssh -N -L 8787:10.1.0.1:8787 me@login1"),
    ],
)
def test_tunnel(where, more, line):
    found = links(where, **more)
    assert found.tunnel == line
    assert found.tunnelled == "http://127.0.0.1:8787/status"
    assert found.dashboard == where["dashboard"]


@pytest.mark.parametrize(
    ("where", "environment", "here", "path"),
    [
        (ON_ITS_MACHINE, {}, True, ""),
        (ON_ITS_MACHINE, HUB, True, "/user/me/proxy/8787/status"),
        (ON_ITS_MACHINE, HUB, False, ""),
        (ON_THE_NETWORK, HUB, False, "/user/me/proxy/10.1.0.1:8787/status"),
        (ON_THE_NETWORK, HUB, True, "/user/me/proxy/10.1.0.1:8787/status"),
        (ON_ITS_MACHINE, {"JPY_SESSION_NAME": "/home/me/x.ipynb"}, True, "/proxy/8787/status"),
        (
            ON_ITS_MACHINE,
            {**HUB, "JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/me/"},
            True,
            "https://hub.example.org/user/me/proxy/8787/status",
        ),
    ],
)
def test_jupyter(where, environment, here, path):
    found = links(where, environment, here=here)
    assert found.jupyter == path
    assert ("in Jupyter" in repr(found)) is bool(path)


def test_what_comes_before_the_pages_is_in_all_links():
    found = links({**ON_ITS_MACHINE, "dashboard": "http://127.0.0.1:8787/abc/status"}, HUB, path="/abc")
    assert found.tunnelled == found.dashboard == "http://127.0.0.1:8787/abc/status"
    assert found.jupyter == "/user/me/proxy/8787/abc/status"
    assert ":8787 " in f"{found.tunnel} "
    assert "abc" not in found.tunnel  # others see a running ssh's arguments


def test_in_a_jupyter_server_itself_as_for_dask_labextension_links_lead_through_it(monkeypatch):
    link = "http://127.0.0.1:8787/abc/status"
    assert through_server(link, 8787, "/abc") == link

    class ServerApp(SimpleNamespace):
        initialized = staticmethod(lambda: True)
        instance = staticmethod(lambda: SimpleNamespace(base_url="/user/me/"))

    monkeypatch.setitem(sys.modules, "jupyter_server.serverapp", SimpleNamespace(ServerApp=ServerApp))
    assert through_server(link, 8787, "/abc") == "/user/me/proxy/8787/abc/status"
    for chosen in ("/proxy/8787/abc/status", "https://hub/proxy/8787/abc/status"):
        assert through_server(chosen, 8787, "/abc") == chosen
    monkeypatch.setattr(ServerApp, "initialized", staticmethod(lambda: False))
    assert through_server(link, 8787, "/abc") == link


def test_they_print_as_a_table():
    found = links(ON_ITS_MACHINE, HUB)
    assert repr(found).splitlines() == [
        "dashboard              http://127.0.0.1:8787/status",
        "from your own machine  ssh -N -L 8787:127.0.0.1:8787 me@login1   then http://127.0.0.1:8787/status",
        "in Jupyter             /user/me/proxy/8787/status   (with jupyter-server-proxy)",
    ]
    assert "&lt;b&gt;" in Links("<b>", "", "")._repr_html_()


def test_a_taken_port_is_another_ones():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_address(port) == "127.0.0.1:0"
    assert free_address(port) == f"127.0.0.1:{port}"


# -- of a cluster -----------------------------------------------------------------------------------------------


def page(address):
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return answer.status


def status(address):
    try:
        return page(address)
    except urllib.error.HTTPError as error:
        return error.code


def other_address():
    """Give an address of this machine that isn't its own alone; None if it has none."""
    from distributed.utils import get_ip

    return get_ip()


def test_two_clusters_each_have_a_dashboard_on_this_machine_alone(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    # The usual one may be taken between look and use by a test that runs at the same time.
    monkeypatch.setattr("jobclusters.network.scheduler.free_address", lambda: free_address(own))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Port .* is already in use")
        with LocalQueueCluster(**SMALL) as one, LocalQueueCluster(**SMALL) as other, Client(one) as client:
            assert one.dashboard_link != other.dashboard_link
            for cluster in (one, other):
                assert page(cluster.dashboard_link) == 200
                assert cluster.dashboard_link == cluster.links.dashboard
                assert cluster.scheduler.http_server.address == "127.0.0.1"
            assert client.dashboard_link == one.dashboard_link
            assert one.dashboard_link in one._repr_html_()
            port = other.scheduler.http_server.port
            assert f"ssh -N -L {port}:127.0.0.1:{port} " in repr(other.links)


def test_it_may_be_opened(monkeypatch):
    options = {"dashboard_address": "0.0.0.0:0", "host": other_address()}
    with LocalQueueCluster(**SMALL, scheduler_options=options) as cluster:
        assert cluster.scheduler.http_server.address == "0.0.0.0"
        assert cluster.dashboard_link.startswith(f"http://{other_address()}:")
        assert page(cluster.dashboard_link) == 200
        assert f":{other_address()}:" in cluster.links.tunnel


def test_dasks_setting_is_heeded(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/me/")
    with (
        dask.config.set({"distributed.dashboard.link": "{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status"}),
        LocalQueueCluster(**SMALL) as cluster,
    ):
        path = f"/user/me/proxy/{cluster.scheduler.http_server.port}{dashboard_path(cluster.scheduler)}/status"
        assert cluster.dashboard_link == cluster.links.jupyter == path


def test_inside_a_job_the_way_leads_through_where_it_came_from(monkeypatch):
    class FromALoginNode(LocalQueueCluster):
        dialect = type("Dialect", (type(LocalQueueCluster.dialect),), {"submit_host_variable": "CAME_FROM"})()

    monkeypatch.setenv("CAME_FROM", "login1")
    with FromALoginNode(**SMALL) as cluster:
        assert "@login1 " in cluster.links.tunnel
        assert cluster.links.tunnel.endswith(f"@{socket.gethostname()}")


def test_workers_have_no_dashboard_unless_asked_and_their_port_is_their_machines_alone():
    with LocalQueueCluster(**SMALL, n_workers=1) as cluster, Client(cluster) as client:
        cluster.add_group("shown", **SMALL, worker_options={"dashboard": True})
        cluster.scale(jobs=1, group="shown")
        client.wait_for_workers(2, timeout=PATIENCE)
        found = client.run(lambda dask_worker: (dask_worker.http_server.address, dask_worker.http_server.port))
        assert {address for address, _ in found.values()} == {"127.0.0.1"}
        assert sorted(status(f"http://127.0.0.1:{port}/status") for _, port in found.values()) == [200, 404]


@pytest.mark.parametrize(
    "keywords",
    [
        {"worker_options": {"dashboard_address": ":0"}},
        {"worker_extra_args": ["--dashboard-address=:0"]},
        {"worker_extra_args": ["--dashboard-address :0"]},
        {"worker_command": "my.cli"},
    ],
)
def test_whoever_says_otherwise_is_heeded(keywords):
    with LocalQueueCluster(**SMALL, **keywords) as cluster:
        assert "127.0.0.1:0" not in cluster.job_script()
        assert "--no-dashboard" not in cluster.job_script()


def test_a_site_may_say_otherwise(configure):
    configure(site="jobqueue: {local: {worker-extra-args: ['--dashboard-address :0']}}")
    with LocalQueueCluster(**SMALL) as cluster:
        assert "--dashboard-address :0" in cluster.job_script()
        assert "127.0.0.1:0" not in cluster.job_script()


def test_before_it_has_started_there_is_none():
    async def ask():
        cluster = LocalQueueCluster(**SMALL, asynchronous=True)
        with pytest.raises(InvalidRequest, match="has not started yet"):
            cluster.links  # noqa: B018
        assert cluster.dashboard_link == ""
        async with cluster:
            assert cluster.links.dashboard.startswith("http://127.0.0.1:")

    asyncio.run(ask())
