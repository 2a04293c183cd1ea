"""Judge networks on filmed movement: ``python -m tools.evaluate_footage MODEL... --video FILE...``.

People and cars of dry recordings of cameras that stand, in rain that is laid over them: streaks
alone, for a veil would hide every other difference. PSNR on Y from the tenth frame on, over all of
the picture, over what moves and over the rest; and the ghost.

What moves is where a frame without rain differs by more than 12 levels from the median of the
frames before it. The ghost is the share of that difference which the derained frame shows, as its
projection: 0 where nothing of the past is left, 1 where it is the past. Errors of another shape
hardly count in it.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from streamderain import metrics
from streamderain.conversion import planes_from_rgb
from streamderain.errors import InputError, UsageError
from streamderain.frame import Colour, Frame, Picture, Pixels, pixels_of
from streamderain.inference.backend import VIDEO, Backend, takes_planes
from streamderain.inference.create import BACKENDS
from streamderain.inference.past import SPAN
from streamderain.inference.prior import Prior
from streamderain.inference.remembering import MAX_LOOKAHEAD, remembered
from streamderain.inference.running import derain_coded
from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.readers.video import VideoFileReader
from tools.ending import ends_in_a_sentence
from tools.evaluate import open_model
from tools.files import write_whole

__all__ = ["FOOTAGE_SCORES", "FootageScores", "Past", "judge", "main", "table", "with_priors"]

FRAMES = 100
SETTLED = SPAN + 1
"""The first frame that is judged: the past is as long as it gets."""
MOVED = 12.0
"""Levels by which a place that moves differs from its past."""


@dataclass(frozen=True)
class FootageScores:
    """Of one network on one recording: mean PSNR on Y in dB, and the ghost's share."""

    model: str
    footage: str
    all: float
    moving: float
    still: float
    ghost: float


FOOTAGE_SCORES = TypeAdapter(list[FootageScores], config=ConfigDict(ser_json_inf_nan="constants"))
"""What ``--json`` writes."""


class Past:
    """What the frames without rain before one say of it, of a camera that stands."""

    def __init__(self) -> None:
        self._lumas: deque[NDArray[np.float64]] = deque(maxlen=SPAN)

    def step(self, luma: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the past of the next frame, H×W as ``luma``, and where the frame is another."""
        past = np.median(self._lumas, axis=0) if self._lumas else luma
        apart = (np.abs(past - luma) > MOVED).astype(np.uint8)
        # Single pixels are noise; around what moves, its soft edge moves as well.
        whole = cv2.morphologyEx(apart, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        around = cv2.dilate(whole, np.ones((5, 5), np.uint8))
        self._lumas.append(luma)
        return past, np.asarray(around, bool)


def judge(
    backend: Backend, clean: Sequence[Pixels], rainy: Sequence[Pixels], *, lookahead: int = 0
) -> tuple[float, float, float, float]:
    """Derain a recording frame by frame and compare it with its truth.

    Args:
        backend: what runs the network.
        clean, rainy: uint8 H×W×3 RGB each, as many of both.
        lookahead: frames after each that a video network looks at, 0 to 4.

    Returns:
        PSNR on Y over all, over what moves, over the rest (dB, means over the frames); the share of
        the ghost. NaN where nothing moves.

    Raises:
        ModelError: the network failed.
    """
    past = Past()
    decibels: dict[str, list[float]] = {"all": [], "moving": [], "still": []}
    shown = possible = 0.0
    for index, (frame, prior) in enumerate(with_priors(backend, rainy, lookahead)):
        truth = metrics.luma(clean[index])
        before, moving = past.step(truth)
        if index < SETTLED:
            continue
        error = metrics.luma(pixels_of(derain_coded(backend, [frame], [prior])[0])) - truth
        for name, where in (("all", slice(None)), ("moving", moving), ("still", ~moving)):
            if (part := error[where]).size:
                square = max(float((part**2).mean()), 1e-6)
                decibels[name].append(10 * float(np.log10(255**2 / square)))
        left = (before - truth)[moving]
        shown += float((error[moving] * left).sum())
        possible += float((left**2).sum())
    means = [float(np.mean(values)) if values else float("nan") for values in decibels.values()]
    return means[0], means[1], means[2], shown / possible if possible else float("nan")


def with_priors(
    backend: Backend, frames: Sequence[Pixels], lookahead: int = 0, span: int = SPAN
) -> Iterator[tuple[Picture, Prior | None]]:
    """Give frames with what their past says of them, where a network looks at it.

    They are as the network takes them: as a camera codes them, or as they are.
    """
    pictures: Iterable[Picture] = frames
    if takes_planes(backend):
        pictures = (planes_from_rgb(frame, Colour()) for frame in frames)
    if backend.inputs != VIDEO:
        return ((picture, None) for picture in pictures)
    recorded: Iterable[Frame] = (
        Frame("footage", 0, index, index, Fraction(1, 25), picture)
        for index, picture in enumerate(pictures)
    )
    return ((frame.picture, prior) for frame, prior in remembered(recorded, lookahead, span=span))


def table(found: Sequence[FootageScores]) -> str:
    """Return the scores as a Markdown table."""
    lines = [
        "| recording | model | PSNR | where it moves | elsewhere | ghost |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {item.footage} | {item.model} | {item.all:.2f} dB | {item.moving:.2f} dB "
        f"| {item.still:.2f} dB | {100 * item.ghost:.1f} % |"
        for item in found
    ]
    return "\n".join(lines)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, .onnx, .pt or null")
    parser.add_argument(
        "--video", type=Path, action="append", required=True, help="a dry recording; again for more"
    )
    parser.add_argument("--rain", default="heavy", choices=sorted(PRESETS), help="default: heavy")
    parser.add_argument("--veil", action="store_true", help="the veil of that rain as well")
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of each; default: {FRAMES}")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N",
        help="of the rainy frames the N-th ones alone, as of a camera that is looked at less often",
    )  # fmt: skip
    parser.add_argument(
        "--lookahead", type=int, default=0, choices=range(MAX_LOOKAHEAD + 1),
        help="frames after each that a video network looks at",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the scores to this file")
    args = parser.parse_args(arguments)
    if args.every < 1:
        raise UsageError(f"--every is 1 or more, not {args.every}")
    look = PRESETS[args.rain] if args.veil else replace(PRESETS[args.rain], distance_m=0.0)
    found: list[FootageScores] = []
    for path in args.video:
        with VideoFileReader(path) as reader:
            frames = islice(reader, args.skip, args.skip + args.frames)
            clean = [frame.pixels for frame in frames]
            fps = float(reader.format.frame_rate or 25)
        needed = SETTLED * args.every + 1
        if len(clean) < needed:
            raise InputError(
                f"{path} has {len(clean)} frames from number {args.skip} on; {needed} are needed"
            )
        height, width = clean[0].shape[:2]
        weather = RainSimulator(height, width, look, fps=fps, seed=args.seed)
        rainy = [weather.rain_on(frame) for frame in clean][:: args.every]
        clean = clean[:: args.every]
        for model in args.models:
            with open_model(model, args.device, args.backend) as backend:
                scores = judge(backend, clean, rainy, lookahead=args.lookahead)
                found.append(FootageScores(backend.name, path.stem, *scores))
    print(table(found))
    if args.json is not None:
        write_whole(args.json, FOOTAGE_SCORES.dump_json(found, indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
