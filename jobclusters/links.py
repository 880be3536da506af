"""The ways to a cluster's dashboard: its link, the ssh line for one's own machine, the path in JupyterHub."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

#: Where the dashboard of a scheduler listens unless somebody says otherwise.
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
        """Say what each is for."""
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
    environment
        Of this process: says whether it belongs to a JupyterHub.

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
        f"http://127.0.0.1:{port}/status",
        _in_jupyter(host, port, private, here, environment),
    )


def _in_jupyter(host: str, port: int, private: bool, here: bool, environment: Mapping[str, str]) -> str:
    """Give jupyter-server-proxy's form, with what JupyterHub says of this server's address."""
    prefix = environment.get("JUPYTERHUB_PUBLIC_URL") or environment.get("JUPYTERHUB_SERVICE_PREFIX")
    if not prefix and "JPY_SESSION_NAME" not in environment:  # a Jupyter server without a hub tells its kernels this
        return ""
    if private and not here:  # its proxy could not reach it, either
        return ""
    place = str(port) if private else f"{host}:{port}"
    return f"{(prefix or '').rstrip('/')}/proxy/{place}/status"


def is_loopback(host: str) -> bool:
    """Tell whether only the machine itself reaches this.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.1")]
    [True, True, True, False, False]
    """
    return host.startswith("127.") or host in {"localhost", "::1"}


def free_address(port: int = PORT) -> str:
    """Give this machine's own address with this port, or any port if that one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the scheduler will: what has ended is no bar
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            port = 0
    return f"127.0.0.1:{port}"
