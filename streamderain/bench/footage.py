"""The frames that are measured with: a rainy street, drawn once and played to and fro."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from streamderain.frame import Frame, Pixels, SourceFormat
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter

__all__ = ["FPS", "Footage", "to_and_fro"]

FPS = 25
"""Of the drawn street."""

FEW, MANY = 12, 24
"""Frames that are drawn: enough that none is twice among those that a prior is made of, or nearly
so, and no more than a user cares to wait for."""
BYTES = 96 * 2**20
"""Memory in which there may be more than a few."""


def to_and_fro(pictures: Sequence[Pixels]) -> Iterator[Pixels]:
    """Give pictures for ever, forwards and backwards, so that nothing ever jumps."""
    return itertools.cycle([*pictures, *pictures[-2:0:-1]])


class Footage:
    """Frames of the test scene.

    Args:
        height, width: in pixels.
        rain: that falls, or None.

    Attributes:
        format: of the frames.
        pictures: uint8 H×W×3 RGB, in the order of time.
    """

    def __init__(self, height: int, width: int, *, rain: str | None = "heavy") -> None:
        count = max(FEW, min(MANY, BYTES // (height * width * 3)))
        with SceneReader(
            height=height, width=width, fps=FPS, seconds=count / FPS, rain=rain
        ) as reader:
            self.format: SourceFormat = reader.format
            self.pictures: list[Pixels] = [frame.pixels for frame in reader]

    def frames(self, pictures: Sequence[Pixels] | None = None) -> Iterator[Frame]:
        """Give frames for ever, of the pictures or of others of their size."""
        for index, pixels in enumerate(to_and_fro(pictures or self.pictures)):
            yield Frame("bench", 0, index, index, Fraction(1, FPS), pixels, duration=1)

    def writer(self, target: Path, device: str = "cpu") -> VideoFileWriter:
        """Open a file for such frames, as ``clean`` encodes them.

        Raises:
            OutputError: it can't be written.
        """
        return VideoFileWriter(target, self.format, overwrite=True, device=device)

    def write(self, target: Path, count: int, device: str = "cpu") -> Path:
        """Write so many frames into a file and return it.

        Raises:
            OutputError: it can't be written.
        """
        writer = self.writer(target, device)
        try:
            for frame in itertools.islice(self.frames(), count):
                writer.write(frame)
            writer.finish()
        finally:
            writer.abandon()
        return target
