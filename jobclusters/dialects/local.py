"""The embedded queue of this machine: no commands, only directives.

:mod:`jobclusters.batch.local_queue` reads them and does the work of a batch system.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NoReturn

from jobclusters.dialects.base import Dialect, amount
from jobclusters.spec.job_spec import JobSpec


class Local(Dialect):
    """The queue of this machine."""

    name = "local"
    title = "this machine"
    prefix = "LocalQueue"
    example = 'worker_size="medium"'
    probe = ""
    directive = "#JOB"
    asks = MappingProxyType({"--time": "walltime", "--name": "name"})
    output_options = ("--output", "--error")
    clock = "minutes, MM:SS"
    unlimited = True
    index_variable = "JOBCLUSTERS_TASK_ID"
    excludes = False

    def own_memory(self, spec: JobSpec) -> int:
        """Read ``--memory=512M``."""
        return amount(self.all_requests(spec.directives).get("--memory", ""))

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``--output``; without it, the file is in the queue's own directory."""
        return [] if log_directory is None else [f"{log_directory}/{job_name}-{job_id}.out"]

    def _no_command(self, *words: object, **more: object) -> NoReturn:
        raise NotImplementedError

    submit_argv = parse_submit = cancel_argvs = query_argv = find_argv = parse_states = _no_command
