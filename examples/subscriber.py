"""Print what cameras show: ``python examples/subscriber.py tcp://127.0.0.1:5555 [CAMERA...]``.

Needs streamderain alone. Put your detector where the comment is.
"""

import sys

from streamderain import Subscriber

address, *cameras = sys.argv[1:]

with Subscriber(address, cameras=cameras or None) as frames:
    for frame in frames:
        height, width, _ = frame.pixels.shape  # uint8, RGB; your detector goes here
        how = "derained" if frame.header.derained else f"as it came ({frame.header.bypass})"
        lost = frames.cameras[frame.camera].lost
        print(
            f"{frame.camera} {frame.header.seq}: {width}x{height}, {how}, "
            f"{frame.age_s * 1000:.0f} ms old, {lost} lost",
            flush=True,
        )
