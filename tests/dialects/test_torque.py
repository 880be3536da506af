"""TORQUE's differences from PBS, on replies in tests/replies/torque/, as TORQUE 6 gives them.

Of long replies some jobs, and attributes that no parser reads, were left out.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime

import pytest

from jobclusters import TORQUECluster, job_script
from jobclusters.config import settings as config
from jobclusters.dialects.base import Reply
from jobclusters.dialects.torque import Torque
from jobclusters.errors import Refused, SubmitLimit, Unavailable
from jobclusters.state import JobState, JobStatus
from tests.helpers.recorded import (
    RecordedCommands,
    check_array_refusals,
    check_cancel,
    check_cluster_class,
    check_ids,
    check_log_files,
    check_no_information,
    check_refusals,
    check_settings,
    check_spot,
    check_states,
    check_submit,
    recorded,
)

TORQUE = Torque()
SMALL = {"cores": 1, "memory": "1 GB"}
RUNNING, PENDING, CANCELLED, FAILED = JobState.RUNNING, JobState.PENDING, JobState.CANCELLED, JobState.FAILED

test_submit = check_submit(TORQUE, (1, ["qsub"]), (2, ["qsub", "-t", "0-1"]), (500, ["qsub", "-t", "0-499"]))
test_ids = check_ids(TORQUE, [("submit-array", 2, ["2[0].torquehost", "2[1].torquehost"])])
test_refusals = check_refusals(
    TORQUE,
    [
        ("submit-queue", Refused, "Unknown queue"),
        ("submit-disabled", Refused, "Queue is not enabled"),
        ("submit-limits", Refused, "cannot satisfy queue max walltime requirement"),
        ("submit-walltime", Refused, "Illegal attribute or resource value for Resource_List.walltime"),
        ("submit-resource", Refused, "cannot locate feasible nodes"),
        ("submit-resource-unknown", Refused, "Unknown resource type  Resource_List.bogus"),
        ("submit-array-too-large", Refused, "Requested array size too large, limit is 5"),
        ("submit-limit-user", SubmitLimit, "Maximum number of jobs already in queue for user"),
        ("submit-limit-queue", SubmitLimit, "Maximum number of jobs already in queue"),
        ("submit-down", Unavailable, "Connection refused"),
        ("submit-down-auth", Unavailable, "could not connect to trqauthd"),
    ],
)
test_array_refusals = check_array_refusals(TORQUE, ["submit-array-too-large"], ["submit-limits", "submit-limit-user"])


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{time}")


test_states = check_states(
    TORQUE,
    [
        ("states-none", {}),
        ("states-unknown", {}),
        (
            "states-array",  # [1] was deleted before it ran
            {
                "2[0].torquehost": JobStatus(
                    PENDING,
                    reason="Not Running: Not enough of the right type of nodes are available",
                    submitted=at("12:24:36"),
                ),
                "2[1].torquehost": JobStatus(CANCELLED, submitted=at("12:24:36")),
                "2[8].torquehost": JobStatus(RUNNING, node="torquehost", submitted=at("12:24:36")),
                "2[10].torquehost": JobStatus(RUNNING, node="torquehost", submitted=at("12:24:36")),
            },
        ),
        ("states-some-unknown", {"2[8].torquehost": JobStatus(RUNNING, node="torquehost", submitted=at("12:24:36"))}),
    ],
)
test_no_information = check_no_information(
    TORQUE,
    ["states-down", "states-down-auth", Reply(("qstat",), 2, err="usage: qstat"), Reply(("qstat",), 0, "<Data/>")],
)


@pytest.mark.parametrize(
    ("job_id", "state", "exit_code", "signal"),
    [
        ("3", JobState.COMPLETED, 0, None),
        ("4", FAILED, 7, None),
        ("6", FAILED, None, 15),
        ("7", FAILED, None, 9),
        ("8", JobState.TIMEOUT, None, None),
        ("10", CANCELLED, None, None),  # before it ran
        ("11", CANCELLED, None, 15),
        ("14", JobState.TIMEOUT, None, None),  # of CPU time
    ],
)
def test_endings(job_id, state, exit_code, signal):
    status = TORQUE.parse_states(recorded("torque", "states-endings"))[f"{job_id}.torquehost"]
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


def test_when_a_job_ran():
    status = TORQUE.parse_states(recorded("torque", "states-endings"))["8.torquehost"]
    assert (status.started, status.ended) == (at("12:25:53"), at("12:26:41"))


def test_a_job_that_torque_ends_for_its_memory():
    """Not recorded: its manual has the number."""
    reply = recorded("torque", "states-endings")
    changed = replace(reply, out=reply.out.replace("exit_status = -11", "exit_status = -10"))
    assert TORQUE.parse_states(changed)["8.torquehost"].state is JobState.OUT_OF_MEMORY


@pytest.mark.parametrize(("word", "state"), [("E", JobState.COMPLETING), ("H", PENDING), ("?", JobState.UNKNOWN)])
def test_states_that_were_too_short_to_record(word, state):
    reply = recorded("torque", "states-array")
    changed = replace(reply, out=reply.out.replace("job_state = R", f"job_state = {word}"))
    assert TORQUE.parse_states(changed)["2[8].torquehost"].state is state


def test_reruns_are_counted_and_their_last_start_is_no_reason_to_wait():
    replies = [recorded("torque", f"states-{name}") for name in ("requeued", "rerunning")]
    found = [TORQUE.parse_states(reply)["16.torquehost"] for reply in replies]
    assert [(status.state, status.reason, status.restarts) for status in found] == [(PENDING, "", 1), (RUNNING, "", 1)]


def owned(reply, owner="alice@torquehost"):
    """Give a reply with owners, which were left out when it was recorded."""
    return replace(reply, out=re.sub(r"(    Job_Name = .*\n)", rf"\1    Job_Owner = {owner}\n", reply.out))


def test_find_takes_elements_and_nobody_elses():
    found = TORQUE.parse_find(owned(recorded("torque", "find")), "dask-worker", "alice")
    assert list(found) == ["0.torquehost", "2[0].torquehost", "2[10].torquehost"]
    assert TORQUE.parse_find(owned(recorded("torque", "find")), "dask", "alice") == {}
    assert TORQUE.parse_find(owned(recorded("torque", "find"), "al@alice"), "dask-worker", "alice") == {}
    assert TORQUE.find_argv("dask-worker", "alice") == ["qstat", "-t", "-f"]


def test_what_others_write_into_their_variables_is_no_job_of_ours():
    """How TORQUE prints a line break in a variable was not seen: this is the worst."""
    forged = "Job Id: {}.torquehost\n    Job_Name = dask-x\n    Job_Owner = alice@t\n    job_state = R\n"
    theirs = "Job Id: 7.torquehost\n    Job_Name = theirs\n    Job_Owner = bob@t\n    job_state = R\n"
    ours = forged.format(9)
    everything = Reply(("qstat",), 0, theirs + forged.format(7) + forged.format(8) + "\n" + ours)
    alone = Reply(("qstat",), 153, ours, "qstat: Unknown Job Id Error 8.torquehost")
    queue = RecordedCommands(TORQUE, everything, alone)
    queue._user = "alice"
    assert list(asyncio.run(queue.find("dask-x"))) == ["9.torquehost"]
    assert queue.asked == [["qstat", "-t", "-f"], ["qstat", "-t", "-f", "8.torquehost", "9.torquehost"]]


def test_one_question_for_all():
    assert TORQUE.query_argv(["7[0].s", "7[1].s", "8.s"]) == ["qstat", "-t", "-f", "7[].s", "8.s"]


def test_running_and_waiting_jobs_are_cancelled_together():
    queue = RecordedCommands(TORQUE, Reply((), 0))
    asyncio.run(queue.cancel(["7[0].s", "8.s"]))
    assert queue.asked == [["qdel", "7[0].s", "8.s"]]


test_cancel = check_cancel(TORQUE, "qdel", [(["7[0].s", "7[1].s", "8.s"], ["7[0].s", "7[1].s", "8.s"])])
test_log_files = check_log_files(
    TORQUE,
    [
        ("12.s", None, ["dask.o12"]),
        ("12[3].s", None, ["dask.o12-3"]),
        ("12.s", "/my logs", ["/my logs/dask.out"]),
        ("12[3].s", "/my logs", ["/my logs/dask.out-3"]),
    ],
)


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


test_spot = check_spot(TORQUE, "{queue: preemptable}", ["#PBS -q preemptable", "#PBS -r y"])
test_settings = check_settings(TORQUE)
test_cluster_class = check_cluster_class(TORQUE, TORQUECluster)
