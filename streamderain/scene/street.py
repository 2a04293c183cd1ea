"""The whole scene at any moment: the street once, and whoever moves on it in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels
from streamderain.scene.canvas import Rgb, soft_glow
from streamderain.scene.cars import BODIES, draw_car, place, with_ground
from streamderain.scene.facades import draw_facades
from streamderain.scene.furniture import draw_bench, draw_bin, draw_lamp, draw_sign, draw_tree
from streamderain.scene.ground import lay_ground, wet
from streamderain.scene.people import Walker, draw_walker
from streamderain.scene.view import FACADE_Z, REFERENCE_SIZE, View

__all__ = ["Street"]

LARGEST_DRAWING = 4_500_000
"""Pixels of the street when it is drawn; it is drawn twice as large as needed where that fits."""


@dataclass(frozen=True)
class Car:
    """A car on its lane: ``speed`` in m/s, below 0 to the left; ``start`` as a share of the way."""

    body: str
    paint: Rgb
    z: float
    speed: float
    start: float


CARS = (
    Car("saloon", (44, 62, 96), 13.9, -5.2, 0.30),
    Car("van", (196, 198, 196), 13.9, -5.2, 0.78),
    Car("hatchback", (150, 36, 34), 10.9, 6.4, 0.12),
    Car("saloon", (122, 126, 128), 10.9, 6.4, 0.62),
)

PARKED = (
    Car("hatchback", (58, 92, 84), 16.3, 0.0, 0.655),
    Car("saloon", (30, 32, 36), 16.3, 0.0, 0.875),
)

WALKERS = (
    Walker(18.9, 1.25, 0.05, 1.78, (60, 66, 92), (44, 44, 50), (196, 152, 126), (60, 42, 32)),
    Walker(18.4, -1.1, 0.58, 1.66, (150, 60, 56), (52, 56, 74), (214, 172, 146), (36, 28, 26),
           umbrella=(40, 44, 58)),
    Walker(18.7, 1.0, 0.38, 1.72, (88, 96, 78), (62, 56, 50), (150, 108, 84), (22, 20, 20),
           umbrella=(150, 34, 38)),
    Walker(8.55, -1.35, 0.80, 1.82, (72, 72, 70), (40, 46, 62), (206, 164, 138), (86, 60, 38)),
    Walker(8.2, 1.2, 0.18, 1.68, (176, 152, 96), (46, 48, 58), (190, 146, 120), (30, 24, 22),
           umbrella=(46, 84, 128)),
)  # fmt: skip


class Street:
    """The street on a wet day, without falling rain, as a camera sees it.

    A pure function of its arguments and the index of the frame.

    Args:
        height, width: of the picture in pixels, each 1 or more.
        fps: frames a second.
        seed: of the textures and of the camera's noise.
    """

    def __init__(self, height: int, width: int, fps: float, seed: int) -> None:
        self._size, self._fps, self._seed = (height, width), fps, seed
        scale = max(height / REFERENCE_SIZE[0], width / REFERENCE_SIZE[1])
        self._view = View(
            scale, (REFERENCE_SIZE[1] * scale - width) / 2, (REFERENCE_SIZE[0] * scale - height) / 2
        )
        rng = np.random.default_rng(seed)
        self._background = self._draw_background(rng)
        self._sprites = {car: self._sprite(car) for car in CARS}
        self._vignette = _vignette(height, width)
        plane = rng.normal(0.0, 1.6, (height + 32, width + 32))
        self._noise = np.rint(plane).astype(np.int16)

    def frame(self, index: int) -> Pixels:
        """Return the street at a frame: uint8 H×W×3 RGB, C-contiguous."""
        seconds = index / self._fps
        picture = self._background.copy()
        things = [(walker.z, walker) for walker in WALKERS] + [(car.z, car) for car in CARS]
        for _, thing in sorted(things, key=lambda pair: -pair[0]):
            if isinstance(thing, Car):
                self._drive(picture, thing, seconds)
            else:
                self._walk(picture, thing, seconds)
        return self._photographed(picture, index)

    def _draw_background(self, rng: np.random.Generator) -> Pixels:
        height, width = self._size
        over = 2 if 4 * height * width <= LARGEST_DRAWING else 1
        view = View(self._view.scale * over, self._view.left * over, self._view.top * over)
        picture: Pixels = np.zeros((height * over, width * over, 3), np.uint8)
        wall = _Cut(picture, view)
        draw_facades(wall.whole, view.per_metre(FACADE_Z), view.row(FACADE_Z) + view.top, rng)
        wall.back()
        lay_ground(picture, view, rng)
        draw_bench(picture, view, 9.4, 19.2)
        for x in (-1.0, 8.0):
            draw_tree(picture, view, x, 18.2, rng)
        for x in (3.6, -9.2):
            draw_lamp(picture, view, x, 17.7)
        draw_bin(picture, view, 5.2, 18.1)
        wet(picture, view, rng)
        draw_sign(picture, view, -4.9, 17.6)
        picture = np.asarray(
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        for car in PARKED:
            self._put_car(picture, car, self._sprite(car), car.start)
        return picture

    def _sprite(self, car: Car) -> tuple[NDArray[np.uint8], int]:
        per_metre = self._view.per_metre(car.z)
        sprite = draw_car(BODIES[car.body], car.paint, per_metre)
        if car.speed < 0:
            sprite = np.ascontiguousarray(sprite[:, ::-1])
        return with_ground(sprite, per_metre)

    def _drive(self, picture: Pixels, car: Car, seconds: float) -> None:
        way = 2 * self._view.half_width(car.z) + 9.0
        share = (car.start + car.speed * seconds / way) % 1.0
        self._put_car(picture, car, self._sprites[car], share)

    def _put_car(
        self, picture: Pixels, car: Car, sprite: tuple[NDArray[np.uint8], int], share: float
    ) -> None:
        pixels, below = sprite
        view, body = self._view, BODIES[car.body]
        half = view.half_width(car.z) + 4.5
        middle = view.column(-half + 2 * half * share, car.z)
        left = middle - pixels.shape[1] / 2
        ground = view.row(car.z)
        place(picture, pixels, left, ground - (pixels.shape[0] - below))
        if car.speed:
            ahead = 1 if car.speed > 0 else -1
            ppm = view.per_metre(car.z)
            nose = middle + ahead * (body.length / 2 - 0.12) * ppm
            tail = middle - ahead * (body.length / 2 - 0.12) * ppm
            soft_glow(picture, nose, ground - 0.72 * ppm, 0.16 * ppm, (255, 250, 226), 0.9)
            soft_glow(picture, nose + ahead * 0.5 * ppm, ground - 0.1 * ppm, 0.55 * ppm,
                      (255, 244, 214), 0.3)  # fmt: skip
            soft_glow(picture, tail, ground - 0.83 * ppm, 0.14 * ppm, (255, 40, 30), 0.6)
            soft_glow(picture, tail, ground + 0.12 * ppm, 0.25 * ppm, (255, 40, 30), 0.2)

    def _walk(self, picture: Pixels, walker: Walker, seconds: float) -> None:
        view = self._view
        way = 2 * view.half_width(walker.z) + 2.0
        walked = walker.start * way + walker.speed * seconds
        x = walked % way - way / 2
        per_metre = view.per_metre(walker.z)
        sprite = draw_walker(walker, abs(walker.speed) * seconds + 7 * walker.start, per_metre)
        if walker.speed < 0:
            sprite = np.ascontiguousarray(sprite[:, ::-1])
        grown, below = with_ground(sprite, per_metre)
        left = view.column(x, walker.z) - grown.shape[1] / 2
        place(picture, grown, left, view.row(walker.z) - (grown.shape[0] - below))

    def _photographed(self, picture: Pixels, index: int) -> Pixels:
        """Return what the camera makes of it: a soft lens, dark corners, muted colours, noise."""
        height, width = self._size
        sigma = 0.45 * max(1.0, self._view.scale)
        soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
        muted = cv2.transform(soft, _GRADE)
        dark = cv2.multiply(muted, self._vignette, scale=1 / 255)
        top, left = np.random.default_rng([self._seed, index]).integers(0, 32, 2)
        noise = self._noise[top : top + height, left : left + width]
        grain = cv2.merge([noise, noise, noise])
        return np.ascontiguousarray(cv2.add(dark, grain, dtype=cv2.CV_8U), np.uint8)


class _Cut:
    """The facades are composed about the middle of the picture; taller pictures cut the sides."""

    def __init__(self, picture: Pixels, view: View) -> None:
        self._picture, self._view = picture, view
        height = picture.shape[0] + 2 * round(view.top)
        width = picture.shape[1] + 2 * round(view.left)
        self.whole: Pixels = np.zeros((height, width, 3), np.uint8)

    def back(self) -> None:
        top, left = round(self._view.top), round(self._view.left)
        height, width = self._picture.shape[:2]
        self._picture[:] = self.whole[top : top + height, left : left + width]


_SATURATION = 0.78
_GRADE = (
    _SATURATION * np.eye(3, 4)
    + (1 - _SATURATION) * np.array([[0.299, 0.587, 0.114, 0.0]] * 3)
    + np.array([[0, 0, 0, 5.0], [0, 0, 0, 7.0], [0, 0, 0, 10.0]])
).astype(np.float32)
"""Less colour and a bluish lift of the shadows, as on an overcast day."""


def _vignette(height: int, width: int) -> NDArray[np.uint8]:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    plane = 255 * (1 - 0.16 * np.minimum(1.0, (x**2 + y**2) / 2) ** 1.5)
    grey = np.rint(plane).astype(np.uint8)
    return np.asarray(cv2.merge([grey, grey, grey]), np.uint8)
