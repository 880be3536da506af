"""The machine as a place for jobs: what it offers, and what a local job script asks of it."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobclusters.errors import Refused
from jobclusters.units import gigabytes, parse_walltime


@dataclass(frozen=True)
class Machine:
    """What this machine offers: cores, bytes of memory, GPUs; and whether larger jobs may run, alone."""

    cores: int
    memory: int
    gpus: int = 0
    oversubscribe: bool = False

    def holds(self, cores: int, memory: int, gpus: int) -> bool:
        """Whether a job of this shape can ever run here."""
        return self.oversubscribe or (cores <= self.cores and memory <= self.memory and gpus <= self.gpus)

    def describe(self) -> str:
        """Say what it offers.

        >>> Machine(2, 25_000_000_000).describe()
        '2 cores, 25 GB of memory, 0 GPUs'
        """
        return f"{self.cores} cores, {gigabytes(self.memory)} of memory, {self.gpus} GPUs"


def this_machine() -> Machine:
    """Look at this machine: the cores this process may use, its memory, its NVIDIA devices."""
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        gpus=len(list(Path("/dev").glob("nvidia[0-9]*"))),
    )


class _Directives(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise Refused(f"the local queue can't read the script's #JOB lines: {message}")


def read_directives(script: str) -> argparse.Namespace:
    """Read the ``#JOB --option=value`` lines."""
    parser = _Directives(prog="local queue", add_help=False, allow_abbrev=False)
    parser.add_argument("--name", default="job")
    parser.add_argument("--output")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--memory", type=lambda text: int(text.removesuffix("M")) * 2**20, default=0)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--time", type=lambda text: parse_walltime(text, "minutes, MM:SS"))
    lines = [line.removeprefix("#JOB") for line in script.splitlines() if line.startswith("#JOB ")]
    return parser.parse_args([word for line in lines for word in shlex.split(line)])
