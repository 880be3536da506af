"""What a stranger on the scheduler's machine, and a page in its owner's browser, see of a dashboard."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import dask.config
import pytest
from distributed import Client, Scheduler
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jobclusters import Cluster, LocalQueueCluster
from jobclusters.network.dashboard import dashboard_path
from tests.helpers.waiting import PATIENCE

SMALL = {"cores": 1, "memory": "1 GiB"}
ROUTES = ["distributed.http.scheduler.info", "distributed.http.proxy"]
ORIGIN = "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin"
PAGES = (
    "", "status", "info", "info/main/workers.html", "info/call-stacks/{worker}.html", "json/counts.json", "metrics",
    "api/v1", "health", "sitemap.json", "individual-plots.json", "statics/css/base.css", "static/js/bokeh.min.js",
    "proxy/22/127.0.0.1/", "workers", "tasks", "profile", "exceptions", "x/status", "//status", "./status",
)  # fmt: skip

#: Another user, where the tests run as root; all is imported before, which that one may not read.
STRANGER = """
import encodings.idna, glob, json, os, sys, urllib.error, urllib.request
links, files = json.load(sys.stdin)
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answers, seen = {}, []
for link in links:
    try:
        with opener.open(link, timeout=120) as answer:
            answers[link] = [answer.status, answer.geturl() + answer.read().decode(errors="replace")]
    except urllib.error.HTTPError as error:
        answers[link] = [error.code, str(error.headers.items()) + error.read().decode(errors="replace")]
for path in [*files, *glob.glob("/proc/[0-9]*/cmdline")]:
    try:
        with open(path, errors="replace") as file:
            seen.append(file.read())
    except OSError:
        pass
json.dump([os.getuid(), answers, seen], sys.stdout)
"""


def stranger(links, files=()):
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        input=json.dumps([list(links), list(map(str, files))]), stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    return json.loads(done.stdout)


def root_of(cluster):
    server = cluster.scheduler.http_server
    return f"http://127.0.0.1:{server.port}"


def page(link):
    with urllib.request.urlopen(link, timeout=PATIENCE) as answer:
        return answer.read().decode()


def fails(password):
    raise ValueError("cannot log in")


def test_a_stranger_on_the_machine_sees_nothing():
    with LocalQueueCluster(**SMALL, name="mine", n_workers=1) as cluster, Client(cluster) as client:
        client.submit(fails, "pw-abc123", key="load-customers").exception(timeout=PATIENCE)
        secret = dashboard_path(cluster.scheduler).strip("/")
        assert len(secret) > 20
        owner = page(f"{root_of(cluster)}/{secret}/json/counts.json") + page(cluster.dashboard_link)
        assert "workers" in owner

        (worker,) = client.run(lambda dask_worker: dask_worker.http_server.port).values()
        links = [f"{root_of(cluster)}/{name.format(worker=cluster.scheduler_address)}" for name in PAGES]
        theirs = [f"http://127.0.0.1:{worker}/{name}" for name in ("status", "metrics", "sitemap.json", "profile")]
        uid, answers, seen = stranger([*links, *theirs], [cluster.files.path / "entry.json"])
        assert uid == (65534 if os.getuid() == 0 else os.getuid())
        assert {answers[link][0] for link in links} == {404}
        assert answers[theirs[0]][0] == answers[theirs[3]][0] == 404
        everything = " ".join([*(text for _, text in answers.values()), *seen])
        for word in ("customers", "pw-abc123", "cannot log in", *([secret] if uid != os.getuid() else [])):
            assert word not in everything
        assert "jobclusters connect" in answers[links[0]][1]  # what its owner does who has no link


def test_its_owner_has_one_link_everywhere():
    with LocalQueueCluster(**SMALL, name="mine") as cluster, Client(cluster) as client, Cluster(name="mine") as again:
        link = cluster.dashboard_link
        assert client.dashboard_link == link == again.dashboard_link == again.links.dashboard
        assert cluster.links.tunnelled == again.links.tunnelled == link
        base = link.removesuffix("/status")
        text = page(link)
        assert text == page(base) or "<title>" in page(base)
        assert "<title>" in page(f"{base}/")
        assert "json" in page(f"{base}/individual-plots.json") or "Individual" in page(f"{base}/individual-plots.json")
        # A proxy, as Jupyter's, knows only what is below: nothing else may be named.
        named = re.findall(r"""(?:src|href)=["']([^"']*)""", text + page(f"{base}/info/main/workers.html"))
        assert named
        assert [each for each in named if each.startswith("/")] == []


def test_each_cluster_has_its_own_path():
    with LocalQueueCluster(**SMALL) as one, LocalQueueCluster(**SMALL) as other:
        assert dashboard_path(one.scheduler) != dashboard_path(other.scheduler)
        assert stranger([f"{root_of(other)}{dashboard_path(one.scheduler)}/status"])[1].popitem()[1][0] == 404


# -- websockets ---------------------------------------------------------------------------------------------------


def opens(cluster, origin):
    """Tell whether a page of this origin, knowing the path, can follow the dashboard."""
    base = cluster.dashboard_link.removesuffix("/status")
    token = re.search(r'"token":"([^"]+)"', page(f"{base}/individual-workers"))[1]
    request = HTTPRequest(f"{base}/individual-workers/ws".replace("http", "ws"), headers={"Origin": origin})

    async def ask():
        try:
            connection = await websocket_connect(request, subprotocols=["bokeh", token])
        except HTTPClientError as refused:
            return refused.code != 403
        first = await connection.read_message()
        connection.close()
        return "ACK" in first

    return asyncio.run(ask())


def test_pages_of_other_hosts_open_no_websocket():
    with LocalQueueCluster(**SMALL) as cluster:
        assert opens(cluster, root_of(cluster))
        assert not opens(cluster, "http://evil.example")
        assert not opens(cluster, root_of(cluster).replace("127.0.0.1", "127.0.0.1.evil.example"))


def test_dasks_setting_for_origins_is_heeded():
    with dask.config.set({ORIGIN: ["hub.example"]}), LocalQueueCluster(**SMALL) as cluster:
        assert opens(cluster, "http://hub.example")
        assert not opens(cluster, "http://evil.example")


# -- whoever says otherwise ---------------------------------------------------------------------------------------


def answers(link):
    return stranger([link])[1][link]


@pytest.mark.parametrize(("prefix", "path"), [("/", ""), ("", ""), ("/mine/", "/mine"), ("a/b", "/a/b")])
def test_a_path_of_ones_own_is_used_as_dask_does(prefix, path):
    with LocalQueueCluster(**SMALL, scheduler_options={"http_prefix": prefix}) as cluster:
        assert cluster.dashboard_link == f"{root_of(cluster)}{path}/status"
        assert answers(cluster.dashboard_link)[0] == 200
        assert answers(f"{root_of(cluster)}{path}/health") == [200, f"{root_of(cluster)}{path}/healthok"]
        assert answers(f"{root_of(cluster)}{path}/proxy/22/127.0.0.1/")[0] == 404
        assert cluster.links.tunnelled.endswith(f"{path}/status")


def test_the_proxy_is_there_if_asked_for():
    with LocalQueueCluster(**SMALL) as cluster:
        status, text = answers(f"{cluster.dashboard_link.removesuffix('status')}proxy/22/127.0.0.1/")
        assert (status, "distributed.scheduler.http.routes" in text) == (404, True)
    with dask.config.set({"distributed.scheduler.http.routes": ROUTES}), LocalQueueCluster(**SMALL) as cluster:
        assert "127.0.0.1:22" in answers(f"{cluster.dashboard_link.removesuffix('status')}proxy/22/127.0.0.1/")[1]


def test_without_a_dashboard_what_is_left_has_the_path_too():
    with LocalQueueCluster(**SMALL, scheduler_options={"dashboard": False}) as cluster:
        assert answers(f"{root_of(cluster)}/info/main/workers.html")[0] == 404
        assert "Workers" in page(f"{root_of(cluster)}{dashboard_path(cluster.scheduler)}/info/main/workers.html")


# -- pages that are imported when they are looked at --------------------------------------------------------------

#: Prints what is imported before and after a look at a page.
LATE = """
import sys, urllib.request
from jobclusters import LocalQueueCluster

def bokeh():
    return "bokeh.models" in sys.modules

def page(name):
    with urllib.request.urlopen(cluster.dashboard_link.replace("status", name), timeout=120) as answer:
        return answer.status

with LocalQueueCluster(cores=1, memory="1 GiB", scheduler_options={options}) as cluster:
    before = bokeh()
    print(before, page("health"), page("metrics"), bokeh() == before, page({page!r}), bokeh())
"""


@pytest.mark.parametrize("looked_at", ["status", "individual-plots.json", "info/main/workers.html", ""])
def test_pages_are_imported_when_they_are_looked_at(looked_at):
    assert prints(LATE.format(options={}, page=looked_at)) == "False 200 200 True 200 True"


def test_pages_are_imported_at_once_where_that_is_asked_for():
    assert prints(LATE.format(options={"dashboard": True}, page="status")) == "True 200 200 True 200 True"


def prints(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.stdout.strip()


class Owned(Scheduler):
    def __init__(self, **options):
        self.asked = options.get("dashboard")
        super().__init__(**options)


def test_a_scheduler_of_ones_own_gets_the_options_as_they_are():
    with LocalQueueCluster(**SMALL, scheduler_cls=Owned) as cluster:
        assert cluster.scheduler.asked is None
        assert page(cluster.dashboard_link)


def test_many_look_at_once():
    with LocalQueueCluster(**SMALL) as cluster, ThreadPoolExecutor() as pool:
        assert all(pool.map(page, [cluster.dashboard_link] * 8))
        assert len(cluster.scheduler.http_application.applications) == 1


def test_pages_have_the_settings_of_the_start():
    with dask.config.set({ORIGIN: ["hub.example"]}):
        cluster = LocalQueueCluster(**SMALL)
    with cluster:
        assert opens(cluster, "http://hub.example")
        assert not opens(cluster, "http://evil.example")
        assert dask.config.get(ORIGIN) == ["*"]


def test_pages_that_cannot_be_imported_say_why(monkeypatch, caplog):
    def broken(*_, **__):
        raise ValueError("bokeh is broken")

    monkeypatch.setattr("distributed.dashboard.scheduler.connect", broken)
    with LocalQueueCluster(**SMALL) as cluster:
        for _ in range(2):
            status, text = answers(cluster.dashboard_link)
            assert (status, text.endswith("can't be shown: ValueError: bokeh is broken\n")) == (500, True)
        assert "Workers" in page(cluster.dashboard_link.replace("status", "info/main/workers.html"))
    assert [each.levelname for each in caplog.records if each.name == "jobclusters.network.pages"] == ["WARNING"]


def test_without_bokeh_its_page_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed.dashboard.scheduler", None)
    monkeypatch.setattr("jobclusters.network.pages.version", lambda _: "1.0")
    routes = "distributed.scheduler.http.routes"  # to which Dask adds that page
    with dask.config.set({routes: [*dask.config.get(routes)]}), LocalQueueCluster(**SMALL) as cluster:
        assert "pip install" in page(cluster.dashboard_link)
