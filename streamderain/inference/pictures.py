"""What the prior and the gauge ask of a picture, whether it is RGB or as its codec holds it. Pure.

Both are one array of bytes, so what is done with each byte alone (order statistics, means) needs
not know which: RGB has three axes, planes (:class:`~streamderain.picture.Planes`) have two, and a
little more than their upper half is luma.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Planes

__all__ = [
    "brighter",
    "bytes_of",
    "contrast_of",
    "in_full",
    "luma_of",
    "luma_part",
    "median_of",
    "picture_of",
    "put",
]

Bytes = NDArray[np.uint8]

LIMITED = 219 / 255
"""Levels that a limited range has for each of the full one."""

_WIDER = np.rint((np.arange(256) - 16) / LIMITED).clip(0, 255).astype(np.uint8)
"""Full levels for limited ones."""


def bytes_of(picture: Picture) -> Bytes:
    """Return all of a picture: uint8 H×W×3 of RGB, (3H/2)×W of planes."""
    return picture.samples if isinstance(picture, Planes) else picture


def picture_of(found: Bytes, like: Picture) -> Picture:
    """Return what bytes show that are of the same kind as a picture's."""
    return Planes(found, like.colour) if isinstance(like, Planes) else found


def contrast_of(picture: Picture) -> float:
    """Return how many levels of a picture's luma are one of RGB's: 1, or 0.86 in limited range."""
    return LIMITED if isinstance(picture, Planes) and picture.colour.range == "tv" else 1.0


def in_full(luma: Bytes, contrast: float) -> Bytes:
    """Return brightness in the full range, of that which has so many levels for each of RGB's."""
    return luma if contrast == 1 else np.asarray(cv2.LUT(luma, _WIDER), np.uint8)


def luma_of(picture: Picture) -> Bytes:
    """Return the brightness, uint8 H×W; of planes a view, in the range of these."""
    if isinstance(picture, Planes):
        return picture.luma
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def luma_part(found: Bytes) -> Bytes:
    """Return those of a picture's bytes that tell its brightness: all of RGB's, planes' luma."""
    return found if found.ndim == 3 else found[: len(found) * 2 // 3]


def brighter(one: Bytes, other: Bytes) -> Bytes:
    """Return by how many levels one picture is brighter than another, 0 where it isn't: uint8 H×W.

    Args:
        one, other: what :func:`luma_part` gives.
    """
    found = cv2.subtract(one, other)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGB2GRAY) if found.ndim == 3 else found)


def median_of(levels: Bytes) -> float:
    """Return the median of bytes, which are counted: many that are equal slow down a partition."""
    up_to = np.bincount(levels.ravel(), minlength=256).cumsum()
    last = levels.size - 1
    lower, upper = up_to.searchsorted((last // 2, levels.size // 2), side="right")
    return float(lower + upper) / 2


def put(source: Picture, where: Bytes, into: Picture) -> None:
    """Copy a part of a picture into another one of the same kind.

    Args:
        source: what is copied.
        where: uint8 H×W, not 0 where.
        into: written to.
    """
    if not isinstance(source, Planes):
        assert not isinstance(into, Planes)
        cv2.copyTo(source, where, into)
        return
    assert isinstance(into, Planes)
    cv2.copyTo(source.luma, where, into.luma)
    rows = where[::2] | where[1::2]  # where one of 2×2 pixels is copied, so is their chroma
    coarse = rows[:, ::2] | rows[:, 1::2]
    for one, other in zip(source.chroma, into.chroma, strict=True):
        cv2.copyTo(one, coarse, other)
