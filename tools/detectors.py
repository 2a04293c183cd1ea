"""Detectors in ONNX: pictures in, boxes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.errors import ModelError
from streamderain.frame import Pixels
from tools.detection import Boxes

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["Detector", "NanoDet", "YoloDetector", "decoded", "fitted", "open_detector"]

LOWEST = 0.05
"""Score below which a detector says nothing at all."""

SUPPRESSED = 0.6
"""Overlap from which on the box with the lower score is taken for the same thing again."""

GREY = 114

SIDES = 4 * 8, 4 * 11
"""Channels in which NanoDet tells where four sides are, in 8 or 11 bins each."""

BGR_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
BGR_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)
"""Of ImageNet, which NanoDet's inputs are normalised by."""


class Detector(Protocol):
    """Finds things in pictures."""

    def find(self, pixels: Pixels) -> Boxes:
        """Return what is in a picture, uint8 H×W×3 RGB, in its own pixels."""


def open_detector(path: Path) -> Detector:
    """Return the detector in an ``.onnx`` file: NanoDet by its many outputs, else a YOLO.

    Raises:
        ModelError: ONNX Runtime is missing or can't read it, or it is no known detector.
    """
    outputs = _opened(path, 0)[0].get_outputs()
    heads = len(outputs) > 1 and all(len(output.shape) == 3 for output in outputs)
    return NanoDet(path) if heads else YoloDetector(path)


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
        self._session, self._input, self._sides = _opened(path, size)

    def find(self, pixels: Pixels) -> Boxes:
        """Return what is in a picture, uint8 H×W×3 RGB.

        Raises:
            ModelError: the output is of no known shape.
        """
        whole, scale = fitted(pixels, *self._sides)
        given = np.asarray(whole.transpose(2, 0, 1)[None] / np.float32(255), np.float32)
        output = np.asarray(self._session.run(None, {self._input: given})[0], np.float32)
        return _scaled(decoded(output), scale)


class NanoDet:
    """Runs a NanoDet whose boxes are still to be decoded: float32 1×3×H×W, normalised BGR, in.

    It gives two outputs for each of its strides: 1×N×classes scores, 0 to 1, and 1×N×4(bins + 1),
    how likely each side of a box is so many strides away from the middle of its cell.

    Args:
        path: of the ``.onnx``.

    Raises:
        ModelError: ONNX Runtime is missing or can't read it, or it is no such detector.
    """

    def __init__(self, path: Path) -> None:
        self._session, self._input, self._sides = _opened(path, 416)
        heads: dict[int, list[tuple[bool, str]]] = {}
        for output in self._session.get_outputs():
            count, channels = output.shape[1:]
            heads.setdefault(count, []).append((channels in SIDES, output.name))
        self._heads: list[tuple[int, str, str]] = []
        for count, found in heads.items():
            if not isinstance(count, int) or [sides for sides, _ in sorted(found)] != [False, True]:
                raise ModelError(f"the outputs of {path} are not those of a NanoDet")
            (_, scores), (_, sides) = sorted(found)
            stride = round((self._sides[0] * self._sides[1] / count) ** 0.5)
            self._heads.append((stride, scores, sides))

    def find(self, pixels: Pixels) -> Boxes:
        """Return what is in a picture, uint8 H×W×3 RGB.

        Sides are looked for within all of it: they may lie outside of the picture.
        """
        whole, scale = fitted(pixels, *self._sides)
        given = (whole[..., ::-1] - BGR_MEAN) / BGR_DEVIATION
        names = [name for _, *both in self._heads for name in both]
        fed = {self._input: np.ascontiguousarray(given.transpose(2, 0, 1)[None], np.float32)}
        outputs = dict(zip(names, self._session.run(names, fed), strict=True))
        corners, scores = [], []
        for stride, said, distances in self._heads:
            columns = self._sides[1] // stride
            cells = np.arange(outputs[said].shape[1])
            middle = (np.stack([cells % columns, cells // columns], axis=1) + 0.5) * stride
            says = outputs[distances][0].reshape(len(cells), 4, -1)
            likely = np.exp(says - says.max(axis=2, keepdims=True))
            bins = np.arange(likely.shape[2])
            away = (likely / likely.sum(axis=2, keepdims=True) @ bins) * stride
            corners.append(np.concatenate([middle - away[:, :2], middle + away[:, 2:]], axis=1))
            scores.append(outputs[said][0])
        boxes = _kept(np.concatenate(corners).astype(np.float32), np.concatenate(scores))
        return _scaled(boxes, scale)


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
    half = rows[:, 2:4] / 2
    return _kept(np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1), scores)


def fitted(pixels: Pixels, height: int, width: int) -> tuple[Pixels, float]:
    """Return a picture at the upper left of a grey one of that size, and how far it was scaled."""
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    # Areas are averaged: streaks that fall between the places which are looked at would be spared.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)
    whole = np.full((height, width, 3), GREY, np.uint8)
    whole[: small.shape[0], : small.shape[1]] = small[:height, :width]
    return whole, scale


def _kept(corners: NDArray[np.float32], scores: NDArray[np.float32]) -> Boxes:
    """Return what is likely at all, each thing once: N×4 corners, N×classes scores."""
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    likely = best >= LOWEST
    corners, best, classes = corners[likely], best[likely], classes[likely]
    sized = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    found = cv2.dnn.NMSBoxesBatched(
        sized.tolist(), best.tolist(), classes.tolist(), LOWEST, SUPPRESSED
    )
    keep = np.asarray(found, np.int64).ravel()
    return Boxes(corners[keep], best[keep], classes[keep].astype(np.int64))


def _scaled(boxes: Boxes, scale: float) -> Boxes:
    return Boxes(boxes.corners / np.float32(scale), boxes.scores, boxes.classes)


def _opened(path: Path, size: int) -> tuple[ort.InferenceSession, str, list[int]]:
    """Return a graph that takes float 1×3×H×W, its input's name and sides, ``size`` if open."""
    try:
        import onnxruntime as ort
    except ModuleNotFoundError as error:
        raise ModelError("detectors run by ONNX Runtime; pip install onnxruntime") from error
    try:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path} can't be read as an ONNX detector: {error}") from error
    taken = session.get_inputs()
    if len(taken) != 1 or len(taken[0].shape) != 4 or taken[0].type != "tensor(float)":
        raise ModelError(f"{path} is no detector that takes float 1×3×H×W")
    sides = [side if isinstance(side, int) else size for side in taken[0].shape[2:]]
    return session, taken[0].name, sides
