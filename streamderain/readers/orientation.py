"""Turn pictures upright as the container's display matrix asks."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import SideData

from streamderain.frame import Pixels

__all__ = ["Orientation", "orientation_of"]

ONE = 1 << 16
"""1.0 in the 16.16 fixed point of a display matrix."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the coded picture is turned and mirrored to stand upright.

    Attributes:
        transpose: swap rows and columns first.
        mirror, flip: then mirror left-right, and flip top-bottom.
        exact: False where the container asks for an angle that is no multiple of 90 degrees,
            which is left to nobody: the picture stays as coded.
    """

    transpose: bool = False
    mirror: bool = False
    flip: bool = False
    exact: bool = True

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270; a mirrored picture's as if it weren't mirrored."""
        if self.transpose:
            return 270 if self.flip else 90
        return 180 if self.flip else 0

    @property
    def is_upright(self) -> bool:
        """Whether the coded picture stands as it is shown."""
        return not (self.transpose or self.mirror or self.flip)

    def upright(self, pixels: Pixels) -> Pixels:
        """Return the picture upright: uint8, H×W×3 or turned W×H×3, C-contiguous."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror:
            pixels = pixels[:, ::-1]
        if self.flip:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Read the display matrix that the decoder hangs on a frame; none means upright."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(a) == abs(d) == ONE and not b and not c:
        return Orientation(mirror=a < 0, flip=d < 0)
    if abs(b) == abs(c) == ONE and not a and not d:
        return Orientation(transpose=True, mirror=c < 0, flip=b < 0)
    return Orientation(exact=False)
