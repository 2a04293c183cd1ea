"""A picture for viewers: chosen, scaled and encoded. Pure."""

from __future__ import annotations

from typing import Literal

import numpy as np

from streamderain.frame import Picture, Pixels, Planes, pixels_of, size_of
from streamderain.live.reports import Pair
from streamderain.service.shapes import View

__all__ = ["Format", "encode", "shared_width", "shown_width"]

Format = Literal["jpeg", "png"]

QUALITY = 80
"""Of JPEG: what moves needs no more."""

PNG_LEVEL = 1
"""The lowest compression; others take several times as long for a few percent."""

JPEG_MOST = 65500
"""Pixels a side that a JPEG can have."""


def shown_width(pair: Pair, view: View, width: int | None) -> int:
    """Return how wide one picture is shown: as asked for, but never wider than it is."""
    own = size_of(pair.before if view == "before" else pair.after)[1]
    return own if width is None else min(width, own)


def shared_width(width: int | None) -> int | None:
    """Return a width that more viewers share: the next multiple of 16."""
    return None if width is None else -(-width // 16) * 16


def encode(
    pair: Pair, view: View, width: int, kind: Format = "jpeg", quality: int = QUALITY
) -> bytes:
    """Return a picture of a camera, or both side by side.

    Args:
        pair: of the camera.
        view: before, after or both.
        width: of one picture, in pixels; see :func:`shown_width`.
        kind: the format.
        quality: of JPEG, 1 to 100.

    Raises:
        ValueError: it can't be encoded.
    """
    import cv2

    if view == "both":
        after = _scaled(pair.after, width)
        before = after if pair.before is pair.after else _scaled(pair.before, width, after.shape[0])
        picture = np.hstack([before, after])
    else:
        picture = _scaled(pair.before if view == "before" else pair.after, width)
    if kind == "png":
        suffix, settings = ".png", [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    else:
        suffix, settings = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]
        if max(picture.shape) > JPEG_MOST:
            raise ValueError(f"a JPEG has at most {JPEG_MOST} pixels a side; ask for less")
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ValueError(f"the picture can't be encoded as {kind}")
    return data.tobytes()


def _scaled(whole: Picture, width: int, height: int | None = None) -> Pixels:
    from streamderain.resizing import resized

    rows, columns = size_of(whole)
    if height is None:
        height = max(1, round(rows * width / columns))
    if (height, width) != (rows, columns) and isinstance(whole, Planes):
        # Scaled before it is converted: of a thumbnail there is little to convert.
        whole = pixels_of(resized(whole, height + height % 2, width + width % 2))
    return pixels_of(resized(whole, height, width))
