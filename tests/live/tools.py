"""What the live tests share: waiting, looking, counting."""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
from contextlib import suppress

import psutil

#: Seconds for which anything is waited for: on a busy cluster, jobs may take longer to start.
PATIENCE = float(os.environ.get("JOBCLUSTERS_LIVE_PATIENCE") or 120)


def until(condition, seconds=PATIENCE, poll=0.1):
    """Wait for a condition, and fail if it doesn't come. What takes long to look at is looked at less often."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        assert now < deadline, f"what was waited for did not happen within {seconds:g} s"
        time.sleep(max(poll, 5 * (now - began)))


def kill(*processes):
    """Kill processes, but for those that have just ended, and the batch system's: OAR's commands run as its own user."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def heads(place):
    """Give the processes on this machine that are heads of clusters noted there."""
    return [process for process in psutil.process_iter(["cmdline"]) if _is_head(process.info["cmdline"] or (), place)]


def _is_head(words, place):
    return "jobclusters.head" in words and any(word.startswith(f"{place}/") for word in words)


class Seen:
    """A cluster's jobs as the batch system itself tells of them. It remembers every job that it ever saw."""

    def __init__(self, system, token):
        self.system = system
        self.token = token
        self._ever = set()

    def all(self):
        """Give id and state of the jobs that are in the queue, those that are about to leave it too."""
        found = self.system.jobs(self.token)
        self._ever |= found.keys()
        return found

    def living(self):
        """Give the ids of the pending and the running."""
        found = self.system.living(self.token)
        self._ever |= set(found)
        return found

    def ever(self):
        """Give the ids of all jobs that there ever were, as far as is known."""
        found = self._ever | self.system.jobs(self.token, ended=True).keys()
        # SLURM remembers the elements of an array that were cancelled together while they were pending as one job.
        return found - {_number(job_id) for job_id in found if job_id != _number(job_id)}

    def arrays(self):
        """Give the numbers of the submissions that the living came from."""
        return {self.system.submission(job_id) for job_id in self.living()}


def _number(job_id):
    return re.match(r"\d+", job_id)[0]


class Drill:
    """Counts what a drill found, notes it, and fails if anything was duplicated, orphaned or lost."""

    def __init__(self, name, note):
        self.name = name
        self._note = note

    def report(self, seen, *, asked, extra=0, lost=0):
        """Look once all is over; ``extra`` jobs, at most, replaced others."""
        orphaned, ever = len(seen.living()), len(seen.ever())
        duplicated = max(0, ever - asked - extra)
        self._note(
            f"drill {self.name}: asked {asked}, seen {ever},"
            f" duplicated {duplicated}, orphaned {orphaned}, results lost {lost}"
        )
        assert (duplicated, orphaned, lost) == (0, 0, 0)
        assert ever >= asked or not seen.system.remembers


class Messages(logging.Handler):
    """The package's log. Not caplog: Dask silences its handler together with its own."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record):
        self.text += record.getMessage() + "\n"


def hold_results(client, count=20):
    """Put results onto all workers; give a function that counts those that had to be made again: each is unique."""
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    futures = [
        client.submit(uuid.uuid4, workers=[workers[i % len(workers)]], allow_other_workers=True, pure=False)
        for i in range(count)
    ]
    before = client.gather(futures)

    def lost():
        return sum(now != then for now, then in zip(client.gather(futures), before, strict=True))

    return lost


def count_questions(monkeypatch, cluster, verb):
    """Count from now on how often a cluster's engine asks its batch system for something."""
    batch_system = cluster.pool.batch_system
    original = getattr(batch_system, verb)
    asked = []

    async def counting(*args):
        asked.append(time.monotonic())
        return await original(*args)

    monkeypatch.setattr(batch_system, verb, counting)
    return asked
