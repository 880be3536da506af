"""The Dask scheduler that a cluster starts: its class, its network, who may connect to it, and its other options."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from distributed.scheduler import Scheduler
from distributed.utils import import_term

from jobclusters.config import dask_settings
from jobclusters.config.call import Call
from jobclusters.errors import InvalidRequest, Problems, unknown
from jobclusters.network.dashboard import start_guarded
from jobclusters.network.interfaces import Network, choose_network
from jobclusters.network.links import check_port, free_address, free_port
from jobclusters.network.security import choose_security
from jobclusters.registry import files as clusterfiles
from jobclusters.registry import private
from jobclusters.registry.credentials import Credentials
from jobclusters.registry.files import ClusterFiles
from jobclusters.spec.units import read_ports


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
        What scheduler, jobs and clients show each other; None for plain connections.
    """

    call: Call
    options: Mapping[str, Any]
    network: Network
    credentials: Credentials | None

    def keywords(self) -> dict[str, Any]:
        """Give the plan as keywords of dask-jobqueue's cluster; raise InvalidRequest if its class can't be imported."""
        make: Callable[..., Any] = partial(start_guarded, _class(self.call))
        if self.network.ports and "port" not in self.options:
            make = partial(_listening_within, self.network.ports, make)
        return {
            "scheduler_cls": make,
            "scheduler_options": {
                "dashboard_address": free_address(),
                **({} if dask_settings.temporary_directory() else {"local_directory": private.scratch()}),
                **self._address(),
                **({"port": free_port(self.network.ports)} if self.network.ports else {}),
                **self.options,
            },
            "security": None if self.credentials is None else self.credentials.security,
        }

    def _address(self) -> dict[str, Any]:
        local = not self.call.dialect.probe
        if local and not self.network.interface and "interface" not in self.options:
            return {"host": "127.0.0.1"}  # its workers are here, too
        return {} if "host" in self.options else {"interface": self.network.interface}


def _listening_within(ports: tuple[int, int], make: Callable[..., Any], **options: Any) -> Any:
    """Make a scheduler that takes the first free port of a range as it starts: others may take some until then."""
    scheduler = make(**options)
    listen = scheduler.listen

    async def listen_within(address: str, **more: Any) -> None:
        for port in range(ports[0], ports[1] + 1):
            try:
                return await listen(f"{address.rpartition(':')[0]}:{port}", **more)  # type: ignore[no-any-return]
            except OSError as error:  # noqa: PERF203 -- each port for itself
                if error.errno != errno.EADDRINUSE:
                    raise
        free_port(ports)  # raises what to do
        return await listen(address, **more)  # type: ignore[no-any-return]

    scheduler.listen = listen_within
    return scheduler


def _class(call: Call) -> type:
    found = call.value("scheduler_cls") or call.value("scheduler_class") or Scheduler
    try:
        return import_term(found) if isinstance(found, str) else found  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidRequest(f"scheduler_class={found!r} can't be imported: {error}") from None


def check_options(call: Call) -> None:
    """Refuse ``scheduler_options`` that no class of the scheduler takes, if that can be known."""
    valid = {"idle_timeout"}  # it is ours
    for cls in _class(call).__mro__:
        if "__init__" not in vars(cls):
            continue
        named = inspect.signature(vars(cls)["__init__"]).parameters.values()
        valid |= {each.name for each in named if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
        if not any(each.kind is each.VAR_KEYWORD for each in named):
            break
    strange = [key for key in call.value("scheduler_options") or {} if key not in valid]
    see = "help(distributed.Scheduler)"
    Problems(unknown("scheduler option", key, valid - {"self"}, see=see) for key in strange).raise_any()


def plan_scheduler(call: Call, files: ClusterFiles) -> SchedulerPlan:
    """Choose what a call leaves open; jobs find the credentials in ``files``, or in the ``shared_temp_directory``.

    Raise InvalidRequest for a network that the scheduler can't use, or security that contradicts itself.
    """
    options = dict(call.value("scheduler_options") or {})
    options.pop("idle_timeout", None)  # it is ours
    check_port(options.get("port"))
    network = choose_network(call.cluster.get("interface"), options, local=not call.dialect.probe)
    network = replace(network, ports=read_ports(call.value("ports")))
    security = choose_security(call.cluster.get("security"), call.value("protocol"), options)
    if "security" in options:
        options["security"] = security
    elsewhere = call.value("shared_temp_directory")
    place = clusterfiles.place(None, call.dialect.name, str(elsewhere)) if elsewhere else files
    return SchedulerPlan(call, options, network, None if security is None else Credentials(security, place))
