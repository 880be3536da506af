"""Cancels the jobs that a dead cluster left in the queue, and records its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from jobclusters.batch.commands import BatchCommands
from jobclusters.dialects import DIALECTS
from jobclusters.errors import InvalidRequest, Unavailable
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.identity import batch_identity
from jobclusters.registry.journal import apply_messages, parsed, read_journal
from jobclusters.registry.record import ClusterRecord, Phase

#: Seconds in which a dead owner's jobs have to be gone.
SWEEP_TIMEOUT = 300.0


async def sweep(files: ClusterFiles, record: ClusterRecord, why: str) -> None:
    """Cancel the jobs that a dead cluster left in the queue, and record its end.

    Raises
    ------
    NoBatchSystem
        If that isn't possible on this machine; nothing is recorded then.
    Unavailable
        If jobs are still there after :data:`SWEEP_TIMEOUT`, or are another batch system's; nothing is recorded then.
    """
    lines, submissions, tokens, clusters = read_journal(files), dict[str, list[str]](), set[str](), set[str]()
    apply_messages(submissions, lines, tokens, clusters)
    identities = [str(message["identity"]) for message in parsed(lines) if "identity" in message]
    if run_of(files) != record.run:  # another cluster has its name and its directory now
        return
    if record.system == "local":
        for token in tokens:
            await asyncio.to_thread(end_local_jobs, token)
    elif submissions:
        await _check_here(record, record.identity or (identities or [""])[-1], why)
        if left := await cancel_submissions(record.system, submissions, clusters=clusters):
            raise Unavailable(
                f"cluster {record.name} ({why}) has left jobs that could not be cancelled: {', '.join(left)}"
            )
    record_end(files, record.run, why)


async def _check_here(record: ClusterRecord, identity: str, why: str) -> None:
    """Refuse to touch jobs of another batch system, which uses the same ids for other jobs."""
    if identity and (here := await batch_identity(record.system)) != identity:
        title = DIALECTS[record.system].title
        raise Unavailable(
            f"cluster {record.name} ({why}) has left jobs on {title} {identity}, and"
            f" {f'this is {title} {here}' if here else 'it is not known which one answers here'}: run this again there"
        )


def run_of(files: ClusterFiles) -> str | None:
    """Give the run of the cluster in a directory; None if there is none."""
    with suppress(InvalidRequest, OSError):
        record = files.record()
        return record.run if record else None
    return None


def end_local_jobs(token: str) -> None:
    """End the processes of a local queue."""
    from jobclusters.batch.local_queue import clean_up

    clean_up(token, wait=5)


def record_end(files: ClusterFiles, run: str, why: str) -> None:
    """Record the end of a dead cluster, and remove its secrets; of a cluster without a name, remove all."""
    with suppress(InvalidRequest, OSError):
        record = files.record()
        if record is None or record.run != run:
            return
        if not record.named:
            files.remove()
        elif record.phase is not Phase.ENDED:
            files.remove_secrets()  # first: afterwards the name, and its directory, may be another cluster's
            files.update(replace(record, phase=Phase.ENDED, why=why))


async def cancel_submissions(
    system: str, submissions: dict[str, list[str]], timeout: float | None = None, clusters: Collection[str] = ()
) -> list[str]:
    """Cancel all jobs of these submissions, and try again until the batch system reports that they are gone.

    They are looked for on these clusters of the site, and on those that their ids name.

    Ids are used again: only jobs that the batch system lists under the submission's own name are cancelled. The timeout
    is :data:`SWEEP_TIMEOUT` unless given. Give the ids, or names, of those that are still there then; raise
    NoBatchSystem if the batch system's commands aren't on this machine.
    """
    commands = BatchCommands(DIALECTS[system])
    commands.check()
    commands.know((job_id for ids in submissions.values() for job_id in ids), clusters)
    began = time.monotonic()
    deadline = began + (SWEEP_TIMEOUT if timeout is None else timeout)
    pause = 1.0
    # A submission without an answer may still be on its way to the batch system: look for it a while.
    unclear_until = time.monotonic() + 60.0
    looking, ours = {name: set(ids) for name, ids in submissions.items()}, set[str]()
    answers: Counter[str] = Counter()
    while (looking or ours) and time.monotonic() < deadline:
        for name, ids in list(looking.items()):
            # A bad answer must neither keep the other jobs in the queue nor end the only process that clears up.
            with suppress(Exception):
                found = {job_id for job_id, status in (await commands.find(name)).items() if not status.state.ended}
                answers[name] += 1
                ours |= found & ids if ids else found
                looking[name] = ids - found
                clear = answers[name] > 1 if ids else bool(found) or time.monotonic() > unclear_until
                if clear or (ids and not looking[name]):  # a job missing from two answers has ended
                    del looking[name]
        with suppress(Exception):
            if ours:
                await commands.cancel(sorted(ours))
                states = await commands.states(sorted(ours))
                ours = {job_id for job_id in ours if job_id in states and not states[job_id].state.ended}
        if looking or ours:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 10.0 if time.monotonic() - began < SWEEP_TIMEOUT else 60.0)
    return sorted(ours.union(*looking.values(), (name for name, ids in looking.items() if not ids)))


async def cancel_named(system: str, job_name: str | None, job_id: str) -> bool:
    """Cancel another process's job, if the batch system lists the id under its name; None names jobs of version 0.1.

    Tell whether it is listed so; raise QueueError if the batch system isn't here, or doesn't answer.
    """
    commands = BatchCommands(DIALECTS[system])
    commands.check()
    commands.know([job_id])
    listed = job_name is not None and job_id in await commands.find(job_name)
    if job_name is None or listed:
        await commands.cancel([job_id])
    return listed
