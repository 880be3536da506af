"""LSF's dialect on replies in tests/replies/lsf/.

``submit-*``, ``states-*``, ``detail-*``, ``cancel-*`` and ``lim-down`` are openlava 4.0's own; ``composed-*`` are IBM's
JSON and words, after its manual. IBM LSF itself was not at hand.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace

import pytest

from jobclusters import InvalidRequest, LSFCluster, job_script
from jobclusters.batch.script import render
from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects.base import Reply
from jobclusters.dialects.lsf import Lsf, Openlava
from jobclusters.errors import NoBatchSystem, Refused, SubmitLimit, Unavailable
from jobclusters.jobs.record import JobRecord, element
from jobclusters.jobs.submitter import Submitter
from jobclusters.state import JobState, JobStatus
from tests.helpers.golden import script
from tests.helpers.recorded import (
    RecordedCommands,
    check_array_refusals,
    check_cancel,
    check_cluster_class,
    check_environment,
    check_ids,
    check_log_files,
    check_no_information,
    check_outages,
    check_refusals,
    check_settings,
    check_spot,
    check_states,
    check_submit,
    recorded,
)

LSF, OPENLAVA = Lsf(), Openlava()
PENDING, RUNNING, UNKNOWN = JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN
SMALL = {"cores": 1, "memory": "1 GiB"}

test_submit = check_submit(LSF, (1, ["bsub"]), (5, ["bsub"]))
test_ids = check_ids(
    LSF,
    [
        ("submit-id", 1, ["101"]),
        ("submit-array", 2, ["103[1]", "103[2]"]),
        ("composed-greeting", 1, ["12"]),
    ],
)
test_refusals = check_refusals(
    LSF,
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
        ("submit-down", Unavailable, "LIM\\) not responding"),
        ("lim-down", Unavailable, "LIM is down"),
        ("composed-nothing", Unavailable, "no job id"),
    ],
)
test_array_refusals = check_array_refusals(LSF, ["submit-array-too-large"], ["submit-cores", "composed-too-many"])


# The first two were recorded.
test_words_of_an_outage = check_outages(
    LSF,
    [
        "OpenLava daemon (LIM) not responding ... still trying",
        "ls_getclustername(): LIM is down; try later",
        "batch system daemon not responding",
        "LSF is down. Please contact your administrator",
        "Cannot connect to LSF",
        "Please wait ...",
        "Failed in sending/receiving a message: Connection reset by peer",
        "Communication time out",
    ],
)


# -- JSON ----------------------------------------------------------------------------------------------------------

test_states = check_states(
    LSF,
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
test_no_information = check_no_information(
    LSF, ["composed-empty", "states-down", "lim-down", "composed-cut-off", "composed-no-records", "states-no-json"]
)


@pytest.mark.parametrize("name", ["composed-cut-off", "composed-no-records"])
def test_broken_json_is_no_information_whatever_the_exit_status(name):
    with pytest.raises(Unavailable, match="can't be read"):
        LSF.parse_states(replace(recorded("lsf", name), status=255))


@pytest.mark.parametrize("words", ["is not found", "No matching job found", "No unfinished job found", "No job found"])
def test_words_for_no_such_job(words):
    """``is not found`` and ``No unfinished job found`` were recorded."""
    assert LSF.parse_states(Reply(("bjobs",), 255, err=f"Job <99999>: {words}\n")) == {}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PEND", PENDING),
        ("PSUSP", PENDING),
        ("PROV", PENDING),
        ("WAIT", PENDING),
        ("RUN", RUNNING),
        ("USUSP", RUNNING),
        ("SSUSP", RUNNING),
        ("DONE", JobState.COMPLETED),
        ("EXIT", JobState.FAILED),
        ("UNKWN", UNKNOWN),
        ("ZOMBI", UNKNOWN),
        ("NEWSTATE", UNKNOWN),
    ],
)
def test_state_words(word, state):
    reply = recorded("lsf", "composed-please-wait")
    assert LSF.parse_states(replace(reply, out=reply.out.replace('"RUN"', f'"{word}"')))["8"].state is state


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", JobState.TIMEOUT),
        ("TERM_CPULIMIT: job killed after reaching LSF CPU usage limit", JobState.TIMEOUT),
        ("TERM_DEADLINE: job killed after deadline expires", JobState.TIMEOUT),
        ("TERM_WINDOW: job killed by queue run window closing", JobState.TIMEOUT),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", JobState.OUT_OF_MEMORY),
        ("TERM_SWAP: job killed after reaching LSF swap usage limit", JobState.OUT_OF_MEMORY),
        ("TERM_PREEMPT: job killed after preemption", JobState.PREEMPTED),
        ("TERM_OWNER: job killed by owner", JobState.CANCELLED),
        ("TERM_ADMIN: job killed by root or LSF administrator", JobState.CANCELLED),
        ("TERM_FORCE_OWNER: job killed by owner without time for cleanup", JobState.CANCELLED),
        ("TERM_FORCE_ADMIN: job killed by root or LSF administrator without time for cleanup", JobState.CANCELLED),
        ("TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF", JobState.FAILED),
    ],
)
def test_why_lsf_ended_a_job(reason, state):
    """The words are those of the manual; TERM_OWNER stands in composed-endings, too."""
    reply = recorded("lsf", "composed-endings")
    records = json.loads(reply.out)["RECORDS"][1:2]
    assert records[0]["EXIT_REASON"].startswith("TERM_RUNLIMIT")
    records[0]["EXIT_REASON"] = reason
    (status,) = LSF.parse_states(replace(reply, out=json.dumps({"RECORDS": records}))).values()
    assert (status.state, status.reason) == (state, reason)


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
    status = LSF.parse_states(recorded("lsf", "composed-endings"))[job_id]
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


@pytest.mark.parametrize(
    ("code", "exit_code", "signal"),
    [("1", 1, None), ("128", 128, None), ("129", None, 1), ("192", None, 64), ("193", 193, None), ("255", 255, None)],
)
def test_exit_codes(code, exit_code, signal):
    reply = recorded("lsf", "composed-endings")
    status = LSF.parse_states(replace(reply, out=reply.out.replace('"EXIT_CODE": "7"', f'"EXIT_CODE": "{code}"')))["1"]
    assert (status.state, status.exit_code, status.signal) == (JobState.FAILED, exit_code, signal)


def test_the_reason_of_an_end_is_lsfs_own():
    status = LSF.parse_states(recorded("lsf", "composed-endings"))["2"]
    assert status.reason == "TERM_RUNLIMIT: job killed after reaching LSF run time limit"


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
    assert OPENLAVA.parse_states(recorded("lsf", name)) == states


def test_lines_of_many_jobs():
    found = OPENLAVA.parse_states(recorded("lsf", "states-lines"))
    assert len(found) == 22
    assert found["104[4]"] == JobStatus(RUNNING, node="lsfhost")
    assert found["104[5]"] == found["119"] == JobStatus(PENDING)
    assert found["109"] == JobStatus(JobState.COMPLETED, exit_code=0, node="lsfhost"), "on four slots"
    assert found["102"] == JobStatus(JobState.FAILED, node="lsfhost"), "its exit code is in bjobs -l alone"


@pytest.mark.parametrize("name", ["states-down", "lim-down", "composed-empty"])
def test_no_lines_are_no_information(name):
    with pytest.raises(Unavailable):
        OPENLAVA.parse_states(recorded("lsf", name))


def test_no_lines_behind_a_complaint_are_no_information():
    with pytest.raises(Unavailable):
        OPENLAVA.parse_states(replace(recorded("lsf", "states-down"), status=0))


def test_a_line_of_another_kind_is_no_information():
    with pytest.raises(Unavailable, match="8 alice RUN"):
        OPENLAVA.parse_states(Reply(("bjobs",), 0, "8 alice RUN\n"))


@pytest.mark.parametrize("name", ["states-no-json", "states-no-format"])
def test_lsf_without_json_is_asked_for_lines_from_then_on(name):
    queue = RecordedCommands(LSF, *(recorded("lsf", each) for each in (name, "states-array-ended", "states-none")))
    assert len(asyncio.run(queue.states(["264[1]", "264[2]"]))) == 4
    assert asyncio.run(queue.find("x")) == {}
    assert queue.asked[0][:3] == ["bjobs", "-a", "-json"]
    assert queue.asked[1] == ["bjobs", "-a", "-w", "-noheader", "264"]
    assert queue.asked[2][:5] == ["bjobs", "-a", "-w", "-noheader", "-u"]
    assert queue.asked[2][-2:] == ["-J", "x"]
    assert type(queue.dialect) is Openlava


@pytest.mark.parametrize("name", ["composed-states", "states-unknown", "states-down", "composed-empty"])
def test_nothing_else_is_taken_for_openlava(name):
    assert LSF.variant(recorded("lsf", name)) is None


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
    reply = recorded("lsf", name)
    assert LSF.parse_detail(replace(reply, out=HEAD + reply.out)) == status


def test_detail_of_a_whole_reply():
    done = recorded("lsf", "detail-done")
    assert LSF.parse_detail(done) == JobStatus(JobState.COMPLETED, exit_code=0, node="lsfhost")
    seven = replace(done, out=done.out.replace("DONE", "EXIT").replace("Done successfully", "Exited with exit code 7"))
    assert LSF.parse_detail(seven) == JobStatus(JobState.FAILED, exit_code=7, node="lsfhost")
    assert LSF.detail_argv("7[2]") == ["bjobs", "-l", "7[2]"]


def test_detail_tells_why_lsf_ended_a_job():
    """IBM's sentence, after its manual, in a recorded reply."""
    reply = recorded("lsf", "detail-killed")
    ended = "Completed <exit>; TERM_MEMLIMIT: job killed after reaching LSF\n                     memory usage limit. Exited"
    status = LSF.parse_detail(replace(reply, out=(HEAD + reply.out).replace("Exited", ended)))
    assert status.state is JobState.OUT_OF_MEMORY
    assert status.reason.startswith("TERM_MEMLIMIT: job killed after reaching LSF")
    assert "Exited" not in status.reason


def test_a_job_that_ended_without_a_host_was_cancelled():
    """Each of the three commands says EXIT, and no more."""
    cancelled = JobStatus(JobState.CANCELLED)
    assert LSF.parse_detail(recorded("lsf", "detail-killed-pending")) == cancelled
    assert OPENLAVA.parse_states(recorded("lsf", "states-killed-pending")) == {"1237": cancelled}
    json = recorded("lsf", "composed-endings")
    assert (
        LSF.parse_states(replace(json, out=json.out.replace('"EXIT_CODE": "7"', '"EXIT_CODE": ""').replace("n1", "-")))[
            "1"
        ]
        == cancelled
    )


@pytest.mark.parametrize(
    ("detail", "history", "status"),
    [
        # An openlava's job that ran, and the same history: what it says of a signal is the same for both.
        (
            "detail-killed-running",
            "history-killed-pending",
            (JobState.CANCELLED, 15, "Signal <KILL> requested by user"),
        ),
        ("detail-killed-running", "states-unknown", (JobState.FAILED, 15, "")),
        ("detail-killed-running", None, (JobState.FAILED, 15, "")),
    ],
)
def test_whose_signal_ended_a_job(detail, history, status):
    queue = RecordedCommands(
        OPENLAVA, recorded("lsf", detail), recorded("lsf", history) if history else Reply(("bhist",), None)
    )
    found = asyncio.run(queue.detail("106[1]"))
    assert (found.state, found.signal) == status[:2]
    assert found.reason.startswith(status[2])
    assert queue.asked[1:] == [["bhist", "-l", "106[1]"]]


def test_an_end_is_explained_without_a_bhist():
    """It isn't asked where the end is known, and missed where it isn't there."""
    done = recorded("lsf", "detail-done")
    seven = replace(done, out=done.out.replace("DONE", "EXIT").replace("Done successfully", "Exited with exit code 7"))
    for detail in (done, seven, recorded("lsf", "detail-killed-pending")):
        queue = RecordedCommands(OPENLAVA, detail)
        assert asyncio.run(queue.detail("101")).state.ended
        assert len(queue.asked) == 1

    class WithoutBhist(RecordedCommands):
        async def _run(self, argv):
            if argv[0] == "bhist":
                raise NoBatchSystem("bhist can't be run on this machine")
            return await super()._run(argv)

    queue = WithoutBhist(OPENLAVA, recorded("lsf", "detail-killed-running"))
    assert asyncio.run(queue.detail("106[1]")).state is JobState.FAILED


def test_openlava_says_why_jobs_wait():
    pending = "1236    alice   PEND  normal     h-lsf          -        sleep 9    Nov 29 07:12\n"
    others = "104     alice   RUN   normal     h-lsf          h-lsf        name[4]    Nov 29 07:12\n"
    queue = RecordedCommands(OPENLAVA, Reply(("bjobs",), 0, pending + others), recorded("lsf", "reasons-memory"))
    found = asyncio.run(queue.states(["1236", "104[4]"]))
    why = "Job requirements for reserving resource (mem) not satisfied: 1 host"
    assert found == {"1236": JobStatus(PENDING, reason=why), "104[4]": JobStatus(RUNNING, node="h-lsf")}
    assert queue.asked[1] == ["bjobs", "-p", "1236"]
    running = RecordedCommands(OPENLAVA, Reply(("bjobs",), 0, others))
    assert len(asyncio.run(running.states(["104[4]"]))) == 1


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("reasons-several", {"119": "The job was suspended by the user while pending: 1 host"}),
        ("states-none", {}),
        ("states-down", {}),
    ],
)
def test_reasons(name, reasons):
    assert OPENLAVA.parse_reasons(recorded("lsf", name)) == reasons


def test_the_reason_of_an_element():
    reply = recorded("lsf", "reasons-several")
    assert OPENLAVA.parse_reasons(replace(reply, out=reply.out.replace(" : 1", " Not yet: 1"))) == {
        "104[5]": "Not yet: 1 host",
        "119": "The job was suspended by the user while pending: 1 host",
    }


def test_a_report_of_lsf_is_no_output_of_the_job():
    """In an output file it precedes what a job printed; a job that runs again adds another."""
    report = (
        "Sender: LSF System <lsf@h>\nSubject: Job 7: <#!/bin/sh; python> Exited\n\nThe output (if any) follows:\n\n"
    )
    assert LSF.own_output(f"{report}first\n{report}python: not found\n") == "python: not found\n"
    assert LSF.own_output("a job that runs\n") == "a job that runs\n"


@pytest.mark.parametrize("use_stdin", [True, False])
def test_rn_is_left_out_where_bsub_does_not_know_it(use_stdin):
    """openlava refuses it: there was no head in a job."""
    replies = [recorded("lsf", name) for name in ("submit-not-rerunnable", "submit-id", "submit-id")]
    queue = RecordedCommands(LSF, *replies)
    queue._use_stdin = use_stdin
    text = job_script("lsf", **SMALL).replace("#BSUB -n 1\n", "#BSUB -n 1\n#BSUB -rn\n")
    assert [asyncio.run(queue.submit(text, 1)) for _ in range(2)] == [["101"], ["101"]]
    said = ["-rn" in " ".join(argv) for argv in queue.asked]
    assert said == [True, False, False], "it is remembered"


def test_other_refusals_stay():
    queue = RecordedCommands(LSF, recorded("lsf", "submit-queue"))
    with pytest.raises(Refused, match="No such queue"):
        asyncio.run(queue.submit("#!/bin/sh\n#BSUB -rn\n", 1))


def test_an_element_whose_id_holds_its_index():
    reply = recorded("lsf", "composed-please-wait")
    changed = replace(reply, out=reply.out.replace('"8"', '"8[3]"').replace('"JOBINDEX": "0"', '"JOBINDEX": "3"'))
    assert list(LSF.parse_states(changed)) == ["8[3]"]


def test_no_detail_of_a_job_whose_host_is_silent():
    done = recorded("lsf", "detail-done")
    assert LSF.parse_detail(replace(done, out=done.out.replace("DONE", "UNKWN"))) is None


@pytest.mark.parametrize("name", ["states-unknown", "states-down", "composed-empty"])
def test_no_detail(name):
    assert LSF.parse_detail(recorded("lsf", name)) is None


# -- commands ------------------------------------------------------------------------------------------------------


test_cancel = check_cancel(
    LSF,
    "bkill",
    [
        (["8"], ["8"]),
        (["7[1]"], ["7[1]"]),
        ([f"7[{index}]" for index in range(1, 501)], ["7[1-500]"]),
        (["7[9]", "7[2]", "8", "7[3]"], ["7[2-3,9]", "8"]),
    ],
)


def test_a_cancel_in_progress_is_no_failure():
    """The whole array is killed, though bkill's exit status is 255."""
    queue = RecordedCommands(LSF, recorded("lsf", "cancel-array"))
    asyncio.run(queue.cancel(["264[1]", "264[2]", "263"]))
    assert queue.asked == [["bkill", "264[1-2]", "263"]]


def test_one_question_for_all():
    fields = "jobid jobindex stat exit_code exit_reason pend_reason exec_host"
    assert LSF.query_argv(["7[1]", "7[2]", "8"]) == ["bjobs", "-a", "-json", "-o", fields, "7", "8"]
    assert LSF.find_argv("x", "alice") == ["bjobs", "-a", "-json", "-o", fields, "-u", "alice", "-J", "x"]


test_log_files = check_log_files(
    LSF,
    [
        ("12", None, ["./dask-12.out"]),
        ("12[3]", None, ["./dask-12-3.out"]),
        ("12", "/my logs", ["/my logs/dask-12.out"]),
        ("12[3]", "/my logs", ["/my logs/dask-12-3.out"]),
    ],
)
test_environment = check_environment(
    LSF,
    in_job={"LSB_JOBID": "7", "LSB_JOBINDEX": "1", "LSB_RESTART": "Y", "LS_SUBCWD": "/home"},
    stays={"PATH": "/bin", "LSF_ENVDIR": "/etc/lsf", "LSB_DEFAULTQUEUE": "q", "LSB_DEFAULTPROJECT": "p"},
    added={"LSB_NTRIES": "1"},
)


def test_how_often_to_try_is_the_users_own_wish():
    assert LSF.environment({"LSB_JOBID": "7", "LSB_NTRIES": "3"}) == {"LSB_NTRIES": "3"}


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


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({}, "/etc/lsf.conf"),
        ({"LSF_CONFDIR": "/conf"}, "/conf/lsf.conf"),
        ({"LSF_CONFDIR": "/conf", "LSF_ENVDIR": "/env"}, "/env/lsf.conf"),
    ],
)
def test_where_lsf_conf_is(environ, file):
    files = {file: "LSF_UNIT_FOR_LIMITS=MB"}
    assert LSF.settings(environ, lambda path: files.get(path, "")) == {"lsf_units": "mb"}


def test_no_lsf_conf(monkeypatch, tmp_path):
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path / "none"))
    assert "#BSUB -M 1048576\n" in job_script("lsf", **SMALL)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"job_name": "x[1-3]"}, "job_name"),
        ({"job_name": "a'b"}, "job_name"),
        ({"project": "a'b"}, "project=.* can't hold quotes or backslashes"),
        ({"queue": "a b"}, "queue='a b' can't hold spaces, quotes or backslashes"),
        ({"lsf_units": "bytes"}, "lsf_units='bytes' must be one of kb"),
        ({"mem": "much"}, "memory 'much'"),
        ({"mem": 16}, "did you mean '16 GB'"),
        ({"ncpus": 0}, "job_cpu|ncpus"),
        ({"use_stdin": "yes"}, "use_stdin must be True or False"),
        ({"walltime": "unlimited"}, "LSF has no word for that"),
    ],
)
def test_bad_keywords_are_reported_before_submission(keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        job_script("lsf", **SMALL, **keywords)


def test_a_project_may_hold_spaces():
    """As with dask-jobqueue."""
    assert '#BSUB -P "Dask On LSF"\n' in job_script("lsf", **SMALL, project="Dask On LSF")


def test_memory_is_reserved_once():
    """LSF merges what all -R say, and "a given load index cannot appear more than once" (its manual, rusage)."""
    text = job_script("lsf", **SMALL, job_extra=["-R rusage[ngpus=1, mem=16GB]"])
    assert [line for line in text.splitlines() if "-R" in line] == [
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -R rusage[ngpus=1, mem=16GB]",
    ]
    other = job_script("lsf", **SMALL, job_extra=["-R rusage[scratch=10]", "-R select[mem>10]"])
    assert '#BSUB -R "rusage[mem=1024] span[hosts=1]"\n' in other


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


test_spot = check_spot(LSF, "{queue: preemptable}", ["#BSUB -q preemptable", "#BSUB -r"])
test_settings = check_settings(LSF)
test_cluster_class = check_cluster_class(LSF, LSFCluster)


@pytest.mark.parametrize(("count", "name"), [(1, "dask-worker-t-0"), (12, '"dask-worker-t-0[1-12]"')])
def test_the_script_says_how_many_jobs_there_are(count, name):
    """bsub reads an array's size from nowhere else."""
    scripts = []

    class BatchSystem:
        dialect = LSF
        largest_array = LSF.largest_array

        async def submit(self, script, count):
            scripts.append(script)
            return LSF.parse_submit(recorded("lsf", "submit-id"), count)

    class Log:
        submitted = refused = lambda *_: None

        async def submitting(self, job_name):
            pass

    async def submit():
        queue = Submitter(BatchSystem(), lambda spec: render(spec, LSF), None, Log(), "t")
        spec = resolve(LSF, SMALL, settings.site(LSF), "C", "tcp://10.0.0.1:8786")
        records = [JobRecord(f"C-{number}", number, spec) for number in range(count)]
        queue.submit(records)
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
    text = script("lsf", **SMALL, first=0, count=4, job_directives_skip=["-J"])
    assert '#BSUB -J "dask-worker[1-4]"\n' in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


# -- what ends LSF's kin -------------------------------------------------------------------------------------------

GPUS = '#!/bin/sh\n#BSUB -J x\n#BSUB -gpu "num=1:mode=exclusive_process"\nhostname\n'


def version(words):
    return Reply(("bsub", "-V"), 0, err=words)


@pytest.mark.parametrize("words", ["openlava project 4.0, Jan 2017", "OpenLava 4.0, compatible with LSF 4.2", ""])
def test_gpus_are_refused_where_bsub_is_not_ibms(words):
    """openlava reads -gpu as the job group /pu, and its mbatchd dies: for everybody."""
    queue = RecordedCommands(LSF, version(words))
    with pytest.raises(Refused, match=r"only IBM's LSF has.*job_extra_directives="):
        asyncio.run(queue.submit(GPUS, 1))
    assert queue.asked == [["bsub", "-V"]], "nothing was submitted"


@pytest.mark.parametrize(
    "words", ["IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021", "Platform LSF 9.1.3.0, Jul 2015"]
)
def test_gpus_go_to_ibms_and_the_version_is_asked_for_once(words):
    queue = RecordedCommands(LSF, version(words), *[recorded("lsf", "submit-id")] * 3)
    for text in (GPUS, GPUS, "#!/bin/sh\n"):
        asyncio.run(queue.submit(text, 1))
    assert [argv[:2] for argv in queue.asked] == [["bsub", "-V"], *[["bsub", "<"]] * 3]


def test_no_version_is_asked_for_without_gpus():
    queue = RecordedCommands(LSF, recorded("lsf", "submit-id"))
    asyncio.run(queue.submit("#!/bin/sh\n#BSUB -g /pu\n# -gpu\n", 1))
    assert [argv[0] for argv in queue.asked] == ["bsub"]


def test_gpus_wait_for_a_version_that_does_not_come():
    queue = RecordedCommands(LSF, Reply(("bsub", "-V"), None))
    with pytest.raises(Unavailable):
        asyncio.run(queue.submit(GPUS, 1))


def test_a_reply_may_be_indented():
    assert LSF.parse_submit(
        Reply(("bsub",), 0, "Charged to lab\n  Job <16633929> is submitted to queue <q>.\n"), 1
    ) == ["16633929"]


@pytest.mark.parametrize("name", ["-x", " x"])
def test_names_that_bjobs_would_take_for_something_else(name):
    with pytest.raises(InvalidRequest, match="begins with neither space nor -"):
        job_script("lsf", **SMALL, job_name=name)


def test_detail_heeds_no_words_of_the_script():
    """bjobs -l prints the script's text as the command."""
    reply = recorded("lsf", "detail-done")
    script = "echo hi;echo Exited with exit code 3;echo TERM_OWNER: started on <evil>;"
    assert LSF.parse_detail(replace(reply, out=reply.out.replace("echo hi;", script))) == LSF.parse_detail(reply)


def test_what_was_killed_waits_for_nothing():
    """Recorded of openlava, with its script in the command."""
    status = LSF.parse_detail(recorded("lsf", "detail-killed-running"))
    assert (status.state, status.signal, status.node) == (JobState.FAILED, 15, "h-lsf")
