"""What stands in the street and doesn't move: trees, lamp posts, bins, a bench."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.scene.canvas import Canvas, fractal_noise, soft_glow
from streamderain.scene.view import View

__all__ = ["draw_bench", "draw_bin", "draw_lamp", "draw_sign", "draw_tree"]


def _at(picture: NDArray[np.uint8], view: View, x: float, z: float) -> Canvas:
    return Canvas(picture, view.per_metre(z), view.column(x, z), view.row(z))


def _shadow(canvas: Canvas, radius: float, depth: float = 0.12) -> None:
    """Darken the ground under a thing."""
    reach = int(radius * canvas.per_metre * 2) + 2
    left, top = int(canvas.left) - reach, int(canvas.base) - reach
    if left < 0 or top < 0:
        return
    part = canvas.pixels[top : top + 2 * reach, left : left + 2 * reach]
    if part.size == 0:
        return
    y = (np.arange(top, top + part.shape[0]) - canvas.base)[:, None] / (depth * canvas.per_metre)
    x = (np.arange(left, left + part.shape[1]) - canvas.left)[None] / (radius * canvas.per_metre)
    part[:] = (part * (1 - 0.5 * np.exp(-(x**2) - y**2))[..., None]).astype(np.uint8)


def draw_tree(
    picture: NDArray[np.uint8], view: View, x: float, z: float, rng: np.random.Generator
) -> None:
    """Draw a street tree: an iron grid, a trunk, and a crown of leaves with gaps."""
    canvas = _at(picture, view, x, z)
    canvas.disc(0, 0, 0.62, (58, 54, 50), 0.16)
    _shadow(canvas, 0.5)
    for side in (-1, 1):
        canvas.line([(0, 1.9), (side * 0.5, 2.8), (side * 0.9, 3.7)], 0.09, (62, 54, 46))
    canvas.line([(0, 0), (0.03, 1.4), (-0.04, 3.2), (0.02, 4.4)], 0.2, (66, 57, 48))
    canvas.line([(0.05, 0), (0.08, 1.4), (0.01, 3.2)], 0.06, (92, 82, 70))
    ppm = canvas.per_metre
    size = max(1, round(4.4 * ppm))
    left, top = round(canvas.left - size / 2), round(canvas.base - 6.1 * ppm)
    y, across = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    clumps = fractal_noise(rng, size, size, 0.85 * ppm, 4)
    round_off = 1.35 - 3.1 * np.hypot(across, y * 1.12)
    body = round_off + 0.42 * clumps
    leaves = fractal_noise(rng, size, size, 0.13 * ppm, 2)
    alpha = np.clip((body + 0.28 * leaves) * 3.2, 0, 1)
    alpha *= np.clip(1.05 - np.clip(leaves - 1.2, 0, 1), 0, 1)
    light = 0.72 - 0.75 * y + 0.16 * clumps + 0.2 * leaves
    crown = np.array((66, 88, 48), np.float32) * np.clip(light, 0.2, 1.7)[..., None]
    yellow = np.clip(fractal_noise(rng, size, size, 0.6 * ppm, 2), 0, 2)[..., None]
    crown += yellow * np.array((14, 8, -3), np.float32)
    _blend(picture, crown, alpha, left, top)


def _blend(
    picture: NDArray[np.uint8], colour: NDArray[np.float32], alpha: NDArray[np.float32],
    left: int, top: int,
) -> None:  # fmt: skip
    """Lay a coloured layer over a picture; what is outside of it is cut."""
    y0, x0 = max(0, top), max(0, left)
    y1 = min(picture.shape[0], top + alpha.shape[0])
    x1 = min(picture.shape[1], left + alpha.shape[1])
    if y1 <= y0 or x1 <= x0:
        return
    inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    weight = alpha[inside][..., None]
    part = picture[y0:y1, x0:x1]
    part[:] = np.clip(part * (1 - weight) + colour[inside] * weight, 0, 255).astype(np.uint8)


def draw_lamp(picture: NDArray[np.uint8], view: View, x: float, z: float) -> None:
    """Draw a lamp post, lit."""
    canvas = _at(picture, view, x, z)
    _shadow(canvas, 0.25)
    canvas.line([(0, 0), (0, 4.6)], 0.1, (44, 48, 48))
    canvas.line([(-0.02, 0), (-0.02, 4.6)], 0.025, (112, 118, 118))
    canvas.box(-0.12, 0, 0.12, 0.7, (40, 43, 43))
    canvas.box(-0.15, 0.7, 0.15, 0.76, (64, 68, 68))
    canvas.polygon([(-0.14, 4.6), (0.14, 4.6), (0.22, 5.1), (-0.22, 5.1)], (250, 232, 190))
    canvas.polygon([(-0.26, 5.1), (0.26, 5.1), (0, 5.36)], (40, 43, 43))
    soft_glow(
        picture, canvas.left, canvas.base - 4.85 * canvas.per_metre, 0.42 * canvas.per_metre,
        (255, 216, 150), 0.5,
    )  # fmt: skip


def draw_bin(picture: NDArray[np.uint8], view: View, x: float, z: float) -> None:
    """Draw a litter bin."""
    canvas = _at(picture, view, x, z)
    _shadow(canvas, 0.35)
    canvas.box(-0.27, 0, 0.27, 0.9, (44, 62, 52))
    canvas.box(-0.27, 0, -0.1, 0.9, (54, 76, 63))
    canvas.disc(0, 0.9, 0.28, (60, 82, 70), 0.08)
    canvas.disc(0, 0.9, 0.2, (22, 26, 24), 0.05)


def draw_bench(picture: NDArray[np.uint8], view: View, x: float, z: float) -> None:
    """Draw a bench, seen from behind the road."""
    canvas = _at(picture, view, x, z)
    for foot in (-0.7, 0.7):
        canvas.line([(foot, 0), (foot, 0.86)], 0.07, (42, 44, 44))
    for y in (0.42, 0.58, 0.7, 0.82):
        canvas.box(-0.95, y, 0.95, y + 0.09, (104, 76, 50))
        canvas.box(-0.95, y + 0.06, 0.95, y + 0.09, (136, 104, 72))


def draw_sign(picture: NDArray[np.uint8], view: View, x: float, z: float) -> None:
    """Draw a pole with a blue round sign, as at crossings."""
    canvas = _at(picture, view, x, z)
    _shadow(canvas, 0.2)
    canvas.line([(0, 0), (0, 2.9)], 0.07, (128, 130, 130))
    canvas.box(-0.32, 2.25, 0.32, 2.9, (226, 228, 230))
    canvas.box(-0.28, 2.29, 0.28, 2.86, (36, 74, 150))
    canvas.polygon([(-0.17, 2.38), (0.17, 2.38), (0, 2.76)], (232, 232, 232))
    cv2.circle(
        picture, (round(canvas.left), round(canvas.base - 2.56 * canvas.per_metre)),
        max(1, round(0.06 * canvas.per_metre)), (30, 34, 40), -1, cv2.LINE_AA,
    )  # fmt: skip
