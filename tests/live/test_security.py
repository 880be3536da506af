"""Who gets into a cluster on a batch system, and what its files and the queue show to others."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from distributed import Client

from jobclusters.registry import credentials
from jobclusters.registry.credentials import FILES

from .tools import PATIENCE, until

#: What another user tries; it notes what worked.
OTHER_USER = """\
import getpass, json, os
from contextlib import suppress
from distributed import Client
from distributed.security import Security

files, addresses, answer = {what}
worked = []
for path in files:
    with suppress(OSError):
        os.stat(path)
        worked.append(f"sees {{path}}")
    with suppress(OSError):
        open(path).close()
        worked.append(f"reads {{path}}")
for address in addresses:
    for protocol, security in (("tcp", None), ("tls", Security.temporary())):
        with suppress(OSError, ValueError):  # Dask's own for TLS with a plain port
            with Client(f"{{protocol}}://{{address}}", security=security, timeout=5) as client:
                client.run_on_scheduler(os.getuid)
            worked.append(f"{{protocol}}://{{address}}")
with open(answer, "w") as file:
    json.dump([getpass.getuser(), worked], file)
"""


@pytest.fixture
def as_bob(lever):
    """Do as another user of the same login node: give what worked."""

    def attempt(files, addresses):
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o1777)
            script, answer = Path(place, "try.py"), Path(place, "answer.json")
            what = ([str(path) for path in files], addresses, str(answer))
            script.write_text(OTHER_USER.format(what=what))
            script.chmod(0o644)
            lever("bob", str(script))
            user, worked = json.loads(answer.read_text())
            assert user == "bob"
            return worked

    return attempt


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_workers_on_nodes_use_the_credentials_which_go_with_the_cluster(make, look, shared):
    cluster = make(n_jobs=2)
    look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        workers = client.scheduler_info()["workers"]
        assert all(address.startswith("tls://") for address in (cluster.scheduler_address, *workers))
        total = client.submit(sum, client.map(len, [range(i) for i in range(40)]))  # they also talk to each other
        assert total.result(timeout=PATIENCE) == 780
        with Client(cluster.scheduler_address, security=credentials.load(cluster.files), timeout=PATIENCE) as second:
            assert second.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3
        directory = cluster.files.path
        private = {*FILES.values(), "entry.json", "jobs.jsonl"}
        assert {path.name: mode(path) for path in directory.iterdir()} == dict.fromkeys(private, 0o600)
        assert mode(directory) == 0o700
        body = (directory / FILES["key"]).read_text().splitlines()[1]
        shown = [cluster.job_script(), repr(client.run(lambda: {**os.environ})), *cluster.get_job_logs().values()]
        written = [path.read_text(errors="replace") for path in shared.rglob("*") if path.is_file()]
        assert not any(body[:40] in text or "PRIVATE KEY" in text for text in shown + written)
    cluster.close()
    assert not directory.exists()


@pytest.mark.containers  # elsewhere the nodes may see it
def test_a_node_that_cannot_read_the_credentials_says_where_they_are(make, look):
    from jobclusters import JobsFailed

    with tempfile.TemporaryDirectory() as local:  # of this machine alone
        cluster = make(shared_temp_directory=local)
        look(cluster)
        cluster.scale(jobs=1)
        with pytest.raises(
            JobsFailed, match=f"can't read the cluster's credentials in {local}/.*jobclusters.directory"
        ):
            cluster.wait_for_workers(1, timeout=PATIENCE)


def test_another_user_of_the_login_node_gets_nowhere(make, look, as_bob):
    cluster = make(n_jobs=1)
    look(cluster)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        working = client.submit(lambda: __import__("time").sleep(5) or "done")
        until(lambda: any(client.processing().values()) or working.done())
        directory = cluster.files.path
        assert (directory / FILES["key"]).exists()
        addresses = [
            address.partition("://")[2] for address in (cluster.scheduler_address, *client.scheduler_info()["workers"])
        ]
        assert as_bob([directory, *(directory / name for name in FILES.values())], addresses) == []
        assert working.result(timeout=PATIENCE) == "done"
        assert len(cluster.jobs) == 1, "and nothing was disturbed"


def test_without_security_the_other_user_gets_in_as_the_warning_says(make, as_bob):
    with pytest.warns(UserWarning, match="everybody who reaches its ports"):
        cluster = make(security=False)
    address = cluster.scheduler_address.partition("://")[2]
    assert as_bob([], [address]) == [f"tcp://{address}"]
