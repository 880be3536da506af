"""The part of a cluster that tells how it stands."""

from __future__ import annotations

import getpass
import os
import socket
from typing import ClassVar

from distributed.comm import get_address_host
from distributed.utils import format_dashboard_link

from jobclusters.dialect import Dialect
from jobclusters.elastic import ElasticCluster
from jobclusters.errors import InvalidRequest
from jobclusters.keeper import job_of
from jobclusters.links import Links, is_loopback, make_links
from jobclusters.state import JobStatus
from jobclusters.usage import Usage


class LookingCluster(ElasticCluster):
    """The part of a cluster that tells how it stands."""

    dialect: ClassVar[Dialect]

    @property
    def jobs(self) -> dict[str, JobStatus]:
        """How each job stands, by id; those that ended are remembered."""
        return self.engine.jobs()

    @property
    def observed(self) -> set[str]:
        """The names of the registered workers, as in ``plan``: without the mark of a requeue."""
        names = super().observed
        jobs = {name: job_of(name, self.worker_spec) for name in names}
        return {
            name if job is None or name == job else job + _suffix(name, grouped="group" in self.worker_spec[job])
            for name, job in jobs.items()
        }

    @property
    def usage(self) -> dict[str, Usage]:
        """What each group has asked for and used until now."""
        self.engine.look(self.groups)
        return dict(self.engine.meter.groups)

    def get_job_logs(self, job_id: str | None = None, tail: int | None = None) -> dict[str, str]:
        """Read what jobs printed, also those that never registered a worker.

        Parameters
        ----------
        job_id
            Of one job; all unless given.
        tail
            Only so many last lines of each.

        Returns
        -------
        dict of str to str
            By job id; "" where there is no output yet.
        """
        return self.engine.logs(job_id, tail)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's link; one that listens on its own machine alone has an address there."""
        server = getattr(self.scheduler, "http_server", None)
        if server is not None and is_loopback(server.address):
            return format_dashboard_link(server.address, server.port)  # type: ignore[no-any-return]
        return super().dashboard_link  # type: ignore[no-any-return]

    @property
    def links(self) -> Links:
        """The ways to the dashboard: its link, the ssh line for one's own machine, and the path in JupyterHub."""
        port = self.scheduler_info.get("services", {}).get("dashboard")
        if port is None:
            raise InvalidRequest("the cluster has not started yet, or has ended: there is no dashboard")
        host = getattr(getattr(self.scheduler, "http_server", None), "address", "0.0.0.0")  # noqa: S104
        return make_links(
            self.dashboard_link,
            get_address_host(self.scheduler_address) if host in ("0.0.0.0", "::") else host,  # noqa: S104
            port,
            user=getpass.getuser(),
            node=socket.gethostname(),
            login=os.environ.get(self.dialect.submit_host_variable),
            environment=os.environ,
        )

    def __repr__(self) -> str:
        text = super().__repr__()[:-1].removeprefix(self._name)  # Dask's begins with the name where there is one
        return f"{type(self).__name__}{text}, jobs: {self.engine.summary()})"


def _suffix(worker: str, *, grouped: bool) -> str:
    return f"-{worker.rpartition('-')[2]}" if grouped else ""
