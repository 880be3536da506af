"""The scaler's rules in simulation: jobclusters beside distributed's Adaptive, against what no scaler can beat.

No job is submitted, and no clock is read: the same numbers come out anywhere. Prints a Markdown table; with --plots,
also a picture of each trace.

    python benchmarks/scaling.py [--plots DIR] [--quick] [--million] [NAME ...]
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import bounds
from scalers import Adaptive, Jobclusters
from simulator import Result, simulate
from traces import HOUR, Trace, day, traces

COLUMNS = ("makespan, s", "core-hours", "submits", "cancels", "waits thrown away, h", "delay of a task, s")


class Comparison(NamedTuple):
    """What came of a trace: ours, also where core-hours are preferred, and theirs; bounds of makespan, core-seconds.

    Of the core-seconds, ``failures`` are what failures cost on average, if they can't be foreseen.
    """

    trace: Trace
    ours: Result
    theirs: Result
    makespan: float
    core_seconds: float
    cheap: Result
    failures: float

    @property
    def least(self) -> float:
        """The core-seconds that no scaler can beat on average that can't foresee failures."""
        return self.core_seconds + self.failures

    def worse(self) -> list[str]:
        """Say in what ours is worse.

        A few core-hours more, 6 %, may be spent where fewer jobs are given up that have waited: some of them come for
        nothing, and go at once. And waiting that is halved has its price.
        """
        ours, theirs = self.ours, self.theirs
        price = 1.06 if ours.cancels < theirs.cancels else 1.01
        found = []
        if ours.makespan > 1.002 * theirs.makespan + 1:
            found.append("makespan")
        if ours.core_seconds > price * theirs.core_seconds and ours.delay > 0.5 * theirs.delay:
            found.append("core-hours")
        if ours.thrown > theirs.thrown:
            found.append("waits thrown away")
        if ours.submits + ours.cancels > theirs.submits + theirs.cancels:
            found.append("submits and cancels")
        return found


def compare(trace: Trace) -> Comparison:
    """Run a trace on both sides."""
    ours, theirs = simulate(trace, Jobclusters(trace.scaling)), simulate(trace, Adaptive(trace.scaling))
    cheap = simulate(trace, Jobclusters(replace(trace.scaling, prefer="core-hours")))
    asked = max(result.submits for result in (ours, theirs, cheap))
    return Comparison(
        trace, ours, theirs, bounds.makespan(trace, asked), bounds.core_seconds(trace), cheap, bounds.failures(trace)
    )


def rows(each: Comparison) -> list[str]:
    """Write a comparison as rows of a table."""
    failures = f", {each.failures / HOUR:,.2f} of it by failures" if each.failures else ""
    bound = f"{each.makespan:,.0f} | {each.least / HOUR:,.2f}{failures}"
    lines = [f"| **{each.trace.name}** | bound | {bound} | | | | |"]
    sides = (("jobclusters", each.ours), ('prefer="core-hours"', each.cheap), ("distributed", each.theirs))
    for name, result in sides:
        cells = (
            f"{result.makespan:,.0f} ({result.makespan / each.makespan - 1:+.1%})",
            f"{result.core_seconds / HOUR:,.2f} ({result.core_seconds / each.least - 1:+.0%})",
            f"{result.submits:,}",
            f"{result.cancels:,}",
            f"{result.thrown / HOUR:,.2f}",
            f"{result.delay:,.1f}",
        )
        lines.append(f"| | {name} | {' | '.join(cells)} |")
    return lines


def plot(each: Comparison, directory: Path) -> Path:
    """Draw demand, pending and running jobs over time, of both sides."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(2, 1, sharex=True, sharey=True, figsize=(8, 4.6), layout="constrained")
    hours = max(each.ours.history[-1][0], each.theirs.history[-1][0]) > 3 * HOUR
    for name, result, ax in zip(("jobclusters", "distributed's Adaptive"), (each.ours, each.theirs), axes, strict=True):
        _draw(ax, result, each.trace.maximum, HOUR if hours else 60.0)
        counts = f"{result.submits:,} submits, {result.cancels:,} cancels"
        ax.set_title(f"{name}: {counts}, {result.core_seconds / HOUR:,.1f} core-hours", fontsize=10, loc="left")
        ax.set_ylabel("jobs")
    axes[0].legend(fontsize=8, loc="upper right")
    axes[1].set_xlabel("hours" if hours else "minutes")
    figure.suptitle(f"{each.trace.name}: {each.trace.about}", fontsize=9)
    path = directory / f"{re.sub('[^a-z0-9]+', '-', each.trace.name)}.png"
    figure.savefig(path, dpi=100)
    plt.close(figure)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(24)
    small.save(path, optimize=True)
    return path


def _draw(ax: Any, result: Result, most: int, unit: float) -> None:
    moments = [moment / unit for moment, *_ in result.history]
    demand, pending, running = zip(*(counts for _, *counts in result.history), strict=True)
    both = [some + others for some, others in zip(running, pending, strict=True)]
    ax.fill_between(moments, running, step="post", color="#3b75af", label="running")
    ax.fill_between(moments, running, both, step="post", color="#f2b661", label="pending")
    ax.step(moments, [min(each, most) for each in demand], where="post", color="black", lw=0.8, label="work for")


def millions(*sizes: int) -> list[str]:
    """Say how long days of more and more jobs take to simulate, in processor time; the scaler decides each second."""
    lines, first = [], 0.0
    for jobs in sizes or (90_000, 910_000):
        trace = day(jobs)
        began = time.process_time()
        result = simulate(trace, Jobclusters(trace.scaling))
        seconds = time.process_time() - began
        each = seconds / result.submits
        first = first or each
        least = result.core_seconds / bounds.core_seconds(trace) - 1
        lines.append(
            f"- {result.submits:,} jobs, {least:.0%} above the bound: {seconds:,.0f} s,"
            f" {1e6 * each:,.0f} us for each job, {each / first:.2f} times as much as in the first"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of traces; all, if none is given")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="where a picture of each trace goes")
    parser.add_argument("--quick", action="store_true", help="leave out the day")
    parser.add_argument("--million", action="store_true", help="only measure how long a day of a million jobs takes")
    options = parser.parse_args(arguments)
    if options.million:
        print("\n".join(millions()))
        return
    some = [*traces(), *([] if options.quick else [day()])]
    began = time.perf_counter()
    print(f"**Scaling, in simulation**\n\n| trace | | {' | '.join(COLUMNS)} |\n|---|---|{'--:|' * len(COLUMNS)}")
    for trace in some:
        if options.names and trace.name not in options.names:
            continue
        each = compare(trace)
        print("\n".join(rows(each)), flush=True)
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            plot(each, options.plots)
    print(f"\nIn {math.ceil(time.perf_counter() - began)} s. Traces:\n")
    for trace in some:
        print(f"- {trace.name}: {trace.about}")


if __name__ == "__main__":
    main()
