"""What REST offers, as a table: routes, checks and the OpenAPI document all come from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from streamderain.configfile import explain
from streamderain.errors import (
    CameraExistsError,
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    StreamderainError,
    UnknownCameraError,
    UsageError,
)
from streamderain.live.control import Control
from streamderain.service.security import WRONG_TOKEN_S, Access, Guard, Head
from streamderain.service.shapes import ErrorView

__all__ = ["Answer", "Call", "Operation", "ServiceError", "error", "head_of", "serve", "shown"]

log = logging.getLogger("streamderain")

BODY_MOST = 64 * 1024
"""Bytes of a request's body."""

BODY_S = 10.0
"""A body that takes longer to come isn't waited for."""

STATUSES: dict[type[StreamderainError], int] = {
    UnknownCameraError: 404,
    CameraExistsError: 412,
    OutputError: 409,
    ConfigError: 422,
    UsageError: 422,
    InputError: 422,
    ModelError: 422,
}
"""What the control's errors are over HTTP."""

Result = TypeVar("Result")


class ServiceError(Exception):
    """A request that fails for a reason that HTTP alone knows.

    Args:
        status: of HTTP.
        error: a sentence.
    """

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """One of the ways in which an operation answers.

    Attributes:
        said: what it means.
        shape: of the JSON, or None for another content.
        media: the content's types, where it isn't JSON; none for no content.
        headers: that it has beside the usual, with what they mean.
    """

    said: str
    shape: type[BaseModel] | None = None
    media: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request that may be answered.

    Attributes:
        request: as it came.
        control: of what runs.
        guard: of the service.
        workers: threads for what takes long.
        body, query: checked, of the operation's models.
    """

    request: Request
    control: Control
    guard: Guard
    workers: Executor
    body: Any = None
    query: Any = None

    @property
    def camera(self) -> str:
        """The camera's id in the path."""
        return str(self.request.path_params["id"])

    @property
    def client(self) -> str:
        """The address that it came from, for the log."""
        return self.request.client.host if self.request.client else "?"

    @property
    def has_wrong_token(self) -> bool:
        """Whether it tries a token that isn't the right one."""
        gives_one = self.guard.has_token and "authorization" in self.request.headers
        return gives_one and not self.guard.rights(head_of(self.request)).may_change

    async def note_wrong_token(self) -> None:
        """Log that somebody tries tokens, and let them wait for the answer."""
        if self.guard.note_wrong():
            log.warning("somebody at %s gave a wrong token", self.client)
        await asyncio.sleep(WRONG_TOKEN_S)

    async def away(self, work: Callable[..., Result], *given: Any) -> Result:
        """Do what may take seconds in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work, *given)


@dataclass(frozen=True)
class Operation:
    """Something that can be asked for.

    Attributes:
        method, path: of HTTP.
        access: what it needs.
        handler: answers.
        name: of the operation, for programs.
        said: what it does.
        tag: what it belongs to.
        answers: by status, beside those that the table adds.
        body, query: what has to come with it.
        headers: that may come with it, with what they mean.
    """

    method: str
    path: str
    access: Access
    handler: Callable[[Call], Awaitable[Response]]
    name: str
    said: str
    tag: str
    answers: Mapping[int, Answer]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def all_answers(self, guard: Guard) -> dict[int, Answer]:
        """Return every way in which it answers, by status."""
        found = dict(self.answers)
        if self.access is not Access.OPEN:
            found[403] = Answer(
                "The host, or the page that it comes from, isn't allowed, or no token is set.",
                ErrorView,
            )
        if self.access in (Access.READ, Access.CHANGE):
            found[401] = Answer(
                "The token is missing or wrong.", ErrorView,
                headers={"WWW-Authenticate": "How to sign in."},
            )  # fmt: skip
        if "{id}" in self.path:
            found.setdefault(404, Answer("There is no such camera.", ErrorView))
        if self.query is not None:
            found.setdefault(422, Answer("A parameter is wrong.", ErrorView))
        if self.body is not None:
            found[400] = Answer("The body is no JSON.", ErrorView)
            found[408] = Answer("The body didn't come in time.", ErrorView)
            found[413] = Answer("The body is too large.", ErrorView)
            found[415] = Answer("The body is not called application/json.", ErrorView)
            found.setdefault(422, Answer("The body says what can't be.", ErrorView))
        return dict(sorted(found.items()))


def shown(shape: BaseModel, status: int = 200) -> Response:
    """Return a model as the answer."""
    return Response(shape.model_dump_json(), status, media_type="application/json")


def error(status: int, said: str) -> Response:
    """Return an error as the answer."""
    return JSONResponse({"error": said}, status)


def head_of(connection: HTTPConnection) -> Head:
    """Return what the guard has to know of a request."""
    return Head(connection.scope.get("method", "GET"), connection.headers, connection.cookies)


async def serve(operation: Operation, call: Call, hide: Callable[[str], str]) -> Response:
    """Check a request, answer it, and turn what goes wrong into an error of one sentence.

    Args:
        operation: what is asked for.
        call: the request.
        hide: takes secrets out of a text.
    """
    refusal = call.guard.refuse(head_of(call.request), operation.access)
    if refusal is not None:
        answer = error(refusal.status, refusal.error)
        if refusal.status == 401:
            if "authorization" in call.request.headers:
                await call.note_wrong_token()
            answer.headers["WWW-Authenticate"] = 'Bearer realm="streamderain"'
        return answer
    try:
        answer = await _answer(operation, call)
    except ServiceError as problem:
        answer = error(problem.status, hide(str(problem)))
    except StreamderainError as problem:
        status = next(
            (status for kind, status in STATUSES.items() if isinstance(problem, kind)), 422
        )
        answer = error(status, hide(str(problem)))
    if operation.access is Access.CHANGE:
        path = quote(call.request.scope["path"])
        log.info("%s %s by %s: %d", operation.method, path, call.client, answer.status_code)
    return answer


async def _answer(operation: Operation, call: Call) -> Response:
    query = body = None
    if operation.query is not None:
        try:
            query = operation.query.model_validate(dict(call.request.query_params))
        except ValidationError as problem:
            raise ServiceError(422, "\n".join(explain(problem, operation.query))) from None
    if operation.body is not None:
        body = _parsed(operation.body, await _body(call.request))
    return await operation.handler(
        Call(call.request, call.control, call.guard, call.workers, body, query)
    )


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ServiceError(415, "the body has to be JSON; say 'Content-Type: application/json'")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > BODY_MOST:
                    raise ServiceError(413, f"the body is larger than {BODY_MOST // 1024} KiB")
    except TimeoutError:
        raise ServiceError(408, f"the body didn't come within {BODY_S:g} s") from None
    except ClientDisconnect:
        raise ServiceError(400, "the connection ended within the body") from None
    return bytes(body)


def _parsed(shape: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return shape.model_validate_json(body)
    except ValidationError as problem:
        found = problem.errors(include_url=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise ServiceError(400, f"the body is no JSON: {found[0]['ctx']['error']}") from None
        raise ServiceError(422, "\n".join(explain(problem, shape))) from None
