"""What the submitter does between two commands, on a batch system that answers as a test has it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.errors import SubmitLimit
from jobclusters.jobs.record import JobRecord
from jobclusters.jobs.submitter import Submitter
from jobclusters.state import JobState


class Quiet:
    """An owner and a journal that take note of nothing."""

    async def submitting(self, job_name):
        pass

    def __getattr__(self, name):
        return lambda *args, **keywords: None


def test_what_a_limit_holds_back_is_not_submitted_while_the_cluster_closes():
    slurm = DIALECTS["slurm"]
    spec = resolve(slurm, {"cores": 1, "memory": "1 GiB"}, settings.site(slurm), "C", "tcp://10.0.0.1:8786")
    records = [JobRecord(f"C-{number}", number, spec) for number in range(4)]
    asked = []

    async def submit(script, count):
        asked.append(count)
        if count > 1:
            raise SubmitLimit("no more than one")
        for record in records:
            record.leaving = True  # now the cluster closes, and its cancels make room
        return ["7"]

    async def main():
        batch_system = SimpleNamespace(dialect=slurm, submit=submit, largest_array=1000, interval=1.0)
        submitter = Submitter(batch_system, lambda spec: "", Quiet(), Quiet(), "t")
        submitter.submit(records)
        await submitter.settle()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert asked == [4, 2, 1], "the other three were not asked for"
    assert [record.status.state for record in records[1:]] == [JobState.CANCELLED] * 3
