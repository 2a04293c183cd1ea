"""People who walk by, drawn anew in every frame: legs, arms, a coat, perhaps an umbrella."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.scene.canvas import Canvas, Rgb

__all__ = ["Walker", "draw_walker"]

STEP_LENGTH = 1.35
"""Metres of a whole cycle, both legs."""

_THIGH, _SHIN, _HIP = 0.42, 0.44, 0.88


@dataclass(frozen=True)
class Walker:
    """Somebody who walks along the street.

    Attributes:
        z: distance from the camera in metres.
        speed: metres a second; below 0 to the left.
        start: where they are at the beginning, as a share of the way across.
        height: in metres.
        coat, trousers, skin, hair: colours.
        umbrella: its colour, or None for a hood.
    """

    z: float
    speed: float
    start: float
    height: float
    coat: Rgb
    trousers: Rgb
    skin: Rgb
    hair: Rgb
    umbrella: Rgb | None = None


def draw_walker(walker: Walker, walked: float, per_metre: float) -> NDArray[np.uint8]:
    """Return somebody after so many metres of their way, facing right, uint8 H×W×4.

    Their feet are on the last row, their middle in the middle.
    """
    over = 3
    grown = walker.height / 1.75
    scale = per_metre * over * grown
    width, height = max(1, round(1.5 * scale)), max(1, round(2.3 * scale))
    pixels: NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
    canvas = Canvas(pixels, scale, width / 2, height - 0.02 * scale)
    phase = 2 * math.pi * walked / (STEP_LENGTH * grown)
    bob = 0.02 * math.cos(2 * phase)
    _leg(canvas, phase + math.pi, bob, _shade(walker.trousers, 0.72))
    _arm(canvas, phase, bob, _shade(walker.coat, 0.7), walker)
    _leg(canvas, phase, bob, walker.trousers)
    _body(canvas, bob, walker)
    if walker.umbrella is None:
        _arm(canvas, phase + math.pi, bob, _shade(walker.coat, 1.12), walker)
    else:
        _umbrella(canvas, bob, walker, walker.umbrella)
    size = max(1, round(width / over)), max(1, round(height / over))
    reduced = cv2.resize(_premultiplied(pixels), size, interpolation=cv2.INTER_AREA)
    return _straight(np.asarray(reduced, np.float32))


def _premultiplied(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    result = pixels.astype(np.float32)
    result[..., :3] *= result[..., 3:] / 255
    return result


def _straight(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    pixels[..., :3] *= 255 / np.maximum(pixels[..., 3:], 1)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _leg(canvas: Canvas, phase: float, bob: float, colour: Rgb) -> None:
    """Draw a leg: the thigh swings, the knee bends while the leg comes forward."""
    thigh = 0.46 * math.sin(phase)
    bend = 0.12 + 0.85 * max(0.0, math.cos(phase)) ** 1.5
    hip = (0.0, _HIP + bob)
    knee = hip[0] + _THIGH * math.sin(thigh), hip[1] - _THIGH * math.cos(thigh)
    shin = thigh - bend
    foot = knee[0] + _SHIN * math.sin(shin), max(0.03, knee[1] - _SHIN * math.cos(shin))
    canvas.line([hip, knee], 0.17, colour)
    canvas.line([knee, foot], 0.125, colour)
    toe = foot[0] + 0.16, max(0.03, foot[1] - 0.03 + 0.1 * max(0.0, math.sin(phase)))
    canvas.line([foot, toe], 0.085, (30, 28, 27))


def _arm(canvas: Canvas, phase: float, bob: float, colour: Rgb, walker: Walker) -> None:
    swing = -0.42 * math.sin(phase)
    shoulder = (0.02, 1.4 + bob)
    elbow = shoulder[0] + 0.29 * math.sin(swing), shoulder[1] - 0.29 * math.cos(swing)
    hand = elbow[0] + 0.25 * math.sin(swing + 0.35), elbow[1] - 0.25 * math.cos(swing + 0.35)
    canvas.line([shoulder, elbow, hand], 0.1, colour)
    canvas.disc(*hand, 0.05, walker.skin)


def _body(canvas: Canvas, bob: float, walker: Walker) -> None:
    hem = 0.74 + bob
    canvas.polygon([(-0.2, hem), (0.21, hem), (0.19, 1.2 + bob), (0.16, 1.47 + bob),
                    (-0.13, 1.49 + bob), (-0.2, 1.25 + bob)], walker.coat)  # fmt: skip
    canvas.polygon([(-0.2, hem), (-0.1, hem), (-0.09, 1.48 + bob), (-0.13, 1.49 + bob),
                    (-0.2, 1.25 + bob)], _shade(walker.coat, 0.72))  # fmt: skip
    canvas.line([(-0.12, 1.475 + bob), (0.14, 1.46 + bob)], 0.06, _shade(walker.coat, 1.25))
    canvas.line([(0.03, 1.47 + bob), (0.04, 1.56 + bob)], 0.1, _shade(walker.skin, 0.85))
    canvas.disc(0.05, 1.64 + bob, 0.105, walker.skin, 0.125)
    canvas.disc(0.02, 1.68 + bob, 0.115, walker.hair, 0.11, (175, 350))
    canvas.disc(-0.02, 1.65 + bob, 0.09, walker.hair, 0.115, (90, 270))


def _umbrella(canvas: Canvas, bob: float, walker: Walker, colour: Rgb) -> None:
    hand = (0.24, 1.2 + bob)
    canvas.line([(0.03, 1.4 + bob), (0.1, 1.15 + bob), hand], 0.1, _shade(walker.coat, 1.12))
    canvas.line([hand, (0.16, 2.12 + bob)], 0.022, (40, 40, 42))
    canvas.disc(*hand, 0.05, walker.skin)
    x, y = 0.14, 1.84 + bob
    canvas.disc(x, y, 0.55, colour, 0.36, (180, 360))
    canvas.disc(x - 0.1, y, 0.33, _shade(colour, 1.16), 0.35, (180, 360))
    canvas.disc(x - 0.16, y, 0.13, _shade(colour, 0.94), 0.34, (180, 360))
    for rib in range(4):
        canvas.disc(x - 0.4125 + rib * 0.275, y, 0.1375, _shade(colour, 0.6), 0.05, (180, 360))
    canvas.line([(x, y + 0.35), (x, y + 0.42)], 0.025, (40, 40, 42))


def _shade(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue
