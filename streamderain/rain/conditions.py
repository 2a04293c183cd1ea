"""What a camera sees at night, by infrared light and in fog, and what rain looks like there.

A condition takes frames of a day without rain, and light that drops add (:class:`RainField`), and
gives the frame as it would be in that light without rain (the truth) and with it; then its sensor
adds noise. NumPy and OpenCV only; all is decided by what it is given.

Where it comes from:

- fog: Koschmieder's law, O = B·t + A·(1 − t) with t = exp(−β·distance), as in Sakaridis, Dai & Van
  Gool ("Semantic foggy scene understanding with synthetic data", IJCV 2018); β = 3.0 / the
  meteorological optical range, at which a twentieth of the contrast is left (WMO). The distance is
  that of a level ground, which is what falls with the height in the picture.
- lamps: light that falls with the square of the distance; around the lamp a glow of what is
  scattered more than once, here an exponential instead of the series of Narasimhan & Nayar
  ("Shedding light on the weather", CVPR 2003), added to the picture as in Li, Tan & Brown
  ("Nighttime haze removal with glow and multiple light colors", ICCV 2015).
- rain shines by the light that falls on it (Garg & Nayar, "Photorealistic rendering of rain
  streaks", SIGGRAPH 2006): at night in the cones of lamps, in infrared light the more the nearer
  the drop is to the camera's own lamp.
- noise: variance a·signal + b (Foi et al., "Practical Poissonian-Gaussian noise modeling", IEEE TIP
  2008), here in levels, after the camera's gamma.

The figures themselves (ranges, brightness) are our choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels

__all__ = [
    "Condition", "Day", "Fog", "Infrared", "Lamp", "Light", "Night", "Seen", "Sensor", "distances",
]  # fmt: skip

Light = NDArray[np.float32]
"""H×W: what drops add, 0 to 1 of white, as :meth:`~streamderain.rain.streaks.RainField.layer`."""

Place = tuple[float, float]
"""Down and right, in pixels."""

GAMMA = 2.2
"""Levels grow with light to the power of one over this."""


@dataclass(frozen=True)
class Sensor:
    """What the camera's sensor adds: noise whose variance is ``shot``·level + ``read``².

    Attributes:
        read: standard deviation in the dark, in levels.
        shot: growth of the variance with the level, in levels.
        grey: the same noise in all channels, as of a camera in its infrared mode.
        grain: blur of the noise, as a Gaussian sigma in pixels: what denoising leaves.
    """

    read: float = 1.5
    shot: float = 0.0
    grey: bool = False
    grain: float = 0.0

    def __post_init__(self) -> None:
        if min(self.read, self.shot, self.grain) < 0:
            raise ValueError("read, shot and grain must be 0 or more")

    def take(self, picture: Pixels, rng: np.random.Generator) -> Pixels:
        """Return a picture with noise: uint8 H×W×3 RGB in and out; the input is not changed."""
        shape = (*picture.shape[:2], 1 if self.grey else 3)
        noise = rng.standard_normal(shape, np.float32)
        if self.grain:
            soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), self.grain), np.float32)
            # As strong as it was: a blur leaves 1 / (2·√π·sigma) of white noise.
            noise = soft.reshape(shape) * np.float32(max(1.0, 2 * math.sqrt(math.pi) * self.grain))
        level = picture.astype(np.float32)
        sigma = np.sqrt(np.float32(self.read**2) + np.float32(self.shot) * level)
        return _whole(level + sigma * noise)


@dataclass(frozen=True)
class Seen:
    """A frame in a condition, before the sensor: uint8 H×W×3 RGB each.

    Attributes:
        dry: without rain, the truth.
        wet: with it.
    """

    dry: Pixels
    wet: Pixels


class Condition(Protocol):
    """A light in which a camera sees.

    Attributes:
        sensor: what noise it has there.
    """

    @property
    def sensor(self) -> Sensor:  # noqa: D102 - see above
        ...

    def see(self, clean: Pixels, rain: Light, index: int = 0, drift: Place = (0.0, 0.0)) -> Seen:
        """Return a frame of a dry day as it is seen here.

        Args:
            clean: uint8 H×W×3 RGB.
            rain: float32 H×W in [0, 1], what drops would add in white light.
            index: of the frame in its clip; what shines may move.
            drift: how far the view has moved over the scene since the clip's first frame.
        """
        ...


@dataclass(frozen=True)
class Day:
    """Nothing is changed, and rain adds its light: what the others are compared with."""

    sensor: Sensor = Sensor()

    def see(self, clean: Pixels, rain: Light, index: int = 0, drift: Place = (0.0, 0.0)) -> Seen:
        """See :class:`Condition`."""
        return Seen(clean, _whole(clean + 255 * rain[..., None]))


def distances(
    height: int, width: int, *, nearest_m: float, farthest_m: float, horizon: float
) -> NDArray[np.float32]:
    """Return how far away each place is, in metres, float32 H×W: of a level ground before a camera.

    Args:
        height, width: of the picture in pixels.
        nearest_m: distance at the lower edge.
        farthest_m: from the horizon upwards, where houses or trees end the view.
        horizon: its row as a share of the height; may be above the picture, below 0.
    """
    row = (np.arange(height, dtype=np.float32) + 0.5) / height
    below = np.maximum(row - horizon, 1e-6)
    ground = np.minimum(nearest_m * (1 - horizon) / below, farthest_m)
    return np.repeat(ground.astype(np.float32)[:, None], width, axis=1)


@dataclass(frozen=True)
class Infrared:
    """A camera's own infrared lamp: grey, dark at the edges and far away, too bright close by.

    Attributes:
        weights: of red, green and blue in the grey.
        exposure: level, of that by day, at ``exposed_m`` in the middle of the picture.
        exposed_m: distance that the camera's exposure is made for, in metres.
        nearest_m, farthest_m, horizon: see :func:`distances`.
        beam: light at the corners of the picture, as a share of that in the middle.
        dark: level, of that by day, where the lamp doesn't reach.
        brightness: of drops, times that of the rain's light.
        sensor: its noise.
    """

    weights: tuple[float, float, float] = (0.45, 0.45, 0.10)
    exposure: float = 0.8
    exposed_m: float = 12.0
    nearest_m: float = 5.0
    farthest_m: float = 40.0
    horizon: float = 0.1
    beam: float = 0.15
    dark: float = 0.06
    brightness: float = 1.0
    sensor: Sensor = Sensor(read=3.0, shot=0.05, grey=True, grain=0.5)

    def see(self, clean: Pixels, rain: Light, index: int = 0, drift: Place = (0.0, 0.0)) -> Seen:
        """See :class:`Condition`."""
        height, width = clean.shape[:2]
        grey = cv2.transform(clean, np.array([self.weights], np.float32)).reshape(height, width)
        dry = np.minimum(grey * self.light(height, width), 255)
        wet = dry + np.float32(255 * self.brightness) * rain
        return Seen(_grey(dry), _grey(wet))

    def light(self, height: int, width: int) -> NDArray[np.float32]:
        """Return by how much levels differ from those by day, float32 H×W."""
        away = distances(
            height, width, nearest_m=self.nearest_m, farthest_m=self.farthest_m,
            horizon=self.horizon,
        )  # fmt: skip
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] ** 2
        lobe = np.exp(np.float32(math.log(self.beam)) * (x + y) / 2)
        power = lobe * (self.exposed_m / away) ** 2
        lit = np.float32(self.exposure) * power ** (1 / GAMMA)
        return np.asarray(np.maximum(lit, np.float32(self.dark)), np.float32)


@dataclass(frozen=True)
class Lamp:
    """Something that shines: a street lamp, a headlight.

    Attributes:
        place: of its middle in the first frame of the clip.
        radius: of what is white all over, in pixels.
        reach: distance in pixels at which half of its light is left.
        power: level, of that by day, of what it lights close by.
        colour: its light's red, green and blue, 0 to 1.
        aim: where it shines, down and right, of length 1; None: all round.
        halo: brightness of the glow at the lamp's edge, 0 to 1 of white.
        spread: distance over which the glow falls to a third, in radii.
        velocity: pixels a frame, against the scene.
    """

    place: Place
    radius: float = 3.0
    reach: float = 80.0
    power: float = 0.9
    colour: tuple[float, float, float] = (1.0, 0.86, 0.62)
    aim: Place | None = (1.0, 0.0)
    halo: float = 0.5
    spread: float = 3.0
    velocity: Place = (0.0, 0.0)

    def at(self, index: int, drift: Place) -> Place:
        """Return where it is in a frame of a view that has moved by ``drift``."""
        down, right = (
            start + index * speed - moved
            for start, speed, moved in zip(self.place, self.velocity, drift, strict=True)
        )
        return down, right


CONE = 0.35, 0.75
"""Cosines of the angle to a lamp's aim: beyond the one there is no light, within the other all."""
STRAY = 0.08
"""Share of a lamp's light that goes everywhere."""


@dataclass(frozen=True)
class Night:
    """A street at night, in colour: little light, lamps with halos, and rain where they shine.

    Attributes:
        lamps: what shines.
        ambient: level, of that by day, where no lamp shines.
        tint: of the light that is everywhere: red, green and blue, 0 to 1.
        shine: brightness of drops in a lamp's light, times that of the rain's light.
        sensor: its noise; gain makes it strong.
    """

    lamps: tuple[Lamp, ...] = ()
    ambient: float = 0.16
    tint: tuple[float, float, float] = (1.0, 0.95, 0.9)
    shine: float = 1.3
    sensor: Sensor = Sensor(read=4.0, shot=0.08, grain=0.5)

    def see(self, clean: Pixels, rain: Light, index: int = 0, drift: Place = (0.0, 0.0)) -> Seen:
        """See :class:`Condition`."""
        height, width = clean.shape[:2]
        light, glow = self.light_and_glow(height, width, index, drift)
        dry = np.minimum(clean * light + glow, 255)
        shining = np.minimum(light * np.float32(self.shine), 1) * np.float32(255)
        return Seen(_whole(dry), _whole(dry + rain[..., None] * shining))

    def light_and_glow(
        self, height: int, width: int, index: int = 0, drift: Place = (0.0, 0.0)
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the light on things, against that by day, and the lamps themselves, in levels.

        Returns:
            float32 H×W×3 each; the second is above 255 where a lamp is white.
        """
        light = np.empty((height, width, 3), np.float32)
        light[:] = np.float32(self.ambient) * np.asarray(self.tint, np.float32)
        glow = np.zeros_like(light)
        for lamp in self.lamps:
            top, left = lamp.at(index, drift)
            down = np.arange(height, dtype=np.float32)[:, None] - np.float32(top)
            right = np.arange(width, dtype=np.float32)[None] - np.float32(left)
            away = np.sqrt(down**2 + right**2)
            colour = np.asarray(lamp.colour, np.float32)
            lit = np.float32(lamp.power) / (1 + (away / np.float32(lamp.reach)) ** 2)
            if lamp.aim is not None:
                cosine = (down * lamp.aim[0] + right * lamp.aim[1]) / np.maximum(away, 1)
                cone = np.clip((cosine - CONE[0]) / (CONE[1] - CONE[0]), 0, 1)
                lit = lit * (STRAY + (1 - STRAY) * cone)
            light += lit[..., None] * colour
            radii = away / np.float32(lamp.radius)
            halo = np.float32(lamp.halo) * np.exp(-np.maximum(radii - 1, 0) / lamp.spread)
            core = np.float32(4) * np.exp(-(radii**2) * np.float32(math.log(4)))  # 1 at its edge
            glow += 255 * (halo[..., None] * colour + core[..., None] * (1 + colour) / 2)
        return light, glow


@dataclass(frozen=True)
class Fog:
    """Fog by day: what is far away is as bright as the fog.

    Attributes:
        visibility_m: the meteorological optical range in metres; below 1000 it is fog.
        airlight: level of the fog, 0 to 1 of white.
        tint: of the fog: red, green and blue, 0 to 1.
        nearest_m, farthest_m, horizon: see :func:`distances`.
        brightness: of drops, 0 to 1 of white: light through a drop takes the place of the scene's.
        sensor: its noise.
    """

    visibility_m: float = 120.0
    airlight: float = 0.8
    tint: tuple[float, float, float] = (0.97, 0.99, 1.0)
    nearest_m: float = 6.0
    farthest_m: float = 120.0
    horizon: float = 0.15
    brightness: float = 0.95
    sensor: Sensor = Sensor(read=1.5)

    def see(self, clean: Pixels, rain: Light, index: int = 0, drift: Place = (0.0, 0.0)) -> Seen:
        """See :class:`Condition`."""
        away = distances(
            *clean.shape[:2], nearest_m=self.nearest_m, farthest_m=self.farthest_m,
            horizon=self.horizon,
        )  # fmt: skip
        t = np.exp(away * np.float32(-3.0 / self.visibility_m))[..., None]
        fog = np.asarray(self.tint, np.float32) * np.float32(255 * self.airlight)
        dry = clean * t + fog * (1 - t)
        more = np.maximum(np.float32(255 * self.brightness) - dry, 0)
        return Seen(_whole(dry), _whole(dry + rain[..., None] * more))


def _whole(levels: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def _grey(levels: NDArray[np.floating]) -> Pixels:
    plane = _whole(levels)
    return np.asarray(cv2.merge([plane, plane, plane]), np.uint8)
