"""The same without streamderain: ``python examples/subscriber_plain.py ADDRESS [CAMERA]``.

Needs pyzmq, NumPy and OpenCV. docs/wire.md says what is in a message.
"""

import json
import sys

import cv2
import numpy as np
import zmq

address, camera = sys.argv[1], "".join(sys.argv[2:3])
socket = zmq.Context().socket(zmq.SUB)
socket.rcvhwm = 4  # a slow reader loses frames instead of seeing old ones
socket.subscribe(f"frame/{camera}/" if camera else "frame/")
socket.connect(address)
while True:
    _, head, payload = socket.recv_multipart()
    header = json.loads(head)
    if header["codec"] == "raw":
        pixels = np.frombuffer(payload, np.uint8).reshape(header["shape"])
    else:  # jpeg or png; OpenCV gives BGR
        pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    print(header["camera"], header["seq"], pixels.shape, header["derained"], flush=True)
