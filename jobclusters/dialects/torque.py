"""TORQUE: its differences from PBS. Manual: https://docs.adaptivecomputing.com/torque/6-1-2/adminGuide/torque.htm.

tests/replies/torque/ holds replies of TORQUE 6. Arrays are as they have been since TORQUE 2.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from jobclusters.dialects.base import Reply, iter_lines, split_for_commands
from jobclusters.dialects.pbs import _READ, Pbs, _arrays, _checked
from jobclusters.errors import Unavailable
from jobclusters.state import JobState, JobStatus

_ATTRIBUTE = re.compile(r"    (\S+) = (.*)")


class Torque(Pbs):
    """TORQUE's commands."""

    name = "torque"
    title = "TORQUE"
    product = ""
    prefix = "TORQUE"
    example = 'worker_size="large", queue="batch", walltime="02:00:00"'
    section = "pbs"
    longest_job_name = 0  # its manual has no limit
    output_placeholders = "$"
    output_fields = r"\$\{?\w+\}?"
    index_variable = "PBS_ARRAYID"
    # Variables of others' jobs may look like a job of ours: the reply about that job alone shows its owner.
    find_needs_query = True
    cancel_only_listed = False
    array_words = ("Requested array size too large",)
    #: -11 and -12 (CPU time) were seen.
    endings = MappingProxyType({-10: JobState.OUT_OF_MEMORY, -11: JobState.TIMEOUT, -12: JobState.TIMEOUT})

    def submit_argv(self, count: int) -> list[str]:
        """Call qsub."""
        return ["qsub", *(["-t", f"0-{count - 1}"] if count > 1 else [])]

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call qdel with single ids: ranges need ``-t``, which applies to all of them."""
        return [["qdel", *part] for part in split_for_commands(ids)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call qstat in its plain format: its XML doesn't quote the users' text."""
        return ["qstat", "-t", "-f", *_arrays(ids)]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Ask for all jobs: qstat can't select by name, and qselect lists no elements."""
        return ["qstat", "-t", "-f"]

    def parse_find(self, reply: Reply, job_name: str, user: str) -> dict[str, JobStatus]:
        """Read the user's jobs of this name; elements are called ``name-0``, owners ``user@host``."""
        if not self._answers(reply):
            raise Unavailable(reply.sentence())
        pattern = re.compile(rf"{re.escape(job_name)}(-\d+)?")
        return {
            _checked(key): self._status(job)
            for key, job in self._jobs(reply)
            if "[]" not in key
            and pattern.fullmatch(job.get("job_name", ""))
            and job.get("job_owner", "").partition("@")[0] == user
        }

    def _jobs(self, reply: Reply) -> Iterator[tuple[str, dict[str, str]]]:
        """Read ``Job Id:`` and indented attributes; a tab begins the rest of a long line.

        Of several jobs with one id the first counts: the others are text in a job's variables.
        """
        seen = {""}
        key, name = "", ""
        job: dict[str, str] = {}
        for line in iter_lines(reply.out):
            if match := _ATTRIBUTE.match(line):
                name = match[1].lower()
                if name in _READ:
                    job[name] = match[2]
            elif line.startswith("\t"):
                if name in _READ:
                    job[name] += line[1:]
            elif line.startswith("Job Id:"):
                if key not in seen:
                    seen.add(key)
                    yield key, job
                key, name, job = line[len("Job Id:") :].strip(), "", {}
        if key not in seen:
            yield key, job
        elif len(seen) == 1 and reply.out.strip():
            raise reply.unreadable(repr(reply.out[:80]))

    def output_values(self, job_id: str, job_name: str) -> Mapping[str, str]:
        """Give what qsub's variables hold."""
        index = re.search(r"\[(\d+)\]", job_id)
        values = {"PBS_JOBID": job_id, "PBS_JOBNAME": job_name, **({"PBS_ARRAYID": index[1]} if index else {})}
        return {form.format(name): value for name, value in values.items() for form in ("${}", "${{{}}}")}

    def own_log_files(self, directives: Iterable[str], job_id: str, job_name: str) -> dict[str, str]:
        """Name the files as TORQUE does: elements get their index behind a dash."""
        found = super().own_log_files(directives, job_id, job_name)
        index = re.search(r"\[(\d+)\]", job_id)
        return {option: f"{path}-{index[1]}" if index else path for option, path in found.items()}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name the template's ``-o``, or qsub's default; elements get their index behind a dash."""
        (name,) = super().log_files(re.sub(r"\[\d+\]", "", job_id), log_directory, job_name)
        index = re.search(r"\[(\d+)\]", job_id)
        return [f"{name}-{index[1]}" if index else name]
