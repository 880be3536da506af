"""The dashboard's gate: a secret path for its owner, no way to other hosts, no pages of others behind it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, ErrorHandler, RedirectHandler, RequestHandler

from jobclusters.config.dask_settings import dashboard_origins_chosen, dashboard_routes_chosen
from jobclusters.network.pages import LateAnswer, LatePages, can_wait

NO_PATH = (
    404,
    (
        "Nothing is here. The link to a cluster's dashboard has a secret part, which its owner sees in"
        " cluster.dashboard_link and in the output of: jobclusters connect NAME"
    ),
)
NO_PROXY = (
    404,
    (
        "This dashboard is no proxy to other hosts, unless Dask's setting distributed.scheduler.http.routes is changed"
        " and lists distributed.http.proxy"
    ),
)
NO_PAGES = "The dashboard's pages can't be shown: "
NO_ORIGIN = (
    403,
    (
        "A page of another host may not open this connection, unless Dask's setting"
        " distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin lists it"
    ),
)


class DashboardGate(Router):
    """Lets requests through to a Dask server's pages, or refuses them.

    Dask's own ``http_prefix`` is no secret: its ``/`` redirects there, and ``/sitemap.json`` lists all paths. Its pages
    also name absolute paths then, which don't work behind a proxy. So the secret is taken off here, as a proxy does.

    Parameters
    ----------
    application
        What has the pages.
    path
        Where they are: "" or a path without a "/" at its end.
    secret
        Whether ``path`` is a secret of ours, which the application doesn't know.
    proxy
        Whether the page that is a proxy to other hosts is wanted.
    any_origin
        Whether the application itself looks at the ``Origin`` of websockets.
    pages
        Those that are added to the application when they are first looked at; None for none.
    """

    def __init__(
        self,
        application: Application,
        path: str,
        *,
        secret: bool,
        proxy: bool,
        any_origin: bool,
        pages: LatePages | None = None,
    ) -> None:
        self.application = application
        self.path = path
        self.secret = secret
        self.proxy = proxy
        self.any_origin = any_origin
        self.pages = pages

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """Find who answers a request."""
        inside = request.path
        if self.secret:
            first, slash, rest = request.path[1:].partition("/")
            if not hmac.compare_digest(f"/{first}".encode(), self.path.encode()):
                return self._refuse(request, *NO_PATH)
            if not rest:
                return self._answer(request, RedirectHandler, url="status" if slash else f"{first}/status")
            inside = f"/{rest}"
            request.uri = str(request.uri)[len(self.path) :]
            request.path = inside
        elif self.path and inside.startswith(f"{self.path}/"):
            inside = inside[len(self.path) :]
        if not self.proxy and inside.startswith("/proxy/"):
            return self._refuse(request, *NO_PROXY)
        if not self.any_origin and not _same_origin(request):
            return self._refuse(request, *NO_ORIGIN)
        if self.pages is not None and inside not in _MONITORED:
            return LateAnswer(self.pages, lambda: self._find_inside(request, **kwargs))
        return self._find_inside(request, **kwargs)

    def _find_inside(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate:
        found: Any = self.application.find_handler(request, **kwargs)
        if self.pages is not None and self.pages.trouble and issubclass(found.handler_class, ErrorHandler):
            return self._refuse(request, 500, f"{NO_PAGES}{self.pages.trouble}")
        return found  # type: ignore[no-any-return]

    def _refuse(self, request: HTTPServerRequest, status: int, reason: str) -> HTTPMessageDelegate:
        return self._answer(request, Refusal, status=status, reason=reason)

    def _answer(self, request: HTTPServerRequest, handler: type[RequestHandler], **kwargs: Any) -> HTTPMessageDelegate:
        return self.application.get_handler_delegate(request, handler, target_kwargs=kwargs)


#: What machines ask for again and again, and what comes without the late pages.
_MONITORED = ("/health", "/metrics")


class Refusal(RequestHandler):
    """Answers every request alike."""

    def initialize(self, status: int, reason: str) -> None:
        """Take what to answer."""
        self._refusal = status, reason

    def prepare(self) -> None:
        """Answer."""
        status, reason = self._refusal
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{reason}\n")


def _same_origin(request: HTTPServerRequest) -> bool:
    """Tell whether a request comes from a page of this server, or from no page; only websockets must."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return True
    origin = request.headers.get("Origin", request.headers.get("Sec-Websocket-Origin"))
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()


def start_guarded(scheduler_class: Callable[..., Any], **options: Any) -> Any:
    """Make a scheduler whose dashboard has a gate before its first request comes.

    An ``http_prefix`` among its options is used as it is, instead of a secret path.
    """
    late = can_wait(scheduler_class, options)
    scheduler = scheduler_class(**({**options, "dashboard": False} if late else options))
    server = getattr(scheduler, "http_server", None)
    if isinstance(server, HTTPServer) and isinstance(server.request_callback, Application):
        prefix = options.get("http_prefix")
        server.request_callback = DashboardGate(
            server.request_callback,
            f"/{secrets.token_urlsafe(16)}" if prefix is None else f"/{prefix.strip('/')}".rstrip("/"),
            secret=prefix is None,
            proxy=dashboard_routes_chosen(),
            any_origin=dashboard_origins_chosen(),
            pages=LatePages(scheduler, options.get("http_prefix", "/")) if late else None,
        )
    return scheduler


def dashboard_path(scheduler: object) -> str:
    """Give the path before the names of a dashboard's pages; "" unless it has one."""
    gate = getattr(getattr(scheduler, "http_server", None), "request_callback", None)
    return gate.path if isinstance(gate, DashboardGate) else ""
