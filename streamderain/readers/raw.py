"""Raw frames from a pipe: rgb24, one after the other, nothing between."""

from __future__ import annotations

import select
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError, UsageError
from streamderain.frame import Frame, SourceFormat

__all__ = ["RawReader"]


class RawReader(ClosesAtExit):
    """Reads H×W×3 bytes a frame (``ffmpeg -f rawvideo -pix_fmt rgb24 -``) until the pipe ends.

    Args:
        stream: binary and unbuffered, e.g. ``open(0, "rb", buffering=0)``; not closed.
        height, width: of every frame, in pixels.
        frame_rate: frames a second; frame i gets ``pts`` i in units of 1/frame_rate.
        limit: give at most so many frames.

    Raises:
        UsageError: a size or rate that is not above 0.
        InputError: in iteration, if the pipe ends before the first frame is whole.
    """

    name = "standard input"

    def __init__(
        self,
        stream: BinaryIO,
        height: int,
        width: int,
        frame_rate: Fraction,
        *,
        limit: int | None = None,
    ) -> None:
        if height < 1 or width < 1 or frame_rate <= 0:
            raise UsageError(
                f"raw frames need a size and a rate above 0, not {width}x{height} at {frame_rate}"
            )
        self._stream, self._limit = stream, limit
        self.format = SourceFormat(
            height, width, frame_rate=frame_rate, time_base=1 / frame_rate, frames=limit
        )
        self.problems: list[str] = []
        self.corrupt_frames = 0
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        height, width = self.format.height, self.format.width
        index = 0
        while self._limit is None or index < self._limit:
            pixels = np.empty((height, width, 3), np.uint8)
            got = self._fill(pixels.data.cast("B"))
            if got < pixels.nbytes:
                self._ended(index, got, pixels.nbytes)
                return
            yield Frame("stdin", 0, index, index, self.format.time_base, pixels, duration=1)
            index += 1

    def _fill(self, view: memoryview) -> int:
        """Read until the view is full or the pipe ends; return the bytes read."""
        got = 0
        while got < len(view) and self._wait():
            chunk = self._stream.readinto(view[got:])  # type: ignore[attr-defined]
            if not chunk:
                break
            got += chunk
        return got

    def _wait(self) -> bool:
        """Wait until there is something to read; return False if the reader is closed meanwhile.

        A thread that sits in ``read`` could not be called back: an interrupted job would hang
        until the program at the other end of the pipe says something.
        """
        while not self._closed:
            try:
                if select.select([self._stream], [], [], 0.1)[0]:
                    return True
            except (OSError, ValueError, TypeError):  # no pipe, or a system that can't wait for one
                return True
        return False

    def _ended(self, frames: int, rest: int, wanted: int) -> None:
        size = f"{self.format.width}x{self.format.height}"
        if frames == 0:
            raise InputError(
                f"standard input ended after {rest} bytes, before the first frame of {size} "
                f"(rgb24, {wanted} bytes) was whole; check --size and the program that writes"
            )
        if rest:
            self.problems.append(
                f"standard input ended in the middle of a frame: {frames} whole frames of {size} "
                f"and {rest} bytes more; check --size"
            )

    def close(self) -> None:
        """Stop a reader that waits; the stream itself belongs to the caller."""
        self._closed = True
