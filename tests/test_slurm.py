"""SLURM's dialect on replies in tests/replies/slurm/, as SLURM 22.05 gives them.

``submit-*`` and ``*-gone`` were recorded; ``states-*`` and ``detail-*`` hold recorded values in the format that we ask
for; quota lines, greetings and ``states-ugly`` are what sites' wrappers and newer versions may add.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from jobclusters.dialect import Reply
from jobclusters.dialects.slurm import Slurm
from jobclusters.errors import QueueError, Refused, SubmitLimit, Unavailable
from jobclusters.state import JobState, JobStatus

REPLIES = Path(__file__).parent / "replies" / "slurm"
SLURM = Slurm()


def recorded(name: str) -> Reply:
    """Read a reply: its first line is ``$ command``, its last ``rc=``; lines of stderr begin with ``ERR|``."""
    first, *lines, last = (REPLIES / f"{name}.txt").read_text().splitlines()
    err = "\n".join(line.removeprefix("ERR|") for line in lines if line.startswith("ERR|"))
    out = "\n".join(line for line in lines if not line.startswith("ERR|"))
    status = last.removeprefix("rc=")
    return Reply(tuple(first.removeprefix("$ ").split()), None if status == "timeout" else int(status), out, err)


@pytest.mark.parametrize(
    ("name", "count", "ids"),
    [
        ("submit-id", 1, ["77"]),
        ("submit-id", 3, ["77_0", "77_1", "77_2"]),
        ("submit-id-cluster", 1, ["77"]),
        ("submit-id-cluster", 2, ["77_0", "77_1"]),
        ("submit-quota-line", 1, ["1862"]),
        ("submit-quota-line", 2, ["1862_0", "1862_1"]),
        ("submit-greeting-on-stderr", 1, ["1862"]),
    ],
)
def test_ids(name, count, ids):
    assert SLURM.parse_submit(recorded(name), count) == ids


@pytest.mark.parametrize(
    ("name", "error", "words"),
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
        ("submit-munge", Unavailable, "authentication credential"),
        ("submit-hung", Unavailable, "did not answer in time"),
        ("submit-nothing", Unavailable, "no job id"),
        ("submit-quota-only", Unavailable, "no job id"),
    ],
)
def test_no_ids(name, error, words):
    """Refused is sure to have made no job; after Unavailable there may be one."""
    with pytest.raises(QueueError, match=words) as caught:
        SLURM.parse_submit(recorded(name), 2)
    assert type(caught.value) is error


def test_a_refusal_says_what_was_called_and_what_came_back():
    assert str(SLURM.failure(recorded("submit-partition"))) == (
        "sbatch --parsable failed with exit status 1: sbatch: error: invalid partition specified: nosuch\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
    assert str(SLURM.failure(Reply(("sbatch",), 1))) == "sbatch failed with exit status 1 and said nothing"


def test_an_array_that_is_too_large_can_be_told_from_other_refusals():
    said = {name: str(SLURM.failure(recorded(name))) for name in ("submit-array-too-large", "submit-partition")}
    told = [name for name, text in said.items() if any(words in text for words in SLURM.array_words)]
    assert told == ["submit-array-too-large"]


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{time}")


PENDING, RUNNING = JobState.PENDING, JobState.RUNNING


@pytest.mark.parametrize(
    ("name", "states"),
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
def test_states(name, states):
    assert SLURM.parse_states(recorded(name)) == states


@pytest.mark.parametrize("name", ["states-socket-timeout", "states-refused-connection"])
def test_no_answer_is_no_information(name):
    with pytest.raises(Unavailable):
        SLURM.parse_states(recorded(name))


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
        ("CONFIGURING", JobState.PENDING),
        ("REQUEUE_HOLD", JobState.PENDING),
        ("SUSPENDED", JobState.RUNNING),
        ("STAGE_OUT", JobState.RUNNING),
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
    assert SLURM.parse_detail(recorded(name)) == status


def test_detail_counts_requeues():
    detail = SLURM.parse_detail(recorded("detail-requeued"))
    assert (detail.state, detail.reason, detail.restarts) == (PENDING, "BeginTime", 1)


def test_detail_of_a_pending_job_has_no_start_but_an_estimate():
    detail = SLURM.parse_detail(recorded("detail-requeued"))
    assert (detail.started, detail.ended) == (None, None)
    assert detail.estimated_start == datetime(2026, 11, 21, 7, 44, 42)


def test_detail_keeps_a_reason_with_spaces():
    detail = SLURM.parse_detail(recorded("detail-reason-with-spaces"))
    assert detail.reason == "ReqNodeNotAvail, UnavailableNodes:c3"


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["8"], ["8"]),
        (["8", "9"], ["8", "9"]),
        (["7_0"], ["7_[0]"]),
        ([f"7_{index}" for index in range(500)], ["7_[0-499]"]),
        (["7_9", "7_2", "8", "7_0", "7_1"], ["7_[0-2,9]", "8"]),
        (["7_10", "7_9", "6_9"], ["7_[9-10]", "6_[9]"]),
    ],
)
def test_cancel_in_ranges(ids, words):
    assert SLURM.cancel_argv(ids) == ["scancel", *words]


def test_one_question_for_all():
    argv = SLURM.query_argv(["7_0", "7_1", "8", "7_2"])
    assert (argv[0], argv[-2:]) == ("squeue", ["-j", "7,8"])
    assert {"-h", "-r"} <= set(argv), "a header is no job, and pending elements stand in lines of their own"
    assert argv[argv.index("-t") + 1] == "all", "or finished jobs would look like lost ones"


def test_find_asks_by_name():
    assert SLURM.find_argv("dask-worker-x1-0")[-2:] == ["--name", "dask-worker-x1-0"]


@pytest.mark.parametrize(
    ("count", "argv"),
    [(1, ["sbatch", "--parsable"]), (2, ["sbatch", "--parsable", "--array=0-1"])],
)
def test_submit(count, argv):
    assert SLURM.submit_argv(count) == argv


@pytest.mark.parametrize(
    ("directory", "files"),
    [
        (None, ["slurm-12_3.out"]),
        ("/my logs", ["/my logs/dask-12_3.err", "/my logs/dask-12_3.out"]),
    ],
)
def test_log_files(directory, files):
    assert SLURM.log_files("12_3", directory, "dask") == files


IN_JOB = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", "SBATCH_PARTITION": "p", "SLURM_MEM_PER_NODE": "1"}
STAYS = {"PATH": "/bin", "SLURM_CONF": "/etc/s.conf", "MY_SLURM_X": "1"}


@pytest.mark.parametrize(
    ("environ", "left"),
    [
        ({**STAYS, **IN_JOB}, STAYS),
        # Outside of a job these are the user's own wishes.
        ({**STAYS, "SBATCH_ACCOUNT": "mine"}, {**STAYS, "SBATCH_ACCOUNT": "mine"}),
        ({**STAYS, "SLURM_CLUSTERS": "c"}, {**STAYS, "SLURM_CLUSTERS": "c"}),
        ({}, {}),
    ],
)
def test_a_surrounding_job_does_not_leak(environ, left):
    assert SLURM.environment(environ) == left


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
