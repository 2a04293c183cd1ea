"""The web application: routes, headers, and what is done with errors that nobody expected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamderain.live.control import Control
from streamderain.service.assets import PAGE, Assets
from streamderain.service.cameras import camera_operations
from streamderain.service.live import LiveView
from streamderain.service.metrics import Metrics
from streamderain.service.openapi import describe
from streamderain.service.operations import Call, Operation, error, serve
from streamderain.service.security import Guard
from streamderain.service.shots import Shots
from streamderain.service.system import system_operations
from streamderain.service.viewers import Viewers
from streamderain.serviceconfig import ServiceConfig

__all__ = ["make_app"]

log = logging.getLogger("streamderain")

WORKERS = 4
"""Threads for what takes seconds: changing cameras, loading networks."""

SCRAPERS = 2
"""Threads for the metrics alone: Prometheus doesn't wait until a camera has gone."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer."""


def make_app(
    config: ServiceConfig,
    control: Control,
    hide: Callable[[str], str],
    *,
    folder: Path = PAGE,
    on_start: Callable[[Callable[[], None]], None] | None = None,
) -> ASGIApp:
    """Return the web application.

    Args:
        config: of the service.
        control: of what runs.
        hide: takes secrets out of a text.
        folder: the page's files.
        on_start: gets what lets all viewers go, to be called within the event loop's thread.
    """
    guard = Guard(config)
    viewers = Viewers(control, Shots())
    workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="service")
    scrapers = ThreadPoolExecutor(SCRAPERS, thread_name_prefix="metrics")
    operations: list[Operation] = [
        *camera_operations(viewers),
        *system_operations(
            Metrics(control, viewers.tally), scrapers, lambda: describe(operations, guard)
        ),
    ]  # fmt: skip

    def endpoint(offered: dict[str, Operation]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            if method not in offered:
                return _no_such_method(offered)
            call = Call(request, control, guard, workers)
            return await serve(offered[method], call, hide)

        return answer

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        reporting = asyncio.ensure_future(viewers.keep_reporting())
        if on_start is not None:
            on_start(viewers.close)
        try:
            yield
        finally:
            viewers.close()
            reporting.cancel()
            for threads in (workers, scrapers):
                threads.shutdown(wait=False, cancel_futures=True)

    routes: list[BaseRoute] = [
        Route(path, endpoint(offered), methods=METHODS)
        for path, offered in _by_path(operations).items()
    ]
    routes.append(WebSocketRoute("/api/v1/live", LiveView(viewers, guard).serve))
    if config.page:
        assets = Assets(guard, folder)
        routes += [Route("/", assets.serve, methods=["GET"])]
        routes += [Route("/page/{name:path}", assets.serve, methods=["GET"])]
    app = Starlette(
        routes=routes, lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _defect},
    )  # fmt: skip
    app.router.redirect_slashes = False
    return _Headers(app)


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]
"""All come to the same place, which says what is offered there."""


def _by_path(operations: Sequence[Operation]) -> dict[str, dict[str, Operation]]:
    found: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation
    return found


def _no_such_method(offered: dict[str, Operation]) -> Response:
    allowed = ", ".join(sorted({*offered, *(["HEAD"] if "GET" in offered else [])}))
    answer = error(405, f"here one can only {allowed}")
    answer.headers["Allow"] = allowed
    return answer


async def _http_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    said = {404: "there is nothing of this name", 405: "this can't be done here"}
    answer = error(problem.status_code, said.get(problem.status_code, problem.detail))
    answer.headers.update(problem.headers or {})
    return answer


async def _defect(request: Request, problem: Exception) -> Response:
    log.error("%s %s failed", request.method, quote(request.scope["path"]), exc_info=problem)
    return error(500, "this is a defect of streamderain; its log says more")


class _Headers:
    """Adds the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_more)
