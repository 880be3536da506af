"""OAR's dialect on replies in tests/replies/oar/, as 2.6.1 gives them.

Of ``detail-*`` and ``successors`` some were put together of what was seen of these jobs, ``states-database-down`` and
``submit-after-an-outage`` of a command's lines.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobclusters import OARCluster, job_script
from jobclusters.batch import shell
from jobclusters.config.call import read_call
from jobclusters.dialects.base import Reply
from jobclusters.dialects.oar import Oar
from jobclusters.errors import InvalidRequest, Refused, Unavailable
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
    check_refusals,
    check_settings,
    check_spot,
    check_states,
    check_submit,
    recorded,
)
from tests.helpers.waiting import until

OAR = Oar()
SMALL = {"cores": 1, "memory": "1 GB", "memory_per_core_property_name": "memcore"}
PENDING, RUNNING, FAILED = JobState.PENDING, JobState.RUNNING, JobState.FAILED
CANCELLED, TIMEOUT, PREEMPTED = JobState.CANCELLED, JobState.TIMEOUT, JobState.PREEMPTED

test_submit = check_submit(OAR, (1, ["oarsub"]), (2, ["oarsub", "--array", "2"]))
test_ids = check_ids(
    OAR,
    [
        ("submit", 1, ["5"]),
        ("submit-array", 3, ["11", "12", "13"]),
        ("submit-besteffort", 1, ["21"]),  # admission rules precede it
        ("submit-scheduler-hangs", 1, ["1178"]),
        ("submit-after-an-outage", 1, ["1266"]),
    ],
)
test_refusals = check_refusals(
    OAR,
    [
        ("submit-scheduler-dead", Unavailable, r"(?s)cannot connect to executor.*it printed 1 of 2 job ids"),
        ("submit", Unavailable, "it printed 1 of 2 job ids"),
        (Reply(("oarsub",), 0, "[ADMISSION RULE] Set default walltime to 7200.\n"), Unavailable, "no job id"),
        ("states-database-down", Unavailable, "Connection refused"),
        ("submit-too-large", Refused, "There are not enough resources for your request"),
        ("submit-property", Refused, 'column "nosuch" does not exist'),
        ("submit-resource", Refused, "Bad resource request"),
        ("submit-resource-unreadable", Refused, "cannot recognize the resource description: core=abc"),
        ("submit-walltime", Refused, "cannot recognize -- ,walltime=abc"),
        ("submit-queue", Refused, "queue 'nosuch' does not exist"),
        ("submit-group", Refused, "Only member of the group admin"),
        ("submit-job-type", Refused, "unknown job type: nosuch"),
        ("submit-option", Refused, "Unknown option: bogus"),
        ("submit-array-of-none", Refused, "must have a positive number of sub-jobs"),
        ("submit-name", Refused, "please verify your job submission syntax"),
        ("submit-no-script", Refused, "Usage"),
    ],
)
test_array_refusals = check_array_refusals(OAR, [], ["submit-too-large", "submit-array-of-none"])


def test_an_error_does_not_hold_the_script():
    reply = replace(recorded("oar", "submit-queue"), argv=("oarsub", "-q", "nosuch", "exec bash -c 'one\ntwo'"))
    assert str(OAR.failure(reply)).startswith("oarsub -q nosuch ... failed with exit status 248: # Error: queue")


# -- the script --------------------------------------------------------------------------------------------------------


def test_the_script_is_an_argument_and_its_directives_are_options(tmp_path):
    text = job_script("oar", **SMALL, log_directory="/my logs", shebang="#!/usr/bin/env -S bash -e")
    queue = RecordedCommands(OAR, recorded("oar", "submit-array"))
    assert asyncio.run(queue.submit(text, 3)) == ["11", "12", "13"]
    ((*options, inline),) = queue.asked
    assert options == [
        *("oarsub", "--array", "3", "-n", "dask-worker", "-l", "/nodes=1/core=1,walltime=00:30:00", "-p", "memcore>=954"),
        *("-O", "/my logs/dask-worker-%jobid%.out", "-E", "/my logs/dask-worker-%jobid%.err"),
        *("--checkpoint", "30", "--signal", "12"),
    ]  # fmt: skip
    assert inline.startswith("exec /usr/bin/env -S bash -e -c ")
    assert shlex.split(inline)[-1] == text


@pytest.mark.parametrize("first", ["#!/usr/bin/env bash", "#!/bin/sh", "#", "echo no first line"])
def test_the_users_shell_hands_the_script_to_the_one_of_its_first_line(first):
    """OAR runs it with the user's login shell: zsh, say, would not split words."""
    text = f"{first}\nwords='a  b'\nfor word in $words; do echo \"it's $word\"; done\n"
    (*_, inline) = OAR.submit_file_argv(1, "", text)
    done = subprocess.run(["bash", "-c", inline], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("it's a\nit's b\n")


def test_a_directive_that_no_shell_could_read_is_refused():
    with pytest.raises(Refused, match="a directive of the script can't be read"):
        asyncio.run(RecordedCommands(OAR).submit("#!/bin/sh\n#OAR -p 'x\n", 1))


def directives(**keywords):
    lines = job_script("oar", **keywords).splitlines()
    return [line.removeprefix("#OAR ") for line in lines if line.startswith("#OAR ")]


@pytest.mark.parametrize(
    ("walltime", "resources", "checkpoint"),
    [
        ("90", "walltime=90:00:00", 60),  # OAR counts hours
        ("0:10", "walltime=00:10:00", 10),
        ("1:90", "walltime=02:30:00", 60),
        (timedelta(minutes=1), "walltime=00:01:00", 6),
    ],
)
def test_a_walltime_is_read_as_oar_reads_it_and_jobs_are_warned_of_its_end(walltime, resources, checkpoint):
    found = directives(**SMALL, walltime=walltime)
    assert f"-l /nodes=1/core=1,{resources}" in found
    assert f"--checkpoint {checkpoint}" in found


def test_there_is_no_job_without_an_end():
    with pytest.raises(InvalidRequest, match="OAR has no word for that"):
        job_script("oar", **SMALL, walltime="unlimited")


def test_a_walltime_in_resource_spec_wins_and_is_known():
    text = job_script("oar", **SMALL, resource_spec="/nodes=1/core=4,walltime=2", walltime="10:00:00")
    assert "#OAR -l /nodes=1/core=4,walltime=02:00:00\n" in text
    assert "LIFETIME" in text
    assert "-l /nodes=1/core=4,walltime=0" in directives(**SMALL, resource_spec="/nodes=1/core=4,walltime=0")


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (["-l {mem > 1}/nodes=1/core=4"], '-l "{mem > 1}/nodes=1/core=4,walltime=00:30:00"'),
        (["--resource=/nodes=1/core=4,walltime=2"], "-l /nodes=1/core=4,walltime=02:00:00"),
        (["-l walltime=2"], "-l /nodes=1/core=1,walltime=02:00:00"),
    ],
)
def test_a_request_of_the_users_own_replaces_ours_but_for_the_walltime(own, line):
    """Two would be alternatives."""
    assert [each for each in directives(**SMALL, job_extra_directives=own) if "core=" in each] == [line]


@pytest.mark.parametrize(
    ("keywords", "properties"),
    [
        ({"memory_per_core_property_name": "not_applicable"}, []),
        ({"memory_per_core_property_name": "mem_core", "cores": 8, "memory": "8GiB"}, ["mem_core>=1024"]),
        (
            {"job_extra_directives": ["-p gpu_count=1"], "memory": "28MiB", "cores": 5},
            ['"(gpu_count=1) AND memcore>=6"'],
        ),
        (
            {"job_extra_directives": ['--property="a = 1 OR b = 2"'], "memory_per_core_property_name": "not_applicable"},
            ['"a = 1 OR b = 2"'],
        ),
        (
            {"gpus": 2, "gpu_type": "it's", "gpu_type_property": "gpu_model"},
            ["\"memcore>=954 AND gpu_model='it''s'\""],
        ),
    ],
)  # fmt: skip
def test_one_line_asks_for_all_properties(keywords, properties):
    """OAR takes the last of several."""
    if "gpu_type" in keywords:
        keywords = {**keywords, "gpu_type": "it-s"}
        properties = [each.replace("it''s", "it-s") for each in properties]
    found = directives(**{**SMALL, **keywords})
    assert [line.partition(" ")[2] for line in found if line.startswith(("-p", "--property"))] == properties


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        (
            {"job_extra_directives": ["-l core=1", "-l core=2"]},
            "several -l, which OAR takes for alternatives: give one",
        ),
        ({"job_name": "two words"}, "on OAR it holds only letters, digits and _ . -"),
        ({"job_name": "it's"}, "on OAR it holds only"),
        ({"memory_per_core_property_name": "1=1 OR x"}, "is no name of a property: `oarnodes` lists them"),
        ({"gpus": 1, "gpu_type": "v100"}, "say by gpu_type_property= in which property the site has it"),
        ({"log_directory": "/it's"}, "can't hold '"),
    ],
)
def test_what_oar_would_misread_is_refused(keywords, words):
    with pytest.raises(InvalidRequest, match=words):
        job_script("oar", **{**SMALL, **keywords})


@pytest.mark.parametrize(("name", "remarks"), [(None, 1), ("not_applicable", 0), ("memcore", 0)])
def test_a_call_whose_jobs_ask_for_no_memory_is_remarked_upon(name, remarks):
    found = read_call(OAR, {**SMALL, "memory_per_core_property_name": name}).remarks
    assert [each.count("memory_per_core_property_name=") for each in found] == [1] * remarks


def test_gpus_bring_their_cores():
    assert "-l /nodes=1/gpu=2,walltime=00:30:00" in directives(**SMALL, gpus=2)
    assert "-l /nodes=1/gpudevice=2,walltime=00:30:00" in directives(**SMALL, gpus=2, gpu_property="gpudevice")


# -- states ------------------------------------------------------------------------------------------------------------

test_states = check_states(
    OAR,
    [
        ("states-unknown", {}),
        ("states-running", {"42": JobStatus(RUNNING)}),
        ("states-some-unknown", {"42": JobStatus(RUNNING), "43": JobStatus(RUNNING)}),
        ("states-held", {**dict.fromkeys(["46", "47", "48", "49"], JobStatus(RUNNING)), "50": JobStatus(PENDING, "held")}),
        ("states-deleted", dict.fromkeys(["46", "47", "48", "49", "50"], JobStatus(FAILED))),
        ("states-launching", {"59": JobStatus(RUNNING), "60": JobStatus(RUNNING), "61": JobStatus(PENDING)}),
    ],
)  # fmt: skip
test_no_information = check_no_information(
    OAR,
    [
        "states-database-down",
        "states-no-id",
        "states-option",
        "find-bad-sql",  # with exit status 0
        Reply(("oarstat",), 0, "{}\n", "DBD::Pg::st execute failed: server closed the connection unexpectedly"),
        Reply(("oarstat",), 0, '{\n   "42" : "Run'),
        Reply(("oarstat",), 0, '{"²": "Running"}'),
        Reply(("oarstat",), 0, "[]"),
    ],
)


def test_an_empty_answer_to_a_question_for_states_is_none():
    with pytest.raises(Unavailable, match="can't be read"):
        OAR.parse_states(recorded("oar", "states-nothing"))


@pytest.mark.parametrize(
    ("word", "state"),
    [("Finishing", JobState.COMPLETING), ("Terminated", FAILED), ("Suspended", RUNNING), ("Odd", JobState.UNKNOWN)],
)
def test_words_of_states(word, state):
    assert OAR.parse_states(Reply((), 0, json.dumps({"1": word})))["1"].state is state


def test_questions():
    assert OAR.query_argv(["1", "2"]) == ["oarstat", "-s", "-J", "-j", "1", "-j", "2"]
    condition = "job_name = 'c-1' and job_user = 'o''hara'"
    assert OAR.find_argv("c-1", "o'hara") == ["oarstat", "--format", "2", "--sql", condition]
    assert OAR.successors_argv(["1", "2"]) == ["oarstat", "-J", "--sql", "resubmit_job_id in (1, 2)"]


def test_why_jobs_wait():
    waiting, held = JobStatus(PENDING), JobStatus(PENDING, "held")
    states = {"1": waiting, "2": JobStatus(RUNNING), "3": held, "1272": waiting}
    asked = ["oarstat", "--format", "2", "--sql", "job_id in (1, 1272)"]
    assert OAR.reasons_argv(states) == asked
    assert OAR.reasons_argv({"2": JobStatus(RUNNING)}) == []
    queue = RecordedCommands(OAR, answer(j1="Waiting", j1272="Waiting"), recorded("oar", "find-waiting"))
    no_slot = JobStatus(PENDING, "No enough matching resources (no_matching_slot)")
    assert ask(queue, ["1", "1272"]) == [{"1": waiting, "1272": no_slot}]
    assert queue.asked[1] == asked
    assert OAR.parse_reasons(recorded("oar", "find-many")) == OAR.parse_reasons(recorded("oar", "states-option")) == {}


def test_find_reads_the_table():
    def found(name):
        return {job: status.state for job, status in OAR.parse_find(recorded("oar", name), "c-1", "alice").items()}

    assert found("find") == {"42": RUNNING}
    assert found("find-none") == {}
    assert found("find-ended") == {"46": FAILED}
    assert len(found("find-many")) == 18
    assert found("find-many")["12"] is JobState.COMPLETING
    assert found("find-scheduler-hangs")["1178"] is PENDING


# -- details -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state", "reason", "exit_code", "signal"),
    [
        ("running", RUNNING, "", None, None),
        ("waiting", PENDING, "", None, None),
        ("done", JobState.COMPLETED, "", 0, None),
        ("exit", FAILED, "", 3, None),
        ("no-interpreter", FAILED, "", 127, None),
        ("killed", FAILED, "", None, 9),
        ("deleted", CANCELLED, "FRAG_JOB_REQUEST: User alice requested to frag the job 46", None, None),
        ("walltime", TIMEOUT, "WALLTIME: Job [60] reached its walltime", None, None),
        ("walltime-warned", TIMEOUT, "WALLTIME: Job [61] reached its walltime", None, None),
        ("besteffort", PREEMPTED, "BESTEFFORT_KILL: kill the besteffort job 62", None, None),
        ("besteffort-warned", PREEMPTED, "", None, 12),
        ("resubmitted", PREEMPTED, "BESTEFFORT_KILL: kill the besteffort job 64", None, None),
        ("output-file", FAILED, "OUTPUT_FILES: Cannot create .stdout and .stderr files in /home/alice on the node n1", None, None),
        ("work-directory", FAILED, "WORKING_DIRECTORY: Cannot go into the working directory /nope of the job on node n1", None, None),
    ],
)  # fmt: skip
def test_details(name, state, reason, exit_code, signal):
    status = OAR.parse_detail(recorded("oar", f"detail-{name}"))
    assert (status.state, status.exit_code, status.signal) == (state, exit_code, signal)
    assert status.reason.startswith(reason)
    assert bool(status.reason) is bool(reason)
    assert (status.node == "n1") is (name != "waiting")


def changed(name, **fields):
    reply = recorded("oar", name)
    ((job_id, job),) = json.loads(reply.out).items()
    return replace(reply, out=json.dumps({job_id: {**job, **fields}}))


def test_when_a_job_ran():
    status = OAR.parse_detail(recorded("oar", "detail-walltime"))
    times = (datetime.fromtimestamp(1795932538), datetime.fromtimestamp(1795932594))
    assert (status.started, status.ended, status.estimated_start) == (*times, None)
    waiting = OAR.parse_detail(recorded("oar", "detail-waiting"))
    assert (waiting.started, waiting.estimated_start) == (None, datetime.fromtimestamp(1795932243))


@pytest.mark.parametrize(
    ("name", "fields", "state", "reason"),
    [
        # a script that was warned of its end ends by the signal
        ("detail-exit", {"exit_code": 12}, TIMEOUT, ""),
        ("detail-exit", {"exit_code": None}, FAILED, ""),
        ("detail-deleted", {"events": None}, FAILED, ""),
        ("detail-waiting", {"message": "No enough matching resources (no_matching_slot)"}, PENDING, "No enough matching resources (no_matching_slot)"),
        ("detail-waiting", {"state": "?"}, JobState.UNKNOWN, ""),
    ],
)  # fmt: skip
def test_other_details(name, fields, state, reason):
    status = OAR.parse_detail(changed(name, **fields))
    assert (status.state, status.reason) == (state, reason)


@pytest.mark.parametrize(
    "reply",
    [
        "states-unknown",
        "states-database-down",
        "states-nothing",
        Reply((), 0, '{"1": "Running"}'),
        Reply((), 0, '{"1": '),
    ],
)
def test_no_details(reply):
    assert OAR.parse_detail(reply if isinstance(reply, Reply) else recorded("oar", reply)) is None


# -- what is asked for once --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(Oar, "successor_delay", 0.001)


def answer(**states):
    return Reply(("oarstat",), 0, json.dumps({job_id.lstrip("j"): word for job_id, word in states.items()}))


def details(*names, **others):
    """Put full answers together; ``j7="running"`` gives one of them to another job."""
    jobs = {}
    for name, job_id in [*((name, None) for name in names), *((name, key.lstrip("j")) for key, name in others.items())]:
        ((own, job),) = json.loads(recorded("oar", f"detail-{name}").out).items()
        jobs[job_id or own] = job
    return Reply(("oarstat",), 0, json.dumps(jobs))


def ask(queue, *questions):
    """Ask in one event loop."""

    async def asked():
        return [await queue.states(ids) for ids in questions]

    return asyncio.run(asked())


NONE = Reply(("oarstat",), 0, "")
DOWN = recorded("oar", "states-database-down")
AGAIN = recorded("oar", "successors")


def test_where_a_job_runs_is_asked_for_as_it_starts_and_how_it_ended_as_it_ends():
    running, ended = answer(j42="Running", j43="Hold"), answer(j42="Error", j43="Hold")
    queue = RecordedCommands(OAR, running, details("running"), running, ended, NONE, details(j42="walltime"), ended)
    first, then, over, again = ask(queue, *[["42", "43"]] * 4)
    start = datetime.fromtimestamp(1795932076)
    submitted = datetime.fromtimestamp(1795932066)
    assert first["42"] == JobStatus(RUNNING, node="n1", submitted=submitted, started=start)
    assert first["43"] == JobStatus(PENDING, "held")
    assert then == first
    assert over["42"].state is TIMEOUT
    assert over["42"].reason.startswith("WALLTIME: ")
    assert again == over
    assert asyncio.run(queue.detail("42")) == over["42"]
    query = OAR.query_argv(["42", "43"])
    assert queue.asked == [
        query, OAR.details_argv(["42"]), query, query, OAR.successors_argv(["42"]), OAR.details_argv(["42"]), query
    ]  # fmt: skip


def test_few_are_asked_for_at_once():
    ids = [str(number) for number in range(1, 51)]
    everything = answer(**{f"j{number}": "Running" for number in ids})
    queue = RecordedCommands(OAR, *[everything, details(**{f"j{number}": "running" for number in ids[:20]})] * 2)
    ask(queue, ids, ids)
    assert [argv[1:] for argv in queue.asked[1::2]] == [
        OAR.details_argv(ids[:20])[1:],
        OAR.details_argv(ids[20:40])[1:],
    ]


def test_what_was_asked_is_not_remembered_for_ever(monkeypatch):
    monkeypatch.setattr("jobclusters.batch.followup.REMEMBERED", 0)
    replies = [(answer(**{f"j{job_id}": "Error"}), NONE, details(**{f"j{job_id}": "walltime"})) for job_id in "121"]
    queue = RecordedCommands(OAR, *sum(replies, ()))
    found = ask(queue, ["1"], ["2"], ["1"])
    assert [status.state for states in found for status in states.values()] == [TIMEOUT] * 3
    assert queue.replies == []


def test_states_are_known_without_an_answer_about_details():
    queue = RecordedCommands(OAR, answer(j42="Running"), DOWN, answer(j42="Running"), details("running"))
    first, then = ask(queue, ["42"], ["42"])
    assert (first["42"].node, then["42"].node) == ("", "n1")


def test_a_preempted_job_that_oar_submits_again_is_the_same_job_run_again():
    queue = RecordedCommands(
        OAR, answer(j64="Error"), AGAIN, answer(j66="Waiting"), answer(j66="Running"), details(j66="running")
    )  # fmt: skip
    first, then = ask(queue, ["64"], ["64"])
    assert first == {"64": JobStatus(PENDING, restarts=1)}
    assert (then["64"].state, then["64"].node, then["64"].restarts) == (RUNNING, "n1", 1)
    assert queue.asked[1] == OAR.successors_argv(["64"])
    assert queue.asked[3] == OAR.query_argv(["66"])
    assert queue.log_files("64", "/logs", "bei") == ["/logs/bei-66.out", "/logs/bei-66.err"]
    queue.replies = [recorded("oar", "cancel"), recorded("oar", "detail-done")]
    asyncio.run(queue.cancel(["64", "65", "66"]))
    asyncio.run(queue.detail("64"))
    assert queue.asked[5:] == [["oardel", "66", "65"], OAR.detail_argv("66")]


def test_without_an_answer_about_its_successor_a_job_has_not_ended():
    queue = RecordedCommands(OAR, answer(j64="Error"), DOWN, answer(j64="Error"), NONE, NONE)
    with pytest.raises(Unavailable):
        ask(queue, ["64"])
    assert ask(queue, ["64"]) == [{"64": JobStatus(FAILED)}]


def test_what_clears_up_finds_the_successor_by_the_name_and_the_id_that_it_knows():
    table = recorded("oar", "find-ended")
    both = replace(table, out=table.out.replace("46  ", "64  ") + "\n66        W alice       0:00:00 R=2\n")
    queue = RecordedCommands(OAR, both, AGAIN, answer(j66="Waiting"), recorded("oar", "cancel"))
    found = asyncio.run(queue.find("bei"))
    assert {job: status.state for job, status in found.items()} == {"64": PENDING, "66": PENDING}
    asyncio.run(queue.cancel(["64"]))
    assert queue.asked[-1] == ["oardel", "66"]


@pytest.mark.parametrize("of", [66, 67, -1, None, "64", []])
def test_what_is_no_predecessor(of):
    assert OAR.parse_successors(changed("successors", resubmit_job_id=of)) == {}


# -- a submission that can't be killed ---------------------------------------------------------------------------------


def test_a_submission_that_goes_on_after_its_timeout_may_yet_make_jobs(monkeypatch, tmp_path):
    """Oarsub is setuid, and without the database it waits until that is back; if nothing reads it, it deletes its jobs."""
    text = f"#!/bin/sh\nread line <{tmp_path}/go\necho OAR_JOB_ID=1 && touch {tmp_path}/read\n"
    (tmp_path / "oarsub").write_text(text)
    (tmp_path / "oarsub").chmod(0o700)
    subprocess.run(["mkfifo", tmp_path / "go"], check=True)
    monkeypatch.setattr(shell, "KILL_TIMEOUT", 0.01)
    killed = []

    def forbidden(pid, number):
        killed.append((pid, number))
        raise PermissionError

    async def scenario():
        queue = RecordedCommands(OAR, *[recorded("oar", "find-none")] * 2)
        with monkeypatch.context() as patched:
            patched.setattr("os.killpg", forbidden)
            patched.setattr("os.kill", forbidden)
            reply = await shell.run([str(tmp_path / "oarsub")], timeout=0.5)
        assert reply.status is None
        assert killed
        monkeypatch.setattr(Oar, "submit_argv", lambda *_: [str(tmp_path / "oarsub")])
        with pytest.raises(Unavailable, match="may yet submit the jobs"):
            await queue.find("c-1")
        await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        await asyncio.to_thread(until, lambda: not shell.goes_on(str(tmp_path / "oarsub")))
        assert await queue.find("c-1") == {}
        assert (tmp_path / "read").exists()

    asyncio.run(scenario())


# -- the rest ----------------------------------------------------------------------------------------------------------

test_cancel = check_cancel(OAR, "oardel", [(["7", "8"], ["7", "8"])])
test_log_files = check_log_files(
    OAR,
    [
        ("12", None, ["OAR.dask.12.stdout", "OAR.dask.12.stderr"]),
        ("12", "/my logs", ["/my logs/dask-12.out", "/my logs/dask-12.err"]),
    ],
)
test_environment = check_environment(
    OAR,
    {
        "OAR_JOB_ID": "59",
        "OAR_ARRAY_INDEX": "1",
        "OAR_NODEFILE": "/var/lib/oar/59",
        "OARDO_USER": "oar",
        "OARCONFFILE": "/etc/oar/oar.conf",
    },
    {"HOME": "/home/alice"},
)
test_spot = check_spot(
    OAR,
    "{queue: besteffort}",
    ["#OAR -q besteffort", "#OAR -t idempotent"],
    memory_per_core_property_name="memcore",
)
test_settings = check_settings(OAR)
test_cluster_class = check_cluster_class(OAR, OARCluster)
