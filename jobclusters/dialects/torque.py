"""TORQUE: what differs from PBS. Manual: https://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/torque.htm.

What was recorded of TORQUE 6 is in tests/replies/torque/. Arrays are as they have been since TORQUE 2.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from jobclusters.dialect import Reply
from jobclusters.dialects.pbs import Pbs, _arrays
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

_ATTRIBUTE = re.compile(r"^    (\S+) = (.*)$", re.MULTILINE)


class Torque(Pbs):
    """TORQUE's commands."""

    name = "torque"
    title = "TORQUE"
    section = "pbs"
    index_variable = "PBS_ARRAYID"
    cancel_only_listed = False
    array_words = ("Requested array size too large",)
    #: -11 and -12 (CPU time) were seen.
    endings = MappingProxyType({-10: JobState.OUT_OF_MEMORY, -11: JobState.TIMEOUT, -12: JobState.TIMEOUT})

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub."""
        return ["qsub", *(["-t", f"0-{count - 1}"] if count > 1 else [])]

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qdel with one id after the other: ranges need ``-t``, which holds for all of them."""
        return ["qdel", *ids]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qstat in its plain format: its XML has no quotes around what people wrote."""
        return ["qstat", "-t", "-f", *_arrays(ids)]

    def find_argv(self, job_name: str) -> list[str]:
        """Ask for all jobs: qstat doesn't know names, and qselect lists no elements."""
        return ["qstat", "-t", "-f"]

    def parse_find(self, reply: Reply, job_name: str) -> dict[str, JobStatus]:
        """Read the jobs of this name; elements are called ``name-0``."""
        names = {key: job.get("job_name", "") for key, job in self._jobs(reply).items()}
        pattern = re.compile(rf"{re.escape(job_name)}(-\d+)?")
        return {key: status for key, status in self.parse_states(reply).items() if pattern.fullmatch(names[key])}

    def _jobs(self, reply: Reply) -> dict[str, dict[str, str]]:
        """Read ``Job Id:`` and indented attributes; a tab begins the rest of a long line."""
        text = reply.out.replace("\n\t", "")
        blocks = re.split(r"^Job Id: *(\S+)\s*$", text, flags=re.MULTILINE)[1:]
        if text.strip() and not blocks:
            raise Unavailable(f"{' '.join(reply.argv)} printed what can't be read: {text[:80]!r}")
        return {
            key: {name.lower(): value for name, value in _ATTRIBUTE.findall(block)}
            for key, block in zip(blocks[::2], blocks[1::2], strict=True)
        }

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what the template's ``-o`` names, or qsub's default; elements get their index behind a dash."""
        (name,) = super().log_files(re.sub(r"\[\d+\]", "", job_id), log_directory, job_name)
        index = re.search(r"\[(\d+)\]", job_id)
        return [f"{name}-{index[1]}" if index else name]
