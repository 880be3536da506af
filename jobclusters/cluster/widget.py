"""The widget of a cluster: its jobs, live, and buttons to scale. Imports ipywidgets."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from datetime import datetime
from html import escape
from typing import Any

from distributed.core import Status
from ipywidgets import HTML, BoundedIntText, Button, Dropdown, HBox, Layout, Tab, VBox
from tornado.ioloop import PeriodicCallback

from jobclusters.cluster.html import cluster_html, decision_html, groups_html, headline, jobs_html, summary_row
from jobclusters.config import dask_settings

logger = logging.getLogger(__name__)

_ENDED = (Status.closing, Status.closed, Status.failed)
#: The maximum of numbers.
_MOST = 10**6


class Panel:
    """The view of a :class:`~jobclusters.cluster.base.ClusterBase`, updated until the cluster closes."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._tasks: set[asyncio.Future[Any]] = set()
        self._status, self._jobs, self._groups, self._message = HTML(), HTML(), HTML(), HTML()
        self._jobs.add_class("jobclusters-jobs")
        self._message.add_class("jobclusters-message")
        self._group = Dropdown(options=list(cluster.groups), description="Group", layout=Layout(width="200px"))
        self._unit = Dropdown(options=["jobs", "workers"], description="Unit", layout=Layout(width="180px"))
        self._number, self._minimum, self._maximum = _number("Number"), _number("Minimum"), _number("Maximum", 10)
        self._in_force: tuple[object, ...] = ()
        self._just_shown = False
        self._show_in_force()
        for chosen in (self._group, self._unit):
            chosen.observe(lambda _: self._show_in_force(), names="value")
        self._scale = _button("Scale", "Ask for this many, and keep them", self._on_scale)
        self._adapt = _button("Adapt", "As many as there is work for, within these limits", self._on_adapt)
        controls = VBox(
            [
                HBox([self._group, self._unit]),
                HBox([self._number, self._scale]),
                HBox([self._minimum, self._maximum, self._adapt]),
            ]
        )
        self.widget = Tab([self._status, VBox([controls, self._message, self._groups, self._jobs])])
        self.widget.add_class("jobclusters")
        self.widget.set_title(0, "Status")
        self.widget.set_title(1, "Jobs")
        cluster.loop.add_callback(self._begin, dask_settings.repr_interval())

    def _begin(self, seconds: float) -> None:
        """Refresh in intervals, on the cluster's event loop, which ends that when it closes."""
        if self._cluster.status in _ENDED:
            self.end()
            return
        self.refresh()
        self._cluster.periodic_callbacks["cluster-repr"] = callback = PeriodicCallback(self.refresh, seconds * 1000)
        callback.start()

    def refresh(self) -> None:
        """Update the view. Unchanged parts aren't sent to the browser."""
        cluster, jobs = self._cluster, self._cluster.jobs
        self._status.value = cluster_html(cluster, summary_row(jobs))
        self._jobs.value = f"<b>Jobs:</b> {escape(headline(jobs))}{jobs_html(jobs, datetime.now())}"
        self._groups.value = groups_html(cluster.groups, cluster.usage) + decision_html(cluster.history, cluster.groups)
        if self._group.options != tuple(names := list(cluster.groups)):
            self._group.options = names
        self._show_in_force()

    def _show_in_force(self) -> None:
        """Show in the fields what holds now, when that has changed: what is being typed stays."""
        group, unit = self._cluster.groups.get(self._group.value), self._unit.value
        if group is None:
            return
        each = group.spec.processes if unit == "workers" else 1
        low, high = (0, 10) if group.policy is None else (group.policy.minimum, group.policy.maximum)
        now = (group.name, unit, group.wanted, group.policy and (low, high))
        if now == self._in_force:
            return
        self._in_force = now
        self._number.value, self._minimum.value = group.wanted * each, low * each
        self._maximum.value = (high if group.policy else max(high, group.wanted)) * each
        if not self._just_shown:
            self._message.value = ""  # it was about what was in force before
        self._just_shown = False

    def end(self) -> None:
        """Show the end of the cluster, and disable the buttons."""
        self.refresh()
        self._show_message("The cluster is closed.")
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
        done = f"Group {group} scales with the work: {low} to {high} {unit}."
        self._do(lambda: self._cluster.adapt(**limits, group=group), done)

    def _do(self, action: Callable[[], Any], done: str) -> None:
        """Do what a button says, and show the result: an exception would end in a log that is rarely read."""
        try:
            result = action()
            if inspect.isawaitable(result):  # of an asynchronous cluster
                self._tasks.add(task := asyncio.ensure_future(result))
                task.add_done_callback(self._finished)
            self._show_message(done)
            self._just_shown = True
        except Exception as error:
            logger.info("What the widget was asked for failed", exc_info=True)
            self._show_message(str(error), wrong=True)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._show_message(str(error), wrong=True)

    def _show_message(self, text: str, *, wrong: bool = False) -> None:
        style = ' style="color: #c0392b;"' if wrong else ""
        self._message.value = f"<p{style}>{escape(text)}</p>"


def _number(description: str, value: int = 0) -> BoundedIntText:
    return BoundedIntText(value, min=0, max=_MOST, description=description, layout=Layout(width="180px"))


def _button(description: str, tooltip: str, action: Callable[[], None]) -> Button:
    button = Button(description=description, tooltip=tooltip, layout=Layout(width="100px"))
    button.add_class(f"jobclusters-{description.lower()}")
    button.on_click(lambda _: action())
    return button
