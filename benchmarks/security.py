"""What encryption costs: bytes and tasks in a second with TLS and without, taken in turns in one run.

``python benchmarks/security.py [rounds]``. Scheduler, two workers and the client are on this machine, where the network
is faster than any other and the cores are shared: the ratios are a bound on what a real cluster pays.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings

import dask.config
import numpy as np
from distributed import Client, wait

from jobclusters import LocalQueueCluster

MEGABYTES = 200
TASKS = 10_000


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


def measure(*, encrypted: bool) -> dict[str, float]:
    """Measure all of it once."""
    options = {"cores": 1, "memory": "4 GiB", "scheduler_options": {"dashboard": False}, "n_jobs": 2}
    with LocalQueueCluster(**options, security=encrypted) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        tasks(client, 1000)  # the first time is slower
        return {name: function(client) for name, function in WHAT.items()}


def main(rounds: int = 5) -> None:
    """Take turns, and print medians, their ratio, and the range of the rounds' own ratios."""
    warnings.simplefilter("ignore")
    dask.config.set({"jobclusters.local.oversubscribe": True, "jobclusters.local.cores": 2})
    found = []
    for number in range(1, rounds + 1):
        found.append((measure(encrypted=True), measure(encrypted=False)))
        print(f"after round {number} of {rounds}")
        show(found)


def show(found: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    """Print what the rounds until now have found."""
    print(f"{'':34}{'TLS':>9}{'plain':>9}   TLS/plain")
    for name in WHAT:
        tls, plain = ([pair[i][name] for pair in found] for i in (0, 1))
        ratios = sorted(one / other for one, other in zip(tls, plain, strict=True))
        middle = statistics.median(tls) / statistics.median(plain)
        print(
            f"{name:34}{statistics.median(tls):9.1f}{statistics.median(plain):9.1f}   {middle:.2f}"
            f" ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
