"""What is noted of a cluster, and how it is judged."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobclusters.entry import SILENCE, Entry, Evidence, Phase, Standing, check_name, judge
from jobclusters.errors import InvalidRequest
from jobclusters.state import JobState

PROCESS = Entry(name="a", run="1", system="slurm", head="process", host="login1", pid=7, scheduler="tcp://10.0.0.1:1")
JOB = Entry(name="a", run="1", system="slurm", head="job", job_id="12", scheduler="tcp://10.0.0.1:1")
RUNS = {"phase": Phase.RUNNING}
LONG = SILENCE + 1


@pytest.mark.parametrize(
    ("entry", "changes", "evidence", "standing", "sentence"),
    [
        (PROCESS, {"phase": Phase.ENDED, "why": "closed"}, {"answers": True}, Standing.ENDED, "closed"),
        (PROCESS, RUNS, {"answers": True, "process": False}, Standing.RUNNING, "its scheduler answers"),
        (JOB, {}, {"answers": True}, Standing.RUNNING, "its scheduler answers"),
        (PROCESS, RUNS, {"answers": False, "process": False}, Standing.GONE, "process 7 on login1, is gone"),
        (PROCESS, {}, {"process": False}, Standing.GONE, "process 7 on login1, is gone"),
        (PROCESS, {}, {"process": True, "silence": LONG}, Standing.STARTING, "process 7 on login1, is starting"),
        (PROCESS, {}, {}, Standing.STARTING, "process 7 on login1, is starting"),
        (PROCESS, RUNS, {"answers": False, "process": True, "silence": LONG}, Standing.SILENT, "may still be there"),
        (PROCESS, RUNS, {"answers": False, "silence": SILENCE}, Standing.SILENT, "tcp://10.0.0.1:1 does not answer"),
        (PROCESS, RUNS, {"answers": False, "silence": LONG}, Standing.GONE, "no sign of life for 151 seconds"),
        (PROCESS, {}, {"silence": LONG}, Standing.GONE, "no sign of life for 151 seconds"),
        (JOB, {}, {"job": JobState.PENDING, "silence": LONG}, Standing.STARTING, "job 12, is pending"),
        (JOB, {}, {"job": JobState.RUNNING, "silence": LONG}, Standing.STARTING, "job 12, is starting"),
        (JOB, {}, {"silence": LONG}, Standing.STARTING, "job 12, is starting"),
        (JOB, RUNS, {"answers": False, "job": JobState.RUNNING}, Standing.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {"answers": False, "job": JobState.UNKNOWN}, Standing.SILENT, "job 12 may still be there"),
        # The batch system doesn't answer either: that is no information, however long it lasts.
        (JOB, RUNS, {"answers": False, "silence": LONG}, Standing.SILENT, "job 12 may still be there"),
        (JOB, RUNS, {"answers": False, "job": JobState.CANCELLED}, Standing.GONE, "its head, job 12, is CANCELLED"),
        (JOB, RUNS, {"answers": False, "job": JobState.GONE}, Standing.GONE, "its head, job 12, is GONE"),
        (JOB, {}, {"job": JobState.FAILED}, Standing.GONE, "its head, job 12, is FAILED"),
    ],
)
def test_how_a_cluster_stands(entry, changes, evidence, standing, sentence):
    judged = judge(replace(entry, **changes), Evidence(**evidence))
    assert judged[0] is standing
    assert sentence in judged[1]


@given(
    st.builds(
        Entry,
        name=st.text(),
        run=st.text(),
        system=st.sampled_from(["slurm", "local"]),
        head=st.text(),
        named=st.booleans(),
        phase=st.sampled_from(Phase),
        job_id=st.none() | st.text(),
        ends=st.none() | st.floats(allow_nan=False),
        why=st.text(),
    )
)
def test_an_entry_can_be_read_again(entry):
    assert Entry.from_json(entry.to_json()) == entry


def test_what_a_newer_version_has_added_is_left_out():
    fields = json.loads(JOB.to_json())
    assert Entry.from_json(json.dumps({**fields, "moon": "full"})) == JOB


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
def test_what_is_no_entry_is_told(text):
    with pytest.raises(ValueError):
        Entry.from_json(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_reading_any_text_gives_an_entry_or_a_value_error(text):
    with suppress(ValueError):
        Entry.from_json(text)


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
