"""Clips in conditions (``streamderain/rain/conditions.py``): dry and rainy, with their truth.

For training, judging and drawing. All of it is seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels
from streamderain.rain.conditions import Condition, Light
from streamderain.rain.drawn import rain_in, random_condition
from streamderain.rain.streaks import RainField

__all__ = ["STREAKS_COVER", "ConditionClip", "rain_layers", "seen_in"]

Rng = np.random.Generator

STREAKS_COVER = (0.004, 0.2)
"""Share of a synthetic layer that streaks may cover: less teaches nothing, more hides the scene."""


@dataclass(frozen=True)
class ConditionClip:
    """A clip in a condition: uint8 H×W×3 RGB each.

    Attributes:
        condition: what it is seen in.
        truth: without rain and without the sensor's noise.
        wet: with rain and without noise.
        dry: the truth with noise.
        rainy: with rain and noise.
    """

    condition: Condition
    truth: list[Pixels]
    wet: list[Pixels]
    dry: list[Pixels]
    rainy: list[Pixels]


def rain_layers(
    name: str, frames: int, size: tuple[int, int], rng: Rng, magnified: float = 1.0
) -> list[Light]:
    """Let the rain of a condition fall: float32 H×W in [0, 1] for each frame.

    Args:
        name: of :data:`~streamderain.rain.drawn.CONDITIONS`.
        frames: how many.
        size: height and width in pixels.
        rng: its state decides everything.
        magnified: by what factor streaks are longer and wider than they are usually.
    """
    while True:
        config = rain_in(name, rng)
        config = replace(config, focal_px=magnified * config.focal_px)
        field = RainField(*size, config, int(rng.integers(2**31)))
        layers = [field.layer() for _ in range(frames)]
        if STREAKS_COVER[0] <= float((layers[0] > 0.1).mean()) <= STREAKS_COVER[1]:
            return layers


def seen_in(
    name: str, frames: Sequence[Pixels], rng: Rng, path: NDArray[np.float64] | None = None,
    layers: Sequence[Light] | None = None,
) -> ConditionClip:  # fmt: skip
    """Put a clip of a dry day into a condition drawn at random, without rain and with it.

    Args:
        name: of :data:`~streamderain.rain.drawn.CONDITIONS`.
        frames: uint8 H×W×3 RGB each.
        rng: its state decides everything.
        path: where the view is in its scene, frames×2, of :func:`tools.clips.camera_path`.
        layers: light of the rain, float32 H×W each; the condition's own by default.
    """
    size = frames[0].shape[0], frames[0].shape[1]
    condition = random_condition(name, size, len(frames), rng)
    if layers is None:
        layers = rain_layers(name, len(frames), size, rng)
    truth: list[Pixels] = []
    wet: list[Pixels] = []
    for index, (frame, layer) in enumerate(zip(frames, layers, strict=True)):
        down, right = (0.0, 0.0) if path is None else path[index] - path[0]
        seen = condition.see(frame, layer, index, (float(down), float(right)))
        truth.append(seen.dry)
        wet.append(seen.wet)
    dry, rainy = ([condition.sensor.take(frame, rng) for frame in of] for of in (truth, wet))
    return ConditionClip(condition, truth, wet, dry, rainy)
