"""The WebSocket ``/api/v1/live``: the page's one connection, with reports and pictures.

The client says which cameras it wants to see (``{"watch": {"gate": {"view": "after", "width": 480,
"fps": 10}}}``, the whole set each time) and when it has drawn a picture (``{"ack": "gate"}``). It
gets reports as text, and pictures as binary messages: a byte with the length of the camera's id,
the id in ASCII, eight bytes with the version, big-endian, and the JPEG.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from pydantic import ValidationError
from starlette.requests import HTTPConnection
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamderain.configfile import explain
from streamderain.errors import UnknownCameraError
from streamderain.service.feed import Feed
from streamderain.service.operations import error, head_of
from streamderain.service.picture import shared_width
from streamderain.service.security import WRONG_TOKEN_S, Access, Guard
from streamderain.service.sending import Stuck, client_of, send_or_hang_up
from streamderain.service.shapes import WatchRequest
from streamderain.service.shots import Shot
from streamderain.service.viewers import Viewers

__all__ = ["LiveView", "pack"]

AT_ONCE = 4
"""Pictures of one viewer that are encoded side by side."""


def pack(camera: str, shot: Shot) -> bytes:
    """Return the binary message of a picture."""
    name = camera.encode("ascii")
    return b"%c%s%s%s" % (len(name), name, shot.version.to_bytes(8, "big"), shot.data)


class LiveView:
    """Answers the WebSocket.

    Args:
        viewers: shared.
        guard: of the service.
    """

    def __init__(self, viewers: Viewers, guard: Guard) -> None:
        self._viewers, self._guard = viewers, guard

    async def serve(self, socket: WebSocket) -> None:
        """Serve a client until it goes."""
        refusal = self._guard.refuse(head_of(HTTPConnection(socket.scope)), Access.READ)
        if refusal is not None:
            if refusal.status == 401 and "authorization" in socket.headers:
                await asyncio.sleep(WRONG_TOKEN_S)  # as in REST, or tokens would be tried here
            await socket.send_denial_response(error(refusal.status, refusal.error))
            return
        if self._viewers.is_full:
            full = error(503, "too many viewers watch already; close some")
            await socket.send_denial_response(full)
            return
        await socket.accept()
        with self._viewers.watching(), contextlib.suppress(WebSocketDisconnect):
            await _Client(socket, self._viewers, self._may_read).serve()

    def _may_read(self, socket: WebSocket) -> bool:
        head = head_of(HTTPConnection(socket.scope))
        return self._guard.refuse(head, Access.READ) is None


class _Client:
    """One that watches."""

    def __init__(
        self, socket: WebSocket, viewers: Viewers, may_read: Callable[[WebSocket], bool]
    ) -> None:
        self._socket, self._viewers, self._may_read = socket, viewers, may_read
        self._feed = Feed()
        self._wake = asyncio.Event()

    async def serve(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        listening.add_done_callback(lambda _: self._wake.set())
        try:
            with self._viewers.reading(self._wake):
                reason = await self._talk(listening)
            if listening.done():
                listening.result()
            else:
                await self._socket.close(*reason)
        except Stuck:
            self._viewers.hung_up(client_of(self._socket.scope), "the live pictures")
        except ValidationError as problem:
            await self._send_text(error(1008, "\n".join(explain(problem, WatchRequest))).body)
            await self._socket.close(1008, "not understood")
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        """Take what the client says; returns when it goes.

        Raises:
            ValidationError: it makes no sense.
        """
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            said = WatchRequest.model_validate_json(text if text is not None else b"")
            if said.watch is not None:
                self._feed.watch(said.watch, time.monotonic())
            if said.ack is not None:
                self._feed.ack(said.ack)
            self._wake.set()

    async def _talk(self, listening: asyncio.Future[None]) -> tuple[int, str]:
        """Send until the client goes, or has to; returns with which words it is let go."""
        told = 0
        while not listening.done() and not self._viewers.closing.is_set():
            self._wake.clear()
            if self._viewers.reports != told:
                told = self._viewers.reports
                if not self._may_read(self._socket):
                    return 1008, "signed out"
                await self._send_text(self._viewers.report)
            due = self._feed.due(time.monotonic())[:AT_ONCE]
            await asyncio.gather(*(self._make(camera) for camera in due))
            if not due:
                await self._sleep()
        return 1001, "the service ends"

    async def _sleep(self) -> None:
        """Wait for what comes first: something to send, or something that the client says."""
        due = self._feed.next_due()
        wait = None if due is None else max(0.0, due - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    async def _make(self, camera: str) -> None:
        """Send the newest picture of a camera, if it is newer than the last."""
        feed, viewers = self._feed, self._viewers
        if camera not in feed:
            return  # the client has just said that it wants others
        watched = feed[camera]
        try:
            pair = viewers.control.pair(camera)
        except UnknownCameraError:
            pair = None
        if pair is None or pair.version <= watched.version:
            feed.missed(camera, time.monotonic())
            return
        query = watched.wanted
        try:
            shot = await viewers.shots.get(
                camera, pair, query.view, shared_width(query.width), newer_than=watched.version,
                tolerance=0.5 / query.fps,
            )  # fmt: skip
        except ValueError:  # larger than a JPEG can be
            feed.missed(camera, time.monotonic())
            return
        if camera not in feed or feed[camera].wanted is not query:
            return  # something else was asked for meanwhile
        viewers.tally.skipped += feed.sent(camera, shot.version, time.monotonic())
        viewers.tally.sent += 1
        await self._send({"type": "websocket.send", "bytes": pack(camera, shot)})

    async def _send_text(self, text: str | bytes | memoryview) -> None:
        text = text if isinstance(text, str) else bytes(text).decode()
        await self._send({"type": "websocket.send", "text": text})

    async def _send(self, message: Message) -> None:
        await send_or_hang_up(self._socket.scope, self._socket.send, message)
