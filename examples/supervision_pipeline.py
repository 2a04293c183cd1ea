"""Count who crosses a line: ``python examples/supervision_pipeline.py RECORDING OUT.mp4``.

Needs streamderain and ``pip install supervision trackers``. What moves is found by OpenCV, so
that no weights are needed; put your detector in its place: Supervision takes those of Ultralytics,
Transformers, Roboflow and others by ``sv.Detections.from_...``.
"""

import sys

import cv2
import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from streamderain import open_clean

source, target = sys.argv[1:]
background = cv2.createBackgroundSubtractorMOG2(detectShadows=False)


def detect(pixels: np.ndarray) -> sv.Detections:
    """Find what moves; here goes your detector."""
    mask = cv2.morphologyEx(background.apply(pixels), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.dilate(mask, np.ones((9, 9), np.uint8))
    _, _, found, _ = cv2.connectedComponentsWithStats(mask)
    boxes = [(x, y, x + w, y + h) for x, y, w, h, area in found[1:] if area > mask.size / 1000]
    return sv.Detections(
        np.array(boxes, np.float32).reshape(-1, 4), confidence=np.ones(len(boxes), np.float32),
        class_id=np.zeros(len(boxes), int),
    )  # fmt: skip


with open_clean(source) as frames:
    (height, width), fps = frames.size, round(frames.fps or 25)
    tracker = ByteTrackTracker(frame_rate=fps)
    line = sv.LineZone(sv.Point(width // 2, 0), sv.Point(width // 2, height))
    draws = sv.BoxAnnotator(), sv.TraceAnnotator()
    with sv.VideoSink(target, sv.VideoInfo(width, height, fps)) as sink:
        for frame in frames:
            tracked = tracker.update(detect(frame.pixels))
            line.trigger(tracked)
            shown = np.ascontiguousarray(frame.pixels[..., ::-1])  # Supervision draws on BGR
            for draw in draws:
                shown = draw.annotate(shown, tracked)
            sink.write_frame(shown)
    print(f"{line.in_count} in, {line.out_count} out", flush=True)
