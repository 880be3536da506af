"""PBS's dialect on replies in tests/replies/pbs/.

``submit-*``, ``states-*`` and ``find-down`` are OpenPBS 23.06's own; ``composed-*`` put values that were recorded into
the recorded format, and words from its manual and its messages where none could be recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from jobclusters import InvalidRequest, PBSCluster, config, job_script
from jobclusters.commandqueue import LONGEST, CommandQueue
from jobclusters.dialect import Reply
from jobclusters.dialects.pbs import Pbs, PbsWithoutHistory
from jobclusters.errors import QueueError, Refused, SubmitLimit, Unavailable
from jobclusters.state import JobState, JobStatus

PBS = Pbs()
PENDING, RUNNING, UNKNOWN = JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN
SMALL = {"cores": 1, "memory": "1 GB"}


def recorded(name: str, system: str = "pbs") -> Reply:
    """Read a reply: its first line is ``$ command``, its last ``rc=``; lines of stderr begin with ``ERR|``."""
    file = Path(__file__).parent / "replies" / system / f"{name}.txt"
    first, *lines, last = file.read_text().splitlines()
    err = "\n".join(line.removeprefix("ERR|") for line in lines if line.startswith("ERR|"))
    out = "\n".join(line for line in lines if not line.startswith("ERR|"))
    return Reply(tuple(first.removeprefix("$ ").split()), int(last.removeprefix("rc=")), out, err)


class Told:
    """A batch system that gives prepared replies, and remembers what it was asked."""

    def __init__(self, monkeypatch, queue, *replies):
        self.asked: list[list[str]] = []
        self.replies = list(replies)
        monkeypatch.setattr(queue, "_run", self.run)

    async def run(self, argv, stdin=None):
        self.asked.append(list(argv))
        return self.replies.pop(0)


@pytest.mark.parametrize(
    ("name", "count", "ids"),
    [
        ("submit-id", 1, ["0.pbshost"]),
        ("submit-stdin", 1, ["22.pbshost"]),
        ("submit-array", 3, ["1[0].pbshost", "1[1].pbshost", "1[2].pbshost"]),
        ("composed-greeting", 1, ["12.pbshost"]),
    ],
)
def test_ids(name, count, ids):
    assert PBS.parse_submit(recorded(name), count) == ids


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("submit-queue", Refused, "Unknown queue"),
        ("submit-disabled", Refused, "Queue is not enabled"),
        ("submit-limits", Refused, "violates queue and/or server resource limits"),
        ("submit-walltime", Refused, "Illegal attribute or resource value Resource_List.walltime"),
        ("submit-resource", Refused, "Unknown resource: bogus"),
        ("submit-conflict", Refused, "cannot be used with"),
        ("submit-name", Refused, "illegal -N value"),
        ("composed-array-too-large", Refused, "exceeds server or queue size limit"),
        ("composed-too-many", SubmitLimit, "would exceed queue workq's per-user limit"),
        ("submit-down", Unavailable, "cannot connect to server"),
        ("composed-nothing", Unavailable, "no job id"),
    ],
)
def test_no_ids(name, error, words):
    """Refused is sure to have made no job; after Unavailable there may be one."""
    with pytest.raises(QueueError, match=words) as caught:
        PBS.parse_submit(recorded(name), 2)
    assert type(caught.value) is error


def test_a_timeout_says_nothing():
    with pytest.raises(Unavailable):
        PBS.parse_submit(Reply(("qsub",), None), 1)


def test_an_array_that_is_too_large_can_be_told_from_other_refusals():
    said = {name: str(PBS.failure(recorded(name))) for name in ("composed-array-too-large", "submit-limits")}
    assert [name for name, text in said.items() if any(words in text for words in PBS.array_words)] == [
        "composed-array-too-large"
    ]


def at(second: int, minute: int = 33) -> datetime:
    return datetime(2026, 11, 21, 7, minute, second)


NEVER = "Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 16 T: 16)"
NEVER_ARRAY = "Can Never Run: Insufficient amount of resource: mem (R: 999gb A: 32gb T: 32gb)"


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("states-unknown", {}),
        ("states-ended-not-asked-for", {}),
        ("states-running", {"0.pbshost": JobStatus(RUNNING, node="pbshost", submitted=at(25))}),
        (
            "states-ended",
            {
                "7.pbshost": JobStatus(
                    JobState.FAILED, exit_code=7, node="pbshost", submitted=at(25), started=at(26), ended=at(26)
                )
            },
        ),
        (
            "composed-array",
            {
                "1[0].pbshost": JobStatus(RUNNING, node="pbshost", submitted=at(25)),
                "1[1].pbshost": JobStatus(JobState.COMPLETED, exit_code=0, node="n2", submitted=at(25), started=at(26)),
                "1[2].pbshost": JobStatus(JobState.COMPLETING, node="n2", submitted=at(25)),
                "1[10].pbshost": JobStatus(PENDING, submitted=at(25)),
            },
        ),
        (
            "composed-never",
            {
                "9.pbshost": JobStatus(PENDING, reason=NEVER, submitted=at(25)),
                "2[0].pbshost": JobStatus(PENDING, reason=NEVER_ARRAY, submitted=at(25)),
                "19.pbshost": JobStatus(PENDING, submitted=at(25)),
            },
        ),
        ("composed-some-unknown", {"0.pbshost": JobStatus(RUNNING, submitted=at(25))}),
        ("composed-environment", {"5.pbshost": JobStatus(RUNNING, submitted=at(25))}),
    ],
)
def test_states(name, states):
    assert PBS.parse_states(recorded(name)) == states


@pytest.mark.parametrize(
    "name",
    [
        "composed-nothing",
        "states-down",
        "states-usage",
        "states-no-host",
        "composed-lost-midway",
        "composed-cut-off",
        "composed-no-history",
    ],
)
def test_no_answer_is_no_information(name):
    """A server that is down gives JSON without jobs, too."""
    with pytest.raises(Unavailable):
        PBS.parse_states(recorded(name))


def test_an_exit_status_of_0_is_not_believed_alone():
    with pytest.raises(Unavailable):
        PBS.parse_states(replace(recorded("states-down"), status=0))


@pytest.mark.parametrize(
    ("job_id", "state", "exit_code", "signal"),
    [
        ("31", JobState.COMPLETED, 0, None),
        ("32", JobState.FAILED, 7, None),
        ("33", JobState.CANCELLED, None, 15),
        ("34", JobState.FAILED, None, 9),
        ("35", JobState.TIMEOUT, None, None),
        ("36", JobState.OUT_OF_MEMORY, None, None),
        ("37", JobState.CANCELLED, None, None),
        ("38", JobState.FAILED, -3, None),
        ("39", UNKNOWN, None, None),
        ("40", UNKNOWN, None, None),
        ("41", UNKNOWN, None, None),
    ],
)
def test_endings(job_id, state, exit_code, signal):
    status = PBS.parse_states(recorded("composed-endings"))[f"{job_id}.pbshost"]
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)


@pytest.mark.parametrize(
    ("word", "state"),
    [("Q", PENDING), ("H", PENDING), ("W", PENDING), ("T", PENDING), ("R", RUNNING), ("S", RUNNING), ("U", RUNNING)],
)
def test_state_words(word, state):
    reply = Reply((), 0, f'{{"Jobs": {{"1.s": {{"job_state": "{word}"}}}}}}')
    assert PBS.parse_states(reply) == {"1.s": JobStatus(state)}


def test_a_job_that_can_never_run_is_told_from_one_that_waits():
    statuses = PBS.parse_states(recorded("composed-never"))
    assert [key for key, status in statuses.items() if status.reason in PBS.never] == ["9.pbshost", "2[0].pbshost"]


def test_words_of_an_outage_in_a_comment_are_none():
    reply = Reply((), 0, '{"Jobs": {"1.s": {"job_state": "H", "comment": "prologue: Connection refused, timed out"}}}')
    assert PBS.parse_states(reply)["1.s"].state is PENDING


def test_reruns_are_counted():
    reply = Reply((), 0, '{"Jobs": {"1.s": {"job_state": "R", "run_count": 3}}}')
    assert PBS.parse_states(reply)["1.s"].restarts == 2


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["8.s"], ["8.s"]),
        (["7[0].s"], ["7[0].s"]),
        ([f"7[{index}].s" for index in range(500)], ["7[0-499].s"]),
        (["7[9].s", "7[2].s", "8.s", "7[0].s", "7[1].s"], ["7[0-2].s", "7[9].s", "8.s"]),
        (["7[10].s", "7[9].s", "7[9].t", "6[9].s"], ["7[9-10].s", "7[9].t", "6[9].s"]),
    ],
)
def test_cancel_in_ranges(ids, words):
    assert PBS.cancel_argv(ids) == ["qdel", *words]


def test_one_question_for_all():
    assert PBS.query_argv(["7[0].s", "7[1].s", "8.s"]) == ["qstat", "-x", "-t", "-f", "-F", "json", "7[].s", "8.s"]


@pytest.mark.parametrize(("count", "argv"), [(1, ["qsub"]), (5, ["qsub", "-J", "0-4"])])
def test_submit(count, argv):
    assert PBS.submit_argv(count) == argv


def test_find():
    assert PBS.find_argv("dask-worker-x-0") == ["qselect", "-x", "-T", "-N", "dask-worker-x-0"]
    found = PBS.parse_find(recorded("composed-find"), "dask-worker-x-0")
    assert list(found) == ["7[0].pbshost", "7[1].pbshost", "8.pbshost"], "the array itself is no job"
    assert not any(status.state.ended for status in found.values())
    assert PBS.parse_find(recorded("composed-find-none"), "x") == {}
    with pytest.raises(Unavailable):
        PBS.parse_find(recorded("find-down"), "x")


@pytest.mark.parametrize(
    ("job_id", "directory", "file"),
    [
        ("12.s", None, "dask.o12"),
        ("12[3].s", None, "dask.o12.3"),
        ("12.s", "/my logs", "/my logs/dask.out"),
        ("12[3].s", "/my logs", "/my logs/dask.3.out"),
    ],
)
def test_log_files(job_id, directory, file):
    assert PBS.log_files(job_id, directory, "dask") == [file]


IN_JOB = {"PBS_JOBID": "7.s", "PBS_O_WORKDIR": "/home", "PBS_ARRAY_INDEX": "1"}
STAYS = {"PATH": "/bin", "PBS_CONF_FILE": "/etc/pbs.conf", "PBS_SERVER": "s", "MY_PBS_X": "1"}


@pytest.mark.parametrize(
    ("environ", "left"),
    [({**STAYS, **IN_JOB}, STAYS), ({**STAYS, "PBS_DPREFIX": "#P"}, {**STAYS, "PBS_DPREFIX": "#P"}), ({}, {})],
)
def test_a_surrounding_job_does_not_leak(environ, left):
    assert PBS.environment(environ) == left


# -- what is asked, and in which order -----------------------------------------------------------------------------


def test_only_listed_jobs_are_cancelled_and_waiting_ones_apart(monkeypatch):
    """A queued id beside an unknown one makes pbs_server crash."""
    queue = CommandQueue(PBS)
    told = Told(monkeypatch, queue, recorded("composed-array"), Reply((), 0), Reply((), 0))
    ids = ["1[0].pbshost", "1[1].pbshost", "1[2].pbshost", "1[10].pbshost", "1[11].pbshost", "99999.pbshost"]
    asyncio.run(queue.cancel(ids))
    assert told.asked[0][0] == "qstat"
    assert told.asked[1:] == [["qdel", "1[10].pbshost"], ["qdel", "1[0].pbshost", "1[2].pbshost"]]


def test_nothing_is_cancelled_that_no_query_lists(monkeypatch):
    queue = CommandQueue(PBS)
    told = Told(monkeypatch, queue, recorded("states-unknown"))
    asyncio.run(queue.cancel(["99999.pbshost"]))
    assert len(told.asked) == 1


def test_nothing_is_cancelled_while_the_server_is_silent(monkeypatch):
    queue = CommandQueue(PBS)
    told = Told(monkeypatch, queue, recorded("states-down"))
    with pytest.raises(Unavailable):
        asyncio.run(queue.cancel(["1.pbshost"]))
    assert len(told.asked) == 1


def test_a_cancel_without_an_answer_is_said(monkeypatch):
    queue = CommandQueue(PBS)
    Told(monkeypatch, queue, recorded("states-running"), Reply(("qdel",), None))
    with pytest.raises(Unavailable):
        asyncio.run(queue.cancel(["0.pbshost"]))


def test_a_server_without_history_is_asked_without(monkeypatch):
    queue = CommandQueue(PBS)
    told = Told(
        monkeypatch, queue, recorded("composed-no-history"), recorded("states-running"), recorded("composed-find")
    )
    assert list(asyncio.run(queue.states(["0.pbshost"]))) == ["0.pbshost"]
    assert list(asyncio.run(queue.find("x"))) == ["7[0].pbshost", "7[1].pbshost", "8.pbshost"]
    assert [argv[:2] for argv in told.asked] == [["qstat", "-x"], ["qstat", "-t"], ["qselect", "-T"]]
    assert type(queue.dialect) is PbsWithoutHistory


def test_many_ids_are_asked_for_in_parts(monkeypatch):
    queue = CommandQueue(PBS)
    ids = [f"{number}.pbshost" for number in range(10_000)]
    told = Told(monkeypatch, queue, *[recorded("states-running")] * 2)
    assert list(asyncio.run(queue.states(ids))) == ["0.pbshost"]
    assert [job_id for argv in told.asked for job_id in argv if job_id.endswith(".pbshost")] == ids
    assert all(len(" ".join(argv)) < LONGEST + 100 for argv in told.asked)


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


def test_spot_asks_for_the_queue_of_the_configuration(configure):
    configure("jobclusters: {spot: {pbs: {queue: preemptable}}}")
    script = job_script("pbs", **SMALL, worker_is_spot=True)
    assert "#PBS -q preemptable\n" in script
    assert "#PBS -r y\n" in script


def test_every_setting_of_dask_jobqueue_is_known(caplog):
    config._warn_of.cache_clear()  # it says each thing once
    config.site(PBS)
    assert not caplog.records


def test_the_cluster_class():
    assert PBSCluster.dialect.name == PBSCluster.job_cls.dialect.name == "pbs"
    assert PBSCluster.job_cls.config_name == "pbs"
