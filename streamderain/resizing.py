"""Pictures cut and scaled, as RGB or as codecs hold them. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from streamderain.frame import Picture, Pixels, Planes, pixels_of, size_of

__all__ = ["resized"]

Region = tuple[int, int, int, int]


def resized(picture: Picture, height: int, width: int, region: Region | None = None) -> Picture:
    """Return a picture, or a region of it, in another size; itself where nothing is to be done.

    Planes stay planes, unless the region or the size is odd.

    Args:
        picture: RGB or planes.
        height, width: of the result.
        region: left, top, width and height of what is shown, within the picture; None for all.
    """
    rows, columns = size_of(picture)
    left, top, across, down = region or (0, 0, columns, rows)
    if (left, top, across, down) == (0, 0, columns, rows) and (height, width) == (rows, columns):
        return picture
    odd = any(each % 2 for each in (left, top, across, down, height, width))
    if odd or not isinstance(picture, Planes):
        return _scaled(pixels_of(picture)[top : top + down, left : left + across], height, width)
    result = Planes(np.empty((height * 3 // 2, width), np.uint8), picture.colour)
    sources, targets = (picture.luma, *picture.chroma), (result.luma, *result.chroma)
    for source, target, by in zip(sources, targets, (1, 2, 2), strict=True):
        part = source[top // by : (top + down) // by, left // by : (left + across) // by]
        target[...] = _scaled(part, *target.shape)
    return result


def _scaled(part: Pixels, height: int, width: int) -> Pixels:
    """Return a picture or a plane in another size, C-contiguous."""
    if part.shape[:2] != (height, width):
        method = cv2.INTER_AREA if width < part.shape[1] else cv2.INTER_LINEAR
        part = np.asarray(cv2.resize(part, (width, height), interpolation=method), np.uint8)
    return np.ascontiguousarray(part)
