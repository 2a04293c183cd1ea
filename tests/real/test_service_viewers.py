"""Twenty viewers, of which five read nothing: the publishing goes on as if there were none."""

import json
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamderain.client import Subscriber
from tests.real.servers import RtspCameras, need_gstreamer
from tests.real.web import BEARER, RudeSocket, Running
from tests.waiting import until

API = "/api/v1"
CAMERAS = ("gate", "yard")


class Polite(threading.Thread):
    """A viewer that draws what it gets, and counts it."""

    def __init__(self, running, width):
        super().__init__(daemon=True)
        self.running, self.width = running, width
        self.pictures, self.versions, self.stop = 0, {}, threading.Event()
        self.backwards = 0

    def run(self):
        watch = {name: {"view": "both", "width": self.width, "fps": 10} for name in CAMERAS}
        url = f"ws://127.0.0.1:{self.running.port}{API}/live"
        try:
            with connect(url, max_size=None, compression=None) as live:
                live.send(json.dumps({"watch": watch}))
                while not self.stop.is_set():
                    self._take(live)
        except (ConnectionClosed, TimeoutError):
            pass

    def _take(self, live):
        message = live.recv(timeout=10)
        if isinstance(message, bytes):
            end = 1 + message[0]
            name = message[1:end].decode()
            version = int.from_bytes(message[end : end + 8], "big")
            self.backwards += version <= self.versions.get(name, 0)
            self.versions[name] = version
            self.pictures += 1
            live.send(json.dumps({"ack": name}))


class Greedy(RudeSocket):
    """Reads nothing, and claims to have drawn everything."""

    def __init__(self, running):
        super().__init__(running, {name: {"view": "both", "fps": 60} for name in CAMERAS})
        self.stop, self.is_gone = threading.Event(), False
        self._thread = threading.Thread(target=self._claim, daemon=True)
        self._thread.start()

    def _claim(self):
        try:
            while not self.stop.wait(0.02):
                for name in CAMERAS:
                    self.say(ack=name)
        except OSError:
            self.is_gone = True

    def close(self):
        self.stop.set()
        self._thread.join()
        super().close()


def rude_stream(running):
    """Ask for Motion JPEG and read nothing of it."""
    plain = running.connect(4096)
    plain.sendall(
        f"GET {API}/cameras/gate/stream.mjpeg?view=both&fps=60 HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{running.port}\r\n"
        f"Authorization: {BEARER['Authorization']}\r\n\r\n".encode()
    )
    return plain


class Published:
    """The rate at which frames are published, by the cameras' own clocks."""

    def __init__(self, running):
        self.subscriber = Subscriber(running.frames)

    def _last(self, name):
        view = self.subscriber.cameras.get(name)
        return view.last if view and view.last and view.last.t_source == "rtcp" else None

    def over(self, seconds):
        first = {name: until(lambda n=name: self._last(n), 20) for name in CAMERAS}
        began = time.monotonic()
        until(lambda: time.monotonic() - began > seconds, seconds + 10)
        rates = {}
        for name in CAMERAS:
            last = self._last(name)
            passed = (last.t_capture_ns - first[name].t_capture_ns) / 1e9
            rates[name] = (last.seq - first[name].seq) / passed
        return rates


def test_twenty_viewers_of_which_five_read_nothing_slow_nobody(tmp_path):
    need_gstreamer()
    camera = {"width": 640, "height": 360, "pattern": "snow", "bitrate": 3000}
    with RtspCameras(gate=camera, yard=camera) as cameras:
        sources = {name: {"source": cameras.url(name)} for name in CAMERAS}
        with Running(tmp_path, sources) as running:
            running.live(*CAMERAS)
            published = Published(running)
            alone = published.over(6)
            before = running.memory

            polite = [Polite(running, 320) for _ in range(15)]
            for viewer in polite:
                viewer.start()
            greedy = [Greedy(running) for _ in range(3)]
            streams = [rude_stream(running) for _ in range(2)]
            until(lambda: running.sample("streamderain_viewers") == 20, 20)
            watched = published.over(6)
            most = running.memory
            for name in CAMERAS:
                assert watched[name] == pytest.approx(alone[name], rel=0.05)
                assert published.subscriber.cameras[name].lost == 0

            # Those that take nothing are hung up on, the others stay.
            until(lambda: running.sample("streamderain_viewers_stuck_total") == 5, 40, 0.2)
            assert running.sample("streamderain_viewers") == 15
            pictures = [viewer.pictures for viewer in polite]
            assert min(pictures) > 0.5 * max(pictures) > 20
            assert not any(viewer.backwards for viewer in polite)
            until(lambda: all(viewer.is_gone for viewer in greedy), 10)

            # Memory doesn't grow with what they didn't take.
            later = published.over(6)
            assert later == pytest.approx(alone, rel=0.05)
            assert max(most, running.memory) - before < 60
            print(f"alone {alone}, watched {watched}; {before:.0f} MB, at most {most:.0f} MB")
            print(f"pictures of a viewer {min(pictures)} to {max(pictures)}")
            sent = running.sample("streamderain_viewer_pictures_total", outcome="sent")
            assert sent >= sum(pictures)

            for viewer in polite:
                viewer.stop.set()
            for viewer in polite:
                viewer.join(15)
            for plain in (*greedy, *streams):
                plain.close()
            published.subscriber.close()
            until(lambda: running.sample("streamderain_viewers") == 0, 20)
            assert running.interrupt() == 0
