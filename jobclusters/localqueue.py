"""A batch queue on this machine: first in, first out, within its cores and memory.

Its verbs are those of :class:`~jobclusters.commandqueue.CommandQueue`, and it reads its jobs' needs from ``#JOB``
lines of the script, so that everything above it is the same code as for a batch system.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psutil

from jobclusters.dialects import DIALECTS
from jobclusters.errors import Refused
from jobclusters.localjob import LocalJob
from jobclusters.machine import Machine, read_directives, this_machine
from jobclusters.processes import end_processes, processes_by_job
from jobclusters.state import JobState, JobStatus
from jobclusters.units import gigabytes

#: Seconds between SIGTERM and SIGKILL, as batch systems have it.
KILL_WAIT = 10.0
#: Seconds between two looks at jobs that end.
ENDING_INTERVAL = 0.05


def own_directory(token: str) -> Path:
    """Name the directory of a queue's scripts and outputs."""
    return Path(tempfile.gettempdir(), f"jobclusters-{os.getuid()}-{token}")


def clean_up(token: str, wait: float) -> None:
    """End all jobs of a queue that is no more, and remove its files; also for the janitor of a dead owner."""
    end_processes(token, wait)
    shutil.rmtree(own_directory(token), ignore_errors=True)


class LocalQueue:
    """A batch queue on this machine.

    It lives in this process: its jobs end with it.

    Parameters
    ----------
    machine
        What it may give to jobs.
    """

    interval = 0.2
    dialect = DIALECTS["local"]

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or this_machine()
        self.token = uuid.uuid4().hex
        self._jobs: dict[str, LocalJob] = {}
        self._lock = threading.RLock()
        self._last_id = 0
        self._directory: Path | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def check(self) -> None:
        """Do nothing: this machine is here."""

    async def submit(self, script: str, count: int) -> list[str]:
        """Queue a script as ``count`` jobs.

        Raises
        ------
        Refused
            If the machine can never hold one, or a directive can't be read.
        """
        needs = read_directives(script)
        if not self.machine.holds(needs.cores, needs.memory, needs.gpus):
            raise Refused(
                f"a job of {needs.cores} cores, {gigabytes(needs.memory)} and {needs.gpus} GPUs can't run on this"
                f" machine: it has {self.machine.describe()}"
            )
        environment = dict(os.environ)
        with self._lock:
            self._last_id += 1
            ids = [f"{self._last_id}_{i}" for i in range(count)] if count > 1 else [str(self._last_id)]
            for index, job_id in enumerate(ids):
                self._jobs[job_id] = self._new_job(job_id, index, script, needs, environment)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobclusters-localqueue", daemon=True)
                self._thread.start()
        self._wake.set()
        return ids

    def _new_job(
        self, job_id: str, index: int, script: str, needs: argparse.Namespace, environment: dict[str, str]
    ) -> LocalJob:
        directory = os.getcwd()
        output = os.path.join(directory, needs.output) if needs.output else str(self._own_directory() / "%j.out")
        return LocalJob(
            id=job_id,
            mark=f"{self.token}.{job_id}",
            index=index,
            name=needs.name,
            script=script,
            cores=needs.cores,
            memory=needs.memory,
            gpus=needs.gpus,
            walltime=needs.time,
            output=output.replace("%j", job_id),
            directory=directory,
            environment=environment,
            status=JobStatus(JobState.PENDING, reason="Resources", submitted=datetime.now()),
        )

    def _own_directory(self) -> Path:
        if self._directory is None:
            self._directory = own_directory(self.token)
            self._directory.mkdir(mode=0o700)
            atexit.register(self._end)
        return self._directory

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs: SIGTERM to all their processes, SIGKILL to what is left after :data:`KILL_WAIT`."""
        with self._lock:
            for job in (self._jobs[job_id] for job_id in ids if job_id in self._jobs):
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED, reason="", ended=datetime.now())
                elif job.status.state is JobState.RUNNING:
                    job.outcome = JobState.CANCELLED
                    job.status = replace(job.status, state=JobState.COMPLETING)
        self._wake.set()

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Tell how jobs stand."""
        with self._lock:
            return {job_id: self._jobs[job_id].status for job_id in ids if job_id in self._jobs}

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Tell how all jobs with this name stand."""
        ids = {job.id for job in list(self._jobs.values()) if job.name == job_name}
        return await self.states(list(ids))

    async def detail(self, job_id: str) -> JobStatus | None:
        """Tell how one job stands."""
        return (await self.states([job_id])).get(job_id)

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:  # noqa: ARG002 -- one verb for all
        """Give the path of a job's output."""
        job = self._jobs.get(job_id)
        return [job.output] if job else []

    # -- what a batch system's controller does ------------------------------------------------------------------

    def _run(self) -> None:
        """Look after the jobs until there are none."""
        while True:
            ending = any(job.status.state is JobState.COMPLETING for job in list(self._jobs.values()))
            self._wake.wait(ENDING_INTERVAL if ending else self.interval)
            self._wake.clear()
            with self._lock:
                self._notice()
                starting = self._take_next()
                ended = [job for job in self._jobs.values() if job.status.state is JobState.COMPLETING]
                if all(job.status.state.ended for job in self._jobs.values()):
                    self._thread = None  # under the lock: a submission now starts another
                    return
            # Without the lock, for nobody who asks is to wait for processes.
            for job in starting:
                self._start(job)
            if ended:
                living = processes_by_job(self.token)
                for job in ended:
                    self._push_out(job, living.get(job.mark, set()))

    def _notice(self) -> None:
        """Notice ends, and enforce walltimes."""
        for job in self._jobs.values():
            if job.status.state is JobState.RUNNING:
                over = job.deadline is not None and time.monotonic() > job.deadline
                if over or (job.process is not None and job.process.poll() is not None):
                    job.outcome = JobState.TIMEOUT if over else None
                    job.status = replace(job.status, state=JobState.COMPLETING)

    def _take_next(self) -> list[LocalJob]:
        """Take what fits from the queue; in order of submission, nobody overtakes."""
        taken = []
        for job in self._jobs.values():
            if job.status.state is JobState.PENDING:
                if not self._room(job):
                    break
                used = {device for other in self._busy() for device in other.devices}
                job.devices = [device for device in range(self.machine.gpus) if device not in used][: job.gpus]
                if job.walltime is not None:
                    job.deadline = time.monotonic() + job.walltime.total_seconds()
                now = datetime.now()
                job.status = replace(
                    job.status, state=JobState.RUNNING, reason="", node=os.uname().nodename, started=now
                )
                taken.append(job)
        return taken

    def _busy(self) -> list[LocalJob]:
        return [job for job in self._jobs.values() if job.status.state in (JobState.RUNNING, JobState.COMPLETING)]

    def _room(self, job: LocalJob) -> bool:
        busy = self._busy()
        if not busy:
            return True
        machine = self.machine
        return (
            sum(other.cores for other in busy) + job.cores <= machine.cores
            and sum(other.memory for other in busy) + job.memory <= machine.memory
            and sum(other.gpus for other in busy) + job.gpus <= machine.gpus
        )

    def _start(self, job: LocalJob) -> None:
        try:
            job.start(self._own_directory())
        except (OSError, ValueError) as error:  # a shebang may be no command; nobody else would look after the others
            code = 127 if isinstance(error, FileNotFoundError) else 1
            with self._lock:
                job.status = replace(
                    job.status, state=JobState.FAILED, reason=str(error), exit_code=code, ended=datetime.now()
                )

    def _push_out(self, job: LocalJob, processes: set[psutil.Process]) -> None:
        """Take a job that ends a step further, to its outcome."""
        code = job.push_out(processes, KILL_WAIT)
        if code is None:
            return
        with self._lock:
            job.finish(code)
        self._wake.set()

    def _end(self) -> None:
        """Leave nothing behind when this Python ends."""
        with self._lock:
            for job in self._jobs.values():
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED)
        clean_up(self.token, wait=1)
        for job in self._busy():
            if job.process is not None:
                job.process.wait()
