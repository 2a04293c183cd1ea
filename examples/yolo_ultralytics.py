"""Follow things: ``python examples/yolo_ultralytics.py yolo11n.pt ADDRESS [CAMERA...]``.

Needs streamderain and ``pip install ultralytics`` (AGPL-3.0), which brings PyTorch and loads the
weights that it is told to. Things keep their number from frame to frame.
"""

import sys

from ultralytics import YOLO

from streamderain import Subscriber

weights, address, *cameras = sys.argv[1:]
models = {}  # a tracker remembers one camera's things, so each camera has its own

with Subscriber(address, cameras=cameras or None) as frames:
    for frame in frames:
        model = models.get(frame.camera) or YOLO(weights)
        models[frame.camera] = model
        # Ultralytics wants arrays as OpenCV gives them: BGR.
        (result,) = model.track(frame.pixels[..., ::-1], persist=True, verbose=False)
        for box in result.boxes:
            name = result.names[int(box.cls)]
            number = "-" if box.id is None else int(box.id)
            print(frame.camera, frame.header.seq, name, number, f"{float(box.conf):.2f}")
        print(frame.camera, frame.header.seq, f"{len(result.boxes)} things", flush=True)
