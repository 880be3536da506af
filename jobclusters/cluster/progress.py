"""The progress of a wait for workers: its text and its display; and the number of workers to wait for."""

from __future__ import annotations

import html
import math
import operator
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, SupportsIndex, TextIO

from dask.utils import parse_timedelta

from jobclusters.config import settings
from jobclusters.errors import InvalidRequest
from jobclusters.state import JobState, JobStatus


class Display:
    """Shows progress nowhere; its subclasses show it."""

    def show(self, progress: Progress) -> None:
        """Show progress."""

    def end(self) -> None:
        """End the display; what was shown last stays."""


class Plain(Display):
    """Prints lines that have changed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: list[str] = []

    def show(self, progress: Progress) -> None:
        """Print the lines that are new."""
        now = lines(progress)
        new = [line for line in now if line not in self._shown]
        self._shown = now
        if new:
            print(*new, sep="\n", file=self._stream, flush=True)


class Rich(Display):
    """A bar and the lines, drawn by rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=stream), auto_refresh=False)

    def show(self, progress: Progress) -> None:
        """Draw the bar and the lines anew."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        first, *more = map(Text, lines(progress))
        top = Table.grid(padding=(0, 1))
        # Rich's own colours can't be told apart on terminals of 16 colours.
        colours = {"style": "bright_black", "complete_style": "green", "finished_style": "green"}
        top.add_row(ProgressBar(total=progress.wanted, completed=progress.arrived, width=20, **colours), first)
        self._live.start()  # the first time only, as short waits draw nothing
        self._live.update(Group(top, *more), refresh=True)

    def end(self) -> None:
        """Give the cursor back."""
        self._live.stop()


class Notebook(Display):
    """Lines under a notebook's cell that change in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: Progress) -> None:
        """Replace what is shown."""
        from IPython.display import display

        text = "\n".join(lines(progress))
        bundle = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def open_display(wanted: bool | None = None) -> Display:
    """Choose where to show progress.

    False shows it nowhere; True also where there is neither a terminal nor a notebook; None goes by
    ``jobclusters.progress`` of the configuration.
    """
    setting = settings.shows_progress() if wanted is None else wanted
    if not isinstance(setting, bool):
        name = "jobclusters.progress" if wanted is None else "progress"
        raise InvalidRequest(f"{name} must be true or false, not {setting!r}")
    if not setting:
        return Display()
    if _in_notebook():
        return Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        return Rich(sys.stderr)
    return Plain(sys.stderr) if wanted else Display()


def _in_notebook() -> bool:
    """Check whether this Python is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


#: Reasons that are shown; rarer ones are counted.
SHOWN_REASONS = 3

#: The order of states.
ORDER = (JobState.RUNNING, JobState.COMPLETING, JobState.PENDING, JobState.UNKNOWN)


@dataclass(frozen=True)
class Progress:
    """The progress of a wait for workers.

    Attributes
    ----------
    arrived, wanted
        Registered and awaited workers.
    jobs
        The status of each job, by id; without those that had ended before.
    now
        The time.
    """

    arrived: int
    wanted: int
    jobs: Mapping[str, JobStatus] = field(default_factory=dict)
    now: datetime = field(default_factory=datetime.now)


def lines(progress: Progress) -> list[str]:
    """Describe the progress: the counts first, then the reasons for waiting.

    >>> pending = JobStatus(JobState.PENDING, "Resources", "waits for free nodes")
    >>> for line in lines(Progress(2, 6, {"1": JobStatus(JobState.RUNNING, workers=2), "2": pending, "3": pending})):
    ...     print(line)
    2 of 6 workers; jobs: 1 running, 2 pending
      2 wait: Resources: waits for free nodes
    """
    jobs = progress.jobs.values()
    pending = [job for job in jobs if job.state is JobState.PENDING]
    reasons = Counter(reason(job) for job in pending).most_common()
    details = [f"{count} wait: {text}" for text, count in reasons[:SHOWN_REASONS] if text]
    if more := sum(count for _, count in reasons[SHOWN_REASONS:]):
        details.append(f"{more} wait for other reasons")
    starts = [job.estimated_start for job in pending if job.estimated_start is not None]
    if starts:
        details.append(f"the first is expected to start at {moment(min(starts), progress.now)}")
    awaited = progress.arrived < progress.wanted
    if awaited and (coming := sum(job.state is JobState.RUNNING and not job.workers for job in jobs)):
        details.append(f"{coming} running, the workers are starting")
    ended = Counter(job.sentence() for job in jobs if job.state.ended and job.state is not JobState.CANCELLED)
    details += [f"{count} ended: {text}" for text, count in ended.most_common(SHOWN_REASONS)]
    first = f"{progress.arrived} of {progress.wanted} workers; jobs: {counts(progress.jobs)}"
    return [first, *(f"  {printable(line)}" for line in details)]


def counts(jobs: Mapping[str, JobStatus], states: Iterable[JobState] = ORDER) -> str:
    """Count the jobs by state: those that haven't ended, unless other states are given.

    >>> counts({"1": JobStatus(JobState.RUNNING), "2": JobStatus(JobState.FAILED)}), counts({})
    ('1 running', 'none')
    """
    by_state = Counter(job.state for job in jobs.values())
    parts = [f"{by_state[state]} {state.lower().replace('_', ' ')}" for state in states if by_state[state]]
    return ", ".join(parts) or "none"


def reason(job: JobStatus) -> str:
    """Give the batch system's words for why a job waits or ended, and what they mean."""
    return ": ".join(filter(None, (job.reason, job.meaning)))


def moment(when: datetime, now: datetime) -> str:
    """Print a time, with its date unless it is today.

    >>> now = datetime(2030, 1, 1, 9, 30)
    >>> moment(datetime(2030, 1, 1, 14, 5), now), moment(datetime(2030, 1, 2), now)
    ('14:05', '2030-01-02 00:00')
    """
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"


def printable(text: str) -> str:
    r"""Replace characters that would move a terminal's cursor.

    >>> printable("held\x1b[2J by\nroot")
    'held [2J by root'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def workers_meant(asked: object, there_should_be: int) -> int:
    """Give the number of workers to wait for, from that number or a fraction of the requested ones.

    Raises
    ------
    InvalidRequest
        If it's neither, or a fraction of nothing.

    Examples
    --------
    >>> workers_meant(3, 10), workers_meant(0.5, 5), workers_meant(1.0, 10)
    (3, 3, 10)
    """
    fraction = isinstance(asked, float)
    if fraction and 0 < asked <= 1:  # type: ignore[operator]
        if not there_should_be:
            raise InvalidRequest(
                f"wait_for_workers({asked}) waits for a fraction of the workers that were asked for, and none were:"
                " scale() or adapt() the cluster first"
            )
        # Rounded, so that 0.07 of 100 is 7 in spite of binary fractions.
        return max(1, math.ceil(round(float(asked) * there_should_be, 9)))  # type: ignore[arg-type]
    number = None
    if isinstance(asked, SupportsIndex) and not isinstance(asked, bool):
        number = operator.index(asked)
    if number is None or number < 1:
        raise InvalidRequest(
            f"wait_for_workers() takes a number of workers, at least 1, or a fraction of those that were asked for,"
            f" above 0.0 and at most 1.0; not {asked!r}"
        )
    return number


def check_timeout(timeout: object) -> None:
    """Refuse a timeout that is neither None nor a time of 0 or more."""
    try:
        seconds = 0.0 if timeout is None else float(parse_timedelta(timeout))
    except (TypeError, ValueError, KeyError, AttributeError, LookupError):  # the parser's errors for lists or ""
        seconds = -1.0
    if isinstance(timeout, bool) or not seconds >= 0:
        raise InvalidRequest(f"timeout must be a number of seconds, or text such as '10 minutes', not {timeout!r}")
