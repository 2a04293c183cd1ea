"""A camera adjusts its exposure, and its past is brought to the brightness of its present. Pure.

Otherwise a scene that gets brighter looks like rain, which only brightens: networks took half of
such a change off, frames long, and a motion detector behind them saw motion wherever it was smooth.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamderain.frame import Pixels

__all__ = ["as_bright_as"]

SAMPLES = 64
"""Places that are looked at along each side."""

LEAST, MOST = 2.0, 16.0
"""Levels: below, it may be rain, which moves the middle of all differences by one; above, one
offset for all levels no longer holds, and there is more to it than the exposure."""

ALIKE = 4.0
"""Levels by which the places that changed alike may differ: by the camera's noise."""


def as_bright_as(frame: Pixels, other: Pixels) -> Pixels:
    """Return another frame of the scene, as bright as it would be with the exposure of this one.

    It is told by the middle of the differences, channel by channel, for rain falls and things move
    in fewer places than not. It is believed only where half of all places or more changed alike.

    Args:
        frame, other: uint8 H×W×3 RGB each; ``other`` is not changed, and returned where it is as
            bright already.
    """
    step = [max(1, side // SAMPLES) for side in frame.shape[:2]]
    rows, columns = slice(step[0] // 2, None, step[0]), slice(step[1] // 2, None, step[1])
    apart = frame[rows, columns].astype(np.int16) - other[rows, columns]
    shift = np.median(apart.reshape(-1, 3), axis=0)
    if not LEAST <= np.abs(shift).max() <= MOST:
        return other
    if (np.abs(apart - shift).max(axis=2) <= ALIKE).mean() < 0.5:
        return other
    return np.asarray(cv2.add(other, np.array([*shift, 0.0])), np.uint8)  # one number a channel
