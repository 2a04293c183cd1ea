"""Look at a source, left as it came, right derained: ``python examples/viewer.py SOURCE``.

Needs streamderain and an OpenCV with windows: ``pip uninstall opencv-python-headless``, then
``pip install opencv-python``. SOURCE is a file, rtsp://..., a webcam's number or scene:heavy. Keys:
q ends, space pauses, d switches between both halves and the derained picture alone.
"""

import sys

import cv2
import numpy as np

from streamderain import open_clean

TITLE = "streamderain"
source = sys.argv[1]
paused, both = False, True
shown = None

cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
with open_clean(int(source) if source.isdigit() else source, keep_original=True) as frames:
    while cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1:  # until it is closed
        if not paused:
            frame = next(frames, None)
            if frame is None:
                break
            picture = frame.pixels.copy()
            if both:
                middle = picture.shape[1] // 2
                picture[:, :middle] = frame.original[:, :middle]
                picture[:, middle] = 255
            text = "derained" if frame.derained else f"as it came: {frame.bypass}"
            if frame.rain is not None:
                text += f", rain {frame.rain:.2f}"
            for colour, width in ((0, 3), (255, 1)):
                cv2.putText(picture, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 3 * [colour],
                            width, cv2.LINE_AA)  # fmt: skip
            shown = np.ascontiguousarray(picture[..., ::-1])  # windows show BGR
            cv2.imshow(TITLE, shown)
        key = cv2.waitKey(30 if paused else 1) & 0xFF
        if key in (ord("q"), 27):
            break
        paused ^= key == ord(" ")
        both ^= key == ord("d")
cv2.destroyAllWindows()
