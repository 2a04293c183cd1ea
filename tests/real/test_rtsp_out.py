"""RTSP out: pushed to GStreamer's server, and looked at there as a recorder does."""

import contextlib
import logging
import threading
import time

import av
import pytest

from streamderain.config import RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.service import LiveService
from streamderain.live.supervision import Backoff
from streamderain.writers.base import LeftOutError
from streamderain.writers.rtsp import RtspWriter
from tests.live_frames import live_frame
from tests.numbered import number_of, numbered
from tests.real.relay import Relay
from tests.real.servers import RtspCameras, RtspRecorder, need_gstreamer
from tests.waiting import until

FPS = 25


@pytest.fixture(autouse=True)
def server():
    need_gstreamer()


class Camera:
    """Pushes numbered pictures at 25 a second, and knows when each was taken."""

    def __init__(self, address, **settings):
        settings = {"timeout": 2.0, **settings}
        self.writer = RtspWriter(address, "gate", Backoff(0.1, 0.5), **settings)
        self.size, self.session = (240, 320), 0
        self.taken, self.written, self.left_out, self.slowest = {}, [], 0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *reason):
        self._stop.set()
        self._thread.join(10)
        self.writer.close()

    def _run(self):
        number, due = 0, time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            frame = live_frame(number, session=self.session)
            frame.pixels = numbered(number, *self.size)
            frame.t_capture_ns = time.time_ns()
            self.taken[number] = time.monotonic()
            try:
                self.writer.write(frame)
                self.written.append(number)
            except LeftOutError:
                self.left_out += 1
            self.slowest = max(self.slowest, time.monotonic() - self.taken[number])
            number += 1
            due = max(due + 1 / FPS, time.monotonic() - 1)

    def more(self, frames=10, timeout=15):
        """Wait for some more frames that the server took."""
        wanted = len(self.written) + frames
        until(lambda: len(self.written) >= wanted, timeout)


def view(url, frames, transport="tcp"):
    """Look at a stream as a recorder does: sizes and numbers of its frames, and when they came."""

    def opened():
        with contextlib.suppress(av.FFmpegError):
            return av.open(
                url, timeout=(3, 5),
                options={"rtsp_transport": transport, "flags": "low_delay", "fpsprobesize": "0",
                         "analyzeduration": "500000"},
            )  # fmt: skip

    seen = []
    for _ in range(3):  # who comes before the server has a picture may get none; players try again
        with until(opened, 20) as container:
            container.streams.video[0].thread_type = "SLICE"
            with contextlib.suppress(av.error.ExitError):  # nothing came in time
                for frame in container.decode(video=0):
                    luma = frame.to_ndarray(format="gray")
                    seen.append((frame.height, frame.width, number_of(luma), time.monotonic()))
                    if len(seen) == frames:
                        return seen
        if seen:
            break
    raise AssertionError(f"{url} ended after {len(seen)} frames")


@pytest.mark.alone
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_in_order_in_their_size_and_young(transport):
    with (
        RtspRecorder("gate") as server,
        Camera(server.url("{camera}"), transport=transport) as gate,
    ):
        gate.more(5)
        seen = view(server.url("gate/view"), 100)
        assert {(height, width) for height, width, _, _ in seen} == {(240, 320)}
        numbers = [number for _, _, number, _ in seen]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        ages = sorted(came - gate.taken[number] for _, _, number, came in seen[10:])
        print(f"age over {transport}: median {ages[len(ages) // 2] * 1000:.0f} ms")
        assert ages[len(ages) // 2] < 0.15
        assert gate.left_out == 0
        assert gate.writer.announcements == 1


def test_a_server_that_is_killed_and_comes_back_gets_the_stream_again(caplog):
    caplog.set_level(logging.INFO)
    with RtspRecorder("gate") as server, Camera(server.url("{camera}")) as gate:
        view(server.url("gate/view"), 10)
        server.kill()
        until(lambda: gate.left_out > 20)
        server.start()
        gate.more()
        seen = view(server.url("gate/view"), 25)
        assert seen[-1][2] > seen[0][2]
        assert gate.writer.announcements == 2
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert 1 <= len(warned) <= 3  # lost, then can't be reached: not at every try
    assert caplog.text.count("takes the stream") == 2


def test_a_server_that_is_down_at_the_start_gets_the_stream_once_it_is_up():
    server = RtspRecorder("gate")
    server.kill()
    with Camera(server.url("{camera}")) as gate:
        until(lambda: gate.left_out > 20)
        assert gate.written == []
        with server:
            server.start()
            gate.more()
            assert view(server.url("gate/view"), 10)


@pytest.mark.parametrize("method", ["digest", "basic"])
def test_the_right_password_publishes_and_a_wrong_one_is_named(method, caplog):
    caplog.set_level(logging.DEBUG)
    password = "p@ss/w:rd?#&"
    access = {"user": "publisher", "password": password, "method": method}
    with RtspRecorder("gate", **access) as server:
        url = server.url("{camera}")
        with Camera(url, user="publisher", password=password) as gate:
            gate.more()
        with Camera(url, user="publisher", password="another") as gate:
            until(lambda: gate.left_out > 10)
            assert gate.written == []
    assert "refuses the user and password; check them in the configuration" in caplog.text
    for secret in (password, "p@ss", "p%40ss", "another"):
        assert secret not in caplog.text


def test_a_new_size_is_announced_and_seen():
    with RtspRecorder("gate") as server, Camera(server.url("{camera}")) as gate:
        assert view(server.url("gate/view"), 5)[-1][:2] == (240, 320)
        gate.size, gate.session = (360, 640), 1
        until(lambda: gate.writer.announcements == 2)
        assert view(server.url("gate/view"), 5)[-1][:2] == (360, 640)


@pytest.mark.parametrize("mode", ["freeze", "cut"])
def test_a_connection_that_breaks_or_freezes_is_made_anew(mode):
    with (
        RtspRecorder("gate") as server,
        Relay(server.port) as relay,
        Camera(server.url("{camera}", relay.port), timeout=1.0) as gate,
    ):
        gate.more()
        if mode == "cut":
            relay.cut()
        else:
            relay.mode = "freeze"
            until(lambda: gate.left_out > 0, 20)
            relay.mode = "pass"
        until(lambda: relay.connections >= 2, 20)
        gate.more()
        assert gate.slowest < 4


def unaccounted(service):
    """What the law of conservation says of a service now; empty where it holds."""
    return {
        name: missing
        for name in service.cameras
        if any((missing := service.stats(name).count.missing()).values())
    }


def test_from_a_camera_to_a_recorder_a_stuck_server_holds_up_nothing_else(tmp_path, caplog):
    with (
        RtspCameras(gate={}) as cameras,
        RtspRecorder("gate") as server,
        Relay(server.port) as relay,
    ):
        outputs = [
            {"type": "zeromq", "address": f"ipc://{tmp_path / 'frames.ipc'}", "codec": "jpeg"},
            {"type": "rtsp", "address": server.url("{camera}", relay.port), "timeout": "1s",
             "password": "s3cr3t", "user": "publisher"},
        ]  # fmt: skip
        camera = {
            "source": cameras.url("gate"), "outputs": outputs, "timeout": "3s", "stall": "1s",
            "backoff": "200ms", "backoff_most": "500ms", "gate": {"always": True},
        }  # fmt: skip
        config = RunConfig.model_validate({"model": "null", "cameras": {"gate": camera}})
        service = LiveService(config, NullBackend())
        service.start()
        try:

            def written(output):
                assert unaccounted(service) == {}
                return service.stats("gate").count.outlets[output].written

            def more(output, frames, timeout=20):
                wanted = written(output) + frames
                until(lambda: written(output) >= wanted, timeout)

            more("rtsp", 10)
            with av.open(server.url("gate/view"), options={"rtsp_transport": "tcp"}) as seen:
                picture = next(seen.decode(video=0))
            assert (picture.height, picture.width) == (240, 320)
            # A busy machine may lose a frame now and then; a held-up output loses 25 a second.
            lost = sum(service.stats("gate").count.outlets["publish"].dropped.values())
            relay.mode = "freeze"
            until(lambda: service.stats("gate").count.outlets["rtsp"].dropped, 20)
            began = time.monotonic()
            more("publish", 50)
            assert time.monotonic() - began < 3.5  # two seconds of a camera that gives 25 a second
            relay.mode = "pass"
            more("rtsp", 10)
            dropped = service.stats("gate").count.outlets["rtsp"].dropped
            assert set(dropped) <= {"rtsp", "rtsp-down"}
            after = sum(service.stats("gate").count.outlets["publish"].dropped.values())
            assert after - lost <= 10
            assert service.stats("gate").connects == 1
        finally:
            service.stop()
        assert unaccounted(service) == {}
    assert "s3cr3t" not in caplog.text
