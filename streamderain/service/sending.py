"""Send to a viewer, and hang up on one that takes nothing."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Scope, Send

from streamderain.service.viewers import STUCK_S

__all__ = ["Stuck", "client_of", "send_or_hang_up", "timed_out"]


class Stuck(Exception):  # noqa: N818 - the viewer's state, nothing went wrong here
    """A viewer took nothing for too long; its connection is closed."""


def client_of(scope: Scope) -> str:
    """Return the address that a connection comes from, for the log."""
    client = scope.get("client")
    return str(client[0]) if client else "?"


def timed_out(scope: Scope) -> bool:
    """Whether the system ended a connection because the other side took nothing."""
    known = scope.get("state", {}).get("timed_out")
    return known is not None and bool(known())


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
