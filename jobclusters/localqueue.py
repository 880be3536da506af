"""A batch queue on this machine: first in, first out, within its cores and memory.

Its verbs are those of :class:`~jobclusters.commandqueue.CommandQueue`, and it reads its jobs' needs from ``#JOB``
lines of the script, so that everything above it is the same code as for a batch system.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from jobclusters.dialects import DIALECTS
from jobclusters.errors import Refused
from jobclusters.machine import Machine, read_directives, this_machine
from jobclusters.processes import end_processes
from jobclusters.state import JobState, JobStatus
from jobclusters.units import gigabytes

#: Seconds between SIGTERM and SIGKILL, as batch systems have it.
KILL_WAIT = 10.0


@dataclass
class _Job:
    """One job: what it needs, and how it stands."""

    id: str
    index: int
    name: str
    script: str
    cores: int
    memory: int
    gpus: int
    walltime: timedelta | None
    output: str
    directory: str
    environment: dict[str, str]
    status: JobStatus
    process: subprocess.Popen[bytes] | None = None
    devices: list[int] = field(default_factory=list)
    deadline: float | None = None
    ending: threading.Thread | None = None
    outcome: JobState | None = None


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
        self._jobs: dict[str, _Job] = {}
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
        return await asyncio.to_thread(self._queue, script, count, needs)

    def _queue(self, script: str, count: int, needs: argparse.Namespace) -> list[str]:
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
    ) -> _Job:
        directory = os.getcwd()
        output = os.path.join(directory, needs.output) if needs.output else str(self._own_directory() / "%j.out")
        return _Job(
            id=job_id,
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
            self._directory = Path(tempfile.mkdtemp(prefix="jobclusters-"))
            atexit.register(self._end)
        return self._directory

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs: SIGTERM to all their processes, SIGKILL to what is left after :data:`KILL_WAIT`."""
        await asyncio.to_thread(self._cancel, ids)

    def _cancel(self, ids: Sequence[str]) -> None:
        with self._lock:
            for job in (self._jobs[job_id] for job_id in ids if job_id in self._jobs):
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED, reason="", ended=datetime.now())
                elif job.status.state is JobState.RUNNING:
                    self._begin_end(job, JobState.CANCELLED)
        self._wake.set()

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Tell how jobs stand."""
        return await asyncio.to_thread(self._states, set(ids))

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Tell how all jobs with this name stand."""
        ids = {job.id for job in list(self._jobs.values()) if job.name == job_name}
        return await self.states(list(ids))

    async def detail(self, job_id: str) -> JobStatus | None:
        """Tell how one job stands."""
        return (await self.states([job_id])).get(job_id)

    def _states(self, ids: set[str]) -> dict[str, JobStatus]:
        with self._lock:
            return {job_id: self._jobs[job_id].status for job_id in ids if job_id in self._jobs}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:  # noqa: ARG002 -- one verb for all
        """Give the path of a job's output."""
        job = self._jobs.get(job_id)
        return [job.output] if job else []

    # -- what a batch system's controller does ------------------------------------------------------------------

    def _run(self) -> None:
        """Look after the jobs until there are none."""
        while True:
            self._wake.wait(self.interval)
            self._wake.clear()
            with self._lock:
                self._advance()
                if all(job.status.state.ended for job in self._jobs.values()):
                    self._thread = None  # under the lock: a submission now starts another
                    return

    def _advance(self) -> None:
        """Notice ends, enforce walltimes, start what fits; in order of submission, nobody overtakes."""
        for job in self._jobs.values():
            if job.status.state is JobState.RUNNING:
                if job.process is not None and job.process.poll() is not None:
                    self._begin_end(job, None)
                elif job.deadline is not None and time.monotonic() > job.deadline:
                    self._begin_end(job, JobState.TIMEOUT)
        for job in self._jobs.values():
            if job.status.state is JobState.PENDING:
                if not self._room(job):
                    break
                self._start(job)

    def _busy(self) -> list[_Job]:
        return [job for job in self._jobs.values() if job.status.state in (JobState.RUNNING, JobState.COMPLETING)]

    def _room(self, job: _Job) -> bool:
        busy = self._busy()
        if not busy:
            return True
        machine = self.machine
        return (
            sum(other.cores for other in busy) + job.cores <= machine.cores
            and sum(other.memory for other in busy) + job.memory <= machine.memory
            and sum(other.gpus for other in busy) + job.gpus <= machine.gpus
        )

    def _mark(self, job: _Job) -> str:
        """Give what all processes of a job have in their environment."""
        return f"{self.token}.{job.id}"

    def _start(self, job: _Job) -> None:
        taken = {device for other in self._busy() for device in other.devices}
        job.devices = [device for device in range(self.machine.gpus) if device not in taken][: job.gpus]
        environment = {**job.environment, "JOBCLUSTERS_JOB_ID": self._mark(job), "JOBCLUSTERS_TASK_ID": str(job.index)}
        if job.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, job.devices or range(job.gpus)))
        path = self._own_directory() / f"{job.id}.sh"
        path.write_text(job.script)
        shebang = job.script.splitlines()[0]
        try:
            with open(job.output, "ab") as output:
                job.process = subprocess.Popen(
                    [*shlex.split(shebang.removeprefix("#!")), str(path)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=job.directory,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 1
            job.status = replace(
                job.status, state=JobState.FAILED, reason=str(error), exit_code=code, ended=datetime.now()
            )
            return
        if job.walltime is not None:
            job.deadline = time.monotonic() + job.walltime.total_seconds()
        job.status = replace(
            job.status, state=JobState.RUNNING, reason="", node=os.uname().nodename, started=datetime.now()
        )

    def _begin_end(self, job: _Job, outcome: JobState | None) -> None:
        """End all processes of a job, in a thread: it may take as long as :data:`KILL_WAIT`."""
        job.status = replace(job.status, state=JobState.COMPLETING)
        job.outcome = outcome
        job.ending = threading.Thread(target=self._finish, args=(job,), daemon=True)
        job.ending.start()

    def _finish(self, job: _Job) -> None:
        process = job.process
        if process is None:
            return
        end_processes(self._mark(job), KILL_WAIT)
        code = process.wait()
        with self._lock:
            state = job.outcome or (JobState.COMPLETED if code == 0 else JobState.FAILED)
            job.status = replace(
                job.status,
                state=state,
                exit_code=code if code >= 0 and job.outcome is None else None,
                signal=-code if code < 0 and job.outcome is None else None,
                ended=datetime.now(),
            )
        self._wake.set()

    def _end(self) -> None:
        """Leave nothing behind when this Python ends."""
        with self._lock:
            busy = self._busy()
            for job in self._jobs.values():
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED)
        end_processes(self.token, wait=1)
        for job in busy:
            if job.process is not None:
                job.process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
