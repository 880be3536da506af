"""What is the same for all batch systems that are reached by commands, beside the dialects' own tests."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings
from jobclusters.config.resolve import resolve
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.errors import InvalidRequest, LongName, NoArrays, Refused, SubmitLimit, Unavailable
from jobclusters.jobs.record import JobRecord
from jobclusters.jobs.submitter import Submitter
from jobclusters.state import JobState, JobStatus
from tests.helpers.golden import SMALL, script
from tests.helpers.recorded import RecordedCommands

SLURM = DIALECTS["slurm"]
SYSTEMS = ["slurm", "pbs", "torque", "lsf", "sge"]
ACCEPTED = {"lsf": "Job <7> is submitted to default queue <normal>.", "pbs": "7.server", "torque": "7.server"}
NO_ARRAYS = "--> Job arrays (--array) are NOT supported on this system\nFAILED"
NO_STDIN = 'sbatch input from STDIN is not permitted; use "sbatch batch.script"'


# -- arrays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        NO_ARRAYS,
        "qsub: Job arrays are not allowed in this queue",
        "Unable to run job: no array jobs, please",
        "bsub: job arrays have been disabled by the administrator",
    ],
)
def test_words_of_sites_that_take_no_arrays(words):
    for system in SYSTEMS:
        assert type(DIALECTS[system].failure(Reply(("submit",), 1, err=words))) is NoArrays


class OneByOne:
    """A batch system that takes no arrays, behind the queue that talks to it."""

    interval = 1.0
    dialect = SLURM

    def __init__(self):
        self.queue = RecordedCommands(SLURM)
        self.counts = []

    @property
    def largest_array(self):
        return self.queue.largest_array

    async def submit(self, text, count):
        self.counts.append(count)
        refused = Reply(("sbatch",), 1, err=NO_ARRAYS)
        self.queue.replies.append(refused if count > 1 else Reply(("sbatch",), 0, f"{len(self.counts)}\n"))
        return await self.queue.submit(text, count)


class Silent:
    """An owner and a journal that ignore every message."""

    refusals = 0

    def __getattr__(self, name):
        return lambda *_, **__: None

    def refused(self, *_):
        self.refusals += 1

    async def submitting(self, job_name):
        pass


def test_where_arrays_are_refused_jobs_go_one_by_one(caplog):
    batch_system, owner = OneByOne(), Silent()
    spec = resolve(SLURM, {"python": "python", **SMALL}, settings.site(SLURM), "C", "tcp://10.0.0.1:8786")
    records = [JobRecord(f"C-{number}", number, spec) for number in range(8)]

    async def submitted():
        queue = Submitter(batch_system, lambda _: "#!/bin/sh\n", owner, Silent(), "t")
        for some in (records[:5], records[5:]):
            queue.submit(some)
            await queue.settle()

    asyncio.run(submitted())
    assert batch_system.counts == [5, *[1] * 8], "an array is tried once"
    assert len({record.job_id for record in records}) == 8
    assert len({record.job_name for record in records}) == 8
    assert owner.refusals == 0
    warnings = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "one by one (jobclusters.job-arrays: false" in warnings[0]


class ShortNames:
    """A site whose names of jobs have 15 characters at most."""

    def __init__(self, dialect, words, most=15):
        self.dialect, self.words, self.most = dialect, words, most
        self.largest_array = 10
        self.names = []

    async def submit(self, name, count):
        self.names.append(name)
        if len(name) > self.most:
            raise self.dialect.failure(Reply(("submit",), 1, err=self.words.format(name=name, length=len(name))))
        return [f"{len(self.names)}_{index}" for index in range(count)]


LONG_NAMES = [
    ("slurm", 'Specified job names must be less than 16 characters ("{name}" is {length})!', 15),
    ("slurm", "sbatch: error: lua: job name too long", 15),
    ("pbs", "qsub: illegal -N value", 15),
    ("torque", "qsub: illegal -N value", 15),
    ("lsf", "Job name exceeds 20 characters. Job not submitted.", 20),
    ("sge", "Unable to run job: names may have at most 18 characters.", 18),
]


@pytest.mark.parametrize(("system", "words", "most"), LONG_NAMES)
def test_names_become_as_short_as_the_site_wants_them(system, words, most, caplog):
    verbs, owner = ShortNames(DIALECTS[system], words, most), Silent()
    spec = replace(
        resolve(SLURM, {"python": "python", **SMALL}, settings.site(SLURM), "C", "tcp://x:1"), job_name="my-own-name"
    )
    records = [JobRecord(f"C-{number}", number, spec) for number in range(4)]

    async def submitted():
        queue = Submitter(verbs, lambda spec: spec.job_name, owner, Silent(), "12345678")
        for some in (records[:2], records[2:]):
            queue.submit(some)
            await queue.settle()

    asyncio.run(submitted())
    assert [len(name) > most for name in verbs.names] == [True, False, False]
    assert all(name.startswith("my-o") for name in verbs.names)
    assert len({record.job_name for record in records}) == 2
    assert {len(record.job_name) for record in records} == {most}
    assert owner.refusals == 0
    (warning,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert warning.startswith(f"Jobs get names of {most} characters at most from now on.")


def test_a_name_fits_by_itself_where_the_limit_is_known():
    queue = Submitter(ShortNames(DIALECTS["pbs"], "", 230), str, Silent(), Silent(), "12345678")
    first = queue._unique_name("a" * 300)
    queue._submitted += 1
    second = queue._unique_name("a" * 300)
    assert (len(first), len(second)) == (230, 230)
    assert first != second


def test_other_refusals_are_not_about_the_name():
    for words in (
        "sbatch: error: invalid partition name specified",
        "qsub: Unknown queue",
        "User name has no more than 5 jobs",
    ):
        assert not isinstance(SLURM.failure(Reply(("sbatch",), 1, err=words)), LongName)


@pytest.mark.parametrize(
    "words", ["rate limit exceeded: at most 1 call each 30 s", "Too many requests, try again later"]
)
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_rationed_command_is_no_refusal_and_no_answer(system, words):
    reply = Reply(("command",), 1, err=words)
    assert isinstance(DIALECTS[system].failure(reply), Unavailable)
    queue = RecordedCommands(DIALECTS[system], reply)
    with pytest.raises(Unavailable, match=words[:10]):
        asyncio.run(queue._cancel(["1"], {"1": JobStatus(JobState.PENDING)}))


def test_a_setting_says_that_there_are_no_arrays(configure):
    assert BatchCommands(SLURM).largest_array == SLURM.largest_array > 1
    configure("jobclusters: {job-arrays: false}")
    assert BatchCommands(SLURM).largest_array == 1


# -- files ---------------------------------------------------------------------------------------------------------


def look(path):
    """Give what a file holds, and who may do what with it."""
    return Path(path).read_text(), Path(path).stat().st_mode & 0o777


class Reading(RecordedCommands):
    """Remembers the files that commands get."""

    files: list[tuple[str, int]]

    async def _run_submit(self, argv, script, stdin):
        if stdin is None:
            self.files = [*getattr(self, "files", []), look(argv[-1])]
        return await super()._run_submit(argv, script, stdin)


@pytest.mark.parametrize("system", SYSTEMS)
def test_without_standard_input_a_script_is_a_file(system):
    text = script(system, **SMALL, **({"parallel_environment": "smp"} if system == "sge" else {}))
    queue = Reading(DIALECTS[system], Reply(("submit",), 0, ACCEPTED.get(system, "7")))
    queue._use_stdin = False
    asyncio.run(queue.submit(text, 1))
    ((*_, path),) = queue.asked
    assert queue.files == [(text, 0o700)]
    assert not os.path.exists(path)
    if system == "lsf":  # bsub reads a file's directives at some sites alone
        assert {"-J", "dask-worker", "-W", "span[hosts=1]"} <= {word.split()[-1] for word in queue.asked[0]}


def test_a_refusal_of_standard_input_leads_to_a_file(caplog):
    refused = Reply(("sbatch",), 1, err=NO_STDIN)
    queue = Reading(SLURM, refused, Reply(("sbatch",), 0, "7"), Reply(("sbatch",), 0, "8"))
    assert [asyncio.run(queue.submit("#!/bin/sh\n", 1)) for _ in range(2)] == [["7"], ["8"]]
    assert [("<" in argv) for argv in queue.asked] == [True, False, False]
    assert len(caplog.records) == 1


def test_other_refusals_are_reported(caplog):
    for words, error in (("Invalid account", Refused), ("QOSMaxSubmitJobPerUserLimit", SubmitLimit)):
        with pytest.raises(error):
            asyncio.run(RecordedCommands(SLURM, Reply(("sbatch",), 1, err=words)).submit("#!/bin/sh\n", 1))
    assert caplog.records == []


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow_sbatch(tmp_path, monkeypatch):
    """An sbatch that takes its time."""
    (tmp_path / "sbatch").write_text("#!/bin/sh\ncat >/dev/null\nsleep 1\necho 7\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_a_submission_that_is_only_slow_comes_through_and_is_reported_of(slow_sbatch, configure, caplog):
    configure("jobclusters: {command-timeout: 0.1 s}")
    assert asyncio.run(BatchCommands(SLURM).submit("#!/bin/sh\n", 1)) == ["7"]
    (shown,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert shown == "sbatch hasn't answered for 0.1 s; it has 120 s (jobclusters.submit-timeout)"


@pytest.mark.parametrize(
    ("text", "timeouts"),
    [
        ("", (30, 120)),
        ("jobclusters: {command-timeout: 5}", (5, 120)),
        ("jobclusters: {submit-timeout: 10 minutes}", (30, 600)),
        ("jobclusters: {command-timeout: 3 minutes, submit-timeout: 1 minute}", (180, 180)),
    ],
)
def test_limits_are_settings(configure, text, timeouts):
    configure(text)
    queue = BatchCommands(SLURM)
    assert (queue.timeout, queue.submit_timeout) == timeouts


@pytest.mark.parametrize("value", ["0", "-1 s", "soon", "true", "[]"])
def test_limits_that_are_none(configure, value):
    configure(f"jobclusters: {{command-timeout: {value}}}")
    with pytest.raises(InvalidRequest, match=r"jobclusters.command-timeout must be a time above 0, such as '30 s'"):
        BatchCommands(SLURM)
    configure("jobclusters: {job-arrays: sometimes}")
    with pytest.raises(InvalidRequest, match=r"jobclusters.job-arrays must be true or false, not 'sometimes'"):
        BatchCommands(SLURM, 1.0)


def test_an_answer_in_an_error_is_cut():
    """Else a refusal of a question prints megabytes, again and again. A wrapper's words beside it aren't lost."""
    text = Reply(("qstat",), 1, "{}" * 10_000, "qstat: no").sentence()
    assert text == "qstat failed with exit status 1: qstat: no"
    assert len(Reply(("qstat",), 1, "{}" * 10_000).sentence()) < 3000
    assert "ask@site" in Reply(("qsub",), 1, "ask@site\n", "qsub: refused").sentence()


@pytest.mark.parametrize(
    ("seconds", "status", "interval"),
    [(0.0, 0, 1.0), (20.0, 0, 30.0), (4.0, 0, 8.0), (20.0, 1, 1.0), (20.0, None, 1.0)],
)
def test_a_batch_system_that_answers_slowly_is_left_alone_for_longer(monkeypatch, seconds, status, interval):
    clock = iter((100.0, 100.0 + seconds))

    async def answer(argv, **_):
        return Reply(tuple(argv), status)

    monkeypatch.setattr("jobclusters.batch.commands.shell.run", answer)
    monkeypatch.setattr("jobclusters.batch.commands.time", SimpleNamespace(monotonic=lambda: next(clock)))
    commands = BatchCommands(SLURM)
    asyncio.run(commands._run(["squeue"]))
    assert commands.interval == interval
