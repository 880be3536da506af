"""How long it takes until something is there: imports, clusters, their first result, commands; beside Dask's, in turns.

Each measurement is a Python of its own. Wall time is how long it takes; processor time is that of all processes
that have been started by then. Prints Markdown tables.

    python benchmarks/first_cluster.py [ROUNDS]
"""

from __future__ import annotations

import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jobclusters

SHAPE = 'cores=1, memory="1 GB", scheduler_options={"dashboard_address": ":0"}'
RESULT = "client = made.get_client(); client.wait_for_workers(2); assert client.submit(sum, [1, 2]).result() == 3"

#: For each table and row: code whose time doesn't count, and the code.
STARTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "The import": {
        "`import jobclusters`": ("", "import jobclusters"),
        "`from jobclusters import SLURMCluster`": ("", "from jobclusters import SLURMCluster"),
        "`from dask_jobqueue import SLURMCluster`": ("", "from dask_jobqueue import SLURMCluster"),
    },
    "The import, and a cluster without jobs": {
        "`jobclusters.SLURMCluster`": ("", f"import jobclusters; made = jobclusters.SLURMCluster({SHAPE})"),
        "`dask_jobqueue.SLURMCluster`": ("", f"import dask_jobqueue; made = dask_jobqueue.SLURMCluster({SHAPE})"),
    },
    "From the constructor to the first result, with two workers": {
        "`jobclusters.LocalQueueCluster`": (
            "from jobclusters import LocalQueueCluster",
            f"made = LocalQueueCluster({SHAPE}, n_workers=2); {RESULT}",
        ),
        "`dask_jobqueue.local.LocalCluster`": (
            "from dask_jobqueue.local import LocalCluster",
            f"made = LocalCluster({SHAPE}, n_workers=2); {RESULT}",
        ),
        "`distributed.LocalCluster`": (
            "from distributed import LocalCluster",
            f'made = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0"); {RESULT}',
        ),
    },
}
COMMANDS = {
    "`jobclusters --help`": "jobclusters --help",
    "`jobclusters list`": "jobclusters list",
    "`dask --help`": "dask --help",
}

MEASURED = """
import time
{before}
began, used = time.perf_counter(), time.process_time()
{code}
began, used = time.perf_counter() - began, time.process_time() - used
import json, psutil
here = psutil.Process()
used += sum(here.cpu_times()[2:4]) + sum(sum(each.cpu_times()[:4]) for each in here.children(recursive=True))
print(json.dumps([began, used]), flush=True)
"""


def of_code(before: str, code: str) -> tuple[float, float]:
    """Run code in a Python of its own; give wall and processor time."""
    words = [sys.executable, "-W", "ignore", "-c", MEASURED.format(before=before, code=code)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=300)
    wall, used = json.loads(done.stdout.splitlines()[-1])
    return wall, used


def of_command(text: str) -> tuple[float, float]:
    """Run a command of this environment; give wall and processor time."""
    name, *arguments = text.split()
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name(name), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )
    wall, after = time.perf_counter() - began, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def table(title: str, sides: Mapping[str, Callable[[], tuple[float, float]]], rounds: int) -> None:
    """Measure all sides in turns, and print the medians, and their ratios to those of the last side."""
    print(f"\n**{title}**\n")
    print("| | wall time, s | ratio | processor time, s | ratio |")
    print("|---|--:|--:|--:|--:|")
    found = [[measure() for measure in sides.values()] for _ in range(rounds + 1)][1:]  # the first one fills caches
    medians = [[statistics.median(values) for values in zip(*each, strict=True)] for each in zip(*found, strict=True)]
    for name, median in zip(sides, medians, strict=True):
        cells = [f"{value:.2f} | {value / last:.2f}" for value, last in zip(median, medians[-1], strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure all."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 9
    compileall.compile_dir(Path(jobclusters.__file__).parent, quiet=2)  # as pip does with what it installs
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        for title, rows in STARTS.items():
            table(title, {name: partial(of_code, *parts) for name, parts in rows.items()}, rounds)
        table("Commands", {name: partial(of_command, text) for name, text in COMMANDS.items()}, rounds)


if __name__ == "__main__":
    main()
