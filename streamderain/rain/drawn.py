"""Conditions and their rain drawn at random, for training and judging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamderain.rain.conditions import Condition, Day, Fog, Infrared, Lamp, Night, Sensor
from streamderain.rain.streaks import RainConfig, log_uniform, random_config

__all__ = ["CONDITIONS", "rain_in", "random_condition"]

CONDITIONS = ("day", "infrared", "night", "fog")
"""By name; ``day`` changes nothing."""

Rng = np.random.Generator

LAMP_COLOURS = ((1.0, 0.62, 0.28), (1.0, 0.84, 0.6), (1.0, 0.97, 0.92), (0.82, 0.92, 1.0))
"""Sodium, warm and neutral LEDs, cold ones."""


def random_condition(name: str, size: tuple[int, int], frames: int, rng: Rng) -> Condition:
    """Draw a condition for a clip.

    Args:
        name: of :data:`CONDITIONS`.
        size: height and width of the view in pixels, which lamps are put into.
        frames: length of the clip: what moves is in the view for a part of it.
        rng: its state decides everything.

    Raises:
        ValueError: no such condition.
    """
    if name == "day":
        return Day()
    if name == "infrared":
        return _infrared(rng)
    if name == "night":
        return _night(size, frames, rng)
    if name == "fog":
        return Fog(
            visibility_m=log_uniform(20, 250, rng), airlight=float(rng.uniform(0.55, 0.92)),
            tint=(float(rng.uniform(0.93, 1)), float(rng.uniform(0.96, 1)), 1.0),
            nearest_m=log_uniform(3, 15, rng), farthest_m=log_uniform(40, 250, rng),
            horizon=float(rng.uniform(-0.3, 0.35)), brightness=float(rng.uniform(0.85, 1.0)),
            sensor=Sensor(read=float(rng.uniform(0.5, 2.5))),
        )  # fmt: skip
    raise ValueError(f"a condition is one of {', '.join(CONDITIONS)}, not {name!r}")


def rain_in(name: str, rng: Rng) -> RainConfig:
    """Draw the rain of a condition.

    By infrared light and at night, exposures are long; in infrared light, drops just before the
    camera shine most. In fog it drizzles or rains as by day.

    Args:
        name: of :data:`CONDITIONS`.
        rng: its state decides everything.
    """
    config = random_config(rng)
    if name == "infrared":
        nearest = log_uniform(0.3, 1.5, rng)
        return replace(
            config, exposure_s=1 / log_uniform(25, 120, rng), density=log_uniform(1000, 12000, rng),
            depths_m=(nearest, 2 * nearest, 4 * nearest, 8 * nearest), brightness=1.0,
            aperture_px=log_uniform(0.05, 0.5, rng), falloff=float(rng.uniform(0.6, 1.0)),
        )  # fmt: skip
    if name == "night":
        return replace(config, exposure_s=1 / log_uniform(20, 100, rng))
    return config


def _infrared(rng: Rng) -> Infrared:
    red = float(rng.uniform(0.3, 0.6))
    return Infrared(
        weights=(red, 0.9 - red, 0.1), exposure=float(rng.uniform(0.5, 1.1)),
        exposed_m=log_uniform(6, 25, rng), nearest_m=log_uniform(2.5, 9, rng),
        farthest_m=log_uniform(20, 60, rng), horizon=float(rng.uniform(-0.3, 0.35)),
        beam=log_uniform(0.04, 0.5, rng), dark=float(rng.uniform(0.03, 0.15)),
        brightness=float(rng.uniform(0.6, 1.2)),
        sensor=Sensor(
            read=log_uniform(0.8, 6, rng), shot=float(rng.uniform(0, 0.12)), grey=True,
            grain=float(rng.uniform(0, 0.8)),
        ),
    )  # fmt: skip


def _night(size: tuple[int, int], frames: int, rng: Rng) -> Night:
    lamps = [_street_lamp(size, rng) for _ in range(int(rng.integers(1, 5)))]
    if rng.random() < 0.5:
        lamps += _headlights(size, frames, rng)
    return Night(
        lamps=tuple(lamps), ambient=log_uniform(0.04, 0.28, rng),
        tint=(1.0, float(rng.uniform(0.85, 1)), float(rng.uniform(0.7, 1))),
        shine=float(rng.uniform(0.9, 1.7)),
        sensor=Sensor(
            read=log_uniform(1, 7, rng), shot=float(rng.uniform(0, 0.15)),
            grain=float(rng.uniform(0, 0.8)),
        ),
    )  # fmt: skip


def _street_lamp(size: tuple[int, int], rng: Rng) -> Lamp:
    lean = float(rng.normal(0, 0.15))
    return Lamp(
        place=(float(rng.uniform(-0.1, 0.8)) * size[0], float(rng.uniform(0, 1)) * size[1]),
        radius=log_uniform(1.2, 9, rng), reach=log_uniform(20, 110, rng),
        power=float(rng.uniform(0.3, 1.0)), colour=LAMP_COLOURS[int(rng.integers(4))],
        aim=(float(np.cos(lean)), float(np.sin(lean))) if rng.random() < 0.8 else None,
        halo=float(rng.uniform(0.15, 0.75)), spread=log_uniform(1.5, 7, rng),
    )  # fmt: skip


def _headlights(size: tuple[int, int], frames: int, rng: Rng) -> list[Lamp]:
    """Return two lamps that go through the view together."""
    way = 1 if rng.random() < 0.5 else -1
    velocity = float(rng.normal(0, 0.5)), way * log_uniform(0.5, 8, rng)
    when = float(rng.uniform(0, frames))
    down, right = (float(rng.uniform(0.3, 0.95)) * size[0], float(rng.uniform(0, 1)) * size[1])
    radius = log_uniform(1.5, 7, rng)
    apart = radius * log_uniform(2.5, 8, rng)
    one = Lamp(
        place=(down - when * velocity[0], right - when * velocity[1]), radius=radius,
        reach=log_uniform(20, 80, rng), power=float(rng.uniform(0.4, 1.0)),
        colour=LAMP_COLOURS[int(rng.integers(2, 4))],
        aim=(0.2, 0.98 * way) if rng.random() < 0.5 else None,
        halo=float(rng.uniform(0.3, 0.85)), spread=log_uniform(1.5, 6, rng), velocity=velocity,
    )  # fmt: skip
    return [one, replace(one, place=(one.place[0], one.place[1] + apart))]
