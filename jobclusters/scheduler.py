"""The Dask scheduler that a cluster starts: its class, its network, who may connect to it, and its other options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.config
from distributed.scheduler import Scheduler
from distributed.utils import import_term

from jobclusters import clusterfiles
from jobclusters.call import Call
from jobclusters.clusterfiles import ClusterFiles
from jobclusters.connection import Network, choose_network
from jobclusters.credentials import Credentials
from jobclusters.dialect import Dialect
from jobclusters.errors import InvalidRequest
from jobclusters.links import free_address
from jobclusters.security import choose_security


@dataclass(frozen=True)
class SchedulerPlan:
    """What a scheduler is to be.

    Attributes
    ----------
    call
        The cluster's.
    options
        Its options as they were given, but with the security that was chosen.
    network
        Of scheduler and workers.
    credentials
        What scheduler, jobs and clients show each other; None for connections that anybody may make.
    """

    call: Call
    options: Mapping[str, Any]
    network: Network
    credentials: Credentials | None

    def keywords(self) -> dict[str, Any]:
        """Say it in keywords of dask-jobqueue's cluster.

        Raises
        ------
        InvalidRequest
            If its class can't be imported.
        """
        return {
            "scheduler_cls": self._class(),
            "scheduler_options": {"dashboard_address": free_address(), **self._address(), **self.options},
            "security": None if self.credentials is None else self.credentials.security,
        }

    def _class(self) -> type:
        found = self.call.value("scheduler_cls") or self.call.value("scheduler_class") or Scheduler
        try:
            return import_term(found) if isinstance(found, str) else found  # type: ignore[no-any-return]
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidRequest(f"scheduler_class={found!r} can't be imported: {error}") from None

    def _address(self) -> dict[str, Any]:
        local = not self.call.dialect.probe
        if local and not self.network.interface and "interface" not in self.options:
            return {"host": "127.0.0.1"}  # nobody else on the network has business here
        return {} if "host" in self.options else {"interface": self.network.interface}


def plan_scheduler(call: Call, files: ClusterFiles) -> SchedulerPlan:
    """Choose what a call leaves open.

    Parameters
    ----------
    call
        The cluster's.
    files
        Of the cluster, where its jobs find the credentials unless there is a ``shared_temp_directory``.

    Raises
    ------
    InvalidRequest
        For a network that the scheduler can't use, or security that contradicts itself.
    """
    options = dict(call.value("scheduler_options") or {})
    options.pop("idle_timeout", None)  # it is ours
    network = choose_network(call.cluster.get("interface"), options, local=not call.dialect.probe)
    security = choose_security(call.cluster.get("security"), call.value("protocol"), options)
    if "security" in options:
        options["security"] = security
    elsewhere = call.value("shared_temp_directory")
    place = clusterfiles.place(None, call.dialect.name, str(elsewhere)) if elsewhere else files
    return SchedulerPlan(call, options, network, None if security is None else Credentials(security, place))


def settled(dialect: Dialect) -> Any:
    """Keep dask-jobqueue from reading settings that have been read: it knows one section, and not ours."""
    section = f"jobqueue.{dialect.name}"
    keys = ("interface", "scheduler-options", "shared-temp-directory")
    return dask.config.set({f"{section}.{key}": None for key in keys})
