"""Cameras seen and steered while they run: over real sockets, with the test scene and files."""

import threading
import time

import numpy as np
import pytest

from streamderain.client import Subscriber
from streamderain.config import CameraConfig
from streamderain.errors import (
    ConfigError,
    InputError,
    OutputError,
    UnknownCameraError,
    UsageError,
)
from streamderain.live import fleet
from streamderain.wire import EventHeader
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher
from tests.clips import make_clip, read_all
from tests.controlled import LIMIT_S, Brightening, Hearing, Running, scene, until, written


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path / 'frames.ipc'}"


def test_a_camera_is_added_while_others_run(address):
    with Running({"a": scene(address)}) as service, Subscriber(address) as frames:
        control = service.control
        until(lambda: written(service, "a") > 5)
        assert control.put("b", CameraConfig.model_validate(scene(address))) is True
        assert [report.camera for report in control.cameras()] == ["a", "b"]
        until(lambda: (view := frames.cameras.get("b")) and view.received > 5)
        assert service.cameras == ["a", "b"]
        assert frames.cameras["a"].restarts == 0
        assert frames.cameras["a"].lost < 5  # a starved subscriber may miss one
        # What it doesn't say itself comes from the defaults.
        assert control.config()["cameras"]["b"]["gate"]["always"] is True


def test_a_changed_camera_counts_anew_and_touches_no_other(address):
    with Running({"a": scene(address), "b": scene(address)}) as service, Hearing(address) as heard:
        control = service.control
        until(lambda: written(service, "a") > 5 and written(service, "b") > 5)
        heard.until(lambda header: heard.frames("b") and heard.frames("a"))
        run = heard.frames("b")[0].run
        before = control.camera("a").stats.count.decoded
        settings = {**scene(address), "resize": "32x32"}
        assert control.put("b", CameraConfig.model_validate(settings)) is False
        assert control.camera("b").stats.count.decoded < before
        first = heard.until(
            lambda header: (
                header.camera == "b" and not isinstance(header, EventHeader) and header.run != run
            )
        )
        assert (first.seq, first.session, first.shape) == (0, 0, (32, 32, 3))
        assert first.decoded == 1 + sum(first.dropped.values())
        heard.until(lambda header: len(heard.frames("a")) > 20)
        assert [h.seq for h in heard.frames("a")] == [
            heard.frames("a")[0].seq + n for n in range(len(heard.frames("a")))
        ]
        assert len({header.run for header in heard.frames("a")}) == 1
        assert control.camera("a").stats.connects == 1
        # It goes on at the same address: nobody is told that it has ended.
        assert not [h for h in heard.said if isinstance(h, EventHeader) and h.state == "ended"]


def test_a_camera_that_is_put_as_it_is_goes_on(address):
    settings = CameraConfig.model_validate(scene(address))
    with Running({"a": scene(address)}) as service:
        until(lambda: written(service, "a") > 5)
        assert service.control.put("a", settings) is False
        assert service.control.camera("a").stats.count.decoded > 5


def test_the_last_word_of_a_removed_camera_is_that_it_has_ended(address):
    with Running({"a": scene(address), "b": scene(address)}) as service, Hearing(address) as heard:
        control = service.control
        heard.until(lambda header: heard.frames("a") and heard.frames("b"))
        control.remove("b")
        assert [report.camera for report in control.cameras()] == ["a"]
        last = heard.until(
            lambda header: isinstance(header, EventHeader) and header.state == "ended"
        )
        assert (last.camera, last.event, last.message) == ("b", "state", "the camera was removed")
        assert last.decoded == last.seq + 1 + sum(last.dropped.values())
        assert last.seq == heard.frames("b")[-1].seq
        count = len(heard.said)
        heard.until(lambda header: len(heard.said) > count + 60)
        assert {header.camera for header in heard.said[count:]} == {"a"}
        for call in (
            lambda: control.camera("b"), lambda: control.remove("b"), lambda: control.pair("b"),
            lambda: control.steer("b", paused=True), lambda: control.wait_pair("b", 0, 1.0),
            lambda: service.stats("b"),
        ):  # fmt: skip
            with pytest.raises(UnknownCameraError, match=r"no camera is named 'b'; there are a"):
                call()


def test_what_is_under_way_is_written_before_a_camera_goes(tmp_path):
    class Slow(Brightening):
        def run(self, frames):
            time.sleep(0.05)
            return super().run(frames)

    clip = make_clip(tmp_path / "a.mp4", frames=60)
    camera = {
        "source": str(clip), "pace": False, "queue": 16, "outputs":
        [{"type": "record", "folder": str(tmp_path / "r")}],
    }  # fmt: skip
    with Running({"a": camera}, Slow()) as service:
        until(lambda: service.control.camera("a").queue >= 10)
        before = service.control.camera("a").stats.count.outlets["record"].written
        service.control.remove("a")
        (path,) = (tmp_path / "r").iterdir()
        assert len(read_all(path)[0]) >= before + 10
        assert not service.wait(0.1)  # without cameras it waits for others


def test_a_writer_that_hangs_does_not_hold_up_its_cameras_removal(address, caplog, monkeypatch):
    monkeypatch.setattr(fleet, "DRAIN_S", 0.3)
    stuck = threading.Event()
    with Running({"a": scene(address), "b": scene(address)}) as service:
        until(lambda: written(service, "a") > 3)
        desk = service._fleet.unit("b")._desks[0]
        desk._opened.writer.write = lambda frame: stuck.wait(100)
        until(lambda: service.control.camera("b").stats.count.outlets["publish"].waiting > 1)
        service.control.remove("b")
        assert not stuck.is_set()
        assert "a writer hangs" in caplog.text
        service.control.put("b", CameraConfig.model_validate(scene(address)))
        until(lambda: written(service, "b") > 3)
        stuck.set()
        until(lambda: not desk._thread.is_alive())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_camera_that_is_still_being_opened_when_all_stops_does_not_come_in(
    tmp_path, address, name, monkeypatch
):
    monkeypatch.setattr(fleet, "DRAIN_S", 0.3)
    opened, go_on, said = threading.Event(), threading.Event(), []

    def put():
        camera = scene(f"ipc://{tmp_path / 'other'}", rain="light")
        try:
            service.control.put(name, CameraConfig.model_validate(camera))
        except ConfigError as error:
            said.append(str(error))

    with Running({"a": scene(address)}) as service:
        until(lambda: written(service, "a") > 3)
        make = service._fleet._make

        def slowly(*asked):
            unit = make(*asked)
            opened.set()
            assert go_on.wait(60)
            return unit

        service._fleet._make = slowly
        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        assert opened.wait(LIMIT_S)
    go_on.set()
    thread.join(LIMIT_S)
    assert said == ["streamderain is stopping; cameras can't be changed any more"]
    assert service.cameras == ["a"]
    assert service.addresses == {}
    until(lambda: not any(t.name in ("publish b", "read b") for t in threading.enumerate()))


@pytest.mark.parametrize(
    ("name", "settings", "kind", "words"),
    [
        ("b b", {}, ConfigError, "a camera's id is"),
        ("b", {"codec": "jpeg"}, ConfigError, "share all its settings"),
        ("b", {"address": "taken"}, OutputError, "another publisher is there"),
        ("b", {"address": "other", "curve": {"secret_key": "/none"}}, InputError, "/none"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_and_leaves_nothing(
    tmp_path, address, name, settings, kind, words
):
    other = ZeroMqPublisher(PublisherSettings(f"ipc://{tmp_path / 'taken'}"))
    if "address" in settings:
        settings = {**settings, "address": f"ipc://{tmp_path / settings['address']}"}
    camera = scene(address)
    camera["outputs"] = [camera["outputs"][0] | settings]
    with other, Running({"a": scene(address)}) as service:
        before = {thread.name for thread in threading.enumerate()} | {"read a"}
        with pytest.raises(kind, match=words):
            service.control.put(name, CameraConfig.model_validate(camera))
        assert service.cameras == ["a"]
        assert list(service.control.config()["cameras"]) == ["a"]
        assert list(service.addresses) == [address]
        until(lambda: {thread.name for thread in threading.enumerate()} <= before)


def test_a_change_that_cannot_be_leaves_the_camera_as_it_is(tmp_path, address):
    with Running({"a": scene(address)}) as service:
        until(lambda: written(service, "a") > 5)
        wrong = scene(address, outputs=[{"type": "record", "folder": "/dev/null/records"}])
        with pytest.raises(OutputError, match="/dev/null"):
            service.control.put("a", CameraConfig.model_validate(wrong))
        assert service.control.camera("a").stats.count.decoded > 5
        # Here the old socket has to go first, and comes back.
        wrong = scene(address)
        wrong["outputs"][0]["curve"] = {"secret_key": "/none"}
        with pytest.raises(InputError, match="/none"):
            service.control.put("a", CameraConfig.model_validate(wrong))
        assert service.control.camera("a").state in ("connecting", "live")
        until(lambda: written(service, "a") > 5)
        assert service.control.config()["cameras"]["a"]["outputs"][0]["curve"] is None


def test_a_camera_alone_at_its_address_can_change_how_it_publishes(address):
    with Running({"a": scene(address)}) as service:
        until(lambda: written(service, "a") > 5)
        camera = scene(address)
        camera["outputs"][0]["pattern"] = "push"
        service.control.put("a", CameraConfig.model_validate(camera))
        with Subscriber(address, pattern="pull", timeout=LIMIT_S) as frames:
            assert next(iter(frames)).camera == "a"


def test_a_paused_camera_disconnects_and_goes_on_where_it_counted(address):
    with Running({"a": scene(address)}) as service, Subscriber(address) as frames:
        control = service.control
        until(lambda: written(service, "a") > 5)
        control.steer("a", paused=True)
        until(lambda: frames.cameras["a"].state == "paused")
        report = control.camera("a")
        assert (report.state, report.paused) == ("paused", True)
        until(lambda: not [t for t in threading.enumerate() if t.name == "read a"])
        decoded = control.camera("a").stats.count.decoded
        until(lambda: control.camera("a").fps == 0)
        assert control.camera("a").stats.count.decoded == decoded
        # A change keeps the pause.
        control.put("a", CameraConfig.model_validate(scene(address, resize="32x32")))
        assert control.camera("a").paused
        assert control.ready() is None
        control.steer("a", paused=False)
        until(lambda: control.camera("a").state == "live")
        until(lambda: frames.cameras["a"].state == "live")
        assert control.camera("a").stats.count.decoded > 0


def test_a_camera_is_derained_when_it_rains_or_always_or_never(address):
    cameras = {"a": scene(address, rain="dry", gate={})}
    with Running(cameras) as service:
        control = service.control
        until(lambda: control.camera("a").bypass == "dry")
        assert control.camera("a").raining is False
        control.steer("a", mode="on")
        until(lambda: control.camera("a").derained)
        assert (control.camera("a").mode, control.camera("a").raining) == ("on", False)
        control.steer("a", mode="off")
        until(lambda: control.camera("a").bypass == "off")
        assert control.camera("a").rain is not None
        # Nothing that a change of the camera would undo.
        control.put("a", CameraConfig.model_validate(scene(address, rain="light")))
        until(lambda: control.camera("a").bypass == "off")
        control.steer("a", mode="auto")
        until(lambda: control.camera("a").derained)
        with pytest.raises(UsageError, match="auto, on, off"):
            control.steer("a", mode="perhaps")


def test_a_viewer_sees_the_newest_frame_before_and_after(address):
    with Running({"a": scene(address)}) as service:
        control = service.control
        pair = control.wait_pair("a", 0, LIMIT_S)
        while not pair.frame.derained:
            pair = control.wait_pair("a", pair.version, LIMIT_S)
        assert np.array_equal(pair.before + np.uint8(1), pair.after)
        assert pair.after is pair.frame.pixels
        later = control.wait_pair("a", pair.version, LIMIT_S)
        assert later.version > pair.version
        assert control.pair("a").version >= later.version
        version = control.pair("a").version
        # A viewer stays through a change of its camera ...
        control.put("a", CameraConfig.model_validate(scene(address, resize="32x32")))
        newer = control.wait_pair("a", version, LIMIT_S)
        while newer.frame.size != (32, 32):
            newer = control.wait_pair("a", newer.version, LIMIT_S)
        # ... waits as long as it may ...
        control.steer("a", paused=True)
        until(lambda: not [t for t in threading.enumerate() if t.name == "read a"])
        until(lambda: control.camera("a").queue == 0)
        assert control.wait_pair("a", control.pair("a").version, 0.05) is None
        # ... and is let go when it is removed.
        got = []
        viewer = threading.Thread(
            target=lambda: got.append(control.wait_pair("a", 10**9, 30.0)), daemon=True
        )
        viewer.start()
        control.remove("a")
        viewer.join(5)
        assert got in ([None], [])  # it may not have begun to wait
        assert not viewer.is_alive()
