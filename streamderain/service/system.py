"""REST beside the cameras: signing in, the network, the configuration, metrics and health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from starlette.responses import JSONResponse, Response

from streamderain.service.metrics import Metrics
from streamderain.service.operations import (
    Answer,
    Call,
    Operation,
    ServiceError,
    error,
    head_of,
    shown,
)
from streamderain.service.security import SESSION_S, Access
from streamderain.service.shapes import (
    ConfigView,
    ErrorView,
    Health,
    ModelRequest,
    ModelView,
    SessionRequest,
    SessionView,
    model_view,
)

__all__ = ["system_operations"]


class _System:
    def __init__(
        self, metrics: Metrics, scrapers: Executor, document: Callable[[], dict[str, Any]]
    ) -> None:
        self._metrics, self._scrapers, self._document = metrics, scrapers, document
        self._is_loading = False

    async def session(self, call: Call) -> Response:
        head = head_of(call.request)
        rights = call.guard.rights(head)
        if call.has_wrong_token:
            await call.note_wrong_token()
        return shown(
            SessionView(
                may_read=rights.may_read, may_change=rights.may_change,
                token_needed=call.guard.has_token and not rights.may_change,
                signed_in=call.guard.has_session(head),
            )
        )  # fmt: skip

    async def sign_in(self, call: Call) -> Response:
        if not call.guard.has_token:
            raise ServiceError(
                403,
                "no token is set, so that nobody can sign in; set service.token in the "
                "configuration",
            )
        cookie = call.guard.open_session(call.body.token)
        if cookie is None:
            await call.note_wrong_token()
            return error(401, "the token is wrong; it is service.token of the configuration")
        answer = shown(
            SessionView(may_read=True, may_change=True, token_needed=False, signed_in=True)
        )
        answer.set_cookie(
            call.guard.cookie, cookie, max_age=SESSION_S, httponly=True, samesite="strict",
            secure=call.request.url.scheme == "https",
        )  # fmt: skip
        return answer

    async def sign_out(self, call: Call) -> Response:
        call.guard.end_session(head_of(call.request))
        answer = Response(status_code=204)
        answer.delete_cookie(call.guard.cookie, httponly=True, samesite="strict")
        return answer

    async def model(self, call: Call) -> Response:
        return shown(model_view(call.control.model()))

    async def reload(self, call: Call) -> Response:
        if self._is_loading:
            raise ServiceError(409, "a network is being loaded already; wait until it is there")
        self._is_loading = True
        try:
            return shown(model_view(await call.away(call.control.reload_model, call.body.model)))
        finally:
            self._is_loading = False

    async def config(self, call: Call) -> Response:
        return JSONResponse(call.control.config())

    async def document(self, call: Call) -> Response:
        return JSONResponse(self._document())

    async def live(self, call: Call) -> Response:
        answer = error(426, "this is a WebSocket; ask for an upgrade")
        answer.headers["Upgrade"] = "websocket"
        return answer

    async def metrics(self, call: Call) -> Response:
        accept = call.request.headers.get("accept", "")
        text, media = await asyncio.get_running_loop().run_in_executor(
            self._scrapers, self._metrics.expose, accept
        )
        return Response(text, media_type=media)

    async def healthy(self, call: Call) -> Response:
        if call.control.alive():
            return shown(Health(ok=True))
        return shown(Health(ok=False, waiting="the cameras aren't looked after any more"), 503)

    async def ready(self, call: Call) -> Response:
        if call.has_wrong_token:  # whose answer differs from that to the right one
            await call.note_wrong_token()
        waiting = call.control.ready()
        if waiting and call.guard.refuse(head_of(call.request), Access.READ) is not None:
            waiting = "not every camera has given a picture yet"  # their names are not for everyone
        return shown(Health(ok=waiting is None, waiting=waiting), 200 if waiting is None else 503)


def system_operations(
    metrics: Metrics, scrapers: Executor, document: Callable[[], dict[str, Any]]
) -> list[Operation]:
    """Return what can be asked of the service itself and done to it.

    Args:
        metrics: of the service.
        scrapers: threads that they are collected in.
        document: the OpenAPI document.
    """
    system = _System(metrics, scrapers, document)
    session, model = "/api/v1/session", "/api/v1/model"
    network = Answer("The network that runs.", ModelView)
    prometheus = ("text/plain", "application/openmetrics-text")
    return [
        Operation(
            "GET", session, Access.ENTRY, system.session, "getSession", "What you may do.",
            "session", {200: Answer("What you may do.", SessionView)},
        ),
        Operation(
            "POST", session, Access.ENTRY, system.sign_in, "signIn",
            "Sign in with the token; the answer sets a cookie for 30 days.", "session",
            {
                200: Answer(
                    "You are signed in.", SessionView, headers={"Set-Cookie": "The session."}
                ),
                401: Answer("The token is wrong.", ErrorView),
            },
            body=SessionRequest,
        ),
        Operation(
            "DELETE", session, Access.ENTRY, system.sign_out, "signOut", "Sign out.", "session",
            {204: Answer("You are signed out.", headers={"Set-Cookie": "Takes the session away."})},
        ),
        Operation(
            "GET", model, Access.READ, system.model, "getModel", "The network that runs.", "model",
            {200: network},
        ),
        Operation(
            "POST", model, Access.CHANGE, system.reload, "loadModel",
            "Load a network: it takes over between two batches, and the old one goes on where the "
            "new one can't be opened. Answers when it runs, which takes seconds.", "model",
            {
                200: network,
                409: Answer("A network is being loaded already.", ErrorView),
                422: Answer("It can't be had, or doesn't run.", ErrorView),
            },
            body=ModelRequest,
        ),
        Operation(
            "GET", "/api/v1/config", Access.READ, system.config, "getConfig",
            "The effective configuration, with secrets as ***.", "system",
            {200: Answer("The configuration.", ConfigView)},
        ),
        Operation(
            "GET", "/api/v1/openapi.json", Access.READ, system.document, "getOpenapi",
            "This document.", "system",
            {200: Answer("An OpenAPI document.", ConfigView)},
        ),
        Operation(
            "GET", "/api/v1/live", Access.READ, system.live, "live",
            "The WebSocket with reports and live pictures; see docs/service.md.", "cameras",
            {
                101: Answer("The WebSocket is open."),
                426: Answer("It was asked for without an upgrade.", ErrorView,
                            headers={"Upgrade": "websocket"}),
            },
        ),
        Operation(
            "GET", "/metrics", Access.READ, system.metrics, "getMetrics",
            "Metrics for Prometheus.", "system", {200: Answer("Metrics.", media=prometheus)},
        ),
        Operation(
            "GET", "/healthz", Access.OPEN, system.healthy, "getHealth",
            "Whether the process turns frames over; if not, start it anew.", "system",
            {200: Answer("It does.", Health), 503: Answer("It doesn't.", Health)},
        ),
        Operation(
            "GET", "/readyz", Access.OPEN, system.ready, "getReady",
            "Whether every camera was live once since the start, or 30 s have passed.", "system",
            {200: Answer("It is ready.", Health), 503: Answer("Not yet.", Health)},
        ),
    ]  # fmt: skip
