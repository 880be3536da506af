"""The TLS credentials of a cluster, as files and as Dask takes them."""

from __future__ import annotations

import re
import ssl
import stat
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from distributed.security import Security

from jobclusters import InvalidRequest
from jobclusters.registry import credentials
from jobclusters.registry import files as clusterfiles
from jobclusters.registry.credentials import FILES, Credentials
from jobclusters.registry.files import ClusterFiles


@pytest.fixture
def files(tmp_path):
    return ClusterFiles(tmp_path / "clusters" / "mine")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def handshake(server, client):
    """Let a server and a client, each with its Security, shake hands; raise what one of them raises."""
    inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
    purposes = server.get_listen_args("scheduler"), client.get_connection_args("client")
    ends = [
        purposes[0]["ssl_context"].wrap_bio(inner, outer, server_side=True),
        purposes[1]["ssl_context"].wrap_bio(outer, inner),
    ]
    done = set()
    while len(done) < 2:
        for end in ends[::-1]:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
                done.add(end)
    # with TLS 1.3 the server's verdict on the client comes with the first data
    ends[1].write(b"hello")
    return ends[0].read()


def test_of_one_cluster_they_agree():
    security = credentials.make()
    assert handshake(security, security) == b"hello"
    assert security.require_encryption


def test_another_clusters_are_refused_by_either_end():
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(credentials.make(), credentials.make())


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_they_stand_the_strict_checks_of_newer_pythons(role):
    security = credentials.make()
    context = security.get_listen_args(role)["ssl_context"]
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    other = security.get_connection_args(role)["ssl_context"]
    other.verify_flags |= ssl.VERIFY_X509_STRICT

    class Strict:
        get_listen_args = staticmethod(lambda role: {"ssl_context": context})
        get_connection_args = staticmethod(lambda role: {"ssl_context": other})

    assert handshake(Strict, Strict) == b"hello"


def test_they_outlive_a_cluster_of_weeks_and_bear_a_clock_that_is_behind():
    certificate = x509.load_pem_x509_certificate(credentials.make().tls_ca_file.encode())
    now = datetime.now(timezone.utc)
    begin, end = (
        getattr(certificate, f"{name}_utc", None) or getattr(certificate, name).replace(tzinfo=timezone.utc)
        for name in ("not_valid_before", "not_valid_after")
    )
    assert begin < now - timedelta(hours=12)
    assert end > now + timedelta(days=366)


def test_the_files_are_the_owners_alone_and_serve_another_process(files):
    security = credentials.make()
    Credentials(security, files).put()
    assert mode(files.path) == 0o700
    assert {path.name: mode(path) for path in files.path.iterdir()} == dict.fromkeys(FILES.values(), 0o600)
    loaded = credentials.load(files)
    assert handshake(security, loaded) == b"hello"
    assert handshake(loaded, security) == b"hello"
    assert "PRIVATE KEY" not in "".join(str(getattr(loaded, name)) for name in loaded.__slots__)


def test_nothing_to_load_is_reported(files):
    with pytest.raises(InvalidRequest, match=r"tls-ca.pem: No such file or directory. It has ended, has not"):
        credentials.load(files)
    files.make()
    with pytest.raises(InvalidRequest, match="credentials can't be read"):
        credentials.load(files)


def test_what_was_cleaned_up_is_written_again_and_what_is_there_stays(files):
    kept = Credentials(credentials.make(), files)
    kept.put()
    key = files.path / FILES["key"]
    before = key.stat().st_ino
    kept.put()
    assert key.stat().st_ino == before
    key.unlink()
    kept.put()
    assert handshake(kept.security, credentials.load(files)) == b"hello"


def test_what_a_cluster_that_died_has_left_is_not_used(files):
    Credentials(credentials.make(), files).put()
    later = Credentials(credentials.make(), files)
    later.put()
    assert handshake(later.security, credentials.load(files)) == b"hello"


def test_a_cluster_removes_its_own_files_only(files):
    first, second = Credentials(credentials.make(), files), Credentials(credentials.make(), files)
    first.put()
    for name in FILES.values():
        (files.path / name).unlink()
    second.put()
    first.remove()
    assert handshake(second.security, credentials.load(files)) == b"hello"
    second.remove()
    assert [*files.path.iterdir()] == []
    second.remove()


def test_workers_get_paths_and_nothing_of_others(files):
    workers = Credentials(credentials.make(), files).for_workers
    assert workers.get_tls_config_for_role("worker") == {
        "ciphers": None,
        **{part: str(files.path / name) for part, name in FILES.items()},
    }
    assert (workers.tls_client_key, workers.tls_scheduler_key) == (None, None)


def test_files_are_used_where_they_are(files, tmp_path):
    paths = {
        f"tls_{role}_{part}": f"/site/{part}" for role in ("client", "scheduler", "worker") for part in ("cert", "key")
    }
    theirs = Credentials(Security(tls_ca_file="/site/ca", **paths), files)
    theirs.put()
    theirs.remove()
    assert theirs.for_workers.tls_worker_key == "/site/key"
    assert not files.path.exists()


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (("production", "slurm"), r"/\.jobclusters/clusters/production"),
        ((None, "slurm"), r"/\.jobclusters/clusters/slurm-[0-9a-f]{8}"),
        (("production", "slurm", "/scratch"), r"/scratch/\.jobclusters-[0-9a-f]{32}"),
        (("production", "slurm", "$HOME/scratch"), r"/home\d+/scratch/\.jobclusters-[0-9a-f]{32}"),
    ],
)
def test_place(arguments, ending):
    assert re.search(f"{ending}$", str(clusterfiles.place(*arguments).path))


def test_a_name_that_names_no_directory_is_refused():
    with pytest.raises(InvalidRequest, match="say 'me'"):
        clusterfiles.place("../me", "slurm")
