"""A made-up batch system, ACME: the eighth, in the manner of the others. tests/test_acme.py adds it to a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jobclusters.dialects.base import ACCOUNT, Dialect, Reply
from jobclusters.errors import Unavailable
from jobclusters.spec.keyword import Keyword, Shared
from jobclusters.spec.reader import Reader
from jobclusters.state import JobState, JobStatus

_STATES = {"waits": JobState.PENDING, "runs": JobState.RUNNING, "over": JobState.COMPLETED}


class Acme(Dialect):
    """ACME's commands."""

    name = "acme"
    title = "ACME"
    prefix = "ACME"
    example = 'worker_size="large", colour="red"'
    probe = "acme-submit"
    directive = "#ACME"
    clock = "minutes, MM:SS"
    keywords = (
        ACCOUNT,
        Keyword(
            "colour",
            "str",
            "The colour of the nodes.",
            default="grey",
            read=Reader.word,
            old_names=("color",),
            shared=Shared.ALL,
        ),
    )
    job_variable = "ACME_JOB"
    index_variable = "ACME_INDEX"

    def submit_argv(self, count: int) -> list[str]:
        """Call acme-submit."""
        return ["acme-submit", str(count)]

    def parse_submit(self, reply: Reply, count: int) -> list[str]:
        """Read ``submitted 12``."""
        if not reply.ok:
            raise self.failure(reply)
        if match := re.fullmatch(r"submitted (\d+)\n", reply.out):
            return [f"{match[1]}.{index}" for index in range(count)]
        raise Unavailable(reply.sentence())

    def cancel_argvs(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> list[list[str]]:
        """Call acme-cancel."""
        return [["acme-cancel", *some] for some in self.split_by_cluster(ids)]

    def query_argv(self, ids: Sequence[str]) -> list[str]:
        """Call acme-list."""
        return ["acme-list", *ids]

    def find_argv(self, job_name: str, user: str, cluster: str = "") -> list[str]:
        """Call acme-list by name."""
        return ["acme-list", f"name={job_name}"]

    def parse_states(self, reply: Reply) -> dict[str, JobStatus]:
        """Read a line for each job."""
        if not reply.ok:
            raise Unavailable(reply.sentence())
        lines = (line.split() for line in reply.out.splitlines())
        return {job_id: JobStatus(_STATES.get(word, JobState.UNKNOWN)) for job_id, word in lines}

    def log_files(self, job_id: str, log_directory: str | None, job_name: str) -> list[str]:
        """Name what acme-submit makes."""
        return [f"{log_directory or '.'}/{job_name}-{job_id}.out"]
