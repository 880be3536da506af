"""HTCondor's dialect on replies in tests/replies/htcondor/, as 23.9.6 gives them.

Attributes that aren't asked for, and long paths, were left out; ``composed-*`` were made.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import dask.config
import pytest

from jobclusters import HTCondorCluster, job_script
from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects.base import MOST_ID_CHARACTERS, Reply
from jobclusters.dialects.htcondor import NO_MACHINE, Htcondor
from jobclusters.errors import InvalidRequest, Refused, SubmitLimit, Unavailable
from jobclusters.jobs.failures import hint
from jobclusters.state import JobState, JobStatus
from tests.helpers.recorded import (
    RecordedCommands,
    check_array_refusals,
    check_cluster_class,
    check_environment,
    check_ids,
    check_log_files,
    check_no_information,
    check_refusals,
    check_settings,
    check_spot,
    check_submit,
    recorded,
)

CONDOR = Htcondor()
SMALL = {"cores": 1, "memory": "1 GB"}
PENDING, RUNNING, FAILED, COMPLETED = JobState.PENDING, JobState.RUNNING, JobState.FAILED, JobState.COMPLETED

test_submit = check_submit(CONDOR, (1, ["condor_submit", "-terse"]), (500, ["condor_submit", "-terse"]))
test_ids = check_ids(
    CONDOR,
    [
        ("submit-id", 1, ["3.0"]),
        ("submit-array", 5, ["7.0", "7.1", "7.2", "7.3", "7.4"]),
        ("submit-hundred", 100, [f"6.{proc}" for proc in range(100)]),
        ("composed-submit-greeting", 2, ["11.0", "11.1"]),
        ("submit-sentence", 5, ["4.0", "4.1", "4.2", "4.3", "4.4"]),
    ],
)
test_refusals = check_refusals(
    CONDOR,
    [
        (Reply(("condor_submit",), 0), Unavailable, "no job id"),
        ("submit-down", Unavailable, "Can't find address of local schedd"),
        ("submit-restarting", Unavailable, "Failed to connect to local queue manager"),
        ("submit-unknown-schedd", Unavailable, "Can't find address of schedd nosuch"),
        ("submit-memory", Refused, "RequestMemory = 2GiB"),
        ("submit-requirements", Refused, "Parse error in expression"),
        ("submit-no-executable", Refused, "nosuch.sh does not exist"),
        ("submit-rule", Refused, "No job here may ask for more than 1000 MB"),
        ("submit-limit-submission", Refused, "MAX_JOBS_PER_SUBMISSION"),
        ("submit-limit-owner", SubmitLimit, "MAX_JOBS_PER_OWNER"),
    ],
)
test_array_refusals = check_array_refusals(CONDOR, ["submit-limit-submission"], ["submit-limit-owner", "submit-rule"])
test_no_information = check_no_information(
    CONDOR,
    [
        "states-hung",
        "states-down",
        "states-restarting",
        "states-constraint",
        Reply(("condor_q",), 0, "[\n{\n"),
        Reply(("condor_q",), 0, "Greetings"),
    ],
)


def states(name):
    return CONDOR.parse_states(recorded("htcondor", name))


def summary(status):
    return status.state, status.reason, status.exit_code, status.signal, status.node, status.restarts


NONE = (None, None)
MEMORY, DURATION = "memory usage exceeded request_memory", "The job exceeded allowed job duration of 00:05"


def test_states_of_all_kinds():
    assert {job_id: summary(status) for job_id, status in states("states").items()} == {
        "24.0": (PENDING, "no match found", *NONE, "", 0),
        "24.1": (PENDING, "", *NONE, "", 0),
        "25.0": (RUNNING, "", *NONE, "e1", 0),
        "26.0": (PENDING, "no match found", *NONE, "", 0),
        "27.0": (PENDING, "submitted on hold at user's request", *NONE, "", 0),
        "28.0": (FAILED, "", 3, None, "e1", 0),
        "29.0": (COMPLETED, "", 0, None, "e2", 0),
        "30.0": (FAILED, "", None, 9, "e1", 0),
        "31.0": (JobState.OUT_OF_MEMORY, MEMORY, *NONE, "e2", 0),
        "33.0": (JobState.TIMEOUT, DURATION, *NONE, "e2", 0),
        "34.0": (FAILED, "unable to establish standard output stream", *NONE, "e1", 0),
        "35.0": (RUNNING, "", *NONE, "e2", 0),
        "36.0": (RUNNING, "", *NONE, "e1", 0),
        "37.0": (RUNNING, "", *NONE, "e2", 0),
        "37.1": (RUNNING, "", *NONE, "e1", 0),
        "37.2": (PENDING, "no match found", *NONE, "", 0),
        "37.3": (PENDING, "", *NONE, "", 0),
    }


def test_no_such_jobs_is_an_answer_of_nothing_at_all():
    assert recorded("htcondor", "states-none").out == ""
    assert states("states-none") == {}


def test_an_evicted_job_that_runs_again_was_restarted():
    assert summary(states("states-evicted")["35.0"]) == (RUNNING, "", *NONE, "e1", 1)


def job(**attributes):
    """Read one job with these attributes, which were seen with ``condor_q -af``."""
    attributes = {"ClusterId": 1, "ProcId": 0, "JobStatus": 2, **attributes}
    return CONDOR.parse_states(Reply(("condor_q",), 0, json.dumps([attributes])))["1.0"]


@pytest.mark.parametrize(
    ("attributes", "restarts"),
    [
        ({"NumShadowStarts": 2, "NumJobReconnects": 1}, 0),  # the schedd was started anew
        ({"NumShadowStarts": 3, "NumJobReconnects": 1}, 1),  # and then the job evicted
        ({"NumShadowStarts": 1, "JobCurrentReconnectAttempt": 1}, 0),  # its node is gone
        ({"NumShadowStarts": 2, "JobCurrentReconnectAttempt": 1}, 0),
        ({"NumShadowStarts": 1, "JobStatus": 1}, 1),  # waits to run again
        ({"NumShadowStarts": "²"}, 0),
    ],
)
def test_restarts(attributes, restarts):
    assert job(**attributes).restarts == restarts


@pytest.mark.parametrize(
    ("attributes", "state", "reason"),
    [
        ({"JobStatus": 3}, JobState.COMPLETING, ""),
        ({"JobStatus": 7}, RUNNING, ""),
        ({"JobStatus": 99}, JobState.UNKNOWN, ""),
        ({"JobStatus": None}, JobState.UNKNOWN, ""),
        ({"HoldReasonCode": 46, "HoldReason": "too long"}, JobState.COMPLETING, "too long"),  # TERM was sent
        ({"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "via condor_hold"}, PENDING, "via condor_hold"),
        ({"JobStatus": 5, "HoldReasonCode": 21, "HoldReason": "a rule"}, FAILED, "a rule"),
        ({"JobStatus": 5, "HoldReasonCode": 3}, FAILED, "held, code 3"),
        ({"JobStatus": 5}, FAILED, ""),
        (
            {"JobStatus": 5, "HoldReasonCode": 6, "HoldReason": "Error from slot1_3@e2: Failed to execute 'x'"},
            FAILED,
            "Failed to execute 'x'",
        ),
    ],
)
def test_states_that_were_not_asked_for_in_json(attributes, state, reason):
    status = job(**attributes)
    assert (status.state, status.reason) == (state, reason)


def test_times_that_are_none_are_left_out():
    assert job(QDate="soon").submitted is job(QDate=10**30).submitted is None
    assert job(QDate=1795950890).submitted.minute == 14


@pytest.mark.parametrize(
    "reason",
    [
        "unable to establish standard output stream",
        "Failed to open '/nope/x.out' as standard output: No such file or directory (errno 2)",
        "Cannot access initial working directory /home/alice/gonedir: No such file or directory",
    ],
)
def test_a_directory_that_a_node_cannot_use_is_named(reason):
    assert "log directory or the working directory" in hint(JobStatus(FAILED, reason=reason), None)


# -- details of jobs that have left the queue --------------------------------------------------------------------------


def history():
    """Give the recorded history by id, each job as the only one of a reply."""
    jobs = json.loads(recorded("htcondor", "history").out)
    return {f"{each['ClusterId']}.{each['ProcId']}": Reply(("condor_history",), 0, json.dumps([each])) for each in jobs}


@pytest.mark.parametrize(
    ("job_id", "state", "exit_code"),
    [
        ("36.0", JobState.CANCELLED, None),
        ("24.0", JobState.CANCELLED, None),
        ("32.0", JobState.TIMEOUT, None),
        ("28.0", FAILED, 3),  # was removed when it had ended
        ("29.0", COMPLETED, 0),
        ("27.0", JobState.CANCELLED, None),  # while it was held
    ],
)
def test_details(job_id, state, exit_code):
    status = CONDOR.parse_detail(history()[job_id])
    assert (status.state, status.exit_code) == (state, exit_code)


def test_the_rule_that_removes_an_evicted_job_is_no_walltime():
    reply = history()["32.0"]
    evicted = replace(reply, out=reply.out.replace('"LastJobStatus": 2', '"LastJobStatus": 1'))
    assert CONDOR.parse_detail(evicted).state is JobState.PREEMPTED
    waiting = json.dumps([{"ClusterId": 1, "ProcId": 0, "JobStatus": 3, "HoldReasonCode": 1, "HoldReason": "held"}])
    assert CONDOR.parse_detail(replace(reply, out=waiting)).state is JobState.CANCELLED


@pytest.mark.parametrize("reply", [recorded("htcondor", "history-none"), Reply((), 1), Reply((), 0, "[{")])
def test_no_details(reply):
    assert CONDOR.parse_detail(reply) is None
    assert CONDOR.detail_argv("7.3")[-3:] == ["-limit", "1", "7.3"]


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_one_question_for_all():
    assert CONDOR.query_argv(["7.0", "7.1", "8.0"])[-2:] == ["7", "8"]
    assert CONDOR.find_argv("dask-x", "alice")[-1] == 'JobclustersName == "dask-x" && Owner == "alice"'


@pytest.mark.parametrize(
    ("ids", "constraint"),
    [
        (["7.0", "7.1", "7.3"], "(ClusterId == 7 && ProcId >= 0 && ProcId <= 1)|(ClusterId == 7 && ProcId >= 3 && ProcId <= 3)"),
        (["7.0", "8.2"], "(ClusterId == 7 && ProcId >= 0 && ProcId <= 0)|(ClusterId == 8 && ProcId >= 2 && ProcId <= 2)"),
        (["7"], "(ClusterId == 7)"),
    ],
)  # fmt: skip
def test_cancel(ids, constraint):
    (argv,) = CONDOR.cancel_argvs(ids, {})
    assert argv == ["condor_rm", "-constraint", constraint.replace("|", " || ")]


def test_many_jobs_are_cancelled_by_commands_that_fit():
    argvs = CONDOR.cancel_argvs([f"{job}.0" for job in range(10_000)], {})
    assert len(argvs) > 1
    assert all(len(argv[-1]) < 2 * MOST_ID_CHARACTERS for argv in argvs)
    assert sum(argv[-1].count("ClusterId") for argv in argvs) == 10_000


def test_what_condor_rm_says_is_left_to_the_next_answer():
    queue = RecordedCommands(CONDOR, recorded("htcondor", "cancel"), recorded("htcondor", "cancel-none"))
    asyncio.run(queue.cancel(["7.0"]))
    asyncio.run(queue.cancel(["7.0"]))
    assert [argv[0] for argv in queue.asked] == ["condor_rm"] * 2


def test_a_cancel_that_a_hung_schedd_never_got_is_no_cancel():
    queue = RecordedCommands(CONDOR, recorded("htcondor", "cancel-hung"))
    with pytest.raises(Unavailable, match="SECMAN:2007"):
        asyncio.run(queue.cancel(["1.0"]))


def test_jobs_that_no_machine_can_run_are_known():
    queue = RecordedCommands(CONDOR, recorded("htcondor", "states"), recorded("htcondor", "unmatchable"))
    found = asyncio.run(queue.states(["24.0", "24.1", "25.0", "26.0", "37.2"]))
    assert queue.asked[-1] == ["condor_q", "-unmatchable", "-af:j", "JobStatus"]
    never = {job_id for job_id, status in found.items() if status.reason in CONDOR.never}
    assert never == {"24.0", "24.1", "26.0"}
    assert found["37.2"].reason == "no match found"  # the pool is only full


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no match found ", "no free machine fits it"),
        ("concurrency limit licence reached", "as many jobs use what it asks for as may"),
        ("something new", ""),
    ],
)
def test_reasons_in_plain_words(reason, words):
    reply = recorded("htcondor", "states")
    found = CONDOR.parse_states(replace(reply, out=reply.out.replace("no match found ", reason)))["37.2"]
    assert (found.reason, found.meaning) == (reason.strip(), words)


def test_what_no_machine_can_run_is_not_explained_as_a_full_pool():
    queue = RecordedCommands(CONDOR, recorded("htcondor", "states"), recorded("htcondor", "unmatchable"))
    found = asyncio.run(queue.states(["24.0", "37.2"]))
    assert [found[job_id].meaning for job_id in ("24.0", "37.2")] == ["", "no free machine fits it"]


def test_without_doubt_or_an_answer_nothing_is_taken_for_impossible():
    assert CONDOR.reasons_argv(states("states-evicted")) == []
    assert CONDOR.parse_reasons(recorded("htcondor", "states-hung")) == {}
    assert CONDOR.parse_reasons(Reply((), 0, "25.0 1\n\n24.0 1\n")) == {"25.0": NO_MACHINE, "24.0": NO_MACHINE}


def test_held_jobs_are_removed_and_their_reasons_kept():
    queue = RecordedCommands(CONDOR, recorded("htcondor", "states"), recorded("htcondor", "cancel"))
    ids = ["31.0", "33.0", "34.0", "27.0", "28.0", "29.0", "30.0"]
    found = asyncio.run(queue.states(ids))
    assert [each for each in ids if f"== {each[:2]} " in queue.asked[1][-1]] == ids[:3]  # others wait, or have ended
    assert found["31.0"].reason == MEMORY
    assert asyncio.run(queue.detail("31.0")) is None  # its history would say that it was removed


# -- the submit description --------------------------------------------------------------------------------------------


def description(count=1, **keywords):
    text = CONDOR.description(count, "/tmp/x.sh", job_script("htcondor", **{**SMALL, **keywords}))
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("executable = /tmp/x.sh", f"queue {count}")
    return dict(line.split(" = ", 1) for line in lines[:-1])


OURS = (
    "JOBCLUSTERS_JOB_ID='$(ClusterId).$(ProcId)' JOBCLUSTERS_PROC_ID='$(ProcId)'"
    " JOBCLUSTERS_STARTS='$$([NumJobStarts])' JOBCLUSTERS_SUBMIT_DIRECTORY='$$([Iwd])'"
)


@pytest.mark.parametrize(
    ("own", "environment"),
    [
        (None, f'"{OURS}"'),
        ('"A=""x"" B=\'y z\'"', f'"A=""x"" B=\'y z\' {OURS}"'),
        ("A=x;B=y z", "A=x;B=y z;" + OURS.replace("'", "").replace(" ", ";")),
    ],
)
def test_a_job_gets_its_ids_beside_the_users_own_variables(own, environment):
    extra = {"Environment": own} if own else {}
    assert description(5, job_extra_directives=extra)["environment"] == environment


def test_rules_of_the_user_and_of_the_template_hold_together():
    found = description(
        walltime="01:00:00",
        job_extra_directives=["periodic_remove = A", "Requirements = B", "requirements=C", "+X = 1", "My.x = 2"],
    )
    assert found["periodic_remove"] == "(JobStatus == 2 && time() - EnteredCurrentStatus > 3600) || (A)"
    assert found["requirements"] == "(B) && (C)"
    assert "+X" not in found
    assert found["My.x"] == "2"


def test_what_stands_in_a_value_of_the_script_is_no_directive():
    assert "nosuch" not in description(job_script_prologue=["x='\n #CONDOR nosuch = 1'"])


def test_a_misspelt_key_is_refused_before_anything_is_submitted():
    script = job_script("htcondor", **SMALL)
    queue = RecordedCommands(CONDOR, recorded("htcondor", "dry-run-unused"))
    with pytest.raises(Refused, match="doesn't know what is meant by: nosuchcommand = 1"):
        asyncio.run(queue.submit(script, 1))
    (asked,) = queue.asked
    assert asked[:4] == ["condor_submit", "-dry-run", "/dev/null", "-"]
    assert asked[-1].endswith("queue 1\n")


def test_other_errors_are_for_the_submission_to_say():
    assert CONDOR.parse_precheck(recorded("htcondor", "dry-run-wrong")) == ""


def test_like_submissions_are_tried_once():
    replies = [Reply((), 0), *[recorded("htcondor", "submit-id")] * 2, Reply((), 0), recorded("htcondor", "submit-id")]
    queue = RecordedCommands(CONDOR, *replies)
    for name, more in (("one", {}), ("two", {}), ("three", {"cores": 2})):
        assert asyncio.run(queue.submit(job_script("htcondor", **{**SMALL, **more}, job_name=name), 1)) == ["3.0"]
    assert [argv[1] for argv in queue.asked] == ["-dry-run", "-terse", "-terse", "-dry-run", "-terse"]
    assert CONDOR.precheck_input("#!/bin/sh\n").startswith("executable = /bin/sh\n")  # of a template of a site's own


def test_the_script_is_a_file_that_condor_submit_hands_over(monkeypatch):
    seen = []

    async def run(argv, *, stdin, timeout, env):
        path = re.search("executable = (.*)", stdin)[1]
        seen.append("" if path == "/bin/sh" else Path(path).read_text())  # noqa: ASYNC240 -- a few lines
        return Reply((), 0) if "-dry-run" in argv else recorded("htcondor", "submit-id")

    monkeypatch.setattr("jobclusters.batch.shell.run", run)
    script = job_script("htcondor", **SMALL)
    assert asyncio.run(BatchCommands(CONDOR).submit(script, 1)) == ["3.0"]
    assert seen == ["", script]


# -- keywords ----------------------------------------------------------------------------------------------------------


def test_a_mapping_and_lines_say_the_same():
    mapping = {"+ProjectName": '"physics"', "concurrency_limits": "lic:2", "max_retries": 3}
    lines = ['+ProjectName = "physics"', "concurrency_limits = lic:2", "max_retries = 3"]
    assert job_script("htcondor", **SMALL, job_extra_directives=mapping) == job_script(
        "htcondor", **SMALL, job_extra=lines
    )


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"job_extra_directives": ["--exclusive"]}, "'--exclusive' is no 'key = value'"),
        ({"job_extra_directives": ["queue 3"]}, "'queue 3' is no 'key = value'"),
        ({"job_extra_directives": {"rank": "Memory \\"}}, "is no 'key = value'"),
        ({"job_extra_directives": {"Executable": "/bin/true"}}, "the script is the executable"),
        ({"account": "$(X)"}, r"account='\$\(X\)' can't hold \$"),
        ({"gpus": 1, "gpu_type": "$x"}, r"gpu_type='\$x' can't hold \$"),
        ({"job_name": "my job"}, "job_name='my job': on HTCondor it holds only"),
        ({"log_directory": "/logs/$(Owner)"}, r"log_directory='/logs/\$\(Owner\)' can't hold \$"),
        ({"lease_duration": "soon"}, "lease_duration must be a time"),
        ({"disk": "lots"}, "disk='lots' can't be read: write it like '10 GB'"),
    ],
)
def test_what_cannot_be_is_refused(keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        job_script("htcondor", **SMALL, **keywords)


def test_a_queue_is_left_out_with_a_warning(configure, caplog):
    configure("jobclusters: {queues: {htcondor: {pool: {cores: 8}}}}")
    with HTCondorCluster(**SMALL, queue="normal") as cluster:
        assert "normal" not in cluster.job_script()
        assert "HTCondor has no queues: queue='normal' is left out" in caplog.text
    caplog.clear()
    with HTCondorCluster(**SMALL):
        assert "no queues" not in caplog.text
    assert CONDOR.parse_queues(Reply((), 0, "e1")) == ["pool"]


def test_a_type_of_gpu_is_part_of_its_name():
    script = job_script("htcondor", **SMALL, gpus=2, gpu_type="a100")
    assert "#CONDOR request_gpus = 2\n" in script
    assert '#CONDOR require_gpus = regexp("a100", DeviceName, "i")\n' in script


def test_words_for_the_commands(monkeypatch, configure):
    options = {"submit_command_extra": ("-name", "s2", "-spool", "-pool", "cm"), "cancel_command_extra": ("-totals",)}
    queue = BatchCommands(CONDOR, options=options)
    where = ["-name", "s2", "-pool", "cm"]
    assert queue.dialect.submit_argv(1) == ["condor_submit", "-terse", "-name", "s2", "-spool", "-pool", "cm"]
    assert queue.dialect.cancel_argvs(["1"], {}) == [
        ["condor_rm", *where, "-totals", "-constraint", "(ClusterId == 1)"]
    ]
    for argv in (
        queue.dialect.query_argv(["1.0"]),
        queue.dialect.find_argv("x", "alice"),
        queue.dialect.detail_argv("1.0"),
        queue.dialect.reasons_argv({"1.0": JobStatus(PENDING, "no match found")}),
    ):
        assert argv[1:5] == where
    configure("jobqueue: {htcondor: {cancel-command-extra: [-name, s3], submit-command-extra: [-name, s4]}}")
    queue = BatchCommands(CONDOR)  # of the process that clears up after a dead cluster
    assert queue.dialect.cancel_argvs(["1"], {})[0][:5] == ["condor_rm", "-name", "s4", "-name", "s3"]


def test_a_cluster_hands_its_words_on():
    with HTCondorCluster(**SMALL, cancel_command_extra=["-totals"]) as cluster:
        assert "-totals" in cluster.pool.batch_system.dialect.cancel_argvs(["1"], {})[0]


def test_dask_jobqueues_first_line_of_a_submit_description_is_none_of_a_script(configure):
    assert job_script("htcondor", **SMALL).startswith("#!/usr/bin/env bash\n")
    assert job_script("htcondor", **SMALL, shebang="#!/bin/sh").startswith("#!/bin/sh\n")
    configure("jobqueue: {htcondor: {shebang: '#!/bin/zsh'}}")
    assert job_script("htcondor", **SMALL).startswith("#!/bin/zsh\n")


def test_the_schedd_is_known_by_its_address():
    assert CONDOR.parse_identity(recorded("htcondor", "identity")) == "172.23.0.5:9618"


test_environment = check_environment(
    CONDOR,
    {
        "_CONDOR_JOB_AD": "/scratch/.job.ad",
        "_CONDOR_SLOT": "slot1_1",
        "BATCH_SYSTEM": "HTCondor",
        "CUDA_VISIBLE_DEVICES": "10000",
        "JOBCLUSTERS_JOB_ID": "7.0",
        "JOBCLUSTERS_PROC_ID": "0",
    },
    {"PATH": "/usr/bin", "CONDOR_CONFIG": "/etc/mine"},
)
test_spot = check_spot(CONDOR, "{account: group_spot}", ["#CONDOR accounting_group = group_spot"])
test_log_files = check_log_files(
    CONDOR,
    [
        ("7.0", None, ["./dask-7.0.out", "./dask-7.0.err"]),
        ("7.3", "/my logs", ["/my logs/dask-7.3.out", "/my logs/dask-7.3.err"]),
    ],
)
test_settings = check_settings(CONDOR)
test_cluster_class = check_cluster_class(CONDOR, HTCondorCluster)


def test_settings_of_dask_jobqueue_are_read(configure):
    configure(
        "jobqueue: {htcondor: {cores: 2, memory: 2 GB, disk: 3 GB, lease-duration: 2 minutes,"
        " job-extra-directives: {+Lab: 1}}}"
    )
    script = job_script("htcondor")
    for line in ("request_cpus = 2", "request_disk = 2929688KB", "job_lease_duration = 120", "+Lab = 1"):
        assert f"#CONDOR {line}\n" in script
    assert dask.config.get("jobqueue.htcondor.submit-command-extra") == []
