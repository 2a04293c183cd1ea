"""Frames for an RTSP server, and what pushes them: helpers of tests."""

from streamderain.live.supervision import Backoff
from streamderain.writers.base import LeftOutError
from streamderain.writers.rtsp import DOWN, RtspWriter
from tests.clips import picture
from tests.live_frames import live_frame

START = 1_795_236_372_123_456_789
STEP = 40_000_000


class Clock:
    """A clock that goes on only when it is told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def frame(index, *, size=(48, 64), session=0, taken=None):
    made = live_frame(index, session=session)
    made.pixels = picture(*size, index)
    made.t_capture_ns = START + index * STEP if taken is None else taken
    return made


def writer(server, address=None, **settings):
    waits = Backoff(0.05, 0.1)
    settings = {"timeout": 2.0, **settings}
    return RtspWriter(address or server.url("{camera}"), "gate", waits, **settings)


def sent(pusher, frames, clock=None):
    """Write frames; return how many the server took."""
    taken = 0
    for each in frames:
        try:
            pusher.write(each)
            taken += 1
        except LeftOutError as error:
            assert error.reason == DOWN
        if clock:
            clock.now += STEP / 1e9
    return taken
