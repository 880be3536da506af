"""Surveys a site: runs its batch system's commands, and saves the facts as a configuration file."""

from __future__ import annotations

import asyncio
import getpass
import grp
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import cast

from jobclusters.batch import shell
from jobclusters.batch.commands import BatchCommands
from jobclusters.config import settings
from jobclusters.dialects import DIALECTS
from jobclusters.dialects.base import Dialect, Reply
from jobclusters.discovery import SURVEYS
from jobclusters.discovery.facts import Facts, FoundQueue, Shape, Survey, User
from jobclusters.discovery.writing import write
from jobclusters.errors import InvalidRequest, NoBatchSystem, unknown

#: Seconds that a command may take: a controller of thousands of nodes prints much.
COMMAND_TIMEOUT = 60.0


def discover(system: str | None = None, timeout: float = COMMAND_TIMEOUT) -> Facts:
    """Ask a batch system for its queues, nodes, GPUs and limits.

    Parameters
    ----------
    system
        Its name, such as ``"slurm"``, or ``"local"`` for this machine; None for the one of this machine.
    timeout
        Seconds that each of its commands may take.

    Raises
    ------
    InvalidRequest
        If there is no such batch system.
    NoBatchSystem
        If its commands aren't on this machine.
    Unavailable
        If it doesn't answer, or lists no queue.
    """
    if system is None:
        system = settings.find_system()
    if system not in DIALECTS:
        raise InvalidRequest(unknown("batch system", system, DIALECTS))
    if system == "local":
        return _this_machine()
    if system not in SURVEYS:
        raise InvalidRequest(f"jobclusters discover can't survey {DIALECTS[system].title} yet")
    dialect = DIALECTS[system]
    BatchCommands(dialect).check()
    facts = asyncio.run(ask(SURVEYS[system], dialect, this_user(), timeout))
    # The system below Moab has the queues.
    return facts if dialect.probe == DIALECTS[facts.system].probe else replace(facts, system=dialect.name)


async def ask(survey: Survey, dialect: Dialect, user: User, timeout: float) -> Facts:
    """Run a survey's commands, and read their replies; each command has this timeout."""
    replies = await _replies(survey.questions, dialect, user, timeout)
    replies |= await _replies(survey.more(replies), dialect, user, timeout)
    return survey.facts(replies, user)


async def _replies(
    questions: Mapping[str, tuple[str, ...]], dialect: Dialect, user: User, timeout: float
) -> dict[str, Reply]:
    env = {**dialect.environment(os.environ), "LC_ALL": "C", "LANG": "C"}

    async def reply(words: tuple[str, ...]) -> Reply:
        argv = [word.replace("{user}", user.name) for word in words]
        try:
            return await shell.run(argv, timeout=timeout, env=env)
        except NoBatchSystem as error:
            return Reply(tuple(argv), 127, err=str(error))

    # An interrupt waits until the event loop has seen the end of all commands.
    replies = await asyncio.gather(*map(reply, questions.values()), return_exceptions=True)
    for each in replies:
        if isinstance(each, BaseException):
            raise each
    return dict(zip(questions, cast("list[Reply]", replies), strict=True))


def this_user() -> User:
    """Give the user of this process, and their groups."""
    names = {_group(number) for number in (os.getegid(), *os.getgroups())} - {""}
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return User(name, frozenset(names))


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:  # no list of groups can name it
        return ""


def _this_machine() -> Facts:
    from jobclusters.config.machine import configured_machine

    machine = configured_machine()
    gpus = (("", machine.gpus),) if machine.gpus else ()
    return Facts("local", (FoundQueue("", nodes={Shape(machine.cores, machine.memory, gpus): 1}),))


def as_yaml(facts: Facts) -> str:
    """Write the facts as a configuration file."""
    return write(facts, DIALECTS[facts.system].title, date.today())


def in_the_way(path: Path) -> bool:
    """Tell whether saving would replace a file other than the commented copy of the defaults."""
    try:
        return path.read_text() not in ("", settings.commented_defaults())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, UnicodeError):
        return True


def save(text: str, path: Path, *, force: bool = False) -> None:
    """Write the file atomically, and its directories; raise InvalidRequest if that fails.

    ``force`` replaces an existing file.
    """
    if path.is_dir():
        raise InvalidRequest(f"{path} is a directory: name a file in it, such as {path / 'jobclusters.yaml'}")
    if not force and in_the_way(path):
        raise InvalidRequest(f"{path} is there already: --force replaces it, --output FILE writes another one")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text)
            part.replace(path.resolve() if path.is_symlink() else path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidRequest(
            f"{path} can't be written ({error.strerror}): choose another place with --output FILE"
        ) from None
