"""Judge what comes after: ``python -m tools.evaluate_detection MODEL... --video FILE...``.

Dry recordings of cameras that stand, in rain that is laid over them. Motion detection (OpenCV's
MOG2) and, with ``--detector FILE.onnx``, a YOLO or a NanoDet look at each recording rainy (the
model ``null``), derained, and as the same camera sees it without rain, with its noise and its
sharpening (``dry``), and are compared with what they say of the recording itself.

False motion is what is found where OpenCV's own threshold finds nothing in the recording, in pixels
a frame. True motion is the share found of what surely moves there, by eight standard deviations of
its background or more: between the two lies what a camera does that adjusts its exposure, which is
neither. A threshold trades one for the other, so false motion is also told at equal true motion:
at that which the rainy recording has with OpenCV's own threshold.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice, product
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from streamderain.errors import InputError, UsageError
from streamderain.frame import Pixels, pixels_of
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.past import TemporalPrior
from streamderain.inference.running import derain_coded
from streamderain.models import NULL
from streamderain.rain.simulate import PRESETS, RainLook, RainSimulator
from streamderain.readers.video import VideoFileReader
from tools.detection import SIZES, SURE, Agreement, Boxes, agreement
from tools.detectors import Detector, open_detector
from tools.ending import ends_in_a_sentence
from tools.evaluate import DRY, open_model
from tools.evaluate_footage import with_priors
from tools.files import write_whole

__all__ = [
    "DETECTION_SCORES",
    "DetectionScores",
    "Motion",
    "Recording",
    "Truth",
    "judge",
    "judge_motion",
    "main",
    "table",
    "truth_of",
]

FRAMES = 120
LEARNING = 40
"""Frames of each scene in which its background is learnt, and no motion is judged."""

THRESHOLDS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
OWN = 16.0
"""OpenCV's threshold: squared distance from the background, in variances."""

MOVES = 64.0
"""Squared distance from which on the recording itself surely moves."""

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
class Recording:
    """A dry recording and what becomes of it, as many frames of each.

    Attributes:
        clean: the recording itself.
        dry: as the camera of the rain sees it without rain: with its noise and sharpening.
        rainy: in rain.
        scenes: the number of each frame's scene; after a cut, it is another one.
        fps: frames a second.
    """

    clean: Sequence[Pixels]
    dry: Sequence[Pixels]
    rainy: Sequence[Pixels]
    scenes: Sequence[int]
    fps: float


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


def motion_of(
    frames: Iterable[Pixels], scenes: Iterable[int], thresholds: Sequence[float] = THRESHOLDS
) -> Masks:
    """Return what moves in a recording, for each threshold; each scene's background is its own."""
    masks: list[list[NDArray[np.bool_]]] = [[] for _ in thresholds]
    for _, shown in groupby(zip(frames, scenes, strict=True), key=lambda item: item[1]):
        learnt = [
            cv2.createBackgroundSubtractorMOG2(500, threshold, detectShadows=True)
            for threshold in thresholds
        ]
        for index, (frame, _) in enumerate(shown):
            smooth = cv2.GaussianBlur(frame, (5, 5), 0)
            for subtractor, found in zip(learnt, masks, strict=True):
                moves = (subtractor.apply(smooth) == 255).astype(np.uint8)  # 127 is a shadow
                if index >= LEARNING:
                    opened = cv2.morphologyEx(moves, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
                    found.append(np.asarray(opened, bool))
    return np.array(masks)


def scenes_of(clean: Iterable[Pixels]) -> list[int]:
    """Return the number of each frame's scene, as the networks' memory tells them apart."""
    past, scenes = TemporalPrior(), []
    for frame in clean:
        past.follow(frame)
        scenes.append(past.scene)
    return scenes


@dataclass(frozen=True)
class Truth:
    """Where a recording itself surely moves and surely doesn't: bool frames×H×W."""

    moves: NDArray[np.bool_]
    still: NDArray[np.bool_]


def truth_of(clean: Iterable[Pixels], scenes: Iterable[int]) -> Truth:
    """Return what moves in a dry recording; what is near to that is neither."""
    perhaps, surely = motion_of(clean, scenes, [OWN, MOVES])
    kernel = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    near = [cv2.dilate((mask | sure).astype(np.uint8), kernel) > 0
            for mask, sure in zip(perhaps, surely, strict=True)]  # fmt: skip
    return Truth(surely, ~np.array(near, bool))


def shares(masks: Masks, truth: Truth) -> tuple[list[float], list[float]]:
    """Return false pixels a frame and the share of true ones, for each threshold."""
    moving = int(truth.moves.sum())
    false = [float((found & truth.still).sum() / len(found)) for found in masks]
    true = [
        float((found & truth.moves).sum() / moving) if moving else float("nan") for found in masks
    ]
    return false, true


def judge_motion(masks: Masks, truth: Truth, equal: float) -> Motion:
    """Compare what moves with what moves in the dry recording.

    Args:
        masks: for each of :data:`THRESHOLDS`.
        truth: of the same frames.
        equal: the share of true motion at which false motion is told as well.
    """
    false, true = shares(masks, truth)
    own = THRESHOLDS.index(OWN)
    # From the highest threshold on both rise; of those that find as much, the first is the best.
    found, first = np.unique(true[::-1], return_index=True)
    at_equal = float("nan")
    if found[0] <= equal <= found[-1]:
        at_equal = float(np.interp(equal, found, np.array(false[::-1])[first]))
    return Motion(false[own], true[own], at_equal)


def derained(backend: Backend, rainy: Sequence[Pixels]) -> Iterator[Pixels]:
    """Give a recording frame by frame as the network sees it, looking back only."""
    if backend.name == NULL:
        yield from rainy
        return
    for picture, prior in with_priors(backend, rainy):
        yield pixels_of(derain_coded(backend, [picture], [prior])[0])


def judge(
    models: Sequence[str],
    open_backend: Callable[[str], Backend],
    recording: Recording,
    detector: Detector | None = None,
    sure_from: float = SURE,
) -> Iterator[tuple[str, Motion, Agreement | None]]:
    """Give what becomes of a recording: in rain, without it, and with each of the models.

    Args:
        models: names as ``open_backend`` takes them; :data:`NULL` comes first in any case.
        open_backend: loads a network.
        recording: dry, rainy.
        detector: looks at it as well; without one there is no agreement.
        sure_from: the score from which on the detector is sure, 0 to 1.

    Raises:
        ModelError: a network or the detector failed.
    """
    truth = truth_of(recording.clean, recording.scenes)
    things = _found(detector, recording.clean)
    (_, (equal,)) = shares(motion_of(recording.rainy, recording.scenes, [OWN]), truth)
    for model in [NULL, DRY, *(model for model in models if model not in (NULL, DRY))]:
        name, frames = model, recording.dry
        if model != DRY:
            with open_backend(model) as backend:
                name, frames = backend.name, list(derained(backend, recording.rainy))
        agreed = None
        if things is not None:
            found = _found(detector, frames) or []
            agreed = agreement(things, found, recording.fps, sure_from)
        yield name, judge_motion(motion_of(frames, recording.scenes), truth, equal), agreed


def _found(detector: Detector | None, frames: Sequence[Pixels]) -> list[Boxes] | None:
    if detector is None:
        return None
    return [detector.find(frame) for frame in frames[LEARNING:]]


def recorded(path: Path, skip: int, frames: int, look: RainLook, seed: int) -> Recording:
    """Read a dry recording and let it rain.

    Raises:
        InputError: it can't be read, or is too short.
    """
    with VideoFileReader(path) as reader:
        clean = [frame.pixels for frame in islice(reader, skip, skip + frames)]
        fps = float(reader.format.frame_rate or 25)
    scenes = scenes_of(clean)
    longest = max(Counter(scenes).values(), default=0)
    if longest <= LEARNING:
        raise InputError(
            f"{path} has no scene of more than {longest} frames in the {len(clean)} from number "
            f"{skip} on; {LEARNING + 1} are needed"
        )
    height, width = clean[0].shape[:2]
    dry, rainy = (
        [weather.rain_on(frame) for frame in clean]
        for weather in (
            RainSimulator(height, width, seen, fps=fps, seed=seed)
            for seen in (replace(look, rate_mm_h=0.0), look)
        )
    )
    return Recording(clean, dry, rainy, scenes, fps)


def table(found: Sequence[DetectionScores]) -> str:
    """Return the scores as Markdown tables; less, and points, are against the rainy recording."""
    rainy = {(item.footage, item.rain): item for item in found if item.model == NULL}
    lines = [
        "| recording | rain | model | false motion | true motion | false at equal true | less |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for item in found:
        before = rainy[item.footage, item.rain].motion.false_at_equal
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
            "| recording | rain | model | AP at 0.5 | to the rainy one "
            f"| {sizes} | false alarms a minute |",
            "| --- " * (6 + len(SIZES)) + "|",
        ]
    for item, agreed in detected:
        recall = " | ".join(_percent(agreed.recall[name]) for name, _ in SIZES)
        unhelped = rainy[item.footage, item.rain].detector
        gain = agreed.ap - unhelped.ap if unhelped is not None else float("nan")
        lines.append(
            f"| {item.footage} | {item.rain} | {item.model} | {_percent(agreed.ap)} "
            f"| {_points(gain)} | {recall} | {agreed.alarms_a_minute:.1f} |"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def _points(gain: float) -> str:
    return "–" if np.isnan(gain) else f"{100 * gain:+.1f}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:,.0f}"


@ends_in_a_sentence
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
    parser.add_argument("--detector", type=Path, help="an .onnx: a YOLO, or a NanoDet")
    parser.add_argument(
        "--sure", type=float, default=SURE,
        help=f"score from which on it is sure, and alarms; default: {SURE}",
    )  # fmt: skip
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of each; default: {FRAMES}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    parser.add_argument("--json", type=Path, help="write the scores to this file, as they come")
    args = parser.parse_args(arguments)
    found: list[DetectionScores] = []
    if not 0 < args.sure <= 1:
        raise UsageError(f"--sure {args.sure} is no score: give one above 0, at most 1")
    detector = None if args.detector is None else open_detector(args.detector)
    for path, rain in product(args.video, args.rain or ["heavy"]):
        look = PRESETS[rain] if args.veil else replace(PRESETS[rain], distance_m=0.0)
        recording = recorded(path, args.skip, args.frames, look, args.seed)
        judged = judge(
            args.models, lambda model: open_model(model, args.device, args.backend),
            recording, detector, args.sure,
        )  # fmt: skip
        for name, motion, agreed in judged:
            found.append(DetectionScores(name, path.stem, rain, motion, agreed))
            if args.json is not None:  # it takes long, and what is known is kept
                write_whole(args.json, DETECTION_SCORES.dump_json(found, indent=2) + b"\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
