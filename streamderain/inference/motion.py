"""How far a whole picture has moved since the one before. Pure.

First coarsely by phase correlation (Kuglin & Hines, "The phase correlation image alignment method",
1975), then to a few hundredths of a pixel by Gauss-Newton steps on a grid of samples (Lucas &
Kanade, 1981) with weights that leave out what doesn't fit: rain, and what moves by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture
from streamderain.inference.pictures import contrast_of, in_full, luma_of, median_of

__all__ = ["Luma", "Movement", "changed", "measure", "prepare"]

Samples = tuple[NDArray[np.float32], ...]
"""Of as many places each: by how much they are brighter than before, the gradients down and right,
and the products of two gradients: down and down, down and right, right and right."""

COARSE_WIDTH = 160
BLOCKS_WIDTH = 16
FINE_WIDTH = 960
SAMPLES = 24_000
STEPS = 3
NEARBY = 0.2
"""Pixels of a ``fine`` picture that steps make up for, as it is smoothed."""
ENOUGH = 0.01
"""Pixels of a ``fine`` picture: a step that is shorter is the last one."""
SCALE = 6.0
"""Levels at which a difference counts half: more than noise, less than a streak."""

STREAK = 5
"""Pixels of a ``fine`` picture that streaks are narrower than."""
CHANGED = 16.0
"""Levels by which a block has to differ to be another one."""
STRUCTURE = 5.0
"""Standard deviation, in levels, from which on a block has a structure; rain in it has less."""
LIT = 0.2
"""Change of the light, as a share, that is one; rain brightens a picture by less."""
ALIKE = 0.25
"""Correlation of blocks that show the same."""


@dataclass(frozen=True)
class Luma:
    """The brightness of a picture, as :func:`measure` and :func:`changed` compare it.

    Attributes:
        small: uint8, at most 960 pixels wide: means of whole pixels.
        reduction: pixels of the picture for one of ``small``.
    """

    small: NDArray[np.uint8]
    reduction: float

    @cached_property
    def fine(self) -> NDArray[np.uint8]:
        """As large, a little smoothed."""
        return np.asarray(cv2.GaussianBlur(self.small, (0, 0), 1.0), np.uint8)

    @cached_property
    def coarse(self) -> NDArray[np.float32]:
        """At most 160 wide, without streaks: of the darkest pixels around each."""
        darkest = cv2.erode(self.small, np.ones((STREAK, STREAK), np.uint8))
        return _reduced(np.asarray(darkest, np.float32), COARSE_WIDTH)


@dataclass(frozen=True, slots=True)
class Movement:
    """How far the contents have moved between two pictures, in pixels."""

    down: float
    right: float


def prepare(picture: Picture) -> Luma:
    """Reduce a picture to what its movement is measured by."""
    grey = luma_of(picture)
    reduction = 1.0
    if grey.shape[1] > FINE_WIDTH:
        # By whole pixels: a mean of four, say, takes a sixth of the time of one with fractions.
        whole = -(-grey.shape[1] // FINE_WIDTH)
        height, width = grey.shape[0] // whole, grey.shape[1] // whole
        reduction = float(whole)
        even = grey[: height * whole, : width * whole]
        grey = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return Luma(in_full(grey, contrast_of(picture)), reduction)


def _reduced(luma: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    ratio = max(1.0, luma.shape[1] / width)
    size = max(1, round(luma.shape[1] / ratio)), max(1, round(luma.shape[0] / ratio))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)


def measure(before: Luma, now: Luma, guess: tuple[float, float] = (0.0, 0.0)) -> Movement:
    """Find how far the contents have moved from one picture to the next.

    Args:
        before, now: of pictures of one size.
        guess: how far they moved before that, down and right, in pixels; tried as well.

    Raises:
        ValueError: the sizes differ.
    """
    if before.small.shape != now.small.shape:
        raise ValueError("pictures of two sizes have no movement")
    gain = _gain(before, now)
    starts = [(0.0, 0.0)]
    candidates = [(guess[0] / now.reduction, guess[1] / now.reduction)]
    if min(now.coarse.shape) >= 8:
        candidates.append(_coarse(before, now, gain))
    for down, right in candidates:
        # From so near, the same is found.
        if all(max(abs(down - a), abs(right - b)) > NEARBY for a, b in starts):
            starts.append((down, right))
    samples = cache(partial(_samples, before.fine, now.fine, gain))  # starts and steps ask alike
    best = min((_refine(samples, start) for start in starts), key=lambda found: found[2])
    down, right, _ = best
    return Movement(down * now.reduction, right * now.reduction)


def _gain(before: Luma, now: Luma) -> np.float32:
    """Return what makes a picture as bright as another: a change of light is no movement."""
    there, here = (median_of(luma.fine[::8, ::8]) + 1 for luma in (before, now))
    gain = np.float32(_within(here / there, 0.25, 4.0))
    return np.float32(1) if abs(gain - 1) < LIT else gain


def changed(before: Luma, now: Luma, movement: Movement) -> float:
    """Return the share of the picture that is another one after it has moved, 0 to 1.

    In blocks so large that single streaks don't count: one is another if it is brighter or darker
    by 16 levels, or if it has a structure and that doesn't correlate. 1 at a cut or where a lamp
    floods the scene, a tenth in heavy rain, the share that they cover for things that move.
    """
    ratio = now.reduction * now.small.shape[1] / now.coarse.shape[1]
    matrix = np.array([[1, 0, movement.right / ratio], [0, 1, movement.down / ratio]])
    height, width = now.coarse.shape
    moved = cv2.warpAffine(before.coarse, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    a, b = np.asarray(moved, np.float32), now.coarse
    mean_a, mean_b, aa, bb, ab = (_reduced(x, BLOCKS_WIDTH) for x in (a, b, a * a, b * b, a * b))
    variance_a, variance_b = aa - mean_a**2, bb - mean_b**2
    likeness = (ab - mean_a * mean_b) / np.sqrt(np.maximum(variance_a * variance_b, 1e-3))
    structured = np.minimum(variance_a, variance_b) > STRUCTURE**2
    other = (np.abs(mean_a - mean_b) > CHANGED) | (structured & (likeness < ALIKE))
    return float(np.mean(other))


def _coarse(before: Luma, now: Luma, gain: np.float32) -> tuple[float, float]:
    """Return the shift by phase correlation, in pixels of the fine pictures."""
    height, width = now.coarse.shape
    window = _hanning(height, width)
    # The window is laid over the arguments themselves where they need no padding.
    (right, down), _ = cv2.phaseCorrelate(gain * before.coarse, now.coarse.copy(), window)
    ratio = now.small.shape[1] / width
    return round(down * ratio, 1), round(right * ratio, 1)


@lru_cache(maxsize=16)
def _hanning(height: int, width: int) -> cv2.typing.MatLike:
    return cv2.createHanningWindow((width, height), cv2.CV_32F)


def _refine(
    samples_at: Callable[[int, int], Samples | None], start: tuple[float, float]
) -> tuple[float, float, float]:
    """Improve a shift; return it and the robust difference that stays, the smaller the better.

    Of a last step that is shorter than :data:`ENOUGH`, the difference is that before it.
    """
    down, right = start
    cost = np.inf
    best = (0.0, 0.0, np.inf)
    for _ in range(STEPS + 1):
        samples = samples_at(round(down), round(right))
        if samples is None:
            break
        difference, gy, gx, gyy, gyx, gxx = samples
        rest = difference + (down - round(down)) * gy + (right - round(right)) * gx
        weight = 1 / (1 + np.square(rest / SCALE))
        cost = 1 - float(weight.mean())
        if cost >= best[2] - 1e-6:
            break
        best = (down, right, cost)
        a, b, c = (_product(weight, of) for of in (gyy, gyx, gxx))
        weighted = weight * rest
        p, q = -_product(weighted, gy), -_product(weighted, gx)
        determinant = a * c - b * b
        if determinant <= 1e-3 * (a + c) ** 2 / 4 or a + c < len(rest):
            break  # nothing, or edges in one direction only, to hold on to
        step = (
            _within((c * p - b * q) / determinant, -1.5, 1.5),
            _within((a * q - b * p) / determinant, -1.5, 1.5),
        )
        down, right = down + step[0], right + step[1]
        if max(map(abs, step)) < ENOUGH:
            return down, right, cost
    return best


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def _product(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the sum of products, by this thread alone: BLAS would share it among its own."""
    return float(np.einsum("i,i->", a, b))


def _samples(
    before: NDArray[np.uint8], now: NDArray[np.uint8], gain: np.float32, down: int, right: int
) -> Samples | None:
    """Return what is measured at a grid of places."""
    height, width = now.shape
    top, bottom = max(1, 1 + down), min(height - 1, height - 1 + down)
    left, end = max(1, 1 + right), min(width - 1, width - 1 + right)
    if bottom - top < 8 or end - left < 8:
        return None
    step = max(1, int(np.sqrt((bottom - top) * (end - left) / SAMPLES)))

    def at(luma: NDArray[np.uint8], down: int, right: int) -> NDArray[np.float32]:
        places = luma[top + down : bottom + down : step, left + right : end + right : step]
        return places.astype(np.float32).ravel()

    old = gain * at(before, -down, -right)
    half = np.float32(0.5)
    down_by = half * (at(now, 1, 0) - at(now, -1, 0))
    right_by = half * (at(now, 0, 1) - at(now, 0, -1))
    products = down_by * down_by, down_by * right_by, right_by * right_by
    return at(now, 0, 0) - old, down_by, right_by, *products
