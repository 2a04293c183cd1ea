"""Training clips for the video networks: stills in motion, in rain, with the prior of the past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Frame
from streamderain.inference.past import TemporalPrior
from streamderain.inference.prior import Prior, no_prior
from streamderain.inference.remembering import MAX_LOOKAHEAD, remembered
from streamderain.rain.streaks import RainField, random_config
from tools.clips import MOTIONS, camera_path, draw_clip, random_movers, random_vehicles
from tools.condition_clips import STREAKS_COVER, seen_in
from tools.nuisances import compressed, noisy
from tools.training.data import (
    DRY_THERE,
    RAINS,
    Conditions,
    Mixture,
    Picture,
    Pictures,
)

__all__ = ["ClipSampler", "stacked", "validation_clips"]

Rng = np.random.Generator

LENGTH = 13
"""Frames of a clip: the longest past, and some of it over."""
TARGETS = (1, 4, 7, 10, 12)
"""Frames of a clip that are learnt from: with a short past, and with a long one."""
AHEAD = 0.3
"""Share of clips whose frames are looked at from both sides, as recordings are."""
TARGETS_AHEAD = (2, 4, 6, 8, 10)
"""Frames of those that are learnt from."""
FORGOTTEN = 0.3
"""Share of patches whose past is forgotten: alone, the network has to work as well."""
POOL = 480
"""Frames that a batch is drawn from: those of one clip are much alike."""
DRAWN = 4
"""Times that each of them is drawn, on average: making a clip takes as long as ten small steps."""
BORDER = 24
"""Pixels around a patch: its motion is measured on more than itself."""
SMOOTH = 0.4
"""Share of the things that move which are smooth and may be large, as vehicles."""
MOTION_SHARES = (0.55, 0.2, 0.25)
STATIC_NOISE = 0.5
"""Share of clips with a sensor's noise."""
COMPRESSED = 0.35


def stacked(frame: Picture, prior: Picture, reliability: NDArray[np.uint8]) -> Picture:
    """Return what a video network takes: uint8 H×W×7."""
    return np.concatenate([frame, prior, reliability[..., None]], axis=2)


class ClipSampler:
    """Draws batches of (frame with its past, clean) patches for ever, reproducibly.

    Args:
        pictures: from :func:`~tools.training.data.load_pictures`.
        mixture: shares of the kinds of rain: ``pairs`` and ``layers`` both mean the benchmark's
            layers, ``synthetic`` streaks with their own motion, ``dry`` none.
        rng: its state is the sampler's whole state.
        conditions: shares of clips that are seen in another light than that of the day.
    """

    def __init__(
        self, pictures: Pictures, mixture: Mixture, rng: Rng, conditions: Conditions | None = None
    ) -> None:
        self.pictures, self.rng = pictures, rng
        self._conditions = conditions or Conditions()
        shares = np.array([mixture.pairs + mixture.layers, mixture.synthetic, mixture.dry])
        self._shares = shares / shares.sum()
        self._pool: list[tuple[Picture, Picture]] = []
        self._drawn = 0

    def batch(self, size: int, patch: int) -> tuple[Picture, Picture]:
        """Return uint8 N×patch×patch×7 and N×patch×patch×3."""
        rainy = np.empty((size, patch, patch, 7), np.uint8)
        clean = np.empty((size, patch, patch, 3), np.uint8)
        for index in range(size):
            if self._pool and self._pool[0][1].shape[0] != patch:
                self._pool.clear()
            # A clip's frames are drawn a few times before they make room, early ones more often.
            while len(self._pool) < min(POOL, 30 + self._drawn // DRAWN):
                self._pool += self.clip(patch)
            chosen = int(self.rng.integers(len(self._pool)))
            pair = self._pool[chosen]
            self._drawn += 1
            if len(self._pool) >= POOL and self._drawn % DRAWN == 0:
                self._pool[chosen] = self._pool[-1]
                self._pool.pop()
            rainy[index], clean[index] = pair
        return rainy, clean

    def clip(self, patch: int) -> list[tuple[Picture, Picture]]:
        """Make a clip and return the frames of it that are learnt from."""
        rng, side = self.rng, patch + 2 * BORDER
        stills = self.pictures.clean
        while True:
            still = stills[int(rng.integers(len(stills)))]
            if min(still.shape[:2]) > side + 4:
                break
        motion = str(rng.choice(MOTIONS, p=MOTION_SHARES))
        reach = still.shape[0] - side, still.shape[1] - side
        path = camera_path(motion, LENGTH, rng, reach=reach)
        count = int(rng.choice([0, 1, 2, 3], p=[0.2, 0.35, 0.25, 0.2]))
        smooth = int(rng.binomial(count, SMOOTH))
        movers = random_vehicles(smooth, (side, side), LENGTH, rng)
        movers += random_movers(stills, count - smooth, (side, side), LENGTH, rng)
        clean = draw_clip(still, path, movers, (side, side)).frames
        light = self._conditions.draw(rng)
        if light == "day":
            clean, rainy = self._by_day(clean, side)
        else:
            seen = seen_in(light, clean, rng, path)
            clean, rainy = seen.truth, seen.dry if rng.random() < DRY_THERE else seen.rainy
        if rng.random() < COMPRESSED:
            rainy = compressed(rainy, rng)
        found = []
        inside = np.s_[BORDER : BORDER + patch, BORDER : BORDER + patch]
        mirrored = rng.random() < 0.5
        for index, prior in self._priors(rainy):
            wet, dry = rainy[index], clean[index]
            if rng.random() < FORGOTTEN:
                prior = no_prior(wet)
            pair = stacked(wet, prior.pixels, prior.reliability)[inside], dry[inside]
            found.append((pair[0][:, ::-1], pair[1][:, ::-1]) if mirrored else pair)
        return found

    def _by_day(self, clean: list[Picture], side: int) -> tuple[list[Picture], list[Picture]]:
        """Return a clip as bright as the day or the evening, without rain and with it."""
        rng = self.rng
        if rng.random() < 0.3:  # down to a dim evening
            gain, lift = float(rng.uniform(0.35, 1.1)), float(rng.uniform(0, 25))
            clean = [np.clip(f * gain + lift, 0, 255).astype(np.uint8) for f in clean]
        rainy = self._rain(clean, side)
        if rng.random() < STATIC_NOISE:
            rainy = noisy(rainy, rng)
        return clean, rainy

    def _priors(self, rainy: Sequence[Picture]) -> Iterator[tuple[int, Prior]]:
        """Give the frames that are learnt from with their priors, causal or looking ahead."""
        ahead = self.rng.random() < AHEAD
        targets = TARGETS_AHEAD if ahead else TARGETS
        recorded = (
            Frame("clip", 0, index, index, Fraction(1, 25), wet) for index, wet in enumerate(rainy)
        )
        for frame, prior in remembered(recorded, MAX_LOOKAHEAD if ahead else 0):
            if frame.index in targets and prior is not None:
                yield frame.index, prior

    def _rain(self, clean: Sequence[Picture], side: int) -> list[Picture]:
        kind = int(self.rng.choice(3, p=self._shares))
        if kind == 0:
            return self._benchmark(clean, side)
        return self._streaks(clean, side) if kind == 1 else list(clean)

    def _benchmark(self, clean: Sequence[Picture], side: int) -> list[Picture]:
        """Lay a benchmark's rain over each frame, from another place of it each time."""
        rng, layers = self.rng, self.pictures.layers
        layer = layers[int(rng.integers(len(layers)))]
        strength = float(rng.uniform(0.6, 1.15)) if rng.random() < 0.5 else 1.0
        result = []
        for frame in clean:
            top = int(rng.integers(layer.shape[0] - side + 1))
            left = int(rng.integers(layer.shape[1] - side + 1))
            light = strength * layer[top : top + side, left : left + side].astype(np.float32)
            if rng.random() < 0.5:
                light = light[::-1, ::-1]  # the same direction, another place
            result.append(np.clip(frame + light, 0, 255).astype(np.uint8))
        return result

    def _streaks(self, clean: Sequence[Picture], side: int) -> list[Picture]:
        """Rain as it falls: drops that keep their way from frame to frame."""
        rng = self.rng
        while True:
            field = RainField(side, side, random_config(rng), int(rng.integers(2**31)))
            layers = [field.layer()[..., None] for _ in clean]
            if STREAKS_COVER[0] <= float((layers[0] > 0.1).mean()) <= STREAKS_COVER[1]:
                break
        if rng.random() < 0.5:
            airlight = float(rng.uniform(150, 255))
            return [
                np.maximum(f, f + layer * (airlight - f)).astype(np.uint8)
                for f, layer in zip(clean, layers, strict=True)
            ]
        return [
            np.clip(f + 255 * layer, 0, 255).astype(np.uint8)
            for f, layer in zip(clean, layers, strict=True)
        ]


def validation_clips(
    scenes: dict[str, list[tuple[Picture, Picture]]], seed: int = 7
) -> dict[str, list[tuple[Picture, Picture]]]:
    """Return the last frames of clips of the validation scenes, by the camera's motion.

    Args:
        scenes: from :func:`~tools.training.data.validation_sets`.
        seed: of motion and rain.

    Returns:
        ``fixed`` and ``pan``: (uint8 H×W×7, uint8 H×W×3), half of each in light, half in heavy
        rain; ``light`` and ``heavy`` without a past.
    """
    sets: dict[str, list[tuple[Picture, Picture]]] = {}
    for rain in RAINS:
        sets[rain] = [
            (stacked(rainy, rainy, np.zeros(rainy.shape[:2], np.uint8)), clean)
            for rainy, clean in scenes[rain]
        ]
    stills = [clean for _, clean in scenes["dry"]]
    for motion in ("fixed", "pan"):
        rng = np.random.default_rng(seed)
        sets[motion] = []
        for index, still in enumerate(stills):
            rain = RAINS[index % 2]
            others = scenes[rain][index + 1 :] + scenes[rain][: index + 1]
            # Of a scene as wide and high: rain that is turned doesn't look like rain.
            wet, dry = next(pair for pair in others if pair[1].shape == still.shape)
            layer = np.clip(wet.astype(np.int16) - dry, 0, 255)
            size = still.shape[0] - 40, still.shape[1] - 60
            path = camera_path(motion, LENGTH, rng, reach=(40, 60))
            movers = random_movers(stills, 2, size, LENGTH, rng)
            clean_clip = draw_clip(still, path, movers, size).frames
            past = TemporalPrior()
            for frame in clean_clip:
                moved = np.roll(layer, tuple(rng.integers(0, 200, 2)), axis=(0, 1))
                rainy = np.clip(frame + moved[: size[0], : size[1]], 0, 255).astype(np.uint8)
                prior = past.step(rainy)
            sets[motion].append((stacked(rainy, prior.pixels, prior.reliability), clean_clip[-1]))
    return sets
