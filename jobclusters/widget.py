"""The widget of a cluster: its jobs, live, and buttons to scale. Imports ipywidgets."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Any

import dask.config
from dask.utils import parse_timedelta
from distributed.core import Status
from ipywidgets import HTML, BoundedIntText, Button, Dropdown, HBox, Layout, Tab, VBox
from tornado.ioloop import PeriodicCallback

from jobclusters.notebook import because, groups_html, headline, jobs_html

logger = logging.getLogger(__name__)

_ENDED = (Status.closing, Status.closed, Status.failed)
#: More than anybody asks for.
_MOST = 10**6


class Panel:
    """What is shown of a cluster, and kept up to date until the cluster closes.

    Parameters
    ----------
    cluster
        A :class:`~jobclusters.notebook.NotebookCluster`.

    Attributes
    ----------
    widget
        To be displayed, as often as wanted: the views share what they show.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._tasks: set[asyncio.Future[Any]] = set()
        self._status, self._jobs, self._groups, self._said = HTML(), HTML(), HTML(), HTML()
        self._jobs.add_class("jobclusters-jobs")
        self._said.add_class("jobclusters-said")
        self._group = Dropdown(options=list(cluster.groups), description="Group", layout=Layout(width="200px"))
        self._unit = Dropdown(options=["jobs", "workers"], description="Unit", layout=Layout(width="180px"))
        self._number, self._minimum, self._maximum = _number("Number"), _number("Minimum"), _number("Maximum", 10)
        self._scale = _button("Scale", "Ask for this many, and keep them", self._on_scale)
        self._adapt = _button("Adapt", "As many as there is work for, within these limits", self._on_adapt)
        controls = VBox(
            [
                HBox([self._group, self._unit]),
                HBox([self._number, self._scale]),
                HBox([self._minimum, self._maximum, self._adapt]),
            ]
        )
        self.widget = Tab([self._status, VBox([controls, self._said, self._groups, self._jobs])])
        self.widget.add_class("jobclusters")
        self.widget.set_title(0, "Status")
        self.widget.set_title(1, "Jobs")
        seconds = parse_timedelta(dask.config.get("distributed.deploy.cluster-repr-interval"), default="ms")
        cluster.loop.add_callback(self._begin, seconds)

    def _begin(self, seconds: float) -> None:
        """Look now and then, on the cluster's event loop, where nothing changes meanwhile; closing it stops that."""
        if self._cluster.status in _ENDED:
            self.end()
            return
        self.refresh()
        self._cluster.periodic_callbacks["cluster-repr"] = callback = PeriodicCallback(self.refresh, seconds * 1000)
        callback.start()

    def refresh(self) -> None:
        """Bring what is shown up to date. What is the same as before isn't sent to the browser."""
        cluster, jobs = self._cluster, self._cluster.jobs
        self._status.value = cluster._html(  # noqa: SLF001 -- it's of one piece with this
            f'<tr><td style="text-align: left;"><strong>Jobs:</strong> {escape(headline(jobs))}</td></tr>'
        )
        self._jobs.value = f"<b>Jobs:</b> {escape(headline(jobs))}{jobs_html(jobs, datetime.now())}"
        self._groups.value = groups_html(cluster.groups, cluster.usage) + because(cluster.history)
        if self._group.options != tuple(names := list(cluster.groups)):
            self._group.options = names

    def end(self) -> None:
        """Show how it ended; the buttons do nothing any more."""
        self.refresh()
        self._say("The cluster is closed.")
        for button in (self._scale, self._adapt):
            button.disabled = True

    # -- buttons ------------------------------------------------------------------------------------------------

    def _on_scale(self) -> None:
        number, unit, group = self._number.value, self._unit.value, self._group.value
        asked = {"jobs": number} if unit == "jobs" else {"n": number}
        self._do(
            lambda: self._cluster.scale(**asked, group=group), f"Asked for this in group {group}: {number} {unit}."
        )

    def _on_adapt(self) -> None:
        low, high, unit, group = self._minimum.value, self._maximum.value, self._unit.value, self._group.value
        ends = ("minimum_jobs", "maximum_jobs") if unit == "jobs" else ("minimum", "maximum")
        limits = dict(zip(ends, (low, high), strict=True))
        told = f"Group {group} scales with the work: {low} to {high} {unit}."
        self._do(lambda: self._cluster.adapt(**limits, group=group), told)

    def _do(self, action: Callable[[], Any], done: str) -> None:
        """Do what a button says, and say what came of it: an exception would end in a log that nobody reads."""
        try:
            result = action()
            if inspect.isawaitable(result):  # of an asynchronous cluster
                self._tasks.add(task := asyncio.ensure_future(result))
                task.add_done_callback(self._finished)
            self._say(done)
        except Exception as error:
            logger.info("What the widget was asked for failed", exc_info=True)
            self._say(str(error), wrong=True)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(str(error), wrong=True)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        style = ' style="color: #c0392b;"' if wrong else ""
        self._said.value = f"<p{style}>{escape(text)}</p>"


def _number(description: str, value: int = 0) -> BoundedIntText:
    return BoundedIntText(value, min=0, max=_MOST, description=description, layout=Layout(width="180px"))


def _button(description: str, tooltip: str, action: Callable[[], None]) -> Button:
    button = Button(description=description, tooltip=tooltip, layout=Layout(width="100px"))
    button.add_class(f"jobclusters-{description.lower()}")
    button.on_click(lambda _: action())
    return button
