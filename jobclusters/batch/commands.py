"""Submits, cancels and polls jobs by a batch system's commands."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import pwd
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from jobclusters.batch import shell
from jobclusters.batch.base import working_directory
from jobclusters.batch.followup import Followup
from jobclusters.config import settings
from jobclusters.dialects.base import Dialect, Reply, split_for_commands
from jobclusters.errors import NoArrays, NoBatchSystem, Refused, Unavailable
from jobclusters.state import JobState, JobStatus

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Characters from which on a reply is read in a thread: Dask's scheduler runs on the event loop.
LARGE_REPLY = 20_000

#: Ids from which on commands are made of them in a thread.
MANY_IDS = 1000

#: A refusal of standard input.
_NO_STDIN = re.compile(
    r"\b(?:stdin|standard input)\b[^\n]*\bnot\b|\bnot?\b[^\n]*\b(?:stdin|standard input)\b", re.IGNORECASE
)

#: A batch system that answers slowly is left alone for so many times as long as its last answer took, but for no longer
#: than these seconds.
REST_PER_ANSWER = 2.0
LONGEST_REST = 30.0

#: Seconds between a wait for details in vain and the next wait.
DETAIL_WAIT_INTERVAL = 60.0


class BatchCommands:
    """Runs a batch system's commands.

    Parameters
    ----------
    dialect
        Of the batch system.
    timeout
        Of a question or a cancel, in seconds; None for ``jobclusters.command-timeout``.
    use_stdin
        Whether the submission's command reads the script from standard input; else it gets a file.
    options
        The options of the jobs, some of which change commands; None for those of the configuration.

    Attributes
    ----------
    largest_array : int
        The most jobs of one submission: 1 where there are no arrays.
    interval : float
        Seconds for which the batch system is left alone between two questions: longer while it answers slowly.
    """

    interval = 1.0

    def __init__(
        self,
        dialect: Dialect,
        timeout: float | None = None,
        *,
        use_stdin: bool = True,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.dialect = dialect.configured(settings.command_options(dialect) if options is None else options)
        self.timeout = settings.seconds("command-timeout") if timeout is None else timeout
        self.submit_timeout = max(self.timeout, settings.seconds("submit-timeout"))
        self.largest_array = dialect.largest_array if settings.flag("job-arrays") else 1
        self.directory = working_directory()
        self._use_stdin = use_stdin and not dialect.needs_file
        self._user = _own_name()
        self._prechecked: set[tuple[tuple[str, ...], str | None]] = set()
        #: The clusters of the submitted scripts: "" is the usual one, directives name others.
        self._clusters: dict[str, None] = {}
        #: Refusals of lines that are left out since.
        self._refused: list[str] = []
        self._removed: set[str] = set()
        self._followup = Followup(dialect, self._ask, self._listed) if dialect.brief else None
        self._next_detail_wait = 0.0

    def check(self) -> None:
        """Raise NoBatchSystem if the batch system's commands are not on this machine."""
        if shutil.which(self.dialect.probe) is None:
            raise NoBatchSystem(
                f"no {self.dialect.title} here: {self.dialect.probe} is not on the PATH of this machine;"
                " LocalQueueCluster() runs jobs on this machine itself"
            )

    async def _run(self, argv: Sequence[str]) -> Reply:
        began = time.monotonic()
        reply = await shell.run(argv, timeout=self.timeout, env=self.dialect.environment(os.environ))
        if reply.status == 0:  # what a command does whose server is down says nothing of the server's speed
            rest = min(REST_PER_ANSWER * (time.monotonic() - began), LONGEST_REST)
            self.interval = max(BatchCommands.interval, rest)
        return reply

    async def _run_submit(self, argv: Sequence[str], script: str, stdin: str | None) -> Reply:
        """Run a submission's command, which may take longer, and log it if it does."""
        warning = asyncio.get_running_loop().call_later(
            self.timeout,
            logger.warning,
            "%s hasn't answered for %g s; it has %g s (jobclusters.submit-timeout)",
            argv[0],
            self.timeout,
            self.submit_timeout,
        )
        try:
            environment = self.dialect.environment(os.environ, script)
            return await shell.run(argv, stdin=stdin, timeout=self.submit_timeout, env=environment)
        finally:
            warning.cancel()

    async def submit(self, script: str, count: int) -> list[str]:
        """Submit a script as ``count`` jobs, in one command.

        Raises
        ------
        NoArrays
            If the batch system refuses arrays; from then on ``largest_array`` is 1.
        Refused
            If the batch system refuses the jobs.
        Unavailable
            If the outcome is unclear: the jobs may exist.
        """
        await self._precheck(script)
        script = self._understood(script)
        self._clusters |= dict.fromkeys(self.dialect.other_clusters(script, os.environ) or ("",))
        try:
            return await self._submit(script, count)
        except NoArrays as error:
            if count > 1 and self.largest_array > 1:
                self.largest_array = 1
                logger.warning(
                    "Jobs are submitted one by one (jobclusters.job-arrays: false says so beforehand). %s", error
                )
            raise
        except Refused as error:
            if (shorter := self.dialect.without_refused(script, str(error))) != script:
                logger.info("%s. It is submitted without that.", error)
                self._refused.append(str(error))
                return await self.submit(shorter, count)
            if not self._use_stdin or not _NO_STDIN.search(str(error)):
                raise
            self._use_stdin = False
            logger.warning("Scripts are submitted as files from now on (use_stdin=False says so beforehand). %s", error)
            return await self._submit(script, count)

    def _understood(self, script: str) -> str:
        """Leave out what was refused before."""
        for words in self._refused:
            script = self.dialect.without_refused(script, words)
        return script

    async def _submit(self, script: str, count: int) -> list[str]:
        if self._use_stdin:
            reply = await self._run_submit(self.dialect.submit_argv(count), script, script)
        else:
            with _file(script) as path:
                try:
                    argv = self.dialect.submit_file_argv(count, path, script)
                except ValueError as error:
                    raise Refused(f"a directive of the script can't be read: {error}") from None
                reply = await self._run_submit(argv, script, self.dialect.description(count, path, script))
        try:
            return self.dialect.parse_submit(reply, count)
        except Refused as error:
            queue = re.search(
                rf"^{re.escape(self.dialect.directive)}[ \t]+(?:-q|--partition)[= \t]+(\S+)", script, re.MULTILINE
            )
            if queue is None or "queue" not in str(error).lower() or queue[1] in str(error):
                raise
            error.args = (f"{error} (it was asked for queue {queue[1]})",)
            raise

    async def _precheck(self, script: str) -> None:
        """Refuse a script that would harm this batch system, or that it would misunderstand."""
        argv = self.dialect.precheck_argv(script)
        stdin = self.dialect.precheck_input(script)
        if not argv or (argv, stdin) in self._prechecked:
            return
        reply = await self._run(argv) if stdin is None else await self._run_submit(argv, script, stdin)
        if reply.status is None:
            raise Unavailable(reply.sentence())
        if harm := self.dialect.parse_precheck(reply):
            raise Refused(harm)
        self._prechecked.add((argv, stdin))

    async def cancel(self, ids: Sequence[str]) -> None:
        """Cancel jobs, in as few commands as are safe. Some systems' replies lie: query the states for the outcome."""
        latest = list(dict.fromkeys(map(self._latest, ids)))
        listed = await self._listed(latest) if self.dialect.cancel_only_listed else {}
        await self._cancel(latest, listed)

    async def _cancel(self, ids: Sequence[str], listed: Mapping[str, JobStatus]) -> None:
        """Run the only commands that cancel jobs: the dialect knows which ids may share one."""
        for argv in await _aside(lambda: self.dialect.cancel_argvs(ids, listed), len(ids) > MANY_IDS):
            reply = await self._run(argv)
            if self.dialect.unanswered(reply):
                raise Unavailable(reply.sentence())

    def know(self, ids: Iterable[str], clusters: Iterable[str] = ()) -> None:
        """Note on which clusters jobs of another process are: that is where they are looked for by name."""
        self._clusters |= dict.fromkeys([*self.dialect.clusters_of(ids), *clusters])

    async def states(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Query the states of jobs, in one command; raise Unavailable without an answer."""
        latest = list(map(self._latest, ids))
        found = await self._with_reasons(latest, await self._listed(latest))
        if self._followup is not None:
            return await self._followup.complete(ids, found)
        if self.dialect.keeps_failed_jobs:
            found |= await self._remove_failed({job_id: found[job_id] for job_id in ids if job_id in found})
        return found

    def _latest(self, job_id: str) -> str:
        return job_id if self._followup is None else self._followup.latest(job_id)

    async def _listed(self, ids: Sequence[str]) -> dict[str, JobStatus]:
        """Query jobs; the answer may hold others, such as the rest of an array."""
        found: dict[str, JobStatus] = {}
        for some in self.dialect.split_by_cluster(ids):
            for part in split_for_commands(some):
                reply = await self._ask(lambda ids=part: self.dialect.query_argv(ids))  # type: ignore[misc]
                answer = await _read(reply, lambda reply=reply: self.dialect.parse_states(reply))  # type: ignore[misc]
                found = found | answer if found else answer
        return found

    async def _with_reasons(self, ids: Sequence[str], states: dict[str, JobStatus]) -> dict[str, JobStatus]:
        """Complete the states of these jobs with why they wait, where another command tells it."""
        if argv := self.dialect.reasons_argv({job_id: states[job_id] for job_id in ids if job_id in states}):
            reply = await self._run(argv)
            reasons = await _read(reply, lambda: self.dialect.parse_reasons(reply))
            states |= {  # of an array some elements may run meanwhile
                job_id: replace(states[job_id], reason=why, meaning="")
                for job_id, why in reasons.items()
                if job_id in states and states[job_id].state is JobState.PENDING
            }
        return states

    async def _remove_failed(self, states: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
        """Delete failed jobs, which would stay in the queue, and give their states with the reasons."""
        failed = [  # what has ended by itself leaves the queue by itself
            job_id
            for job_id, status in states.items()
            if status.state.ended and status.exit_code is None and status.signal is None
        ]
        if not failed:
            return {}
        argv = self.dialect.stuck_argv(failed)
        reasons = self.dialect.parse_stuck(await self._run(argv)) if argv else {}
        await self._cancel(failed, {})
        self._removed.update(failed)
        return {job_id: replace(states[job_id], reason=reasons.get(job_id, states[job_id].reason)) for job_id in failed}

    async def find(self, job_name: str) -> dict[str, JobStatus]:
        """Query all jobs of this user with this name, on each cluster that got a script."""
        submit = self.dialect.submit_argv(1)[0]
        if shell.goes_on(submit):
            raise Unavailable(f"{submit} could not be ended after its timeout, and may yet submit the jobs")
        found: dict[str, JobStatus] = {}
        for cluster in self._clusters or ("",):
            found |= await self._find(job_name, lambda on=cluster: self.dialect.find_argv(job_name, self._user, on))  # type: ignore[misc]
        anywhere = self.dialect.find_anywhere_argv(job_name, self._user)
        if not found and not self._clusters and anywhere is not None:  # in a janitor, which submits none
            with suppress(Unavailable):  # most sites have one cluster, and many have no list of clusters
                found = await self._find(job_name, lambda: anywhere)
        return found if self._followup is None else await self._followup.complete(list(found), found)

    async def _find(self, job_name: str, question: Callable[[], Sequence[str]]) -> dict[str, JobStatus]:
        reply = await self._ask(question)
        found = await _read(reply, lambda: self.dialect.parse_find(reply, job_name, self._user))
        if found and self.dialect.find_needs_query:
            again = await self._ask(lambda: self.dialect.query_argv(list(found)))
            confirmed = self.dialect.parse_find(again, job_name, self._user)
            return {job_id: confirmed[job_id] for job_id in found if job_id in confirmed}
        return found

    async def _ask(self, question: Callable[[], Sequence[str]]) -> Reply:
        """Run a question; if the reply shows a variant of the batch system, run that variant's question."""
        reply = await self._run(question())
        if (variant := self.dialect.variant(reply)) is not None:
            self.dialect = variant
            reply = await self._run(question())
        if reply.status is None:
            raise Unavailable(reply.sentence())
        return reply

    async def detail(self, job_id: str) -> JobStatus | None:
        """Query all details of one job; None if there are no more."""
        if self._followup is not None and (end := self._followup.end(job_id)) is not None:
            return end
        argv = self.dialect.detail_argv(self._latest(job_id))
        if argv is None or job_id in self._removed:
            return None
        now = asyncio.get_running_loop().time
        # A job without details, such as one that never ran, must not delay the others.
        deadline = now() + (self.dialect.detail_delay if now() > self._next_detail_wait else 0)
        found = self.dialect.parse_detail(await self._run(argv))
        while found is None and now() < deadline:
            await asyncio.sleep(1)
            found = self.dialect.parse_detail(await self._run(argv))
        if found is None and self.dialect.detail_delay:
            self._next_detail_wait = now() + DETAIL_WAIT_INTERVAL
        if found is not None and (history := self.dialect.history_argv(job_id, found)):
            with suppress(NoBatchSystem):  # the command may be missing where the others are
                found = self.dialect.parse_history(await self._run(history), found)
        return found

    def log_files(
        self, job_id: str, log_directory: str | None, job_name: str, directives: Sequence[str] = ()
    ) -> list[str]:
        """Give the paths of a job's output, also where the user's own directives name them."""
        job_id = self._latest(job_id)
        names = self.dialect.log_files(job_id, log_directory, job_name)
        own = self.dialect.own_log_files(directives, job_id, job_name)
        output, errors = map(own.get, self.dialect.output_options)
        separate = len(names) > 1
        if output:  # with the errors, unless these have a file of their own
            names = [output, *(name for name in names if separate and name.endswith("err"))]
        if errors:
            names = [errors, *(name for name in names if not (separate and name.endswith("err")))]
        return [os.path.join(self.directory, name) for name in names]


async def _read(reply: Reply, read: Callable[[], T]) -> T:
    """Read a reply; a large one in a thread."""
    return await _aside(read, len(reply.out) > LARGE_REPLY)


async def _aside(step: Callable[[], T], large: bool) -> T:
    """Do what takes no more than thought; a large step in a thread: Dask's scheduler runs on the event loop."""
    return await asyncio.to_thread(step) if large else step()


def _own_name() -> str:
    """Name the owner of the jobs, as the batch system does."""
    with suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return getpass.getuser()


@contextmanager
def _file(script: str) -> Iterator[str]:
    """Write a script into a temporary file for its submission."""
    with tempfile.NamedTemporaryFile("w", prefix="jobclusters-", suffix=".sh", errors="surrogateescape") as file:
        os.chmod(file.name, 0o700)
        file.write(script)
        file.flush()
        yield file.name
