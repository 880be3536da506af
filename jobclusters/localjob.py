"""A job of this machine's queue: what it needs, how it stands, and its processes."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from jobclusters.processes import send
from jobclusters.state import JobState, JobStatus


@dataclass
class LocalJob:
    """One job.

    Attributes
    ----------
    id, mark
        Of it; the mark is in the environment of all its processes.
    index
        In its array.
    name, script, cores, memory, gpus, walltime, output
        As its directives say; memory in bytes, the output's path.
    directory, environment
        Of whoever submitted it.
    status
        How it stands.
    process
        The script's; None before it is started.
    devices
        The GPUs that it has.
    deadline, kill_at
        When its walltime is over, and when it is killed as it doesn't end; in seconds of the monotonic clock.
    outcome
        What will have become of it; None if it ended by itself.
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
        """Start its script.

        Parameters
        ----------
        directory
            For the script.

        Raises
        ------
        OSError, ValueError
            If that can't be done.
        """
        environment = {**self.environment, "JOBCLUSTERS_JOB_ID": self.mark, "JOBCLUSTERS_TASK_ID": str(self.index)}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self.devices or range(self.gpus)))
        shebang = self.script.splitlines()[0]
        path = directory / f"{self.id}.sh"
        path.write_text(self.script)
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

    def push_out(self, processes: set[psutil.Process], patience: float) -> int | None:
        """Take it a step further as it ends: SIGTERM to its processes, SIGKILL to those left.

        Parameters
        ----------
        processes
            That are left.
        patience
            Seconds between the two.

        Returns
        -------
        int or None
            The script's exit code; None before all processes are gone.
        """
        if self.process is None:  # cancelled between being taken and being started
            return None
        now = time.monotonic()
        if self.kill_at is None:
            self.kill_at = now + patience
            send(processes, "terminate")
        elif now > self.kill_at:
            send(processes, "kill")
        code = self.process.poll()
        return None if processes else code

    def finish(self, code: int) -> None:
        """Note how it ended."""
        by_itself = self.outcome is None
        self.status = replace(
            self.status,
            state=self.outcome or (JobState.COMPLETED if code == 0 else JobState.FAILED),
            exit_code=code if code >= 0 and by_itself else None,
            signal=-code if code < 0 and by_itself else None,
            ended=datetime.now(),
        )
