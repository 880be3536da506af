"""Starts a cluster's head: as a job, or as a process of this machine that goes on when this one has ended."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from jobclusters import finding
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.commandqueue import CommandQueue
from jobclusters.dialect import Dialect
from jobclusters.engine import Engine
from jobclusters.entry import Entry, Phase
from jobclusters.errors import JobsFailed, QueueError
from jobclusters.headspec import Head, with_files
from jobclusters.record import JobRecord
from jobclusters.registry import Presence, taken
from jobclusters.script import render

logger = logging.getLogger(__name__)

#: What a head is told to do, in the cluster's directory, and what a detached one prints.
ORDER = "order.pickle"
LOG = "head.log"
#: Seconds between two looks whether it is there.
LOOK = 0.3


@dataclass(frozen=True)
class Order:
    """What a head is to make.

    Attributes
    ----------
    cls, keywords
        The cluster's class and its parameters.
    config
        Dask's configuration.
    directory
        Where relative paths begin.
    lifetime
        Seconds after which the head should close, before its walltime ends it; None for never.
    """

    cls: type
    keywords: Mapping[str, Any]
    config: Mapping[str, Any]
    directory: str
    lifetime: float | None = None


class Start:
    """Starts the head of one cluster.

    Parameters
    ----------
    presence
        What is noted of the cluster.
    head
        Where it is to run.
    order
        What it is to make.
    dialect
        Of the batch system.
    template_dirs
        Directories of a site's templates.
    alone
        Whether the head may go on starting if this process ends.
    """

    def __init__(
        self,
        presence: Presence,
        head: Head,
        order: Order,
        dialect: Dialect,
        template_dirs: tuple[str, ...] = (),
        *,
        alone: bool = False,
    ) -> None:
        self._presence = presence
        self._files: ClusterFiles = presence.files
        self._head = head
        self._order = order
        self._dialect = dialect
        self._template_dirs = template_dirs
        self._alone = alone
        self._engine: Engine | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._spawning: asyncio.Future[subprocess.Popen[bytes]] | None = None

    async def run(self) -> Entry | None:
        """Start the head, and wait until its scheduler is there; it leaves nothing behind if that fails.

        Returns
        -------
        Entry or None
            Of the cluster that has the name, if another one was faster: nothing is started then.

        Raises
        ------
        QueueError
            If it ended, with what it or the batch system said.
        """
        try:
            if (found := await finding.take(self._files, self._presence.entry)) is not None:
                return _like(self._presence.entry, found.entry)
            self._files.write(ORDER, cloudpickle.dumps(self._order))
            await (self._submit() if self._head.kind == "job" else self._spawn())
            await self._until_there()
        except BaseException as error:
            await _to_the_end(
                self._give_up(f"it did not start: {error}" if str(error) else "its start was interrupted")
            )
            raise
        if self._engine is not None:
            await self._engine.release()
        return None

    async def _submit(self) -> None:
        verbs = CommandQueue(self._dialect)
        verbs.check()
        self._engine = engine = Engine(
            verbs=verbs,
            render=lambda spec: render(spec, self._dialect, self._template_dirs),
            scheduler=lambda: None,
            lost=lambda names, *, replace: None,  # noqa: ARG005 -- a head is not replaced
            token=self._presence.entry.run[:8],
            lost_after=float("inf"),
            files=None if self._alone else self._files,
            guarded=not self._alone,
        )
        spec = with_files(self._head.spec, self._files.path, self._presence.entry.run, sys.executable)  # type: ignore[arg-type]
        record = JobRecord("head-0", 0, replace(spec, worker_name="head-0"))
        engine.start()
        engine.queue.submit(record)
        await engine.queue.settle()
        if (trouble := self._trouble()) is not None:
            raise trouble
        entry = await asyncio.to_thread(self._files.entry)
        if entry is not None and entry.phase is Phase.STARTING and entry.pid == self._presence.entry.pid:
            self._presence.note(job_id=record.job_id, job_name=record.job_name)
        logger.info("The head of cluster %s is job %s.", self._presence.entry.name, record.job_id)

    async def _spawn(self) -> None:
        log = self._files.write(LOG, "").open("ab")
        with log:
            self._spawning = asyncio.ensure_future(
                asyncio.to_thread(
                    subprocess.Popen,
                    [sys.executable, "-m", "jobclusters.head", str(self._files.path), self._presence.entry.run],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # neither Ctrl-C nor the end of the login reach it
                )
            )
            self._process = await asyncio.shield(self._spawning)

    async def _until_there(self) -> None:
        told = ""
        while True:
            trouble = self._trouble()  # first: what the head has noted at its end says more than that it has ended
            entry = await asyncio.to_thread(self._files.entry)
            if entry is not None and entry.run == self._presence.entry.run:
                if entry.phase is Phase.RUNNING:
                    return
                if entry.phase is Phase.ENDED:
                    raise JobsFailed(
                        f"the head of cluster {entry.name} has ended: {entry.why}. It printed:\n{self._files.printed()}"
                    )
            if trouble is not None:
                raise trouble
            if self._engine is not None and (summary := self._engine.summary()) != told:
                logger.info("The head of cluster %s: %s.", self._presence.entry.name, told := summary)
            await asyncio.sleep(LOOK)

    def _trouble(self) -> QueueError | None:
        """Give what keeps the head from coming."""
        name = self._presence.entry.name
        if self._engine is not None and (trouble := self._engine.trouble()) is not None:
            unseen = (
                ""
                if self._files.printed()
                else f" Do all nodes see {self._files.path}? If not, set jobclusters.directory."
            )
            return type(trouble)(f"the head of cluster {name} did not start: {trouble}{unseen}")
        if self._process is not None and self._process.poll() is not None:
            return JobsFailed(f"the head of cluster {name} did not start: {self._files.printed() or 'it said nothing'}")
        return None

    async def _give_up(self, why: str) -> None:
        if self._spawning is not None:  # interrupted at that very moment, it is there all the same
            with suppress(OSError):
                self._process = await self._spawning
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._engine is not None:
            await self._engine.close()
        entry: Entry | None = None
        with suppress(QueueError, ValueError):
            entry = self._files.entry()
        if entry is not None and entry.run == self._presence.entry.run and entry.phase is not Phase.ENDED:
            self._presence.ended(why)
        if not self._presence.entry.named:
            self._files.remove()


def _like(entry: Entry, other: Entry) -> Entry:
    """Give a cluster that is connected to in another one's place; it has to be on the same batch system."""
    if other.system != entry.system:
        raise taken(other.name, f"on {other.system}")
    return other


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do something whatever comes: what Ctrl-C interrupts is cancelled by Dask first, and then by us."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
