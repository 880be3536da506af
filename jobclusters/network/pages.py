"""The dashboard's pages, imported when they are first looked at: most of a scheduler's start would be the import."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distributed.core import Status
from distributed.scheduler import Scheduler
from distributed.versions import BOKEH_REQUIREMENT
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from jobclusters.config import dask_settings

logger = logging.getLogger(__name__)


def can_wait(scheduler_class: object, options: Mapping[str, Any]) -> bool:
    """Tell whether a scheduler with these options has pages that may be imported after its start.

    ``dashboard=True`` among the options wants them at once.
    """
    return (
        getattr(scheduler_class, "__init__", None) is Scheduler.__init__  # another one may do something else with them
        and options.get("dashboard") is None
        and bool(options.get("dashboard_address"))
        and not options.get("jupyter")  # whose pages come after these
        and _have_bokeh()
    )


def _have_bokeh() -> bool:
    """Tell whether there is a bokeh that Dask can use; without it, Dask shows what to install."""
    try:
        return bool(BOKEH_REQUIREMENT.specifier.contains(version("bokeh"), prereleases=True))
    except PackageNotFoundError:
        return False


class LatePages:
    """Adds the pages to a scheduler that was made with ``dashboard=False``.

    Parameters
    ----------
    scheduler
        The scheduler.
    prefix
        Its ``http_prefix``.

    Attributes
    ----------
    trouble : str
        Why there are none; "" if they could be imported, or weren't needed yet.
    """

    def __init__(self, scheduler: Any, prefix: str | None) -> None:
        self.trouble = ""
        self._scheduler = scheduler
        self._prefix = prefix
        self._settings = dask_settings.dashboard_pages()  # as they are at the scheduler's start
        self._adding: asyncio.Future[None] | None = None

    async def ready(self) -> None:
        """Import and add the pages, once."""
        if self._adding is None:
            self._adding = asyncio.ensure_future(self._add())
        await asyncio.shield(self._adding)

    async def _add(self) -> None:
        scheduler = self._scheduler
        try:
            # In a thread: the scheduler goes on.
            dashboard = await asyncio.to_thread(import_module, "distributed.dashboard.scheduler")
            if scheduler.status in (Status.closing, Status.closed):  # nothing would end them any more
                return
            with dask_settings.with_dashboard_pages(self._settings):
                dashboard.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix=self._prefix)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            logger.warning("The dashboard's pages can't be shown.", exc_info=True)


class LateAnswer(HTTPMessageDelegate):
    """Answers a request once the pages are there.

    Parameters
    ----------
    pages
        The pages.
    find
        Finds who answers then.
    """

    def __init__(self, pages: LatePages, find: Callable[[], HTTPMessageDelegate]) -> None:
        self._pages = pages
        self._find = find
        self._delegate: HTTPMessageDelegate | None = None

    async def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Wait, and pass the headers on."""
        await self._pages.ready()
        self._delegate = self._find()
        if (received := self._delegate.headers_received(start_line, headers)) is not None:
            await received

    def data_received(self, chunk: bytes) -> Any:
        """Pass a part of the body on."""
        return self._delegate.data_received(chunk) if self._delegate is not None else None

    def finish(self) -> None:
        """Pass the end on."""
        if self._delegate is not None:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        """Pass on that nobody waits for the answer."""
        if self._delegate is not None:
            self._delegate.on_connection_close()
