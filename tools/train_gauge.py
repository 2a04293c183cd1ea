"""Train the rain gauge: ``python -m tools.train_gauge --data DATA``.

Makes clips of stills, with and without rain, with everything else that changes from frame to frame
(``tools/nuisances.py``), by day or in every light, measures them as
``streamderain/inference/gauge.py`` does, and fits the small network that turns what was measured
into a score. Writes ``gauge.json`` beside that module.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from streamderain.errors import InputError
from streamderain.frame import Pixels
from streamderain.inference import gauge
from streamderain.inference.gauge import FEATURES, RainGauge, features
from streamderain.inference.graphs import usable_cores
from streamderain.rain.simulate import RainLook, RainSimulator
from streamderain.rain.streaks import RainField, random_config
from tools.clips import MOTIONS, camera_path, draw_clip, random_movers
from tools.condition_clips import STREAKS_COVER, ConditionClip, seen_in
from tools.ending import ends_in_a_sentence
from tools.files import write_whole
from tools.nuisances import NUISANCES
from tools.training.data import Pictures, load_pictures

__all__ = ["Sample", "main", "make_sample"]

LENGTH = 16
"""Frames of a clip."""
SEEN = (4, 7, 11, 15)
"""Frames at which a clip is judged."""
OFTEN = {
    "dimmed": 0.3, "leaves": 0.25, "flickering": 0.15, "snow": 0.2, "insects": 0.15, "noisy": 0.8,
    "compressed": 0.6,
}  # fmt: skip
"""How often each nuisance is in a clip."""
BY_DAY = {"day": 1.0}
EVERY_LIGHT = {"day": 0.55, "infrared": 0.15, "night": 0.15, "fog": 0.15}
"""Shares of clips in each condition."""
SEEN_AS = 8
"""Levels by which rain that is seen brightens a picture; without any, a clip is drawn anew."""
TRIES = 1000
HIDDEN, STEPS = 12, 3000
VALIDATION_SHARE = 0.2

Rng = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """What was measured of a clip.

    Attributes:
        found: features at some of its frames.
        rainy: whether it rains.
        kinds: what else is in it, for the report.
    """

    found: list[NDArray[np.float64]]
    rainy: bool
    kinds: tuple[str, ...]


def make_sample(
    pictures: Pictures, stills: Sequence[Pixels], rng: Rng, shares: Mapping[str, float]
) -> Sample:
    """Make a clip and measure it.

    Args:
        pictures: for the layers of rain.
        stills: uint8 H×W×3 RGB, not smaller than 200×260.
        rng: its state decides everything.
        shares: of clips in each condition; they add up to 1.
    """
    rainy = bool(rng.random() < 0.5)
    condition = str(rng.choice(list(shares), p=list(shares.values())))
    for _ in range(TRIES):
        frames, kinds = _clip(pictures, stills, rng, condition, rainy=rainy)
        if frames:
            break
    else:
        raise InputError(f"rain can't be seen in any of {TRIES} clips in {condition}")
    meter, found = RainGauge(rests=False), []  # nor asks the network that is to be made
    for index, frame in enumerate(frames):
        sums = meter.measure(frame)
        if index in SEEN and sums is not None:
            found.append(features(sums))
    return Sample(found, rainy, tuple(kinds))


def _clip(
    pictures: Pictures, stills: Sequence[Pixels], rng: Rng, condition: str, *, rainy: bool
) -> tuple[list[Pixels], list[str]]:
    """Return a clip and what is in it; no frames where it should rain and nobody would see it."""
    still = stills[int(rng.integers(len(stills)))]
    size = (
        int(rng.integers(180, min(still.shape[0], 400) - 16)),
        int(rng.integers(240, min(still.shape[1], 600) - 16)),
    )
    motion = str(rng.choice(MOTIONS, p=[0.6, 0.2, 0.2]))
    reach = (still.shape[0] - size[0], still.shape[1] - size[1])
    path = camera_path(motion, LENGTH, rng, reach=reach)
    movers = random_movers(stills, int(rng.integers(0, 4)), size, LENGTH, rng)
    frames = list(draw_clip(still, path, movers, size).frames)
    kinds: list[str] = [motion, condition]
    for name, apply in NUISANCES.items():
        if rainy and name == "snow":
            continue
        if name == "noisy":  # what comes before is in front of the lens, or is the lens
            if condition != "day":
                clip = seen_in(condition, frames, rng, path)
                if rainy and not _is_seen(clip):
                    return [], kinds
                frames = clip.rainy if rainy else clip.dry
                continue  # with its own sensor's noise
            if rainy:
                frames, kind = rain_on(frames, pictures, rng)
                kinds.append(kind)
        if rng.random() < OFTEN[name]:
            frames = apply(frames, rng)
            kinds.append(name)
    return frames, kinds


def _is_seen(clip: ConditionClip) -> bool:
    """Say whether rain brightens as much of a picture as the least that is taught by day."""
    middle = len(clip.wet) // 2
    light = clip.wet[middle].astype(np.int16).max(axis=2) - clip.truth[middle].max(axis=2)
    return float((light > SEEN_AS).mean()) >= STREAKS_COVER[0]


def make_samples(
    data: Path, clips: int, seed: int, shares: Mapping[str, float]
) -> tuple[list[Sample], list[Sample]]:
    """Make clips to train on, and others of scenes that are not trained on; one a core at a time.

    Args:
        data: folder with rain100/ and clean/.
        clips: how many there are of both.
        seed: what is in a clip depends on it and the clip's number alone.
        shares: of clips in each condition.

    Raises:
        InputError: there are no pictures, or one is unreadable.
    """
    kept = int(VALIDATION_SHARE * clips)
    # A fork would inherit OpenCV's threads without what they hold locked.
    context = multiprocessing.get_context("spawn")
    make = partial(_numbered, data, kept, seed, shares)
    with ProcessPoolExecutor(usable_cores(), context) as pool:
        made = list(pool.map(make, range(clips), chunksize=8))
    return made[kept:], made[:kept]


@dataclass(frozen=True)
class _Scenes:
    """What a process makes clips of."""

    pictures: Pictures
    training: list[Pixels]
    validation: list[Pixels]


@cache
def _scenes(data: Path, seed: int) -> _Scenes:
    cv2.setNumThreads(1)
    pictures = load_pictures(data, seed, streak_layers=1)
    stills = [p for p in pictures.clean if p.shape[0] >= 240 and p.shape[1] >= 320]
    order = np.random.default_rng(seed).permutation(len(stills))
    stills = [stills[index] for index in order]
    apart = max(1, int(VALIDATION_SHARE * len(stills)))
    return _Scenes(pictures, stills[apart:], stills[:apart])


def _numbered(data: Path, kept: int, seed: int, shares: Mapping[str, float], number: int) -> Sample:
    """Make a clip; the first ones are of scenes that are not trained on."""
    scenes = _scenes(data, seed)
    stills = scenes.validation if number < kept else scenes.training
    return make_sample(scenes.pictures, stills, np.random.default_rng([seed, number]), shares)


def rain_on(frames: Sequence[Pixels], pictures: Pictures, rng: Rng) -> tuple[list[Pixels], str]:
    """Rain on a clip in one of three ways; return it and the way's name."""
    height, width = frames[0].shape[:2]
    way = rng.random()
    if way < 0.35:
        look = RainLook(
            rate_mm_h=float(np.exp(rng.uniform(np.log(2.5), np.log(80)))),
            wind=float(rng.normal(0, 0.25)),
            exposure_s=1 / float(np.exp(rng.uniform(np.log(25), np.log(250)))),
            brightness=float(rng.uniform(0.4, 1.0)), noise=0.0, sharpening=0.0,
        )  # fmt: skip
        simulator = RainSimulator(height, width, look, seed=int(rng.integers(2**31)))
        return [simulator.rain_on(frame) for frame in frames], "rate"
    if way < 0.75:
        while True:
            field = RainField(height, width, random_config(rng), int(rng.integers(2**31)))
            layers = [field.layer() for _ in frames]
            if STREAKS_COVER[0] <= float((layers[0] > 0.1).mean()) <= STREAKS_COVER[1]:
                break
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


def fit(samples: Sequence[Sample], seed: int) -> nn.Sequential:
    """Fit the network to samples; the inputs' means and scales become part of its first layer."""
    torch.manual_seed(seed)
    x = torch.tensor(np.array([found for sample in samples for found in sample.found]))
    y = torch.tensor([float(sample.rainy) for sample in samples for _ in sample.found])
    mean, scale = x.mean(dim=0), x.std(dim=0) + 1e-3
    network = nn.Sequential(nn.Linear(len(FEATURES), HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
    network.double()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=3e-3)
    inputs, target = (x - mean) / scale, y.double()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(inputs)[:, 0], target)
        torch.autograd.backward(loss)
        optimizer.step()
    first = network[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight.div_(scale)
        first.bias.sub_(first.weight @ mean)
    return network


def report(network: nn.Sequential, samples: Sequence[Sample]) -> str:
    """Return how many frames are judged rightly, by what is in them."""
    right: dict[str, list[bool]] = {}
    for sample in samples:
        with torch.no_grad():
            scores = network(torch.tensor(np.array(sample.found)))[:, 0]
        for score in scores:
            for kind in ("rain" if sample.rainy else "dry", *sample.kinds):
                name = (
                    kind if kind in ("rain", "dry") else f"{kind} {'rain' * sample.rainy}".strip()
                )
                right.setdefault(name, []).append((float(score) > 0) == sample.rainy)
    return "\n".join(
        f"{name:>18}: {np.mean(hits):.3f} of {len(hits)}" for name, hits in sorted(right.items())
    )


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, write, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/ and clean/")
    parser.add_argument("--clips", type=int, default=3000, help="how many to make")
    parser.add_argument(
        "--every-light", action="store_true",
        help="clips by infrared light, at night and in fog as well; else by day alone",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(gauge.__file__).with_name("gauge.json")
    )
    args = parser.parse_args(arguments)
    shares = EVERY_LIGHT if args.every_light else BY_DAY
    training, validation = make_samples(args.data, args.clips, args.seed, shares)
    network = fit(training, args.seed)
    print(report(network, validation))
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    stored = {
        "features": FEATURES,
        "layers": [
            {
                "weight": np.round(layer.weight.detach().numpy(), 6).tolist(),
                "bias": np.round(layer.bias.detach().numpy(), 6).tolist(),
            }
            for layer in layers
        ],
        "clips": len(training), "seed": args.seed,
    }  # fmt: skip
    write_whole(args.output, (json.dumps(stored, indent=1) + "\n").encode())
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
