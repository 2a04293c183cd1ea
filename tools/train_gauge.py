"""Train the rain gauge: ``python -m tools.train_gauge --data DATA``.

Makes clips with and without rain (``tools/gauge_clips.py``), measures them as
``streamderain/inference/gauge.py`` does, and fits the small network that turns what was measured
into a score. Writes ``gauge.json`` beside that module.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from streamderain.errors import InputError
from streamderain.frame import Pixels
from streamderain.inference import gauge
from streamderain.inference.gauge import FEATURES, RainGauge, Sums, features
from streamderain.inference.graphs import usable_cores
from tools.ending import ends_in_a_sentence
from tools.files import write_whole
from tools.gauge_clips import random_clip
from tools.training.data import Pictures, load_pictures

__all__ = ["Sample", "main", "make_sample"]

SEEN = (4, 7, 11, 15)
"""Frames at which a clip is judged."""
LIGHTS = {"day": 0.55, "infrared": 0.15, "night": 0.15, "fog": 0.15}
"""Shares of clips in each condition."""
TRIES = 1000
"""Times that a clip is drawn anew in which nobody would see the rain."""
HIDDEN, STEPS, FITTED = 24, 2000, 4
"""Of each network, and how many of them."""
MISSED = 1.6
"""What rain that is missed costs, a dry frame that is cleaned costing 1."""
BLUR = 0.05
"""Standard deviations of noise on what networks are given as they learn."""
VALIDATION_SHARE = 0.2

Rng = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """What was measured of a clip.

    Attributes:
        sums: of some of its frames, averaged as the gauge does.
        rainy: whether it rains.
        kinds: what else is in it, for the report.
    """

    sums: list[Sums]
    rainy: bool
    kinds: tuple[str, ...]


def make_sample(pictures: Pictures, stills: Sequence[Pixels], rng: Rng) -> Sample:
    """Make a clip and measure it.

    Args:
        pictures: for the layers of rain.
        stills: uint8 H×W×3 RGB, not smaller than 200×260.
        rng: its state decides everything.
    """
    rainy = bool(rng.random() < 0.5)
    condition = str(rng.choice(list(LIGHTS), p=list(LIGHTS.values())))
    for _ in range(TRIES):
        clip = random_clip(pictures, stills, rng, condition, rainy=rainy)
        if clip is not None:
            break
    else:
        raise InputError(f"rain can't be seen in any of {TRIES} clips in {condition}")
    meter, measured = RainGauge(rests=False), []  # nor asks the network that is to be made
    for index, frame in enumerate(clip.frames):
        sums = meter.measure(frame)
        if index in SEEN and sums is not None:
            measured.append(sums)
    return Sample(measured, rainy, clip.kinds)


def make_samples(data: Path, clips: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Make clips to train on, and others of scenes that are not trained on; one a core at a time.

    Args:
        data: folder with rain100/ and clean/.
        clips: how many there are of both.
        seed: what is in a clip depends on it and the clip's number alone.

    Raises:
        InputError: there are no pictures, or one is unreadable.
    """
    kept = int(VALIDATION_SHARE * clips)
    # A fork would inherit OpenCV's threads without what they hold locked.
    context = multiprocessing.get_context("spawn")
    make = partial(_numbered, data, kept, seed)
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


def _numbered(data: Path, kept: int, seed: int, number: int) -> Sample:
    """Make a clip; the first ones are of scenes that are not trained on."""
    scenes = _scenes(data, seed)
    stills = scenes.validation if number < kept else scenes.training
    return make_sample(scenes.pictures, stills, np.random.default_rng([seed, number]))


def fit(samples: Sequence[Sample], seed: int) -> nn.Sequential:
    """Fit the network to samples: the mean of several, which are one that is wider.

    The inputs' means and scales become part of its first layer.
    """
    x = _inputs([sums for sample in samples for sums in sample.sums])
    y = torch.tensor([float(sample.rainy) for sample in samples for _ in sample.sums])
    mean, scale = x.mean(dim=0), x.std(dim=0) + 1e-3
    fitted = [_fit_one((x - mean) / scale, y, seed + number) for number in range(FITTED)]
    whole = nn.Sequential(
        nn.Linear(len(FEATURES), FITTED * HIDDEN), nn.Tanh(), nn.Linear(FITTED * HIDDEN, 1)
    )
    first, last = whole[0], whole[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.cat([one.weight for one, _ in fitted]) / scale)
        first.bias.copy_(torch.cat([one.bias for one, _ in fitted]) - first.weight @ mean)
        last.weight.copy_(torch.cat([one.weight for _, one in fitted], dim=1) / FITTED)
        last.bias.copy_(torch.stack([one.bias for _, one in fitted]).mean(dim=0))
    return whole


def _inputs(sums: Sequence[Sums]) -> torch.Tensor:
    return torch.tensor(np.array([features(each) for each in sums]), dtype=torch.float32)


def _fit_one(inputs: torch.Tensor, rainy: torch.Tensor, seed: int) -> tuple[nn.Linear, nn.Linear]:
    """Return the layers of a network that tells inputs on which it rains from others."""
    torch.manual_seed(seed)
    layers = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    weight = 1 + (MISSED - 1) * rainy
    for _ in range(STEPS):
        optimizer.zero_grad()
        blurred = inputs + BLUR * torch.randn_like(inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(network(blurred)[:, 0], rainy, weight)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return layers


def report(network: nn.Sequential, samples: Sequence[Sample]) -> str:
    """Return how many frames are judged rightly, by what is in them."""
    right: dict[str, list[bool]] = {}
    for sample in samples:
        with torch.no_grad():
            scores = network(_inputs(sample.sums))[:, 0]
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
    parser.add_argument("--clips", type=int, default=5000, help="how many to make")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(gauge.__file__).with_name("gauge.json")
    )
    args = parser.parse_args(arguments)
    training, validation = make_samples(args.data, args.clips, args.seed)
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
    write_whole(args.output, (json.dumps(stored) + "\n").encode())
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
