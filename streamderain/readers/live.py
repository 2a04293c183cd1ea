"""What every live source offers, and the faults it may have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np

from streamderain.closing import Closable
from streamderain.errors import InputError
from streamderain.frame import Pixels
from streamderain.readers.capture import CaptureTime

__all__ = [
    "Captured",
    "LiveSource",
    "Shape",
    "SourceLostError",
    "SourceRefusedError",
    "SourceWrongError",
]


class SourceLostError(InputError):
    """The connection broke or could not be made; it may come back by itself."""


class SourceRefusedError(InputError):
    """The camera refuses user and password."""


class SourceWrongError(InputError):
    """There is no such stream, or none that can be decoded."""


@dataclass(slots=True)
class Captured:
    """A picture that a source has decoded, not yet converted.

    Attributes:
        part: counts the stretches of one format within a connection, from 0.
        pts: in units of ``time_base``, or None.
        time_base: seconds per unit.
        taken: when.
        corrupt: the decoder reported damage.
        pixels: converts it: uint8 H×W×3 RGB; called at most once.
        lag_s: how far behind the camera the reader is.
    """

    part: int
    pts: int | None
    time_base: Fraction
    taken: CaptureTime
    corrupt: bool
    pixels: Callable[[], Pixels]
    lag_s: float = 0.0


class LiveSource(Closable, Protocol):
    """A connection to a camera, opened at once and read once.

    Opening and iterating raise one of the faults above.

    Attributes:
        damaged: packets so far that could not be decoded at all.
        notes: what there is to say of the source, one sentence each, complete after a few frames.
    """

    @property
    def damaged(self) -> int:  # noqa: D102 - see above
        ...

    @property
    def notes(self) -> list[str]:  # noqa: D102
        ...

    def __iter__(self) -> Iterator[Captured]:
        """Give the pictures as they come, to the end of the source."""
        ...


class Shape:
    """Cuts and scales pictures.

    Args:
        region: left, top, width and height in pixels, or None for all.
        resize: width and height, or None to leave it.
    """

    def __init__(
        self,
        region: tuple[int, int, int, int] | None = None,
        resize: tuple[int, int] | None = None,
    ) -> None:
        self._region, self._resize = region, resize

    def apply(self, pixels: Pixels) -> Pixels:
        """Return the picture cut and scaled, uint8 H×W×3, C-contiguous.

        Raises:
            SourceWrongError: the region reaches beyond the picture.
        """
        if self._region is not None:
            left, top, width, height = self._region
            if left + width > pixels.shape[1] or top + height > pixels.shape[0]:
                raise SourceWrongError(
                    f"the region {list(self._region)} reaches beyond the picture of "
                    f"{pixels.shape[1]}x{pixels.shape[0]}; make it smaller"
                )
            pixels = pixels[top : top + height, left : left + width]
        if self._resize is not None and self._resize != (pixels.shape[1], pixels.shape[0]):
            smaller = self._resize[0] < pixels.shape[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            pixels = np.asarray(cv2.resize(pixels, self._resize, interpolation=method), np.uint8)
        return np.ascontiguousarray(pixels)
