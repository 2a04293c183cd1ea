"""Motion JPEG over HTTP: for browsers' ``<img>``, Home Assistant, VLC and others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streamderain.errors import UnknownCameraError
from streamderain.service.feed import Feed
from streamderain.service.picture import shared_width
from streamderain.service.sending import Stuck, client_of, send_or_hang_up, timed_out
from streamderain.service.shapes import StreamQuery
from streamderain.service.viewers import Viewers

__all__ = ["MjpegResponse"]

BOUNDARY = b"streamderain"


class MjpegResponse(Response):
    """Pictures of a camera, one after the other, until the viewer or the camera goes.

    What the viewer doesn't take is not kept for it: the next picture is chosen when the one before
    has gone.

    Args:
        viewers: that it is one of.
        camera: its id.
        query: view, width and rate.
        may_read: whether the viewer still may; one who signs out sees nothing more.
    """

    def __init__(
        self, viewers: Viewers, camera: str, query: StreamQuery, may_read: Callable[[], bool]
    ) -> None:
        super().__init__(
            media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}",
            headers={"Cache-Control": "no-store"},
        )
        del self.headers["content-length"]
        self._viewers, self._camera, self._may_read = viewers, camera, may_read
        self._feed = Feed(acknowledges=False)
        self._feed.watch({camera: query}, time.monotonic())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            with self._viewers.watching():
                await send(
                    {
                        "type": "http.response.start",
                        "status": self.status_code,
                        "headers": self.raw_headers,
                    }
                )
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                else:
                    await self._stream(scope, send, gone)
                    if timed_out(scope):
                        raise Stuck  # the system was faster
        except Stuck:
            self._viewers.hung_up(client_of(scope), self._camera)
        finally:
            gone.cancel()

    async def _stream(self, scope: Scope, send: Send, gone: asyncio.Future[None]) -> None:
        async def give(body: bytes, *, more: bool = True) -> None:
            message = {"type": "http.response.body", "body": body, "more_body": more}
            await send_or_hang_up(scope, send, message)

        await give(b"--%s\r\n" % BOUNDARY)
        while not gone.done() and not self._viewers.closing.is_set() and self._may_read():
            try:
                part = await self._next_part()
            except (UnknownCameraError, ValueError):  # gone, or larger than a JPEG can be
                break
            if part is None:
                wait = (self._feed.next_due() or 0.0) - time.monotonic()
                await asyncio.wait([gone], timeout=max(0.001, wait))
            else:
                await give(part)
        await give(b"", more=False)

    async def _next_part(self) -> bytes | None:
        """Return the next picture with its head, or None where none is due."""
        feed, camera = self._feed, self._camera
        if camera not in feed.due(time.monotonic()):
            return None
        pair, watched = self._viewers.control.pair(camera), feed[camera]
        if pair is None or pair.version <= watched.version:
            feed.missed(camera, time.monotonic())
            return None
        query = watched.wanted
        shot = await self._viewers.shots.get(
            camera, pair, query.view, shared_width(query.width), newer_than=watched.version,
            tolerance=0.5 / query.fps,
        )  # fmt: skip
        tally = self._viewers.tally
        tally.skipped += feed.sent(camera, shot.version, time.monotonic())
        tally.sent += 1
        head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(shot.data)
        # The boundary goes with the picture: browsers show it only when they have seen its end.
        return b"%s%s\r\n--%s\r\n" % (head, shot.data, BOUNDARY)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
