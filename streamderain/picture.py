"""A picture: RGB, or as codecs hold it, and how its colours are meant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colour", "Picture", "Pixels", "Planes", "copy_of", "size_of"]

Pixels = NDArray[np.uint8]
"""uint8 H×W×3, RGB, full range, C-contiguous."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How YCbCr means RGB: names of ITU-T H.273, as FFmpeg spells them, lower case.

    Attributes:
        matrix: ``bt709``, ``smpte170m``, ``bt470bg``, ``bt2020nc``, ``rgb``, ...
        range: ``tv`` (limited, 16-235) or ``pc`` (full, 0-255).
        primaries, transfer: as tagged, or ``unknown``.
        assumed: what the source didn't say and we chose, e.g. ``("matrix", "range")``.
    """

    matrix: str = "bt709"
    range: Literal["tv", "pc"] = "tv"
    primaries: str = "unknown"
    transfer: str = "unknown"
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A picture as most codecs hold it: luma, and two samples of colour for each 2×2 pixels.

    Half of what RGB takes, and nothing has to be converted between decoder and encoder.

    Attributes:
        samples: uint8 (3H/2)×W, C-contiguous: luma, then Cb, then Cr (FFmpeg's ``yuv420p``).
        colour: how they are meant.

    Raises:
        ValueError: the samples are of no even size.
    """

    samples: NDArray[np.uint8]
    colour: Colour

    def __post_init__(self) -> None:
        rows, columns = self.samples.shape
        if rows % 3 or columns % 2:
            raise ValueError(f"{rows} rows of {columns} samples are no picture in 4:2:0")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.samples.shape[0] * 2 // 3, self.samples.shape[1]

    @property
    def luma(self) -> NDArray[np.uint8]:
        """A view, uint8 H×W."""
        return self.samples[: self.size[0]]

    @property
    def chroma(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Views of Cb and Cr, uint8 H/2×W/2 each."""
        height, width = self.size
        blue, red = self.samples[height:].reshape(2, height // 2, width // 2)
        return blue, red


Picture = Pixels | Planes
"""What a frame shows, as RGB or as its codec holds it."""


def size_of(picture: Picture) -> tuple[int, int]:
    """Return a picture's height and width in pixels."""
    return picture.size if isinstance(picture, Planes) else (picture.shape[0], picture.shape[1])


def copy_of(picture: Picture) -> Picture:
    """Return the same picture in memory of its own."""
    if isinstance(picture, Planes):
        return replace(picture, samples=picture.samples.copy())
    return picture.copy()
