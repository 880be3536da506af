"""What holds for all dialects."""

from __future__ import annotations

import pytest

from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.errors import Unavailable
from jobclusters.state import JobState
from tests.helpers.golden import SMALL, script

LOCAL = DIALECTS["local"]


@pytest.mark.parametrize("system", DIALECTS)
def test_nodes_to_stay_away_from_stand_in_the_script_or_the_dialect_says_that_they_cannot(system):
    there = "badnode" in script(system, **SMALL, exclude=("badnode",))
    assert there is DIALECTS[system].excludes
    assert DIALECTS[system].excludes is (system in ("slurm", "lsf", "sge", "htcondor"))


@pytest.mark.parametrize(
    "verb", ["submit_argv", "parse_submit", "cancel_argvs", "query_argv", "find_argv", "parse_states"]
)
def test_this_machine_has_no_commands(verb):
    with pytest.raises(NotImplementedError):
        getattr(LOCAL, verb)(())


@pytest.mark.parametrize(("directory", "files"), [(None, []), ("/my logs", ["/my logs/dask-12_3.out"])])
def test_log_files_of_this_machine(directory, files):
    assert LOCAL.log_files("12_3", directory, "dask") == files


@pytest.mark.parametrize("system", sorted(DIALECTS.keys() - {"sge", "htcondor"}))
def test_most_do_not_keep_jobs_that_failed(system):
    dialect = DIALECTS[system]
    assert not dialect.keeps_failed_jobs
    with pytest.raises(NotImplementedError):
        dialect.stuck_argv(["1"])
    with pytest.raises(NotImplementedError):
        dialect.parse_stuck(None)


@pytest.mark.parametrize("system", ["pbs", "torque", "moab", "local"])
def test_some_tell_all_that_there_is_to_know_at_once(system):
    assert DIALECTS[system].detail_argv("1") is DIALECTS[system].parse_detail(None) is None


def test_a_system_is_known_by_a_command_that_no_other_before_it_has():
    """PBS, TORQUE and Grid Engine all have a qsub; PBS and TORQUE have the same commands."""
    assert {name: (dialect.title, dialect.probe) for name, dialect in DIALECTS.items()} == {
        "slurm": ("SLURM", "sbatch"),
        "pbs": ("PBS", "pbsnodes"),
        "torque": ("TORQUE", "pbsnodes"),
        "moab": ("Moab", "msub"),
        "lsf": ("LSF", "bsub"),
        "sge": ("Grid Engine", "qconf"),
        "htcondor": ("HTCondor", "condor_submit"),
        "oar": ("OAR", "oarsub"),
        "local": ("this machine", ""),
    }
    assert list(DIALECTS)[-1] == "local"


def answer(out):
    return Reply(("query",), 0, out)


PBS_JOB = '{"Jobs": {"%s": {"job_state": "F", "exec_host": "n1/0", "Exit_status": %s, "run_count": %s}}}'
TORQUE_JOB = "Job Id: %s\n    Job_Name = dask\n    Job_Owner = alice@login\n    job_state = C\n"
LSF_JOB = '{"RECORDS": [{"JOBID": "%s", "JOBINDEX": "%s", "STAT": "RUN"}]}'
SGE_JOB = (
    "<job_info><queue_info><job_list><JB_job_number>%s</JB_job_number><JB_name>dask</JB_name><state>r</state>"
    "<tasks>%s</tasks></job_list></queue_info><job_info></job_info></job_info>"
)


@pytest.mark.parametrize(
    ("system", "out"),
    [
        ("pbs", PBS_JOB % ("1.server", "{}", 1)),
        ("pbs", PBS_JOB % ("1.server", '"²"', 1)),
        ("pbs", PBS_JOB % ("1[²].server", 0, 1)),
        ("pbs", PBS_JOB % ("", 0, 1)),
        ("torque", TORQUE_JOB % "server"),
        ("lsf", LSF_JOB % ("{}", 0)),
        ("lsf", LSF_JOB % (12, "²")),
        ("sge", SGE_JOB % ("²", 1)),
        ("sge", SGE_JOB % (12, "1-5:1")),
        ("htcondor", '[{"ClusterId": "²", "ProcId": 0}]'),
        ("htcondor", '[{"ClusterId": 1}]'),
        ("htcondor", "[1]"),
        ("htcondor", "[{"),
    ],
)
def test_what_is_no_number_and_no_id_is_no_answer(system, out):
    """What can't be read must not end whoever asks, nor become an id that no cancel could name."""
    dialect = DIALECTS[system]
    with pytest.raises(Unavailable, match="can't be read"):
        dialect.parse_find(answer(out), "dask", "alice") if "dask" in out else dialect.parse_states(answer(out))


def test_how_often_a_job_ran_is_nothing_to_fail_for():
    (status,) = DIALECTS["pbs"].parse_states(answer(PBS_JOB % ("1.server", 0, '"²"'))).values()
    assert (status.state, status.restarts) == (JobState.COMPLETED, 0)


@pytest.mark.parametrize(
    ("system", "out", "exit_code"),
    [
        ("slurm", "JobId=1 JobState=FAILED ExitCode=²:0 Restarts=²", 0),
        ("lsf", "Job <1>, Status <EXIT>\nMon Jan  5 10:00:00: Exited with exit code ٣²", None),
        ("sge", "failed       0B\nexit_status  1\n", None),
        ("sge", "failed       0\nexit_status  {}\n", None),
    ],
)
def test_a_detail_that_is_no_number_is_left_out(system, out, exit_code):
    found = DIALECTS[system].parse_detail(answer(out))
    assert (found and found.exit_code) == exit_code


def test_an_account_with_an_odd_limit_has_none():
    assert DIALECTS["slurm"].parse_accounts(answer("lab|²\nlab2|10\n")) == {"lab": None, "lab2": 10}
