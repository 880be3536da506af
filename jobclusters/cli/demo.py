"""``jobclusters demo``."""

from __future__ import annotations

import sys
import time

import click
from distributed import Client, as_completed

from jobclusters.cli.options import examples
from jobclusters.cluster.systems import LocalQueueCluster
from jobclusters.config.machine import this_machine

#: Requested jobs; on a small machine the last ones wait in the queue for the first to end.
JOBS = 4

#: Tasks, and terms of the series in each.
TASKS, TASK_TERMS = 40, 250_000


def quarter_pi(part: int) -> float:
    """Sum one part of Leibniz's series for pi / 4."""
    first = part * TASK_TERMS
    return sum((-1.0 if k % 2 else 1.0) / (2 * k + 1) for k in range(first, first + TASK_TERMS))


def wait(cluster: LocalQueueCluster, wanted: int) -> None:
    """Show the progress until this many workers have registered."""
    shown = ""
    while len(cluster.scheduler_info["workers"]) < wanted:
        line = f"  {len(cluster.scheduler_info['workers'])} of {wanted} workers; jobs: {cluster.summary}"
        if line != shown:
            print(line, flush=True)
            shown = line
        if (trouble := cluster.trouble) is not None:
            raise trouble
        time.sleep(0.1)
    print(f"  {wanted} of {wanted} workers; jobs: {cluster.summary}")


def main() -> None:
    """Run the demo."""
    machine = this_machine()
    print(f"This machine has {machine.describe()}.")
    with LocalQueueCluster(worker_cpu=1, worker_memory="512 MiB", walltime="00:10:00", death_timeout=60) as cluster:
        print("\nThe job script, as the queue gets it:\n")
        print("".join(f"    {line}\n" for line in cluster.job_script().splitlines()))
        print(f"cluster.scale(jobs={JOBS})")
        cluster.scale(jobs=JOBS)
        wait(cluster, min(JOBS, machine.cores))
        with Client(cluster) as client:
            print(f"\nDashboard: {client.dashboard_link or 'needs bokeh: pip install bokeh'}")
            futures = client.map(quarter_pi, range(TASKS))
            print(f"Computing pi in {TASKS} tasks on {len(cluster.scheduler_info['workers'])} workers ...")
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if done % (TASKS // 4) == 0:
                    print(f"  {done} of {TASKS} tasks done")
            pi = 4 * sum(client.gather(futures))
        print(f"Result: {pi:.9f} (pi is 3.141592654)")
        if abs(pi - 3.141592653589793) > 1e-6:
            sys.exit("That is wrong.")
    left = [job_id for job_id, status in cluster.jobs.items() if not status.state.ended]
    print(f"Closed. Jobs left in the queue: {len(left)}.")
    if left:
        sys.exit(f"These are left: {', '.join(left)}")


@click.command("demo", epilog=examples("jobclusters demo"))
def command() -> None:
    """Compute pi in jobs of this machine's own queue, from the script to the clean end.

    It needs no batch system, and takes a few seconds.
    """
    main()
