"""What the submitter does between two commands, on a batch system that answers as a test has it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.errors import NoArrays, SubmitLimit, Unavailable
from jobclusters.jobs import submitter as module
from jobclusters.jobs.record import JobRecord
from jobclusters.jobs.submitter import SUBMITTED_AT_ONCE, Submitter
from jobclusters.state import JobState, JobStatus
from tests.jobs.test_poller import happens

SLURM = DIALECTS["slurm"]


class Quiet:
    """An owner and a journal that note which jobs are over, and nothing else."""

    def __init__(self):
        self.gone = []

    async def submitting(self, job_name):
        pass

    async def retire(self, records):
        pass

    def over(self, record):
        self.gone.append(record)

    def __getattr__(self, name):
        return lambda *args, **keywords: None


class Queue:
    """Takes jobs while it has room; ``opens`` lets its commands go on."""

    interval = 1.0
    dialect = SLURM

    def __init__(self, largest_array=2, room=10**9):
        self.largest_array = largest_array
        self.room = room
        self.opens = asyncio.Event()
        self.opens.set()
        self.asked = []
        self.there = {}

    async def submit(self, script, count):
        self.asked.append(count)
        array = len(self.asked)
        await self.opens.wait()
        if len(self.there) + count > self.room:
            raise SubmitLimit("QOSMaxSubmitJobPerUserLimit")
        ids = [f"{array}_{index}" for index in range(count)]
        self.there.update(dict.fromkeys(ids, JobStatus(JobState.PENDING)))
        return ids

    async def cancel(self, ids):
        for job_id in ids:
            self.there.pop(job_id, None)

    async def states(self, ids):
        return {job_id: self.there[job_id] for job_id in ids if job_id in self.there}

    async def find(self, job_name):
        return {}


def jobs(count, first=0, **more):
    spec = resolve(SLURM, {"cores": 1, "memory": "1 GiB"}, settings.site(SLURM), "C", "tcp://10.0.0.1:8786")
    return [JobRecord(f"C-{number}", number, replace(spec, **more)) for number in range(first, first + count)]


def tell(story):
    """Run a story on an event loop."""
    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_a_limit_holds_back_is_not_submitted_while_the_cluster_closes():
    records = jobs(4)
    asked = []

    async def submit(script, count):
        asked.append(count)
        if count > 1:
            raise SubmitLimit("no more than one")
        for record in records:
            record.leaving = True  # now the cluster closes, and its cancels make room
        return ["7"]

    async def story():
        batch_system = SimpleNamespace(dialect=SLURM, submit=submit, largest_array=1000, interval=1.0)
        submitter = Submitter(batch_system, lambda spec: "", Quiet(), Quiet(), "t")
        submitter.submit(records)
        await submitter.settle()

    tell(story)
    assert asked == [4, 2, 1], "the other three were not asked for"
    assert [record.status.state for record in records[1:]] == [JobState.CANCELLED] * 3


async def first_arrays(records, owner):
    """Submit as many arrays as may be at once, to a queue that doesn't answer yet; the others wait for their turn."""
    queue = Queue()
    submitter = Submitter(queue, lambda spec: "", owner, owner, "t")
    queue.opens.clear()
    submitter.submit(records)
    await happens(lambda: len(queue.asked) == SUBMITTED_AT_ONCE)
    return queue, submitter


@pytest.mark.parametrize("closes", [True, False])
def test_arrays_whose_turn_has_not_come_are_never_submitted_if_they_are_to_leave(closes):
    records, owner = jobs(20), Quiet()

    async def story():
        queue, submitter = await first_arrays(records, owner)
        assert [record.status.reason for record in records[2 * SUBMITTED_AT_ONCE :]] == ["not submitted yet"] * 14
        closing = asyncio.ensure_future(submitter.close(records)) if closes else None
        submitter.cancel(records)
        queue.opens.set()
        await happens(lambda: len(owner.gone) == 20)
        if closing is not None:
            assert await closing == []
        await submitter.settle()
        assert (queue.asked, queue.there) == ([2] * SUBMITTED_AT_ONCE, {})

    tell(story)
    assert {record.status.state for record in records} == {JobState.CANCELLED}
    assert sorted(record.number for record in owner.gone) == list(range(20)), "each is over once"


def test_an_array_of_which_some_are_to_leave_comes_and_those_leave():
    records, owner = jobs(20), Quiet()

    async def story():
        queue, submitter = await first_arrays(records, owner)
        submitter.cancel(records[::2])
        queue.opens.set()
        await submitter.settle()
        assert owner.gone == records[::2]
        assert sorted(queue.there) == sorted(record.job_id for record in records[1::2])

    tell(story)


def test_once_a_limit_is_met_the_arrays_that_follow_are_not_tried_in_vain(monkeypatch):
    """Of their own spec: another queue may have another limit. All come as there is room, each once."""
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.0)
    records, others = jobs(40), jobs(2, first=100, queue="other")

    async def story():
        queue = Queue(room=5)
        submitter = Submitter(queue, lambda spec: "", Quiet(), Quiet(), "t")
        monkeypatch.setattr(submitter, "_submit_waiting", lambda: None)  # until the test has seen it
        submitter.submit(records)
        await submitter.settle()
        assert len(queue.there) == 5
        assert len(queue.asked) < 4 * SUBMITTED_AT_ONCE, "of 20 arrays"
        assert [record.status.reason for record in records].count("held back by a submit limit") == 35
        assert len(submitter.waiting) == 35
        tried = len(queue.asked)
        submitter.submit(others)
        await submitter.settle()
        assert len(queue.asked) > tried
        queue.room = 10**9
        monkeypatch.undo()
        submitter._submit_waiting()
        await submitter.settle()
        assert submitter.held_back == ""
        assert sorted(queue.there) == sorted(record.job_id for record in records + others)
        assert len(queue.there) == 42

    tell(story)


def test_jobs_that_go_one_by_one_stop_at_a_limit():
    records = jobs(50)

    class NoArray(Queue):
        async def submit(self, script, count):
            if count > 1:
                raise NoArrays("Job arrays are disabled")
            return await super().submit(script, count)

    async def story():
        queue = NoArray(largest_array=1000, room=4)
        submitter = Submitter(queue, lambda spec: "", Quiet(), Quiet(), "t")
        submitter.submit(records)
        await submitter.settle()
        assert len(queue.there) == 4
        assert len(queue.asked) < 4 + 2 * SUBMITTED_AT_ONCE
        assert len(submitter.waiting) == 46

    tell(story)


class Halved(Queue):
    """Refuses its largest array when it ``refuses``, as at first; it answers about half of it when it ``opens``."""

    def __init__(self, *args):
        super().__init__(*args)
        self.refuses = asyncio.Event()
        self.refuses.set()

    async def submit(self, script, count):
        if count == self.largest_array:
            self.asked.append(count)
            await self.refuses.wait()
            raise SubmitLimit("QOSMaxSubmitJobPerUserLimit")
        return await super().submit(script, count)


async def half_tried(records, owner, room=10**9):
    """Submit an array to a queue that has refused it whole, and hasn't answered yet about its first half."""
    queue = Halved(len(records), room)
    submitter = Submitter(queue, lambda spec: "", owner, owner, "t")
    queue.opens.clear()
    submitter.submit(records)
    await happens(lambda: queue.asked == [len(records), len(records) // 2])
    return queue, submitter


def are_held_back(submitter, records):
    """Tell whether these are seen to be held back, and no others."""
    reasons = {record.status.reason for record in records}
    return set(submitter.waiting) == set(records) and reasons <= {"held back by a submit limit"}


@pytest.mark.parametrize(("room", "asked"), [(2, [4, 2, 2, 1]), (3, [4, 2, 2, 1, 1]), (4, [4, 2, 2])])
def test_what_a_limit_refuses_is_held_back_before_half_of_it_is_tried(room, asked, monkeypatch):
    """A try may take minutes. The other half follows at once where the first one went, and isn't tried before."""
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.0)
    records = jobs(4)

    async def story():
        queue, submitter = await half_tried(records, Quiet(), room)
        assert are_held_back(submitter, records[2:])
        assert submitter.held_back == "QOSMaxSubmitJobPerUserLimit"
        await happens(lambda: submitter._retry is None)  # the time to try again has come
        await asyncio.sleep(0)
        assert queue.asked == [4, 2]
        monkeypatch.setattr(module, "RETRY_INTERVAL", 1000.0)
        queue.opens.set()
        await submitter.settle()
        assert queue.asked == asked
        assert len(queue.there) == room
        assert are_held_back(submitter, records[room:])
        assert bool(submitter.held_back) == (room < 4)
        queue.room = 4
        submitter._submit_waiting()
        await submitter.settle()
        assert sorted(queue.there) == sorted(record.job_id for record in records)

    tell(story)


def test_what_is_let_go_while_half_is_tried_is_over_at_once_and_the_rest_follows():
    records, owner = jobs(8), Quiet()

    async def story():
        queue, submitter = await half_tried(records, owner)
        submitter.cancel([records[5]])
        assert owner.gone == [records[5]]
        queue.opens.set()
        await submitter.settle()
        assert queue.asked == [8, 4, 1, 2], "an array has consecutive numbers"
        assert submitter.held_back == ""
        assert sorted(queue.there) == sorted(record.job_id for record in records if record is not records[5])

    tell(story)


def test_a_cluster_that_closes_while_half_is_tried_submits_nothing_more():
    records, owner = jobs(8), Quiet()

    async def story():
        queue, submitter = await half_tried(records, owner)
        closing = asyncio.ensure_future(submitter.close(records))
        await happens(lambda: owner.gone == records[4:])
        queue.opens.set()
        assert await closing == []
        assert (queue.asked, queue.there, submitter.waiting) == ([8, 4], {}, {})
        assert sorted(record.number for record in owner.gone) == list(range(8)), "each is over once"

    tell(story)


def test_an_array_that_comes_while_half_of_another_is_tried_follows_once_all_of_that_went(monkeypatch):
    """It would be tried in vain. Another queue may have another limit."""
    monkeypatch.setattr(module, "RETRY_INTERVAL", 1000.0)
    records, later, others = jobs(8), jobs(2, first=50), jobs(2, first=100, queue="other")

    async def story():
        queue, submitter = await half_tried(records, Quiet())
        submitter.submit(later + others)
        await happens(lambda: queue.asked == [8, 4, 2])
        assert are_held_back(submitter, records[4:] + later)
        queue.opens.set()
        await happens(lambda: len(queue.there) == 12)
        assert sorted(queue.there) == sorted(record.job_id for record in records + later + others)
        assert (submitter.waiting, submitter.held_back) == ({}, "")

    tell(story)


def test_arrays_whose_turn_has_not_come_are_held_back_with_the_first_one_that_a_limit_refuses(monkeypatch):
    """They follow once all of that went."""
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.0)
    records, owner = jobs(20), Quiet()

    async def story():
        queue = Halved(4)
        submitter = Submitter(queue, lambda spec: "", owner, owner, "t")
        queue.opens.clear()
        queue.refuses.clear()
        submitter.submit(records)
        await happens(lambda: queue.asked == [4] * SUBMITTED_AT_ONCE)
        queue.refuses.set()
        await happens(lambda: queue.asked == [4] * SUBMITTED_AT_ONCE + [2] * SUBMITTED_AT_ONCE)
        await happens(lambda: submitter._retry is None)  # the time to try again has come
        await asyncio.sleep(0)
        assert len(queue.asked) == 2 * SUBMITTED_AT_ONCE
        tried = [*records[0:2], *records[4:6], *records[8:10]]
        assert are_held_back(submitter, [record for record in records if record not in tried])
        submitter.cancel(records[16:])
        assert owner.gone == records[16:]
        queue.opens.set()
        await submitter.settle()
        assert sorted(queue.there) == sorted(record.job_id for record in records[:16])
        assert owner.gone == records[16:], "each is over once"
        assert (submitter.waiting, submitter.held_back) == ({}, "")

    tell(story)


FULL = "sbatch did not answer in time: no answer in 120 s; it printed: Slurm temporarily unable to accept job, sleeping"


@pytest.mark.parametrize("came", [True, False])
def test_a_full_queue_that_keeps_a_command_waiting_is_a_limit_unless_the_jobs_have_come(came, monkeypatch):
    monkeypatch.setattr(module, "LOOKUP_INTERVAL", (0.0, 0.0))
    records = jobs(4)

    class Full(Queue):
        async def submit(self, script, count):
            if len(self.there) + count > self.room:
                self.asked.append(count)
                if came:
                    self.there.update({f"1_{index}": JobStatus(JobState.PENDING) for index in range(count)})
                raise Unavailable(FULL)
            return await super().submit(script, count)

        async def find(self, job_name):
            return dict(self.there) if came else {}

    async def story():
        queue = Full(largest_array=4, room=2)
        submitter = Submitter(queue, lambda spec: "", Quiet(), Quiet(), "t")
        submitter.submit(records)
        await submitter.settle()
        held = [record for record in records if record.job_id is None]
        assert len(queue.there) == (4 if came else 2)
        assert held == ([] if came else records[2:])
        assert set(submitter.waiting) == set(held)
        assert "temporarily unable" in submitter.held_back or came
        assert queue.asked == ([4] if came else [4, 2, 2, 1])

    tell(story)


SBATCH = """#!/bin/sh
cat >/dev/null
case "$* $(ls)" in
  *--array*|*taken*)
    echo "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying" >&2
    echo "sbatch: error: Batch job submission failed: Resource temporarily unavailable" >&2
    exit 1;;
esac
touch taken
echo 7
"""


def test_where_slurms_own_queue_is_full_what_fits_is_there_and_the_rest_is_held_back(tmp_path, monkeypatch):
    """With sbatch's own words, as it prints them after two minutes: at MaxJobCount jobs of all users."""
    monkeypatch.setattr(module, "LOOKUP_INTERVAL", (0.0, 0.0))
    for name, text in {"sbatch": SBATCH, "squeue": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    records, owner = jobs(4), Quiet()

    async def story():
        submitter = Submitter(BatchCommands(SLURM), lambda spec: "#!/bin/sh\n", owner, owner, "t")
        submitter.submit(records)
        await submitter.settle()
        assert [record.job_id for record in records] == ["7", None, None, None]
        assert set(submitter.waiting) == set(records[1:])
        assert "Slurm temporarily unable to accept job" in submitter.held_back
        (tmp_path / "taken").unlink()
        submitter._submit_waiting()
        await submitter.settle()
        assert len(submitter.waiting) == 2
        assert owner.gone == []

    tell(story)
