"""What a cluster has used: core-hours, and the share of them in which workers had nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobclusters.scaling.model import Census


@dataclass
class Usage:
    """What a group of jobs has used.

    Attributes
    ----------
    jobs
        How many were asked for.
    core_hours
        Spent by running jobs.
    idle_core_hours
        Of them, by those whose workers were all idle.
    """

    jobs: int = 0
    core_hours: float = 0.0
    idle_core_hours: float = 0.0

    @property
    def idle_share(self) -> float:
        """The share of the core-hours that was idle, from 0 to 1."""
        return self.idle_core_hours / self.core_hours if self.core_hours else 0.0

    def sentence(self) -> str:
        """Describe it in a line.

        >>> Usage(3, 12.0, 3.0).sentence()
        '3 jobs asked for, 12 core-hours used, 25 % of them idle'
        """
        return (
            f"{self.jobs} job{'s' * (self.jobs != 1)} asked for, {self.core_hours:.3g} core-hours used,"
            f" {self.idle_share:.0%} of them idle".replace("%", " %")
        )


class Meter:
    """Adds up what groups use, from looks at their jobs now and then."""

    def __init__(self) -> None:
        self.groups: dict[str, Usage] = {}
        self._last: float | None = None

    def asked(self, group: str, jobs: int) -> None:
        """Note jobs that were asked for."""
        self.groups.setdefault(group, Usage()).jobs += jobs

    def add(self, now: float, jobs: Mapping[str, Census], cores: Mapping[str, int]) -> None:
        """Add what was used since the last look; ``jobs`` and the ``cores`` of a job are by group."""
        hours = 0.0 if self._last is None else (now - self._last) / 3600
        self._last = now
        for group, some in jobs.items():
            usage = self.groups.setdefault(group, Usage())
            idle = len(some.starting) + len(some.idle)
            usage.core_hours += (idle + len(some.busy)) * cores[group] * hours
            usage.idle_core_hours += idle * cores[group] * hours

    @property
    def core_hours(self) -> float:
        """Of all groups."""
        return sum(usage.core_hours for usage in self.groups.values())
