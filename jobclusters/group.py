"""Groups of jobs: each of one size, in one cluster."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobclusters.clusterfiles import ClusterFiles
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.sizes import whole
from jobclusters.snapshot import Policy
from jobclusters.spec import JobSpec, resources
from jobclusters.units import parse_memory

#: Jobs that a group may have: a slip of the pen would fill this machine's memory with what is noted of each.
MOST = 100_000

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
    entry
        The same as SpecCluster is told.
    wanted
        How many there should be.
    made
        How many were ever asked for; it numbers the next one.
    policy
        How it is scaled with the work there is; None if a person does it.
    """

    name: str
    prefix: str
    spec: JobSpec
    entry: dict[str, Any] = field(default_factory=dict)
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

    def members(self, jobs: Iterable[str]) -> list[str]:
        """Name those of some jobs that are of this group."""
        return [job for job in list(jobs) if self.owns(job)]  # another thread may change them meanwhile

    def next_name(self) -> str:
        """Name another job; no name is ever used twice."""
        self.made += 1
        return f"{self.prefix}-{self.made - 1}"

    def jobs_for(self, n: object, jobs: object, memory: object, cores: object) -> int:
        """Tell how many jobs are meant by ``scale()``.

        Raises
        ------
        InvalidRequest
            For anything that's no number, or negative, or more than :data:`MOST` jobs.
        """
        problems = Problems()
        wanted = 0
        for name, value, each in (("n", n, self.spec.processes), ("jobs", jobs, 1), ("cores", cores, self.spec.cores)):
            if value is not None:
                number = problems.attempt(lambda name=name, value=value: whole(name, value, least=0), 0)  # type: ignore[misc]
                wanted = max(wanted, math.ceil(number / each))
        if memory is not None and memory not in (0, "0"):
            wanted = max(wanted, math.ceil(problems.attempt(lambda: parse_memory(memory), 0) / self.spec.memory))
        if wanted > MOST:
            problems.append(f"that would be {wanted} jobs of {self.spec.cores} cores: at most {MOST} can be asked for")
        problems.raise_any()
        return wanted


def make_group(name: str, prefix: str, spec: JobSpec, entry: Mapping[str, Any], files: ClusterFiles) -> Group:
    """Make a group of a cluster, without jobs yet.

    Parameters
    ----------
    name, prefix, spec
        As the group has them.
    entry
        A job of the cluster as SpecCluster is told: those of the group differ from it in their spec alone.
    files
        Of the cluster, where its jobs find what they need.
    """
    options = {**entry["options"], "spec": replace(spec, directory=str(files.path))}
    workers = {"group": [f"-{i}" for i in range(spec.processes)]} if spec.processes > 1 else {}
    return Group(name, prefix, spec, {"cls": entry["cls"], "options": options, **workers})


def find(groups: Mapping[str, Group], name: object) -> Group:
    """Find a group by its name.

    Raises
    ------
    InvalidRequest
        If there is none; it lists those there are.
    """
    if name not in groups:
        raise InvalidRequest(unknown("group", name, groups) + "; add_group() makes another")
    return groups[str(name)]


def check_name(groups: Mapping[str, Group], name: object) -> str:
    """Refuse a name that can't be a new group's: it stands in the names of jobs and workers.

    Raises
    ------
    InvalidRequest
        If it can't, or is taken.
    """
    # Not r1, which marks a requeue, and no number: both have a meaning in a worker's name.
    if not isinstance(name, str) or not re.fullmatch(r"(?!r?\d+$)[A-Za-z0-9_.]+", name):
        raise InvalidRequest(f"group {name!r} must be a name of letters, digits and _ . that is no number")
    if name in groups:
        raise InvalidRequest(f"there is a group {name!r} already")
    return name
