"""Every call that the pool makes of others fails once, at each point of a small life: nothing is doubled, left or lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from contextvars import ContextVar
from types import SimpleNamespace

import pytest

from jobclusters.errors import Unavailable
from jobclusters.jobs import failures, poller, pool, retire, submitter
from jobclusters.jobs.groups import Group
from jobclusters.jobs.pool import JobPool
from jobclusters.state import JobState, JobStatus
from jobclusters.testing import ScriptedQueue
from tests.helpers.waiting import PATIENCE
from tests.jobs.test_pool_properties import SPEC

#: Points of one kind at which it is tried; later ones are as these.
MOST_POINTS = 30

#: Of whom the tasks that run now are: the lives of one kind of fault are lived at the same time.
WORLD = ContextVar("world")

REAL = SimpleNamespace(monotonic=time.monotonic, to_thread=asyncio.to_thread)


class Fault(Exception):
    """One that no code foresees."""


class World:
    """A batch system, a scheduler, files, a clock and a janitor, of which one call fails.

    Parameters
    ----------
    *faults
        Which calls: kinds, and the so-many-th of each.
    error
        What it raises.
    carried_out
        Whether it does what it should all the same.
    """

    interval = 0.001
    dialect = ScriptedQueue.dialect
    largest_array = 1000

    def __init__(self, *faults, error=None, carried_out=False):
        self.faults = faults
        self.error = error
        self.carried_out = carried_out
        self.calls = Counter()
        self.names, self.status = {}, {}
        self.registered = {}
        self.noted = set()
        self.handed_over = False
        self.reported = 0
        self.pool = None

    def call(self, kind, do=lambda: None):
        self.calls[kind] += 1
        fails = (kind, self.calls[kind]) in self.faults
        if fails and not self.carried_out:
            raise self.error
        result = do()
        if fails:
            raise self.error
        return result

    @property
    def living(self):
        return [job_id for job_id, status in self.status.items() if not status.state.ended]

    # -- the batch system

    async def submit(self, script, count):
        return self.call("submit", lambda: self._submit(script, count))

    def _submit(self, script, count):
        job_name, worker, first = script.split()
        number = len({job_id.partition("_")[0] for job_id in self.status}) + 1
        ids = [f"{number}_{index}" for index in range(count)] if count > 1 else [str(number)]
        for index, job_id in enumerate(ids):
            name = f"{worker}-{int(first) + index}" if count > 1 else worker
            self.names[job_id] = (job_name, name)
            if "2_0" in self.status or job_id != "1_0":
                self.status[job_id] = JobStatus(JobState.RUNNING, node=f"n{index}")
                self.registered[name] = SimpleNamespace(name=name, address=name, processing=(), nbytes=0)
                asyncio.get_running_loop().call_later(0.003, self.pool.arrived, [name])
            else:
                self.status[job_id] = JobStatus(JobState.FAILED, exit_code=1, node="n9")
        return ids

    async def cancel(self, ids):
        self.call("cancel", lambda: [self.end(job_id, JobState.CANCELLED) for job_id in ids])

    async def states(self, ids):
        return self.call("states", lambda: {job_id: self.status[job_id] for job_id in ids})

    async def find(self, job_name):
        return self.call("find", lambda: {i: self.status[i] for i, (name, _) in self.names.items() if name == job_name})

    async def detail(self, job_id):
        return self.call("detail", lambda: self.status[job_id])

    def log_files(self, job_id, log_directory, job_name, directives=()):
        return self.call("read a file", lambda: ["/nowhere"])

    def end(self, job_id, state):
        if not self.status[job_id].state.ended:
            self.status[job_id] = JobStatus(state, node=self.status[job_id].node)
            if state is not JobState.NODE_FAIL:  # those of a frozen node stay registered
                self.registered.pop(self.names[job_id][1], None)

    # -- the scheduler

    @property
    def workers(self):
        return self.call("scheduler: workers", lambda: dict(self.registered))

    @property
    def transition_counter(self):
        return object()  # there is always news

    async def remove_worker(self, address, **_):
        self.call("scheduler: remove", lambda: self.registered.pop(address, None))

    async def retire_workers(self, names, **_):
        self.call("scheduler: retire", lambda: [self.registered.pop(name, None) for name in names])

    def handle_worker_status_change(self, *_, **__):
        pass

    # -- the janitor

    async def submitting(self, job_name):
        self.call("janitor: submitting", lambda: self.noted.add(job_name))

    def submitted(self, job_name, ids):
        self.call("janitor: submitted")

    def refused(self, job_name):
        self.call("janitor: refused")

    def ended(self, job_name, job_id):
        self.call("janitor: ended")

    async def goodbye(self):
        self.call("janitor: goodbye")

    def hand_over(self):
        self.handed_over = True
        for job_id in self.living:
            if self.names[job_id][0] in self.noted:
                self.end(job_id, JobState.CANCELLED)
        return True


def clock():
    return WORLD.get().call("clock", REAL.monotonic)


async def to_thread(function, *args):
    return WORLD.get().call("thread", lambda: function(*args))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let nothing take long, and all calls go through the world."""
    for module, values in {
        submitter: {
            "GATHER_INTERVAL": 0.001,
            "LOOKUP_INTERVAL": (0.002, 0.004),
            "CANCEL_TIMEOUT": 0.2,
            "CANCEL_INTERVAL": 0.05,
            "VERIFY_INTERVAL": (0.005, 0.01),
        },
        poller: {"SLOWEST_INTERVAL": 0.02, "REST_INTERVAL": 0.02},
        retire: {"RETIRE_INTERVAL": 0.005},
        pool: {"RENEWAL_INTERVAL": 0.02},
    }.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    for module in (submitter, poller, retire, pool, failures):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock), raising=False)
    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    monkeypatch.setattr(pool, "Janitor", lambda *_, **__: WORLD.get())


async def live(world):
    """Ask for 3 jobs, of which one dies at once and one later; then for 1; and close."""
    WORLD.set(world)
    world.pool = jobs = JobPool(
        world,
        render=lambda spec: world.call("render", lambda: f"{spec.job_name} {spec.worker_name} {spec.first or 0}"),
        token="t",
        lost_after=60.0,
        scheduler=lambda: world,
        prepare=lambda group: world.call("prepare"),
        absent_after=0.2,
    )
    group = jobs.groups["default"] = Group("default", "C", SPEC)
    jobs.start()
    await ask(world, group, 3)
    victim = next((job_id for job_id in world.living), None)
    world.end(victim, JobState.NODE_FAIL)
    await ask(world, group, 3, again=False)
    await ask(world, group, 1)
    await asyncio.wait_for(jobs.close(), PATIENCE)
    assert [world.names[job_id] for job_id in world.living] == [], "orphaned"
    assert not [each for each in jobs.records.values() if each.status.reason == "being submitted"]
    assert len(world.calls) > 8


async def ask(world, group, number, *, again=True):
    """Ask for so many jobs, and again as often as it is refused; wait until they are there."""
    deadline = REAL.monotonic() + PATIENCE
    asks = again
    while True:
        if asks:
            with contextlib.suppress(Fault, OSError, Unavailable):
                world.pool.want(group, number)
                asks = False
        elif (trouble := world.pool.trouble()) is not None:
            world.reported += 1
            assert str(trouble)
            asks = True
        elif sorted(world.living) == sorted(str(each.job_id) for each in world.pool.wanted()) and len(
            world.living
        ) == number == len(world.pool.records):
            return
        assert REAL.monotonic() < deadline, (
            f"lost or doubled: {number} wanted, {world.living} there, {world.pool.records}, {world.pool.summary()}"
        )
        await asyncio.sleep(0.002)


KINDS = [
    *("submit", "cancel", "states", "find", "detail", "read a file", "clock", "thread", "render", "prepare"),
    *("scheduler: workers", "scheduler: remove", "scheduler: retire"),
    *("janitor: submitting", "janitor: submitted", "janitor: ended", "janitor: goodbye"),
]


@pytest.mark.parametrize(
    ("error", "carried_out"),
    [(Fault("unforeseen"), False), (Fault("unforeseen"), True), (OSError(5, "I/O error"), False)],
    ids=["unforeseen", "unforeseen, carried out", "OSError"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails_once_doubles_and_loses_nothing(kind, error, carried_out):
    async def main():
        also = [("submit", 1)] if kind == "find" else []  # which only a submission of unclear outcome asks for
        first = World(*also, error=error)
        await live(first)
        points = range(1, min(first.calls[kind], MOST_POINTS) + 1)
        worlds = [World((kind, point), *also, error=error, carried_out=carried_out) for point in points]
        await asyncio.gather(*(asyncio.create_task(live(world)) for world in worlds))
        return len(worlds)

    assert asyncio.run(main()) > 0
