"""Pictures moved to where another one is, by parts of a pixel. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Planes

__all__ = ["ALIGNED", "aligned", "beside", "coverage"]

Bytes = NDArray[np.uint8]

ALIGNED = 0.12
"""Pixels by which a picture may lie beside another without being resampled."""


def aligned(frame: Bytes, other: Bytes, move: tuple[float, float]) -> Bytes:
    """Return the other picture moved to where the frame is; beyond its border, the frame itself.

    Args:
        frame, other: uint8 of one shape, rows and columns first; not changed, but ``other`` itself
            may be what comes back.
        move: down and right, in pixels.
    """
    down, right = move
    if max(abs(down), abs(right)) <= ALIGNED:
        return other
    height, width = frame.shape[:2]
    whole = round(down), round(right)
    rest = down - whole[0], right - whole[1]
    if max(abs(rest[0]), abs(rest[1])) > ALIGNED:
        # Two passes over bytes take a third of the time of one that is separated inside.
        for kernel in (_cubic(rest[0])[:, None], _cubic(rest[1])[None]):
            passed = cv2.filter2D(other, -1, kernel, borderType=cv2.BORDER_REPLICATE)
            other = np.asarray(passed, np.uint8)
    if whole == (0, 0):
        return other
    result = frame.copy()
    to, source = _overlap((height, width), whole)
    result[to] = other[source]
    return result


def beside(frame: Picture, other: Picture, move: tuple[float, float]) -> Picture:
    """Do the same with pictures of either kind, both of one.

    Args:
        frame, other: not changed, but ``other`` itself may be what comes back.
        move: down and right, in pixels.
    """
    if not isinstance(frame, Planes):
        assert not isinstance(other, Planes)
        return aligned(frame, other, move)
    assert isinstance(other, Planes)
    if max(abs(move[0]), abs(move[1])) <= ALIGNED:
        return other
    half = move[0] / 2, move[1] / 2
    parts = [
        aligned(frame.luma, other.luma, move),
        *(aligned(a, b, half) for a, b in zip(frame.chroma, other.chroma, strict=True)),
    ]
    samples = np.concatenate([part.ravel() for part in parts])
    return Planes(samples.reshape(frame.samples.shape), other.colour)


def _cubic(move: float) -> NDArray[np.float32]:
    """Return the filter that moves a picture by less than a pixel (Keys, 1981; a = -1/2)."""
    distance = np.abs(np.arange(-2, 3) + move)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    return np.asarray(weights, np.float32)


def _overlap(
    size: tuple[int, int], move: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where the moved picture covers the frame, in the frame's places and in its own."""
    to, source = [], []
    for length, step in zip(size, move, strict=True):
        begin, end = max(0, step), min(length, length + step)
        end = max(begin, end)
        to.append(slice(begin, end))
        source.append(slice(begin - step, end - step))
    return (to[0], to[1]), (source[0], source[1])


def coverage(
    size: tuple[int, int], moves: Sequence[tuple[float, float]]
) -> NDArray[np.uint8] | None:
    """Return how many pictures cover each place after they were moved, as a share of 255.

    Args:
        size: height and width.
        moves: of each picture, down and right, in pixels.

    Returns:
        uint8 H×W, or None where all of them cover every place.
    """
    whole = [(round(down), round(right)) for down, right in moves]
    if all(move == (0, 0) for move in whole):
        return None
    count = np.zeros(size, np.uint8)
    for move in whole:
        to, _ = _overlap(size, move)
        count[to] += 1
    share = np.array([max(0.0, (n - 1) / max(1, len(whole) - 1)) for n in range(256)])
    return np.asarray(
        cv2.LUT(count, np.rint(255 * np.minimum(share, 1)).astype(np.uint8)), np.uint8
    )
