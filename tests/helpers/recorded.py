"""What the tests of all dialects share: recorded replies, and the questions that every dialect is asked.

``test_ids = check_ids(PBS, [...])`` makes a test of a dialect from a table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jobclusters import job_script
from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings as config
from jobclusters.dialects.base import Reply
from jobclusters.errors import QueueError, Unavailable

REPLIES = Path(__file__).parents[1] / "replies"


def recorded(system: str, name: str) -> Reply:
    """Read a reply: its first line is ``$ command``, its last ``rc=``; lines of stderr begin with ``ERR|``."""
    first, *lines, last = (REPLIES / system / f"{name}.txt").read_text().splitlines()
    err = "\n".join(line.removeprefix("ERR|") for line in lines if line.startswith("ERR|"))
    out = "\n".join(line for line in lines if not line.startswith("ERR|"))
    status = last.removeprefix("rc=")
    return Reply(tuple(first.removeprefix("$ ").split()), None if status == "timeout" else int(status), out, err)


class RecordedCommands(BatchCommands):
    """A batch system that gives prepared replies, and remembers what it was asked."""

    def __init__(self, dialect, *replies):
        super().__init__(dialect)
        self.asked: list[list[str]] = []
        self.replies = list(replies)

    async def _run(self, argv):
        self.asked.append(list(argv))
        return self.replies.pop(0)

    async def _run_submit(self, argv, script, stdin):
        self.asked.append([*argv, *([] if stdin is None else ["<", stdin])])
        return self.replies.pop(0)


def check_ids(dialect, table):
    """Rows: a reply, how many jobs were submitted, their ids."""

    @pytest.mark.parametrize(("name", "count", "ids"), table)
    def check(name, count, ids):
        assert dialect.parse_submit(recorded(dialect.name, name), count) == ids

    return check


def check_refusals(dialect, table):
    """Rows: a reply, its error, words of it. Refused is sure to have made no job; after Unavailable there may be one."""
    no_answer = Reply(("submit",), None)

    @pytest.mark.parametrize(("name", "error", "words"), [*table, (no_answer, Unavailable, "did not answer in time")])
    def check(name, error, words):
        reply = name if isinstance(name, Reply) else recorded(dialect.name, name)
        with pytest.raises(QueueError, match=words) as caught:
            dialect.parse_submit(reply, 2)
        assert type(caught.value) is error

    return check


def check_array_refusals(dialect, too_large, others):
    """Only some refusals are those of arrays that are too large: halves of them may be tried."""

    def check():
        texts = {name: str(dialect.failure(recorded(dialect.name, name))) for name in (*too_large, *others)}
        found = [name for name, text in texts.items() if any(words in text for words in dialect.array_words)]
        assert found == [*too_large]

    return check


def check_outages(dialect, table):
    """Rows: what the submission's command prints while the batch system doesn't answer."""

    @pytest.mark.parametrize("words", table)
    def check(words):
        assert type(dialect.failure(Reply((dialect.submit_argv(1)[0],), 1, err=words))) is Unavailable

    return check


def check_states(dialect, table):
    """Rows: a reply, the states in it."""

    @pytest.mark.parametrize(("name", "states"), table)
    def check(name, states):
        assert dialect.parse_states(recorded(dialect.name, name)) == states

    return check


def check_no_information(dialect, names):
    """None of these replies gives states of jobs, or shows that there are none."""

    @pytest.mark.parametrize("name", [*names, Reply(("query",), None)])
    def check(name):
        reply = name if isinstance(name, Reply) else recorded(dialect.name, name)
        with pytest.raises(Unavailable):
            dialect.parse_states(reply)
        with pytest.raises(Unavailable):
            dialect.parse_find(reply, "dask-worker", "alice")

    return check


def check_submit(dialect, *table):
    """Rows: how many jobs, the command."""

    @pytest.mark.parametrize(("count", "argv"), table)
    def check(count, argv):
        assert dialect.submit_argv(count) == argv

    return check


def check_cancel(dialect, command, table):
    """Rows: ids, the words behind the command; for a dialect that asks first, see its own tests."""

    @pytest.mark.parametrize(("ids", "words"), table)
    def check(ids, words):
        assert dialect.cancel_argvs(ids, {}) == [[command, *words]]

    return check


def check_log_files(dialect, table):
    """Rows: an id, the log directory, the paths of the job's output."""

    @pytest.mark.parametrize(("job_id", "directory", "files"), table)
    def check(job_id, directory, files):
        assert dialect.log_files(job_id, directory, "dask") == files

    return check


def check_environment(dialect, in_job, stays, *, misleads=None, forbids=None, added=None):
    """A surrounding job's variables must not reach its jobs; elsewhere they are the user's own wishes.

    What of a user's wishes ``misleads`` doesn't reach questions and cancels, what ``forbids`` no submission.
    """
    wishes = {key: value for key, value in in_job.items() if key not in dialect.inside_job_variables}
    misleads, forbids = misleads or {}, forbids or {}

    @pytest.mark.parametrize(
        ("environ", "left"), [({**stays, **in_job}, stays), ({**stays, **wishes},) * 2, ({}, {})]
    )  # fmt: skip
    def check(environ, left):
        everything = {**environ, **misleads, **forbids}
        assert dialect.environment(everything) == {**(added or {}), **left, **forbids}
        assert dialect.environment(everything, "#!/bin/sh\n") == {**(added or {}), **left, **misleads}

    return check


def check_spot(dialect, settings, directives, **size):
    """Spot asks for what the configuration names for this system, and for requeueing."""

    def check(configure):
        configure(f"jobclusters: {{spot: {{{dialect.name}: {settings}}}}}")
        script = job_script(dialect.name, cores=1, memory="1 GB", **size, worker_is_spot=True)
        assert set(directives) <= set(script.splitlines())
        assert not set(directives) & set(job_script(dialect.name, cores=1, memory="1 GB", **size).splitlines())

    return check


def check_settings(dialect):
    """Every setting that dask-jobqueue has for this system is known."""

    def check(caplog):
        config.site(dialect)
        assert not caplog.records

    return check


def check_cluster_class(dialect, cluster_class):
    def check():
        assert cluster_class.dialect.name == cluster_class.job_cls.dialect.name == dialect.name
        assert cluster_class.job_cls.config_name == (dialect.section or dialect.name)

    return check
