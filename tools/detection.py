"""What a detector found in pictures, and how far that agrees with what it found in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIZES", "SURE", "Agreement", "Boxes", "agreement", "overlaps"]

SIZES = (("small", 32.0**2), ("medium", 96.0**2), ("large", float("inf")))
"""Things by their area in pixels of the frame, as COCO has it."""

SURE = 0.5
"""Score from which on the dry scene is taken to hold something, and a finding is an alarm."""

SAME = 0.5
"""Overlap from which on two boxes are the same thing."""


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


def agreement(
    dry: Sequence[Boxes], found: Sequence[Boxes], fps: float, sure_from: float = SURE
) -> Agreement:
    """Compare findings with those in the dry scene, frame by frame.

    What the dry scene's are sure of is there; what they are not sure of may be found or not. A
    finding has to be of the same class.

    Args:
        dry, found: of the same frames.
        fps: frames a second.
        sure_from: the score from which on they are sure, 0 to 1.
    """
    hits: list[tuple[float, bool]] = []
    alarms = 0
    seen = dict.fromkeys((name for name, _ in SIZES), 0)
    there = dict.fromkeys(seen, 0)
    for truth, boxes in zip(dry, found, strict=True):
        sure = truth.scores >= sure_from
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
                    seen[_size(areas[best])] += boxes.scores[at] >= sure_from
                continue
            if len(truth) and overlap[at].max() >= SAME:
                hits.append((float(boxes.scores[at]), False))  # the same thing again
                continue
            hits.append((float(boxes.scores[at]), False))
            alarms += bool(boxes.scores[at] >= sure_from)
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
