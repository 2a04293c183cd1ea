"""Raw frames into a pipe: rgb24, one after the other, nothing between."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from streamderain.errors import OutputError
from streamderain.frame import Frame, SourceFormat

__all__ = ["RawWriter"]


class RawWriter:
    """Writes H×W×3 bytes a frame, which ``ffmpeg -f rawvideo -pix_fmt rgb24`` reads.

    Args:
        stream: binary, e.g. ``open(1, "wb", buffering=0)``; flushed at the end, not closed.
        format: of the source; a pipe holds frames of one size only.
    """

    def __init__(self, stream: BinaryIO, format: SourceFormat) -> None:
        self._stream, self._format = stream, format
        self.notes: list[str] = []
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            OutputError: the other end has closed the pipe, or the frame's size has changed.
        """
        if frame.size != (self._format.height, self._format.width):
            raise OutputError(
                f"the source's size changed to {frame.size[1]}x{frame.size[0]} at frame "
                f"{self.frames}, which raw frames on standard output can't say; write a file"
            )
        self._send(np.ascontiguousarray(frame.pixels).data.cast("B"))
        self.frames += 1

    def finish(self) -> None:
        """Flush."""
        self._send(memoryview(b""), flush=True)

    def abandon(self) -> None:
        """Do nothing: what went into a pipe can't be taken back."""

    def _send(self, data: memoryview, *, flush: bool = False) -> None:
        try:
            while data:  # an unbuffered stream takes what fits into the pipe
                data = data[self._stream.write(data) :]
            if flush:
                self._stream.flush()
        except OSError as error:
            raise OutputError(
                f"standard output was closed after {self.frames} frames: {error.strerror}; "
                "see what the program that reads it said"
            ) from error
