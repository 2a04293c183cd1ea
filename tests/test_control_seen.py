"""What is said of cameras and the network while they run, and another network taking over."""

import json
import logging
import threading
import time

import numpy as np
import pytest
import yaml

from streamderain.config import CameraConfig
from streamderain.errors import (
    ModelError,
)
from streamderain.live import control as control_module
from streamderain.live.control import STAGES
from tests.controlled import LIMIT_S, Brightening, Running, scene, until, zeromq


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path / 'frames.ipc'}"


def test_a_report_says_all_that_there_is_to_say(address):
    with Running({"a": scene(address, gate={})}) as service:
        control = service.control
        began = time.time()
        until(lambda: control.camera("a").history)
        report = until(lambda: (r := control.camera("a")).latency["total"].frames > 2 and r)
        assert (report.camera, report.state, report.mode) == ("a", "live", "auto")
        assert report.source == "scene:heavy?size=64x48&fps=20"
        assert report.size == (64, 48)
        assert began - 5 < report.since <= time.time()
        assert report.since == control.camera("a").since
        assert 0 <= report.age_s < LIMIT_S
        assert tuple(report.latency) == STAGES
        derained = report.stats.count.derained
        # One that left the network may still wait behind another, or have left without it.
        assert abs(report.latency["network"].frames - derained) <= 5
        assert report.latency["total"].quantile(0.5) <= 5
        until(lambda: control.camera("a").fps > 8)
        moment = until(lambda: (h := control.camera("a").history)[-1].derained and h[-1])
        assert moment.rain > 0.5
        assert moment.latency_ms > 0
        assert began - 5 < moment.t <= time.time()


def test_whoever_shows_the_cameras_is_told_of_every_change(address):
    with Running({"a": scene(address)}) as service:
        control = service.control
        seen = until(control.changes)  # it became live
        assert control.wait_change(seen, 0.05) == seen
        for change in (
            lambda: control.steer("a", mode="on"),
            lambda: control.put("b", CameraConfig.model_validate(scene(address))),
            lambda: control.remove("b"),
        ):
            threading.Timer(0.05, change).start()
            newer = control.wait_change(seen, LIMIT_S)
            assert newer > seen
            seen = control.changes()


def test_it_is_ready_when_every_camera_came_and_alive_while_its_threads_are(
    tmp_path, address, monkeypatch
):
    monkeypatch.setattr(control_module, "READY_S", 1e6)
    cameras = {
        "a": scene(address),
        "gone": {"source": str(tmp_path / "none.mp4"), "outputs": [zeromq(address)]},
    }
    running = Running(cameras)
    control = running.service.control
    assert control.ready() == "it has not been started"
    assert not control.alive()
    with running:
        until(lambda: control.ready() == "no picture yet of gone")
        assert control.alive()
        control.steer("gone", paused=True)
        until(lambda: control.ready() is None)
        control.steer("gone", paused=False)
        until(lambda: control.ready() == "no picture yet of gone")
        monkeypatch.setattr(control_module, "READY_S", 0.0)
        assert control.ready() is None
    assert not control.alive()


def test_another_model_takes_over_while_cameras_run(address):
    class Doubling(Brightening):
        name = "doubling"

        def run(self, frames):
            return frames * np.uint8(2)

    def open_model(name):
        if name != "doubling":
            raise ModelError(f"no model is named {name!r}")
        return Doubling()

    with Running({"a": scene(address)}, open_model=open_model) as service:
        control = service.control
        until(lambda: control.camera("a").derained)
        assert control.model().name == "brightening"
        with pytest.raises(ModelError, match="no model is named 'other'"):
            control.reload_model("other")
        assert control.model().name == "brightening"
        seen = control.changes()
        report = control.reload_model("doubling")
        assert (report.name, report.reloads, report.sha256) == ("doubling", 1, None)
        assert control.changes() > seen
        assert control.config()["model"] == "doubling"
        pair = until(lambda: (p := control.pair("a")).frame.model == "doubling" and p)
        assert np.array_equal(pair.before * np.uint8(2), pair.after)
        control.reload_model()
        until(lambda: control.model().runs > 3)
        assert control.model().reloads == 2
        count = control.camera("a").stats.count
        assert count.bypassed.get("failed", 0) == 0


def test_the_shown_configuration_holds_every_key_and_no_secret(tmp_path, caplog):
    cameras = {
        "a": {"source": "rtsp://admin:hunter2@127.0.0.1:1/live"},
        "b": {"source": "rtsp://127.0.0.1:1/live", "user": "keeper", "password": "s3cret/x"},
        "c": {"source": "http://127.0.0.1:1/video?user=admin&pwd=tops%20ecret&size=1"},
    }
    for camera in cameras.values():
        camera["outputs"] = [zeromq(f"ipc://{tmp_path / 'f'}")]
    caplog.set_level(logging.DEBUG)
    with Running(cameras) as service:
        control = service.control
        control.put(
            "d",
            CameraConfig.model_validate(
                {
                    "source": "rtsp://viewer:passw0rd@127.0.0.1:1/",
                    "outputs": cameras["a"]["outputs"],
                }
            ),
        )
        until(lambda: all(report.message for report in control.cameras()))
        shown = json.dumps(control.config()) + repr(control.cameras()) + caplog.text
        for secret in ("hunter2", "s3cret", "tops", "passw0rd", "viewer", "keeper", "admin"):
            assert secret not in shown, secret
        config = control.config()
        assert yaml.safe_load(yaml.safe_dump(config)) == config
        assert config["cameras"]["b"]["password"] == "***"
        assert config["cameras"]["a"]["source"] == "rtsp://***@127.0.0.1:1/live"
        assert config["cameras"]["c"]["source"].endswith("?user=***&pwd=***&size=1")
        assert config["cameras"]["a"]["stall"] == 5.0
        assert control.hide("it said hunter2 and passw0rd") == "it said *** and ***"
