"""Starts a cluster's head: as a job, or as a process of this machine that outlives this one."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jobclusters.batch.commands import BatchCommands
from jobclusters.batch.script import render
from jobclusters.config.head_options import Head, with_files
from jobclusters.config.own_python import own_environment, own_python
from jobclusters.dialects.base import Dialect
from jobclusters.errors import JobsFailed, QueueError
from jobclusters.head.order import Order
from jobclusters.jobs.pool import JobPool
from jobclusters.jobs.record import JobRecord
from jobclusters.registry import liveness
from jobclusters.registry.files import ClusterFiles
from jobclusters.registry.identity import batch_identity
from jobclusters.registry.names import Presence, name_taken
from jobclusters.registry.record import TERMINATED, ClusterRecord, Phase
from jobclusters.state import JobState

logger = logging.getLogger(__name__)

#: The output of a detached head, in the cluster's directory.
LOG_FILE = "head.log"
#: Seconds between two checks whether it runs.
START_INTERVAL = 0.3


class HeadLauncher:
    """Starts the head of one cluster.

    Parameters
    ----------
    presence
        The cluster's record.
    head, order
        Where it runs, and what it makes.
    dialect, template_dirs
        Of its job.
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
        self._pool: JobPool | None = None
        self._job: JobRecord | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._spawning: asyncio.Future[subprocess.Popen[bytes]] | None = None

    async def run(self) -> ClusterRecord | None:
        """Start the head, and wait for its scheduler; a failure leaves nothing behind.

        Give the record of the cluster that took the name first, if there is one: nothing is started then. Raise
        QueueError if the head ended, with its output or the batch system's words.
        """
        try:
            if (found := await liveness.take_name(self._files, self._presence.record)) is not None:
                if found.record.system != self._presence.record.system:
                    raise name_taken(found.record.name, f"on {found.record.system}")  # noqa: TRY301 -- it clears up
                return found.record
            digest = self._order.write(self._files)
            await (self._submit(digest) if self._head.kind == "job" else self._spawn(digest))
            await self._until_there()
        except BaseException as error:
            await _to_the_end(
                self._give_up(f"it did not start: {error}" if str(error) else "its start was interrupted")
            )
            raise
        if self._pool is not None:
            await self._pool.release()
        return None

    async def _submit(self, digest: str) -> None:
        options = self._head.spec.options  # type: ignore[union-attr]
        batch_system = BatchCommands(self._dialect, use_stdin=options.get("use_stdin", True), options=options)
        batch_system.check()
        self._pool = pool = JobPool(
            batch_system=batch_system,
            render=lambda spec: render(spec, self._dialect, self._template_dirs),
            token=self._presence.record.run[:8],
            lost_after=float("inf"),
            files=None if self._alone else self._files,
            guarded=not self._alone,
        )
        words = (str(self._files.path), self._presence.record.run, digest)
        spec = with_files(self._head.spec, words, own_python())  # type: ignore[arg-type]
        self._job = job = JobRecord("head-0", 0, replace(spec, worker_name="head-0"))
        # The name first, as the head may record its id itself: the name tells the job from another one of that id.
        identity = await batch_identity(self._dialect.name)
        self._presence.note(job_name=f"{spec.job_name}-{pool.token}-0", identity=identity)
        pool.start()
        pool.add([job])
        await pool.settle()
        if (trouble := self._trouble()) is not None:
            raise trouble
        record = await asyncio.to_thread(self._files.record)
        if record is not None and record.phase is Phase.STARTING and record.pid == self._presence.record.pid:
            self._presence.note(job_id=job.job_id, job_name=job.job_name)
        logger.info("The head of cluster %s is job %s.", self._presence.record.name, job.job_id)

    async def _spawn(self, digest: str) -> None:
        with self._files.write(LOG_FILE, "").open("ab") as log:
            self._spawning = asyncio.ensure_future(
                asyncio.to_thread(
                    subprocess.Popen,
                    [*own_python(), "-m", "jobclusters.head", str(self._files.path), self._presence.record.run, digest],
                    cwd="/",  # which holds no modules to import; the head enters our directory when it has started
                    env=own_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # neither Ctrl-C nor the end of the login reach it
                )
            )
            self._process = await asyncio.shield(self._spawning)

    async def _until_there(self) -> None:
        logged = ""
        while True:
            trouble = self._trouble()  # before the record, whose reason for the end is better than this one
            record = await asyncio.to_thread(self._files.record)
            if record is not None and record.run == self._presence.record.run:
                if record.phase is Phase.RUNNING:
                    return
                if record.phase is Phase.ENDED:
                    raise JobsFailed(
                        f"the head of cluster {record.name} has ended: {record.why}. It printed:\n"
                        + self._files.printed()
                    )
            if trouble is not None:
                raise trouble
            if self._pool is not None and (summary := self._pool.summary()) != logged:
                logger.info("The head of cluster %s: %s.", self._presence.record.name, logged := summary)
            await asyncio.sleep(START_INTERVAL)

    def _trouble(self) -> QueueError | None:
        """Give the reason why the head can't start, if there is one."""
        name = self._presence.record.name
        if self._pool is not None and (trouble := self._pool.trouble()) is not None:
            hint = f" Do all nodes see {self._files.path}? If not, set jobclusters.directory."
            silent = self._ran(trouble) and not self._files.printed()
            return type(trouble)(f"the head of cluster {name} did not start: {trouble}{hint if silent else ''}")
        if self._job is not None and self._job.status.state is JobState.CANCELLED:  # no failure for the pool
            ended = self._job.status.sentence()
            return JobsFailed(f"the head of cluster {name} did not start: job {self._job.job_id}: {ended}")
        if self._process is not None and self._process.poll() is not None:
            return JobsFailed(
                f"the head of cluster {name} did not start: {self._files.printed() or 'it printed nothing'}"
            )
        return None

    def _ran(self, trouble: QueueError) -> bool:
        """Whether the head's job was started, and ended by itself: neither refused nor cancelled, nor still waiting."""
        state = self._job.status.state if self._job is not None else JobState.UNKNOWN
        return isinstance(trouble, JobsFailed) and state.ended and state is not JobState.CANCELLED

    async def _give_up(self, why: str) -> None:
        if self._spawning is not None:  # an interrupted start may have made the process all the same
            with suppress(OSError):
                self._process = await self._spawning
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._pool is not None:
            await self._pool.close()
        record: ClusterRecord | None = None
        with suppress(QueueError, ValueError):
            record = self._files.record()
        # A head that it has just ended knows only that it got a TERM.
        unexplained = record is not None and (record.phase is not Phase.ENDED or record.why == TERMINATED)
        if record is not None and record.run == self._presence.record.run and unexplained:
            self._presence.ended(why)
        if not self._presence.record.named:
            self._files.remove()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish work in spite of cancellations: after Ctrl-C first Dask cancels this task, then this package."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
