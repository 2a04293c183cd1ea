"""Drawing in metres, antialiased, and the noise that makes surfaces look real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Rgb", "fractal_noise", "shaded", "soft_glow"]

Rgb = tuple[int, int, int]

_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel


@dataclass(frozen=True)
class Canvas:
    """A picture on which things are drawn in metres, x to the right and y up.

    Attributes:
        pixels: uint8 H×W×3 or H×W×4; drawn into.
        per_metre: pixels.
        left, base: column of x = 0 and row of y = 0, in pixels.
    """

    pixels: NDArray[np.uint8]
    per_metre: float
    left: float
    base: float

    def polygon(self, points: Sequence[tuple[float, float]], colour: Rgb) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.pixels, [self._fixed(points)], self._filled(colour), cv2.LINE_AA, _SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Rgb) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Rgb) -> None:
        """Draw a line through points, ``width`` metres thick, with round ends."""
        thickness = max(1, round(width * self.per_metre))
        cv2.polylines(
            self.pixels, [self._fixed(points)], False, self._filled(colour), thickness,
            cv2.LINE_AA, _SHIFT,
        )  # fmt: skip

    def disc(
        self, x: float, y: float, rx: float, colour: Rgb, ry: float | None = None,
        angles: tuple[float, float] = (0, 360),
    ) -> None:  # fmt: skip
        """Fill an ellipse, or a sector of one: angles in degrees, clockwise from the right."""
        (centre,) = self._fixed([(x, y)])
        axes = [round(r * self.per_metre * 2**_SHIFT) for r in (rx, rx if ry is None else ry)]
        cv2.ellipse(
            self.pixels, (int(centre[0]), int(centre[1])), (axes[0], axes[1]), 0, angles[0],
            angles[1], self._filled(colour), -1, cv2.LINE_AA, _SHIFT,
        )  # fmt: skip

    def _fixed(self, points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        metres = np.asarray(points, np.float64)
        pixels = metres * (self.per_metre, -self.per_metre) + (self.left, self.base)
        return np.asarray(np.rint(pixels * 2**_SHIFT), np.int32)

    def _filled(self, colour: Rgb) -> tuple[int, ...]:
        """Return the colour, opaque where the picture has an alpha channel."""
        return (*colour, 255) if self.pixels.shape[2] == 4 else colour


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4,
    stretch: float = 1.0,
) -> NDArray[np.float32]:  # fmt: skip
    """Return smooth noise of several scales, float32 H×W, mean 0 and standard deviation 1.

    Args:
        rng: its source.
        height, width: of the field in pixels.
        cell: size of the largest grains in pixels.
        octaves: how many scales, each of half the size and half the strength.
        stretch: how much wider than high the grains are.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(1.0, cell / 2**octave)
        shape = (int(height / size) + 3, int(width / (size * stretch)) + 3)
        grains = rng.standard_normal(shape).astype(np.float32)
        smooth = cv2.resize(grains, (width, height), interpolation=cv2.INTER_CUBIC)
        total += np.asarray(smooth, np.float32) / 2**octave
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def shaded(
    picture: NDArray[np.uint8], field: NDArray[np.float32], amount: float
) -> NDArray[np.uint8]:
    """Return a picture made brighter and darker by a share of itself, as ``field`` says."""
    factor = (1 + amount * field)[..., None]
    return np.clip(picture * factor, 0, 255).astype(np.uint8)


def soft_glow(
    picture: NDArray[np.uint8], x: float, y: float, radius: float, colour: Rgb, strength: float
) -> None:
    """Add a light with a soft edge to a picture, in place; all in pixels."""
    reach = int(radius * 2.5) + 1
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    part = picture[top : int(y) + reach + 1, left : int(x) + reach + 1]
    if part.size == 0:
        return
    rows = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] - y
    columns = np.arange(left, left + part.shape[1], dtype=np.float32)[None] - x
    light = strength * np.exp(-(rows**2 + columns**2) / (2 * radius**2))
    part[:] = np.minimum(part + light[..., None] * np.asarray(colour, np.float32), 255)
