"""Rain streaks: falling drops, seen by a camera with an exposure time.

Drops live in a few depth layers. A drop of diameter D (mm) falls at
v = 9.65 − 10.3·exp(−0.6·D) m/s (Atlas, Srivastava & Sekhon, Rev. Geophys. 1973); its streak in the
picture is speed × exposure × focal length / depth long and D × focal length / depth wide, and out
of focus away from the focus distance (Garg & Nayar, "Vision and Rain", IJCV 2007). Drops keep
their velocity for as long as they are in the picture, so that consecutive frames belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RainConfig:
    """What the rain and the camera are like.

    Attributes:
        density: streaks in one megapixel of picture, all layers together.
        wind: sideways speed of the drops over their falling speed; 0.3 leans by about 17°.
        turbulence: standard deviation of each drop's own lean, in the unit of ``wind``.
        exposure_s: exposure time of the camera, in seconds.
        fps: frames per second of the camera.
        focal_px: focal length in pixels.
        depths_m: distance of each layer from the camera, in metres, nearest first.
        focus_m: distance at which the lens is sharp, in metres.
        aperture_px: blur of a thing at half the focus distance, as a Gaussian sigma in pixels.
        brightness: brightest streak, 0 to 1 of white.
        diameter_mm: mean diameter of the drops.
        falloff: how brightness falls with the distance, as a power of it: 0 by daylight; light of
            the camera's own goes with 2, which are 0.9 of the levels after a gamma.
    """

    density: float = 600.0
    wind: float = 0.1
    turbulence: float = 0.03
    exposure_s: float = 1 / 120
    fps: float = 25.0
    focal_px: float = 700.0
    depths_m: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0)
    focus_m: float = 8.0
    aperture_px: float = 0.5
    brightness: float = 0.7
    diameter_mm: float = 2.0
    falloff: float = 0.0

    def __post_init__(self) -> None:
        if not self.depths_m or min(self.depths_m) <= 0:
            raise ValueError("depths_m needs at least one distance above 0 m")
        if self.density < 0 or not 0 <= self.brightness <= 1:
            raise ValueError("density must be 0 or more and brightness between 0 and 1")
        if self.falloff < 0:
            raise ValueError("falloff must be 0 or more")


class RainField:
    """The drops in front of one camera; each :meth:`layer` is the next frame's rain.

    Args:
        height, width: size of the picture in pixels.
        config: the rain and the camera.
        seed: the same seed gives the same rain, frame by frame.
    """

    def __init__(self, height: int, width: int, config: RainConfig, seed: int) -> None:
        self.height, self.width, self.config = height, width, config
        rng = np.random.default_rng(seed)
        # More drops fit into a slice of the view the farther it is away: its area grows with the
        # square, its share of the picture does not; the visible ones thin out with contrast.
        share = np.sqrt(np.asarray(config.depths_m))
        count = max(1, round(config.density * height * width / 1e6)) if config.density else 0
        self._layer = rng.choice(len(share), size=count, p=share / share.sum())
        depth = np.asarray(config.depths_m)[self._layer] * rng.uniform(0.8, 1.25, count)
        diameter = np.clip(rng.gamma(4.0, config.diameter_mm / 4.0, count), 0.5, 6.0)
        speed = 9.65 - 10.3 * np.exp(-0.6 * diameter)
        lean = config.wind + rng.normal(0.0, config.turbulence, count)
        scale = config.focal_px / depth
        self._velocity = np.stack([speed * lean * scale, speed * scale], axis=1)  # pixels a second
        self._thickness = np.maximum(diameter * 1e-3 * scale, 0.6)
        self._margin = np.abs(self._velocity).max(initial=1.0) * config.exposure_s
        span = np.array([width, height]) + 2 * self._margin
        self._span = span
        self._position = rng.uniform(0.0, 1.0, (count, 2)) * span
        self._value = config.brightness * rng.uniform(0.35, 1.0, count)

    def layer(self) -> NDArray[np.float32]:
        """Return the light that the rain adds in the next frame: float32 H×W in [0, 1]."""
        total: NDArray[np.float32] = np.zeros((self.height, self.width), np.float32)
        config = self.config
        streak = self._velocity * config.exposure_s
        start = self._position - self._margin
        for index, depth in enumerate(config.depths_m):
            chosen = self._layer == index
            if not chosen.any():
                continue
            canvas = np.zeros((self.height, self.width), np.uint8)
            self._draw(canvas, start[chosen], streak[chosen], chosen)
            sigma = 0.4 + config.aperture_px * abs(config.focus_m / depth - 1.0)
            blurred = cv2.GaussianBlur(canvas, (0, 0), sigma)
            weight = (config.depths_m[0] / depth) ** config.falloff
            total += np.asarray(blurred, np.float32) / np.float32(255.0 / weight)
        self._position = (self._position + self._velocity / config.fps) % self._span
        return np.minimum(total, 1.0, out=total)

    def _draw(
        self,
        canvas: NDArray[np.uint8],
        start: NDArray[np.float64],
        streak: NDArray[np.float64],
        chosen: NDArray[np.bool_],
    ) -> None:
        shift = 4  # OpenCV's fixed point: sixteenths of a pixel, so that streaks do not jump
        first = np.rint(start * 2**shift).astype(int)
        last = np.rint((start + streak) * 2**shift).astype(int)
        values = np.rint(self._value[chosen] * 255)
        widths = self._thickness[chosen]
        for p, q, value, width in zip(first, last, values, widths, strict=True):
            # A streak thinner than a pixel covers a part of it: it is drawn dimmer instead.
            thickness = max(1, round(float(width)))
            dimmed = float(value) * min(1.0, float(width))
            cv2.line(
                canvas, (int(p[0]), int(p[1])), (int(q[0]), int(q[1])), dimmed,
                thickness, cv2.LINE_AA, shift,
            )  # fmt: skip


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_config(rng: np.random.Generator) -> RainConfig:
    """Draw a rain at random, drizzle to downpour, for training on many kinds.

    Exposures reach from a dim evening's (long, thin streaks) to bright daylight's, where a drop
    near the camera is a short, broad dash.
    """
    nearest = log_uniform(0.7, 4.0, rng)
    return RainConfig(
        density=log_uniform(2000, 40000, rng),
        wind=float(rng.normal(0.0, 0.25)),
        turbulence=float(rng.uniform(0.0, 0.08)),
        exposure_s=1 / log_uniform(30, 700, rng),
        focal_px=log_uniform(500, 1600, rng),
        depths_m=(nearest, 2 * nearest, 4 * nearest, 8 * nearest),
        focus_m=log_uniform(3.0, 15.0, rng),
        aperture_px=log_uniform(0.02, 0.5, rng),
        brightness=float(rng.uniform(0.4, 1.0)),
        diameter_mm=float(rng.uniform(1.2, 4.0)),
    )
