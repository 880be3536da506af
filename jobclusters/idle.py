"""Decides when a cluster closes by itself: for want of work, of clients, or of walltime. Pure: no clock, no Dask."""

from __future__ import annotations

from dataclasses import dataclass

from dask.utils import parse_timedelta

from jobclusters.errors import InvalidRequest

#: The part of a timeout after which its end is announced.
ANNOUNCE = 0.75
#: Seconds before the end of a walltime at which that is announced, at most; a tenth of it for short ones.
WARNING = 3600.0


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What goes on in a cluster.

    Attributes
    ----------
    tasks
        Tasks that run, or wait to.
    transitions
        How often any task has changed its state, ever.
    workers
        Registered ones.
    expected
        Jobs that wait in the queue.
    clients
        Connected ones.
    """

    tasks: int = 0
    transitions: int = 0
    workers: int = 0
    expected: int = 0
    clients: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether to close now, or what to announce; "" for neither."""

    close: str = ""
    notice: str = ""


class Vigil:
    """Watches for the end of a cluster's use.

    Parameters
    ----------
    idle_timeout, no_client_timeout
        Seconds; None for never.
    ends
        When the head's walltime is over, less what closing takes; None for never. On the clock of ``look``.
    began
        When the cluster began, on the same clock.
    """

    def __init__(
        self, *, idle_timeout: float | None, no_client_timeout: float | None, ends: float | None, began: float
    ) -> None:
        self._limits = (idle_timeout, no_client_timeout)
        self._ends = ends
        self._began = began
        self._worked = self._seen = began
        self._transitions = self._workers = 0

    def look(self, now: float, activity: Activity) -> Verdict:
        """Tell whether the cluster should close.

        It is idle when no task runs or waits, and none has since. To wait in the queue is not to be idle: while jobs
        wait and no worker is there, and when a worker comes, the count begins anew.
        """
        awaited = activity.expected and not activity.workers
        arrived = activity.workers > self._workers
        if activity.tasks or activity.transitions != self._transitions or awaited or arrived:
            self._worked = now
        self._transitions, self._workers = activity.transitions, activity.workers
        if activity.clients:
            self._seen = now
        idle, alone = self._limits
        verdicts = [
            _verdict(now - self._worked, idle, "no work", "idle_timeout"),
            _verdict(now - self._seen, alone, "no client", "no_client_timeout"),
            self._at_end(now),
        ]
        closing = [verdict for verdict in verdicts if verdict.close]
        noticed = [verdict for verdict in verdicts if verdict.notice]
        return (closing or noticed or [Verdict()])[0]

    def _at_end(self, now: float) -> Verdict:
        if self._ends is None:
            return Verdict()
        if now >= self._ends:
            return Verdict(close="the walltime of its head's job is over; scheduler_walltime= makes it longer")
        if self._ends - now <= min(WARNING, (self._ends - self._began) / 4):
            return Verdict(notice="it ends soon, with the walltime of its head's job: save what you need")
        return Verdict()


def _verdict(since: float, limit: float | None, what: str, keyword: str) -> Verdict:
    if limit is None or since < limit * ANNOUNCE:
        return Verdict()
    whole = f"{what} for {_words(limit)} ({keyword})"
    if since >= limit:
        return Verdict(close=f"there was {whole}")
    return Verdict(notice=f"it closes when there was {whole}")


def _words(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"


def read_timeout(key: str, value: object) -> float | None:
    """Read a timeout; None for never.

    Returns
    -------
    float or None
        Seconds.

    Raises
    ------
    InvalidRequest
        If it isn't a time above 0.

    Examples
    --------
    >>> read_timeout("idle_timeout", "2 hours"), read_timeout("idle_timeout", None)
    (7200.0, None)
    """
    if value is None or value is False:
        return None
    try:
        seconds = 0.0 if value is True else float(parse_timedelta(value))
    except (ValueError, TypeError, AttributeError, LookupError):  # as the parser meets lists or ""
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidRequest(f"{key} must be a time such as '20 minutes', or None for never, not {value!r}")
    return seconds
