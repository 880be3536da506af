"""Who gets into a cluster, and what is left lying about."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import re
import stat
import time
import warnings
from contextlib import suppress
from pathlib import Path

import dask.config
import psutil
import pytest
from distributed import Client
from distributed.security import Security

from jobclusters import Cluster, InvalidRequest, LocalQueueCluster, Refused, SLURMCluster
from jobclusters.config.origins import Origin
from jobclusters.network import security
from jobclusters.network.security import choose_security
from jobclusters.registry import credentials
from jobclusters.registry.credentials import FILES
from jobclusters.registry.files import ClusterFiles, root
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.waiting import PATIENCE

SMALL = {"cores": 1, "memory": "1 GiB", "scheduler_options": {"dashboard": False}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in a directory of its own, where anything left lying about would be seen."""
    monkeypatch.chdir(tmp_path)
    security._warn_of_setting.cache_clear()


@pytest.fixture
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def modes(directory):
    return {stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}


def made():
    """List the directories of clusters that there are."""
    with suppress(FileNotFoundError):
        return [*(root() / "clusters").iterdir()]
    return []


# -- what is asked for ------------------------------------------------------------------------------------------


def chosen(said=None, protocol=None, **options):
    return choose_security(None if said is None else Origin(said, "keyword"), protocol, options)


@pytest.mark.parametrize(
    "arguments", [(), (True,), (None, "tls://"), (None, "tls"), (True, "tls://"), (None, "wss://")]
)
def test_credentials_are_made_unless_somebody_says_no(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = chosen(*arguments), chosen(*arguments)
    assert one.tls_worker_key.startswith("-----BEGIN PRIVATE KEY-----")
    assert one.tls_worker_key != other.tls_worker_key


@pytest.mark.parametrize(
    ("arguments", "options", "because"),
    [
        ((False,), {}, "security=False: "),
        ((None, "tcp://"), {}, "protocol='tcp://': "),
        ((None, "ucx"), {}, "protocol='ucx': "),
        ((), {"protocol": "tcp://"}, "protocol='tcp://': "),
        ((), {"security": False}, "security=False: "),
        ((Security(), "tcp://"), {}, "protocol='tcp://': "),
    ],
)
def test_turning_it_off_warns_of_who_gets_in(arguments, options, because):
    with pytest.warns(UserWarning, match=f"^{because}.*everybody who reaches its ports.* can run code as "):
        assert chosen(*arguments, **options) is None


def test_it_is_reported_beside_the_call(configure):
    def cluster(**keywords):
        return LocalQueueCluster(cores=1, memory="1 GiB", **keywords)

    with pytest.warns(UserWarning, match="security=False") as warned, cluster(security=False):
        pass
    configure(site="jobclusters: {security: false}")
    with pytest.warns(UserWarning, match="jobclusters.security: false") as more, cluster():
        pass
    where = {each.filename for each in (*warned, *more) if "can run code" in str(each.message)}
    assert where == {__file__}


def test_a_site_may_turn_it_off_and_that_is_reported_once(configure):
    configure(site="jobclusters: {security: false}")
    with pytest.warns(UserWarning, match="jobclusters.security: false in the configuration") as warned:
        assert [chosen(), chosen()] == [None, None]
    assert len(warned) == 1
    assert chosen(True) is not None
    assert chosen(None, "tls://") is not None


def test_what_dask_is_configured_to_use_is_used(configure, tmp_path):
    each = "{cert: /site/cert, key: /site/key}"
    tls = f"tls: {{ca-file: /site/ca, client: {each}, worker: {each}, scheduler: {each}}}"
    configure(user=f"distributed: {{comm: {{default-scheme: tls, {tls}}}}}")
    assert chosen().tls_scheduler_key == "/site/key"
    configure(user=f"distributed: {{comm: {{{tls}}}}}")
    assert "PRIVATE KEY" in chosen().tls_scheduler_key


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((True, "tcp://"), "security=True and protocol='tcp://' contradict each other"),
        ((False, "tls://"), "security=False and protocol='tls://' contradict each other"),
        ((Security(),), "has no tls_ca_file, tls_scheduler_cert, tls_worker_cert, tls_client_cert: give all of them"),
        ((Security(tls_ca_file="ca", tls_client_cert="c"),), "has no tls_scheduler_cert, tls_worker_cert: give all"),
        ((Security(require_encryption=True), "tcp://"), "does not encrypt, and security= requires it"),
    ],
)
def test_contradictions_are_reported(arguments, words):
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        chosen(*arguments)


@pytest.mark.parametrize("value", ["yes", 1, {"tls": True}])
def test_what_is_no_security_is_reported(value):
    with pytest.raises(InvalidRequest, match=r"security must be True, False or a distributed\.Security, not "):
        SLURMCluster(cores=1, memory="1 GiB", security=value)


def test_a_setting_that_is_neither_is_reported(configure):
    configure(site="jobclusters: {security: 'off'}")
    with pytest.raises(InvalidRequest, match=r"jobclusters\.security must be true or false, not 'off'"):
        LocalQueueCluster(**SMALL)


def test_a_file_may_say_it(tmp_path, silence):
    Path("c.yaml").write_text("system: local\ncores: 1\nmemory: 1 GiB\nsecurity: false\n")
    with Cluster.from_yaml("c.yaml", **SMALL) as cluster:
        assert cluster.scheduler_address.startswith("tcp://")
    with Cluster.from_yaml("c.yaml", security=True, **SMALL) as cluster:
        assert cluster.scheduler_address.startswith("tls://")


# -- where it is ------------------------------------------------------------------------------------------------


def test_a_cluster_without_jobs_leaves_no_trace():
    with LocalQueueCluster(**SMALL) as cluster, Client(cluster) as client:
        assert client.scheduler_info()["address"].startswith("tls://")
    assert not root().exists()


@pytest.mark.parametrize("name", [None, "mine"])
def test_the_files_are_private_and_go_with_the_cluster(name, monkeypatch):
    old = os.umask(0)
    try:
        with LocalQueueCluster(**SMALL, name=name, n_workers=1) as cluster, Client(cluster) as client:
            client.wait_for_workers(1, timeout=PATIENCE)
            assert {path.name for path in cluster.files.path.iterdir()} == {*FILES.values(), "entry.json", "jobs.jsonl"}
            assert modes(root() / "clusters") == {0o700, 0o600}
            assert client.submit(sum, [1, 2]).result() == 3
    finally:
        os.umask(old)
    assert [path.name for path in made()] == [name] * bool(name)
    assert not any(root().rglob("*.pem"))
    assert os.listdir() == []


def test_another_process_connects_with_the_files():
    with LocalQueueCluster(**SMALL, n_workers=1) as cluster:
        found = credentials.load(ClusterFiles(made()[0]))
        with Client(cluster.scheduler_address, security=found, timeout=PATIENCE) as client:
            assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3


def test_another_place(silence):
    scratch = Path("scratch").absolute()
    with LocalQueueCluster(**SMALL, shared_temp_directory=str(scratch), n_workers=1) as cluster:
        [private] = scratch.iterdir()
        assert modes(private) == {0o700, 0o600}
        assert f"--tls-key {private}/" in cluster.job_script()
        assert not any(root().rglob("*.pem"))
        cluster.wait_for_workers(1, timeout=PATIENCE)
    assert [*scratch.iterdir()] == []


def test_a_site_may_name_the_other_place(configure, tmp_path):
    configure(site=f"jobqueue: {{local: {{shared-temp-directory: {tmp_path}/scratch}}}}")
    with LocalQueueCluster(**SMALL) as cluster:
        assert f"--tls-key {tmp_path}/scratch/.jobclusters-" in cluster.job_script()


def test_credentials_of_the_users_own():
    theirs = Security.temporary()
    with LocalQueueCluster(**SMALL, security=theirs, n_workers=1) as cluster, Client(cluster) as client:
        assert cluster.security.get_tls_config_for_role("client") == theirs.get_tls_config_for_role("client")
        client.wait_for_workers(1, timeout=PATIENCE)
        assert (cluster.files.path / FILES["key"]).read_text() == theirs.tls_worker_key
    assert made() == []


@pytest.mark.parametrize("keywords", [{"n_workers": 1}, {"n_jobs": 2, "name": "mine"}])
def test_a_directory_that_cannot_be_made_is_reported_and_nothing_submitted(keywords, home):
    (home / ".jobclusters").write_text("in the way")
    queue = ScriptedQueue()
    with pytest.raises(InvalidRequest, match=r"\.jobclusters.*set jobclusters.directory"):
        ScriptedCluster(queue, **SMALL, **keywords)
    with ScriptedCluster(queue, **SMALL) as cluster:
        with pytest.raises(InvalidRequest, match=r"\.jobclusters.*set jobclusters.directory"):
            cluster.scale(1)
        assert cluster.plan == set()
        (home / ".jobclusters").unlink()
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=PATIENCE)
    assert [verb for verb, _ in queue.commands if verb == "submit"] == ["submit"]


def test_nothing_is_left_of_a_cluster_that_could_not_start():
    with pytest.raises((RuntimeError, ValueError), match="nonsense"):
        LocalQueueCluster(cores=1, memory="1 GiB", scheduler_options={"port": "nonsense"}, n_workers=1)
    assert made() == []


def test_nothing_is_left_of_a_cluster_whose_jobs_failed():
    queue = ScriptedQueue()
    queue.refuse("no such account")
    cluster = ScriptedCluster(queue, **SMALL, n_workers=1)
    with pytest.raises(Refused, match="no such account"):
        cluster.wait_for_workers(1, timeout=PATIENCE)
    assert len(made()) == 1
    cluster.close()
    assert made() == []


def test_asynchronous_clusters_leave_nothing():
    async def use():
        cluster = LocalQueueCluster(**SMALL, n_workers=1, asynchronous=True)
        async with cluster, Client(cluster, asynchronous=True) as client:
            await client.wait_for_workers(1, timeout=PATIENCE)
            assert len(made()) == 1
            return await client.submit(sum, [1, 2])

    assert asyncio.run(use()) == 3
    assert made() == []


# -- who gets in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stranger", "words"),
    [
        ("another cluster's", "certificate"),
        ("none", "ssl_context"),
        ("plain", "Timed out trying to connect|reset by peer|closed"),
    ],
)
def test_strangers_are_refused_and_disturb_nobody(stranger, words, monkeypatch):
    monkeypatch.setattr("jobclusters.network.known.load", lambda info: None)  # as in a process without the cluster
    with LocalQueueCluster(**SMALL, n_workers=1) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        go = os.path.abspath("go")

        def work():  # by value: workers can't import this module
            while not os.path.exists(go):
                time.sleep(0.05)
            return "done"

        at_work = client.submit(work)
        address = cluster.scheduler_address
        theirs = credentials.make() if stranger == "another cluster's" else None
        if stranger == "plain":
            address = address.replace("tls://", "tcp://")
        for target in (address, *client.scheduler_info()["workers"]):
            with pytest.raises((OSError, TypeError), match=words):
                Client(
                    target.replace("tls://", address[:6]),
                    security=theirs,
                    timeout="1s" if stranger == "plain" else PATIENCE,
                )
            gc.collect()  # else that Client may be collected in the next one's thread: its end waits for that one's start
        Path("go").touch()
        assert at_work.result(timeout=PATIENCE) == "done"
        assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3


# -- what is left lying about -----------------------------------------------------------------------------------


def pieces(key):
    """Give what the key's text would be known by, whole or in parts, as it is or encoded again."""
    body = [line for line in key.splitlines() if not line.startswith("-----")]
    raw = base64.b64decode("".join(body))
    parts = [line[at : at + 24] for line in body for at in range(0, len(line) - 23, 12)]
    return [b"PRIVATE KEY", *(part.encode() for part in parts), raw[40:60], base64.b64encode(key.encode())[60:90]]


def visible(processes):
    for process in processes:
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                yield f"{name} of {process}", Path(f"/proc/{process.pid}/{name}").read_bytes()


def written(*directories):
    for directory in directories:
        for path in directory.rglob("*"):
            with suppress(FileNotFoundError, IsADirectoryError):  # some are there for a moment only
                yield str(path), path.read_bytes()


def test_the_key_is_nowhere_but_in_its_file(home, tmp_path):
    cluster = LocalQueueCluster(cores=2, processes=2, memory="1 GiB", log_directory="logs", n_jobs=1)
    with cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        of_workers = client.run(lambda: {**os.environ})
        script = cluster.job_script()
        key = cluster.files.path / FILES["key"]
        known = pieces(key.read_text())
        assert any(piece in key.read_bytes() for piece in known), "the search finds it where it is"
        processes = psutil.Process().children(recursive=True)
        assert len(processes) >= 4  # script or worker command, nannies, workers, janitor
        logs = cluster.get_job_logs()
        assert all(logs.values())
        texts = {
            "script": script.encode(),
            "logs": repr((logs, cluster.get_logs())).encode(),
            "repr": repr((cluster, cluster.security, cluster.explain(), vars(cluster.spec))).encode(),
            "workers' environment": repr(of_workers).encode(),
            "scheduler": repr((client.scheduler_info(), cluster.scheduler.identity(), dask.config.config)).encode(),
            **dict(visible([psutil.Process(), *processes])),
            **dict(written(home, tmp_path, Path(cluster.pool.batch_system._own_directory()))),
        }
    del texts[str(key)]
    assert len(texts) > 15
    found = [where for where, text in texts.items() if any(piece in text for piece in known)]
    assert found == []
