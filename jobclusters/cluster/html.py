"""The presentation of a cluster in a notebook, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from dask.widgets import get_template
from distributed.deploy.cluster import Cluster
from distributed.objects import SchedulerInfo

from jobclusters.cluster.progress import ORDER, counts, moment, reason
from jobclusters.spec.units import counted
from jobclusters.state import JobState, JobStatus

#: Jobs and workers that are shown one by one; more are only counted.
SHOWN = 50


def cluster_html(cluster: Cluster, rows: str) -> str:
    """Fill Dask's template, which itself escapes no names, and prints each of thousands of workers."""
    info, shown = cluster.scheduler_info, "Scheduler not started yet."
    workers = dict(info["workers"])  # the event loop's thread may change it meanwhile
    if isinstance(info, SchedulerInfo):
        some = {
            address: {**worker, "name": escape(str(worker["name"]))}
            for address, worker in sorted(workers.items(), key=lambda item: str(item[1]["name"]))[:SHOWN]
        }
        totals = {
            "n_workers": len(workers),
            "total_threads": sum(worker["nthreads"] for worker in workers.values()),
            "total_memory": sum(worker["memory_limit"] or 0 for worker in workers.values()),
        }
        shown = SchedulerInfo({**info, **totals, "workers": some})._repr_html_()
    text: str = get_template("cluster.html.j2").render(
        type=escape(type(cluster).__name__),
        name=escape(str(cluster.name)),
        workers=workers,
        dashboard_link=escape(str(cluster.dashboard_link)),
        scheduler_info_repr=shown,
        cluster_status=rows,
    )
    # Long links would make the page scroll sideways, and so does a class of JupyterLab's in Dask's template: it is as
    # wide as what is around it, and has 20 pixels more at its right.
    style = "max-width: 100%; box-sizing: border-box; padding-right: 20px; overflow-wrap: anywhere;"
    return f'<div style="{style}">{text}</div>'


# -- jobs ---------------------------------------------------------------------------------------------------------


def headline(jobs: Mapping[str, JobStatus]) -> str:
    """Count jobs by state.

    >>> headline({"1": JobStatus(JobState.FAILED), "2": JobStatus(JobState.RUNNING), "3": JobStatus(JobState.RUNNING)})
    '2 running, 1 failed'
    """
    return counts(jobs, (*ORDER, *(state for state in JobState if state.ended)))


_NUMBERS = re.compile("[0-9]+")

#: Of the table of jobs.
HEADS = ("Job", "State", "Reason", "Node", "Time left", "Workers")


def jobs_html(jobs: Mapping[str, JobStatus], now: datetime) -> str:
    """Print jobs as a table: living ones first, then ended ones, the latest first."""
    if not jobs:
        return "<p>No jobs yet.</p>"
    rows, rest = job_rows(jobs, now)
    more = f"<p>... and {rest} more.</p>" if rest else ""
    return table(HEADS, rows) + more


def job_rows(jobs: Mapping[str, JobStatus], now: datetime) -> tuple[list[list[str]], int]:
    """Give the rows of the table of jobs, and the number of jobs that are left out."""
    living = [(job_id, job) for job_id, job in jobs.items() if not job.state.ended]
    living.sort(key=lambda item: (ORDER.index(item[1].state), _by_number(item[0])))
    shown = living[:SHOWN]
    if len(shown) < SHOWN:
        ended = [(job_id, job) for job_id, job in jobs.items() if job.state.ended]
        ended.sort(key=lambda item: _by_number(item[0]), reverse=True)
        ended.sort(key=lambda item: item[1].ended.timestamp() if item[1].ended else 0.0, reverse=True)
        shown += ended[: SHOWN - len(shown)]
    return [_job_row(job_id, job, now) for job_id, job in shown], len(jobs) - len(shown)


def _by_number(job_id: str) -> list[int]:
    """Order ids as people count: 12_10 comes after 12_9."""
    return [int(number) for number in _NUMBERS.findall(job_id)]


def _job_row(job_id: str, job: JobStatus, now: datetime) -> list[str]:
    workers = str(job.workers) if job.state in (JobState.RUNNING, JobState.COMPLETING) else ""
    left = "" if job.ends is None else duration(job.ends - now)
    return [job_id, str(job.state), _why(job, now), job.node, left, workers]


def _why(job: JobStatus, now: datetime) -> str:
    parts = [reason(job)]
    if job.state is JobState.PENDING and job.estimated_start is not None:
        parts.append(f"expected to start at {moment(job.estimated_start, now)}")
    if job.exit_code:
        parts.append(f"exit code {job.exit_code}")
    if job.signal:
        parts.append(f"signal {job.signal}")
    return ", ".join(filter(None, parts))


def duration(time: timedelta) -> str:
    """Print a duration in minutes, so that the text rarely changes; its last two minutes in seconds.

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


def summary_row(jobs: Mapping[str, JobStatus]) -> str:
    """Print the number of jobs in each state, as a row of Dask's table."""
    return f'<tr><td colspan="2" style="text-align: left;"><strong>Jobs:</strong> {escape(headline(jobs))}</td></tr>'


def details_row(jobs: Mapping[str, JobStatus]) -> str:
    """Print each job, as a row of Dask's table that unfolds."""
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
        mode = "fixed" if policy is None else f"with the work, {policy.minimum} to {counted(policy.maximum, 'job')}"
        spent = "" if used is None else f"{used.core_hours:.2f} core-hours, {used.idle_share:.0%} idle"
        rows.append([name, str(group.wanted), mode, spent])
    return table(("Group", "Jobs asked for", "Scaling", "Used"), rows)


def scaled(groups: Mapping[str, Any]) -> str:
    """Say which groups are scaled with the work, and within which limits."""
    policies = [(name, group.policy) for name, group in list(groups.items()) if group.policy is not None]
    limits = (f"{name}: {p.minimum} to {counted(p.maximum, 'job')}" for name, p in policies)
    return ", ".join(limits) or "stopped"


def decision_html(history: Sequence[Any], groups: Mapping[str, Any]) -> str:
    """Print the scaler's last decision on a group that it still scales, if there is one."""
    steps = [step for step in list(history)[-SHOWN:] if step.group in groups and groups[step.group].policy is not None]
    if not steps:
        return ""
    step = steps[-1]
    return f"<p>{escape(f'{step.time:%H:%M:%S}, group {step.group}: {step.decision.because}')}</p>"
