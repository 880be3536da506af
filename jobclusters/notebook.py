"""How a cluster shows itself in a notebook: as HTML, and as a widget where there is ipywidgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from dask.widgets import get_template
from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.objects import SchedulerInfo

from jobclusters.progress import ORDER, moment, reason
from jobclusters.state import JobState, JobStatus

#: Jobs and workers that are shown one by one; the others are counted.
SHOWN = 50


class NotebookCluster(Cluster):  # type: ignore[misc]
    """The part of a cluster that shows it in a notebook.

    It uses what is public of a cluster alone: ``name``, ``status``, ``jobs``, ``groups``, ``history``, ``usage``,
    ``scale``, ``adapt``, ``dashboard_link`` and ``scheduler_info``.
    """

    _panel: Any = None

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        """Give what a notebook shows: what Dask says of a cluster, and the jobs."""
        return self._html((cluster_status or "") + _summary_row(self.jobs) + _details_row(self.jobs))

    def _html(self, rows: str) -> str:
        """Fill Dask's template. It doesn't escape names, and would print each of thousands of workers."""
        info, shown = self.scheduler_info, "Scheduler not started yet."
        workers = dict(info["workers"])  # they may come and go meanwhile: the event loop is another thread's
        if isinstance(info, SchedulerInfo):
            some = {
                address: {**worker, "name": escape(str(worker["name"]))}
                for address, worker in sorted(workers.items(), key=lambda item: str(item[1]["name"]))[:SHOWN]
            }
            threads, memory = _sums(workers.values())
            totals = {"n_workers": len(workers), "total_threads": threads, "total_memory": memory}
            shown = SchedulerInfo({**info, **totals, "workers": some})._repr_html_()
        text: str = get_template("cluster.html.j2").render(
            type=escape(type(self).__name__),
            name=escape(str(self.name)),
            workers=workers,
            dashboard_link=escape(str(self.dashboard_link)),
            scheduler_info_repr=shown,
            cluster_status=rows,
        )
        return text

    def _widget(self) -> Any:
        """Make the widget, once: it is displayed as often as wanted. None without ipywidgets, or after the end."""
        if self._panel is None and self.status not in (Status.closing, Status.closed):
            try:
                from jobclusters.widget import Panel
            except ImportError:
                return None
            self._panel = Panel(self)
        return None if self._panel is None else self._panel.widget

    async def _close(self) -> None:
        await super()._close()
        if self._panel is not None:
            self._panel.end()


def _sums(workers: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    rows = [(worker["nthreads"], worker["memory_limit"] or 0) for worker in workers]
    return sum(threads for threads, _ in rows), sum(memory for _, memory in rows)


# -- jobs ---------------------------------------------------------------------------------------------------------


def headline(jobs: Mapping[str, JobStatus]) -> str:
    """Count jobs by state.

    >>> headline({"1": JobStatus(JobState.FAILED), "2": JobStatus(JobState.RUNNING), "3": JobStatus(JobState.RUNNING)})
    '2 running, 1 failed'
    """
    counts = Counter(job.state for job in jobs.values())
    states = [*ORDER, *(state for state in JobState if state.ended)]
    told = [f"{counts[state]} {state.lower().replace('_', ' ')}" for state in states if counts[state]]
    return ", ".join(told) or "none"


def jobs_html(jobs: Mapping[str, JobStatus], now: datetime) -> str:
    """Print jobs as a table: the living first, then those that ended, the latest first."""
    if not jobs:
        return "<p>No jobs yet.</p>"
    living = [(job_id, job) for job_id, job in jobs.items() if not job.state.ended]
    living.sort(key=lambda item: ORDER.index(item[1].state))
    shown = living[:SHOWN]
    if len(shown) < SHOWN:
        ended = [(job_id, job) for job_id, job in jobs.items() if job.state.ended]
        shown += ended[::-1][: SHOWN - len(shown)]
    rows = [_job_row(job_id, job, now) for job_id, job in shown]
    rest = len(jobs) - len(shown)
    more = f"<p>... and {rest} more.</p>" if rest else ""
    return table(("Job", "State", "Reason", "Node", "Time left", "Workers"), rows) + more


def _job_row(job_id: str, job: JobStatus, now: datetime) -> list[str]:
    workers = str(job.workers) if job.state in (JobState.RUNNING, JobState.COMPLETING) else ""
    left = "" if job.ends is None else duration(job.ends - now)
    return [job_id, str(job.state), _why(job, now), job.node, left, workers]


def _why(job: JobStatus, now: datetime) -> str:
    told = [reason(job)]
    if job.state is JobState.PENDING and job.estimated_start is not None:
        told.append(f"expected to start at {moment(job.estimated_start, now)}")
    if job.exit_code:
        told.append(f"exit code {job.exit_code}")
    if job.signal:
        told.append(f"signal {job.signal}")
    return ", ".join(filter(None, told))


def duration(time: timedelta) -> str:
    """Say how long: in minutes, so that it is no other text each second; in seconds at the end.

    >>> [duration(timedelta(seconds=s)) for s in (-3, 59, 61, 150, 7260, 200_000)]
    ['0 s', '59 s', '61 s', '2 min', '2 h 1 min', '2 d 7 h']
    """
    seconds = max(0, int(time.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Print a table of texts; each of them is escaped.

    >>> "<td>&lt;1&gt;</td>" in table(["Job"], [["<1>"]])
    True
    """

    def cells(tag: str, texts: Iterable[str]) -> str:
        return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        '<table style="border-spacing: 12px 2px; border-collapse: separate; text-align: left; margin-left: -12px;">'
        f"<thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
    )


def _summary_row(jobs: Mapping[str, JobStatus]) -> str:
    return f'<tr><td colspan="2" style="text-align: left;"><strong>Jobs:</strong> {escape(headline(jobs))}</td></tr>'


def _details_row(jobs: Mapping[str, JobStatus]) -> str:
    if not jobs:
        return ""
    inner = jobs_html(jobs, datetime.now())
    return f'<tr><td colspan="2"><details><summary>Each job</summary>{inner}</details></td></tr>'


# -- groups -------------------------------------------------------------------------------------------------------


def groups_html(groups: Mapping[str, Any], usage: Mapping[str, Any]) -> str:
    """Print how each group is scaled, and what it has used."""
    rows = []
    for name, group in list(groups.items()):
        policy, used = group.policy, usage.get(name)
        mode = "fixed" if policy is None else f"with the work, {policy.minimum} to {policy.maximum} jobs"
        spent = "" if used is None else f"{used.core_hours:.2f} core-hours, {used.idle_share:.0%} idle"
        rows.append([name, str(group.wanted), mode, spent])
    return table(("Group", "Jobs asked for", "Scaling", "Used"), rows)


def because(history: Sequence[Any]) -> str:
    """Tell the scaler's last decision, where there is one."""
    if not history:
        return ""
    step = history[-1]
    return f"<p>{escape(f'{step.time:%H:%M:%S}, group {step.group}: {step.decision.because}')}</p>"
