"""Whether it rains, from a few patches of the last three frames. Pure, one object a camera.

A streak is there for one frame, brighter than what is behind it, narrow and nearly upright, and
there are others all over the picture. What is not rain lacks one of these: noise darkens as often
as it brightens, snow and insects are not upright, insects are few, leaves stay, lamps light whole
patches. A dozen sums tell these apart; a small network, trained by ``tools/train_gauge.py``, turns
them into a score.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels

__all__ = ["FEATURES", "RainGauge", "Sums", "features"]

PATCH = 64
"""Side of a patch in pixels; it keeps the picture's own, of which streaks are two or three wide."""
ROWS, COLUMNS = 4, 6
WIDEST = 2560
"""Pixels of width from which on every other pixel is enough."""

WEAK, STRONG = 3, 8
"""Levels above its neighbours in time and to its sides."""
LENGTH = 4
"""Pixels along which a streak looks like itself."""
SLANTS = (-3, -1, 0, 1, 3)
MEMORY = 0.15
"""Weight of the latest frame in the sums."""

Sums = NDArray[np.float64]
"""What is summed up of three frames; see :func:`measure_patches`."""

FEATURES = (
    "rising against falling", "strong rising against falling", "amount", "upright",
    "upright rather than level", "upright rather than both slants", "spread", "patches", "motion",
    "brightness",
)  # fmt: skip


def cut_patches(frame: Pixels) -> NDArray[np.uint8]:
    """Return the brightness of patches on a grid: uint8 (rows·columns·64)×64, or less of them.

    Pictures smaller than the grid give fewer or smaller patches.
    """
    if frame.shape[1] > WIDEST:
        frame = frame[::2, ::2]
    height, width = frame.shape[:2]
    side_y, side_x = min(PATCH, height), min(PATCH, width)
    rows, columns = min(ROWS, height // side_y), min(COLUMNS, width // side_x)
    tops = np.linspace(0, height - side_y, rows + 2)[1:-1] if rows > 1 else [(height - side_y) / 2]
    lefts = np.linspace(0, width - side_x, columns + 2)[1:-1] if columns > 1 else [
        (width - side_x) / 2
    ]  # fmt: skip
    if height >= ROWS * PATCH:
        tops = np.linspace(0, height - side_y, rows)
    if width >= COLUMNS * PATCH:
        lefts = np.linspace(0, width - side_x, columns)
    cut = [
        frame[int(top) : int(top) + side_y, int(left) : int(left) + side_x]
        for top in tops
        for left in lefts
    ]
    return np.asarray(cv2.cvtColor(np.concatenate(cut), cv2.COLOR_RGB2GRAY), np.uint8)


def measure_patches(
    before: NDArray[np.uint8], now: NDArray[np.uint8], after: NDArray[np.uint8], patches: int
) -> Sums:
    """Return what three frames' patches show, as means over their pixels that can be averaged.

    Args:
        before, now, after: from :func:`cut_patches`; it is judged whether it rains in ``now``.
        patches: how many they hold.
    """
    rising = _edges(now, np.maximum(before, after))
    falling = _edges(np.minimum(before, after), now)
    strong, strong_falling = _above(rising, STRONG), _above(falling, STRONG)
    weak, weak_falling = float(_above(rising, WEAK).mean()), float(_above(falling, WEAK).mean())
    streaks = np.minimum(rising, 60).astype(np.float32)
    streaks[streaks < WEAK] = 0
    power = float((streaks * streaks).mean())
    upright = [_likeness(streaks, LENGTH, slant) for slant in SLANTS]
    level = _likeness(streaks, 0, LENGTH)
    slanted = (upright[0] + upright[-1]) / 2
    by_patch = strong.reshape(patches, -1).mean(axis=1)
    falling_by_patch = strong_falling.reshape(patches, -1).mean(axis=1)
    wet = float((by_patch > 2 * falling_by_patch + 0.02).mean())
    return np.array(
        [
            weak, weak_falling, float(strong.mean()), float(strong_falling.mean()), power,
            max(upright), level, slanted, float(np.median(by_patch)), wet,
            float(cv2.absdiff(before, after).mean()), float(now.mean()),
        ]
    )  # fmt: skip


def _edges(bright: NDArray[np.uint8], dark: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return by how much one is brighter, less what its sides are: not whole patches in a light."""
    difference = cv2.subtract(bright, dark)
    return np.asarray(cv2.subtract(difference, cv2.blur(difference, (15, 1))), np.uint8)


def _above(picture: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """Return what is above a level, and 0 elsewhere."""
    return np.asarray(np.maximum(picture, level) - np.uint8(level), np.uint8)


def _likeness(picture: NDArray[np.float32], down: int, right: int) -> float:
    """Return the mean product of each pixel and the one so far away."""
    width = picture.shape[1]
    left, other = max(0, -right), max(0, right)
    a = picture[: len(picture) - down, left : width - other]
    b = picture[down:, other : width - left]
    return float((a * b).mean()) if a.size else 0.0


def features(sums: Sums) -> NDArray[np.float64]:
    """Return what :data:`FEATURES` names, of averaged sums."""
    (
        weak, weak_falling, strong, strong_falling, power, upright, level, slanted, median, wet,
        motion, brightness,
    ) = sums  # fmt: skip
    power = power + 0.05
    return np.array(
        [
            np.log((weak + 0.02) / (weak_falling + 0.02)),
            np.log((strong + 0.005) / (strong_falling + 0.005)),
            np.log(strong + 0.003),
            upright / power,
            (upright - level) / power,
            (upright - slanted) / power,
            median / (strong + 0.01),
            wet,
            np.log(motion + 0.3),
            brightness / 255,
        ]
    )


@cache
def _network() -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    stored = json.loads(Path(__file__).with_name("gauge.json").read_text(encoding="utf-8"))
    return [(np.array(layer["weight"]), np.array(layer["bias"])) for layer in stored["layers"]]


def score_of(found: NDArray[np.float64]) -> float:
    """Return the score 0 to 1 of :func:`features`."""
    *hidden, (weight, bias) = _network()
    for w, b in hidden:
        found = np.tanh(w @ found + b)
    return float(1 / (1 + np.exp(-(weight @ found + bias)[0])))


class RainGauge:
    """Tells how surely it rains before a camera.

    Example::

        gauge = RainGauge()
        for frame in frames:
            if gauge.step(frame) > 0.5:
                ...

    The first two frames of a scene say nothing; they score 1, so that rain is not let through.
    """

    def __init__(self) -> None:
        self._patches: list[NDArray[np.uint8]] = []
        self._sums: Sums | None = None
        self._size: tuple[int, ...] = ()

    def reset(self) -> None:
        """Forget what was seen: another scene begins."""
        self._patches.clear()
        self._sums = None

    def step(self, frame: Pixels) -> float:
        """Return the score 0 to 1 after one more frame, uint8 H×W×3 RGB."""
        sums = self.measure(frame)
        return 1.0 if sums is None else score_of(features(sums))

    def measure(self, frame: Pixels) -> Sums | None:
        """Take one more frame; return the averaged sums, None before the third."""
        if frame.shape != self._size:
            self.reset()
            self._size = frame.shape
        self._patches = [*self._patches[-2:], cut_patches(frame)]
        if len(self._patches) < 3:
            return None
        patches = max(1, self._patches[0].shape[0] // min(PATCH, max(1, frame.shape[0])))
        before, now, after = self._patches
        fresh = measure_patches(before, now, after, patches)
        if self._sums is None:
            self._sums = fresh
        else:
            self._sums = self._sums + MEMORY * (fresh - self._sums)
        return self._sums
