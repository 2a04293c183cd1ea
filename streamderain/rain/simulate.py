"""Rain over a clean video, as a camera sees it: streaks, veil, halos at night, noise.

The rate of the rain couples its parts. Drops follow Marshall & Palmer ("The distribution of
raindrops with size", J. Meteor. 1948): N(D) = 8000·exp(−Λ·D) per m³ and mm with
Λ = 4.1·R^−0.21 per mm, for R in mm/h. What lies behind fades by Koschmieder's law,
O = B·t + A·(1 − t), t = exp(−β·distance), with Atlas's extinction by rain, β = 0.21·R^0.63 per km
("Optical extinction by rainfall", J. Meteor. 1953).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels
from streamderain.rain.streaks import RainConfig, RainField

__all__ = ["PRESETS", "RainLook", "RainSimulator", "rain_config", "transmission"]

STREAKS_PER_DROP = 2.8
"""Streaks in view for each drop above 1 mm in a cubic metre of air; nearer ones hide the rest."""

LAMP_SHARE = 1 / 12
"""What is wider than this, and higher, is no lamp; as a share of the picture's width."""

NOISE_MARGIN = 64
"""The camera's noise is a cut of a fixed plane, at one of 64×64 places."""


@dataclass(frozen=True)
class RainLook:
    """The weather and the camera.

    Attributes:
        rate_mm_h: rain rate in millimetres an hour: 2.5 is light, 10 moderate, 50 heavy.
        wind: sideways speed of the drops over their falling speed.
        exposure_s: exposure time in seconds: longer streaks in poor light. Far drops are dots,
            like snow, where it is much below a fiftieth.
        field_of_view_deg: horizontal angle that the camera sees.
        brightness: brightest streak, 0 to 1 of white.
        airlight: brightness of the veil, 0 to 1 of white.
        distance_m: how far away most of the scene is, for the veil.
        night: streaks shine by the light around them, and lights have halos; for pictures taken
            at night, a day stays as bright as it is.
        noise: standard deviation of the camera's noise, in levels of 255.
        sharpening: of the camera, as a share of the detail added again.
    """

    rate_mm_h: float
    wind: float = 0.12
    exposure_s: float = 1 / 50
    field_of_view_deg: float = 60.0
    brightness: float = 0.6
    airlight: float = 0.72
    distance_m: float = 60.0
    night: bool = False
    noise: float = 1.5
    sharpening: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.rate_mm_h <= 300:
            raise ValueError("the rain rate must be between 0 and 300 mm/h")
        if not 0 < self.exposure_s <= 0.5:
            raise ValueError("the exposure must be above 0 and at most half a second")
        if not 10 <= self.field_of_view_deg <= 150:
            raise ValueError("the field of view must be between 10 and 150 degrees")
        if not abs(self.wind) <= 3:
            raise ValueError("the wind must be between -3 and 3 times the falling speed")


PRESETS: Mapping[str, RainLook] = MappingProxyType(
    {
        "light": RainLook(rate_mm_h=2.5, wind=0.05),
        "moderate": RainLook(rate_mm_h=10.0),
        "heavy": RainLook(rate_mm_h=50.0, wind=0.18),
        "night": RainLook(
            rate_mm_h=20.0, exposure_s=1 / 30, brightness=1.0, airlight=0.06, night=True, noise=3.0
        ),
    }
)
"""Looks by name, as ``tools/synthesize.py --preset`` and the test scene take them."""


def rain_config(look: RainLook, height: int, width: int, fps: float) -> RainConfig:
    """Return the streaks of a look for frames of a size and rate."""
    slope = 4.1 * max(look.rate_mm_h, 1e-3) ** -0.21
    drops = 8000 / slope * math.exp(-slope)  # above 1 mm, in a cubic metre
    count = STREAKS_PER_DROP * drops if look.rate_mm_h else 0.0
    focal = width / 2 / math.tan(math.radians(look.field_of_view_deg / 2))
    return RainConfig(
        density=count / (height * width / 1e6),
        wind=look.wind,
        exposure_s=look.exposure_s,
        fps=fps,
        focal_px=focal,
        aperture_px=0.35 * width / 640,
        brightness=look.brightness,
        diameter_mm=min(3.5, 3.67 / slope),  # the median volume diameter
    )


def transmission(look: RainLook) -> float:
    """Return the share of light, 0 to 1, that comes through the rain from the scene."""
    extinction = 0.21 * look.rate_mm_h**0.63 / 1000
    return math.exp(-extinction * look.distance_m)


class RainSimulator:
    """Rains on the frames of one camera, in order.

    Args:
        height, width: of the frames in pixels.
        look: the weather and the camera.
        fps: frames a second.
        seed: the same seed gives the same rain on the same frames, byte for byte.

    Raises:
        ValueError: a size or the rate is not above 0.
    """

    def __init__(
        self, height: int, width: int, look: RainLook, *, fps: float = 25.0, seed: int = 0
    ) -> None:
        if height < 1 or width < 1 or fps <= 0:
            raise ValueError(f"no rain on {width}x{height} pixels at {fps} frames a second")
        self._look = look
        self._size = height, width
        self._field = RainField(height, width, rain_config(look, height, width, fps), seed)
        self._rng = np.random.default_rng([seed, 1])
        t, levels = transmission(look), np.arange(256, dtype=np.float32)
        self._veil = np.rint(levels * t + 255 * look.airlight * (1 - t)).astype(np.uint8)
        shape = (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)
        plane = self._rng.normal(0.0, look.noise, shape)
        self._noise = np.rint(plane).astype(np.int16) if look.noise else None

    def rain_on(self, clean: Pixels) -> Pixels:
        """Return the next frame with rain: uint8 H×W×3 RGB in and out; the input is not changed.

        Raises:
            ValueError: the frame has another size.
        """
        if clean.shape != (*self._size, 3):
            raise ValueError(f"a frame of {clean.shape}, expected {(*self._size, 3)}")
        picture = np.asarray(cv2.LUT(clean, self._veil), np.uint8)
        streaks = self._field.layer()
        if self._look.night:
            picture = _with_halos(picture, transmission(self._look))
            streaks *= _light_around(clean)
        light = np.rint(streaks * 255).astype(np.uint8)
        picture = np.asarray(cv2.add(picture, cv2.merge([light, light, light])), np.uint8)
        return self._camera(picture)

    def _camera(self, picture: Pixels) -> Pixels:
        """Add what the camera adds: noise, then sharpening of all, noise included."""
        height, width = self._size
        if self._noise is not None:
            top, left = (int(place) for place in self._rng.integers(0, NOISE_MARGIN, 2))
            noise = self._noise[top : top + height, left : left + width]
            picture = np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8)
        amount = self._look.sharpening
        if amount:
            soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
            sharp = cv2.addWeighted(picture, 1 + amount, soft, -amount, 0)
            picture = np.asarray(sharp, np.uint8)
        return picture


def _reduced_luma(picture: Pixels) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return brightness at an eighth of the size, for wide blurs, and the full width and height."""
    height, width = picture.shape[:2]
    small = (max(1, width // 8), max(1, height // 8))
    grey = cv2.resize(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), small, interpolation=cv2.INTER_AREA
    )
    return np.asarray(grey, np.uint8), (width, height)


def _light_around(clean: Pixels) -> NDArray[np.float32]:
    """Return how strongly drops shine, H×W in [0.05, 1]: by the light that is near them."""
    grey, full = _reduced_luma(clean)
    near = cv2.GaussianBlur(grey.astype(np.float32) / 255, (0, 0), max(1.0, full[0] / 160))
    wide = cv2.resize(near, full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(wide * np.float32(1.6), 0.05, 1.0), np.float32)


def _with_halos(picture: Pixels, t: float) -> Pixels:
    """Scatter the light of lamps into what surrounds them, the more the denser the rain.

    A lamp is what is bright and small: it gives far more light than white, where the picture ends.
    A white wall gives just what is seen of it, so wide bright areas are taken out (a top-hat).
    """
    height, width = picture.shape[:2]
    bright = np.maximum(picture, 170) - np.uint8(170)
    small = (max(1, width // 4), max(1, height // 4))
    reduced = cv2.resize(bright, small, interpolation=cv2.INTER_AREA)
    side = max(3, round(LAMP_SHARE * small[0]) | 1)  # odd: an even square would shift the edges
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    lamps = cv2.morphologyEx(reduced, cv2.MORPH_TOPHAT, square).astype(np.float32) * 8
    halo = 0.5 * cv2.GaussianBlur(lamps, (0, 0), max(1.0, width / 400))
    halo += cv2.GaussianBlur(lamps, (0, 0), max(1.0, width / 100))
    strength = min(1.0, 8 * (1 - t))
    scattered = np.clip(halo * strength, 0, 255).astype(np.uint8)
    wide = cv2.resize(scattered, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(picture, wide), np.uint8)
