"""A YOLO-style detector in ONNX, and how far its findings agree with those of another picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.errors import ModelError
from streamderain.frame import Pixels

__all__ = ["SIZES", "Agreement", "Boxes", "YoloDetector", "agreement", "overlaps"]

SIZES = (("small", 32.0**2), ("medium", 96.0**2), ("large", float("inf")))
"""Things by their area in pixels of the frame, as COCO has it."""

LOWEST, SURE = 0.05, 0.5
"""Scores: what a detector says at all; what the dry scene is taken to hold, and an alarm."""

SAME = 0.5
"""Overlap from which on two boxes are the same thing."""

SUPPRESSED = 0.6
"""Overlap from which on the box with the lower score is taken for the same thing again."""

GREY = 114


@dataclass(frozen=True)
class Boxes:
    """What was found in a picture.

    Attributes:
        corners: float32 N×4: left, top, right, bottom, in pixels.
        scores: float32 N, 0 to 1.
        classes: int64 N.
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


class YoloDetector:
    """Runs a detector: float32 1×3×H×W, RGB, 0 to 1, in; boxes out.

    Known outputs are 1×(4+classes)×N (YOLOv8, YOLO11: centre and size, then a score for each
    class), 1×N×6 (YOLOv10, YOLO26: corners, score, class), and 1×N×(5+classes) with two classes or
    more (YOLOv5, whose fifth is how surely there is anything).

    Args:
        path: of the ``.onnx``.
        size: side of the square that pictures are fitted into where the graph leaves it open.

    Raises:
        ModelError: ONNX Runtime is missing or can't read it, or it is no such detector.
    """

    def __init__(self, path: Path, size: int = 640) -> None:
        try:
            import onnxruntime as ort
        except ModuleNotFoundError as error:
            raise ModelError("detectors run by ONNX Runtime; pip install onnxruntime") from error
        try:
            self._session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"{path} can't be read as an ONNX detector: {error}") from error
        taken = self._session.get_inputs()
        if len(taken) != 1 or len(taken[0].shape) != 4 or taken[0].type != "tensor(float)":
            raise ModelError(f"{path} is no detector that takes float 1×3×H×W")
        self.name, self._input = path.stem, taken[0].name
        self._sides = [side if isinstance(side, int) else size for side in taken[0].shape[2:]]

    def find(self, pixels: Pixels) -> Boxes:
        """Return what is in a picture, uint8 H×W×3 RGB.

        Raises:
            ModelError: the output is of no known shape.
        """
        height, width = self._sides
        scale = min(height / pixels.shape[0], width / pixels.shape[1])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        whole = np.full((height, width, 3), GREY, np.uint8)
        whole[: small.shape[0], : small.shape[1]] = small[:height, :width]
        given = np.asarray(whole.transpose(2, 0, 1)[None] / np.float32(255), np.float32)
        output = np.asarray(self._session.run(None, {self._input: given})[0], np.float32)
        boxes = decoded(output)
        return Boxes(boxes.corners / np.float32(scale), boxes.scores, boxes.classes)


def decoded(output: NDArray[np.float32]) -> Boxes:
    """Return the boxes of a detector's output, in pixels of what it was given.

    Raises:
        ModelError: it is of no known shape.
    """
    if output.ndim != 3 or output.shape[0] != 1 or min(output.shape[1:]) < 5:
        raise ModelError(f"a detector's output of the shape {output.shape} is not known")
    rows = output[0]
    if rows.shape[1] == 6:
        kept = rows[rows[:, 4] >= LOWEST]
        return Boxes(kept[:, :4], kept[:, 4], kept[:, 5].astype(np.int64))
    if rows.shape[0] < rows.shape[1]:
        rows = rows.T
        scores = rows[:, 4:]
    else:
        scores = rows[:, 4:5] * rows[:, 5:]
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    likely = best >= LOWEST
    rows, best, classes = rows[likely], best[likely], classes[likely]
    sized = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], axis=1)
    found = cv2.dnn.NMSBoxesBatched(
        sized.tolist(), best.tolist(), classes.tolist(), LOWEST, SUPPRESSED
    )
    keep = np.asarray(found, np.int64).ravel()
    corners = np.concatenate([sized[:, :2], sized[:, :2] + sized[:, 2:]], axis=1)[keep]
    return Boxes(corners, best[keep], classes[keep].astype(np.int64))


def overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over the union of each pair of boxes, N×M."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.asarray(common / np.maximum(union, 1e-9), np.float32)


@dataclass(frozen=True)
class Agreement:
    """How far what was found agrees with the dry scene; NaN where that holds nothing of the kind.

    Attributes:
        ap: average precision at an overlap of 0.5, 0 to 1.
        recall: share of the dry scene's things that were found, by :data:`SIZES`.
        alarms_a_minute: sure findings where the dry scene has nothing.
        things: in the dry scene.
    """

    ap: float
    recall: dict[str, float]
    alarms_a_minute: float
    things: int


def agreement(dry: Sequence[Boxes], found: Sequence[Boxes], fps: float) -> Agreement:
    """Compare findings with those in the dry scene, frame by frame.

    What the dry scene's are sure of (a score of 0.5) is there; what they are not sure of may be
    found or not. A finding has to be of the same class.

    Args:
        dry, found: of the same frames.
        fps: frames a second.
    """
    hits: list[tuple[float, bool]] = []
    alarms = 0
    seen = dict.fromkeys((name for name, _ in SIZES), 0)
    there = dict.fromkeys(seen, 0)
    for truth, boxes in zip(dry, found, strict=True):
        sure = truth.scores >= SURE
        areas = (truth.corners[:, 2:] - truth.corners[:, :2]).prod(axis=1)
        taken = np.zeros(len(truth), bool)
        overlap = overlaps(boxes.corners, truth.corners)
        overlap[boxes.classes[:, None] != truth.classes[None]] = 0
        for at in np.argsort(-boxes.scores, kind="stable"):
            free = np.where(taken, 0, overlap[at])
            # Things that are there go before those that may be.
            best = int(np.argmax(free + (free >= SAME) * sure)) if len(truth) else -1
            if best >= 0 and free[best] >= SAME:
                taken[best] = True
                if sure[best]:
                    hits.append((float(boxes.scores[at]), True))
                    seen[_size(areas[best])] += boxes.scores[at] >= SURE
                continue
            if len(truth) and overlap[at].max() >= SAME:
                hits.append((float(boxes.scores[at]), False))  # the same thing again
                continue
            hits.append((float(boxes.scores[at]), False))
            alarms += bool(boxes.scores[at] >= SURE)
        for area in areas[sure]:
            there[_size(area)] += 1
    things = sum(there.values())
    recall = {name: seen[name] / count if count else float("nan") for name, count in there.items()}
    return Agreement(_precision(hits, things), recall, alarms * 60 * fps / len(dry), things)


def _size(area: float) -> str:
    return next(name for name, most in SIZES if area < most)


def _precision(hits: list[tuple[float, bool]], things: int) -> float:
    """Return the area under precision over recall, precision made falling (as VOC 2010 has it)."""
    if not things:
        return float("nan")
    right = np.array([hit for _, hit in sorted(hits, key=lambda item: -item[0])], bool)
    if not len(right):
        return 0.0
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[right].sum() / things)
