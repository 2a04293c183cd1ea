"""Training pictures: all in memory as uint8, patches cut and rained on as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamderain.errors import InputError
from streamderain.rain.streaks import RainField, random_config
from streamderain.readers.pictures import read_picture
from tools.condition_clips import STREAKS_COVER, seen_in

Picture = NDArray[np.uint8]

# Scenes of Rain100 kept apart for validation. 69 shows the scene of 10, which trains.
TRAIN_IDS = range(1, 61)
VALIDATION_IDS = tuple(i for i in range(61, 71) if i != 69)
RAINS = ("light", "heavy")

NOISELESS = 0.5
"""Share of patches in another light without noise: in one picture, grains look like small drops."""


class Mixture(BaseModel):
    """Shares of the kinds of patches; they are normalised to a sum of 1."""

    model_config = ConfigDict(extra="forbid")
    pairs: float = Field(default=0.35, ge=0)
    layers: float = Field(default=0.40, ge=0)
    synthetic: float = Field(default=0.17, ge=0)
    dry: float = Field(default=0.08, ge=0)

    @model_validator(mode="after")
    def _something(self) -> Mixture:
        if self.pairs + self.layers + self.synthetic + self.dry == 0:
            raise ValueError("at least one share must be above 0")
        return self


class Conditions(BaseModel):
    """Shares of clips or patches that are seen at night, by infrared light or in fog.

    The rest is by day. Rain there is synthetic, whatever the mixture says; one in five is dry.
    """

    model_config = ConfigDict(extra="forbid")
    infrared: float = Field(default=0.0, ge=0, le=1)
    night: float = Field(default=0.0, ge=0, le=1)
    fog: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Conditions:
        if self.infrared + self.night + self.fog > 1:
            raise ValueError("the shares of infrared, night and fog must not exceed 1 together")
        return self

    def draw(self, rng: np.random.Generator) -> str:
        """Draw one of :data:`~streamderain.rain.drawn.CONDITIONS`; without shares, no number."""
        shares = self.model_dump()
        if not any(shares.values()):
            return "day"
        day = max(0.0, 1 - sum(shares.values()))
        return str(rng.choice(["day", *shares], p=[day, *shares.values()]))


DRY_THERE = 0.2
"""Share of the clips or patches in a :class:`Conditions` that are dry: lamps are no rain."""


def read_rgb(path: Path) -> Picture:
    """Read a picture as uint8 H×W×3 RGB.

    Raises:
        InputError: the file is missing, or no picture.
    """
    return read_picture(path)[0]


@dataclass
class Pictures:
    """All training pictures, uint8 H×W×3 RGB each (layers: H×W×3, the light that rain added)."""

    pairs: list[tuple[Picture, Picture]] = field(default_factory=list)
    layers: list[Picture] = field(default_factory=list)
    clean: list[Picture] = field(default_factory=list)
    streaks: list[NDArray[np.uint8]] = field(default_factory=list)


def load_pictures(root: Path, seed: int, streak_layers: int = 400) -> Pictures:
    """Read the training part of the data folder and draw a bank of synthetic streak layers.

    Args:
        root: folder with ``rain100/{clean,light,heavy}`` and ``clean/{bsds,photos}``.
        seed: of the synthetic streaks.
        streak_layers: how many of them, 320×480 each.

    Raises:
        InputError: a picture is missing or unreadable, or there are none.
    """
    pictures = Pictures()
    for index in TRAIN_IDS:
        name = f"{index:03d}.png"
        if not (root / "rain100/clean" / name).exists():
            continue  # some ids are kept apart by the data set itself
        clean = read_rgb(root / "rain100/clean" / name)
        pictures.clean.append(clean)
        for rain in RAINS:
            rainy = read_rgb(root / "rain100" / rain / name)
            pictures.pairs.append((rainy, clean))
            layer = cv2.subtract(rainy, clean)  # saturates at 0
            pictures.layers.append(np.asarray(layer, np.uint8))
    for path in sorted((root / "clean/bsds").glob("*.jpg")):
        pictures.clean.append(read_rgb(path))
    for path in sorted((root / "clean/photos").glob("*.JPEG")):
        photo = read_rgb(path)
        # Photographs from the web carry JPEG blocks; smaller they are as clean as the others.
        scale = max(0.6, 288 / min(photo.shape[:2]))
        if scale < 1:
            smaller = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            photo = np.asarray(smaller, np.uint8)
        pictures.clean.append(photo)
    if not pictures.pairs or not pictures.clean:
        raise InputError(f"{root} holds no training pictures (rain100/, clean/)")
    rng = np.random.default_rng(seed)
    while len(pictures.streaks) < streak_layers:
        rain_field = RainField(320, 480, random_config(rng), int(rng.integers(2**31)))
        layer = rain_field.layer()
        covered = float((layer > 0.1).mean())
        if STREAKS_COVER[0] <= covered <= STREAKS_COVER[1]:
            pictures.streaks.append(np.rint(layer * 255).astype(np.uint8))
    return pictures


class PatchSampler:
    """Draws batches of (rainy, clean) patches for ever, reproducibly.

    Args:
        pictures: from :func:`load_pictures`.
        mixture: shares of the kinds.
        rng: its state is the sampler's whole state.
        upside_down: share of patches that are turned over; all are mirrored at even odds.
        conditions: shares that are seen in another light than that of the day.
    """

    def __init__(
        self,
        pictures: Pictures,
        mixture: Mixture,
        rng: np.random.Generator,
        upside_down: float = 0.3,
        conditions: Conditions | None = None,
    ) -> None:
        self.pictures, self.rng, self._upside_down = pictures, rng, upside_down
        self._conditions = conditions or Conditions()
        self._kinds = (self._pair, self._layered, self._synthetic, self._dry)
        shares = np.array([mixture.pairs, mixture.layers, mixture.synthetic, mixture.dry])
        self._shares = shares / shares.sum()

    def batch(self, size: int, patch: int) -> tuple[Picture, Picture]:
        """Return rainy and clean patches, uint8 N×patch×patch×3 each."""
        rainy = np.empty((size, patch, patch, 3), np.uint8)
        clean = np.empty_like(rainy)
        for i in range(size):
            light = self._conditions.draw(self.rng)
            if light == "day":
                a, b = self._kinds[self.rng.choice(4, p=self._shares)](patch)
            else:
                a, b = self._elsewhere(light, patch)
            if self.rng.random() < 0.5:
                a, b = a[:, ::-1], b[:, ::-1]
            if self.rng.random() < self._upside_down:  # streaks look the same so
                a, b = a[::-1], b[::-1]
            rainy[i], clean[i] = a, b
        return rainy, clean

    def batches(self, size: int, patch: int) -> Iterator[tuple[Picture, Picture]]:
        """Yield :meth:`batch` for ever."""
        while True:
            yield self.batch(size, patch)

    def _window(self, shape: tuple[int, ...], size: int) -> tuple[slice, slice]:
        top = int(self.rng.integers(shape[0] - size + 1))
        left = int(self.rng.integers(shape[1] - size + 1))
        return slice(top, top + size), slice(left, left + size)

    def _pick(self, items: list[Picture], size: int) -> Picture:
        """Cut a patch of a random picture."""
        item = items[int(self.rng.integers(len(items)))]
        return item[self._window(item.shape, size)]

    def _pair(self, size: int) -> tuple[Picture, Picture]:
        rainy, clean = self.pictures.pairs[int(self.rng.integers(len(self.pictures.pairs)))]
        window = self._window(clean.shape, size)
        return rainy[window], clean[window]

    def _clean(self, size: int) -> Picture:
        """Cut a clean patch, its brightness and contrast varied down to a dim evening."""
        patch = self._pick(self.pictures.clean, size)
        if self.rng.random() < 0.4:
            gain = float(np.exp(self.rng.uniform(np.log(0.35), np.log(1.15))))
            lift = float(self.rng.uniform(0, 30))
            patch = np.asarray(cv2.convertScaleAbs(patch, alpha=gain, beta=lift), np.uint8)
        return patch

    def _scaled(self, layers: list[Picture], size: int) -> Picture:
        """Cut a rain layer, a third of them with streaks made longer or shorter."""
        if self.rng.random() < 0.33:
            source = int(np.clip(round(size * self.rng.uniform(0.65, 1.4)), 16, 300))
            layer = self._pick(layers, source)
            resized = cv2.resize(layer, (size, size), interpolation=cv2.INTER_LINEAR)
            return np.asarray(resized, np.uint8)
        return self._pick(layers, size)

    def _layered(self, size: int) -> tuple[Picture, Picture]:
        clean = self._clean(size)
        layer = self._scaled(self.pictures.layers, size)
        if self.rng.random() < 0.5:
            strength = float(self.rng.uniform(0.5, 1.25))
            layer = np.asarray(cv2.convertScaleAbs(layer, alpha=strength), np.uint8)
        return self._camera(np.asarray(cv2.add(clean, layer), np.uint8)), clean

    def _synthetic(self, size: int) -> tuple[Picture, Picture]:
        clean = self._clean(size)
        layer = self._scaled(self.pictures.streaks, size)[..., None]
        if self.rng.random() < 0.5:
            # Light that falls through a drop replaces what is behind it, rather than adding to it.
            airlight = int(self.rng.integers(150, 256))
            alpha = layer.astype(np.uint16)
            mixed = (clean * (255 - alpha) + airlight * alpha + 127) // 255
            rainy = np.maximum(mixed, clean).astype(np.uint8)
        else:
            rainy = np.asarray(cv2.add(clean, np.repeat(layer, 3, axis=2)), np.uint8)
        return self._camera(rainy), clean

    def _camera(self, rainy: Picture) -> Picture:
        """Leave what a camera's compression leaves, on one in eight."""
        if self.rng.random() > 0.125:
            return rainy
        quality = int(self.rng.integers(60, 96))
        _, data = cv2.imencode(".jpg", rainy, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    def _dry(self, size: int) -> tuple[Picture, Picture]:
        clean = self._clean(size)
        return clean, clean

    def _elsewhere(self, light: str, size: int) -> tuple[Picture, Picture]:
        """Return a patch at night, by infrared light or in fog; half of them without noise."""
        found = seen_in(light, [self._pick(self.pictures.clean, size)], self.rng)
        dry = self.rng.random() < DRY_THERE
        if self.rng.random() < NOISELESS:
            return (found.truth if dry else found.wet)[0], found.truth[0]
        return self._camera((found.dry if dry else found.rainy)[0]), found.truth[0]


def validation_sets(root: Path) -> dict[str, list[tuple[Picture, Picture]]]:
    """Return the validation scenes as (rainy, clean): ``light``, ``heavy``, ``dry`` (clean twice).

    Raises:
        InputError: a picture is missing or unreadable.
    """
    sets: dict[str, list[tuple[Picture, Picture]]] = {rain: [] for rain in (*RAINS, "dry")}
    for index in VALIDATION_IDS:
        name = f"{index:03d}.png"
        clean = read_rgb(root / "rain100/clean" / name)
        for rain in RAINS:
            sets[rain].append((read_rgb(root / "rain100" / rain / name), clean))
        sets["dry"].append((clean, clean))
    return sets
