"""A camera adjusts its exposure, and its past is brought to the brightness of its present. Pure.

Otherwise a scene that gets brighter looks like rain, which only brightens: networks took half of
such a change off, frames long, and a motion detector behind them saw motion wherever it was smooth.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels

__all__ = ["as_bright_as"]

PARTS, SAMPLES = 4, 12
"""Parts of the picture along each side, and places in a part that are looked at."""

LEAST, MOST = 2.0, 16.0
"""Levels: below, it may be rain, which moves the middle of all differences by one; above, one
offset for all levels no longer holds, and there is more to it than the exposure."""

AGREED = 0.75
"""Share of the parts that have to change as the picture does: no thing that moves is in as many."""


def as_bright_as(frame: Pixels, others: Sequence[Pixels]) -> list[Pixels]:
    """Return other frames of the scene, as bright as they would be with the exposure of this one.

    It is told by the middle of the differences, channel by channel, for rain falls and things move
    in fewer places than not; and believed where nearly all parts of the picture say the like.

    Args:
        frame, others: uint8 H×W×3 RGB each; the others are not changed, and returned where they are
            as bright already.
    """
    places = np.ix_(*(np.linspace(0, n - 1, PARTS * SAMPLES).astype(int) for n in frame.shape[:2]))
    seen = frame[places].astype(np.int16)
    found = []
    for other in others:
        shift = _shift(seen - other[places])
        # One number a channel.
        found.append(other if shift is None else np.asarray(cv2.add(other, shift), np.uint8))
    return found


def _shift(apart: NDArray[np.int16]) -> NDArray[np.float64] | None:
    """Return by how many levels each channel has changed, and 0; None where it has not.

    Args:
        apart: differences at the places that are looked at, as many down as across.
    """
    middle = apart.shape[0] * apart.shape[1] // 2  # np.median takes ten times as long
    shift = np.partition(apart.reshape(-1, 3).T, middle, axis=1)[:, middle]
    if not LEAST <= np.abs(shift).max() <= MOST:
        return None
    parts = np.median(apart.reshape(PARTS, SAMPLES, PARTS, SAMPLES, 3), axis=(1, 3))
    # What is dark changes less than what is bright.
    agree = (np.abs(parts - shift) <= LEAST + np.abs(shift) / 2).all(axis=2)
    return np.array([*shift, 0.0]) if agree.mean() >= AGREED else None
