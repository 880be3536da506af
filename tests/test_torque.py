"""TORQUE's differences from PBS. There was none to record: replies and words are those of its manual."""

from __future__ import annotations

import pytest
from test_pbs import recorded

from jobclusters import TORQUECluster, config, job_script
from jobclusters.dialect import Reply
from jobclusters.dialects.torque import Torque
from jobclusters.errors import Refused, Unavailable
from jobclusters.state import JobState

TORQUE = Torque()
SMALL = {"cores": 1, "memory": "1 GB"}


def test_ids():
    reply = Reply(("qsub",), 0, "123[].server\n")
    assert TORQUE.parse_submit(reply, 2) == ["123[0].server", "123[1].server"]
    assert type(TORQUE.failure(Reply(("qsub",), 170, err="qsub: submit error (Unknown queue)"))) is Refused


@pytest.mark.parametrize(("count", "argv"), [(1, ["qsub"]), (5, ["qsub", "-t", "0-4"])])
def test_submit(count, argv):
    assert TORQUE.submit_argv(count) == argv


def test_states():
    statuses = TORQUE.parse_states(recorded("states", "torque"))
    assert {key: (status.state, status.exit_code, status.signal) for key, status in statuses.items()} == {
        "7[0].server": (JobState.RUNNING, None, None),
        "7[1].server": (JobState.PENDING, None, None),
        "7[2].server": (JobState.COMPLETED, 0, None),
        "8.server": (JobState.TIMEOUT, None, None),
        "9.server": (JobState.OUT_OF_MEMORY, None, None),
        "10.server": (JobState.CANCELLED, None, 15),
        "11.server": (JobState.FAILED, 127, None),
        "12.server": (JobState.COMPLETING, None, None),
        "13.server": (JobState.UNKNOWN, None, None),
    }
    assert statuses["7[0].server"].node == "n1"


@pytest.mark.parametrize("name", ["unknown", "empty"])
def test_none(name):
    assert TORQUE.parse_states(recorded(name, "torque")) == {}


@pytest.mark.parametrize(
    "reply", [recorded("down", "torque"), Reply(("qstat",), 2, err="usage: qstat"), Reply(("qstat",), 0, "<Data/>")]
)
def test_no_answer_is_no_information(reply):
    with pytest.raises(Unavailable):
        TORQUE.parse_states(reply)
    with pytest.raises(Unavailable):
        TORQUE.parse_find(reply, "x")


def test_find_takes_elements_and_nobody_elses():
    found = TORQUE.parse_find(recorded("states", "torque"), "dask-worker")
    assert list(found) == ["7[0].server", "7[1].server", "7[2].server", "8.server", "9.server"]
    assert TORQUE.find_argv("dask-worker") == ["qstat", "-t", "-f"]


def test_questions_and_cancels():
    ids = ["7[0].s", "7[1].s", "8.s"]
    assert TORQUE.query_argv(ids) == ["qstat", "-t", "-f", "7[].s", "8.s"]
    assert TORQUE.cancel_argv(ids) == ["qdel", *ids]


@pytest.mark.parametrize(
    ("job_id", "directory", "file"),
    [
        ("12.s", None, "dask.o12"),
        ("12[3].s", None, "dask.o12-3"),
        ("12.s", "/my logs", "/my logs/dask.out"),
        ("12[3].s", "/my logs", "/my logs/dask.out-3"),
    ],
)
def test_log_files(job_id, directory, file):
    assert TORQUE.log_files(job_id, directory, "dask") == [file]


@pytest.mark.parametrize(
    ("settings", "queue"),
    [
        ("jobqueue: {pbs: {queue: ours}}", "ours"),
        ("jobqueue: {pbs: {queue: ours}, torque: {queue: theirs}}", "theirs"),
    ],
)
def test_settings_are_those_of_pbs_unless_it_has_its_own(configure, caplog, settings, queue):
    configure(settings)
    config._warn_of.cache_clear()  # it says each thing once
    script = job_script("torque", **SMALL)
    assert f"#PBS -q {queue}\n" in script
    assert "#PBS -l walltime=00:30:00\n" in script
    assert config.site(TORQUE).job["death_timeout"] == 60
    assert not caplog.records


def test_the_cluster_class():
    assert TORQUECluster.dialect.name == TORQUECluster.job_cls.dialect.name == "torque"
