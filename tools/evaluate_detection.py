"""Judge what comes after: ``python -m tools.evaluate_detection MODEL... --video FILE...``.

Dry recordings of cameras that stand, in rain that is laid over them. Motion detection (OpenCV's
MOG2) and, with ``--detector FILE.onnx``, a YOLO-style detector look at each recording dry, rainy
(the model ``null``) and derained, and are compared with what they say of the dry one.

False motion is what moves where nothing does in the dry recording, in pixels a frame; true motion
is the share of what moves there that is found. A threshold trades one for the other, so false
motion is also told at equal true motion: at that which the rainy recording has with OpenCV's own
threshold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from streamderain.errors import InputError, StreamderainError
from streamderain.frame import Frame, Pixels
from streamderain.inference.backend import VIDEO, Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.derainer import derain
from streamderain.inference.remembering import remembered
from streamderain.models import NULL
from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.readers.video import VideoFileReader
from tools.detection import SIZES, Agreement, Boxes, YoloDetector, agreement
from tools.evaluate import open_model
from tools.files import write_whole

__all__ = ["DETECTION_SCORES", "DetectionScores", "Motion", "judge_motion", "main", "table"]

FRAMES = 120
LEARNING = 40
"""Frames in which the background is learnt, and nothing is judged."""

THRESHOLDS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
OWN = 16.0
"""OpenCV's threshold: squared distance from the background, in variances."""

NEAR = 5
"""Pixels around what moves in the dry recording in which motion is neither true nor false."""


@dataclass(frozen=True)
class Motion:
    """What a motion detector makes of a recording.

    Attributes:
        false: pixels a frame.
        true: share of the dry recording's, 0 to 1; NaN where nothing moves.
        false_at_equal: pixels a frame at the true motion of the rainy recording; NaN where no
            threshold has it.
    """

    false: float
    true: float
    false_at_equal: float


@dataclass(frozen=True)
class DetectionScores:
    """Of one network on one recording in one rain; None where no detector was given."""

    model: str
    footage: str
    rain: str
    motion: Motion
    detector: Agreement | None


DETECTION_SCORES = TypeAdapter(
    list[DetectionScores], config=ConfigDict(ser_json_inf_nan="constants")
)
"""What ``--json`` writes."""

Masks = NDArray[np.bool_]
"""What moves, thresholds×frames×H×W, after the background is learnt."""


def motion_of(frames: Iterable[Pixels], thresholds: Sequence[float] = THRESHOLDS) -> Masks:
    """Return what moves in a recording, for each threshold."""
    learnt = [
        cv2.createBackgroundSubtractorMOG2(500, threshold, detectShadows=True)
        for threshold in thresholds
    ]
    masks: list[list[NDArray[np.bool_]]] = [[] for _ in thresholds]
    for index, frame in enumerate(frames):
        smooth = cv2.GaussianBlur(frame, (5, 5), 0)
        for subtractor, found in zip(learnt, masks, strict=True):
            moves = (subtractor.apply(smooth) == 255).astype(np.uint8)  # 127 is a shadow
            if index >= LEARNING:
                opened = cv2.morphologyEx(moves, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
                found.append(np.asarray(opened, bool))
    return np.array(masks)


def shares(masks: Masks, dry: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    """Return false pixels a frame and the share of true ones, for each threshold."""
    kernel = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    near = np.array([cv2.dilate(mask.astype(np.uint8), kernel) > 0 for mask in dry])
    moving = int(dry.sum())
    false = [float((found & ~near).sum() / len(dry)) for found in masks]
    true = [float((found & dry).sum() / moving) if moving else float("nan") for found in masks]
    return false, true


def judge_motion(masks: Masks, dry: NDArray[np.bool_], equal: float) -> Motion:
    """Compare what moves with what moves in the dry recording.

    Args:
        masks: for each of :data:`THRESHOLDS`.
        dry: frames×H×W, with OpenCV's own threshold.
        equal: the share of true motion at which false motion is told as well.
    """
    false, true = shares(masks, dry)
    own = THRESHOLDS.index(OWN)
    order = np.argsort(true)
    shares_found, pixels = np.array(true)[order], np.array(false)[order]
    at_equal = float("nan")
    if shares_found[0] <= equal <= shares_found[-1]:
        at_equal = float(np.interp(equal, shares_found, pixels))
    return Motion(false[own], true[own], at_equal)


def derained(backend: Backend, rainy: Sequence[Pixels]) -> Iterator[Pixels]:
    """Give a recording frame by frame as the network sees it, looking back only."""
    if backend.name == NULL:
        yield from rainy
        return
    frames = (
        Frame("footage", 0, index, index, Fraction(1, 25), pixels)
        for index, pixels in enumerate(rainy)
    )
    if backend.inputs != VIDEO:
        yield from (derain(backend, [frame.pixels])[0] for frame in frames)
        return
    for frame, prior in remembered(frames):
        yield derain(backend, [frame.pixels], [prior])[0]


def judge(
    models: Sequence[str],
    open_backend: Callable[[str], Backend],
    dry: Sequence[Pixels],
    rainy: Sequence[Pixels],
    detector: YoloDetector | None,
    fps: float,
) -> Iterator[tuple[str, Motion, Agreement | None]]:
    """Give what becomes of a recording with each of the models, the rainy one first.

    Raises:
        ModelError: a network or the detector failed.
    """
    (truth,) = motion_of(dry, [OWN])
    things = _found(detector, dry)
    equal = float("nan")
    for model in [NULL, *(model for model in models if model != NULL)]:
        with open_backend(model) as backend:
            frames = list(derained(backend, rainy))
            name = backend.name
        masks = motion_of(frames)
        if model == NULL:
            equal = shares(masks[THRESHOLDS.index(OWN)][None], truth)[1][0]
        agreed = None
        if things is not None:
            agreed = agreement(things, _found(detector, frames) or [], fps)
        yield name, judge_motion(masks, truth, equal), agreed


def _found(detector: YoloDetector | None, frames: Sequence[Pixels]) -> list[Boxes] | None:
    if detector is None:
        return None
    return [detector.find(frame) for frame in frames[LEARNING:]]


def table(found: Sequence[DetectionScores]) -> str:
    """Return the scores as Markdown tables; less is of what the rainy recording has."""
    rainy = {(item.footage, item.rain): item.motion for item in found if item.model == NULL}
    lines = [
        "| recording | rain | model | false motion | true motion | false at equal true | less |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for item in found:
        before = rainy[item.footage, item.rain].false_at_equal
        less = 1 - item.motion.false_at_equal / before if before else float("nan")
        lines.append(
            f"| {item.footage} | {item.rain} | {item.model} | {item.motion.false:,.0f} "
            f"| {_percent(item.motion.true)} | {_number(item.motion.false_at_equal)} "
            f"| {_percent(less)} |"
        )
    detected = [(item, item.detector) for item in found if item.detector is not None]
    if detected:
        sizes = " | ".join(f"recall, {name}" for name, _ in SIZES)
        lines += [
            "",
            f"| recording | rain | model | AP at 0.5 | {sizes} | false alarms a minute |",
            "| --- " * (5 + len(SIZES)) + "|",
        ]
    for item, agreed in detected:
        recall = " | ".join(_percent(agreed.recall[name]) for name, _ in SIZES)
        lines.append(
            f"| {item.footage} | {item.rain} | {item.model} | {_percent(agreed.ap)} | {recall} "
            f"| {agreed.alarms_a_minute:.1f} |"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:,.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, .onnx or .pt")
    parser.add_argument(
        "--video", type=Path, action="append", required=True, help="a dry recording; again for more"
    )
    parser.add_argument(
        "--rain", action="append", choices=sorted(PRESETS), help="again for more; default: heavy"
    )
    parser.add_argument("--veil", action="store_true", help="the veil of that rain as well")
    parser.add_argument("--detector", type=Path, help="a YOLO-style .onnx")
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of each; default: {FRAMES}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the scores to this file")
    args = parser.parse_args(arguments)
    found: list[DetectionScores] = []
    try:
        detector = None if args.detector is None else YoloDetector(args.detector)
        for path in args.video:
            with VideoFileReader(path) as reader:
                frames = islice(reader, args.skip, args.skip + args.frames)
                dry = [frame.pixels for frame in frames]
                fps = float(reader.format.frame_rate or 25)
            if len(dry) <= LEARNING:
                raise InputError(
                    f"{path} has {len(dry)} frames from number {args.skip} on; {LEARNING + 1} are "
                    "needed"
                )
            for rain in args.rain or ["heavy"]:
                look = PRESETS[rain] if args.veil else replace(PRESETS[rain], distance_m=0.0)
                height, width = dry[0].shape[:2]
                weather = RainSimulator(height, width, look, fps=fps, seed=args.seed)
                rainy = [weather.rain_on(frame) for frame in dry]
                judged = judge(
                    args.models, lambda model: open_model(model, args.device, args.backend), dry,
                    rainy, detector, fps,
                )  # fmt: skip
                found += [
                    DetectionScores(name, path.stem, rain, motion, agreed)
                    for name, motion, agreed in judged
                ]
        print(table(found))
        if args.json is not None:
            write_whole(args.json, DETECTION_SCORES.dump_json(found, indent=2) + b"\n")
    except StreamderainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
