"""A service whose cameras are seen and steered, and what is said of them: helpers of tests."""

import threading

import numpy as np
import zmq

from streamderain.config import RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.service import LiveService
from streamderain.wire import EventHeader, decode_message
from tests.waiting import until as waiting_until

LIMIT_S = 40.0
"""Drawing a scene takes a second of an idle core; this is for busy ones."""


def until(condition):
    return waiting_until(condition, timeout=LIMIT_S)


class Brightening(NullBackend):
    """A network whose work can be seen: adds 1 to every value."""

    name = "brightening"

    def run(self, frames):
        return frames + np.uint8(1)


def zeromq(address, **settings):
    return {"type": "zeromq", "address": address, "codec": "raw", **settings}


def scene(address, rain="heavy", **settings):
    return {"source": f"scene:{rain}?size=64x48&fps=20", "outputs": [zeromq(address)], **settings}


class Running:
    """A service whose cameras' frames are all accounted for at every moment, by another thread."""

    def __init__(self, cameras, backend=None, **settings):
        config = RunConfig.model_validate(
            {"model": "null", "defaults": {"gate": {"always": True}}, "cameras": cameras}
        )
        self.service = LiveService(config, backend or Brightening(), **settings)
        self.looked, self.over, self.wrong = 0, threading.Event(), []

    def __enter__(self):
        self.service.start()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self.service

    def __exit__(self, *reason):
        self.over.set()
        self.thread.join(10)
        self.service.stop()
        assert not self.wrong
        assert self.looked
        for report in self.service.control.cameras():
            assert not any(report.stats.count.missing().values())

    def _look(self):
        while True:
            try:
                for report in self.service.control.cameras():
                    if any(report.stats.count.missing().values()):
                        self.wrong.append(report)
                self.looked += 1
            except BaseException as error:
                self.wrong.append(error)
                raise
            if self.over.wait(0.005):
                return


class Hearing:
    """Everything that is said at an address, in order."""

    def __init__(self, address):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVTIMEO, int(1000 * LIMIT_S))
        self.socket.rcvhwm = 10_000
        self.socket.subscribe(b"")
        self.socket.connect(address)
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.context.destroy(linger=0)

    def until(self, condition):
        while True:
            header, _ = decode_message(self.socket.recv_multipart())
            self.said.append(header)
            if condition(header):
                return header

    def frames(self, camera):
        return [h for h in self.said if h.camera == camera and not isinstance(h, EventHeader)]


def written(service, name):
    return service.control.camera(name).stats.count.outlets["publish"].written
