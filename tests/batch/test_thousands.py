"""Fifty thousand jobs: in arrays that the batch system takes, cancelled and asked about with commands that Linux takes."""

from __future__ import annotations

import asyncio
import math

import pytest

from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import MOST_ID_CHARACTERS, split_for_commands
from jobclusters.jobs.record import JobRecord
from jobclusters.jobs.submitter import Submitter
from jobclusters.state import JobState, JobStatus
from tests.helpers.golden import SMALL

SLURM = DIALECTS["slurm"]
COUNT = 50_000
#: Linux takes as much in one argument, and as much in all of a command where the stack has 8 MiB.
LONGEST_ARGUMENT, LONGEST_COMMAND = 2**17, 2**21

#: How the ids of an array's elements are written, and the most commands that cancel all jobs.
SYSTEMS = {
    "slurm": (lambda array, index: f"{7000 + array}_{index}", 1),
    "sge": (lambda array, index: f"{7000 + array}.{index + 1}", 1),
    "lsf": (lambda array, index: f"{7000 + array}[{index + 1}]", 1),
    "htcondor": (lambda array, index: f"{7000 + array}.{index}", 1),
    "pbs": (lambda array, index: f"{7000 + array}[{index}].server", 50),  # one qdel of two arrays may crash its server
    "torque": (lambda array, index: f"{7000 + array}[{index}].server", math.ceil(COUNT * 17 / MOST_ID_CHARACTERS)),
    "oar": (lambda array, index: str(1_000_000 + 1000 * array + index), math.ceil(COUNT * 8 / MOST_ID_CHARACTERS)),
}


class Counting:
    """Takes any array, and counts them."""

    interval = 1.0

    def __init__(self, system):
        self.dialect = DIALECTS[system]
        self.largest_array = self.dialect.largest_array
        self.counts = []
        self._id = SYSTEMS[system][0]

    async def submit(self, script, count):
        self.counts.append(count)
        return [self._id(len(self.counts), index) for index in range(count)]


class Owner:
    """An owner and a journal that let everything be."""

    def __getattr__(self, name):
        return lambda *_, **__: None

    async def submitting(self, job_name):
        pass


@pytest.fixture(scope="module")
def submitted():
    known = {}

    def submit(system):
        if system not in known:
            batch_system = Counting(system)
            spec = resolve(SLURM, {"python": "python", **SMALL}, settings.site(SLURM), "C", "tcp://10.0.0.1:8786")
            records = [JobRecord(f"C-{number}", number, spec) for number in range(COUNT)]

            async def run():
                submitter = Submitter(batch_system, lambda _: "#!/bin/sh\n", Owner(), Owner(), "t")
                submitter.submit(records)
                await submitter.settle()

            asyncio.run(run())
            known[system] = batch_system.counts, [record.job_id for record in records]
        return known[system]

    return submit


@pytest.mark.parametrize("system", SYSTEMS)
def test_arrays_are_as_large_as_the_batch_system_takes(system, submitted):
    counts, ids = submitted(system)
    largest = DIALECTS[system].largest_array
    assert counts == [largest] * (COUNT // largest) + [COUNT % largest] * (COUNT % largest > 0)
    assert len(set(ids)) == COUNT


def fits(argv):
    return max(map(len, argv)) < LONGEST_ARGUMENT and sum(len(word) + 9 for word in argv) < LONGEST_COMMAND


@pytest.mark.parametrize("system", SYSTEMS)
def test_few_commands_cancel_them(system, submitted):
    _, ids = submitted(system)
    listed = dict.fromkeys(ids, JobStatus(JobState.PENDING)) if DIALECTS[system].cancel_only_listed else {}
    argvs = DIALECTS[system].cancel_argvs(ids, listed)
    assert 0 < len(argvs) <= SYSTEMS[system][1]
    assert all(map(fits, argvs))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_second_one_takes_no_command_that_is_too_long(system, submitted):
    """Which can't be written as a range."""
    _, ids = submitted(system)
    listed = dict.fromkeys(ids, JobStatus(JobState.PENDING)) if DIALECTS[system].cancel_only_listed else {}
    if DIALECTS[system].cancel_only_listed:  # there an element is a command
        ids = ids[:100]
    assert all(map(fits, DIALECTS[system].cancel_argvs(ids[::2], listed)))


@pytest.mark.parametrize("system", SYSTEMS)
def test_few_commands_ask_for_them(system, submitted):
    _, ids = submitted(system)
    dialect = DIALECTS[system]
    asked = [dialect.query_argv(part) for some in dialect.split_by_cluster(ids) for part in split_for_commands(some)]
    assert 0 < len(asked) <= math.ceil(sum(map(len, ids)) / MOST_ID_CHARACTERS) + 1
    assert all(map(fits, asked))
