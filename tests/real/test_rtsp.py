"""Live cameras, against GStreamer's RTSP server and real sockets, with a relay that breaks them."""

import contextlib
import logging
import threading
import time
from pathlib import Path

import pytest

from streamderain.client import Subscriber
from streamderain.config import RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.service import LiveService
from tests.real.relay import Relay
from tests.real.servers import RtspCameras, need_gstreamer
from tests.waiting import until

QUICK = {"timeout": "3s", "stall": "1s", "backoff": "200ms", "backoff_most": "1s"}


@pytest.fixture(autouse=True)
def server():
    need_gstreamer()


class Live:
    """A service over cameras, with a subscriber; conserves frames at every sample."""

    def __init__(self, tmp_path, cameras, backend=None, **settings):
        self.address = f"ipc://{tmp_path / 'frames.ipc'}"
        output = {"type": "zeromq", "address": self.address, "codec": "jpeg", "heartbeat": "200ms"}
        self.service = LiveService(
            RunConfig.model_validate(
                {
                    "model": "null", "stats": 1, **settings,
                    "defaults": {**QUICK, "gate": {"always": True}, "outputs": [output]},
                    "cameras": {
                        name: camera if isinstance(camera, dict) else {"source": camera}
                        for name, camera in cameras.items()
                    },
                }
            ),
            backend or NullBackend(),
        )  # fmt: skip
        self.unaccounted = []
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        while not self._stop.wait(0.02):
            for name in self.service.cameras:
                missing = self.service.stats(name).count.missing()
                if any(missing.values()):
                    self.unaccounted.append((name, missing))

    def __enter__(self):
        self.subscriber = Subscriber(self.address)
        self.service.start()
        self._sampler.start()
        return self

    def __exit__(self, *reason):
        self._stop.set()
        self._sampler.join()
        self.subscriber.close()
        self.service.stop()
        assert self.unaccounted == []

    def state(self, name):
        return self.service.stats(name).state

    def decoded(self, name):
        return self.service.stats(name).count.decoded

    def is_live(self, *names):
        return all(self.state(name) == "live" for name in names)

    def last(self, name):
        """Return the header of the newest frame that was received, or None."""
        view = self.subscriber.cameras.get(name)
        return view.last if view else None

    def rates(self, names, seconds):
        """Measure frames a second for so long, by the cameras' own clocks; frames that come late
        and all at once, as after a busy moment of this machine, are no loss.
        """
        before = {
            name: until(lambda name=name: (h := self.last(name)) and h.t_source == "rtcp" and h)
            for name in names
        }
        began = time.monotonic()
        until(lambda: time.monotonic() - began > seconds)
        found = {}
        for name in names:
            first, last = before[name], self.last(name)
            passed = (last.t_capture_ns - first.t_capture_ns) / 1e9
            assert passed > seconds - 1, name
            found[name] = (last.decoded - first.decoded) / passed
        return found

    def more(self, name, frames=10, timeout=15):
        """Wait for some more frames of a camera."""
        wanted = self.decoded(name) + frames
        until(lambda: self.decoded(name) >= wanted, timeout)


@contextlib.contextmanager
def relayed(tmp_path, *, down=False):
    """One camera behind a relay, live."""
    with RtspCameras(gate={}) as cameras, Relay(cameras.ports["gate"]) as relay:
        if down:
            relay.down()
        with Live(tmp_path, {"gate": cameras.url("gate", relay.port)}) as live:
            yield live, relay


@pytest.mark.alone
@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_at_the_cameras_rate_with_its_clock(tmp_path, codec, transport):
    with RtspCameras(gate={"codec": codec}) as cameras:
        camera = {"source": cameras.url("gate"), "transport": transport}
        with Live(tmp_path, {"gate": camera}) as live:
            until(lambda: live.is_live("gate"), 15)
            header = until(lambda: (h := live.last("gate")) and h.t_source == "rtcp" and h, 15)
            assert abs(time.time_ns() - header.t_capture_ns) < 2e9
            assert header.shape == (240, 320, 3)
            before, began = live.decoded("gate"), time.monotonic()
            live.more("gate", 50)
            rate = (live.decoded("gate") - before) / (time.monotonic() - began)
            assert rate == pytest.approx(25, rel=0.15)
            assert live.service.stats("gate").corrupt == 0


def test_the_first_frame_comes_soon_and_is_young(tmp_path):
    with RtspCameras(gate={}) as cameras:
        with Live(tmp_path, {"warm": cameras.url("gate")}) as live:
            until(lambda: live.is_live("warm"), 15)
        began = time.monotonic()
        with Live(tmp_path, {"gate": cameras.url("gate")}) as live:
            until(lambda: live.last("gate"), 15)
            key_frame_every = 1.0
            assert time.monotonic() - began < 2.0 + key_frame_every
            live.more("gate", 60)
            ages = sorted(live.subscriber.cameras["gate"].ages_s)[:-20]
            assert ages[len(ages) // 2] < 0.4


def test_a_server_that_is_killed_and_comes_back(tmp_path):
    with RtspCameras(gate={}) as cameras, Live(tmp_path, {"gate": cameras.url("gate")}) as live:
        until(lambda: live.is_live("gate"), 15)
        live.more("gate")
        cameras.kill()
        until(lambda: live.state("gate") in ("backoff", "connecting"))
        session = until(lambda: live.last("gate")).session
        cameras.start()
        until(lambda: live.is_live("gate"), 15)
        live.more("gate")
        view = live.subscriber.cameras["gate"]
        assert view.last.session > session
        # What came together when the connection opened may have been more than publishing holds.
        lost = view.lost
        live.more("gate")
        view = live.subscriber.cameras["gate"]
        assert (view.lost, view.restarts) == (lost, 0)


def test_a_camera_that_is_down_at_the_start(tmp_path):
    with relayed(tmp_path, down=True) as (live, relay):
        until(lambda: live.state("gate") == "backoff")
        assert "can't be reached" in live.service.stats("gate").message
        relay.up()
        until(lambda: live.is_live("gate"), 15)


@pytest.mark.parametrize("mode", ["freeze", "trickle"])
def test_a_camera_that_stays_connected_and_sends_nothing_is_found_out(tmp_path, mode):
    with relayed(tmp_path) as (live, relay):
        until(lambda: live.is_live("gate"), 15)
        live.more("gate")
        relay.mode = mode
        began = time.monotonic()
        until(lambda: live.state("gate") != "live")
        assert time.monotonic() - began < 3.5
        until(lambda: relay.connections >= 2, 20)
        relay.mode = "pass"
        until(lambda: live.is_live("gate"), 20)
        live.more("gate")


def test_a_connection_that_is_cut(tmp_path):
    with relayed(tmp_path) as (live, relay):
        for count in (1, 2, 3):
            until(lambda: live.is_live("gate"), 15)
            live.more("gate")
            relay.cut()
            until(lambda count=count: relay.connections > count, 15)


def test_another_resolution_in_the_middle_is_a_new_session(tmp_path):
    with RtspCameras(gate={}) as cameras, Live(tmp_path, {"gate": cameras.url("gate")}) as live:
        until(lambda: live.is_live("gate"), 15)
        live.more("gate")
        session = until(lambda: live.last("gate")).session
        cameras.resize("gate", 640, 480)
        header = until(lambda: (h := live.last("gate")).shape == (480, 640, 3) and h, 15)
        assert header.session == session + 1
        assert live.service.stats("gate").connects == 1


PASSWORD = "p@ss/w:rd?#&"


def test_user_and_password_open_the_stream_and_wrong_ones_are_named(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    camera = {"user": "viewer", "password": PASSWORD}
    with RtspCameras(gate=camera) as cameras:
        url = cameras.url("gate")
        sources = {
            "right": {"source": url, "user": "viewer", "password": PASSWORD},
            "wrong": {"source": url, "user": "viewer", "password": f"not {PASSWORD}"},
            "none": {"source": url},
            "nowhere": {"source": f"{url}/nothing", **camera},
        }
        with Live(tmp_path, sources) as live:
            until(lambda: live.is_live("right"), 15)
            until(lambda: all(live.state(n) == "failed" for n in ("wrong", "none", "nowhere")))
            assert "refuses the user and password" in live.service.stats("wrong").message
            assert "refuses the user and password" in live.service.stats("none").message
            assert "no stream that can be played" in live.service.stats("nowhere").message
            until(lambda: len(live.subscriber.cameras) == 4)
            live.service.log_stats()
            told = [view.message or "" for view in live.subscriber.cameras.values()]
            heads = [
                view.last.model_dump_json()
                for view in live.subscriber.cameras.values()
                if view.last
            ]
    everything = "\n".join([caplog.text, *told, *heads])
    assert "gate" in everything
    for secret in (PASSWORD, "p@ss", "p%40ss", "ss/w", "viewer"):
        assert secret not in everything


def test_udp_that_loses_packets_is_survived_and_counted(tmp_path):
    with (
        RtspCameras(gate={"pattern": "snow", "bitrate": 3000}) as cameras,  # many packets a frame
        Relay(cameras.ports["gate"], udp_loss=0.02) as relay,
    ):
        camera = {"source": cameras.url("gate", relay.port), "transport": "udp"}
        with Live(tmp_path, {"gate": camera}) as live:
            until(lambda: live.is_live("gate"), 15)
            live.more("gate", 150, 30)
            stats = live.service.stats("gate")
            assert relay.lost > 3
            assert stats.corrupt + stats.damaged > 0
            assert stats.count.bypassed["corrupt"] == stats.corrupt
            assert stats.connects == 1


@pytest.mark.alone
def test_three_of_eight_cameras_misbehave_and_the_other_five_lose_nothing(tmp_path):
    names = [f"cam{index}" for index in range(8)]
    quiet = {name: {"width": 160, "height": 120} for name in names}
    with RtspCameras(**quiet) as cameras:
        relays = {name: Relay(cameras.ports[name]) for name in names[:3]}
        try:
            sources = {
                name: cameras.url(name, relays[name].port if name in relays else None)
                for name in names
            }
            with Live(tmp_path, sources) as live:
                until(lambda: live.is_live(*names), 30)
                usual = live.rates(names[3:], 3)
                relays["cam0"].mode = "freeze"
                relays["cam1"].mode = "trickle"
                relays["cam2"].down()
                during = live.rates(names[3:], 4)
                assert all(live.state(name) != "live" for name in relays)
                for name in names[3:]:
                    assert during[name] == pytest.approx(usual[name], rel=0.05), name
                    view = live.subscriber.cameras[name]
                    # A machine that stands still for a moment costs this subscriber a frame or two.
                    assert view.lost <= 0.02 * view.received, name
                relays["cam0"].mode = relays["cam1"].mode = "pass"
                relays["cam2"].up()
                until(lambda: live.is_live(*names), 15)
        finally:
            for relay in relays.values():
                relay.close()


def test_trouble_leaves_no_threads_and_no_descriptors_behind(tmp_path):
    def threads():
        return sorted(thread.name for thread in threading.enumerate())

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    with RtspCameras(gate={}) as cameras, Relay(cameras.ports["gate"]) as relay:
        before = threads(), descriptors()
        with Live(tmp_path, {"gate": cameras.url("gate", relay.port)}) as live:
            until(lambda: live.is_live("gate"), 15)
            steady = None
            for count in range(6):
                seen = relay.connections
                relay.cut()
                until(lambda seen=seen: relay.connections > seen, 15)
                until(lambda: live.is_live("gate"), 15)
                live.more("gate", 3)
                if count == 1:
                    steady = threads(), descriptors()
            until(lambda: len(threads()) <= len(steady[0]))
            until(lambda: descriptors() <= steady[1] + 3)
        until(lambda: len(threads()) <= len(before[0]), 15)
        until(lambda: descriptors() <= before[1] + 4)
