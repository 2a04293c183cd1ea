"""The houses across the road: brick, plaster and stone, shops below and windows above."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.scene.canvas import Canvas, Rgb, fractal_noise, shaded, soft_glow

__all__ = ["draw_facades"]

SHOP_HEIGHT = 3.4
"""Metres from the pavement to the upper floor."""


@dataclass(frozen=True)
class House:
    """One house: where it stands in metres, what it is made of, and its shop."""

    left: float
    right: float
    wall: Rgb
    brick: bool
    shop: Rgb
    awning: tuple[Rgb, Rgb] | None
    sign: str
    windows: int


HOUSES = (
    House(-18.0, -9.4, (134, 84, 68), True, (38, 62, 52), ((38, 88, 66), (208, 204, 190)),
          "CAFE", 4),
    House(-9.4, -2.2, (186, 174, 150), False, (66, 52, 48), None, "BOOKS", 3),
    House(0.4, 8.2, (116, 74, 64), True, (40, 48, 70), ((126, 40, 40), (206, 198, 186)),
          "BAKERY", 3),
    House(8.2, 18.0, (152, 156, 158), False, (52, 56, 60), None, "PHARMACY", 4),
)  # fmt: skip
"""Between the second and the third an alley leads away."""


def draw_facades(
    picture: NDArray[np.uint8], per_metre: float, base: float, rng: np.random.Generator
) -> None:
    """Draw the houses above the row ``base`` of a uint8 H×W×3 RGB picture, x = 0 in its middle."""
    canvas = Canvas(picture, per_metre, picture.shape[1] / 2, base)
    _alley(canvas, rng)
    for house in HOUSES:
        _house(canvas, house, rng)
    bottom = round(base)
    height, width = bottom, picture.shape[1]
    stains = fractal_noise(rng, height, width, per_metre * 1.5, 4, stretch=0.4)
    grain = fractal_noise(rng, height, width, per_metre * 0.15, 2)
    wall = shaded(picture[:bottom], stains, 0.05)
    wall = shaded(wall, grain, 0.03)
    # Rain splashes dirt on the foot of the walls, and eaves keep the light from the top.
    rows = (base - np.arange(height, dtype=np.float32)[:, None]) / per_metre
    dark = 0.28 * np.exp(-rows / 0.5) + 0.10 * np.clip(rows - 5.5, 0, 3)
    picture[:bottom] = shaded(wall, np.broadcast_to(-dark, (height, width)), 1.0)


def _alley(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw the gap between the houses: a far street in the mist."""
    canvas.box(-2.4, 0, 0.6, 12, (168, 176, 182))
    for step in range(6):
        near = step / 5
        shade = int(150 - 62 * near)
        x = 0.35 + 0.95 * near
        canvas.polygon([(-2.2, 0), (-0.9 - x + 0.35, 0), (-0.9 - x + 0.35, 12), (-2.2, 12)],
                       (shade, shade + 3, shade + 4))  # fmt: skip
        canvas.polygon([(0.4, 0), (-0.9 + x - 0.35, 0), (-0.9 + x - 0.35, 12), (0.4, 12)],
                       (shade - 6, shade - 4, shade))  # fmt: skip
    for _ in range(14):
        side = rng.choice([-1, 1])
        x, y = -0.9 + side * rng.uniform(0.35, 1.0), rng.uniform(1.2, 8)
        canvas.box(x - 0.1, y, x + 0.1, y + 0.5, (82, 90, 98))
    canvas.polygon([(-2.2, 0), (0.4, 0), (-0.75, 1.1), (-1.05, 1.1)], (112, 114, 116))


def _house(canvas: Canvas, house: House, rng: np.random.Generator) -> None:
    canvas.box(house.left, 0, house.right, 13, house.wall)
    if house.brick:
        _bricks(canvas, house, rng)
    else:
        canvas.box(house.left, SHOP_HEIGHT + 0.35, house.right, SHOP_HEIGHT + 0.42,
                   _darker(house.wall, 0.8))  # fmt: skip
        for x in (house.left + 0.25, house.right - 0.25):  # corner stones
            for y in np.arange(SHOP_HEIGHT + 0.5, 12, 0.5):
                canvas.box(x - 0.22, y, x + 0.22, y + 0.42, _darker(house.wall, 1.07))
    ledge = _darker(house.wall, 1.18)
    canvas.box(house.left, SHOP_HEIGHT + 0.02, house.right, SHOP_HEIGHT + 0.3, ledge)
    canvas.box(house.left, SHOP_HEIGHT - 0.06, house.right, SHOP_HEIGHT + 0.02,
               _darker(house.wall, 0.5))  # fmt: skip
    pitch = (house.right - house.left) / house.windows
    for floor in (4.35, 7.4):
        for number in range(house.windows):
            _window(canvas, house.left + pitch * (number + 0.5), floor, rng)
    _shop(canvas, house, rng)
    pipe = house.right - 0.12
    canvas.line([(pipe, 0.1), (pipe, 12)], 0.1, _darker(house.wall, 0.55))
    canvas.line([(pipe - 0.03, 0.1), (pipe - 0.03, 12)], 0.02, _darker(house.wall, 0.9))


def _bricks(canvas: Canvas, house: House, rng: np.random.Generator) -> None:
    """Colour the wall brick by brick, with mortar between."""
    long, high = 0.26, 0.085
    left, right = (round(canvas.left + x * canvas.per_metre) for x in (house.left, house.right))
    left, right = max(left, 0), min(right, canvas.pixels.shape[1])
    bottom = round(canvas.base)
    if right <= left or bottom <= 0:
        return
    x = (np.arange(left, right) - canvas.left) / canvas.per_metre
    y = (canvas.base - np.arange(bottom)) / canvas.per_metre
    course = np.floor(y / high).astype(int)
    along = x[None] / long + 0.5 * (course[:, None] % 2)
    column = np.floor(along).astype(int)
    tones = rng.normal(1.0, 0.11, (211, 223)).astype(np.float32)
    tone = tones[course[:, None] % 211, column % 223]
    mortar = (np.abs(along - column) < 0.07) | (np.abs(y / high - course) < 0.16)[:, None]
    tone = np.where(mortar, np.float32(1.28), tone)
    # Bricks finer than a pixel would flicker into moiré: fade them where they are.
    sharp = min(1.0, high * canvas.per_metre / 3)
    part = canvas.pixels[:bottom, left:right]
    part[:] = np.clip(part * (1 + (tone - 1.03) * sharp)[..., None], 0, 255).astype(np.uint8)


def _window(canvas: Canvas, x: float, y: float, rng: np.random.Generator) -> None:
    """Draw a sash window: reveal, frame, glass with the sky in it, curtains, sill."""
    wide, high = 0.62, 1.75
    canvas.box(x - wide - 0.1, y - 0.06, x + wide + 0.1, y + high + 0.2, (196, 190, 178))
    canvas.box(x - wide, y, x + wide, y + high, (70, 66, 62))
    canvas.box(x - wide + 0.05, y + 0.05, x + wide, y + high - 0.09, (222, 222, 216))
    lit = rng.random() < 0.3
    for half, (low, top) in enumerate(((y + 0.11, y + high / 2 - 0.03),
                                       (y + high / 2 + 0.04, y + high - 0.15))):  # fmt: skip
        for x0, x1 in ((x - wide + 0.11, x - 0.03), (x + 0.03, x + wide - 0.07)):
            for step in range(6):  # the sky fades downwards in the glass
                t = (step + 3 * half) / 8
                glass = (int(46 + 58 * t), int(54 + 62 * t), int(60 + 66 * t))
                if lit:
                    glass = (int(188 + 30 * t), int(150 + 24 * t), int(92 + 22 * t))
                band = (top - low) / 6
                canvas.box(x0, low + step * band, x1, low + (step + 1) * band + 0.01, glass)
    if rng.random() < 0.7:
        cloth = (150, 146, 138) if not lit else (206, 176, 128)
        for side in (-1, 1):
            edge = x + side * (wide - 0.12)
            canvas.polygon([(edge, y + 0.12), (edge, y + high - 0.16),
                            (edge - side * 0.34, y + high - 0.16), (edge - side * 0.16, y + 0.12)],
                           cloth)  # fmt: skip
        canvas.box(x - 0.03, y + 0.1, x + 0.03, y + high - 0.14, (222, 222, 216))
    canvas.box(x - wide - 0.16, y - 0.14, x + wide + 0.16, y - 0.03, (206, 200, 190))
    canvas.box(x - wide - 0.16, y - 0.19, x + wide + 0.16, y - 0.14, (92, 82, 76))


def _shop(canvas: Canvas, house: House, rng: np.random.Generator) -> None:
    """Draw the ground floor: wooden front, sign, glass with things behind it, a door, an awning."""
    left, right = house.left + 0.35, house.right - 0.35
    canvas.box(left, 0, right, SHOP_HEIGHT - 0.06, house.shop)
    canvas.box(left, 2.62, right, 3.22, _darker(house.shop, 1.25))
    door = left + (right - left) * 0.62
    for x0, x1 in ((left + 0.2, door - 0.15), (door + 1.2, right - 0.2)):
        _shop_window(canvas, x0, x1, rng)
    canvas.box(door, 0.05, door + 1.05, 2.5, _darker(house.shop, 0.7))
    canvas.box(door + 0.14, 0.75, door + 0.91, 2.36, (92, 96, 94))
    canvas.box(door + 0.18, 0.8, door + 0.87, 1.5, (118, 112, 96))
    canvas.line([(door + 0.98, 1.0), (door + 0.98, 1.35)], 0.05, (200, 180, 120))
    canvas.box(left, 0, right, 0.16, _darker(house.wall, 0.55))
    _lettering(canvas, house.sign, (left + door) / 2, 2.74)
    if house.awning:
        _awning(canvas, left + 0.1, door - 0.05, house.awning)


def _shop_window(canvas: Canvas, x0: float, x1: float, rng: np.random.Generator) -> None:
    canvas.box(x0, 0.55, x1, 2.5, (24, 24, 26))
    canvas.box(x0 + 0.06, 0.61, x1 - 0.06, 2.44, (86, 76, 62))
    for y, high in ((0.66, 0.42), (1.22, 0.36)):  # shelves
        x = x0 + 0.15
        while x < x1 - 0.35:
            wide = float(rng.uniform(0.12, 0.3))
            tint = (
                rng.uniform(0.35, 1.0)
                * np.array(
                    [
                        (190, 120, 70),
                        (150, 140, 120),
                        (170, 60, 50),
                        (90, 110, 130),
                        (205, 185, 140),
                    ]
                )[rng.integers(5)]
            )
            canvas.box(x, y, x + wide, y + high * float(rng.uniform(0.5, 1)),
                       (int(tint[0]), int(tint[1]), int(tint[2])))  # fmt: skip
            x += wide + float(rng.uniform(0.03, 0.12))
        canvas.box(x0 + 0.06, y - 0.05, x1 - 0.06, y, (60, 46, 34))
    for x in np.arange(x0 + 0.5, x1 - 0.2, 1.1):  # lamps inside
        where = canvas.left + x * canvas.per_metre, canvas.base - 2.22 * canvas.per_metre
        soft_glow(canvas.pixels, *where, 0.42 * canvas.per_metre, (255, 206, 136), 0.55)
        soft_glow(canvas.pixels, *where, 0.1 * canvas.per_metre, (255, 240, 210), 0.9)
    _reflection(canvas, x0 + 0.06, x1 - 0.06)
    for x in np.arange(x0, x1 + 0.01, (x1 - x0) / max(1, round((x1 - x0) / 1.7))):
        canvas.box(x - 0.035, 0.55, x + 0.035, 2.5, (30, 30, 32))


def _reflection(canvas: Canvas, x0: float, x1: float) -> None:
    """Lay the bright sky slantwise over the glass."""
    over = Canvas(canvas.pixels.copy(), canvas.per_metre, canvas.left, canvas.base)
    wide = x1 - x0
    over.polygon([(x0 + 0.08 * wide, 0.61), (x0 + 0.3 * wide, 0.61), (x0 + 0.62 * wide, 2.44),
                  (x0 + 0.4 * wide, 2.44)], (190, 198, 204))  # fmt: skip
    over.polygon([(x0 + 0.36 * wide, 0.61), (x0 + 0.42 * wide, 0.61), (x0 + 0.74 * wide, 2.44),
                  (x0 + 0.68 * wide, 2.44)], (190, 198, 204))  # fmt: skip
    cv2.addWeighted(over.pixels, 0.16, canvas.pixels, 0.84, 0, dst=canvas.pixels)


def _awning(canvas: Canvas, x0: float, x1: float, colours: tuple[Rgb, Rgb]) -> None:
    stripes = max(4, round((x1 - x0) / 0.4))
    pitch = (x1 - x0) / stripes
    for number in range(stripes):
        a, b = x0 + number * pitch, x0 + (number + 1) * pitch
        spread = 0.12
        low_a = a + (a - (x0 + x1) / 2) * spread / (x1 - x0)
        low_b = b + (b - (x0 + x1) / 2) * spread / (x1 - x0)
        colour = colours[number % 2]
        canvas.polygon([(a, 2.6), (b, 2.6), (low_b, 2.1), (low_a, 2.1)], colour)
        canvas.polygon([(a, 2.6), (b, 2.6), (b, 2.5), (a, 2.5)], _darker(colour, 1.12))
        canvas.box(low_a, 1.95, low_b, 2.1, _darker(colour, 0.78))
        canvas.disc((low_a + low_b) / 2, 1.95, pitch / 2, _darker(colour, 0.78), 0.06)


def _lettering(canvas: Canvas, text: str, x: float, y: float) -> None:
    font, high = cv2.FONT_HERSHEY_DUPLEX, 0.34 * canvas.per_metre
    scale = high / 22
    thickness = max(1, round(scale * 1.8))
    (wide, _), _ = cv2.getTextSize(text, font, scale, thickness)
    where = (
        round(canvas.left + x * canvas.per_metre - wide / 2),
        round(canvas.base - y * canvas.per_metre),
    )
    cv2.putText(canvas.pixels, text, where, font, scale, (222, 206, 160), thickness, cv2.LINE_AA)


def _darker(colour: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue
