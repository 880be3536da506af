"""SLURM's dialect on replies in tests/replies/slurm/, as SLURM 22.05 gives them, and newer ones in folders of their own.

``submit-*`` and ``*-gone`` were recorded; ``states-*`` and ``detail-*`` hold recorded values in the format that we ask
for; quota lines, greetings and ``states-ugly`` are what sites' wrappers and newer versions may add.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from jobclusters import SLURMCluster
from jobclusters.dialects.base import Reply
from jobclusters.dialects.slurm import Slurm
from jobclusters.errors import Refused, SubmitLimit, Unavailable
from jobclusters.state import JobState, JobStatus
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

SLURM = Slurm()

test_submit = check_submit(SLURM, (1, ["sbatch", "--parsable"]), (2, ["sbatch", "--parsable", "--array=0-1"]))
test_ids = check_ids(
    SLURM,
    [
        ("submit-id", 1, ["77"]),
        ("submit-id", 3, ["77_0", "77_1", "77_2"]),
        ("submit-id-cluster", 1, ["77;cluster1"]),
        ("submit-id-cluster", 2, ["77_0;cluster1", "77_1;cluster1"]),
        ("submit-quota-line", 1, ["1862"]),
        ("submit-quota-line", 2, ["1862_0", "1862_1"]),
        ("submit-greeting-on-stderr", 1, ["1862"]),
    ],
)
test_refusals = check_refusals(
    SLURM,
    [
        ("submit-partition", Refused, "Invalid partition name specified"),
        ("submit-memory", Refused, "Memory specification can not be satisfied"),
        ("submit-gres", Refused, "Invalid generic resource"),
        ("submit-qos", Refused, "Invalid qos specification"),
        ("submit-account", Refused, "Invalid account"),
        ("submit-option", Refused, "unrecognized option"),
        ("submit-array-too-large", Refused, "Invalid job array specification"),
        ("submit-limit", SubmitLimit, "QOSMaxSubmitJobPerUserLimit"),
        ("submit-limit-association", SubmitLimit, "AssocGrpSubmitJobsLimit"),
        ("submit-socket-timeout", Unavailable, "Socket timed out"),
        ("submit-unresolvable", Unavailable, "No error"),
        ("submit-refused-connection", Unavailable, "Unable to contact slurm controller"),
        ("submit-munge", Unavailable, "Protocol authentication error"),
        ("24.11/submit-cores", Refused, "node configuration is not available"),
        ("24.11/stopped-submit", Unavailable, "Unable to contact slurm controller"),
        ("submit-hung", Unavailable, "did not answer in time"),
        ("submit-nothing", Unavailable, "no job id"),
        ("submit-quota-only", Unavailable, "no job id"),
    ],
)
test_array_refusals = check_array_refusals(SLURM, ["submit-array-too-large"], ["submit-partition", "submit-limit"])


# No two of these share a word that is looked for.
test_words_of_an_outage = check_outages(
    SLURM,
    [
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Connection refused",
        "sbatch: error: Batch job submission failed: Connection timed out",
        "sbatch: error: Batch job submission failed: No error",
        "sbatch: error: Batch job submission failed: Communication connection failure",
        "sbatch: error: Zero Bytes were transmitted or received",
        "sbatch: error: Batch job submission failed: Invalid authentication credential",
        "sbatch: error: Batch job submission failed: Protocol authentication error",
        "sbatch: error: slurm_persist_conn_open_without_init: failed to open persistent connection",
        "sbatch: error: Resource temporarily unavailable",
        "slurm_load_jobs error: Transport endpoint is not connected",
        "sbatch: error: the backup controller is in standby mode",
        "sbatch: error: controller not responding",
    ],
)


@pytest.mark.parametrize(
    ("printed", "ids"),
    [
        ("Submitted batch job 60060368\n", ["60060368"]),
        ("Submitted batch job 60060368 on cluster slaking\n", ["60060368;slaking"]),
        ("\x1b[32m519605\x1b[0m\n", ["519605"]),
        ("519605\r\n", ["519605"]),
    ],
)
def test_what_wrappers_print(printed, ids):
    assert SLURM.parse_submit(Reply(("sbatch",), 0, printed), 1) == ids


def test_what_a_site_prints_behind_the_id_is_no_id():
    reply = recorded("slurm", "submit-quota-line")
    assert SLURM.parse_submit(replace(reply, out="1862\n12 of 15 projects active\n"), 1) == ["1862"]


def test_a_refusal_says_what_was_called_and_what_came_back():
    assert str(SLURM.failure(recorded("slurm", "submit-partition"))) == (
        "sbatch --parsable failed with exit status 1: sbatch: error: invalid partition specified: nosuch\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
    assert str(SLURM.failure(Reply(("sbatch",), 1))) == "sbatch failed with exit status 1 and printed nothing"


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{time}")


PENDING, RUNNING = JobState.PENDING, JobState.RUNNING


test_states = check_states(
    SLURM,
    [
        ("states-empty", {}),
        ("states-header-only", {}),
        ("states-gone", {}),
        ("states-gone-among-several", {}),
        (
            "states-mixed",
            {
                "21": JobStatus(PENDING, reason="BeginTime", submitted=at("07:42:34"), estimated_start=at("07:44:42")),
                "22": JobStatus(
                    PENDING,
                    reason="ReqNodeNotAvail, UnavailableNodes:c3",
                    submitted=at("07:42:35"),
                    estimated_start=at("07:42:37"),
                ),
                "23": JobStatus(PENDING, reason="Resources", submitted=at("07:42:36")),
                "24": JobStatus(RUNNING, node="c3", submitted=at("07:42:37"), started=at("07:42:38")),
                "16": JobStatus(
                    JobState.CANCELLED,
                    node="c1",
                    submitted=at("07:42:15"),
                    started=at("07:42:16"),
                    ended=at("07:42:22"),
                ),
                "20": JobStatus(
                    JobState.CANCELLED,
                    reason="JobHeldUser",
                    submitted=at("07:42:32"),
                    started=at("07:42:33"),
                    ended=at("07:42:33"),
                ),
            },
        ),
        (
            "states-array",
            {
                "1862_0": JobStatus(JobState.COMPLETING, node="c1", submitted=at("08:00:00"), started=at("08:00:01")),
                "1862_1": JobStatus(RUNNING, node="c2", submitted=at("08:00:00"), started=at("08:00:01")),
                "1862_2": JobStatus(PENDING, reason="JobArrayTaskLimit", submitted=at("08:00:00")),
                "1862_10": JobStatus(PENDING, reason="JobArrayTaskLimit", submitted=at("08:00:00")),
            },
        ),
        (
            "states-ugly",
            {
                "31": JobStatus(JobState.UNKNOWN, submitted=at("08:00:00"), started=at("08:00:01"), node="c1"),
                "32": JobStatus(PENDING, reason="(held | by admin), until | noon", submitted=at("08:00:00")),
                "33": JobStatus(RUNNING, node="c[1-2]", submitted=at("08:00:00"), started=at("08:00:01")),
            },
        ),
    ],
)
test_no_information = check_no_information(SLURM, ["states-socket-timeout", "states-refused-connection"])


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("COMPLETED", JobState.COMPLETED),
        ("FAILED", JobState.FAILED),
        ("TIMEOUT", JobState.TIMEOUT),
        ("DEADLINE", JobState.TIMEOUT),
        ("NODE_FAIL", JobState.NODE_FAIL),
        ("BOOT_FAIL", JobState.NODE_FAIL),
        ("PREEMPTED", JobState.PREEMPTED),
        ("OUT_OF_MEMORY", JobState.OUT_OF_MEMORY),
        ("CANCELLED", JobState.CANCELLED),
        ("REVOKED", JobState.CANCELLED),
        ("PENDING", JobState.PENDING),
        ("CONFIGURING", JobState.PENDING),
        ("REQUEUED", JobState.PENDING),
        ("REQUEUE_FED", JobState.PENDING),
        ("REQUEUE_HOLD", JobState.PENDING),
        ("EXPEDITING", JobState.PENDING),
        ("SPECIAL_EXIT", JobState.PENDING),
        ("RESV_DEL_HOLD", JobState.PENDING),
        ("RUNNING", JobState.RUNNING),
        ("SUSPENDED", JobState.RUNNING),
        ("STOPPED", JobState.RUNNING),
        ("SIGNALING", JobState.RUNNING),
        ("RESIZING", JobState.RUNNING),
        ("STAGE_OUT", JobState.RUNNING),
        ("COMPLETING", JobState.COMPLETING),
        ("SOME_NEW_STATE", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_state_words(word, state):
    (status,) = SLURM.parse_states(Reply((), 0, f"7|N/A|{word}|c1|N/A|N/A|N/A|None\n")).values()
    assert status == JobStatus(state, node="c1")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (
            "detail-failed",
            JobStatus(
                JobState.FAILED,
                reason="NonZeroExitCode",
                exit_code=127,
                node="c1",
                submitted=at("08:10:00"),
                started=at("08:10:01"),
                ended=at("08:10:02"),
            ),
        ),
        (
            "detail-log-directory",
            JobStatus(
                JobState.FAILED,
                reason="NonZeroExitCode",
                exit_code=0,
                signal=53,
                node="c2",
                submitted=at("08:11:00"),
                started=at("08:11:01"),
                ended=at("08:11:01"),
            ),
        ),
        ("detail-gone", None),
        ("detail-empty", None),
        ("detail-hung", None),
    ],
)
def test_detail(name, status):
    assert SLURM.parse_detail(recorded("slurm", name)) == status


@pytest.mark.parametrize(
    ("old", "new", "state", "exit_code", "signal", "node", "reason"),
    [
        ("", "", JobState.FAILED, 127, None, "c1", "NonZeroExitCode"),
        ("Reason=NonZeroExitCode", "Reason=None", JobState.FAILED, 127, None, "c1", ""),
        ("BatchHost=c1", "BatchHost=c9", JobState.FAILED, 127, None, "c9", "NonZeroExitCode"),
        ("BatchHost=c1", "", JobState.FAILED, 127, None, "c1", "NonZeroExitCode"),
        ("JobState=FAILED", "JobState=TIMEOUT", JobState.TIMEOUT, None, None, "c1", "NonZeroExitCode"),
        ("ExitCode=127:0", "ExitCode=0:9", JobState.FAILED, 0, 9, "c1", "NonZeroExitCode"),
        ("ExitCode=127:0", "", JobState.FAILED, 0, None, "c1", "NonZeroExitCode"),
    ],
)
def test_fields_of_detail(old, new, state, exit_code, signal, node, reason):
    reply = recorded("slurm", "detail-failed")
    assert old in reply.out
    detail = SLURM.parse_detail(replace(reply, out=reply.out.replace(old, new)))
    found = (detail.state, detail.exit_code, detail.signal, detail.node, detail.reason, detail.restarts)
    assert found == (state, exit_code, signal, node, reason, 0)


@pytest.mark.parametrize("word", ["(null)", "n/a", "None assigned", ""])
def test_no_node(word):
    (status,) = SLURM.parse_states(Reply((), 0, f"7|N/A|PENDING|{word}|N/A|N/A|N/A|None\n")).values()
    assert status.node == ""


def test_detail_counts_requeues():
    detail = SLURM.parse_detail(recorded("slurm", "detail-requeued"))
    assert (detail.state, detail.reason, detail.restarts) == (PENDING, "BeginTime", 1)


def test_detail_of_a_pending_job_has_no_start_but_an_estimate():
    detail = SLURM.parse_detail(recorded("slurm", "detail-requeued"))
    assert (detail.started, detail.ended) == (None, None)
    assert detail.estimated_start == datetime(2026, 11, 21, 7, 44, 42)


def test_detail_heeds_no_free_text():
    """Comments and command lines follow the fields; newer versions print spaces as they are."""
    reply = recorded("slurm", "detail-failed")
    text = f"{reply.out.rstrip()} Comment=try Restarts=none JobState=RUNNING ExitCode=a:b Reason=none\n"
    assert SLURM.parse_detail(replace(reply, out=text)) == SLURM.parse_detail(reply)
    assert SLURM.parse_detail(replace(reply, out="JobState=FAILED ExitCode=none Restarts=many")).restarts == 0


def test_detail_keeps_a_reason_with_spaces():
    detail = SLURM.parse_detail(recorded("slurm", "detail-reason-with-spaces"))
    assert detail.reason == "ReqNodeNotAvail, UnavailableNodes:c3"


@pytest.mark.parametrize(
    ("name", "status", "meaning"),
    [
        ("24.11/detail-killed", "FAILED RaisedSignal:9(Killed)", "a signal ended it"),
        (
            "24.11/detail-log-directory",
            "FAILED RaisedSignal:53(Real-time signal 19)",
            "its output file or its directories can't be used on the node",
        ),
        ("24.11/detail-special-exit", "PENDING job requeued in held state", "held since it was requeued"),
        (
            "26.05/detail-expediting",
            "PENDING Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            "all nodes that it could use are down or reserved",
        ),
    ],
)
def test_newer_ones_write_reasons_with_underscores(name, status, meaning):
    detail = SLURM.parse_detail(recorded("slurm", name))
    assert f"{detail.state.name} {detail.reason}" == status
    assert detail.meaning == meaning


def test_reasons_are_the_same_in_the_list_and_in_detail():
    listed = SLURM.parse_states(recorded("slurm", "24.11/states-mixed"))
    for job_id, name in (("43", "24.11/detail-killed"), ("45", "24.11/detail-log-directory")):
        detail = SLURM.parse_detail(recorded("slurm", name))
        assert (listed[job_id].reason, listed[job_id].meaning) == (detail.reason, detail.meaning)


def test_what_a_command_line_holds_is_no_field():
    reply = recorded("slurm", "26.05/detail-killed")
    line = "SubmitLine=sbatch --parsable"
    assert line in reply.out
    out = reply.out.replace(
        line, f"{line} --comment=JobState=RUNNING ExitCode=7:0 Reason=no EndTime=Unknown BatchHost=c9"
    )
    assert SLURM.parse_detail(replace(reply, out=out)) == SLURM.parse_detail(reply)
    assert SLURM.parse_detail(reply).state is JobState.FAILED


test_cancel = check_cancel(
    SLURM,
    "scancel",
    [
        (["8"], ["8"]),
        (["8", "9"], ["8", "9"]),
        (["7_0"], ["7_[0]"]),
        ([f"7_{index}" for index in range(500)], ["7_[0-499]"]),
        (["7_9", "7_2", "8", "7_0", "7_1"], ["7_[0-2,9]", "8"]),
        (["7_10", "7_9", "6_9"], ["7_[9-10]", "6_[9]"]),
    ],
)


def test_one_question_for_all():
    argv = SLURM.query_argv(["7_0", "7_1", "8", "7_2"])
    assert (argv[0], argv[-2:]) == ("squeue", ["-j", "7,8"])
    assert {"-h", "-r"} <= set(argv), "a header is no job, and pending elements have lines of their own"
    assert argv[argv.index("-t") + 1] == "all", "or finished jobs would look like lost ones"
    assert argv[argv.index("-o") + 1] == "%F|%K|%T|%N|%V|%S|%e|%r", "as the replies here were recorded"


def test_find_asks_by_name_and_user_and_sees_hidden_partitions():
    """Others may use the name, too. Without -a, squeue shows no job of a hidden partition by its name."""
    argv = SLURM.find_argv("dask-worker-x1-0", "alice")
    assert argv == ["squeue", "-a", *SLURM.query_argv(["7"])[1:-2], "-u", "alice", "--name", "dask-worker-x1-0"]


# -- several clusters ----------------------------------------------------------------------------------------------

LINE = "{}|{}|RUNNING|c1|2026-11-21T08:00:00|2026-11-21T08:00:01|N/A|None\n"


@pytest.mark.parametrize(
    ("script", "clusters"),
    [
        ("#SBATCH --clusters=b\n", ("b",)),
        ("#SBATCH --partition=p\n#SBATCH -M a,b\n", ("a", "b")),
        ("#SBATCH -Mb\n", ("b",)),
        ("#SBATCH --partition=p\n", ()),
        ("#SBATCH --mail-user=-M\n", ()),
    ],
)
def test_clusters_that_a_script_asks_for(script, clusters):
    assert SLURM.other_clusters(script, {}) == clusters
    assert SLURM.other_clusters(script, {"SBATCH_CLUSTERS": "c,d"}) == (clusters or ("c", "d"))


def test_a_cluster_goes_with_every_question_and_cancel():
    ids = ["7_0;b", "7_1;b", "7_0", "8;c"]
    queue = RecordedCommands(
        SLURM, *(Reply(("squeue", *where), 0, LINE.format(7, 0)) for where in (("-M", "b"), (), ("-M", "c")))
    )
    assert list(asyncio.run(queue.states(ids))) == ["7_0;b", "7_0", "7_0;c"], "the number is a job on each"
    assert [argv[:3] for argv in queue.asked] == [["squeue", "-M", "b"], ["squeue", "-h", "-r"], ["squeue", "-M", "c"]]
    assert [argv[-1] for argv in queue.asked] == ["7", "7", "8"]
    assert SLURM.cancel_argvs(ids, {}) == [
        ["scancel", "-M", "b", "7_[0-1]"],
        ["scancel", "7_[0]"],
        ["scancel", "-M", "c", "8"],
    ]
    assert SLURM.detail_argv("7_1;b") == ["scontrol", "-M", "b", "-o", "show", "job", "7_1"]
    assert SLURM.log_files("7_1;b", None, "dask") == ["slurm-7_1.out"]


def test_a_lost_submission_is_looked_for_on_the_cluster_that_its_script_names():
    queue = RecordedCommands(SLURM, Reply(("sbatch",), None), Reply(("squeue", "-M", "b"), 0, LINE.format(7, "N/A")))
    with pytest.raises(Unavailable):
        asyncio.run(queue.submit("#SBATCH --clusters=b\n", 1))
    assert list(asyncio.run(queue.find("dask-x"))) == ["7;b"]
    assert queue.asked[1][:3] == ["squeue", "-M", "b"]


def test_a_janitor_looks_on_all_clusters_if_the_usual_one_knows_nothing():
    everywhere = f"CLUSTER: a\nARRAY_JOB_ID|STATE\n\nCLUSTER: b\nARRAY_JOB_ID|STATE\n{LINE.format(7, 0)}"
    queue = RecordedCommands(SLURM, Reply(("squeue",), 0), Reply(("squeue", "-M", "all"), 0, everywhere))
    assert list(asyncio.run(queue.find("dask-x"))) == ["7_0;b"]
    queue = RecordedCommands(SLURM, Reply(("squeue",), 0), recorded("slurm", "submit-partition"))
    assert asyncio.run(queue.find("dask-x")) == {}, "where there is no list of clusters there are no others"


# -- words of an outage --------------------------------------------------------------------------------------------


def test_an_outage_that_ends_with_0_is_no_answer():
    """As squeue does it where its controller can't be reached, with nothing printed; a greeting is no error."""
    for words in (
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "squeue: error: rate limit exceeded",
    ):
        with pytest.raises(Unavailable, match="exit status 0"):
            SLURM.parse_states(Reply(("squeue",), 0, err=words))
    assert SLURM.parse_states(Reply(("squeue",), 0, err="Welcome to Example3. Errors go to the help desk.")) == {}
    reply = Reply(("squeue",), 0, LINE.format(7, "N/A"), "squeue: error: no such plugin")
    assert list(SLURM.parse_states(reply)) == ["7"]


def test_detail_of_one_element():
    assert SLURM.detail_argv("7_3") == ["scontrol", "-o", "show", "job", "7_3"]


test_log_files = check_log_files(
    SLURM,
    [
        ("12_3", None, ["slurm-12_3.out"]),
        ("12_3", "/my logs", ["/my logs/dask-12_3.err", "/my logs/dask-12_3.out"]),
    ],
)
test_environment = check_environment(
    SLURM,
    in_job={"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", "SBATCH_CPU_BIND": "q", "SLURM_MEM_PER_NODE": "1"},
    stays={
        "PATH": "/bin",
        "SLURM_CONF": "/etc/s.conf",
        "SLURM_CONF_SERVER": "s",
        "SLURM_CLUSTERS": "b",
        "SBATCH_ACCOUNT": "a",
        "SBATCH_RESERVATION": "r",
        "MY_SLURM_X": "1",
        "MY_SQUEUE_PARTITION": "debug",
    },
    misleads={
        "SQUEUE_PARTITION": "debug",
        "SQUEUE_USERS": "bob",
        "SCANCEL_INTERACTIVE": "1",
        "SCONTROL_ALL": "1",
        "SINFO_PARTITION": "debug",
        "SLURM_TIME_FORMAT": "relative",
    },
    forbids={"SBATCH_WAIT": "1", "SBATCH_ARRAY_INX": "1-4"},
)


@pytest.mark.parametrize(
    ("directive", "gone"),
    [
        ("--partition=p", {"SBATCH_PARTITION"}),
        ("-p p", {"SBATCH_PARTITION"}),
        ("--job-name=dask", {"SBATCH_JOB_NAME"}),
        ("--time=00:10:00", {"SBATCH_TIMELIMIT"}),
        ("--mem=1G", {"SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU"}),
        ("--requeue", {"SBATCH_NO_REQUEUE"}),
        ("--gpus-per-node=2", {"SBATCH_GPUS"}),
        ("--clusters=b", {"SLURM_CLUSTERS"}),
        ("--exclude=n1", set()),
    ],
)
def test_what_a_script_says_wins(directive, gone):
    """sbatch's variables win over directives, and modules set them."""
    names = ["PARTITION", "JOB_NAME", "TIMELIMIT", "MEM_PER_NODE", "MEM_PER_CPU", "NO_REQUEUE", "GPUS", "ACCOUNT"]
    environ = dict.fromkeys(["SLURM_CLUSTERS", *(f"SBATCH_{name}" for name in names)], "x")
    assert environ.keys() - SLURM.environment(environ, f"#!/bin/sh\n#SBATCH {directive}\n").keys() == gone


test_spot = check_spot(
    SLURM, "{queue: spot, qos: low}", ["#SBATCH --partition=spot", "#SBATCH --qos=low", "#SBATCH --requeue"]
)
test_settings = check_settings(SLURM)
test_cluster_class = check_cluster_class(SLURM, SLURMCluster)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "waits for free nodes"),
        ("QOSMaxCpuPerUserLimit", "you use as much as this quality of service allows"),
        ("ReqNodeNotAvail, UnavailableNodes:c3", "a node that it needs is down or reserved"),
        ("SomethingNew", ""),
    ],
)
def test_reasons_in_plain_words(reason, words):
    reply = Reply(("squeue",), 0, f"7|N/A|PENDING||2030-01-01T00:00:00|2030-01-01T09:30:00|N/A|{reason}\n")
    status = SLURM.parse_states(reply)["7"]
    assert status.meaning == words
    assert "expected to start at 2030-01-01 09:30" in status.sentence()
