"""Tell motion that is no rain: ``python examples/motion.py SOURCE [--rainy]``.

SOURCE is a file, rtsp://..., a webcam's number or scene:heavy. Needs streamderain alone. With
--rainy it looks at the frames as they came, to compare.
"""

import sys

import cv2
import numpy as np

from streamderain import open_clean

LEARNS_FRAMES = 50
SMALLEST = 1 / 4000  # of the picture: less is no person and no car

source = sys.argv[1]
rainy = "--rainy" in sys.argv[2:]
# Motion is looked for in frames that follow one another, so the fast network is the better one.
with open_clean(
    int(source) if source.isdigit() else source, model="video-s", keep_original=True
) as frames:
    background = cv2.createBackgroundSubtractorMOG2(history=500, detectShadows=True)
    for count, frame in enumerate(frames):
        seen = frame.original if rainy else frame.pixels
        mask = background.apply(cv2.GaussianBlur(seen, (5, 5), 0))
        moves = (mask == 255).astype(np.uint8)  # 127 is a shadow
        moves = cv2.morphologyEx(moves, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        if count < LEARNS_FRAMES:
            continue
        _, _, found, _ = cv2.connectedComponentsWithStats(moves)
        boxes = [row for row in found[1:] if row[cv2.CC_STAT_AREA] > SMALLEST * moves.size]
        how = "derained" if frame.derained else frame.bypass
        print(frame.index, f"{100 * moves.mean():.2f} %", f"{len(boxes)} boxes", how, flush=True)
