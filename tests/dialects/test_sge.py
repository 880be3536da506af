"""Grid Engine's dialect on replies in tests/replies/sge/, as 8.1.9 gives them.

Hosts got shorter names; ``submit-greeting``, ``*-nothing``, ``*-empty``, ``*-hung`` and ``states-cut`` were made.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime

import dask.config
import pytest

from jobclusters import SGECluster
from jobclusters.batch.script import render
from jobclusters.config import settings as config
from jobclusters.config.resolve import resolve
from jobclusters.dialects.base import Reply
from jobclusters.dialects.sge import Sge
from jobclusters.errors import InvalidRequest, Refused, SubmitLimit, Unavailable
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
    check_submit,
    recorded,
)
from tests.helpers.waiting import PATIENCE

SGE = Sge()

# ``-b y`` and ``-now y`` of sge_request would keep jobs out, on 8.1.9; what the command says wins.
QSUB = ["qsub", "-terse", "-b", "n", "-now", "n"]
test_submit = check_submit(SGE, (1, QSUB), (2, [*QSUB, "-t", "1-2"]))
test_ids = check_ids(
    SGE,
    [
        ("submit-greeting", 2, ["4.1", "4.2"]),
        ("submit-array", 5, ["4.1", "4.2", "4.3", "4.4", "4.5"]),
        ("submit-id", 1, ["2"]),
    ],
)
test_refusals = check_refusals(
    SGE,
    [
        ("submit-hung", Unavailable, "did not answer in time"),
        ("submit-nothing", Unavailable, "no job id"),
        ("submit-down", Unavailable, "commlib error"),
        ("submit-unresolvable", Unavailable, "can't resolve host name"),
        ("submit-limit-and-array", SubmitLimit, "more than 10 tasks"),
        ("submit-limit-user", SubmitLimit, "only 2 jobs are allowed per user"),
        ("submit-limit-cluster", SubmitLimit, "only 2 jobs are allowed per cluster"),
        ("submit-array-too-large", Refused, "more than 75000 tasks"),
        ("submit-first-index", Refused, "0 is an invalid task id"),
        ("submit-name", Refused, "Error reading answer list"),
        ("submit-queue", Refused, 'unknown queue "nope.q"'),
        ("submit-resource", Refused, 'unknown resource "foo"'),
        ("submit-memory", Refused, "not a memory value"),
        ("submit-pe", Refused, 'parallel environment "nope" does not exist'),
        ("submit-project", Refused, 'project "proj" does not exist'),
        ("submit-verify", Refused, "only offers 0 slots"),
        ("submit-option", Refused, "invalid option"),
    ],
)
test_array_refusals = check_array_refusals(
    SGE, ["submit-array-too-large", "submit-limit-and-array"], ["submit-limit-user", "submit-queue"]
)


# The first two were recorded.
test_words_of_an_outage = check_outages(
    SGE,
    [
        "error: commlib error: got select error (Connection refused)",
        'Unable to run job: unable to send message to qmaster using port 6444 on host "sgehost": got send error',
        'error: unable to contact qmaster using port 6444 on host "sgehost"',
    ],
)


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{time}")


PENDING, RUNNING, FAILED = JobState.PENDING, JobState.RUNNING, JobState.FAILED


def test_states_of_all_kinds():
    states = SGE.parse_states(recorded("sge", "states-mixed"))
    assert list(states) == ["1", "2", *(f"3.{i}" for i in range(1, 6)), *(f"4.{i}" for i in range(1, 6)), "11", "13", "18", "19", "5.1-5:1"]  # fmt: skip
    assert states["3.2"] == JobStatus(RUNNING, node="sgehost", started=at("07:31:02"))
    assert states["13"] == JobStatus(PENDING, submitted=at("07:31:04"))
    assert states["18"] == JobStatus(FAILED, reason="error state Eqw", submitted=at("07:31:04"))
    assert states["5.1-5:1"] == JobStatus(PENDING, reason="held", submitted=at("07:31:03"))


def test_states_of_waiting_elements():
    states = SGE.parse_states(recorded("sge", "states-elements"))
    assert {job: status.state for job, status in states.items()} == {
        "24": PENDING,
        "34": FAILED,
        **{f"35.{i}": FAILED for i in (1, 2, 3)},
    }


def test_states_of_jobs_being_deleted_and_waiting_for_others():
    states = SGE.parse_states(recorded("sge", "states-running"))
    assert states["10"] == JobStatus(JobState.COMPLETING, node="e2", started=at("10:33:25"))
    assert states["15.3"] == JobStatus(PENDING, reason="held", submitted=at("10:33:30"))


def test_no_jobs_at_all():
    assert SGE.parse_states(recorded("sge", "states-none")) == {}


def test_requeued_jobs_wait_and_run_again():
    """Within two seconds, so that no poll may see it wait."""
    found = [SGE.parse_states(recorded("sge", f"states-{name}"))["18"] for name in ("requeued", "rerunning")]
    assert found == [
        JobStatus(PENDING, submitted=at("11:53:29"), restarts=1),
        JobStatus(RUNNING, node="e2", started=at("11:52:41"), restarts=1),
    ]


test_no_information = check_no_information(
    SGE, ["states-empty", "states-cut", "states-down", "states-unknown-jobs", "submit-hung"]
)


def listed(letters, **more):
    """Give the reply of qstat that lists one job, behind a greeting."""
    fields = {"JB_job_number": "7", "JB_name": "C", "state": letters, **more}
    job = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    text = f"Welcome\n<job_info><queue_info/><job_info><job_list state='x'>{job}</job_list></job_info></job_info>\n"
    return Reply((), 0, text)


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("?", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
        ("Eqw", FAILED),
        ("Ehqw", FAILED),
        ("EhRqw", FAILED),
        ("dEqw", FAILED),
        ("dr", JobState.COMPLETING),
        ("dt", JobState.COMPLETING),
        ("dRr", JobState.COMPLETING),
        ("ds", JobState.COMPLETING),
        ("hqw", PENDING),
        ("hRwq", PENDING),
        ("Rq", PENDING),
        ("qw", PENDING),
        ("Rr", RUNNING),
        ("hr", RUNNING),
        ("t", RUNNING),
        ("s", RUNNING),
        ("S", RUNNING),
        ("T", RUNNING),
        ("tS", RUNNING),
        ("Rt", RUNNING),
        ("r", RUNNING),
    ],
)
def test_state_letters(letters, state):
    (status,) = SGE.parse_states(listed(letters)).values()
    assert status.state is state


def test_find_takes_the_whole_name_only():
    reply = listed("r", JB_name="dask-x&amp;y-1")
    assert list(SGE.parse_find(reply, "dask-x&y-1", "alice")) == ["7"]
    assert SGE.parse_find(reply, "dask-x&y", "alice") == {}
    assert list(SGE.parse_find(recorded("sge", "states-elements"), "eqwarr", "alice")) == ["35.1", "35.2", "35.3"]


def test_one_question_for_all():
    """``~/.sge_qstat`` may ask for others' jobs, or for some states or queues only: what the command says wins.

    Recorded on 8.1.9: with ``-q short.q`` in there, running jobs of other queues are missing, but not with ``-q ,``.
    """
    argv = ["qstat", "-xml", "-u", "$user", "-s", "prs", "-g", "d", "-q", ","]
    assert SGE.query_argv(["7.1", "8"]) == SGE.find_argv("x", "alice") == argv


@pytest.mark.parametrize("printed", ["3.1-3:1\n", 'Your job-array 3.1-3:1 ("x") has been submitted\n'])
def test_an_array_that_was_not_asked_for_is_looked_up(printed):
    """``~/.sge_request`` with ``-t 1-3`` makes it, on 8.1.9; its id alone would be no job's."""
    with pytest.raises(Unavailable, match="made an array of one job"):
        SGE.parse_submit(Reply(("qsub",), 0, printed), 1)


@pytest.mark.parametrize(
    ("printed", "count", "ids"),
    [
        ('Your job 123 ("dask-worker") has been submitted\n', 1, ["123"]),
        ('Your job-array 123.1-2:1 ("dask") has been submitted\n', 2, ["123.1", "123.2"]),
        ("\x1b[1;32m123\x1b[0m\n", 1, ["123"]),
    ],
)
def test_what_wrappers_print(printed, count, ids):
    """One that takes -terse away, and one with colours."""
    assert SGE.parse_submit(Reply(("qsub",), 0, printed), count) == ids


def test_an_outage_that_ends_with_0_is_no_answer():
    whole = recorded("sge", "states-elements")
    with pytest.raises(Unavailable):
        SGE.parse_states(replace(whole, err="error: commlib error: got select error (Connection refused)"))


CHDIR = "error: can't chdir to /nope: No such file or directory"


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("stuck-gone", {}),
        ("states-down", {}),
        ("stuck", {"34": CHDIR, "35.1": CHDIR, "35.2": CHDIR, "35.3": CHDIR}),
    ],
)
def test_reasons_of_error_states(name, reasons):
    assert SGE.parse_stuck(recorded("sge", name)) == reasons


def test_reasons_are_asked_for_each_array_once():
    assert SGE.stuck_argv(["35.1", "34", "35.2"]) == ["qstat", "-j", "35,34"]


FULL = 'queue instance "all.q@jobclusters-sge-e2" dropped because it is full'
SLOTS = '(-l slots=1) cannot run in queue "jobclusters-sge-e2" because it offers only hc:slots=0.000000'
PE = 'cannot run in PE "smp" because it only offers 0 slots'
TIME = '(-l h_rt=7200) cannot run in queue "short.q" because of cluster queue'


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        (
            "reasons",
            {"36": FULL, **dict.fromkeys(("37.1", "37.2", "37.3", "37.4"), f"{SLOTS}; {PE}"), "38": f"{TIME}; {FULL}"},
        ),
        ("composed-reasons-off", {}),
        ("stuck", {}),
        ("stuck-gone", {}),
        ("states-down", {}),
    ],
)  # fmt: skip
def test_why_jobs_wait(name, reasons):
    assert SGE.parse_reasons(recorded("sge", name)) == reasons


def test_a_reason_of_several_nodes_is_given_once():
    reply = recorded("sge", "reasons")
    both = "\n   ".join([SLOTS, SLOTS.replace("sge-e2", "sge-e1")])
    changed = replace(reply, out=reply.out.replace(SLOTS, both))
    assert SGE.parse_reasons(changed)["37.1"] == f"{SLOTS} (and 1 more); {PE}"


def test_jobs_that_wait_are_asked_why_each_array_once():
    queue = RecordedCommands(SGE, recorded("sge", "states-waiting"), recorded("sge", "reasons"))
    found = asyncio.run(queue.states(["36", "37.1", "37.2", "37.4", "39"]))
    assert queue.asked[1] == ["qstat", "-j", "37"]  # the others run, are held, or are another cluster's
    assert {job_id: (status.state, status.reason) for job_id, status in found.items()} == {
        "36": (RUNNING, ""),
        "37.1": (RUNNING, ""),
        **{f"37.{index}": (PENDING, f"{SLOTS}; {PE}") for index in (2, 3, 4)},
        "38": (PENDING, f"{TIME}; {FULL}"),
        "39": (PENDING, "held"),
    }


def test_a_job_that_no_queue_can_run_is_listed():
    """With ``-q '*'`` 8.1.9 leaves it out, and it would count as gone."""
    assert SGE.parse_states(recorded("sge", "states-waiting"))["38"].state is PENDING


def test_where_an_empty_list_of_queues_is_refused_all_are_named():
    queue = RecordedCommands(SGE, recorded("sge", "composed-no-empty-list"), recorded("sge", "states-running"))
    assert asyncio.run(queue.find("STDIN"))
    assert [argv[-1] for argv in queue.asked] == [",", "*"]
    assert queue.dialect.variant(recorded("sge", "composed-no-empty-list")) is None
    assert SGE.variant(recorded("sge", "states-down")) is None


ENFORCED = "qmaster enforced h_rt, h_cpu, or h_vmem limit"


@pytest.mark.parametrize(
    ("name", "state", "reason", "exit_code", "killed_by", "node"),
    [
        ("detail-late", None, "", None, None, ""),
        ("detail-no-file", None, "", None, None, ""),
        ("detail-element-late", None, "", None, None, ""),
        ("submit-hung", None, "", None, None, ""),
        ("detail-killed", JobState.FAILED, "killed by qdel or another signal", None, 15, "e1"),
        ("detail-deleted", JobState.CANCELLED, "killed by qdel or another signal", None, 9, "e2"),
        (
            "detail-deleted-warned",
            JobState.CANCELLED,
            "killed by qdel or another signal",
            None,
            12,
            "jobclusters-sge-e2",
        ),
        ("detail-time-warned", JobState.TIMEOUT, ENFORCED, None, 12, "jobclusters-sge-e1"),
        ("detail-soft-time", JobState.TIMEOUT, "killed by qdel or another signal", None, 10, "jobclusters-sge-e2"),
        ("detail-time", JobState.TIMEOUT, ENFORCED, None, 9, "e2"),
        ("detail-queue-time", JobState.TIMEOUT, ENFORCED, None, 9, "e1"),
        ("detail-memory", JobState.OUT_OF_MEMORY, ENFORCED, None, 9, "e2"),
        ("detail-log-directory", JobState.FAILED, "opening input/output file", None, None, "e1"),
        ("detail-work-directory", JobState.FAILED, "changing into working directory", None, None, "e2"),
        ("detail-no-python", JobState.FAILED, "", 127, None, "e1"),
        ("detail-exit", JobState.FAILED, "", 3, None, "e2"),
        ("detail-done", JobState.COMPLETED, "", 0, None, "e2"),
    ],
)
def test_detail(name, state, reason, exit_code, killed_by, node):
    detail = SGE.parse_detail(recorded("sge", name))
    if state is None:
        assert detail is None
    else:
        found = (detail.state, detail.reason, detail.exit_code, detail.signal, detail.node)
        assert found == (state, reason, exit_code, killed_by, node)


def test_a_job_that_is_warned_without_a_limit_of_its_own_gives_way():
    reply = recorded("sge", "detail-soft-time")
    assert SGE.parse_detail(replace(reply, out=reply.out.replace(",s_rt=8", ""))).state is JobState.PREEMPTED


def test_detail_is_that_of_the_last_run():
    detail = SGE.parse_detail(recorded("sge", "detail-requeued"))
    assert (detail.state, detail.node) == (JobState.CANCELLED, "e1")
    assert (detail.submitted, detail.started, detail.ended) == (at("11:52:17"), at("11:52:19"), at("11:53:33"))


def test_an_exit_status_of_the_scripts_own_is_no_signal():
    reply = recorded("sge", "detail-exit")
    detail = SGE.parse_detail(replace(reply, out=re.sub(r"(exit_status +)3", r"\g<1>137", reply.out)))
    assert (detail.state, detail.exit_code, detail.signal) == (FAILED, 137, None)


@pytest.mark.parametrize("failed", ["25  : rescheduling", "24  : migrating"])
def test_no_detail_until_the_last_run_is_written(failed):
    """The record of a run before a requeue is there at once; the last one is cut off here. 24 is the manual's."""
    reply = recorded("sge", "detail-requeued")
    early = reply.out[: reply.out.rindex("=" * 60)].rstrip("=\n").replace("25  : rescheduling", failed)
    assert early.count("failed       " + failed) == 3
    assert SGE.parse_detail(replace(reply, out=early)) is None


@pytest.mark.parametrize(("job_id", "argv"), [("7", ["qacct", "-j", "7"]), ("7.12", ["qacct", "-j", "7", "-t", "12"])])
def test_detail_asks_for_one_element(job_id, argv):
    assert SGE.detail_argv(job_id) == argv


test_cancel = check_cancel(
    SGE,
    "qdel",
    [
        (["8"], ["8"]),
        (["8", "9"], ["8", "9"]),
        (["7.1"], ["7.1"]),
        ([f"7.{index}" for index in range(1, 501)], ["7.1-500"]),
        (["7.9", "7.2", "8", "7.3", "7.10"], ["7.2-3", "7.9-10", "8"]),
        (["7.10", "7.9", "6.9"], ["7.9-10", "6.9"]),
    ],
)
test_log_files = check_log_files(
    SGE,
    [
        ("12", None, ["dask.o12"]),
        ("12.3", None, ["dask.o12.3"]),
        ("12.3", "/my logs", ["/my logs/dask.o12.3"]),
    ],
)
test_environment = check_environment(
    SGE,
    in_job={
        "JOB_ID": "7",
        "JOB_NAME": "C",
        "SGE_TASK_ID": "undefined",
        "NSLOTS": "1",
        "NQUEUES": "1",
        "NHOSTS": "1",
        "PE_HOSTFILE": "/x",
        "SGE_O_PATH": "/x",
        "RESTARTED": "1",
    },
    stays={
        "SGE_ROOT": "/sge",
        "SGE_CELL": "c",
        "SGE_CLUSTER_NAME": "p6444",
        "SGE_QMASTER_PORT": "6444",
        "SGE_EXECD_PORT": "6445",
        "JOB_DIRECTORY": "/jobs",
        "PERL5LIB": "/p",
        "QUEUES": "1",
        "PATH": "/bin",
    },
)


def test_traces_do_not_fill_the_output():
    """SGE_DEBUG_LEVEL writes hundreds of lines to stdout."""
    traced = {"SGE_DEBUG_LEVEL": "3 0 0 0 0 0 0 0", "SGE_ROOT": "/sge"}
    assert SGE.environment(traced) == SGE.environment(traced, "#!/bin/sh\n") == {"SGE_ROOT": "/sge"}


# -- what is asked for ---------------------------------------------------------------------------------------------

FOUR = {"cores": 4, "memory": "10 MiB"}


def script(**keywords):
    spec = resolve(SGE, {"python": "python", **keywords}, config.site(SGE), "C", "tcp://10.0.0.1:8786")
    return render(spec, SGE)


def directives(**keywords):
    return {line.removeprefix("#$ ") for line in script(**keywords).splitlines() if line.startswith("#$ ")}


@pytest.mark.parametrize(
    ("keywords", "there", "absent"),
    [
        ({"parallel_environment": "mpi"}, {"-pe mpi 4", "-l h_vmem=3M"}, ()),  # 2.5 MiB a slot: rounded up
        ({"parallel_environment": "mpi", "memory_complex": "mem_free"}, {"-l mem_free=3M"}, ("h_vmem",)),
        ({"parallel_environment": "mpi", "memory_complex": ""}, set(), ("h_vmem", "-l =")),
        ({"parallel_environment": "mpi", "cores": 1}, {"-l h_vmem=10M"}, ("-pe",)),
        ({"resource_spec": "m_mem_free=4G,exclusive"}, {"-l m_mem_free=4G,exclusive"}, ("h_vmem", "-pe")),
        ({"resource_spec": "x=1", "parallel_environment": "mpi"}, {"-l x=1", "-pe mpi 4"}, ("h_vmem",)),
        ({"job_extra_directives": ["-pe openmpi 4"]}, {"-pe openmpi 4"}, ()),
        ({"job_extra_directives": ["-pe openmpi 4"], "parallel_environment": "mpi"}, {"-pe openmpi 4"}, ("-pe mpi",)),
        ({"resource_spec": "gpu=1", "gpus": 2}, {"-l gpu=1"}, ("gpu=2",)),
        ({"resource_spec": "x=1", "gpus": 2, "gpu_complex": "ngpus"}, {"-l ngpus=2"}, ()),
        ({"cores": 1, "gpus": 1, "gpu_type": "v100", "gpu_type_complex": "card"}, {"-l gpu=1", "-l card=v100"}, ()),
        ({"cores": 1, "gpus": 1, "gpu_complex": ""}, set(), ("gpu",)),
        ({"cores": 1, "walltime": "10m"}, {"-l h_rt=00:10:00"}, ()),
        ({"cores": 1, "walltime": "600"}, {"-l h_rt=00:10:00"}, ()),
        ({"cores": 1, "walltime": "unlimited"}, {"-l h_rt=INFINITY"}, ()),
        ({"cores": 1, "walltime": "1-12"}, {"-l h_rt=36:00:00"}, ()),
        ({"cores": 1, "resource_spec": "h_rt=60"}, {"-l h_rt=60"}, ("00:30:00",)),
        ({"cores": 1, "project": "physics", "queue": "all.q"}, {"-P physics", "-q all.q"}, ()),
        ({"cores": 1, "shebang": "#!/bin/zsh -l"}, {"-S /bin/zsh"}, ()),
        ({"cores": 1, "shebang": "#!/usr/bin/env -S bash -l"}, {"-S /bin/bash"}, ()),
        ({"cores": 1, "job_directives_skip": ["-cwd", "-S"]}, {"-j y"}, ("-cwd", "-S")),
        ({"cores": 1, "job_directives_skip": ["-l h_vmem=10M"]}, {"-l h_rt=00:30:00"}, ("h_vmem",)),
        ({"parallel_environment": "mpi", "job_directives_skip": ["-pe", "-c"]}, {"-cwd"}, ("-pe",)),
    ],
)
def test_directives(keywords, there, absent):
    found = directives(**{**FOUR, **keywords})
    assert there <= found
    assert [line for line in found for words in absent if words in line] == []


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        (
            {"worker_cpu": 4, "worker_memory": "10 MiB"},
            "4 cores need a parallel environment.*parallel_environment='smp'.*qconf -spl.*jobqueue.sge.parallel-env",
        ),
        ({"worker_size": "large"}, "2 cores need a parallel environment"),
        ({**FOUR, "gpus": 1}, "4 cores need a parallel environment"),
        ({**FOUR, "cores": 1, "gpus": 1, "gpu_type": "v100"}, "gpu_type='v100': .*gpu_type_complex="),
        ({**FOUR, "cores": 1, "job_name": "1st"}, "job_name='1st': on Grid Engine"),
        ({**FOUR, "cores": 1, "job_name": "my job"}, "job_name='my job': on Grid Engine"),
        ({**FOUR, "cores": 1, "job_name": "é"}, "job_name='é': on Grid Engine"),
        ({**FOUR, "cores": 1, "parallel_environment": "a b"}, "parallel_environment='a b' can't hold spaces"),
    ],
)
def test_what_is_reported_before_submission(keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        script(**keywords)


def test_cores_alone_get_one_slot_as_with_dask_jobqueue(caplog):
    found = directives(**FOUR)
    assert "-l h_vmem=10M" in found  # all of it for the one slot
    assert [line for line in found if line.startswith("-pe")] == []
    with SGECluster(**FOUR) as cluster:
        assert " --nworkers 4 " in cluster.job_script()
    assert "Jobs for 4 cores get one slot" in caplog.text
    assert "parallel_environment='smp'" in caplog.text


@pytest.mark.parametrize(
    "keywords",
    [
        {**FOUR, "parallel_environment": "smp"},
        {**FOUR, "job_extra": ["-pe smp 4"]},
        {**FOUR, "resource_spec": "m_mem_free=20G"},
        {**FOUR, "cores": 1},
    ],
)
def test_no_remark_about_slots_that_are_given(keywords, caplog):
    with SGECluster(**keywords):
        assert "slot" not in caplog.text


def test_the_site_names_what_it_has():
    settings = {"parallel-environment": "threaded", "memory-complex": "ram", "gpu-type-complex": "card"}
    with dask.config.set({f"jobqueue.sge.{key}": value for key, value in settings.items()}):
        found = directives(**FOUR, gpus=4, gpu_type="a100")
    assert {"-pe threaded 4", "-l ram=3M", "-l gpu=4", "-l card=a100"} <= found


# -- with the commands ---------------------------------------------------------------------------------------------


def queue_with(*names):
    return RecordedCommands(SGE, *(recorded("sge", name) for name in names))


def test_a_job_in_an_error_state_has_failed_and_is_deleted():
    queue = queue_with("states-elements", "composed-reasons-off", "stuck", "cancel-unknown-among")
    states = asyncio.run(queue.states(["24", "35.1", "35.2"]))
    assert (states["35.1"].state, states["35.1"].reason) == (FAILED, CHDIR)
    assert states["24"].state is PENDING
    assert queue.asked[2:] == [["qstat", "-j", "35"], ["qdel", "35.1-2"]], "jobs of others are left alone"
    assert asyncio.run(queue.detail("35.1")) is None, "qacct knows less"


def test_an_error_state_is_reported_again_if_deleting_had_no_answer():
    queue = queue_with("states-elements", "stuck", "submit-hung")
    with pytest.raises(Unavailable):
        asyncio.run(queue.states(["35.1"]))


@pytest.fixture
def quick(monkeypatch):
    """Let a second of waiting pass in no time."""
    passed = []

    async def sleep(seconds):
        passed.append(seconds)

    monkeypatch.setattr("jobclusters.batch.commands.asyncio.sleep", sleep)
    return passed


def test_details_are_waited_for(quick):
    queue = queue_with("detail-late", "detail-late", "detail-exit")
    assert asyncio.run(queue.detail("7")).exit_code == 3
    assert len(quick) == 2


def test_details_that_never_come_are_waited_for_once(monkeypatch):
    monkeypatch.setattr(Sge, "detail_delay", 0.0001)
    queue = queue_with(*["detail-late"] * 1000)

    async def ask():
        await queue.detail("7")
        monkeypatch.setattr(Sge, "detail_delay", 100 * PATIENCE)
        return await asyncio.wait_for(queue.detail("8"), PATIENCE)

    assert asyncio.run(ask()) is None


test_spot = check_spot(SGE, "{queue: spot.q}", ["#$ -q spot.q", "#$ -r y"])
test_settings = check_settings(SGE)
test_cluster_class = check_cluster_class(SGE, SGECluster)
