"""Grey pictures come out grey: those of a camera in its infrared mode, above all.

A network finds the rain of each channel by itself, and where the three are equal it doesn't quite
find the same three times: differences of 65 levels were measured. So of a grey picture the same is
taken off each channel, the mean of what the network took, and its tint stays what it was.
Pictures with any colour are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamderain.frame import Picture, Pixels, Planes
from streamderain.inference.backend import Frames

__all__ = ["TINT", "greyed", "greyed_planes", "is_grey"]

TINT = 4
"""Levels by which channels may differ in a grey picture: chroma that is one off makes three."""

NEUTRAL, OFF = 128, 1
"""Chroma that is none, and by how much it may be off."""

SPARSE = 16
"""Every such pixel each way is enough to see that a picture has colour, as nearly all have."""

_MEAN = np.full((1, 3), 1 / 3, np.float32)


def is_grey(picture: Picture) -> bool:
    """Say whether red, green and blue are equal in a picture within :data:`TINT`."""
    if isinstance(picture, Planes):
        sparse = max(1, SPARSE // 2)
        return all(
            np.abs(part[::sparse, ::sparse].astype(np.int16) - NEUTRAL).max() <= OFF
            and cv2.norm(part, np.full_like(part, NEUTRAL), cv2.NORM_INF) <= OFF
            for part in picture.chroma
        )
    if np.ptp(picture[::SPARSE, ::SPARSE], axis=2).max() > TINT:
        return False
    red, green, blue = (cv2.extractChannel(picture, channel) for channel in range(3))
    pairs = (red, green), (green, blue), (blue, red)
    return all(cv2.norm(one, other, cv2.NORM_INF) <= TINT for one, other in pairs)


def greyed(derained: Frames, pictures: Sequence[Pixels]) -> Frames:
    """Return what a network made of pictures, with the tint that these have where they are grey.

    Args:
        derained: uint8 N×H×W×3; is written to where it can be.
        pictures: what went in, uint8 H×W×3 each.
    """
    grey = [index for index, picture in enumerate(pictures) if is_grey(picture)]
    if grey and not derained.flags.writeable:
        derained = derained.copy()
    for index in grey:
        picture = pictures[index]
        changed = cv2.subtract(derained[index], picture, dtype=cv2.CV_16S)
        mean = cv2.transform(changed, _MEAN)
        derained[index] = cv2.add(picture, cv2.merge([mean, mean, mean]), dtype=cv2.CV_8U)
    return derained


def greyed_planes(derained: Sequence[Planes], pictures: Sequence[Planes]) -> None:
    """Give what a network made of pictures the chroma that these have where they are grey.

    Args:
        derained: is written to.
        pictures: what went in.
    """
    for made, picture in zip(derained, pictures, strict=True):
        if is_grey(picture):
            made.samples[picture.size[0] :] = picture.samples[picture.size[0] :]
