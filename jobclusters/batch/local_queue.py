"""A batch queue on this machine: first in, first out, within its cores and memory.

It has the methods of :class:`~jobclusters.batch.commands.BatchCommands`, and reads the ``#JOB`` directives of scripts,
so that the packages above treat it as any batch system.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from jobclusters.batch.base import working_directory
from jobclusters.batch.local_machine import end_processes, processes_by_job, read_directives, send
from jobclusters.config.machine import Machine, this_machine
from jobclusters.dialects import DIALECTS
from jobclusters.errors import Refused
from jobclusters.state import JobState, JobStatus


@dataclass
class LocalJob:
    """One job.

    Attributes
    ----------
    id, mark
        Its id, and the ``JOBCLUSTERS_JOB_ID`` of all its processes.
    index
        In its array.
    name, script, cores, memory, gpus, walltime, output
        As its directives request; memory in bytes; the output's path, "" until the queue chooses one.
    directory, environment
        Of the submission.
    status
        Its state.
    process
        The script's; None before its start.
    devices
        Its GPUs.
    deadline, kill_at
        The end of its walltime, and the time of SIGKILL; in seconds of the monotonic clock.
    outcome
        Its state after its end; None if it ended by itself.
    """

    id: str
    mark: str
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
    kill_at: float | None = None
    outcome: JobState | None = None

    def start(self, directory: Path) -> None:
        """Start its script from this directory; raise OSError or ValueError if that fails."""
        environment = {**self.environment, "JOBCLUSTERS_JOB_ID": self.mark, "JOBCLUSTERS_TASK_ID": str(self.index)}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self.devices or range(self.gpus)))
        shebang = self.script.splitlines()[0]
        path = directory / f"{self.id}.sh"
        path.write_text(self.script)
        self.output = self.output or str(directory / f"{self.id}.out")
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [*shlex.split(shebang.removeprefix("#!")), str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=environment,
                start_new_session=True,
            )

    def code(self) -> int | None:
        """Give the exit code of its script; None before its end."""
        return None if self.process is None else self.process.poll()

    def terminate(self, processes: set[psutil.Process]) -> None:
        """Send SIGTERM to its living processes, SIGKILL after a timeout."""
        now = time.monotonic()
        if self.kill_at is None:
            self.kill_at = now + TERMINATE_TIMEOUT
            send(processes, "terminate")
        elif now > self.kill_at:
            send(processes, "kill")

    def finish(self, code: int) -> None:
        """Set its state after its end."""
        by_itself = self.outcome is None
        self.status = replace(
            self.status,
            state=self.outcome or (JobState.COMPLETED if code == 0 else JobState.FAILED),
            exit_code=code if code >= 0 and by_itself else None,
            signal=-code if code < 0 and by_itself else None,
            ended=datetime.now(),
        )


#: Seconds between SIGTERM and SIGKILL, as on batch systems.
TERMINATE_TIMEOUT = 10.0

#: Seconds between two checks of ending jobs.
ENDING_INTERVAL = 0.05

#: Ended jobs whose state is kept.
MOST_ENDED_JOBS = 1000


def new_directory(token: str) -> Path:
    """Make a directory for a queue's scripts and outputs; its name is new, so that no other user can make it first."""
    return Path(tempfile.mkdtemp(prefix=f"jobclusters-{os.getuid()}-{token}-"))


#: A file in the directory of a queue, on which its process holds a lock for as long as it lives.
HELD = "held"


def hold(directory: Path) -> None:
    """Mark a queue's directory as one in use until this Python ends."""
    path = directory / HELD
    held = os.open(path.with_suffix(".new"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: nobody else can take this one either
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path.with_suffix(".new").rename(path)  # it is there only once it is locked


def remove_abandoned() -> None:
    """Remove what queues of ours left whose processes were killed while they had no jobs, and so no janitor."""
    for directory in Path(tempfile.gettempdir()).glob(f"jobclusters-{os.getuid()}-*"):
        if not is_own(directory):
            continue
        with contextlib.suppress(OSError):  # not marked, or its process lives
            held = os.open(directory / HELD, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(held)


def is_own(directory: Path) -> bool:
    """Tell whether a path is a directory of this user alone, and no link."""
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def clean_up(token: str, wait: float) -> None:
    """End all jobs of a closed queue, and remove its files; also in the janitor of a dead owner."""
    end_processes(token, wait)
    for directory in Path(tempfile.gettempdir()).glob(f"jobclusters-{os.getuid()}-{token}*"):
        if is_own(directory):
            shutil.rmtree(directory, ignore_errors=True)


class LocalQueue:
    """A batch queue on this machine.

    It lives in this process: its jobs end with it. Its jobs share the cores, memory and GPUs of ``machine``.
    """

    interval = 0.2
    dialect = DIALECTS["local"]
    largest_array = dialect.largest_array

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or this_machine()
        self.token = uuid.uuid4().hex
        self._jobs: dict[str, LocalJob] = {}
        #: Those of them that may not have ended: ended jobs cost nothing in each round.
        self._living: dict[str, LocalJob] = {}
        self._lock = threading.RLock()
        #: Held while a job is started: none may be once the queue has closed.
        self._starting = threading.Lock()
        self._closed = False
        self._last_id = 0
        self._directory: Path | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def check(self) -> None:
        """Do nothing: the queue is always there."""

    async def submit(self, script: str, count: int) -> list[str]:
        """Queue a script as ``count`` jobs; raise Refused if the machine can't hold one, or for a wrong directive."""
        directives = read_directives(script)
        if not self.machine.holds(directives.cores, directives.memory, directives.gpus):
            shape = Machine(directives.cores, directives.memory, directives.gpus).describe()
            raise Refused(f"a job of {shape} can't run on this machine: it has {self.machine.describe()}")
        environment = dict(os.environ)
        with self._lock:
            self._last_id += 1
            ids = [f"{self._last_id}_{i}" for i in range(count)] if count > 1 else [str(self._last_id)]
            for index, job_id in enumerate(ids):
                self._jobs[job_id] = self._living[job_id] = self._new_job(
                    job_id, index, script, directives, environment
                )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobclusters-localqueue", daemon=True)
                self._thread.start()
        self._wake.set()
        return ids

    def _new_job(
        self, job_id: str, index: int, script: str, directives: argparse.Namespace, environment: dict[str, str]
    ) -> LocalJob:
        directory = working_directory()
        output = os.path.join(directory, directives.output) if directives.output else ""
        return LocalJob(
            id=job_id,
            mark=f"{self.token}.{job_id}",
            index=index,
            name=directives.name,
            script=script,
            cores=directives.cores,
            memory=directives.memory,
            gpus=directives.gpus,
            walltime=directives.time,
            output=output.replace("%j", job_id),
            directory=directory,
            environment=environment,
            status=JobStatus(JobState.PENDING, reason="Resources", submitted=datetime.now()),
        )

    def _own_directory(self) -> Path:
        """Give the directory of scripts and outputs; a new one if a cleaner of /tmp removed it."""
        if self._directory is None:
            atexit.register(self._close)
            remove_abandoned()
        if self._directory is None or not is_own(self._directory):
            self._directory = new_directory(self.token)
            hold(self._directory)
        return self._directory

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs: SIGTERM to all their processes, SIGKILL after :data:`TERMINATE_TIMEOUT`."""
        with self._lock:
            for job in (self._jobs[job_id] for job_id in ids if job_id in self._jobs):
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED, reason="", ended=datetime.now())
                elif job.status.state is JobState.RUNNING:
                    job.outcome = JobState.CANCELLED
                    job.status = replace(job.status, state=JobState.COMPLETING)
        self._wake.set()

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Give the states of jobs."""
        with self._lock:
            return {job_id: self._jobs[job_id].status for job_id in ids if job_id in self._jobs}

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Give the states of all jobs with this name."""
        return await self.states([job.id for job in list(self._jobs.values()) if job.name == job_name])

    async def detail(self, job_id: str) -> JobStatus | None:
        """Give the state of one job."""
        return (await self.states([job_id])).get(job_id)

    def log_files(self, job_id: str, *_: object) -> list[str]:
        """Give the path of a job's output."""
        job = self._jobs.get(job_id)
        return [job.output] if job and job.output else []

    # -- the work of a batch system's controller ----------------------------------------------------------------

    def _run(self) -> None:
        """Start and end jobs until none is left."""
        while True:
            ending = any(job.status.state is JobState.COMPLETING for job in list(self._living.values()))
            self._wake.wait(ENDING_INTERVAL if ending else self.interval)
            self._wake.clear()
            with self._lock:
                self._find_ended()
                starting = self._schedule()
                ended = [job for job in self._living.values() if job.status.state is JobState.COMPLETING]
                self._forget()
                if not self._living:
                    self._thread = None  # under the lock: a submission now starts another
                    return
            # Without the lock: questions must not wait for processes.
            for job in starting:
                self._start(job)
            if ended:
                # The codes first: a script that ends during the search may leave processes that it doesn't find.
                codes = [job.code() for job in ended]
                living = processes_by_job(self.token)
                for job, code in zip(ended, codes, strict=True):
                    left = living.get(job.mark, set())
                    job.terminate(left)
                    if code is not None and not left:
                        with self._lock:
                            job.finish(code)
                        self._wake.set()

    def _forget(self) -> None:
        """Drop the scripts of ended jobs, and all but the newest ended jobs."""
        over = [job for job in self._living.values() if job.status.state.ended]
        for job in over:
            del self._living[job.id]
            job.script, job.environment = "", {}
        if over:
            past = [job_id for job_id in self._jobs if job_id not in self._living]
            for job_id in past[: max(0, len(past) - MOST_ENDED_JOBS)]:
                del self._jobs[job_id]

    def _find_ended(self) -> None:
        """Find jobs whose script or walltime has ended."""
        for job in self._living.values():
            if job.status.state is JobState.RUNNING:
                over = job.deadline is not None and time.monotonic() > job.deadline
                if over or (job.process is not None and job.process.poll() is not None):
                    job.outcome = JobState.TIMEOUT if over else None
                    job.status = replace(job.status, state=JobState.COMPLETING)

    def _schedule(self) -> list[LocalJob]:
        """Take the jobs that fit from the queue, strictly in order of submission."""
        taken = []
        for job in self._living.values():
            if job.status.state is JobState.PENDING:
                if not self._fits(job):
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
        return [job for job in self._living.values() if job.status.state in (JobState.RUNNING, JobState.COMPLETING)]

    def _fits(self, job: LocalJob) -> bool:
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
            with self._starting:
                if self._closed:
                    with self._lock:
                        job.status = replace(job.status, state=JobState.CANCELLED, ended=datetime.now())
                    return
                job.start(self._own_directory())
        except (OSError, ValueError) as error:  # a shebang may be no command; the thread must go on
            code = 127 if isinstance(error, FileNotFoundError) else 1
            with self._lock:
                job.status = replace(
                    job.status, state=JobState.FAILED, reason=str(error), exit_code=code, ended=datetime.now()
                )

    def _close(self) -> None:
        """End all jobs and remove all files when this Python ends."""
        with self._starting:
            self._closed = True
        with self._lock:
            for job in self._jobs.values():
                if job.status.state is JobState.PENDING:
                    job.status = replace(job.status, state=JobState.CANCELLED)
        clean_up(self.token, wait=1)
        for job in self._busy():
            if job.process is not None:
                job.process.wait()
