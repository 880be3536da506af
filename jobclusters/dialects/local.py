"""The embedded queue of this machine: no commands, only what its scripts look like.

:mod:`jobclusters.localqueue` reads the directives and does what a batch system would.
"""

from __future__ import annotations

from typing import NoReturn

from jobclusters.dialect import Dialect


class Local(Dialect):
    """The queue of this machine."""

    name = "local"
    title = "this machine"
    probe = ""
    directive = "#JOB"
    clock = "minutes, MM:SS"
    unlimited = True
    index_variable = "JOBCLUSTERS_TASK_ID"
    excludes = False

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``--output`` names; else the queue's own directory has it."""
        return [] if log_directory is None else [f"{log_directory}/{job_name}-{job_id}.out"]

    def _no_command(self, *words: object, **more: object) -> NoReturn:
        raise NotImplementedError

    submit_argv = parse_submit = cancel_argv = query_argv = find_argv = parse_states = _no_command
