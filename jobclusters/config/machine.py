"""Measures this machine's cores, memory and GPUs, and cuts it into jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobclusters.config import settings
from jobclusters.errors import Problems
from jobclusters.spec.job_spec import split_cores
from jobclusters.spec.reader import Reader
from jobclusters.spec.sizes import Size
from jobclusters.spec.units import MIB, counted, memory_text, mib, parse_memory


@dataclass(frozen=True)
class Machine:
    """The cores, bytes of memory and GPUs of this machine; with ``oversubscribe``, larger jobs run, too, alone."""

    cores: int
    memory: int
    gpus: int = 0
    oversubscribe: bool = False

    def holds(self, cores: int, memory: int, gpus: int) -> bool:
        """Tell whether a job of this shape can ever run."""
        return self.oversubscribe or (cores <= self.cores and memory <= self.memory and gpus <= self.gpus)

    def describe(self) -> str:
        """Describe it in a line.

        >>> Machine(2, 25_000_000_000).describe()
        '2 cores, 25 GB of memory, 0 GPUs'
        """
        return f"{counted(self.cores, 'core')}, {memory_text(self.memory)} of memory, {counted(self.gpus, 'GPU')}"


def this_machine() -> Machine:
    """Measure this machine: the cores this process may use, its memory, its NVIDIA devices."""
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        gpus=len(list(Path("/dev").glob("nvidia[0-9]*"))),
    )


def configured_machine() -> Machine:
    """Measure this machine within ``jobclusters.local``; raise InvalidRequest with all problems of that section."""
    here, problems, section = this_machine(), Problems(), settings.this_machine()
    given = {f"jobclusters.local.{key}": value for key, value in section.items() if value is not None}
    read = Reader(given, problems)
    gpus = read.count("jobclusters.local.gpus", least=0)
    memory, wrong = section.get("memory"), Problems()
    machine = Machine(
        cores=read.count("jobclusters.local.cores") or here.cores,
        memory=here.memory
        if memory is None
        else MIB * mib(wrong.attempt(lambda: parse_memory(memory), 1)),  # as a script's
        gpus=here.gpus if gpus is None else gpus,
        oversubscribe=read.flag("jobclusters.local.oversubscribe", False),
    )
    problems += [f"jobclusters.local.memory: {problem}" for problem in wrong]
    problems.raise_any()
    return machine


def share(machine: Machine, jobs: int = 0, cores: int = 0) -> Size:
    """Give a job's share of a machine, where nothing says how large it is.

    Parameters
    ----------
    machine
        The machine.
    jobs
        How many jobs share it; 0 cuts it as ``distributed.LocalCluster`` does.
    cores
        Of each job, if its threads say so; 0 if they don't.

    Examples
    --------
    >>> share(Machine(8, 2**35)).describe(), share(Machine(8, 2**35), jobs=2).describe()
    ('a share of this machine - 2 cores - 8 GiB RAM', 'a share of this machine - 4 cores - 16 GiB RAM')
    """
    of_each = cores or machine.cores // (jobs or split_cores(machine.cores))
    of_each = min(max(1, of_each), machine.cores)
    memory = machine.memory * of_each // machine.cores // MIB * MIB  # scripts round up to this
    return Size("share", "a share of this machine", of_each, memory)
