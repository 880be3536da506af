"""Decides when a cluster closes by itself: for lack of work, of clients, or of walltime. Pure: no clock, no Dask."""

from __future__ import annotations

from dataclasses import dataclass

#: The share of a timeout after which its end is announced.
NOTICE_SHARE = 0.75

#: Seconds before the end of a walltime at which that is announced; a quarter of a short one.
WALLTIME_NOTICE = 3600.0

#: Seconds for which tasks wait without any job being asked for, before their user is warned.
UNSUPPLIED_NOTICE = 4.0


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How a cluster is used.

    Attributes
    ----------
    tasks
        Running and waiting tasks.
    transitions
        Changes of state of all tasks so far.
    workers
        Registered ones.
    expected
        Whether jobs are pending in the queue; of no account once there are workers.
    clients
        Connected ones.
    supplied
        Whether jobs are asked for, or will be as tasks need them.
    """

    tasks: int = 0
    transitions: int = 0
    workers: int = 0
    expected: bool = False
    clients: int = 0
    supplied: bool = True


@dataclass(frozen=True, kw_only=True)
class ClosingAdvice:
    """Why to close now, or what to announce; "" for neither."""

    close: str = ""
    notice: str = ""


class IdleMonitor:
    """Watches whether a cluster is used.

    Parameters
    ----------
    idle_timeout, no_client_timeout
        Seconds; None for never.
    ends
        The end of the head's walltime, less the time that closing takes, on the clock of ``check``; None for never.
    began
        The start of the cluster, on the same clock.
    """

    def __init__(
        self, *, idle_timeout: float | None, no_client_timeout: float | None, ends: float | None, began: float
    ) -> None:
        self._limits = (idle_timeout, no_client_timeout)
        self._ends = ends
        self._began = began
        self._worked = self._seen = self._supplied = began
        self._transitions = self._workers = 0

    def check(self, now: float, activity: Activity) -> ClosingAdvice:
        """Decide whether the cluster closes.

        It is idle while no task runs, waits or changes its state. Waiting in the queue is not idling: the count starts
        anew while jobs are pending without any worker, and when a worker arrives.
        """
        awaited = activity.expected and not activity.workers
        arrived = activity.workers > self._workers
        if activity.tasks or activity.transitions != self._transitions or awaited or arrived:
            self._worked = now
        self._transitions, self._workers = activity.transitions, activity.workers
        if activity.clients:
            self._seen = now
        if activity.supplied or activity.workers or not activity.tasks:
            self._supplied = now
        idle, alone = self._limits
        found = [
            _advise(now - self._worked, idle, "no work", "idle_timeout"),
            _advise(now - self._seen, alone, "no client", "no_client_timeout"),
            self._at_end(now),
            self._unsupplied(now),
        ]
        closing = [advice for advice in found if advice.close]
        noticed = [advice for advice in found if advice.notice]
        return (closing or noticed or [ClosingAdvice()])[0]

    def _unsupplied(self, now: float) -> ClosingAdvice:
        if now - self._supplied < UNSUPPLIED_NOTICE:
            return ClosingAdvice()
        return ClosingAdvice(
            notice="tasks wait, and no jobs are asked for: cluster.scale(jobs=...) asks for some, cluster.adapt() for"
            " as many as there is work for"
        )

    def _at_end(self, now: float) -> ClosingAdvice:
        if self._ends is None:
            return ClosingAdvice()
        if now >= self._ends:
            return ClosingAdvice(close="the walltime of its head's job is over; scheduler_walltime= makes it longer")
        if self._ends - now <= min(WALLTIME_NOTICE, (self._ends - self._began) / 4):
            return ClosingAdvice(notice="it ends soon, with the walltime of its head's job: save what you need")
        return ClosingAdvice()


def _advise(since: float, limit: float | None, what: str, keyword: str) -> ClosingAdvice:
    if limit is None or since < limit * NOTICE_SHARE:
        return ClosingAdvice()
    whole = f"{what} for {_words(limit)} ({keyword})"
    if since >= limit:
        return ClosingAdvice(close=f"there was {whole}")
    return ClosingAdvice(notice=f"it closes when there was {whole}")


def _words(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
