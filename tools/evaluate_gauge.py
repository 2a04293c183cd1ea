"""Judge the rain gate: ``python -m tools.evaluate_gauge --data DIR``.

Clips of the validation scenes, which the gauge was not trained on, each with one thing that changes
from frame to frame (``tools/nuisances.py``), or in rain. Told is the share of frames that pass as
dry, as ``clean`` judges them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamderain.frame import Frame, Pixels
from streamderain.inference.gate import GateConfig, RainGate
from streamderain.inference.gating import DRY, judged
from tools.clips import camera_path, draw_clip, random_movers
from tools.ending import ends_in_a_sentence
from tools.gauge_clips import rain_on
from tools.nuisances import NUISANCES
from tools.training.data import Pictures, load_pictures, validation_sets

__all__ = ["KINDS", "clip_of", "dry_by", "dry_share", "main", "scores_of"]

FRAMES = 60
ROOM = 40
"""Pixels by which a still is larger than the view."""
NOISE = 1.0
"""Levels of a good sensor's noise, where the clip has none of its own."""

KINDS = ("things that move", "pan", *NUISANCES, "rain", "rain, flickering")
"""What clips show; those that begin with ``rain`` are not dry."""


def clip_of(
    kind: str, stills: Sequence[Pixels], number: int, pictures: Pictures, seed: int
) -> list[Pixels]:
    """Make a clip.

    Args:
        kind: of :data:`KINDS`.
        stills: uint8 H×W×3 RGB; clip ``number`` is of one of them.
        number: counts the clips.
        pictures: for the layers of rain.
        seed: the same seed gives the same clips.
    """
    rng = np.random.default_rng([seed, number])
    still = stills[number % len(stills)]
    size = still.shape[0] - ROOM, still.shape[1] - ROOM
    motion = "pan" if kind == "pan" else "fixed"
    path = camera_path(motion, FRAMES, rng, reach=(ROOM, ROOM))
    frames = draw_clip(still, path, random_movers(stills, 2, size, FRAMES, rng), size).frames
    name = kind.removeprefix("rain").removeprefix(", ")
    if kind.startswith("rain"):
        frames, _ = rain_on(frames, pictures, rng)
    if name in NUISANCES:
        frames = NUISANCES[name](frames, rng)
    if name not in ("noisy", "compressed"):
        frames = [
            np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8)
            for frame in frames
        ]
    return frames


def dry_share(frames: Sequence[Pixels]) -> float:
    """Return the share of a clip's frames that pass as dry."""
    return float(np.mean([frame.bypass == DRY for frame in judged(_recorded(frames))]))


def scores_of(frames: Sequence[Pixels]) -> list[float | None]:
    """Return the rain score of each frame, as ``clean`` judges them."""
    return [frame.rain for frame in judged(_recorded(frames))]


def dry_by(scores: Sequence[float | None], config: GateConfig) -> float:
    """Return the share of frames that pass as dry with other thresholds."""
    gate = RainGate(config)
    return float(np.mean([not gate.step(score) for score in scores]))


def _recorded(frames: Sequence[Pixels]) -> list[Frame]:
    return [
        Frame("clip", 0, index, index, Fraction(1, 25), pixels)
        for index, pixels in enumerate(frames)
    ]


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/ and clean/")
    parser.add_argument("--clips", type=int, default=18, help="of each kind")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args(arguments)
    stills = [clean for _, clean in validation_sets(args.data)["dry"]]
    pictures = load_pictures(args.data, args.seed, streak_layers=1)
    print("| clips with | frames that pass as dry | clips that do wholly |")
    print("| --- | --- | --- |")
    for kind in args.kind or KINDS:
        shares = [
            dry_share(clip_of(kind, stills, number, pictures, args.seed))
            for number in range(args.clips)
        ]
        whole = sum(share == 1 for share in shares)
        print(f"| {kind} | {np.mean(shares):.1%} | {whole} of {args.clips} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
