"""What encryption costs: bytes and tasks in a second with TLS and without, taken in turns in one run.

``python benchmarks/security.py [rounds]``. Scheduler, two workers and the client are on this machine, where the network
is faster than any other and the cores are shared: the ratios are a bound on what a real cluster pays. The seconds of
CPU time, those of all processes together, mean something on a busy machine, too.

``python benchmarks/security.py --profile [rounds]`` prints what the two workers compute while one gets a GB from the
other, and in which part. It needs ``perf`` (Debian's linux-perf), and root or a ``kernel.perf_event_paranoid`` below 2.
"""

from __future__ import annotations

import os
import signal
import ssl
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import dask.config
import numpy as np
import psutil
from distributed import Client, Future, wait

from jobclusters import LocalQueueCluster

MEGABYTES = 200
TASKS = 10_000

#: What was measured: how much in a second, and the CPU time it took.
Found = dict[str, tuple[float, float]]

#: Samples of a process in a second of its CPU time.
HERTZ = 1999

#: What a sample counts for: the first of these names that is in the kernel's part of the stack, or where it was taken.
PARTS = {
    "exc_page_fault": "new pages of memory",
    "tcp_recvmsg": "kernel: receive",
    "tcp_sendmsg": "kernel: send",
    "[kernel": "kernel: everything else",
    "libcrypto": "cipher",
    "libssl": "TLS records",
    "memmove": "copies",
    "memcpy": "copies",
}
ELSE = "Python, tornado, Dask"
ENDS = ("sender", "receiver")


class Clock:
    """Count the seconds, and those that this process and the jobs compute, in a ``with`` block."""

    def __enter__(self) -> Clock:  # noqa: PYI034 -- Self is newer than 3.10
        self._cpu, self._began = cpu_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu = cpu_time() - self._cpu


def put(client: Client, worker: str) -> Future:
    """Make the data, on a worker."""
    data = client.submit(np.random.default_rng(0).bytes, MEGABYTES * 10**6, workers=[worker], pure=False)
    wait(data)
    return data


def worker_to_worker(client: Client) -> tuple[float, float]:
    """Give megabytes in a second from one worker to another."""
    one, other = client.scheduler_info(n_workers=-1)["workers"]
    data = put(client, one)
    with Clock() as clock:
        wait(client.submit(len, data, workers=[other], pure=False))
    return MEGABYTES / clock.seconds, clock.cpu


def client_to_worker(client: Client) -> tuple[float, float]:
    """Give megabytes in a second from the client to a worker, and back."""
    data = np.random.default_rng(0).bytes(MEGABYTES * 10**6)
    with Clock() as clock:
        client.gather(client.scatter(data, direct=True), direct=True)
    return 2 * MEGABYTES / clock.seconds, clock.cpu


def tasks(client: Client, count: int = TASKS) -> tuple[float, float]:
    """Give tiny tasks in a second."""
    with Clock() as clock:
        client.gather(client.map(int, range(count), pure=False))
    return count / clock.seconds, clock.cpu


def connections(client: Client) -> tuple[float, float]:
    """Give new connections to the scheduler in a second."""
    count = 20
    with Clock() as clock:
        for _ in range(count):
            Client(client.scheduler.address, security=client.security).close()
    return count / clock.seconds, clock.cpu


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


@contextmanager
def two_workers(*, encrypted: bool) -> Iterator[Client]:
    """Give a client of a cluster with two workers."""
    options = {"cores": 1, "memory": "4 GiB", "scheduler_options": {"dashboard": False}, "n_jobs": 2}
    with LocalQueueCluster(**options, security=encrypted) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def measure(*, encrypted: bool) -> Found:
    """Measure all of it once."""
    with two_workers(encrypted=encrypted) as client:
        tasks(client, 1000)  # the first time is slower
        return {name: function(client) for name, function in WHAT.items()}


def profile(*, encrypted: bool, rounds: int) -> Counter[tuple[str, str]]:
    """Give the seconds of CPU time that sender and receiver need for a GB, by part."""
    with two_workers(encrypted=encrypted) as client, TemporaryDirectory() as place:
        one, other = client.scheduler_info(n_workers=-1)["workers"]
        worker_to_worker(client)  # the first time connects
        pids = client.run(os.getpid)
        recording = str(Path(place, "perf.data"))
        record = ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", str(HERTZ), "-k", "CLOCK_MONOTONIC"]
        perf = subprocess.Popen([*record, "-p", f"{pids[one]},{pids[other]}", "-o", recording])
        spans = []
        for _ in range(rounds):
            data = put(client, one)
            began = time.monotonic()
            wait(client.submit(len, data, workers=[other], pure=False))
            spans.append((began, time.monotonic()))
        perf.send_signal(signal.SIGINT)
        perf.wait()
        script = ["perf", "script", "--no-inline", "-F", "pid,time,ip,sym,dso", "-i", recording]
        samples = subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip().split("\n\n")
    taken = []
    for sample in samples:
        head, _, stack = sample.partition("\n")
        pid, moment = head.split()
        taken.append((float(moment.rstrip(":")), "sender" if int(pid) == pids[one] else "receiver", part(stack)))
    spans = [span for span in spans if span[0] > taken[0][0]]  # perf takes a while to start
    found = Counter(
        (end, name) for moment, end, name in taken if any(began <= moment <= ended for began, ended in spans)
    )
    return Counter({key: count / HERTZ / len(spans) / MEGABYTES * 1000 for key, count in found.items()})


def part(stack: str) -> str:
    """Name what a sample counts for."""
    frames = stack.splitlines()
    where = "\n".join([*frames[:1], *(frame for frame in frames if "[kernel" in frame)])
    return next((name for pattern, name in PARTS.items() if pattern in where), ELSE)


def main(rounds: int = 5) -> None:
    """Take turns, and print what was found until then."""
    found = []
    for number in range(1, rounds + 1):
        found.append((measure(encrypted=True), measure(encrypted=False)))
        print(f"after round {number} of {rounds}")
        show(found)


def show_profile(rounds: int = 10) -> None:
    """Print where the time of a transfer goes."""
    print(f"CPU seconds for a GB from worker to worker; Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}")
    print(f"{'':24}{'TLS: sender':>14}{'receiver':>10}{'plain: sender':>16}{'receiver':>10}")
    both = [profile(encrypted=encrypted, rounds=rounds) for encrypted in (True, False)]
    for name in (*dict.fromkeys(PARTS.values()), ELSE):
        sender, receiver, plain_sender, plain_receiver = (found[end, name] for found in both for end in ENDS)
        print(f"{name:24}{sender:14.2f}{receiver:10.2f}{plain_sender:16.2f}{plain_receiver:10.2f}")
    encrypted, plain = (found.total() for found in both)
    print(f"together {encrypted:.2f} with TLS, {plain:.2f} plain: {encrypted / plain:.2f} times as much")


def show(found: list[tuple[Found, Found]]) -> None:
    """Print medians, and their ratio."""
    print(f"{'':34}{'TLS':>9}{'plain':>9}{'ratio':>7}  {'CPU s, TLS':>12}{'plain':>9}{'ratio':>7}")
    for name in WHAT:
        rate, other = (statistics.median(pair[i][name][0] for pair in found) for i in (0, 1))
        cpu, least = (statistics.median(pair[i][name][1] for pair in found) for i in (0, 1))
        numbers = f"{rate:9.1f}{other:9.1f}{rate / other:7.2f}  {cpu:12.2f}{least:9.2f}{cpu / least:7.2f}"
        print(f"{name:34}{numbers}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    dask.config.set({"jobclusters.local.oversubscribe": True, "jobclusters.local.cores": 2})
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--profile"]
    (show_profile if "--profile" in sys.argv else main)(*numbers)
