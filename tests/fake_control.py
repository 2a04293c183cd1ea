"""A control without cameras behind it, for the tests of the web service."""

from fractions import Fraction

import numpy as np

from streamderain.errors import CameraExistsError, ModelError, UnknownCameraError
from streamderain.frame import Frame
from streamderain.live.control import Control
from streamderain.live.reports import CameraReport, Latency, ModelReport, Moment, Pair
from streamderain.live.stats import CameraStats
from streamderain.live.switchboard import CameraCount, OutletCount
from streamderain.serviceconfig import ServiceConfig

TOKEN = "a-token-of-the-tests"
PASSWORD = "p@ss/w:rd?"


def settings(**changed):
    return ServiceConfig(**{"address": "127.0.0.1:8080", "token": TOKEN, **changed})


def picture(width=64, height=48, value=0):
    """A picture whose left half is red and whose right half has a value."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :] = value
    return pixels


class FakeControl(Control):
    """Gives what it is told to give, and remembers what it was asked for."""

    def __init__(self, *names):
        self.reports = {name: self.report(name) for name in names}
        self.pairs = dict.fromkeys(names)
        self.asked = []
        self.count = 0
        self.is_alive = True
        self.waits_for = None
        self.model_report = ModelReport(
            "video-s", "cpu", "onnx 1.0", "ab" * 32, {1: 3, 4: 2}, 5, 1000.0, 0
        )

    @staticmethod
    def report(name, state="live", **changed):
        outlets = {"publish": OutletCount(80, 3, {"publish": 4}), "record": OutletCount(87, 0, {})}
        count = CameraCount(100, 8, 60, {"dry": 30}, {"max_fps": 5}, outlets)
        stats = CameraStats(name, state, None, count, 2, 1, 1, 0, 50.0)
        latency = Latency((0.01, 0.1, 1.0), (10, 20, 30, 1), 12.5)
        given = {
            "camera": name, "state": state, "message": None, "since": 1000.0, "mode": "auto",
            "paused": False, "source": "rtsp://10.0.0.5/live", "size": (64, 48),
            "fps": 24.9, "fps_out": 12.45, "age_s": 0.04,
            "rain": 0.83, "raining": True, "derained": True, "bypass": None,
            "stats": stats, "queue": 1,
            "latency": dict.fromkeys(("wait", "network", "write", "total"), latency),
            "history": [Moment(999.0, 25.0, 0.8, 1.0, 80.0)],
        }  # fmt: skip
        return CameraReport(**{**given, **changed})

    def show(self, name, value=0, *, same=False):
        """Let a new frame of a camera leave."""
        before, after = picture(value=value), picture(value=value)
        after[:, :, 1] = 200
        version = self.pairs[name].version + 1 if self.pairs[name] else 1
        frame = Frame(name, 0, version, None, Fraction(1, 25), after)
        self.pairs[name] = Pair(version, before, before if same else after, frame)

    def cameras(self):
        return list(self.reports.values())

    def camera(self, name):
        if name not in self.reports:
            raise UnknownCameraError(f"no camera is named {name!r}; there is none")
        return self.reports[name]

    def put(self, name, camera, *, only_new=False):
        if only_new and name in self.reports:
            raise CameraExistsError(f"there is a camera {name} already")
        self.asked.append(("put", name, camera))
        is_new = name not in self.reports
        self.reports[name] = self.report(name, "connecting")
        self.pairs.setdefault(name, None)
        self.count += 1
        return is_new

    def remove(self, name):
        self.camera(name)
        self.asked.append(("remove", name))
        del self.reports[name], self.pairs[name]
        self.count += 1

    def steer(self, name, *, paused=None, mode=None):
        self.camera(name)
        self.asked.append(("steer", name, paused, mode))

    def reload_model(self, name=None):
        self.asked.append(("model", name))
        if name == "nothing":
            raise ModelError("there is no network named 'nothing'")
        return self.model_report

    def model(self):
        return self.model_report

    def config(self):
        return {"model": "video-s", "service": {"token": "***"}}

    def pair(self, name):
        self.camera(name)
        return self.pairs[name]

    def changes(self):
        return self.count

    def ready(self):
        return self.waits_for

    def alive(self):
        return self.is_alive

    def hide(self, text):
        return text.replace(PASSWORD, "***")
