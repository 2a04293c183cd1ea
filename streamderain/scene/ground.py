"""Pavement, kerbs and the wet road, painted from above and laid into perspective."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.scene.canvas import Canvas, fractal_noise, shaded
from streamderain.scene.view import FACADE_Z, View

__all__ = ["FAR_KERB_Z", "NEAR_KERB_Z", "lay_ground", "wet"]

NEAR_Z = 7.4
HALF_WIDTH = 16.5
PER_METRE = 90.0
FAR_KERB_Z = 17.2
NEAR_KERB_Z = 9.5


def lay_ground(picture: NDArray[np.uint8], view: View, rng: np.random.Generator) -> None:
    """Paint the ground into a uint8 H×W×3 picture, from the foot of the houses down."""
    plan = _plan(rng)
    high, wide = plan.shape[:2]
    metres = [(-HALF_WIDTH, FACADE_Z), (HALF_WIDTH, FACADE_Z), (HALF_WIDTH, NEAR_Z),
              (-HALF_WIDTH, NEAR_Z)]  # fmt: skip
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float32)
    seen = np.array([(view.column(x, z), view.row(z)) for x, z in metres], np.float32)
    size = picture.shape[1], picture.shape[0]
    warp = cv2.getPerspectiveTransform(corners, seen)
    laid = cv2.warpPerspective(
        plan, warp, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    top = round(view.row(FACADE_Z))
    picture[max(0, top) :] = np.asarray(laid, np.uint8)[max(0, top) :]


def _plan(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the ground from above, far edge first."""
    high, wide = (round(length * PER_METRE) for length in (FACADE_Z - NEAR_Z, 2 * HALF_WIDTH))
    plan: NDArray[np.uint8] = np.full((high, wide, 3), (74, 75, 78), np.uint8)
    # y of this canvas is the distance from the camera.
    canvas = Canvas(plan, PER_METRE, wide / 2, high + NEAR_Z * PER_METRE)
    _asphalt(canvas, rng)
    _markings(canvas)
    plan[:] = _worn(plan, rng)
    for far, near in ((FACADE_Z, FAR_KERB_Z), (NEAR_KERB_Z, NEAR_Z)):
        _pavement(canvas, near, far, rng)
    for z, outwards in ((FAR_KERB_Z, 1), (NEAR_KERB_Z, -1)):
        low, top = sorted((z, z + 0.28 * outwards))
        canvas.box(-HALF_WIDTH, low, HALF_WIDTH, top, (150, 148, 142))
        for x in np.arange(-HALF_WIDTH, HALF_WIDTH, 0.95):
            canvas.box(x, low, x + 0.025, top, (104, 102, 98))
        gutter = sorted((z, z - 0.32 * outwards))
        canvas.box(-HALF_WIDTH, gutter[0], HALF_WIDTH, gutter[1], (58, 59, 62))
        face = sorted((z, z - 0.05))
        canvas.box(-HALF_WIDTH, face[0], HALF_WIDTH, face[1], (92, 90, 87))
    grain = fractal_noise(rng, high, wide, 5, 2)
    return shaded(plan, grain, 0.05)


def _asphalt(canvas: Canvas, rng: np.random.Generator) -> None:
    for x0, x1, z0, z1 in ((-7.2, -4.1, 12.6, 14.4), (3.4, 9.5, 10.2, 11.3)):  # mended places
        canvas.box(x0, z0, x1, z1, (62, 63, 66))
        canvas.line([(x0, z0), (x1, z0), (x1, z1), (x0, z1), (x0, z0)], 0.04, (46, 46, 49))
    for _ in range(9):  # cracks
        x, z = rng.uniform(-14, 14), rng.uniform(NEAR_KERB_Z, FAR_KERB_Z)
        points = [(x, z)]
        for _ in range(14):
            x, z = x + rng.uniform(-0.1, 0.4), z + rng.normal(0, 0.12)
            points.append((x, z))
        canvas.line(points, 0.02, (52, 52, 55))
    for x, z in ((-2.1, 11.8), (6.3, 14.9)):
        canvas.disc(x, z, 0.38, (54, 53, 52))
        canvas.disc(x, z, 0.33, (84, 82, 78))
        for step in np.arange(-0.24, 0.25, 0.12):
            canvas.line([(x - 0.2, z + step), (x + 0.2, z + step)], 0.03, (60, 59, 57))


def _markings(canvas: Canvas) -> None:
    paint = (196, 197, 192)
    middle = 12.35
    for x in np.arange(-15.0, 15.0, 3.0):
        if not -10.6 < x < -5.2:
            canvas.box(x, middle - 0.07, x + 1.6, middle + 0.07, paint)
    for z in (FAR_KERB_Z - 0.55, NEAR_KERB_Z + 0.5):
        for x0, x1 in ((-HALF_WIDTH, -9.8), (-5.0, HALF_WIDTH)):
            canvas.box(x0, z - 0.05, x1, z + 0.05, (182, 164, 84))
    for x in np.arange(-9.4, -5.6, 0.9):  # zebra crossing
        canvas.box(x, NEAR_KERB_Z + 0.45, x + 0.48, FAR_KERB_Z - 0.45, paint)


def _worn(plan: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Wear the markings, and make the tracks of the wheels smoother and darker."""
    high, wide = plan.shape[:2]
    patches = fractal_noise(rng, high, wide, 160, 4, stretch=2.0)
    plan = shaded(plan, patches, 0.05)
    wear = fractal_noise(rng, high, wide, 26, 3) > 1.05
    plan[wear] = (plan[wear] * 0.35 + np.array((74, 75, 78)) * 0.65).astype(np.uint8)
    z = FACADE_Z - np.arange(high, dtype=np.float32) / PER_METRE
    tracks: NDArray[np.float32] = np.zeros(high, np.float32)
    for lane in (10.9, 13.7):
        for side in (-0.75, 0.75):
            tracks -= np.exp(-(((z - lane - side) / 0.3) ** 2))
    return shaded(plan, np.repeat(tracks[:, None], wide, axis=1), 0.1)


def _pavement(canvas: Canvas, near: float, far: float, rng: np.random.Generator) -> None:
    canvas.box(-HALF_WIDTH, near, HALF_WIDTH, far, (88, 85, 80))
    deep, long = 0.55, 0.8
    for row, z in enumerate(np.arange(near, far, deep)):
        for x in np.arange(-HALF_WIDTH - long * 0.5 * (row % 2), HALF_WIDTH, long):
            tone = float(rng.normal(1.0, 0.055))
            colour = int(118 * tone), int(114 * tone), int(107 * tone)
            canvas.box(x + 0.012, z + 0.012, x + long - 0.012, min(z + deep, far) - 0.012, colour)


def wet(picture: NDArray[np.uint8], view: View, rng: np.random.Generator) -> None:
    """Let the wet ground mirror what stands on it, in place: blurred, strongest in puddles."""
    height, width = picture.shape[:2]
    top = round(view.row(FACADE_Z))
    rows = min(top, height - top)
    if rows < 1:
        return  # a picture so wide that only the ground is in it
    mirrored = cv2.flip(picture[top - rows : top], 0)
    smeared = cv2.blur(mirrored, (max(1, width // 200), max(3, height // 9)))
    sharp = cv2.blur(mirrored, (1, max(3, height // 60)))
    puddles = fractal_noise(rng, height - top, width, width / 12, 4, stretch=4.0)
    weight = np.clip((puddles - 0.75) * 1.6, 0, 1)[:rows, :, None]
    away = np.linspace(1, 0.25, rows, dtype=np.float32)[:, None, None]  # steeper, less mirrored
    strength = (0.34 + 0.3 * weight) * away
    part = picture[top : top + rows]
    mirror = smeared * (1 - weight) + sharp * weight
    part[:] = np.clip(part * (1 - 0.75 * strength) + mirror * strength, 0, 255).astype(np.uint8)
