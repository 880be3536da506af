"""Answers of very many jobs don't block the event loop, which is that of Dask's scheduler."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from benchmarks import answers
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.dialects.lsf import Openlava


@pytest.mark.parametrize(
    "make", [answers.slurm, answers.pbs, answers.torque, answers.lsf, answers.openlava, answers.sge, answers.htcondor]
)
def test_the_event_loop_goes_on_while_an_answer_is_read(make):
    dialect = Openlava() if make is answers.openlava else DIALECTS[make.__name__]
    find = make is answers.torque  # there all users' jobs are asked for
    found, took, gap = asyncio.run(answers.read(answers.Answering(dialect, make(40_000)), find=find))
    assert find or found == 40_000
    assert gap < took / 2, "seconds of CPU time, in which others had their turn"


def reading_time(dialect, text):
    """Give the CPU time of the quickest of some tries."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for parse in (dialect.parse_states, dialect.parse_detail):
            with suppress(Exception):
                parse(Reply(("query",), 0, text))
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("title", answers.hostile(1))
def test_no_text_takes_quadratic_time(title):
    """Which would be thousands of times that of an ordinary answer of this length."""
    dialect, text = answers.hostile(20_000)[title]
    slurm = answers.slurm(1000)
    ordinary = reading_time(DIALECTS["slurm"], slurm) * len(text) / len(slurm)
    assert reading_time(dialect, text) < 50 * ordinary
