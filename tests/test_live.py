"""The live tests themselves: which of them there are, and how they read the systems that CI doesn't have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import systems
from tests.live.systems import SYSTEMS

PBS = """\
Job Id: 148[].pbshost
    Job_Name = dask-worker-0123abcd-0
    job_state = B
    Output_Path = pbshost:/home/alice/dask-worker-0123abcd-0.o148.^array_index^
\t
    array_indices_submitted = 0-2

Job Id: 148[0].pbshost
    Job_Name = dask-worker-0123abcd-0
    job_state = R

Job Id: 148[1].pbshost
    Job_Name = dask-worker-0123abcd-
\t0
    job_state = E

Job Id: 149.pbshost
    Job_Name = dask-worker-0123abcd-1
    job_state = H

Job Id: 150.pbshost
    Job_Name = other
    job_state = R
"""
LSF = """\
JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME
104     alice   RUN   normal     lsfhost     lsfhost     0123abcd[4]    Nov 21 07:32
104     alice   PEND  normal     lsfhost        -        0123abcd[5]    Nov 21 07:32
119     alice   PSUSP normal     lsfhost        -        dask-0123abcd-1 Nov 21 07:32
116     alice   EXIT  normal     lsfhost     lsfhost     dask-0123abcd-2 Nov 21 07:32
109     alice   RUN   normal     lsfhost     lsfhost:lsfhost:lsfhost:lsfhost other Nov 21 07:32
"""


@pytest.mark.parametrize(
    ("system", "command", "text", "found"),
    [
        ("pbs", "qstat", PBS, {"148[0].pbshost": "R", "148[1].pbshost": "E", "149.pbshost": "H"}),
        ("lsf", "bjobs", LSF, {"104[4]": "RUN", "104[5]": "PEND", "119": "PSUSP", "116": "EXIT"}),
    ],
)
def test_jobs_are_read_from_the_systems_own_words(monkeypatch, system, command, text, found):
    monkeypatch.setattr(systems, "call", lambda *argv, **_: text if argv[0] == command else "1.pbshost\n")
    assert SYSTEMS[system].jobs("0123abcd") == found
    over = {"148[1].pbshost", "116"}
    assert SYSTEMS[system].living("0123abcd") == [job for job in found if job not in over]


def test_a_variable_of_the_system_goes_before_the_one_of_all(monkeypatch):
    monkeypatch.setenv("JOBCLUSTERS_LIVE_QUEUE", "everywhere")
    monkeypatch.setenv("JOBCLUSTERS_LIVE_QUEUE_SGE", "all.q")
    monkeypatch.setenv("JOBCLUSTERS_LIVE_DIRECTIVES", "-l a=1; -l b=2")
    assert [SYSTEMS[name].keywords["queue"] for name in ("sge", "pbs")] == ["all.q", "everywhere"]
    assert SYSTEMS["pbs"].keywords["job_extra_directives"] == ["-l a=1", "-l b=2"]


def run_live(*options, **variables):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("JOBCLUSTERS_LIVE")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/live", *options]
    done = subprocess.run(
        command,
        env={**environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    return done.returncode, done.stdout


def test_without_a_system_there_are_no_live_tests():
    code, text = run_live()
    assert code == 5, text
    assert "no tests ran" in text


def test_a_system_that_is_not_there_fails_its_tests():
    code, text = run_live("-k", "ten_jobs", JOBCLUSTERS_LIVE="lsf,acme")
    assert code == 1, text
    assert "JOBCLUSTERS_LIVE=lsf, but there is no bsub here" in text
    assert "JOBCLUSTERS_LIVE=acme: known are slurm, sge, htcondor, oar, pbs, lsf" in text


def test_only_what_is_asked_for_is_collected():
    _, text = run_live("--collect-only", JOBCLUSTERS_LIVE="sge")
    assert "[sge" in text
    assert "[slurm" not in text
    assert "test_drill_daemon" not in text, "that needs our containers"
    assert "gpu" not in text
