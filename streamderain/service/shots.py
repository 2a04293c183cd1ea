"""Encoded pictures that viewers share: each is made once, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from streamderain.live.reports import Pair
from streamderain.service.picture import QUALITY, Format, encode, shown_width
from streamderain.service.shapes import View

__all__ = ["STILL_QUALITY", "Shot", "Shots"]

STILL_QUALITY = 92
"""Of JPEG for pictures that are looked at one by one."""

KEEP_S = 5.0
"""So long a picture that nobody asked for again is kept."""

Key = tuple[str, View, int, Format, int]


@dataclass(frozen=True)
class Shot:
    """An encoded picture.

    Attributes:
        version: of the pair that it shows.
        data: the file.
    """

    version: int
    data: bytes


@dataclass
class _Entry:
    version: int
    made_at: float
    used_at: float
    task: asyncio.Future[Shot]


class Shots:
    """Encodes pictures in a small pool of threads; for the event loop's thread alone.

    Of a camera's picture in one view and width there is one at a time, the newest; viewers who
    come while it is made wait for the same one.

    Args:
        threads: that encode.
        clock: monotonic seconds.

    Attributes:
        encoded: how many pictures were encoded.
    """

    def __init__(self, threads: int = 2, clock: Callable[[], float] = time.monotonic) -> None:
        self.encoded = 0
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="viewers")
        self._entries: dict[Key, _Entry] = {}
        self._swept = clock()

    async def get(
        self, camera: str, pair: Pair, view: View = "after", width: int | None = None,
        kind: Format = "jpeg", quality: int = QUALITY, *, newer_than: int = 0,
        tolerance: float = 0.0,
    ) -> Shot:  # fmt: skip
        """Return a picture.

        Args:
            camera: its id.
            pair: the newest there is.
            view, width, kind, quality: see :func:`streamderain.service.picture.encode`.
            newer_than: version that the viewer has seen.
            tolerance: seconds by which an older one that is there already may be late; it is
                then shared rather than a new one made.

        Raises:
            ValueError: it can't be encoded.
        """
        now = self._clock()
        self._sweep(now)
        width = shown_width(pair, view, width)
        key = (camera, view, width, kind, quality)
        entry = self._entries.get(key)
        fits = entry is not None and (
            entry.version == pair.version
            or (newer_than < entry.version < pair.version and now - entry.made_at <= tolerance)
        )
        if entry is None or not fits:
            task = asyncio.get_running_loop().run_in_executor(
                self._pool, _make, pair, view, width, kind, quality
            )
            task.add_done_callback(_look)
            self.encoded += 1
            entry = self._entries[key] = _Entry(pair.version, now, now, task)
        entry.used_at = now
        return await asyncio.shield(entry.task)

    def close(self) -> None:
        """Make no more pictures."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._entries.clear()

    def _sweep(self, now: float) -> None:
        if now - self._swept > KEEP_S:
            self._swept = now
            self._entries = {
                key: entry for key, entry in self._entries.items() if now - entry.used_at <= KEEP_S
            }


def _make(pair: Pair, view: View, width: int, kind: Format, quality: int) -> Shot:
    return Shot(pair.version, encode(pair, view, width, kind, quality))


def _look(task: asyncio.Future[Shot]) -> None:
    """Take note of an exception, for where nobody waits for the picture any more."""
    if not task.cancelled():
        task.exception()
