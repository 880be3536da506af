"""What can go wrong, as a tree.

::

    JobClustersError
    ├── InvalidRequest (also a ValueError)   what was asked for cannot be; all problems of the call at once
    ├── TemplateError                        a job script template is wrong; names file and line
    └── QueueError (also a RuntimeError)     the batch system did not do what it was asked
        ├── NoBatchSystem                    its commands are not on this machine
        ├── Refused                          it read the request and said no: asking again is useless
        │   └── SubmitLimit                  it would say yes to fewer jobs, or later
        └── Unavailable                      it did not answer, or not in time: nothing is known
    JobsFailed (a QueueError)                jobs ended, or can never start, before their workers registered
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class JobClustersError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequest(JobClustersError, ValueError):
    """Something asked for cannot be done; nothing was submitted.

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
    """The batch system said no. The same request would be refused again."""


class SubmitLimit(Refused):
    """The batch system refused because too many jobs would be queued at once."""


class Unavailable(QueueError):
    """The batch system did not answer: whether the request was carried out is unknown."""


class JobsFailed(QueueError):
    """Jobs ended, or can never start, before their workers registered."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> str:
    """Say that a name is not known, what the nearest one is, and which are valid.

    >>> unknown("size", "2xlrge", ["large", "2xlarge"])
    "unknown size '2xlrge': did you mean '2xlarge'? Valid: 2xlarge, large"
    """
    names: Sequence[str] = sorted(valid)
    listed = ", ".join(names) if names else "none"
    return f"unknown {kind} {name!r}:{nearest(name, names)} Valid: {listed}"


def nearest(name: object, valid: Iterable[str]) -> str:
    """Ask whether the nearest of the valid names was meant, if there is one.

    >>> nearest("Quue", ["queue"]), nearest("x", ["queue"])
    (" did you mean 'queue'?", '')
    """
    lower = {each.lower(): each for each in valid}
    near = get_close_matches(str(name).lower(), lower, n=1)
    return f" did you mean {lower[near[0]]!r}?" if near else ""


class Problems(list[str]):
    """Collects what is wrong with a call, so that everything is told at once."""

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
