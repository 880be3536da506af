"""Finds out what a site has: asks its batch system, and saves what was found as a configuration file."""

from __future__ import annotations

import asyncio
import getpass
import grp
import os
import tempfile
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import cast

import dask.config

from jobclusters import shell
from jobclusters.commandqueue import CommandQueue
from jobclusters.dialect import Dialect, Reply
from jobclusters.dialects import DIALECTS
from jobclusters.discovery import SURVEYS
from jobclusters.discovery.facts import Facts, FoundQueue, Person, Shape, Survey
from jobclusters.discovery.writing import write
from jobclusters.errors import InvalidRequest, NoBatchSystem, unknown

#: Seconds that a command may take: a controller of thousands of nodes has much to tell.
TIMEOUT = 60.0


def discover(system: str | None = None, timeout: float = TIMEOUT) -> Facts:
    """Ask a batch system what it has: queues, nodes, GPUs, limits.

    Parameters
    ----------
    system
        Its name, such as ``"slurm"``, or ``"local"`` for this machine; None takes the one that is here.
    timeout
        Seconds that each of its commands may take.

    Returns
    -------
    Facts

    Raises
    ------
    InvalidRequest
        If there is no such batch system.
    NoBatchSystem
        If its commands aren't on this machine.
    Unavailable
        If it doesn't answer, or tells of no queue.
    """
    if system is None:
        from jobclusters.config import find_system

        system = find_system()
    if system not in DIALECTS:
        raise InvalidRequest(unknown("batch system", system, DIALECTS))
    if system == "local":
        return _this_machine()
    if system not in SURVEYS:
        raise InvalidRequest(f"nobody has written yet how to ask {DIALECTS[system].title} what it has")
    dialect = DIALECTS[system]
    CommandQueue(dialect).check()
    return asyncio.run(ask(SURVEYS[system], dialect, person(), timeout))


async def ask(survey: Survey, dialect: Dialect, who: Person, timeout: float) -> Facts:
    """Put a survey's questions, and read the answers.

    Parameters
    ----------
    survey
        What to ask.
    dialect
        Of the batch system; it says what of a surrounding job is hidden from commands.
    who
        The one who asks.
    timeout
        Seconds for each command.
    """
    replies = await _replies(survey.questions, dialect, who, timeout)
    replies |= await _replies(survey.more(replies), dialect, who, timeout)
    return survey.facts(replies, who)


async def _replies(
    questions: Mapping[str, tuple[str, ...]], dialect: Dialect, who: Person, timeout: float
) -> dict[str, Reply]:
    env = {**dialect.environment(os.environ), "LC_ALL": "C", "LANG": "C"}

    async def reply(words: tuple[str, ...]) -> Reply:
        argv = [word.replace("{user}", who.user) for word in words]
        try:
            return await shell.run(argv, timeout=timeout, env=env)
        except NoBatchSystem as error:
            return Reply(tuple(argv), 127, err=str(error))

    # Whoever interrupts waits until all commands are gone, which the event loop must see.
    replies = await asyncio.gather(*map(reply, questions.values()), return_exceptions=True)
    for each in replies:
        if isinstance(each, BaseException):
            raise each
    return dict(zip(questions, cast("list[Reply]", replies), strict=True))


def person() -> Person:
    """Tell who runs this."""
    names = {_group(number) for number in (os.getegid(), *os.getgroups())} - {""}
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    return Person(user, frozenset(names))


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:  # one without a name is in no list of names
        return ""


def _this_machine() -> Facts:
    from jobclusters.clusters import configured_machine

    machine = configured_machine()
    gpus = (("", machine.gpus),) if machine.gpus else ()
    return Facts("local", (FoundQueue("", nodes={Shape(machine.cores, machine.memory, gpus): 1}),))


def as_yaml(facts: Facts) -> str:
    """Write what was found as a configuration file.

    Parameters
    ----------
    facts
        As :func:`discover` gives them.
    """
    return write(facts, DIALECTS[facts.system].title, date.today())


def user_file() -> Path:
    """Give the path of the user's own ``jobclusters.yaml``, which Dask reads."""
    return Path(dask.config.PATH) / "jobclusters.yaml"


def in_the_way(path: Path) -> bool:
    """Tell whether saving would take something away: a file is there, and it isn't our own commented-out copy.

    Parameters
    ----------
    path
        Of the file to be.
    """
    try:
        return path.read_text() not in ("", _untouched())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, UnicodeError):
        return True


def _untouched() -> str:
    """Give the copy of our defaults that is put into the user's directory, with all lines commented out."""
    with tempfile.TemporaryDirectory() as directory:
        dask.config.ensure_file(source=str(files("jobclusters") / "jobclusters.yaml"), destination=directory)
        return (Path(directory) / "jobclusters.yaml").read_text()


def save(text: str, path: Path, *, force: bool = False) -> None:
    """Write the file, whole or not at all.

    Parameters
    ----------
    text
        What to write.
    path
        Where; directories are made.
    force
        Whether a file that is there may go.

    Raises
    ------
    InvalidRequest
        If there is a file, or it can't be written.
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
