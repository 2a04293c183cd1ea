"""How dense the rain is that falls through the last frames, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Planes
from streamderain.inference.exposure import sampled
from streamderain.inference.ordering import ranked
from streamderain.inference.pictures import contrast_of

__all__ = ["rain_density", "ranks_for"]

FLASH = 12
"""Levels by which a place is brighter than in the frames before and after where a drop is there."""
NOISES = 3.0
"""Standard deviations of the noise by which it is brighter at least."""
FLASHES_A_RANK = 0.048
"""Share of places and frames that flash for each rank by which the scene is looked for lower."""
LOWEST = 2.5
"""Ranks, of nine values, by which it is looked for below the middle at most."""

FEWEST = 5
"""Frames in which a flash can be told from something that moves."""


def rain_density(
    pictures: Sequence[Picture], samples: Sequence[NDArray[np.int16] | None] | None = None
) -> float:
    """Return the share of places and frames that a drop flashes up in: 0.1 in heavy rain.

    What moves darkens places as often as it brightens them, and is taken off as far as dense rain,
    whose gaps are dark flashes, allows.

    Args:
        pictures: of one scene, place and kind, in the order of time; with fewer than five, nothing
            is known.
        samples: of each, where they are known, from
            :func:`~streamderain.inference.exposure.sampled`.
    """
    if len(pictures) < FEWEST:
        return 0.0
    known = samples or [None] * len(pictures)
    # A channel that tells the brightness, without computing it.
    channel = 0 if isinstance(pictures[0], Planes) else 1
    greens = np.stack(
        [
            (sampled(picture) if levels is None else levels)[channel]
            for picture, levels in zip(pictures, known, strict=True)
        ]
    ).astype(np.uint8)
    lowest, third = ranked(list(greens), (0, 2))
    # A quarter of the places that stand have their first and third of nine values within 0.55
    # standard deviations, rain or not.
    apart = np.sort(third - lowest, axis=None)
    whole, part = divmod(len(apart) - 1, 4)  # a quarter of the way, between two of them
    low, high = float(apart[whole]), float(apart[whole + 1])
    noise = (low + part / 4 * (high - low)) / 0.55
    flash = max(FLASH * contrast_of(pictures[0]), NOISES * noise)
    before, now, after = greens[:-2], greens[1:-1], greens[2:]
    up = cv2.min(cv2.subtract(now, before), cv2.subtract(now, after)) > flash
    down = cv2.min(cv2.subtract(before, now), cv2.subtract(after, now)) > flash
    share, dark = (np.count_nonzero(flashes) / up.size for flashes in (up, down))
    return share - min(dark, share / 2)


def ranks_for(count: int, density: float = 0.0) -> tuple[int, int, int]:
    """Return which of ``count`` sorted values estimate the scene, and which tells their spread.

    The denser the rain, the more of the upper values are rain: of nine frames with heavy rain the
    third value is 5 dB nearer to the scene than the fourth and the fifth, in drizzle it is 3 dB
    farther, since it is the sensor's noise that is sorted there.

    Args:
        count: values, 1 or more.
        density: of the rain, from :func:`rain_density`; of fewer than five values, it isn't known.

    Returns:
        Two ranks whose mean is the estimate; then a low one.
    """
    if count < FEWEST:
        middle = (count - 1) // 2
        return middle, max(0, middle - 1), 0
    below = min(max(density / FLASHES_A_RANK, 0.5), LOWEST)
    twice = int((count - 1) * (1 - below / 4) + 0.5)  # the rank, in halves
    return (twice + 1) // 2, twice // 2, 1 if below < 1.25 else 0
