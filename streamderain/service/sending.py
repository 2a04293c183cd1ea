"""Send to a viewer, and hang up on one that takes nothing."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Scope, Send

from streamderain.service.viewers import STUCK_S

__all__ = ["Stuck", "send_or_hang_up"]


class Stuck(Exception):  # noqa: N818 - the viewer's state, nothing went wrong here
    """A viewer took nothing for too long; its connection is closed."""


async def send_or_hang_up(
    scope: Scope, send: Send, message: Message, seconds: float = STUCK_S
) -> None:
    """Send, which waits until what was sent before has mostly gone.

    Raises:
        Stuck: it took too long.
    """
    try:
        async with asyncio.timeout(seconds):
            await send(message)
    except TimeoutError:
        abort = scope.get("state", {}).get("abort")
        if abort is not None:
            abort()  # a plain close would wait for the viewer to take the rest
        raise Stuck from None
