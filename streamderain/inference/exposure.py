"""A camera adjusts its exposure, and its past is brought to the brightness of its present. Pure.

Otherwise a scene that gets brighter looks like rain, which only brightens: networks took half of
such a change off, frames long, and a motion detector behind them saw motion wherever it was smooth.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamderain.frame import Pixels

__all__ = ["as_bright_as"]

PARTS, SAMPLES = 4, 16
"""Parts of the picture along each side, and places in a part that are looked at."""

LEAST, MOST = 2.0, 16.0
"""Levels: below, it may be rain, which moves the middle of all differences by one; above, one
offset for all levels no longer holds, and there is more to it than the exposure."""

AGREED = 0.75
"""Share of the parts that have to change as the picture does: no thing that moves is in as many."""


def as_bright_as(frame: Pixels, other: Pixels) -> Pixels:
    """Return another frame of the scene, as bright as it would be with the exposure of this one.

    It is told by the middle of the differences, channel by channel, for rain falls and things move
    in fewer places than not; and believed where nearly all parts of the picture say the like.

    Args:
        frame, other: uint8 H×W×3 RGB each; ``other`` is not changed, and returned where it is as
            bright already.
    """
    rows, columns = (
        np.linspace(0, side - 1, PARTS * SAMPLES).astype(int) for side in frame.shape[:2]
    )
    seen = np.ix_(rows, columns)
    apart = frame[seen].astype(np.int16) - other[seen]
    shift = np.median(apart, axis=(0, 1))
    if not LEAST <= np.abs(shift).max() <= MOST:
        return other
    parts = np.median(apart.reshape(PARTS, SAMPLES, PARTS, SAMPLES, 3), axis=(1, 3))
    # What is dark changes less than what is bright.
    agree = (np.abs(parts - shift) <= LEAST + np.abs(shift) / 2).all(axis=2)
    if agree.mean() < AGREED:
        return other
    return np.asarray(cv2.add(other, np.array([*shift, 0.0])), np.uint8)  # one number a channel
