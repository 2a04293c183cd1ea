"""A camera adjusts its exposure, and its past is brought to the brightness of its present. Pure.

Otherwise a scene that gets brighter looks like rain, which only brightens: networks took half of
such a change off, frames long, and a motion detector behind them saw motion wherever it was smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Planes, size_of
from streamderain.inference.pictures import contrast_of

__all__ = ["as_bright_as", "sampled"]

PARTS, SAMPLES = 4, 12
"""Parts of the picture along each side, and places in a part that are looked at."""

LEAST, MOST = 2.0, 16.0
"""Levels: below, it may be rain, which moves the middle of all differences by one; above, one
offset for all levels no longer holds, and there is more to it than the exposure."""

AGREED = 0.75
"""Share of the parts that have to change as the picture does: no thing that moves is in as many."""


def sampled(picture: Picture) -> NDArray[np.int16]:
    """Return a picture's channels at places that are spread over it: 3×h×w."""
    rows, columns = _places(size_of(picture))
    found = np.empty((3, *np.broadcast_shapes(rows.shape, columns.shape)), np.int16)
    if not isinstance(picture, Planes):
        found[...] = picture[rows, columns].transpose(2, 0, 1)
        return found
    found[0] = picture.luma[rows, columns]
    for into, part in zip(found[1:], picture.chroma, strict=True):
        into[...] = part[rows // 2, columns // 2]
    return found


@lru_cache(maxsize=16)
def _places(size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows, in a column, and the columns of the places that are looked at."""
    rows, columns = (np.linspace(0, n - 1, PARTS * SAMPLES).astype(np.intp) for n in size)
    return rows[:, None], columns


def as_bright_as(
    frame: Picture,
    others: Sequence[Picture],
    samples: Sequence[NDArray[np.int16] | None] | None = None,
) -> list[Picture]:
    """Return other frames of the scene, as bright as they would be with the exposure of this one.

    It is told by the middle of the differences, channel by channel, for rain falls and things move
    in fewer places than not; and believed where nearly all parts of the picture say the like.

    Args:
        frame, others: of one kind; the others are not changed, and returned where they are as
            bright already.
        samples: of each other one, from :func:`sampled`, where they are known.
    """
    if not others:
        return []
    contrast = contrast_of(frame)
    known = samples or [None] * len(others)
    there = [
        sampled(other) if levels is None else levels
        for other, levels in zip(others, known, strict=True)
    ]
    apart = sampled(frame) - np.stack(there)
    found = list(others)
    for index in map(int, np.flatnonzero(_may_have_changed(apart, contrast))):
        shift = _shift(apart[index], contrast)
        if shift is not None:
            found[index] = _shifted(others[index], shift)
    return found


def _may_have_changed(apart: NDArray[np.int16], contrast: float) -> NDArray[np.bool_]:
    """Say of which pictures the middle of any channel's differences is as far off as LEAST.

    Nearly every frame is as bright as the last ones, and counting is quicker than sorting.

    Args:
        apart: differences of each, N×3×h×w.
        contrast: levels for each of RGB's.
    """
    channels = apart.reshape(*apart.shape[:2], -1)
    half, least = channels.shape[2] // 2, int(np.ceil(LEAST * contrast))
    beyond = [np.count_nonzero(far, axis=2) for far in (channels >= least, channels <= -least)]
    return np.asarray((np.stack(beyond) >= half).any(axis=(0, 2)))


def _shift(apart: NDArray[np.int16], contrast: float) -> NDArray[np.float64] | None:
    """Return by how many levels each channel has changed; None where it has not.

    Args:
        apart: differences at the places that are looked at, 3×h×w.
        contrast: levels for each of RGB's.
    """
    channels = apart.reshape(3, -1)
    # A partition is slow where most are equal, as before a camera that stands.
    shift = np.sort(channels, axis=1)[:, channels.shape[1] // 2]
    if not LEAST * contrast <= np.abs(shift).max() <= MOST * contrast:
        return None
    parts = np.median(apart.reshape(3, PARTS, SAMPLES, PARTS, SAMPLES), axis=(2, 4))
    of_all = shift[:, None, None]
    # What is dark changes less than what is bright.
    agree = (np.abs(parts - of_all) <= LEAST * contrast + np.abs(of_all) / 2).all(axis=0)
    return shift.astype(np.float64) if agree.mean() >= AGREED else None


def _shifted(picture: Picture, shift: NDArray[np.float64]) -> Picture:
    """Return a picture with its channels so much brighter."""
    if not isinstance(picture, Planes):
        return np.asarray(cv2.add(picture, np.array([*shift, 0.0])), np.uint8)
    moved = Planes(np.empty_like(picture.samples), picture.colour)
    sources = picture.luma, *picture.chroma
    for source, target, by in zip(sources, (moved.luma, *moved.chroma), shift, strict=True):
        cv2.add(source, np.array([by, 0, 0, 0]), dst=target)
    return moved
