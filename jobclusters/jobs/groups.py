"""Groups of jobs: each of one size, in one cluster."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.jobs.record import JobRecord
from jobclusters.scaling.model import Policy
from jobclusters.spec.job_spec import JobSpec, resources
from jobclusters.spec.sizes import whole
from jobclusters.spec.units import counted, parse_memory

#: Jobs that a group may have: a slip of the pen would fill this machine's memory with what is noted of each.
MOST_JOBS = 100_000

#: The name of the group that a cluster begins with.
DEFAULT = "default"


@dataclass
class Group:
    """Jobs of one size.

    Attributes
    ----------
    name
        Of the group.
    prefix
        What its jobs' names begin with.
    spec
        One of its jobs.
    wanted
        How many jobs there should be; those that hand over as their walltime ends come on top.
    made
        How many were ever asked for; it numbers the next one.
    policy
        How it is scaled with the work there is; None if it has a fixed number of jobs.
    """

    name: str
    prefix: str
    spec: JobSpec
    wanted: int = 0
    made: int = 0
    policy: Policy | None = None

    @property
    def resources(self) -> dict[str, float]:
        """What each worker declares to have."""
        return resources(self.spec)

    def owns(self, job: str) -> bool:
        """Tell whether a job is of this group."""
        return job.rpartition("-")[0] == self.prefix

    @property
    def next_name(self) -> str:
        """The name of the next job; none is ever used twice."""
        return f"{self.prefix}-{self.made}"

    def new_jobs(self, count: int) -> list[JobRecord]:
        """Make so many other jobs."""
        first, self.made = self.made, self.made + count
        return [JobRecord(f"{self.prefix}-{number}", number, self.spec) for number in range(first, self.made)]

    def jobs_for(self, n: object, jobs: object, memory: object, cores: object) -> int:
        """Give the number of jobs that ``scale()`` asks for; raise InvalidRequest for a wrong number or amount."""
        problems = Problems()
        wanted = 0
        for name, value, each in (("n", n, self.spec.processes), ("jobs", jobs, 1), ("cores", cores, self.spec.cores)):
            if value is not None:
                number = problems.attempt(lambda name=name, value=value: whole(name, value, least=0), 0)  # type: ignore[misc]
                wanted = max(wanted, math.ceil(number / each))
        if memory is not None and memory not in (0, "0"):
            wanted = max(wanted, math.ceil(problems.attempt(lambda: parse_memory(memory), 0) / self.spec.memory))
        if wanted > MOST_JOBS:
            jobs = f"{counted(wanted, 'job')} of {counted(self.spec.cores, 'core')}"
            problems.append(f"that would be {jobs}: at most {MOST_JOBS} can be asked for")
        problems.raise_any()
        return wanted


def find(groups: Mapping[str, Group], name: object) -> Group:
    """Find a group by its name; raise InvalidRequest, which lists those there are, if there is none."""
    if name not in groups:
        raise InvalidRequest(unknown("group", name, groups) + "; add_group() makes another")
    return groups[str(name)]


def check_name(groups: Mapping[str, Group], name: object) -> str:
    """Give a new group's name; raise InvalidRequest if it is taken, or can't be part of names of jobs and workers."""
    # Not r1, which marks a requeue, and no number: both have a meaning in a worker's name.
    if not isinstance(name, str) or not re.fullmatch(r"(?!r?\d+$)[A-Za-z0-9_.]+", name):
        raise InvalidRequest(f"group {name!r} must be a name of letters, digits and _ . that is no number")
    if name in groups:
        raise InvalidRequest(f"there is a group {name!r} already")
    return name
