"""What a look at the jobs and a decision cost, by the number of jobs: this is done each second on the event loop.

No job is submitted. Prints a Markdown table of milliseconds of processor time, the least of several tries; and the same
divided by those of another checkout, if one is named.

    python benchmarks/decisions.py [--beside CHECKOUT] [N ...]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

from jobclusters.jobs.observer import Observer
from jobclusters.jobs.record import JobRecord
from jobclusters.scaling.model import Policy, Snapshot
from jobclusters.scaling.rules import decide
from jobclusters.state import JobState, JobStatus

TRIES = 15
WORKERS = 2
STEPS = ("look", "decide, steady", "decide, too many", "decide, walltimes end")


def least(step: Callable[[], object]) -> float:
    """Give the milliseconds that a step takes."""
    found = []
    for _ in range(TRIES):
        began = time.process_time()
        step()
        found.append(1000 * (time.process_time() - began))
    return min(found)


def measure(count: int) -> list[float]:
    """Measure each step for so many jobs."""
    now = 1000.0
    spec = SimpleNamespace(due=3240, lifetime=3450, lifetime_stagger=30)
    records, workers = {}, []
    for number in range(count):
        name = f"cluster-{number}"
        waits = number % 10 == 0
        status = JobStatus(JobState.PENDING if waits else JobState.RUNNING)
        records[name] = JobRecord(name, number, spec, status=status, arrived_at=None if waits else now - number % 3000)  # type: ignore[arg-type]
        busy = ("task",) if number % 20 else ()
        workers += [
            SimpleNamespace(name=f"{name}-{each}", nbytes=1000, processing=busy) for each in range(WORKERS) if not waits
        ]
    observer = Observer(records, lambda: workers)
    clock = itertools.count(now)  # a moment is looked at once
    observer.look(next(clock))
    jobs = observer.censuses["cluster"]
    policy = Policy(4, 4, 10**10, maximum=count)
    needs = tuple((float(moment), count) for moment in range(0, 1000, 10))
    steady = Snapshot(4 * count, 80.0 * count, jobs=jobs, wait=60.0, needs=needs, rate=count / 5)
    few = Snapshot(2 * count, 80.0 * count, jobs=jobs, wait=60.0, needs=((0.0, count // 2),))
    ending = Snapshot(4 * count, 80.0 * count, jobs=jobs, wait=60.0, needs=needs)
    return [
        least(lambda: observer.look(next(clock))),
        least(lambda: decide(steady, policy, now)),
        least(lambda: decide(few, policy, now)),
        least(lambda: decide(ending, policy, now + 2400)),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", nargs="*", type=int, default=[100, 1000, 5000], metavar="N", help="of jobs")
    parser.add_argument("--beside", metavar="CHECKOUT", help="another version of the code, to compare")
    parser.add_argument("--json", action="store_true", help="print plain numbers")
    options = parser.parse_args()
    ours = [measure(count) for count in options.counts]
    if options.json:
        print(json.dumps(ours))
        return
    print(f"**Milliseconds of each second**\n\n| jobs | | {' | '.join(STEPS)} |\n|--:|---|{'--:|' * len(STEPS)}")
    theirs = None
    if options.beside:
        command = [sys.executable, __file__, "--json", *map(str, options.counts)]
        environment = {**os.environ, "PYTHONPATH": options.beside}
        theirs = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    for index, count in enumerate(options.counts):
        print(f"| {count} | here | {' | '.join(f'{each:.3g}' for each in ours[index])} |")
        if theirs is not None:
            print(f"| | beside | {' | '.join(f'{each:.3g}' for each in theirs[index])} |")
            ratios = [before / after for before, after in zip(theirs[index], ours[index], strict=True)]
            print(f"| | *times faster* | {' | '.join(f'*{each:.1f}*' for each in ratios)} |")


if __name__ == "__main__":
    main()
