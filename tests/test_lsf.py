"""LSF's dialect on replies in tests/replies/lsf/.

``submit-*``, ``states-*``, ``detail-*``, ``cancel-*`` and ``lim-down`` are openlava 4.0's own; ``composed-*`` are IBM's
JSON and words, after its manual. IBM LSF itself was not at hand.
"""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace

import pytest
from test_pbs import Told, recorded

from jobclusters import InvalidRequest, LSFCluster, config, job_script
from jobclusters.batchqueue import BatchQueue
from jobclusters.commandqueue import CommandQueue
from jobclusters.dialect import Reply
from jobclusters.dialects.lsf import Lsf, Openlava
from jobclusters.errors import QueueError, Refused, SubmitLimit, Unavailable
from jobclusters.record import JobRecord, element
from jobclusters.request import resolve
from jobclusters.script import render
from jobclusters.state import JobState, JobStatus

LSF, OPENLAVA = Lsf(), Openlava()
PENDING, RUNNING, UNKNOWN = JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN
SMALL = {"cores": 1, "memory": "1 GiB"}


@pytest.mark.parametrize(
    ("name", "count", "ids"),
    [
        ("submit-id", 1, ["101"]),
        ("submit-array", 3, ["103[1]", "103[2]", "103[3]"]),
        ("composed-greeting", 1, ["12"]),
    ],
)
def test_ids(name, count, ids):
    assert LSF.parse_submit(recorded(name, "lsf"), count) == ids


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("submit-queue", Refused, "No such queue"),
        ("submit-resource", Refused, "Bad resource requirement syntax"),
        ("submit-memory", Refused, "MEMLIMT value should be a positive integer"),
        ("submit-walltime", Refused, "Bad RUNLIMIT specification"),
        ("submit-limit-of-queue", Refused, "Cannot exceed queue's hard limit"),
        ("submit-cores", Refused, "Too many processors requested"),
        ("submit-array-from-0", Refused, "Bad job name"),
        ("submit-array-too-large", Refused, "Job array index too large"),
        ("composed-too-many", SubmitLimit, "Pending job threshold reached"),
        ("submit-down", Unavailable, "still trying"),
        ("lim-down", Unavailable, "LIM is down"),
        ("composed-nothing", Unavailable, "no job id"),
    ],
)
def test_no_ids(name, error, words):
    """Refused is sure to have made no job; after Unavailable there may be one."""
    with pytest.raises(QueueError, match=words) as caught:
        LSF.parse_submit(recorded(name, "lsf"), 2)
    assert type(caught.value) is error


def test_a_timeout_says_nothing():
    with pytest.raises(Unavailable):
        LSF.parse_submit(Reply(("bsub",), None), 1)


def test_an_array_that_is_too_large_can_be_told_from_other_refusals():
    said = {name: str(LSF.failure(recorded(name, "lsf"))) for name in ("submit-array-too-large", "submit-cores")}
    assert [name for name, text in said.items() if any(words in text for words in LSF.array_words)] == [
        "submit-array-too-large"
    ]


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("composed-unknown", {}),
        ("composed-no-job", {}),
        ("states-unknown", {}),
        ("states-none", {}),
        ("composed-please-wait", {"8": JobStatus(RUNNING, node="n2")}),
        (
            "composed-states",
            {
                "7[1]": JobStatus(RUNNING, node="n1"),
                "7[2]": JobStatus(PENDING, reason="New job is waiting for scheduling"),
                "7[10]": JobStatus(UNKNOWN, node="n3"),
                "8": JobStatus(RUNNING, node="n2"),
                "9": JobStatus(JobState.COMPLETED, exit_code=0, node="n1"),
                "10": JobStatus(RUNNING, node="n1"),
                "11": JobStatus(PENDING, reason="The job was suspended by the user while pending"),
            },
        ),
    ],
)
def test_states(name, states):
    assert LSF.parse_states(recorded(name, "lsf")) == states


@pytest.mark.parametrize(
    ("job_id", "state", "exit_code", "signal"),
    [
        ("1", JobState.FAILED, 7, None),
        ("2", JobState.TIMEOUT, None, 12),
        ("3", JobState.OUT_OF_MEMORY, None, 9),
        ("4", JobState.CANCELLED, None, None),
        ("5", JobState.PREEMPTED, None, 15),
        ("6", JobState.FAILED, None, 11),
        ("7", UNKNOWN, None, None),
        ("8", UNKNOWN, None, None),
    ],
)
def test_endings(job_id, state, exit_code, signal):
    status = LSF.parse_states(recorded("composed-endings", "lsf"))[job_id]
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


def test_the_reason_of_an_end_is_lsfs_own():
    status = LSF.parse_states(recorded("composed-endings", "lsf"))["2"]
    assert status.reason == "TERM_RUNLIMIT: job killed after reaching LSF run time limit"


@pytest.mark.parametrize(
    "name", ["composed-empty", "states-down", "lim-down", "composed-cut-off", "composed-no-records", "states-no-json"]
)
def test_no_answer_is_no_information(name):
    reply = recorded(name, "lsf")
    if name in ("composed-cut-off", "composed-no-records"):  # whatever its exit status
        reply = replace(reply, status=255)
    with pytest.raises(Unavailable):
        LSF.parse_states(reply)


@pytest.mark.parametrize("name", ["composed-cut-off", "composed-no-records"])
def test_broken_json_is_no_information(name):
    with pytest.raises(Unavailable):
        LSF.parse_states(recorded(name, "lsf"))


# -- lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("composed-header", {}),
        ("states-none", {}),
        ("states-unknown", {}),
        (
            "states-array-ended",
            {f"264[{index}]": JobStatus(JobState.FAILED, node="lsfhost") for index in (4, 3, 2, 1)},
        ),
        (
            "composed-spaces",
            {"8": JobStatus(RUNNING, node="n7"), "9[3]": JobStatus(PENDING)},
        ),
    ],
)
def test_lines(name, states):
    assert OPENLAVA.parse_states(recorded(name, "lsf")) == states


def test_lines_of_many_jobs():
    found = OPENLAVA.parse_states(recorded("states-lines", "lsf"))
    assert len(found) == 22
    assert found["104[4]"] == JobStatus(RUNNING, node="lsfhost")
    assert found["104[5]"] == found["119"] == JobStatus(PENDING)
    assert found["109"] == JobStatus(JobState.COMPLETED, exit_code=0, node="lsfhost"), "on four slots"
    assert found["102"] == JobStatus(JobState.FAILED, node="lsfhost"), "its exit code is in bjobs -l alone"


@pytest.mark.parametrize("name", ["states-down", "lim-down", "composed-empty"])
def test_no_lines_are_no_information(name):
    with pytest.raises(Unavailable):
        OPENLAVA.parse_states(recorded(name, "lsf"))


def test_no_lines_behind_a_complaint_are_no_information():
    with pytest.raises(Unavailable):
        OPENLAVA.parse_states(replace(recorded("states-down", "lsf"), status=0))


def test_a_line_of_another_kind_is_no_information():
    with pytest.raises(Unavailable, match="8 alice RUN"):
        OPENLAVA.parse_states(Reply(("bjobs",), 0, "8 alice RUN\n"))


@pytest.mark.parametrize("name", ["states-no-json", "states-no-format"])
def test_lsf_without_json_is_asked_for_lines_from_then_on(monkeypatch, name):
    queue = CommandQueue(LSF)
    replies = [recorded(each, "lsf") for each in (name, "states-array-ended", "states-none")]
    told = Told(monkeypatch, queue, *replies)
    assert len(asyncio.run(queue.states(["264[1]", "264[2]"]))) == 4
    assert asyncio.run(queue.find("x")) == {}
    assert told.asked[0][:3] == ["bjobs", "-a", "-json"]
    assert told.asked[1] == ["bjobs", "-a", "-w", "-noheader", "264"]
    assert told.asked[2] == ["bjobs", "-a", "-w", "-noheader", "-J", "x"]
    assert type(queue.dialect) is Openlava


@pytest.mark.parametrize("name", ["composed-states", "states-unknown", "states-down", "composed-empty"])
def test_nothing_else_is_taken_for_openlava(name):
    assert LSF.variant(recorded(name, "lsf")) is None


# -- bjobs -l ------------------------------------------------------------------------------------------------------

# What the recorded ends of "bjobs -l" lack, as it stands in the whole one.
HEAD = """
Job Id <{}>, Job Name <dask-worker>, User <alice>, Project <default>, Status <
                     EXIT>, Queue <normal>, Command <#!/bin/sh>
"""


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("detail-limit", JobStatus(JobState.TIMEOUT, signal=12, node="lsfhost")),
        ("detail-killed", JobStatus(JobState.FAILED, signal=2, node="lsfhost")),
        ("detail-four-slots", JobStatus(JobState.TIMEOUT, signal=12, node="lsfhost")),
    ],
)
def test_detail(name, status):
    reply = recorded(name, "lsf")
    assert LSF.parse_detail(replace(reply, out=HEAD + reply.out)) == status


def test_detail_of_a_whole_reply():
    done = recorded("detail-done", "lsf")
    assert LSF.parse_detail(done) == JobStatus(JobState.COMPLETED, exit_code=0, node="lsfhost")
    seven = replace(done, out=done.out.replace("DONE", "EXIT").replace("Done successfully", "Exited with exit code 7"))
    assert LSF.parse_detail(seven) == JobStatus(JobState.FAILED, exit_code=7, node="lsfhost")
    assert LSF.detail_argv("7[2]") == ["bjobs", "-l", "7[2]"]


def test_no_detail_of_a_job_whose_host_is_silent():
    done = recorded("detail-done", "lsf")
    assert LSF.parse_detail(replace(done, out=done.out.replace("DONE", "UNKWN"))) is None


@pytest.mark.parametrize("name", ["states-unknown", "states-down", "composed-empty"])
def test_no_detail(name):
    assert LSF.parse_detail(recorded(name, "lsf")) is None


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["8"], ["8"]),
        (["7[1]"], ["7[1]"]),
        ([f"7[{index}]" for index in range(1, 501)], ["7[1-500]"]),
        (["7[9]", "7[2]", "8", "7[3]"], ["7[2-3,9]", "8"]),
    ],
)
def test_cancel_in_ranges(ids, words):
    assert LSF.cancel_argv(ids) == ["bkill", *words]


def test_a_cancel_in_progress_is_no_failure(monkeypatch):
    """The whole array is killed, though bkill's exit status is 255."""
    queue = CommandQueue(LSF)
    told = Told(monkeypatch, queue, recorded("cancel-array", "lsf"))
    asyncio.run(queue.cancel(["264[1]", "264[2]", "263"]))
    assert told.asked == [["bkill", "264[1-2]", "263"]]


def test_one_question_for_all():
    fields = "jobid jobindex stat exit_code exit_reason pend_reason exec_host"
    assert LSF.query_argv(["7[1]", "7[2]", "8"]) == ["bjobs", "-a", "-json", "-o", fields, "7", "8"]
    assert LSF.find_argv("x")[-2:] == ["-J", "x"]


@pytest.mark.parametrize(
    ("job_id", "directory", "file"),
    [
        ("12", None, "./dask-12.out"),
        ("12[3]", None, "./dask-12-3.out"),
        ("12", "/my logs", "/my logs/dask-12.out"),
        ("12[3]", "/my logs", "/my logs/dask-12-3.out"),
    ],
)
def test_log_files(job_id, directory, file):
    assert LSF.log_files(job_id, directory, "dask") == [file]


IN_JOB = {"LSB_JOBID": "7", "LSB_JOBINDEX": "1", "LSB_DJOB_NUMPROC": "1", "LS_SUBCWD": "/home"}
STAYS = {"PATH": "/bin", "LSF_ENVDIR": "/etc/lsf", "LSB_DEFAULTQUEUE": "q", "LSB_NTRIES": "3"}


@pytest.mark.parametrize(
    ("environ", "left"),
    [
        ({**STAYS, **IN_JOB}, STAYS),
        ({**STAYS, "LSB_SUB_X": "1"}, {**STAYS, "LSB_SUB_X": "1"}),
        ({"PATH": "/bin"}, {"PATH": "/bin", "LSB_NTRIES": "1"}),
    ],
)
def test_a_surrounding_job_does_not_leak(environ, left):
    assert LSF.environment(environ) == left


# -- keywords and settings -----------------------------------------------------------------------------------------

UNIT = "LSF_LIM_PORT=7869\nLSF_UNIT_FOR_LIMITS={}\n#LSF_UNIT_FOR_LIMITS=TB\n"


@pytest.mark.parametrize(
    ("conf", "keywords", "limit", "reserved"),
    [
        ("", {}, 1048576, 1024),
        (UNIT.format("KB"), {}, 1048576, 1048576),
        (UNIT.format("MB"), {}, 1024, 1024),
        (UNIT.format("GB"), {}, 1, 1),
        (UNIT.format("KB") + 'LSF_UNIT_FOR_LIMITS = "g"\n', {}, 1, 1),
        (UNIT.format("GB"), {"lsf_units": "mb"}, 1024, 1024),
        (UNIT.format("GB"), {"memory": "1025 MiB"}, 2, 2),
        ("", {"mem": 2**31}, 2**21, 2048),
    ],
)
def test_units_of_memory(configure, monkeypatch, tmp_path, conf, keywords, limit, reserved):
    (tmp_path / "lsf.conf").write_text(conf)
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))
    script = job_script("lsf", **{**SMALL, **keywords})
    assert f"#BSUB -M {limit}\n" in script
    assert f"rusage[mem={reserved}]" in script


def test_units_of_the_configuration_win_over_lsf_conf(configure, monkeypatch, tmp_path):
    (tmp_path / "lsf.conf").write_text(UNIT.format("GB"))
    monkeypatch.setenv("LSF_CONFDIR", str(tmp_path))
    assert "#BSUB -M 1\n" in job_script("lsf", **SMALL)
    configure("jobqueue: {lsf: {lsf-units: mb}}")
    assert "#BSUB -M 1024\n" in job_script("lsf", **SMALL)


def test_no_lsf_conf(monkeypatch, tmp_path):
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path / "none"))
    assert "#BSUB -M 1048576\n" in job_script("lsf", **SMALL)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"job_name": "x[1-3]"}, "job_name"),
        ({"job_name": "a'b"}, "job_name"),
        ({"lsf_units": "bytes"}, "lsf_units='bytes' must be one of kb"),
        ({"mem": "much"}, "memory 'much'"),
        ({"mem": 16}, "did you mean '16 GB'"),
        ({"ncpus": 0}, "job_cpu|ncpus"),
        ({"use_stdin": "yes"}, "use_stdin must be True or False"),
        ({"walltime": "unlimited"}, "LSF has no word for that"),
    ],
)
def test_bad_keywords_are_told_before_submission(keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        job_script("lsf", **SMALL, **keywords)


@pytest.mark.parametrize(
    ("walltime", "rendered"),
    [("00:10", "00:10"), ("90", "01:30"), ("00:10:01", "00:11"), ("1-00", "24:00"), ("30 s", "00:01")],
)
def test_walltimes_are_rounded_up_to_minutes(walltime, rendered):
    assert f"#BSUB -W {rendered}\n" in job_script("lsf", **SMALL, walltime=walltime)


def test_the_settings_of_a_size_beat_the_configuration(configure):
    configure("jobqueue: {lsf: {ncpus: 24, mem: 100000000000, cores: 24, memory: 100 GB}}")
    assert "#BSUB -n 24\n" in job_script("lsf")
    sized = job_script("lsf", worker_size="large")
    assert "#BSUB -n 2\n#BSUB -M 15625000\n" in sized


def test_spot_asks_for_the_queue_of_the_configuration(configure):
    configure("jobclusters: {spot: {lsf: {queue: preemptable}}}")
    script = job_script("lsf", **SMALL, worker_is_spot=True)
    assert "#BSUB -q preemptable\n" in script
    assert "#BSUB -r\n" in script


def test_every_setting_of_dask_jobqueue_is_known(caplog):
    config._warn_of.cache_clear()  # it says each thing once
    config.site(LSF)
    assert not caplog.records


def test_the_cluster_class():
    assert LSFCluster.dialect.name == LSFCluster.job_cls.dialect.name == "lsf"
    assert LSFCluster.job_cls.config_name == "lsf"


@pytest.mark.parametrize(("count", "name"), [(1, "dask-worker-t-0"), (12, '"dask-worker-t-0[1-12]"')])
def test_the_script_says_how_many_jobs_there_are(count, name):
    """bsub reads an array's size from nowhere else."""
    scripts = []

    class Verbs:
        dialect = LSF

        async def submit(self, script, count):
            scripts.append(script)
            return LSF.parse_submit(recorded("submit-id", "lsf"), count)

    class Log:
        submitted = refused = lambda *_: None

        async def submitting(self, job_name):
            pass

    async def submit():
        queue = BatchQueue(Verbs(), lambda spec: render(spec, LSF), None, Log(), "t")
        spec = resolve(LSF, SMALL, config.site(LSF), "C", "tcp://10.0.0.1:8786")
        records = [JobRecord(f"C-{number}", number, spec) for number in range(count)]
        for record in records:
            queue.submit(record)
        await queue.settle()
        return [record.job_id for record in records]

    ids = asyncio.run(submit())
    assert f"#BSUB -J {name}\n" in scripts[0]
    assert ids == (["101"] if count == 1 else [f"101[{index}]" for index in range(1, 13)])
    assert sorted(ids, key=element) == ids


@pytest.mark.parametrize("skip", ["-gpu", "-r", "-R", "rusage"])
def test_options_of_several_letters_are_skipped_whole(skip):
    asked = {**SMALL, "gpus": 1, "worker_is_spot": True}
    kept = job_script("lsf", **asked, job_directives_skip=[skip])
    gone = set(job_script("lsf", **asked).splitlines()) - set(kept.splitlines())
    assert [line.split()[1] for line in gone] == ["-R" if skip == "rusage" else skip]


def test_an_array_cannot_be_skipped():
    """Without the name there would be no array, but its ids would be expected."""
    from test_script import script

    text = script("lsf", **SMALL, first=0, count=4, job_directives_skip=["-J"])
    assert '#BSUB -J "dask-worker[1-4]"\n' in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
