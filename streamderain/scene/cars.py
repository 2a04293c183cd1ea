"""Cars from the side: drawn once, large, with an alpha channel; placed between pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.scene.canvas import Canvas, Rgb

__all__ = ["BODIES", "CarBody", "draw_car", "place", "with_ground"]

MARGIN = 0.35
"""Metres around a car in its picture."""


@dataclass(frozen=True)
class CarBody:
    """The outline of a car, metres, facing right: nose at x = ``length``.

    Attributes:
        length, height: of the whole.
        outline: from the rear bumper over the roof to the front bumper.
        cabin: the outline of the windows.
        pillars: x of the posts between the windows.
        wheels: x of the axles.
    """

    length: float
    height: float
    outline: tuple[tuple[float, float], ...]
    cabin: tuple[tuple[float, float], ...]
    pillars: tuple[float, ...]
    wheels: tuple[float, float]


BODIES = {
    "hatchback": CarBody(
        4.05, 1.47,
        ((0.04, 0.42), (0.02, 0.75), (0.12, 0.98), (0.42, 1.36), (0.75, 1.45), (1.6, 1.47),
         (2.15, 1.4), (2.95, 1.02), (3.7, 0.86), (3.97, 0.68), (4.04, 0.42)),
        ((0.36, 1.0), (0.58, 1.33), (0.85, 1.39), (1.6, 1.4), (2.08, 1.33), (2.72, 1.0)),
        (1.52,), (0.78, 3.22),
    ),
    "saloon": CarBody(
        4.6, 1.42,
        ((0.05, 0.42), (0.02, 0.72), (0.1, 0.95), (0.72, 1.02), (1.25, 1.36), (1.7, 1.42),
         (2.4, 1.4), (3.25, 1.0), (4.2, 0.86), (4.5, 0.7), (4.59, 0.42)),
        ((0.98, 1.0), (1.36, 1.31), (1.7, 1.36), (2.36, 1.34), (3.02, 0.99)),
        (1.28, 2.06), (0.92, 3.7),
    ),
    "van": CarBody(
        5.1, 2.05,
        ((0.04, 0.4), (0.02, 1.7), (0.08, 1.98), (0.3, 2.05), (3.3, 2.05), (3.7, 1.95),
         (4.25, 1.28), (4.85, 1.08), (5.03, 0.78), (5.08, 0.4)),
        ((3.02, 1.25), (3.02, 1.82), (3.55, 1.82), (4.02, 1.25)),
        (), (0.95, 4.1),
    ),
}  # fmt: skip


def draw_car(body: CarBody, paint: Rgb, per_metre: float) -> NDArray[np.uint8]:
    """Return a car facing right, uint8 H×W×4 RGB and alpha, its wheels on the last row."""
    over = 4  # drawn larger, then reduced: smooth edges
    scale = per_metre * over
    width = max(1, round((body.length + 2 * MARGIN) * scale))
    height = max(1, round((body.height + 0.15) * scale))
    pixels: NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
    canvas = Canvas(pixels, scale, MARGIN * scale, height)
    canvas.polygon([(0.3, -0.05), (body.length - 0.3, -0.05), (body.length - 0.15, 0.42),
                    (0.15, 0.42)], (26, 26, 28))  # fmt: skip
    canvas.polygon(_smooth(body.outline), paint)
    _shade_body(pixels, canvas)
    _glass(canvas, body)
    _details(canvas, body, paint)
    for x in body.wheels:
        _wheel(canvas, x)
    size = max(1, round(width / over)), max(1, round(height / over))
    pixels[..., :3] = _bleed(pixels)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _smooth(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Round the corners by cutting them twice (Chaikin, 1974)."""
    line = list(points)
    for _ in range(2):
        cut = [line[0]]
        for (x0, y0), (x1, y1) in pairwise(line):
            cut.append((0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1))
            cut.append((0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1))
        line = [*cut, line[-1]]
    return line


def _shade_body(pixels: NDArray[np.uint8], canvas: Canvas) -> None:
    """Light from the sky above, a bright shoulder, a dark sill."""
    y = (canvas.base - np.arange(pixels.shape[0], dtype=np.float32)) / canvas.per_metre
    light = 0.62 + 0.34 * np.clip((y - 0.3) / 0.9, 0, 1)
    light += 0.36 * np.exp(-(((y - 0.92) / 0.07) ** 2)) - 0.12 * np.exp(-(((y - 0.78) / 0.05) ** 2))
    light += 0.22 * np.clip((y - 1.3) / 0.15, 0, 1)
    shaded = pixels[..., :3] * light[:, None, None]
    pixels[..., :3] = np.clip(shaded, 0, 255).astype(np.uint8)


def _glass(canvas: Canvas, body: CarBody) -> None:
    canvas.polygon(body.cabin, (30, 36, 40))
    x = [point[0] for point in body.cabin]
    top = max(point[1] for point in body.cabin)
    low = min(point[1] for point in body.cabin)
    for share, colour in ((0.0, (112, 124, 132)), (0.3, (84, 95, 103)), (0.55, (54, 62, 68))):
        inner = [
            (px, min(py, top - share * (top - low))) for px, py in body.cabin
        ]  # lower bands are drawn over: brighter towards the roof
        canvas.polygon(inner, colour)
    left = min(x)
    span = max(x) - left
    canvas.polygon([(left + 0.2 * span, low), (left + 0.27 * span, low),
                    (left + 0.45 * span, top - 0.03), (left + 0.38 * span, top - 0.03)],
                   (140, 152, 160))  # fmt: skip
    for pillar in body.pillars:
        canvas.polygon([(pillar - 0.05, low), (pillar + 0.05, low), (pillar + 0.03, top),
                        (pillar - 0.04, top)], (22, 24, 26))  # fmt: skip


def _details(canvas: Canvas, body: CarBody, paint: Rgb) -> None:
    dark = (int(paint[0] * 0.4), int(paint[1] * 0.4), int(paint[2] * 0.4))
    length = body.length
    canvas.polygon([(0.1, 0.22), (length - 0.1, 0.22), (length - 0.02, 0.44), (0.02, 0.44)],
                   (34, 35, 37))  # fmt: skip
    for x in body.pillars or (body.cabin[0][0],):
        canvas.line([(x, 0.45), (x - 0.01, 0.99)], 0.016, dark)
        canvas.box(x + 0.1, 0.84, x + 0.26, 0.875, dark)
        canvas.box(x + 0.1, 0.862, x + 0.26, 0.875, (214, 218, 220))
    canvas.line([(body.wheels[1] - 0.42, 0.45), (body.wheels[1] - 0.38, 0.95)], 0.016, dark)
    canvas.polygon([(length - 0.5, 0.7), (length - 0.08, 0.62), (length - 0.05, 0.74),
                    (length - 0.42, 0.84)], (236, 238, 230))  # fmt: skip
    canvas.polygon([(0.03, 0.72), (0.3, 0.76), (0.28, 0.92), (0.07, 0.94)], (170, 28, 26))
    canvas.box(0.03, 0.79, 0.2, 0.83, (236, 110, 90))
    mirror = body.cabin[-1][0] - 0.14
    canvas.disc(mirror, 1.03, 0.1, dark, 0.06)


def _wheel(canvas: Canvas, x: float) -> None:
    canvas.disc(x, 0.33, 0.41, (16, 16, 17), angles=(180, 360))
    canvas.disc(x, 0.32, 0.32, (24, 24, 25))
    canvas.disc(x, 0.32, 0.215, (134, 138, 140))
    canvas.disc(x, 0.32, 0.18, (70, 72, 74))
    for spoke in range(5):
        angle = 2 * np.pi * spoke / 5 + 0.3
        end = x + 0.19 * float(np.cos(angle)), 0.32 + 0.19 * float(np.sin(angle))
        canvas.line([(x, 0.32), end], 0.055, (158, 162, 164))
    canvas.disc(x, 0.32, 0.05, (96, 98, 100))


def _bleed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Let colour run out under the transparent rim, so that edges don't darken when reduced."""
    known = pixels[..., 3] > 0
    soft = cv2.blur(pixels[..., :3] * known[..., None].astype(np.float32), (9, 9))
    weight = cv2.blur(known.astype(np.float32), (9, 9))[..., None]
    spread = soft / np.maximum(weight, 1e-3)
    return np.where(known[..., None], pixels[..., :3], spread).astype(np.uint8)


def with_ground(sprite: NDArray[np.uint8], per_metre: float) -> tuple[NDArray[np.uint8], int]:
    """Add what a thing does to the wet ground under it: a soft shadow and a mirror image.

    Returns:
        A taller sprite, and how many rows of it lie below the ground line.
    """
    solid = np.flatnonzero(sprite[..., 3].max(axis=1) > 200)
    if solid.size:
        sprite = sprite[: solid[-1] + 1]  # a gap above the shadow would look like floating
    height = sprite.shape[0]
    below = max(2, round(0.62 * per_metre))
    flipped = cv2.flip(sprite, 0)[:below].astype(np.float32)
    mirrored = np.asarray(cv2.blur(flipped, (3, max(1, below // 4))), np.float32)
    fade = np.linspace(0.42, 0.0, mirrored.shape[0], dtype=np.float32)[:, None]
    mirrored[..., 3] *= fade
    foot = cv2.blur(sprite[-max(1, round(0.3 * per_metre)) :, :, 3].max(0)[None], (9, 1))
    reach = np.exp(-((np.arange(below) / (0.16 * per_metre)) ** 2))[:, None]
    shadow = np.asarray(foot, np.float32) * reach * 0.72
    weight = np.maximum(shadow + mirrored[..., 3] * (1 - shadow / 255), 1e-3)
    colour = mirrored[..., :3] * (mirrored[..., 3] * (1 - shadow / 255) / weight)[..., None]
    ground = np.dstack([colour, np.minimum(weight, 255)])
    grown = np.concatenate([sprite, np.clip(ground, 0, 255).astype(np.uint8)])
    return grown, grown.shape[0] - height


def place(picture: NDArray[np.uint8], sprite: NDArray[np.uint8], x: float, y: float) -> None:
    """Lay a sprite H×W×4 over a picture, its upper left corner at a place between pixels."""
    height, width = sprite.shape[:2]
    left, top = int(np.floor(x)), int(np.floor(y))
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(picture.shape[1], left + width + 1), min(picture.shape[0], top + height + 1)
    if x1 <= x0 or y1 <= y0:
        return
    shift = np.array([[1, 0, x - left], [0, 1, y - top]], np.float32)
    moved = cv2.warpAffine(sprite, shift, (width + 1, height + 1), flags=cv2.INTER_LINEAR)
    part = moved[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = cv2.merge([part[..., 3]] * 3).astype(np.uint16)
    under = picture[y0:y1, x0:x1]
    mixed = part[..., :3] * alpha + under * (255 - alpha) + 127
    under[:] = (mixed // 255).astype(np.uint8)
