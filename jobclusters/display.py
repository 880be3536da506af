"""Shows progress: with rich or in plain lines on a terminal, in one place of a notebook, and nowhere else."""

from __future__ import annotations

import html
import sys
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

import dask.config

from jobclusters.errors import InvalidRequest
from jobclusters.progress import Progress, lines


class Display(Protocol):
    """Where progress is shown."""

    def show(self, progress: Progress) -> None:
        """Show how it stands now."""

    def end(self) -> None:
        """Leave what was shown last."""


class Quiet:
    """Shows nothing."""

    def show(self, progress: Progress) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Plain:
    """Prints lines where something has changed."""

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

    def end(self) -> None:
        """Do nothing: the lines stay."""


class Rich:
    """A bar and the lines, by rich."""

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
        top.add_row(ProgressBar(total=progress.wanted, completed=progress.arrived, width=20), first)
        self._live.start()  # if it hasn't: where nothing is shown, nothing is drawn
        self._live.update(Group(top, *more), refresh=True)

    def end(self) -> None:
        """Give the cursor back."""
        self._live.stop()


class Notebook:
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

    def end(self) -> None:
        """Do nothing: the lines stay."""


def open_display(wanted: bool | None = None) -> Display:
    """Find where to show progress.

    Parameters
    ----------
    wanted
        False shows it nowhere; True also where there is neither a terminal nor a notebook; None goes by
        ``jobclusters.progress`` of the configuration.

    Raises
    ------
    InvalidRequest
        If it is something else.
    """
    setting = dask.config.get("jobclusters.progress", True) if wanted is None else wanted
    if not isinstance(setting, bool):
        name = "jobclusters.progress" if wanted is None else "progress"
        raise InvalidRequest(f"{name} must be true or false, not {setting!r}")
    if not setting:
        return Quiet()
    if _in_notebook():
        return Notebook()
    if sys.stderr is not None and sys.stderr.isatty():
        return Rich(sys.stderr) if find_spec("rich") else Plain(sys.stderr)
    return Plain(sys.stderr) if wanted else Quiet()


def _in_notebook() -> bool:
    """Tell whether this Python is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
