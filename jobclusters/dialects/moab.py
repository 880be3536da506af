"""Moab: its differences from TORQUE, which runs its jobs. Manual: https://docs.adaptivecomputing.com, "msub".

No Moab was at hand: commands and directives are those of dask-jobqueue, PBS's with two names changed.
tests/replies/moab/ holds what the manual prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jobclusters.dialects.base import Reply
from jobclusters.dialects.pbs import Pbs
from jobclusters.dialects.torque import Torque
from jobclusters.errors import Unavailable
from jobclusters.state import JobStatus

_SUBMITTED = re.compile(r"(?:Moab\.)?\d+(?:\.[^\s@]+)?")


class Moab(Torque):
    """Moab's commands; states come from the qstat of the system below it."""

    name = "moab"
    title = "Moab"
    prefix = "Moab"
    example = 'worker_size="large", queue="batch", walltime="02:00:00"'
    section = ""
    probe = "msub"
    # Its arrays have names and ids that were not seen.
    largest_array = 1
    #: That system is TORQUE or PBS.
    endings = MappingProxyType({**Pbs.endings, **Torque.endings})

    def submit_argv(self, count: int) -> list[str]:
        """Call msub."""
        return ["msub"]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``123``, ``123.server`` or ``Moab.123``, below an empty line."""
        if not reply.ok:
            raise self.failure(reply)
        for line in reversed(reply.out.splitlines()):
            if _SUBMITTED.fullmatch(line.strip()):
                return [line.strip()]
        raise Unavailable(f"msub printed no job id: {reply.words!r}")

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call canceljob, which takes one job."""
        return [["canceljob", job_id] for job_id in ids]
