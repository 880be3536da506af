from __future__ import annotations

import pytest

from jobclusters.jobs.failures import explain_end, hint
from jobclusters.state import JobState, JobStatus

FAILED = JobStatus(JobState.FAILED, exit_code=1)
NOT_FOUND = JobStatus(JobState.FAILED, exit_code=127)


@pytest.mark.parametrize(
    ("status", "log", "words"),
    [
        (NOT_FOUND, "slurm_script: line 9: exec: python: not found", "Python was not found"),
        (NOT_FOUND, "slurm_script: line 9: /opt/env/bin/python3.11: No such file or directory", "Python was not found"),
        (NOT_FOUND, "/usr/bin/env: ‘python3’: No such file or directory", "Python was not found"),
        (NOT_FOUND, "bash: line 1: python: command not found", "Python was not found"),
        (NOT_FOUND, "slurm_script: line 5: module: command not found", "job_script_prologue"),
        (NOT_FOUND, None, "job_script_prologue"),
        (FAILED, "/usr/bin/python: No module named distributed", "Dask is not installed"),
        (FAILED, "ModuleNotFoundError: No module named 'distributed'", "Dask is not installed"),
        (FAILED, "ModuleNotFoundError: No module named 'numpy'", "a module is missing"),
        (FAILED, "OSError: Timed out trying to connect to tcp://10.0.0.1:8786 after 30 s", "interface="),
        (FAILED, "ConnectionRefusedError: [Errno 111] Connection refused", "interface="),
        (FAILED, "slurmstepd-c1: error: Exceeded job memory limit", "more memory"),
        (FAILED, "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.", "more memory"),
        (FAILED, "OSError: [Errno 28] No space left on device", "local_directory="),
        (FAILED, "PermissionError: [Errno 13] Permission denied: '/scratch/x'", "may not be used"),
        (FAILED, "UserWarning: Mismatched versions found\n\n+---------+", "packages differ"),
        (
            JobStatus(JobState.FAILED, exit_code=2),
            "Error: Invalid value for '--tls-ca-file': Path '/home/me/.jobclusters/clusters/a/tls-ca.pem' does not exist.",
            "can't read the cluster's credentials in /home/me/.jobclusters/clusters/a: set jobclusters.directory",
        ),
        (FAILED, "FileNotFoundError: [Errno 2] No such file or directory: '/local/me'", "the node has no /local/me"),
        (FAILED, "OSError: [Errno 30] Read-only file system: '/local/me'", "the node has no /local/me"),
        (FAILED, "OSError: [Errno 122] Disk quota exceeded: '/scratch/me'", "your quota is used up"),
        (FAILED, "cat: write error: Disk quota exceeded", "your quota is used up"),
        (FAILED, "OSError: [Errno 24] Too many open files", "ulimit -n"),
        (FAILED, "OSError: [Errno 99] Cannot assign requested address", "interface="),
        (FAILED, "ValueError: 'ib0' is not a valid network interface. Valid: ['lo']", "the node has no network ib0"),
        (FAILED, "python: /lib64/libm.so.6: version `GLIBC_2.29' not found (required by python)", "system is older"),
        (FAILED, "ImportError: /lib64/libstdc++.so.6: version `GLIBCXX_3.4.29' not found", "system is older"),
        (JobStatus(JobState.FAILED, exit_code=132), "Illegal instruction (core dumped)", "processor is older"),
        (JobStatus(JobState.FAILED, signal=4), None, "processor is older"),
        (FAILED, "EnvironmentNameNotFound: Could not find conda environment: mine", "conda environment isn't there"),
        (FAILED, "ERROR: Unable to locate a modulefile for 'nonsense/1'", "module of software="),
        (
            FAILED,
            'Lmod has detected the following error: The following module(s) are unknown: "gcc/99"',
            "module of soft",
        ),
        # In the user's language: numbers stay.
        (
            NOT_FOUND,
            "slurm_script: Zeile 9: /opt/env/bin/python: Datei oder Verzeichnis nicht gefunden",
            "Python was not",
        ),
        (
            NOT_FOUND,
            "python: error while loading shared libraries: libpython3.so: Kann die Datei nicht \u00f6ffnen",
            "Python was not",
        ),
        (
            FAILED,
            "OSError: [Errno 28] Auf dem Ger\u00e4t ist kein Speicherplatz mehr verf\u00fcgbar",
            "disk of the node is full",
        ),
        (FAILED, "PermissionError: [Errno 13] Keine Berechtigung: '/local'", "may not be used"),
        (
            FAILED,
            "Error: Unknown argument specified: %r Was click-configurable --preload target provided?",
            "worker_extra_",
        ),
        (FAILED, "Usage: dask_worker.py [OPTIONS] [SCHEDULER]\nError: No such option: --nthread", "worker_extra_"),
        (FAILED, "Usage:\n  pip install [options]\nno such option: --quite", ""),
        (JobStatus(JobState.FAILED, exit_code=120), "", "disk of log_directory is full"),
        (JobStatus(JobState.FAILED, exit_code=120), "it did write", ""),
        (FAILED, "something else", ""),
        (FAILED, "", ""),
        (FAILED, None, ""),
        (JobStatus(JobState.FAILED, exit_code=0, signal=53), None, "log directory or the working directory"),
        (JobStatus(JobState.FAILED, exit_code=0, signal=53), "it did write", ""),
        (
            JobStatus(
                JobState.FAILED, "OUTPUT_FILES: Cannot create .stdout and .stderr files in /home/a on the node n1"
            ),
            None,
            "log directory or the working directory",
        ),
        (
            JobStatus(
                JobState.FAILED, "WORKING_DIRECTORY: Cannot go into the working directory /nope of the job on node n1"
            ),
            None,
            "log directory or the working directory",
        ),
        (JobStatus(JobState.OUT_OF_MEMORY), None, "larger size"),
        (JobStatus(JobState.TIMEOUT), "Connection refused", "walltime="),
        (JobStatus(JobState.CANCELLED), "Connection refused", "a user or an administrator cancelled it"),
        (JobStatus(JobState.NODE_FAIL), None, "its node failed"),
        (JobStatus(JobState.PREEMPTED), None, "another job"),
        (JobStatus(JobState.GONE), None, ""),
    ],
)
def test_hint(status, log, words):
    found = hint(status, log)
    assert words in found
    assert bool(found) is bool(words)


def test_an_explanation_has_all_of_it():
    status = JobStatus(JobState.FAILED, reason="NonZeroExitCode", exit_code=127, node="c1")
    log = "\n".join([*map(str, range(20)), "", "python: command not found", "   "])
    said, *last = explain_end("12_3", status, log, lines=2).splitlines()
    assert said.startswith("job 12_3: FAILED (NonZeroExitCode), exit code 127, on c1: Python was not found on the node")
    assert last == ["    | 19", "    | python: command not found"]


def test_end_of_a_job_without_output():
    assert explain_end("7", JobStatus(JobState.GONE), None) == "job 7: GONE"


@pytest.mark.parametrize(
    ("state", "ended"),
    [(state, state.name not in {"PENDING", "RUNNING", "COMPLETING", "UNKNOWN"}) for state in JobState],
)
def test_what_is_over(state, ended):
    """UNKNOWN is no information: such a job is never given up."""
    assert state.ended is ended
    assert f"{state}" == state.name


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (JobStatus(JobState.RUNNING, node="c1"), "RUNNING, on c1"),
        (JobStatus(JobState.FAILED, exit_code=0, signal=9), "FAILED, signal 9"),
        (JobStatus(JobState.COMPLETED, exit_code=0), "COMPLETED"),
    ],
)
def test_sentence(status, text):
    assert status.sentence() == text
