"""What a cluster tells of its jobs: mappings and sequences that print as tables, also in notebooks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from jobclusters.cluster.html import HEADS, job_rows, jobs_html, table
from jobclusters.scaling.model import Step
from jobclusters.scaling.usage import Usage
from jobclusters.state import JobStatus

#: Decisions that are shown.
SHOWN_STEPS = 20


class Jobs(dict[str, JobStatus]):
    """The state of each job, by id.

    >>> from jobclusters.state import JobState
    >>> running = JobStatus(JobState.RUNNING, node="n1", workers=2)
    >>> Jobs({"12_0": running, "12_1": JobStatus(JobState.PENDING, "Resources")})
    JOB   STATE    REASON     NODE  TIME LEFT  WORKERS
    12_0  RUNNING             n1               2
    12_1  PENDING  Resources
    """

    def __repr__(self) -> str:
        if not self:
            return "no jobs"
        rows, more = job_rows(self, datetime.now())
        heads = tuple(head.upper() for head in HEADS)
        return text_table([heads, *rows]) + (f"\n... and {more} more" if more else "")

    def _repr_html_(self) -> str:
        return jobs_html(self, datetime.now())


class JobLogs(dict[str, str]):
    r"""The output of each job, by id.

    >>> JobLogs({"12_0": "hello\n", "12_1": ""})
    ==> 12_0 <==
    hello
    ==> 12_1 <==
    (nothing yet)
    """

    def __repr__(self) -> str:
        texts = (f"==> {job_id} <==\n{text.rstrip() or '(nothing yet)'}" for job_id, text in self.items())
        return "\n".join(texts) or "no jobs"

    def _repr_html_(self) -> str:
        return "".join(
            f"<details{' open' if len(self) == 1 else ''}><summary>{escape(job_id)}:"
            f" {len(text.splitlines())} lines</summary><pre>{escape(text)}</pre></details>"
            for job_id, text in self.items()
        ) or "<p>No jobs yet.</p>"  # fmt: skip


class UsageByGroup(dict[str, Usage]):
    """What each group has requested and used so far, by name.

    >>> UsageByGroup({"default": Usage(3, 12.0, 3.0)})
    default: 3 jobs asked for, 12 core-hours used, 25 % of them idle
    """

    def __repr__(self) -> str:
        return "\n".join(f"{group}: {usage.sentence()}" for group, usage in self.items()) or "nothing yet"

    def _repr_html_(self) -> str:
        rows = (
            (group, str(usage.jobs), f"{usage.core_hours:.3g}", f"{usage.idle_share:.0%}")
            for group, usage in self.items()
        )
        return table(("Group", "Jobs asked for", "Core-hours", "Idle"), rows)


class History(deque[Step]):
    """The adaptive scaler's decisions, with reasons, the newest last; it prints the last ones."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [(f"{step.time:%H:%M:%S}", step.group, step.decision.because) for step in list(self)[-SHOWN_STEPS:]]

    def __repr__(self) -> str:
        older = len(self) - SHOWN_STEPS
        first = [f"... {older} older decisions"] if older > 0 else []
        return "\n".join([*first, text_table(self._rows())]) if self else "no decisions"

    def _repr_html_(self) -> str:
        return table(("Time", "Group", "Because"), self._rows())


def text_table(rows: Sequence[Iterable[str]]) -> str:
    """Print rows of texts in columns.

    >>> print(text_table([("a", "b"), ("long", "")]))
    a     b
    long
    """
    cells = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
