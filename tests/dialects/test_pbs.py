"""PBS's dialect on replies in tests/replies/pbs/, as OpenPBS 23.06 gives them.

In ``composed-*`` a recorded reply was changed: cut off, with a greeting, with what its manual or other versions have.
Of long replies some jobs, and attributes that no parser reads, were left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import replace
from datetime import datetime

import pytest

from jobclusters import InvalidRequest, PBSCluster, job_script
from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects.base import MOST_ID_CHARACTERS, Reply
from jobclusters.dialects.pbs import Pbs, PbsWithoutHistory
from jobclusters.errors import LongName, Refused, SubmitLimit, Unavailable
from jobclusters.registry.sweep import cancel_submissions
from jobclusters.state import JobState, JobStatus
from tests.helpers.pretend_pbs import calls, crashes, install, living
from tests.helpers.recorded import (
    REPLIES,
    RecordedCommands,
    check_array_refusals,
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
from tests.helpers.waiting import until

PBS = Pbs()
PENDING, RUNNING, CANCELLED, UNKNOWN = JobState.PENDING, JobState.RUNNING, JobState.CANCELLED, JobState.UNKNOWN
SMALL = {"cores": 1, "memory": "1 GB"}

test_submit = check_submit(PBS, (1, ["qsub"]), (2, ["qsub", "-J", "0-1"]), (500, ["qsub", "-J", "0-499"]))
test_ids = check_ids(
    PBS,
    [
        ("submit-id", 1, ["0.pbshost"]),
        ("submit-stdin", 1, ["22.pbshost"]),
        ("submit-array", 2, ["1[0].pbshost", "1[1].pbshost"]),
        ("composed-greeting", 1, ["12.pbshost"]),
    ],
)
test_refusals = check_refusals(
    PBS,
    [
        ("submit-queue", Refused, "Unknown queue"),
        ("submit-disabled", Refused, "Queue is not enabled"),
        ("submit-limits", Refused, "violates queue and/or server resource limits"),
        ("submit-walltime", Refused, "Illegal attribute or resource value Resource_List.walltime"),
        ("submit-resource", Refused, "Unknown resource: bogus"),
        ("submit-conflict", Refused, "cannot be used with"),
        ("submit-name", LongName, "illegal -N value"),
        ("submit-array-too-large", Refused, "exceeds server or queue size limit"),
        ("submit-limit-user", SubmitLimit, "would exceed queue generic's per-user limit"),
        ("submit-limit-group", SubmitLimit, "would exceed complex's per-group limit"),
        ("submit-limit-threshold", SubmitLimit, "would exceed complex's per-user limit of jobs in 'Q' state"),
        ("submit-limit-resource", SubmitLimit, "would exceed per-user limit on resource ncpus in complex"),
        ("submit-limit-queue", SubmitLimit, "Maximum number of jobs already in queue workq"),
        ("submit-limit-queuable", SubmitLimit, "Maximum number of jobs already in queue"),
        ("submit-down", Unavailable, "cannot connect to server"),
        ("composed-nothing", Unavailable, "no job id"),
    ],
)
test_array_refusals = check_array_refusals(PBS, ["submit-array-too-large"], ["submit-limits", "submit-limit-user"])


# The first four were recorded.
test_words_of_an_outage = check_outages(
    PBS,
    [
        "qsub: cannot connect to server pbshost (errno=15010)",
        "Couldn't connect to cluster: pbshost",
        "Connection refused",
        "Unknown Host.",
        "qsub: Communication failure.",
        "qsub: Server shutting down",
        "qsub: connection timed out",
    ],
)


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-21T{time}")


FAILED = JobState.FAILED
NEVER = "Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 16 T: 16)"
NEVER_ARRAY = "Can Never Run: Insufficient amount of resource: mem (R: 999gb A: 32gb T: 32gb)"

test_states = check_states(
    PBS,
    [
        ("states-unknown", {}),
        ("states-ended-not-asked-for", {}),
        ("states-running", {"0.pbshost": JobStatus(RUNNING, node="pbshost", submitted=at("07:33:25"))}),
        (
            "states-ended",
            {
                "7.pbshost": JobStatus(
                    FAILED,
                    exit_code=7,
                    node="pbshost",
                    submitted=at("07:33:25"),
                    started=at("07:33:26"),
                    ended=at("07:33:26"),
                )
            },
        ),
        (
            # [1] got a TERM, and takes its time. [3] was deleted before it ran. What begins last is no reason.
            "states-array",
            {
                "1[0].pbshost": JobStatus(
                    JobState.COMPLETED,
                    exit_code=0,
                    node="pbshost",
                    submitted=at("12:05:28"),
                    started=at("12:05:28"),
                    ended=at("12:05:30"),
                ),
                "1[1].pbshost": JobStatus(RUNNING, node="pbshost", submitted=at("12:05:28")),
                "1[2].pbshost": JobStatus(RUNNING, node="pbshost", submitted=at("12:05:28")),
                "1[3].pbshost": JobStatus(CANCELLED, submitted=at("12:05:28")),
                "1[4].pbshost": JobStatus(PENDING, submitted=at("12:05:28")),
                "1[10].pbshost": JobStatus(PENDING, submitted=at("12:05:28")),
            },
        ),
        (
            "states-never",
            {
                "2.pbshost": JobStatus(PENDING, reason=NEVER, submitted=at("12:05:54")),
                "3[0].pbshost": JobStatus(PENDING, reason=NEVER_ARRAY, submitted=at("12:05:54")),
                "3[1].pbshost": JobStatus(PENDING, reason=NEVER_ARRAY, submitted=at("12:05:54")),
                "4.pbshost": JobStatus(PENDING, reason="held", submitted=at("12:05:54")),
            },
        ),
        (  # comments of OpenPBS's source
            "composed-waiting",
            {
                f"{number}.pbshost": JobStatus(PENDING, reason=f"Not Running: {why}", submitted=at("12:05:54"))
                for number, why in (
                    (7, "Insufficient amount of resource: ncpus (R: 2 A: 1 T: 2)"),
                    (8, "Job would conflict with reservation or top job"),
                    (9, "User has reached server running job limit."),
                )
            },
        ),
        ("composed-environment", {"5.pbshost": JobStatus(RUNNING, submitted=at("07:33:25"))}),
    ],
)
test_no_information = check_no_information(PBS, ["states-down", "states-usage", "states-no-host", "find-down"])


@pytest.mark.parametrize("name", ["composed-nothing", "composed-lost-midway", "composed-cut-off", "states-no-history"])
def test_half_an_answer_is_no_information(name):
    with pytest.raises(Unavailable):
        PBS.parse_states(recorded("pbs", name))


def test_an_exit_status_of_0_is_not_believed_alone():
    """A server that is down gives JSON without jobs, too."""
    with pytest.raises(Unavailable):
        PBS.parse_states(replace(recorded("pbs", "states-down"), status=0))


def test_jobs_beside_unknown_ones():
    reply = recorded("pbs", "states-some-unknown")
    assert list(PBS.parse_states(reply)) == ["18.pbshost"]
    assert list(PBS.parse_states(replace(reply, err=f"\n{reply.err}\n \n"))) == ["18.pbshost"]


def test_no_json_at_all_about_unknown_jobs():
    """As older versions have it."""
    assert PBS.parse_states(replace(recorded("pbs", "states-unknown"), out="")) == {}


def test_what_json_does_not_allow_in_a_text():
    reply = recorded("pbs", "states-never")
    changed = replace(reply, out=reply.out.replace("Can Never Run: ", "Can Never Run:\t"))
    assert PBS.parse_states(changed)["2.pbshost"].reason.startswith("Can Never Run:\t")


@pytest.mark.parametrize(
    ("name", "job_id", "state", "exit_code", "signal"),
    [
        ("states-endings", "5", JobState.COMPLETED, 0, None),
        ("states-endings", "6", FAILED, 7, None),
        ("states-endings", "8", FAILED, None, 15),
        ("states-endings", "9", FAILED, None, 9),
        ("states-endings", "10", JobState.TIMEOUT, None, None),
        ("states-endings", "12", CANCELLED, None, None),  # before it ran
        ("states-endings", "13", CANCELLED, None, 15),
        ("states-endings", "16", FAILED, 254, None),  # no such shell
        ("states-memory", "46", JobState.OUT_OF_MEMORY, None, None),
        ("states-prologue", "50", FAILED, -2, None),
        ("states-array-over", "1[1]", CANCELLED, None, 15),
        ("states-array-over", "1[3]", CANCELLED, None, None),
        ("states-rerun-over", "19[0]", CANCELLED, None, 15),  # its exit status is 143, not 271
        ("states-exiting", "15", JobState.COMPLETING, None, None),
    ],
)
def test_endings(name, job_id, state, exit_code, signal):
    status = PBS.parse_states(recorded("pbs", name))[f"{job_id}.pbshost"]
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


@pytest.mark.parametrize(
    ("code", "state", "exit_code", "signal"),
    [
        ("-29", JobState.TIMEOUT, None, None),
        ("-28", JobState.TIMEOUT, None, None),
        ("-27", JobState.OUT_OF_MEMORY, None, None),
        ("-26", JobState.OUT_OF_MEMORY, None, None),
        ("-3", FAILED, -3, None),
        ("128", FAILED, 128, None),
        ("129", FAILED, None, 1),
        ("192", FAILED, None, 64),
        ("193", FAILED, 193, None),
        ("257", FAILED, None, 1),
    ],
)
def test_exit_statuses(code, state, exit_code, signal):
    """Of these -27 and -29 were recorded, in one of which the others are put here."""
    reply = recorded("pbs", "states-memory")
    (status,) = PBS.parse_states(replace(reply, out=reply.out.replace("-27", code))).values()
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


def test_an_end_without_an_exit_status_is_none_of_the_script():
    reply = recorded("pbs", "states-memory")
    (status,) = PBS.parse_states(replace(reply, out=reply.out.replace('"Exit_status"', '"Nothing"'))).values()
    assert status.state is CANCELLED


@pytest.mark.parametrize(
    ("word", "state"),
    [("Q", PENDING), ("H", PENDING), ("W", PENDING), ("T", PENDING), ("R", RUNNING), ("S", RUNNING), ("U", RUNNING), ("M", UNKNOWN)],
)  # fmt: skip
def test_state_words(word, state):
    """Of these Q, H and R were recorded; M is a job that moved to another server."""
    reply = recorded("pbs", "states-running")
    changed = replace(reply, out=reply.out.replace('"job_state":\t"R"', f'"job_state":\t"{word}"'))
    assert PBS.parse_states(changed)["0.pbshost"].state is state


def test_a_job_that_can_never_run_differs_from_one_that_waits():
    statuses = {
        **PBS.parse_states(recorded("pbs", "states-never")),
        **PBS.parse_states(recorded("pbs", "states-prologue")),
    }
    hopeless = [key for key, status in statuses.items() if status.state is PENDING and status.reason in PBS.never]
    assert hopeless == ["2.pbshost", "3[0].pbshost", "3[1].pbshost", "51.pbshost"]


def test_a_waiting_element_of_which_another_ended_has_a_reason_only_if_it_is_held():
    reply = recorded("pbs", "states-waiting-beside-ended")
    for out, reason in ((reply.out, "held"), (reply.out.replace('"Hold_Types":"u"', '"Hold_Types":"n"'), "")):
        states = PBS.parse_states(replace(reply, out=out)).values()
        assert [status.reason for status in states if status.state is PENDING] == [reason] * 3


def test_a_refusal_names_the_queue_that_was_asked_for():
    queue = RecordedCommands(PBS, recorded("pbs", "submit-queue"))
    with pytest.raises(Refused, match=r"Unknown queue \(it was asked for queue nosuch\)"):
        asyncio.run(queue.submit("#!/bin/sh\n#PBS -N x\n#PBS -q nosuch\n", 1))


def test_words_of_an_outage_in_a_comment_are_none():
    reply = recorded("pbs", "states-never")
    changed = replace(reply, out=reply.out.replace("Can Never Run", "prologue: Connection refused, timed out"))
    assert PBS.parse_states(changed)["2.pbshost"].state is PENDING


def test_reruns_are_counted_and_their_last_start_is_no_reason_to_wait():
    found = [PBS.parse_states(recorded("pbs", f"states-{name}"))["18.pbshost"] for name in ("requeued", "rerunning")]
    assert [(status.state, status.reason, status.restarts) for status in found] == [(PENDING, "", 1), (RUNNING, "", 1)]
    assert [status.ended for status in found] == [None, None], "the end is that of the last run"


def waiting(*ids):
    return {job_id: JobStatus(PENDING) for job_id in ids}


@pytest.mark.parametrize(
    ("ids", "listed", "words"),
    [
        (["8.s"], waiting("8.s"), [["8.s"]]),
        (["8.s", "9.s"], waiting("8.s", "9.s"), [["8.s", "9.s"]]),
        (["8.s", "9.s"], {**waiting("8.s"), "9.s": JobStatus(RUNNING)}, [["8.s"], ["9.s"]]),
        (["8.s", "9.s"], {**waiting("8.s"), "9.s": JobStatus(CANCELLED)}, [["8.s"]]),
        (["8.s", "9.s"], waiting("8.s"), [["8.s"]]),
        (["7[0].s"], waiting("7[0].s", "7[1].s"), [["7[0].s"]]),
        ([f"7[{index}].s" for index in range(500)], waiting(*(f"7[{index}].s" for index in range(500))), [["7[].s"]]),
        (
            [f"7[{index}].s" for index in range(500)],
            waiting(*(f"7[{index}].s" for index in range(501))),
            [["7[0-499].s"]],
        ),
        (
            ["7[1].s", "7[2].s"],
            {**waiting("7[1].s"), "7[2].s": JobStatus(RUNNING), "7[3].s": JobStatus(CANCELLED)},
            [["7[].s"]],
        ),
        (
            ["7[9].s", "7[2].s", "8.s", "7[0].s", "7[1].s"],
            waiting("7[9].s", "7[2].s", "8.s", "7[0].s", "7[1].s", "7[5].s"),
            [["8.s"], ["7[0-2].s"], ["7[9].s"]],
        ),
        (["7[0].s", "7[0].t", "6[0].s"], waiting("7[0].s", "7[0].t", "6[0].s"), [["7[].s"], ["7[].t"], ["6[].s"]]),
    ],
)
def test_cancel(ids, listed, words):
    assert PBS.cancel_argvs(ids, listed) == [["qdel", *each] for each in words]


def test_one_question_for_all():
    assert PBS.query_argv(["7[0].s", "7[1].s", "8.s"]) == ["qstat", "-x", "-t", "-f", "-F", "json", "7[].s", "8.s"]


def test_find():
    """Names are no secrets: others may have jobs of the same."""
    argv = ["qselect", "-x", "-T", "-N", "dask-worker-x-0", "-u", "alice"]
    assert PBS.find_argv("dask-worker-x-0", "alice") == argv
    found = PBS.parse_find(recorded("pbs", "find"), "dask-worker", "alice")
    assert list(found) == ["0.pbshost", *(f"1[{index}].pbshost" for index in range(11))]
    assert not any(status.state.ended for status in found.values())
    assert PBS.parse_find(recorded("pbs", "find-none"), "x", "alice") == {}
    with pytest.raises(Unavailable):
        PBS.parse_find(recorded("pbs", "find-no-history"), "x", "alice")


def test_an_array_itself_is_no_job_that_was_found():
    """Some versions list it, or put the server behind."""
    reply = Reply(("qselect",), 0, "7[].pbshost\n7[0].pbshost\n8.pbshost@pbshost\n")
    assert list(PBS.parse_find(reply, "x", "alice")) == ["7[0].pbshost", "8.pbshost"]


test_log_files = check_log_files(
    PBS,
    [
        ("12.s", None, ["dask.o12"]),
        ("12[3].s", None, ["dask.o12.3"]),
        ("12.s", "/my logs", ["/my logs/dask.out"]),
        ("12[3].s", "/my logs", ["/my logs/dask.3.out"]),
    ],
)
test_environment = check_environment(
    PBS,
    in_job={
        "PBS_JOBID": "7.s",
        "PBS_O_WORKDIR": "/home",
        "PBS_ARRAY_INDEX": "1",
        "PBS_NODEFILE": "/x",
        "PBS_QUEUE": "q",
    },
    stays={
        "PATH": "/bin",
        "PBS_CONF_FILE": "/etc/pbs.conf",
        "PBS_EXEC": "/opt/pbs",
        "PBS_SERVER": "s",
        "PBS_DEFAULT": "s",
        "PBS_ACCOUNT": "lab",
        "MY_PBS_X": "1",
    },
    misleads={"PBS_QSTAT_EXECONLY": "TRUE"},
    forbids={"PBS_DPREFIX": "#Q"},
)


# -- what is asked, and in which order -----------------------------------------------------------------------------


def test_only_listed_jobs_are_cancelled():
    """A queued id beside an unknown one makes pbs_server crash."""
    queue = RecordedCommands(PBS, recorded("pbs", "states-array"), Reply((), 0))
    ids = [*(f"1[{index}].pbshost" for index in (0, 1, 2, 3, 4, 10, 11)), "99999.pbshost"]
    asyncio.run(queue.cancel(ids))
    assert queue.asked[0][0] == "qstat"
    assert queue.asked[1:] == [["qdel", "1[].pbshost"]]


def test_elements_are_cancelled_in_commands_of_their_own():
    queue = RecordedCommands(PBS, recorded("pbs", "states-array"), Reply((), 0), Reply((), 0))
    asyncio.run(queue.cancel(["1[1].pbshost", "1[2].pbshost", "1[4].pbshost"]))
    assert queue.asked[1:] == [["qdel", "1[1-2].pbshost"], ["qdel", "1[4].pbshost"]]


# -- the server survives what we do --------------------------------------------------------------------------------

MATRIX = (REPLIES / "pbs" / "cancel-matrix.txt").read_text()


@pytest.mark.parametrize("case", re.findall(r"^CASE (\w) .*?: qdel (.*?) =>.*?ALIVE: (\w+)", MATRIX, re.MULTILINE))
def test_the_pretended_server_crashes_where_the_recorded_one_did(case):
    """It lived on over elements that ran, and over some that waited, of which it left one (k) where it was."""
    letter, words, alive = case
    jobs = dict.fromkeys(["2003.h-pbs", "3001.h-pbs", "4005[0]", "4006[0]"], "Q")
    unsafe = crashes([word.strip("'") for word in words.split()], jobs)
    assert unsafe is (letter not in "ci")
    assert unsafe or alive == "yes"


@pytest.fixture
def pbs(tmp_path, monkeypatch):
    """Put a PBS whose jobs wait for ever on the PATH."""
    directory = tmp_path / "pbs"
    directory.mkdir()
    install(directory)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield directory
    assert calls(directory, "qdel")
    assert living(directory) == []
    assert not json.loads((directory / "state").read_text())["down"]


def submitted(pbs, count):
    return until(lambda: len(living(pbs)) == count)


def test_a_cluster_of_waiting_jobs_shrinks_and_closes(pbs):
    with PBSCluster(cores=1, memory="300 MiB", processes=1) as cluster:
        for jobs in (2, 5, 9):
            cluster.scale(jobs=jobs)
            submitted(pbs, jobs)
        cluster.scale(jobs=4)
        submitted(pbs, 4)
    qdels = calls(pbs, "qdel")
    assert all(len(words) == 1 for words in qdels)
    assert any(words[0].endswith("[].pbshost") for words in qdels)


def test_the_janitor_leaves_the_server_alive(pbs):
    queue = BatchCommands(PBS)

    async def left_behind():
        one = await queue.submit("#PBS -N a\n", 1)
        two, lost = await queue.submit("#PBS -N b\n", 3), await queue.submit("#PBS -N c\n", 2)
        await queue.cancel(two[:1])
        assert len(lost) == 2
        return await cancel_submissions("pbs", {"a": one, "b": two, "c": []})

    assert asyncio.run(left_behind()) == []
    assert sorted(calls(pbs, "qdel")) == [["1.pbshost"], ["2[0].pbshost"], ["2[].pbshost"], ["3[].pbshost"]]


def test_a_dead_owners_heads_job_is_cancelled_alone(pbs):
    queue = BatchCommands(PBS)
    ids = asyncio.run(queue.submit("#PBS -N head\n", 1))
    asyncio.run(queue.cancel([*ids, "99.pbshost"]))
    assert calls(pbs, "qdel") == [ids]


def test_only_one_place_starts_commands_that_cancel():
    """So that what is known of qdel holds for engine, janitor, sweep, doctor and head."""
    sources = {path: path.read_text() for path in (REPLIES.parents[1] / "jobclusters").rglob("*.py")}
    callers = {path.name for path, text in sources.items() if re.search(r"\.cancel_argvs\(", text)}
    assert callers == {"commands.py", "batchsystem.py"}, "the doctor wants to know what the command is called"
    assert len(re.findall(r"cancel_argvs\(", sources[next(p for p in sources if p.name == "commands.py")])) == 1
    named = {path.name for path, text in sources.items() if re.search(r"[\"']qdel[\"']", text)}
    assert named == {"pbs.py", "torque.py", "sge.py"}


@pytest.mark.parametrize("name", ["states-unknown", "states-down"])
def test_nothing_is_cancelled_that_no_query_lists(name):
    queue = RecordedCommands(PBS, recorded("pbs", name))
    try:
        asyncio.run(queue.cancel(["99999.pbshost"]))
    except Unavailable:
        assert name == "states-down"
    assert len(queue.asked) == 1


def test_a_cancel_without_an_answer_is_said():
    queue = RecordedCommands(PBS, recorded("pbs", "states-running"), Reply(("qdel",), None))
    with pytest.raises(Unavailable):
        asyncio.run(queue.cancel(["0.pbshost"]))


def test_a_server_without_history_is_asked_without():
    queue = RecordedCommands(PBS, *(recorded("pbs", name) for name in ("states-no-history", "states-running", "find")))
    assert list(asyncio.run(queue.states(["0.pbshost"]))) == ["0.pbshost"]
    assert len(asyncio.run(queue.find("x"))) == 12
    assert [argv[:2] for argv in queue.asked] == [["qstat", "-x"], ["qstat", "-t"], ["qselect", "-T"]]
    assert type(queue.dialect) is PbsWithoutHistory


def test_a_server_without_history_is_known_by_its_answer_to_a_search_too():
    queue = RecordedCommands(PBS, recorded("pbs", "find-no-history"), recorded("pbs", "find-none"))
    assert asyncio.run(queue.find("x")) == {}
    assert queue.asked[1][:5] == ["qselect", "-T", "-N", "x", "-u"]


def test_many_ids_are_asked_for_in_parts():
    ids = [f"{number}.pbshost" for number in range(10_000)]
    queue = RecordedCommands(PBS, *[recorded("pbs", "states-running")] * 2)
    assert list(asyncio.run(queue.states(ids))) == ["0.pbshost"]
    assert [job_id for argv in queue.asked for job_id in argv if job_id.endswith(".pbshost")] == ids
    assert all(len(" ".join(argv)) < MOST_ID_CHARACTERS + 100 for argv in queue.asked)


# -- keywords and settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my job", "-x", "#x", "a'b", "é", "a^b"])
def test_names_that_qsub_would_refuse(name):
    with pytest.raises(InvalidRequest, match=r"job_name=.* on PBS it holds only letters"):
        job_script("pbs", **SMALL, job_name=name)


@pytest.mark.parametrize("walltime", ["UNLIMITED", "1:00:00:00", "10x"])
def test_walltimes_that_qsub_would_refuse(walltime):
    with pytest.raises(InvalidRequest, match="walltime"):
        job_script("pbs", **SMALL, walltime=walltime)


@pytest.mark.parametrize(
    ("walltime", "rendered"),
    [("90", "00:01:30"), ("10:00", "00:10:00"), ("10m", "00:10:00"), ("1-00:00:00", "24:00:00")],
)
def test_walltimes_are_printed_whole(walltime, rendered):
    assert f"#PBS -l walltime={rendered}\n" in job_script("pbs", **SMALL, walltime=walltime)


@pytest.mark.parametrize(
    ("skip", "gone"),
    [
        ("-l walltime", ["walltime=00:30:00"]),
        ("-l walltime=00:30:00", ["walltime=00:30:00"]),
        ("-l select", ["select=1:ncpus=1:mem=954mb"]),
        ("-lselect", ["select=1:ncpus=1:mem=954mb"]),
        ("-l", ["select=1:ncpus=1:mem=954mb", "walltime=00:30:00"]),
        ("walltime", ["walltime=00:30:00"]),
        ("-l walltime=01:00:00", []),
        ("-l wall", []),
    ],
)
def test_one_of_several_directives_of_a_kind_is_skipped(skip, gone):
    kept = job_script("pbs", **SMALL, job_directives_skip=[skip])
    lost = [line for line in job_script("pbs", **SMALL).splitlines() if line not in kept.splitlines()]
    assert lost == [f"#PBS -l {value}" for value in gone]


def test_resource_spec_of_the_configuration_is_for_calls_without_a_size(configure):
    configure("jobqueue: {pbs: {resource-spec: 'select=1:ncpus=24:mem=100gb', cores: 24, memory: 100 GB}}")
    assert "#PBS -l select=1:ncpus=24:mem=100gb\n" in job_script("pbs")
    assert "#PBS -l select=1:ncpus=2:mem=15259mb\n" in job_script("pbs", worker_size="large")


@pytest.mark.parametrize(
    ("settings", "keywords", "account"),
    [
        ("", {}, "surrounding"),
        ("jobqueue: {pbs: {account: configured}}", {}, "configured"),
        ("jobqueue: {pbs: {project: old}}", {}, "old"),
        ("", {"account": "given"}, "given"),
        ("", {"project": "given"}, "given"),
    ],
)
def test_the_account_may_stand_in_the_environment(configure, monkeypatch, settings, keywords, account):
    monkeypatch.setenv("PBS_ACCOUNT", "surrounding")
    configure(settings)
    assert f"#PBS -A {account}\n" in job_script("pbs", **SMALL, **keywords)


test_spot = check_spot(PBS, "{queue: preemptable}", ["#PBS -q preemptable", "#PBS -r y"])
test_settings = check_settings(PBS)
test_cluster_class = check_cluster_class(PBS, PBSCluster)


def test_output_can_be_asked_for_at_once():
    """Not by default: PBS before 18, and TORQUE, refuse it."""
    assert "#PBS -k oed\n" in job_script("pbs", **SMALL, job_extra_directives=["-k oed"])
