"""Hostile replies through every parser of every dialect and survey: each ends in an answer or in a QueueError.

What a site's wrapper, a half-written answer or another version may print is made of the recorded replies: cut, lines
lost, doubled and mixed, characters and values of JSON exchanged. A new dialect or a new recorded reply takes part.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import date
from functools import cache

import pytest

from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Reply
from jobclusters.dialects.local import Local
from jobclusters.discovery import SURVEYS
from jobclusters.discovery.facts import User
from jobclusters.discovery.writing import write
from jobclusters.errors import QueueError
from tests.helpers.fuzzing import chances, rounds
from tests.helpers.recorded import REPLIES, RecordedCommands, recorded

#: What takes the place of characters of an answer, and of values in JSON. "²" is a digit for Python, but no number.
CHARACTERS = [
    "\0",
    "\n",
    "\r",
    "\t",
    " ",
    "",
    "²",
    "٣",
    "é",
    "\u2028",
    *"|[]{}<>=:;,.'\"&@%$`\\-_0x9",
    "9" * 5000,
]
VALUES = [None, [], {}, [[]], "", "x", "²", "9" * 5000, -1, 10**30, 1.5, 1e400, True]


def kinds(of):
    """Give a dialect's class and its variants."""
    return [
        of,
        *(kind for each in of.__subclasses__() if each not in map(type, DIALECTS.values()) for kind in kinds(each)),
    ]


CASES = [
    pytest.param(kind, path.relative_to(REPLIES / system).with_suffix("").as_posix(), id=f"{kind.__name__}-{path.stem}")
    for system, dialect in DIALECTS.items()
    if not isinstance(dialect, Local)
    for kind in kinds(type(dialect))
    for path in sorted((REPLIES / system).rglob("*.txt"))
    if path.read_text().startswith("$ ")  # others are notes of several commands
]


def exchanged(value, chance):
    """Give JSON with other values here and there."""
    if chance.random() < 0.1:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        return {key: exchanged(each, chance) for key, each in value.items() if chance.random() > 0.05}
    if isinstance(value, list):
        return [exchanged(each, chance) for each in value]
    return value


def cut(text, chance):
    return text[: chance.randrange(len(text) + 1)]


def rest(text, chance):
    return text[chance.randrange(len(text) + 1) :]


def without_a_piece(text, chance):
    start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return text[:start] + text[end:]


def with_other_characters(text, chance):
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(CHARACTERS) + text[at + chance.randint(0, 1) :]
    return text


def with_other_words(text, chance):
    words = text.split(" ")
    words[chance.randrange(len(words))] = chance.choice([*CHARACTERS, *words])
    return " ".join(words)


def with_other_lines(text, chance):
    lines = text.splitlines(keepends=True) or [""]
    line = lines.pop(chance.randrange(len(lines)))
    for _ in range(chance.randint(0, 2)):
        lines.insert(chance.randrange(len(lines) + 1), line)
    return "".join(lines)


def with_other_values(text, chance):
    before, brace, after = text.partition("{")
    with suppress(ValueError, RecursionError):
        return before + json.dumps(exchanged(json.loads(brace + after), chance))
    return with_other_words(text, chance)


CHANGES = [cut, rest, without_a_piece, with_other_characters, with_other_words, with_other_lines, with_other_values]


def hostile(reply, chance):
    """Give a reply that was changed once or twice, or ends another way."""
    out, err = reply.out, reply.err
    for _ in range(chance.choice([1, 1, 2])):
        out = chance.choice(CHANGES)(out, chance)
    if chance.random() < 0.3:
        err = chance.choice(CHANGES)(err, chance)
    return Reply(reply.argv, chance.choice([0, 0, reply.status, 1, None]), out, err)


class Hostile(RecordedCommands):
    """A batch system that answers whatever it is asked with such replies."""

    def __init__(self, dialect, reply, chance):
        super().__init__(dialect)
        self.dialect = dialect
        self.change = lambda: hostile(reply, chance)
        self.given = []

    async def _run(self, argv):
        self.given.append(self.change())
        return self.given[-1]

    async def _run_submit(self, argv, script, stdin):
        return await self._run(argv)


async def ask(queue, chance):
    """Ask for everything, each time of the ids that there seem to be."""
    script = f"#!/bin/sh\n{queue.dialect.directive} -q normal\n"
    ids = ["1"]
    with suppress(QueueError):
        ids = await queue.submit(script, chance.choice([1, 3])) or ids
    with suppress(QueueError):
        ids = [*ids, *await queue.find("dask-worker")]
    with suppress(QueueError):
        await queue.states(ids)
    with suppress(QueueError):
        await queue.cancel(ids)
    queue.dialect.detail_delay = 0.0  # no wait for details that are not there yet
    with suppress(QueueError):
        await queue.detail(ids[-1])
    queue.log_files(ids[-1], None, "dask-worker")


def others(dialect):
    """Give the readers of what is asked besides."""
    yield dialect.parse_precheck
    if dialect.identity_argv:
        yield dialect.parse_identity
    if dialect.queues_argv:
        yield dialect.parse_queues
    if dialect.accounts_argv("alice"):
        yield dialect.parse_accounts


@cache
def usable(system, name):
    return recorded(system, name)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_hostile_reply_gives_an_answer_or_a_queue_error(kind, name):
    reply = usable(kind.name, name)
    for number in range(rounds(20)):
        chance = chances(kind.__name__, name, number)
        queue = Hostile(kind(), reply, chance)
        try:
            asyncio.run(ask(queue, chance))
            queue.given = [queue.change()]
            for read in others(kind()):
                with suppress(QueueError):
                    read(queue.given[0])
        except Exception as error:
            pytest.fail(f"round {number}: {error!a} came of\n" + "\n".join(map(ascii, queue.given[-2:])))


SURVEYED = [
    (system, prefix)
    for system in SURVEYS
    for prefix in ("discover-", "composed-discover-")
    if any((REPLIES / system).glob(f"{prefix}*.txt"))
]


@pytest.mark.parametrize(("system", "prefix"), SURVEYED)
def test_a_hostile_site_is_surveyed_or_refused(system, prefix):
    """Any of the replies may be hostile; what is found is written as a file."""
    survey = SURVEYS[system]
    names = [path.stem for path in sorted((REPLIES / system).glob(f"{prefix}*.txt"))]
    there = {name.removeprefix(prefix): usable(system, name) for name in names}

    def reply(key, argv, chance):
        found = there.get(key.partition(" ")[0]) or there.get(key)
        if found is None:
            return Reply(argv, 127, err="can't be run on this machine")
        return hostile(found, chance) if chance.random() < 0.5 else found

    for number in range(rounds(60)):
        chance = chances("survey", system, prefix, number)
        replies = {key: reply(key, argv, chance) for key, argv in survey.questions.items()}
        try:
            with suppress(QueueError):
                replies |= {key: reply(key, argv, chance) for key, argv in survey.more(replies).items()}
                facts = survey.facts(replies, User("alice", frozenset({"ml"})))
                write(facts, DIALECTS[system].title, date(2026, 11, 21))
        except Exception as error:
            pytest.fail(f"round {number}: {error!a} came of\n" + "\n".join(map(ascii, replies.values())))
