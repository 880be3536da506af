"""The ways to a cluster's dashboard: its link, the ssh line for one's own machine, the path in JupyterHub."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from jobclusters.errors import InvalidRequest

#: The default port of a scheduler's dashboard.
PORT = 8787


@dataclass(frozen=True)
class Links:
    """The ways to a dashboard.

    Attributes
    ----------
    dashboard
        Its link, for a browser on the machine of the scheduler, or one that reaches it.
    tunnel
        A command for one's own machine, and
    tunnelled
        the link that works there while it runs.
    jupyter
        The path in the JupyterHub or Jupyter server that this process belongs to, if jupyter-server-proxy is
        installed there; "" if there is no way, or no Jupyter.
    """

    dashboard: str
    tunnel: str
    tunnelled: str
    jupyter: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """Label each of them."""
        return [
            ("dashboard", self.dashboard),
            ("from your own machine", f"{self.tunnel}   then {self.tunnelled}"),
            *([("in Jupyter", f"{self.jupyter}   (with jupyter-server-proxy)")] if self.jupyter else []),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{name:23}{text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in self.rows())
        return f"<table>{rows}</table>"


def make_links(
    dashboard: str,
    host: str,
    port: int,
    *,
    user: str,
    node: str,
    login: str | None = None,
    here: bool = True,
    path: str = "",
    environment: Mapping[str, str],
) -> Links:
    """Work out the ways to a dashboard.

    Parameters
    ----------
    dashboard
        The link as Dask's setting ``distributed.dashboard.link`` prints it.
    host, port
        Where it listens, or is reached: 127.0.0.1 if on its own machine only.
    user
        Who may log in.
    node
        The machine that it is on.
    login
        Through which machine that one is reached from outside; None if it is itself a login node.
    here
        Whether this process is on that machine.
    path
        Before the names of the dashboard's pages, such as "/SECRET".
    environment
        Of this process: shows whether it belongs to a JupyterHub.

    Examples
    --------
    >>> links = make_links(
    ...     "http://127.0.0.1:8787/status", "127.0.0.1", 8787, user="me", node="c12", login="login1", environment={}
    ... )
    >>> links.tunnel
    'ssh -N -L 8787:127.0.0.1:8787 -J me@login1 me@c12'
    """
    private = is_loopback(host)
    target = f"{'127.0.0.1' if private else host}:{port}"
    # What listens on the network is reached from the login node; what doesn't, from its own machine only.
    ends = [f"-J {user}@{login}", f"{user}@{node}"] if login and private else [f"{user}@{login or node}"]
    return Links(
        dashboard,
        " ".join(["ssh -N -L", f"{port}:{target}", *ends]),
        f"http://127.0.0.1:{port}{path}/status",
        _in_jupyter(f"{port if private else f'{host}:{port}'}{path}", environment) if here or not private else "",
    )


def _in_jupyter(place: str, environment: Mapping[str, str]) -> str:
    """Give jupyter-server-proxy's form, with this server's address as JupyterHub gives it."""
    prefix = environment.get("JUPYTERHUB_PUBLIC_URL") or environment.get("JUPYTERHUB_SERVICE_PREFIX")
    if not prefix and "JPY_SESSION_NAME" not in environment:  # a Jupyter server without a hub sets this for its kernels
        return ""
    return f"{(prefix or '').rstrip('/')}/proxy/{place}/status"


def with_path(link: str, path: str) -> str:
    """Put the path of a dashboard's pages into its link, whatever Dask's ``distributed.dashboard.link`` makes of it.

    >>> with_path("http://127.0.0.1:8787/status", "/SECRET")
    'http://127.0.0.1:8787/SECRET/status'
    >>> with_path("https://hub/user/me/proxy/8787/", "/SECRET")
    'https://hub/user/me/proxy/8787/SECRET/status'
    """
    if not path:
        return link
    return f"{link.removesuffix('/status').rstrip('/')}{path}/status"


def through_server(link: str, port: int, path: str) -> str:
    """Lead Dask's usual link through the Jupyter server that this process is, if it is one.

    It is where dask-labextension makes clusters. Its panel follows such a link; of another it takes the port alone.
    """
    application = getattr(sys.modules.get("jupyter_server.serverapp"), "ServerApp", None)
    if application is None or not application.initialized() or not link.startswith("http://127.0.0.1:"):
        return link
    return f"{application.instance().base_url.rstrip('/')}/proxy/{port}{path}/status"


def is_loopback(host: str) -> bool:
    """Tell whether only the machine itself reaches this.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1")]
    [True, True, True, False, False]
    """
    return host.startswith("127.") or host in {"localhost", "::1"}


def free_port(ports: tuple[int, int]) -> int:
    """Give a port of a range that no process of this machine listens at; raise InvalidRequest if there is none."""
    first, last = ports
    free = next((port for port in range(first, last + 1) if _is_free(port)), None)
    if free is None:
        raise InvalidRequest(f"ports='{first}-{last}': other processes of this machine use all of them; give more")
    return free


def check_port(port: object) -> None:
    """Refuse a scheduler's port that can't be read, or that another process listens at."""
    if port in (None, 0):
        return
    if isinstance(port, bool) or not str(port).isdecimal() or not 0 < int(str(port)) < 2**16:
        raise InvalidRequest(
            f"scheduler_options: port must be a number below 65536, not {port!r}; a range that a firewall leaves is"
            " ports='40000-40100'"
        )
    if not _is_free(int(str(port))):
        raise InvalidRequest(
            f"scheduler_options: another process of this machine listens at port {port}; give another one, or a range:"
            " ports='40000-40100'"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def free_address(port: int = PORT) -> str:
    """Give this machine's own address with this port, or any port if that one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the scheduler will: what has ended is no bar
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            port = 0
    return f"127.0.0.1:{port}"
