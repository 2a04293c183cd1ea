"""Judge networks on clips: ``python -m tools.evaluate_video MODEL... --data DIR``.

The clips are made of the validation scenes, which nobody trained on: a camera that stands,
trembles or pans, things that move in front, rain that falls from frame to frame, a sensor's noise.
A video network sees the past as it does at work. PSNR on Y over all frames from the tenth on, over
what moves alone and over the rest alone; flicker is how much the still background changes from
frame to frame.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from streamderain import metrics
from streamderain.frame import Pixels, pixels_of
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.past import SPAN
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.inference.running import derain_coded
from streamderain.models import sha256_of
from streamderain.rain.streaks import RainField, random_config
from tools.clips import MOTIONS, Clip, camera_path, draw_clip, random_movers
from tools.condition_clips import STREAKS_COVER
from tools.ending import ends_in_a_sentence
from tools.evaluate import open_model
from tools.evaluate_footage import with_priors
from tools.files import write_whole
from tools.training.data import validation_sets

__all__ = [
    "CLIP_SCORES",
    "ClipScores",
    "RainyClip",
    "Scores",
    "judge",
    "main",
    "mean",
    "rained_on",
    "rainy_clips",
]

FRAMES = 20
SETTLED = SPAN + 1
"""The first frame that is judged: the past is as long as it gets."""
NOISE = 1.5
MARGIN = 0.18
"""Share of a still by which it is larger than the view that moves over it."""


@dataclass(frozen=True)
class RainyClip:
    """A clip and its truth.

    Attributes:
        motion: of the camera, see :data:`tools.clips.MOTIONS`.
        rainy: uint8 H×W×3 RGB each.
        truth: the same without rain, and where something moves.
    """

    motion: str
    rainy: list[Pixels]
    truth: Clip


@dataclass(frozen=True)
class Scores:
    """Means over the frames of some clips: PSNR on Y in dB, flicker in levels.

    Attributes:
        all, moving, still: where it is measured.
        flicker: mean difference between neighbouring frames on the still background, of cameras
            that stand; the truth's own is 0.
    """

    all: float
    moving: float
    still: float
    flicker: float


@dataclass(frozen=True)
class ClipScores:
    """What was found of one network.

    Attributes:
        model: its name.
        sha256: of its file, in hexadecimal; None where it has none.
        scores: means by motion of the camera.
    """

    model: str
    sha256: str | None
    scores: dict[str, Scores]


CLIP_SCORES = TypeAdapter(list[ClipScores], config=ConfigDict(ser_json_inf_nan="constants"))
"""What ``--json`` writes."""


def rainy_clips(stills: Sequence[Pixels], motions: Sequence[str], seed: int) -> Iterator[RainyClip]:
    """Make a clip of each still and motion.

    Args:
        stills: uint8 H×W×3 RGB.
        motions: of :data:`tools.clips.MOTIONS`.
        seed: the same seed gives the same clips.
    """
    for motion in motions:
        for number, still in enumerate(stills):
            rng = np.random.default_rng([seed, number, MOTIONS.index(motion)])
            size = int(still.shape[0] * (1 - MARGIN)), int(still.shape[1] * (1 - MARGIN))
            reach = still.shape[0] - size[0], still.shape[1] - size[1]
            path = camera_path(motion, FRAMES, rng, reach=reach)
            others = [other for other in stills if other is not still]
            truth = draw_clip(still, path, random_movers(others, 2, size, FRAMES, rng), size)
            yield RainyClip(motion, rained_on(truth, rng), truth)


def rained_on(truth: Clip, rng: np.random.Generator) -> list[Pixels]:
    """Let it rain on a clip, from light to heavy, seen by a sensor with noise."""
    height, width = truth.frames[0].shape[:2]
    while True:
        field = RainField(height, width, random_config(rng), int(rng.integers(2**31)))
        layers = [field.layer()[..., None] for _ in truth.frames]
        if STREAKS_COVER[0] <= float((layers[0] > 0.1).mean()) <= STREAKS_COVER[1]:
            break
    return [
        np.clip(f + 255 * layer + rng.normal(0, NOISE, f.shape), 0, 255).astype(np.uint8)
        for f, layer in zip(truth.frames, layers, strict=True)
    ]


def judge(backend: Backend, clip: RainyClip, *, lookahead: int = 0, span: int = SPAN) -> Scores:
    """Derain a clip frame by frame and compare it with its truth.

    Args:
        backend: what runs the network.
        clip: from :func:`rainy_clips`.
        lookahead: frames after each that a video network looks at, 0 to 4.
        span: frames that its prior is made of, 1 to 9.

    Raises:
        ModelError: the network failed.
    """
    frames = with_priors(backend, clip.rainy, lookahead, span)
    errors: dict[str, list[float]] = {"all": [], "moving": [], "still": []}
    shown: list[NDArray[np.float64]] = []
    for index, (frame, prior) in enumerate(frames):
        if index < SETTLED:
            continue
        luma = metrics.luma(pixels_of(derain_coded(backend, [frame], [prior])[0]))
        error = (luma - metrics.luma(clip.truth.frames[index])) ** 2
        moving = clip.truth.moving[index]
        for name, where in (("all", slice(None)), ("moving", moving), ("still", ~moving)):
            part = error[where]
            if part.size:
                errors[name].append(float(part.mean()))
        shown.append(luma)
    still = ~np.any(clip.truth.moving[SETTLED:], axis=0)
    flicker = float("nan")
    if clip.motion == "fixed" and still.any():
        steps = [np.abs(b - a)[still].mean() for a, b in pairwise(shown)]
        flicker = float(np.mean(steps))
    decibels = {name: _decibels(values) for name, values in errors.items()}
    return Scores(decibels["all"], decibels["moving"], decibels["still"], flicker)


def _decibels(errors: Sequence[float]) -> float:
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-6)))) if errors else np.nan


def table(found: Sequence[ClipScores]) -> str:
    """Return mean scores by model and motion as a Markdown table."""
    lines = [
        "| model | camera | PSNR | where it moves | elsewhere | flicker |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for item in found:
        for motion, scores in item.scores.items():
            flicker = "" if np.isnan(scores.flicker) else f"{scores.flicker:.2f}"
            lines.append(
                f"| {item.model} | {motion} | {scores.all:.2f} dB | {scores.moving:.2f} dB "
                f"| {scores.still:.2f} dB | {flicker} |"
            )
    return "\n".join(lines)


def mean(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each score, of those clips that have it."""
    columns = {
        field.name: np.array([getattr(item, field.name) for item in scores])
        for field in fields(Scores)
    }
    return Scores(
        **{
            name: float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            for name, values in columns.items()
        }
    )


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, .onnx, .pt or null")
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/")
    parser.add_argument("--motion", action="append", choices=MOTIONS, help="default: all")
    parser.add_argument("--scenes", type=int, default=9, help="how many of the nine")
    parser.add_argument(
        "--lookahead", type=int, default=0, choices=range(MAX_LOOKAHEAD + 1),
        help="frames after each that a video network looks at",
    )  # fmt: skip
    parser.add_argument(
        "--span", type=int, default=SPAN, choices=range(1, SPAN + 1), metavar="T",
        help="frames that its prior is made of",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the means to this file")
    args = parser.parse_args(arguments)
    stills = [clean for _, clean in validation_sets(args.data)["dry"]][: args.scenes]
    motions = tuple(args.motion or MOTIONS)
    found: list[ClipScores] = []
    for model in args.models:
        by_motion: dict[str, list[Scores]] = {motion: [] for motion in motions}
        with open_model(model, args.device, args.backend) as backend:
            for clip in rainy_clips(stills, motions, args.seed):
                by_motion[clip.motion].append(
                    judge(backend, clip, lookahead=args.lookahead, span=args.span)
                )
            means = {motion: mean(scores) for motion, scores in by_motion.items()}
            found.append(ClipScores(backend.name, sha256_of(backend.model), means))
    print(table(found))
    if args.json is not None:
        write_whole(args.json, CLIP_SCORES.dump_json(found, indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
