"""What is noted of a cluster, and how it is judged."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.config.keywords import check_name
from jobclusters.errors import InvalidRequest
from jobclusters.registry.record import SILENCE_TIMEOUT, ClusterRecord, Evidence, Liveness, Phase, judge
from jobclusters.state import JobState

PROCESS = ClusterRecord(
    name="a", run="1", system="slurm", head="process", host="login1", pid=7, scheduler="tcp://10.0.0.1:1"
)
JOB = ClusterRecord(name="a", run="1", system="slurm", head="job", job_id="12", scheduler="tcp://10.0.0.1:1")
RUNS = {"phase": Phase.RUNNING}
LONG = SILENCE_TIMEOUT + 1
CANCELLED = {"answers": False, "job": JobState.CANCELLED}
ON_A = replace(JOB, identity="a")
ELSEWHERE = "on SLURM a, not visible from here"


@pytest.mark.parametrize(
    ("record", "changes", "evidence", "standing", "sentence"),
    [
        (PROCESS, {"phase": Phase.ENDED, "why": "closed"}, {"answers": True}, Liveness.ENDED, "closed"),
        (PROCESS, RUNS, {"answers": True, "process": False}, Liveness.RUNNING, "its scheduler answers"),
        (JOB, {}, {"answers": True}, Liveness.RUNNING, "its scheduler answers"),
        (PROCESS, RUNS, {"answers": False, "process": False}, Liveness.GONE, "process 7 on login1, is gone"),
        (PROCESS, {}, {"process": False}, Liveness.GONE, "process 7 on login1, is gone"),
        (PROCESS, {}, {"process": True, "silence": LONG}, Liveness.STARTING, "process 7 on login1, is starting"),
        (PROCESS, {}, {}, Liveness.STARTING, "process 7 on login1, is starting"),
        (PROCESS, RUNS, {"answers": False, "process": True, "silence": LONG}, Liveness.SILENT, "may still be there"),
        (
            PROCESS,
            RUNS,
            {"answers": False, "silence": SILENCE_TIMEOUT},
            Liveness.SILENT,
            "tcp://10.0.0.1:1 does not answer",
        ),
        (PROCESS, RUNS, {"answers": False, "silence": LONG}, Liveness.GONE, "no sign of life for 151 seconds"),
        (PROCESS, {}, {"silence": LONG}, Liveness.GONE, "no sign of life for 151 seconds"),
        (JOB, {}, {"job": JobState.PENDING, "silence": LONG}, Liveness.STARTING, "job 12, is pending"),
        (JOB, {}, {"job": JobState.RUNNING, "silence": LONG}, Liveness.STARTING, "job 12, is starting"),
        (JOB, {}, {"silence": LONG}, Liveness.STARTING, "job 12, is starting"),
        (JOB, RUNS, {"answers": False, "job": JobState.RUNNING}, Liveness.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {"answers": False, "job": JobState.UNKNOWN}, Liveness.SILENT, "job 12 may still be there"),
        # The batch system doesn't answer either: that is no information, however long it lasts.
        (JOB, RUNS, {"answers": False, "silence": LONG}, Liveness.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {**CANCELLED, "confirmed": True}, Liveness.GONE, "its head, job 12, is CANCELLED"),
        (JOB, {}, {"job": JobState.FAILED, "confirmed": True}, Liveness.GONE, "its head, job 12, is FAILED"),
        # Another job may have had that number; a fresh sign of life is life.
        (JOB, RUNS, {**CANCELLED, "silence": 1.0}, Liveness.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {"answers": False, "job": JobState.GONE, "silence": 1.0}, Liveness.SILENT, "job 12 may still be"),
        (JOB, RUNS, {"answers": False, "job": JobState.GONE}, Liveness.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {"answers": False, "job": JobState.GONE, "silence": LONG}, Liveness.GONE, "its head, job 12, is G"),
        (JOB, {}, {"job": JobState.FAILED, "silence": LONG}, Liveness.GONE, "its head, job 12, is FAILED"),
        # What no file system tells is no silence.
        (PROCESS, RUNS, {"answers": False, "silence": None}, Liveness.SILENT, "process 7 on login1 may still be there"),
        # Of another batch system, or where it isn't known which one this is.
        (ON_A, RUNS, {**CANCELLED, "here": False, "silence": LONG}, Liveness.ELSEWHERE, ELSEWHERE),
        (ON_A, {}, {"here": False, "silence": LONG}, Liveness.ELSEWHERE, ELSEWHERE),
        (ON_A, RUNS, {"answers": True, "here": False}, Liveness.RUNNING, "its scheduler answers"),
        (ON_A, {"phase": Phase.ENDED, "why": "closed"}, {"here": False}, Liveness.ENDED, "closed"),
        (ON_A, RUNS, {**CANCELLED, "silence": LONG}, Liveness.SILENT, "job 12 may still be there"),
        (ON_A, RUNS, {**CANCELLED, "here": True, "silence": LONG}, Liveness.GONE, "its head, job 12, is CANCELLED"),
        (ON_A, {"job_id": None}, {"silence": LONG}, Liveness.STARTING, "is starting"),
        (ON_A, {"job_id": None}, {"silence": LONG, "here": True}, Liveness.GONE, "has given no sign of life for 151"),
        (ON_A, {"job_id": None}, {"silence": LONG, "here": False}, Liveness.ELSEWHERE, ELSEWHERE),
    ],
)
def test_whether_a_cluster_lives(record, changes, evidence, standing, sentence):
    judged = judge(replace(record, **changes), Evidence(**evidence))
    assert judged[0] is standing
    assert sentence in judged[1]


@given(
    st.builds(
        ClusterRecord,
        name=st.text(),
        run=st.text(),
        system=st.sampled_from(["slurm", "local"]),
        head=st.text(),
        named=st.booleans(),
        phase=st.sampled_from(Phase),
        identity=st.text(),
        boot=st.text(),
        ticks=st.integers(),
        job_id=st.none() | st.text(),
        ends=st.none() | st.floats(allow_nan=False),
        why=st.text(),
    )
)
def test_an_entry_can_be_read_again(record):
    assert ClusterRecord.from_json(record.to_json()) == record


def test_what_a_newer_version_has_added_is_left_out():
    fields = json.loads(JOB.to_json())
    assert ClusterRecord.from_json(json.dumps({**fields, "moon": "full"})) == JOB


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        JOB.to_json()[:40],
        "[]",
        "null",
        '"slurm"',
        "{}",
        '{"name": "a"}',
        JOB.to_json().replace("starting", "dancing"),
        JOB.to_json().replace('"slurm"', '"cron"'),
        JOB.to_json().replace('"pid": 0', '"pid": "1; reboot"'),
        JOB.to_json().replace('"process_began": 0.0', '"process_began": null'),
        JOB.to_json().replace('"job_id": "12"', '"job_id": ["12", "13"]'),
        JOB.to_json().replace('"job_id": "12"', '"job_id": 12'),
        JOB.to_json().replace('"tcp://10.0.0.1:1"', "17"),
        JOB.to_json().replace('"name": "a"', '"name": {"a": 1}'),
        JOB.to_json().replace('"named": true', '"named": "yes"'),
    ],
)
def test_what_is_no_entry_is_reported(text):
    with pytest.raises(ValueError):
        ClusterRecord.from_json(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_reading_any_text_gives_an_entry_or_a_value_error(text):
    with suppress(ValueError):
        ClusterRecord.from_json(text)


@pytest.mark.parametrize("name", ["a", "0", "production", "my.cluster_2-b", "x" * 64, 7])
def test_names(name):
    assert check_name(name) == str(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("my cluster", "say 'my-cluster'"),
        ("../../etc", "say 'etc'"),
        (".hidden", "say 'hidden'"),
        ("-rf", "say 'rf'"),
        ("a/b", "say 'a-b'"),
        ("a\nb", "say 'a-b'"),
        ("a\n", "say 'a'"),
        ("$(reboot)", "say 'reboot'"),
        ("été", "say 't'"),
        ("x" * 65, f"say '{'x' * 64}'"),
    ],
)
def test_names_that_are_none_come_with_one_that_is(name, hint):
    with pytest.raises(InvalidRequest, match=r"at most 64 letters, digits and _ \. -") as raised:
        check_name(name)
    assert str(raised.value).endswith(hint)


@pytest.mark.parametrize("name", ["", "...", "/", "**"])
def test_names_of_which_nothing_is_left(name):
    with pytest.raises(InvalidRequest, match=r"names files and jobs$"):
        check_name(name)
