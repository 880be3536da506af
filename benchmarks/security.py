"""What encryption costs: bytes and tasks in a second with TLS and without, taken in turns in one run.

``python benchmarks/security.py [rounds]``. Scheduler, two workers and the client are on this machine, where the network
is faster than any other and the cores are shared: the ratios are a bound on what a real cluster pays. The seconds of
CPU time, those of all processes together, mean something on a busy machine, too.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from contextlib import suppress

import dask.config
import numpy as np
import psutil
from distributed import Client, wait

from jobclusters import LocalQueueCluster

MEGABYTES = 200
TASKS = 10_000

#: What was measured: how much in a second, and the CPU time it took.
Found = dict[str, tuple[float, float]]


def worker_to_worker(client: Client) -> float:
    """Give megabytes in a second from one worker to another."""
    one, other = client.scheduler_info(n_workers=-1)["workers"]
    data = client.submit(np.random.default_rng(0).bytes, MEGABYTES * 10**6, workers=[one], pure=False)
    wait(data)
    began = time.perf_counter()
    wait(client.submit(len, data, workers=[other], pure=False))
    return MEGABYTES / (time.perf_counter() - began)


def client_to_worker(client: Client) -> float:
    """Give megabytes in a second from the client to a worker, and back."""
    data = np.random.default_rng(0).bytes(MEGABYTES * 10**6)
    began = time.perf_counter()
    client.gather(client.scatter(data, direct=True), direct=True)
    return 2 * MEGABYTES / (time.perf_counter() - began)


def tasks(client: Client, count: int = TASKS) -> float:
    """Give tiny tasks in a second."""
    began = time.perf_counter()
    client.gather(client.map(int, range(count), pure=False))
    return count / (time.perf_counter() - began)


def connections(client: Client) -> float:
    """Give new connections to the scheduler in a second."""
    began = time.perf_counter()
    count = 20
    for _ in range(count):
        Client(client.scheduler.address, security=client.security).close()
    return count / (time.perf_counter() - began)


WHAT = {
    "worker to worker, MB/s": worker_to_worker,
    "client to worker and back, MB/s": client_to_worker,
    f"tasks/s ({TASKS} tiny ones)": tasks,
    "new clients/s": connections,
}


def cpu_time() -> float:
    """Give the seconds that this process and the jobs have computed."""
    here = psutil.Process()
    total = 0.0
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def measure(*, encrypted: bool) -> Found:
    """Measure all of it once."""
    options = {"cores": 1, "memory": "4 GiB", "scheduler_options": {"dashboard": False}, "n_jobs": 2}
    found = {}
    with LocalQueueCluster(**options, security=encrypted) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        tasks(client, 1000)  # the first time is slower
        for name, function in WHAT.items():
            before = cpu_time()
            found[name] = (function(client), cpu_time() - before)
    return found


def main(rounds: int = 5) -> None:
    """Take turns, and print what was found until then."""
    warnings.simplefilter("ignore")
    dask.config.set({"jobclusters.local.oversubscribe": True, "jobclusters.local.cores": 2})
    found = []
    for number in range(1, rounds + 1):
        found.append((measure(encrypted=True), measure(encrypted=False)))
        print(f"after round {number} of {rounds}")
        show(found)


def show(found: list[tuple[Found, Found]]) -> None:
    """Print medians, and their ratio."""
    print(f"{'':34}{'TLS':>9}{'plain':>9}{'ratio':>7}  {'CPU s, TLS':>12}{'plain':>9}{'ratio':>7}")
    for name in WHAT:
        rate, other = (statistics.median(pair[i][name][0] for pair in found) for i in (0, 1))
        cpu, least = (statistics.median(pair[i][name][1] for pair in found) for i in (0, 1))
        numbers = f"{rate:9.1f}{other:9.1f}{rate / other:7.2f}  {cpu:12.2f}{least:9.2f}{cpu / least:7.2f}"
        print(f"{name:34}{numbers}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
