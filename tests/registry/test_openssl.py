"""A TLS connection that breaks off doesn't break the others of its thread, whatever OpenSSL and Python do."""

from __future__ import annotations

import logging
import pickle
import re
import socket
import ssl
import struct
import sys
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import dask.config
import pytest
from distributed import Client
from distributed.comm import parse_host_port
from distributed.security import Security

from jobclusters import InvalidRequest, LocalQueueCluster, job_script
from jobclusters.preload import dask_setup
from jobclusters.registry import credentials, openssl
from jobclusters.registry.openssl import GuardedObject, GuardedSecurity, GuardedSocket, guard_process, guard_security
from tests.helpers.waiting import PATIENCE, until

NEW, OLD = ("OpenSSL 3.5.9 29 Sep 2026", (3, 5, 0, 9, 0)), ("OpenSSL 3.3.2 3 Sep 2024", (3, 3, 0, 2, 0))


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """Start and end with Python's own classes."""
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", ssl.SSLSocket)
    monkeypatch.setattr(ssl.SSLContext, "sslobject_class", ssl.SSLObject)


@pytest.fixture
def running(monkeypatch):
    """Let Python run with some OpenSSL."""

    def run(version, numbers):
        monkeypatch.setattr(ssl, "OPENSSL_VERSION", version)
        monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", numbers)

    return run


@pytest.fixture(params=["ERR_clear_error", "a Python that doesn't show it"])
def emptied_by(request, monkeypatch):
    if request.param != "ERR_clear_error":
        monkeypatch.setattr(openssl, "_clear", openssl._clear_by_failing)


def leave_an_error():
    """Leave an error in this thread's queue, as a connection that breaks off does with OpenSSL 3.4 and newer."""
    with suppress(ValueError):
        ssl.Purpose.fromname("no such purpose")


@pytest.fixture
def contexts(running):
    running(*NEW)
    security = credentials.make()
    return security.get_listen_args("scheduler")["ssl_context"], security.get_connection_args("client")["ssl_context"]


# -- one connection ---------------------------------------------------------------------------------------------


def repeat(call, *arguments):
    """Call until a connection that doesn't block has what it waits for; an error is left before each time."""
    for _ in range(10_000):
        leave_an_error()
        try:
            return call(*arguments)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            yield_to_the_other()
    raise TimeoutError


def yield_to_the_other():
    threading.Event().wait(0.001)


@pytest.mark.usefixtures("emptied_by")
def test_a_socket_minds_its_own_errors(contexts):
    use(contexts)


def test_so_does_that_of_another_python_which_may_not_have_this_package(running):
    running(*NEW)
    script = job_script("slurm", cores=1, memory="1 GiB", python="/another/python")
    [text] = re.findall(r"^export JOBCLUSTERS_GUARD='$(.*?)^'$", script, flags=re.MULTILINE | re.DOTALL)
    [preload] = re.findall(r"^guard='(.*)'$", script, flags=re.MULTILINE)
    given = {"os": SimpleNamespace(environ={"JOBCLUSTERS_GUARD": text})}
    exec(preload.removeprefix("import os; "), given)
    given["dask_setup"](None)
    with dask.config.set({"jobclusters.guard-tls": False}):
        security = credentials.make()
    use((security.get_listen_args("scheduler")["ssl_context"], security.get_connection_args("client")["ssl_context"]))


def use(contexts):
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    server = contexts[0].wrap_socket(ends[0], server_side=True, do_handshake_on_connect=False)
    client = contexts[1].wrap_socket(ends[1], do_handshake_on_connect=False)
    with server, client:
        other = threading.Thread(target=repeat, args=(server.do_handshake,))
        other.start()
        repeat(client.do_handshake)
        other.join(PATIENCE)
        for call in (client.send, client.write, client.sendall):
            repeat(call, b"hello")
            assert repeat(server.recv, 5) == b"hello"
        repeat(client.sendall, b"hello" * 2)
        assert repeat(server.read, 5) == b"hello"
        received = bytearray(5)
        assert repeat(server.recv_into, received) == 5
        leave_an_error()
        with pytest.raises(ssl.SSLWantReadError):  # nothing to read, and not the error of another
            server.recv(5)
        other = threading.Thread(target=repeat, args=(server.unwrap,))
        other.start()
        repeat(client.unwrap).close()
        other.join(PATIENCE)


@pytest.mark.usefixtures("emptied_by")
def test_so_does_a_connection_that_asyncio_carries(contexts):
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts[0].wrap_bio(one, other, server_side=True)
    client = contexts[1].wrap_bio(other, one)
    shaken = set()
    while len(shaken) < 2:
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                leave_an_error()
                end.do_handshake()
                shaken.add(end)
    leave_an_error()
    client.write(b"hello")
    leave_an_error()
    assert server.read() == b"hello"
    leave_an_error()
    with pytest.raises(ssl.SSLWantReadError):
        server.read()
    with suppress(ssl.SSLWantReadError):
        client.unwrap()
    leave_an_error()
    server.unwrap()


# -- what is guarded --------------------------------------------------------------------------------------------


def classes(context):
    return context.sslsocket_class, context.sslobject_class


OURS, PYTHONS = (GuardedSocket, GuardedObject), (ssl.SSLSocket, ssl.SSLObject)


def test_only_contexts_of_a_clusters_credentials_are_touched(running, tmp_path):
    running(*NEW)
    theirs = Security.temporary(tls_ciphers="HIGH")
    security = guard_security(theirs)
    assert repr(security) == repr(theirs)
    for arguments in (security.get_connection_args("client"), security.get_listen_args("worker")):
        assert classes(arguments["ssl_context"]) == OURS
    assert classes(ssl.create_default_context()) == PYTHONS
    assert guard_security(security) is security
    assert Security().get_connection_args("client")["ssl_context"] is None
    assert guard_security(Security()).get_connection_args("client")["ssl_context"] is None
    again = pickle.loads(pickle.dumps(security))
    assert classes(again.get_connection_args("client")["ssl_context"]) == OURS


def test_a_worker_guards_what_dask_makes_of_paths_before_it_registers(running):
    running(*NEW)
    made_before = ssl.create_default_context()
    dask_setup(type("Worker", (), {"nanny": "tls://n"}))
    assert classes(made_before) == classes(ssl.create_default_context()) == OURS


def test_credentials_of_a_class_of_the_users_own_keep_it(running):
    class Theirs(Security):
        pass

    running(*NEW)
    theirs = Theirs()
    assert guard_security(theirs) is theirs
    assert classes(ssl.create_default_context()) == OURS


def test_classes_that_somebody_has_set_stay(running, monkeypatch):
    class Theirs(ssl.SSLSocket):
        pass

    running(*NEW)
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", Theirs)
    guard_process()
    assert classes(ssl.create_default_context()) == (Theirs, GuardedObject)


@pytest.mark.parametrize(
    ("library", "setting", "says"),
    [
        (OLD, True, "with OpenSSL 3.3.2 3 Sep 2024 needs no guard"),
        (("LibreSSL 3.9.0", (3, 9, 0, 0, 0)), True, "needs no guard"),
        (NEW, False, "guards no TLS connections, as jobclusters.guard-tls is false"),
        (NEW, True, "with OpenSSL 3.5.9 29 Sep 2026 guards TLS connections"),
    ],
)
def test_where_it_is_not_needed_or_not_wanted_nothing_is_done(running, caplog, library, setting, says):
    running(*library)
    theirs = Security()
    with (
        dask.config.set({"jobclusters.guard-tls": setting}),
        caplog.at_level(logging.DEBUG, "jobclusters.registry.openssl"),
    ):
        guard_process()
        found = guard_security(theirs)
    done = (library, setting) == (NEW, True)
    assert classes(ssl.create_default_context()) == (OURS if done else PYTHONS)
    assert isinstance(found, GuardedSecurity) if done else found is theirs
    assert says in caplog.text


def test_a_setting_that_is_neither_is_refused(configure):
    configure(user="jobclusters: {guard-tls: sometimes}")
    with pytest.raises(InvalidRequest, match=r"jobclusters\.guard-tls must be true or false, not 'sometimes'"):
        LocalQueueCluster(cores=1, memory="1 GiB")


# -- a cluster --------------------------------------------------------------------------------------------------


@contextmanager
def strangers(addresses, context):
    """Open connections to each address and break them off, until the end."""
    over = threading.Event()
    broken = []

    def work():
        while not over.wait(0.02):
            for host, port in addresses:
                with suppress(OSError):
                    connection = context.wrap_socket(socket.create_connection((host, port), timeout=10))
                    connection.sendall(b"\0" * 3)
                    with socket.socket(fileno=connection.detach()) as bare:
                        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    broken.append(port)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield broken
    finally:
        over.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("python", [None, sys.executable], ids=["the same Python", "one that counts as another"])
def test_a_cluster_works_beside_connections_that_break_off(python):
    shape = {"cores": 2, "processes": 2, "memory": "1 GiB"}
    with LocalQueueCluster(**shape, n_jobs=1, python=python) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        addresses = [parse_host_port(each) for each in (client.scheduler.address, *client.scheduler_info()["workers"])]
        context = Security.get_connection_args(cluster.security, "client")["ssl_context"]  # as it comes
        with strangers(addresses, context) as broken:
            for number in range(30):
                assert client.run_on_scheduler(lambda: "here") == "here"
                # a worker that fetches from the other, over a connection of its own
                total = client.submit(lambda *parts: sum(parts), *client.map(abs, [number, 1]))
                assert total.result(PATIENCE) == number + 1
            until(lambda: len({*broken}) == 3)
        expected = "GuardedSocket" if openssl._needed() else "SSLSocket"
        for nanny in (False, True):
            found = client.run(lambda: __import__("ssl").SSLContext.sslsocket_class.__name__, nanny=nanny)
            assert [*found.values()] == [expected, expected]
