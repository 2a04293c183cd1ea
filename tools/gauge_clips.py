"""Clips that the rain gauge learns from: rain or none, and all else that changes between frames.

Stills set in motion, with what is not rain (``tools/nuisances.py``), in any light and of any size
that rain has in a picture: a camera's streaks are as wide as its pixels are small. All of it is
seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels
from streamderain.rain.simulate import RainLook, RainSimulator
from streamderain.rain.streaks import log_uniform
from tools.clips import MOTIONS, camera_path, draw_clip, random_movers
from tools.condition_clips import STREAKS_COVER, rain_layers, seen_in
from tools.nuisances import NUISANCES
from tools.training.data import Pictures

__all__ = ["LENGTH", "GaugeClip", "rain_on", "random_clip"]

LENGTH = 16
"""Frames of a clip."""
OFTEN = {
    "dimmed": 0.3, "leaves": 0.25, "flickering": 0.15, "snow": 0.2, "insects": 0.15, "posts": 0.15,
    "noisy": 0.8, "compressed": 0.6,
}  # fmt: skip
"""How often each nuisance is in a clip."""
RECORDED = ("noisy", "compressed")
"""Those of cameras and files; the others are before the lens."""
SCALED = 0.7
"""How often a clip is made of another size than it is shown in; and how often drawn rain is."""
SMALLEST, LARGEST = 0.4, 2.5
"""Factors of that."""
LEAST, MOST = (150, 200), (400, 600)
"""Height and width of clips, between which they are drawn."""
ROOM = 16
"""Pixels by which a still is larger than what is seen of it, for a camera that moves."""
SEEN_AS = 8
"""Levels by which rain that is seen brightens a picture."""

Rng = np.random.Generator


@dataclass(frozen=True)
class GaugeClip:
    """A clip to learn from.

    Attributes:
        frames: uint8 H×W×3 RGB each.
        kinds: what is in it: the camera's motion, the light, the rain's way, nuisances.
    """

    frames: list[Pixels]
    kinds: tuple[str, ...]


def random_clip(
    pictures: Pictures, stills: Sequence[Pixels], rng: Rng, condition: str, *, rainy: bool
) -> GaugeClip | None:
    """Make a clip; None where it should rain and nobody would see it.

    Args:
        pictures: for their layers of rain.
        stills: uint8 H×W×3 RGB, not smaller than 200×260.
        rng: its state decides everything.
        condition: of :data:`~streamderain.rain.drawn.CONDITIONS`.
        rainy: whether it rains.
    """
    scale = log_uniform(SMALLEST, LARGEST, rng) if rng.random() < SCALED else 1.0
    motion = str(rng.choice(MOTIONS, p=[0.6, 0.2, 0.2]))
    frames, path = _scene(stills, scale, motion, rng)
    kinds = [motion, condition]
    if scale != 1:
        kinds.append("smaller" if scale < 1 else "larger")

    def perhaps(frames: list[Pixels], name: str) -> list[Pixels]:
        if rng.random() >= OFTEN[name]:
            return frames
        kinds.append(name)
        return NUISANCES[name](frames, rng)

    for name in NUISANCES:
        if name not in RECORDED and not (rainy and name == "snow"):
            frames = perhaps(frames, name)
    by_day = condition == "day"
    dry = wet = frames
    if not by_day:
        clip = seen_in(condition, frames, rng, path)
        dry, wet, frames = clip.truth, clip.wet, clip.rainy if rainy else clip.dry
    elif rainy:
        magnified = log_uniform(1, LARGEST, rng) if rng.random() < SCALED else 1.0
        wet, way = rain_on(dry, pictures, rng, magnified)
        frames = wet
        kinds.append(way)
    if rainy and not (by_day and scale >= 1) and not _is_seen(dry, wet, scale):
        return None
    steps = [*RECORDED]
    steps.insert(int(rng.integers(len(RECORDED) + 1)), "scaled")
    for step in steps:
        if step == "scaled":
            frames = [_scaled(frame, scale) for frame in frames]
        elif by_day or step != "noisy":  # else the sensor has its own noise
            frames = perhaps(frames, step)
    return GaugeClip(frames, tuple(kinds))


def _scene(
    stills: Sequence[Pixels], scale: float, motion: str, rng: Rng
) -> tuple[list[Pixels], NDArray[np.float64]]:
    """Return a clip of a dry day that is as large as a gauge's pictures are once it is scaled.

    Also where the view is in the still: frames×2.
    """
    still = stills[int(rng.integers(len(stills)))]
    low, high = ((round(part / scale) for part in sides) for sides in (LEAST, MOST))
    sides = [int(rng.integers(least, most + 1)) for least, most in zip(low, high, strict=True)]
    if scale < 1:  # a still is too small for what is seen from so far
        reflected = [(side // 2, side - side // 2) for side in still.shape[:2]]
        still = np.pad(still, (*reflected, (0, 0)), mode="symmetric")
    room = (still.shape[0] - ROOM, still.shape[1] - ROOM)
    size = min(sides[0], room[0]), min(sides[1], room[1])
    path = camera_path(
        motion, LENGTH, rng, reach=(still.shape[0] - size[0], still.shape[1] - size[1])
    )
    movers = random_movers(stills, int(rng.integers(0, 4)), size, LENGTH, rng)
    return list(draw_clip(still, path, movers, size).frames), path


def _scaled(frame: Pixels, scale: float) -> Pixels:
    """Return a picture as another camera or a converter would make it."""
    if scale == 1:
        return frame
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=kind), np.uint8)


def _is_seen(dry: Sequence[Pixels], wet: Sequence[Pixels], scale: float) -> bool:
    """Say whether rain brightens as much of a picture as the least that is taught by day."""
    before, after = (_scaled(clip[len(clip) // 2], scale) for clip in (dry, wet))
    light = after.astype(np.int16).max(axis=2) - before.max(axis=2)
    return float((light > SEEN_AS).mean()) >= STREAKS_COVER[0]


def rain_on(
    frames: Sequence[Pixels], pictures: Pictures, rng: Rng, magnified: float = 1.0
) -> tuple[list[Pixels], str]:
    """Rain on a clip in one of three ways; return it and the way's name.

    Args:
        frames: uint8 H×W×3 RGB each.
        pictures: for their layers of rain.
        rng: its state decides everything.
        magnified: by what factor drawn streaks are longer and wider than they are usually.
    """
    height, width = frames[0].shape[:2]
    way = rng.random()
    if way < 0.35:
        look = RainLook(
            rate_mm_h=log_uniform(2.5, 80, rng),
            wind=float(rng.normal(0, 0.25)),
            exposure_s=1 / log_uniform(25, 250, rng),
            brightness=float(rng.uniform(0.4, 1.0)), noise=0.0, sharpening=0.0,
        )  # fmt: skip
        simulator = RainSimulator(height, width, look, seed=int(rng.integers(2**31)))
        return [simulator.rain_on(frame) for frame in frames], "rate"
    if way < 0.75:
        layers = rain_layers("day", len(frames), (height, width), rng, magnified)
        pairs = zip(frames, layers, strict=True)
        return [_add(frame, 255 * layer[..., None]) for frame, layer in pairs], "streaks"
    layer = pictures.layers[int(rng.integers(len(pictures.layers)))]
    tall, wide = -(-height // layer.shape[0]) + 1, -(-width // layer.shape[1]) + 1
    tiled = np.tile(layer, (tall, wide, 1))
    strength = float(rng.uniform(0.5, 1.1))
    result = []
    for frame in frames:
        top = int(rng.integers(layer.shape[0]))
        left = int(rng.integers(layer.shape[1]))
        result.append(_add(frame, strength * tiled[top : top + height, left : left + width]))
    return result, "layers"


def _add(frame: Pixels, light: NDArray[np.floating]) -> Pixels:
    return np.clip(frame + light, 0, 255).astype(np.uint8)
