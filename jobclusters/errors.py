"""The tree of errors.

::

    JobClustersError
    ├── InvalidRequest (also a ValueError)   the request can't be met; all problems of the call at once
    ├── TemplateError                        a job script template is wrong; names file and line
    └── QueueError (also a RuntimeError)     the batch system did not do what it was asked
        ├── NoBatchSystem                    its commands are not on this machine
        ├── Refused                          it read the request and refused it: asking again is useless
        │   ├── SubmitLimit                  it would accept fewer jobs, or later
        │   ├── NoArrays                     it would accept the jobs one by one
        │   └── LongName                     it would accept a shorter name
        ├── Unavailable                      it did not answer, or not in time: nothing is known
        └── JobsFailed                       jobs ended, or can never start, before their workers registered
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class JobClustersError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequest(JobClustersError, ValueError):
    """A request that can't be met; nothing was submitted.

    Parameters
    ----------
    problems
        One sentence for each problem of the call.

    Attributes
    ----------
    problems : tuple of str
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        if len(self.problems) == 1:
            text = self.problems[0]
        else:
            text = f"{len(self.problems)} problems:\n" + "\n".join(f"- {p}" for p in self.problems)
        super().__init__(text)


class TemplateError(JobClustersError):
    """A job script template cannot be rendered; the text names the file and the line."""


class QueueError(JobClustersError, RuntimeError):
    """The batch system did not do what it was asked; the text holds its own words."""


class NoBatchSystem(QueueError):
    """The batch system's commands are not on this machine."""


class Refused(QueueError):
    """The batch system refused the request, and would refuse it again."""


class SubmitLimit(Refused):
    """The batch system refused because too many jobs would be queued at once."""


class NoArrays(Refused):
    """The batch system, or the site, refused the jobs because they were an array."""


class LongName(Refused):
    """The batch system, or the site, refused the jobs because of the length of their name.

    Parameters
    ----------
    text
        Its words.
    longest
        The most characters that it accepts, as far as they tell.
    """

    def __init__(self, text: str, longest: int = 0) -> None:  # a default, as errors are pickled by their text
        super().__init__(text)
        self.longest = longest


class Unavailable(QueueError):
    """The batch system did not answer: whether the request was carried out is unknown."""


class JobsFailed(QueueError):
    """Jobs ended, or can never start, before their workers registered."""


#: Characters of an error that are logged: a failed question may hold an answer about a thousand jobs.
LONGEST_ERROR = 1000


def describe(error: Exception) -> str:
    """Describe an error, unforeseen ones by their type, too; a batch system's answer of many jobs is cut short.

    >>> describe(KeyError("id")), describe(QueueError("no such queue"))
    ("KeyError: 'id'", 'no such queue')
    """
    text = str(error) if isinstance(error, JobClustersError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]} ..."


#: The names that an error lists; of more, it lists those that are like the one that is wrong.
MOST_LISTED = 12


def unknown(kind: str, name: object, valid: Iterable[str], *, see: str = "") -> str:
    """Describe an unknown name, with the nearest and the valid ones; ``see`` is the command that lists all of many.

    >>> unknown("size", "2xlrge", ["large", "2xlarge"])
    "unknown size '2xlrge': did you mean '2xlarge'? Valid: 2xlarge, large"
    >>> unknown("job", "12_4", [f"12_{n}" for n in range(50, 90)], see="jobclusters status")
    "unknown job '12_4': did you mean '12_84'? Similar: 12_74, 12_64, 12_54; jobclusters status lists all 40"
    """
    names: Sequence[str] = sorted(valid)
    meant = nearest(name, names)
    if len(names) <= MOST_LISTED:
        return f"unknown {kind} {name!r}:{meant} Valid: {', '.join(names) or 'none'}"
    like = [each for each in get_close_matches(str(name), names, n=4, cutoff=0.6) if repr(each) not in meant]
    parts = [f"Similar: {', '.join(like)}"] if like else []
    parts.append(f"{see} lists all {len(names)}" if see else f"there are {len(names)}")
    return f"unknown {kind} {name!r}:{meant} {'; '.join(parts)}"


def respelt(problem: str, names: Mapping[str, str]) -> str:
    """Name keywords in a problem as they were given, where it means them: ``key=...``, or the first word.

    >>> respelt("processes=3 with 4 GPUs: set processes=1", {"processes": "nprocs"})
    'nprocs=3 with 4 GPUs: set nprocs=1'
    """
    for name, given in names.items():
        problem = re.sub(rf"(?<![\w.'\"({{-]){name}(?==)|^{name}(?= )", given, problem)
    return problem


def nearest(name: object, valid: Iterable[str], cutoff: float = 0.6) -> str:
    """Suggest the nearest of the valid names, if there is one.

    >>> nearest("Quue", ["queue"]), nearest("x", ["queue"])
    (" did you mean 'queue'?", '')
    """
    lower = {each.lower(): each for each in valid}
    near = get_close_matches(str(name).lower(), lower, n=1, cutoff=cutoff)
    return f" did you mean {lower[near[0]]!r}?" if near else ""


class Problems(list[str]):
    """Collects the problems of a call, so that one error reports them all."""

    def attempt(self, read: Callable[[], T], otherwise: T) -> T:
        """Give what ``read()`` gives; if it raises a ValueError, note its text and give ``otherwise``."""
        try:
            return read()
        except InvalidRequest as error:
            self.extend(error.problems)
        except ValueError as error:
            self.append(str(error))
        return otherwise

    def raise_any(self) -> None:
        """Raise an :class:`InvalidRequest` with all problems, if there are any."""
        if self:
            raise InvalidRequest(dict.fromkeys(self))
