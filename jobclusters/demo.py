"""A Dask cluster on this machine's own queue, from the script to the clean end: ``python -m jobclusters.demo``."""

from __future__ import annotations

import sys
import time

from distributed import Client, as_completed

from jobclusters.clusters import LocalQueueCluster
from jobclusters.machine import this_machine

#: Jobs asked for; on a small machine the last ones wait in the queue for the first to end.
JOBS = 4
TERMS = 40
STEPS = 250_000


def quarter_pi(part: int) -> float:
    """Sum one part of Leibniz's series for pi / 4."""
    first = part * STEPS
    return sum((-1.0 if k % 2 else 1.0) / (2 * k + 1) for k in range(first, first + STEPS))


def wait(cluster: LocalQueueCluster, wanted: int) -> None:
    """Show how the jobs stand until this many workers are there."""
    shown = ""
    while len(cluster.scheduler_info["workers"]) < wanted:
        line = f"  {len(cluster.scheduler_info['workers'])} of {wanted} workers; jobs: {cluster.engine.summary()}"
        if line != shown:
            print(line, flush=True)
            shown = line
        if (trouble := cluster.engine.trouble()) is not None:
            raise trouble
        time.sleep(0.1)
    print(f"  {wanted} of {wanted} workers; jobs: {cluster.engine.summary()}")


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
            futures = client.map(quarter_pi, range(TERMS))
            print(f"Computing pi in {TERMS} tasks on {len(cluster.scheduler_info['workers'])} workers ...")
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if done % (TERMS // 4) == 0:
                    print(f"  {done} of {TERMS} tasks done")
            pi = 4 * sum(client.gather(futures))
        print(f"Result: {pi:.9f} (pi is 3.141592654)")
        if abs(pi - 3.141592653589793) > 1e-6:
            sys.exit("That is wrong.")
    left = [job_id for job_id, status in cluster.jobs.items() if not status.state.ended]
    print(f"Closed. Jobs left in the queue: {len(left)}.")
    if left:
        sys.exit(f"These are left: {', '.join(left)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # the cluster was closed on the way out
        sys.exit("Interrupted; nothing is left running.")
