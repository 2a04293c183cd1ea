"""Judge what the past alone knows: ``python -m tools.evaluate_prior --video FILE``.

A dry recording of a camera that stands, in rain that is laid over it. For each kind of rain: PSNR
on Y of the sorted past's values against the frame without rain, by which of them it is the mean of,
on the places that stand still; and what ``streamderain/inference/prior.py`` takes, by the rain's
density as it finds it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamderain import metrics
from streamderain.errors import InputError
from streamderain.frame import Pixels
from streamderain.inference.density import rain_density, ranks_for
from streamderain.inference.past import SPAN
from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.readers.video import VideoFileReader
from tools.ending import ends_in_a_sentence

__all__ = ["PAIRS", "judge_ranks", "main"]

PAIRS = ((4, 4), (4, 3), (3, 3), (3, 2), (2, 2), (2, 1), (1, 1))
"""Ranks, from 0, whose mean may be the scene."""
STILL = 6.0
"""Levels within which a place stays that stands still."""
JUDGED = 3
"""Moments of each recording."""

Scores = dict[tuple[int, int], float]


def judge_ranks(clean: Sequence[Pixels], rainy: Sequence[Pixels]) -> tuple[Scores, float]:
    """Compare each mean of two sorted values of nine frames with the tenth without rain.

    Args:
        clean, rainy: uint8 H×W×3 RGB each, as many of both, ten or more.

    Returns:
        PSNR on Y in dB for each of :data:`PAIRS`, and the density of the rain as it is found, as
        means over three moments; NaN where nothing stands still.

    Raises:
        ValueError: there are too few frames.
    """
    if len(clean) <= SPAN:
        raise ValueError(f"a past of {SPAN} frames and one after it are needed")
    found: dict[tuple[int, int], list[float]] = {pair: [] for pair in PAIRS}
    densities = []
    for now in np.linspace(SPAN, len(clean) - 1, JUDGED).astype(int):
        past = list(rainy[now - SPAN : now])
        values = np.sort(np.stack(past), axis=0)
        truth = metrics.luma(clean[now])
        still = _still([*clean[now - SPAN : now], clean[now]])
        densities.append(rain_density(past))
        for pair in PAIRS:
            mean = values[list(pair)].mean(axis=0).round().astype(np.uint8)
            error = (metrics.luma(mean) - truth)[still]
            square = max(float((error**2).mean()), 1e-6) if error.size else float("nan")
            found[pair].append(10 * float(np.log10(255**2 / square)))
    scores = {pair: float(np.mean(values)) for pair, values in found.items()}
    return scores, float(np.mean(densities))


def _still(frames: Sequence[Pixels]) -> NDArray[np.bool_]:
    lumas = np.stack([metrics.luma(frame) for frame in frames])
    return np.asarray(np.ptp(lumas, axis=0) < STILL, bool)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, judge, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--video", type=Path, required=True, help="a dry recording")
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    parser.add_argument("--noise", type=float, default=2.0, help="of the sensor, in levels")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    with VideoFileReader(args.video) as reader:
        count = SPAN + 15
        clean = [frame.pixels for frame in islice(reader, args.skip, args.skip + count)]
        fps = float(reader.format.frame_rate or 25)
    if len(clean) <= SPAN:
        raise InputError(f"{args.video} has {len(clean)} frames there; {SPAN + 1} are needed")
    head = " | ".join(f"{a + 1}" if a == b else f"{a + 1} and {b + 1}" for a, b in PAIRS)
    print(f"| rain | density | {head} | taken |\n| --- |{' --- |' * (len(PAIRS) + 2)}")
    for name, preset in PRESETS.items():
        height, width = clean[0].shape[:2]
        look = replace(preset, distance_m=0.0)
        weather = RainSimulator(height, width, look, fps=fps, seed=args.seed)
        rng = np.random.default_rng(args.seed)
        rainy = [_noisy(weather.rain_on(frame), args.noise, rng) for frame in clean]
        scores, density = judge_ranks(clean, rainy)
        upper, lower, _ = ranks_for(SPAN, density)
        taken = f"{upper + 1}" if upper == lower else f"{upper + 1} and {lower + 1}"
        row = " | ".join(f"{scores[pair]:.1f}" for pair in PAIRS)
        print(f"| {name} | {density:.3f} | {row} | {taken} |")
    return 0


def _noisy(frame: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    noise = rng.normal(0, sigma, frame.shape) if sigma else 0.0
    return np.asarray(np.clip(np.rint(frame + noise), 0, 255), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
