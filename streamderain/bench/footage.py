"""The frames that are measured with: a rainy street, drawn once and played to and fro."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from streamderain.colour import encoding_colour
from streamderain.conversion import planes_from_rgb
from streamderain.frame import Frame, Picture, Pixels, SourceFormat
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter

__all__ = ["FPS", "Footage", "to_and_fro"]

FPS = 25
"""Of the drawn street."""

CODED = "yuv420p"
"""How cameras code their pictures."""

FEW, MANY = 12, 24
"""Frames that are drawn: enough that none is twice among those that a prior is made of, or nearly
so, and no more than a user cares to wait for."""
BYTES = 96 * 2**20
"""Memory in which there may be more than a few."""


def to_and_fro(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Give pictures for ever, forwards and backwards, so that nothing ever jumps."""
    return itertools.cycle([*pictures, *pictures[-2:0:-1]])


class Footage:
    """Frames of the test scene.

    Args:
        height, width: in pixels.
        rain: that falls, or None.
        bitrate: of the files that are written, in bits a second, as cameras are set up; None for
            the constant quality that ``clean`` writes.

    Attributes:
        format: of the frames.
        pictures: uint8 H×W×3 RGB, in the order of time.
        coded: the same as a decoder gives them: planes, but RGB where the size is odd.
    """

    def __init__(
        self, height: int, width: int, *, rain: str | None = "heavy", bitrate: int | None = None
    ) -> None:
        self._bitrate = bitrate
        count = max(FEW, min(MANY, BYTES // (height * width * 3)))
        with SceneReader(
            height=height, width=width, fps=FPS, seconds=count / FPS, rain=rain
        ) as reader:
            # As cameras and recorders have it, where that can be.
            self.format: SourceFormat = reader.format
            if not (height % 2 or width % 2):
                colour = encoding_colour(reader.format.colour, CODED, height)
                self.format = replace(reader.format, pixel_format=CODED, colour=colour)
            self.pictures: list[Pixels] = [frame.pixels for frame in reader]
        self.coded: list[Picture] = list(map(self._coded, self.pictures))

    def frames(self, pictures: Sequence[Picture] | None = None) -> Iterator[Frame]:
        """Give frames for ever, as a decoder gives them, or of others of their size."""
        for index, picture in enumerate(to_and_fro(pictures or self.coded)):
            yield Frame("bench", 0, index, index, Fraction(1, FPS), picture, duration=1)

    def _coded(self, pixels: Pixels) -> Picture:
        if self.format.pixel_format != CODED:
            return pixels
        return planes_from_rgb(pixels, self.format.colour)

    def writer(
        self, target: Path, device: str = "cpu", bitrate: int | None = None
    ) -> VideoFileWriter:
        """Open a file for such frames, as ``clean`` encodes them, or with so many bits a second.

        Raises:
            OutputError: it can't be written.
        """
        return VideoFileWriter(target, self.format, overwrite=True, device=device, bitrate=bitrate)

    def write(self, target: Path, count: int, device: str = "cpu") -> Path:
        """Write so many frames into a file and return it.

        Raises:
            OutputError: it can't be written.
        """
        writer = self.writer(target, device, self._bitrate)
        try:
            for frame in itertools.islice(self.frames(), count):
                writer.write(frame)
            writer.finish()
        finally:
            writer.abandon()
        return target
