"""Find things with a YOLO: ``python examples/yolo_onnx.py MODEL.onnx ADDRESS [CAMERA...]``.

Needs streamderain, OpenCV and ONNX Runtime. The model takes float32 1×3×H×W, RGB, 0 to 1, and gives
1×(4+classes)×N (YOLOv8, YOLO11: a centre and a size in its pixels, then a score for each class) or
1×N×6 (YOLO26, YOLOv10: two corners, a score, a class).
"""

import sys

import cv2
import numpy as np
import onnxruntime as ort

from streamderain import Subscriber

SCORE, OVERLAP = 0.25, 0.45


def prepared(pixels: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """Fit a frame into the network's picture, the rest grey; return it and the scale."""
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    whole = np.full((height, width, 3), 114, np.uint8)
    whole[: small.shape[0], : small.shape[1]] = small[:height, :width]
    return np.float32(whole.transpose(2, 0, 1)[None]) / 255, scale


def found(output: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (left, top, width, height), scores and classes, in the frame's pixels."""
    if output.shape[2] == 6:  # one box a thing already
        boxes, scores, classes = output[0, :, :4], output[0, :, 4], output[0, :, 5].astype(int)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        keep = np.flatnonzero(scores > SCORE)
    else:
        rows = output[0].T
        scores, classes = rows[:, 4:].max(1), rows[:, 4:].argmax(1)
        boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], axis=1)
        keep = cv2.dnn.NMSBoxesBatched(boxes, scores, classes, SCORE, OVERLAP)
    keep = np.asarray(keep, int).ravel()
    return boxes[keep] / scale, scores[keep], classes[keep]


model, address, *cameras = sys.argv[1:]
network = ort.InferenceSession(model)
(taken,) = network.get_inputs()
height, width = (side if isinstance(side, int) else 640 for side in taken.shape[2:])
with Subscriber(address, cameras=cameras or None) as frames:
    for frame in frames:
        picture, scale = prepared(frame.pixels, height, width)
        (output,) = network.run(None, {taken.name: picture})
        things = zip(*found(output, scale), strict=True)
        for (left, top, wide, high), score, kind in things:
            where = f"{wide:.0f}x{high:.0f} at {left:.0f},{top:.0f}"
            print(frame.camera, frame.header.seq, f"class {kind}, {score:.2f}, {where}", flush=True)
