"""The whole of ``run``: recordings and the test scene as cameras, over real sockets."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from streamderain.cli import main
from streamderain.client import Subscriber
from streamderain.config import RunConfig
from streamderain.errors import ModelError
from streamderain.inference.backend import VIDEO, NullBackend
from streamderain.inference.cost import LEFT_OUT
from streamderain.live.service import LiveService
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher
from tests.clips import make_clip, read_all
from tests.waiting import until


def config(cameras, **settings):
    return RunConfig.model_validate(
        {
            "model": "null",
            "stats": 0.2,
            "defaults": {"gate": {"always": True}},
            **settings,
            "cameras": cameras,
        }
    )


def zeromq(address, **settings):
    return {"type": "zeromq", "address": address, "codec": "raw", **settings}


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path / 'frames.ipc'}"


class Brightening(NullBackend):
    """A network whose work can be seen: adds 1 to every value."""

    name = "brightening"

    def run(self, frames):
        return frames + 1


class Running:
    """A service, stopped at the end, whose frames are all accounted for at every moment."""

    def __init__(self, config, backend=None):
        self.service = LiveService(config, backend or NullBackend())

    def __enter__(self):
        self.service.start()
        return self.service

    def __exit__(self, *reason):
        self.service.stop()
        for name in self.service.cameras:
            count = self.service.stats(name).count
            assert not any(count.missing().values())
            assert count.waiting == 0
            assert all(outlet.waiting == 0 for outlet in count.outlets.values())


def test_every_frame_of_a_recording_reaches_a_worker_in_order(tmp_path, address):
    clip = make_clip(tmp_path / "a.mp4", frames=60)
    expected = [frame.pixels + 1 for frame in read_all(clip)[0]]
    camera = {
        "source": str(clip), "loop": False, "pace": False,
        "outputs": [zeromq(address, pattern="push", high_water_mark=1000)],
    }  # fmt: skip
    got = []
    service = LiveService(config({"clip": camera}), Brightening())
    with Subscriber(address, pattern="pull", timeout=3) as frames:
        real = frames._take
        frames._take = lambda header, payload: (
            got.append((header, np.frombuffer(payload, np.uint8).copy())), real(header, payload)
        )  # fmt: skip
        with frames:
            service.start()
            assert service.wait(20)
            until(lambda: len(got) == 60 or service.stats("clip").unsent)
            service.stop()
    assert service.stats("clip").unsent == 0
    assert [header.src_index for header, _ in got] == list(range(60))
    assert all(header.derained and header.model == "brightening" for header, _ in got)
    for (_, pixels), picture in zip(got, expected, strict=True):
        assert np.array_equal(pixels, picture.reshape(-1))


def test_cameras_are_published_side_by_side_and_recorded(tmp_path, address):
    clip = make_clip(tmp_path / "a.mp4", frames=30)
    cameras = {
        "clip": {
            "source": str(clip),
            "outputs": [zeromq(address), {"type": "record", "folder": str(tmp_path / "{camera}")}],
        },
        "scene": {"source": "scene:light?size=96x64", "outputs": [zeromq(address)]},
    }
    with Running(config(cameras)) as service, Subscriber(address) as frames:
        until(lambda: len(frames.cameras) == 2)
        until(lambda: (view := frames.cameras["clip"]).last and view.last.session >= 1)  # it loops
        assert service.stats("clip").connects == 1
        states = until(lambda: all(view.state == "live" for view in frames.cameras.values()))
        assert states
    recorded = list((tmp_path / "clip").iterdir())
    assert len(recorded) >= 2  # a segment for each session
    assert all(read_all(path)[0] for path in recorded)


def test_frames_without_rain_pass_as_they_came_with_their_score(address):
    cameras = {
        rain: {
            "source": f"scene:{rain}?size=192x108&fps=25", "outputs": [zeromq(address)],
            "gate": {}, "policy": "drop-oldest", "staleness": 2.0,
        }
        for rain in ("dry", "heavy")
    }  # fmt: skip
    last = {}
    with Running(config(cameras), Brightening()), Subscriber(address) as frames:
        while not all(name in last and last[name].seq > 12 for name in cameras):
            received = frames.next(1.0)
            if received is not None:
                last[received.camera] = received.header
    assert (last["dry"].derained, last["dry"].bypass) == (False, "dry")
    assert last["dry"].rain < 0.4
    assert last["heavy"].derained
    assert last["heavy"].rain > 0.8


class Remembering(Brightening):
    """A video network that shows the prior, brightened where it is trusted."""

    inputs = VIDEO

    def run(self, frames):
        self.trust = frames[..., 6].mean()
        return np.ascontiguousarray(frames[..., 3:6])


def test_a_video_network_is_given_each_cameras_past(address):
    cameras = {
        name: {"source": f"scene:{rain}?size=192x108&fps=25", "outputs": [zeromq(address)]}
        for name, rain in (("a", "heavy"), ("b", "dry"))
    }
    backend = Remembering()
    with Running(config(cameras, batch=2), backend) as service:
        until(lambda: all(service.stats(name).count.derained > 14 for name in cameras))
    assert backend.trust > 60


def test_a_slow_network_lets_frames_pass_instead_of_dropping_them(address):
    class Slow(Brightening):
        def run(self, frames):
            time.sleep(0.3 * len(frames))
            return frames + 1

    # What waited behind a frame in the network leaves with it, all at once.
    camera = {"source": "scene:dry?size=64x48&fps=50",
              "outputs": [zeromq(address, high_water_mark=64)], "staleness": 1.0}  # fmt: skip
    with Running(config({"c": camera}), Slow()) as service, Subscriber(address) as frames:
        until(lambda: service.stats("c").count.bypassed.get("overload", 0) > 20)
        until(lambda: service.stats("c").count.derained >= 2)
        view = until(lambda: frames.cameras.get("c"))
        assert view.lost == 0
        count = service.stats("c").count
        assert count.dropped == {}
        header = view.last
        assert header.decoded == header.seq + 1 + sum(header.dropped.values())


def test_a_network_that_cannot_keep_up_at_all_is_tried_now_and_then(address):
    class Hopeless(Brightening):
        runs = 0

        def run(self, frames):
            Hopeless.runs += 1
            time.sleep(0.5)
            return frames + 1

    camera = {"source": "scene:dry?size=64x48&fps=25", "outputs": [zeromq(address)],
              "staleness": 0.2}  # fmt: skip
    with Running(config({"c": camera}), Hopeless()) as service:
        until(lambda: service.stats("c").count.bypassed.get("overload", 0) > 40)
        assert service.stats("c").count.derained == 0
    assert Hopeless.runs <= LEFT_OUT + 1


def test_a_network_that_fails_lets_frames_pass_and_says_so(address, caplog):
    class Broken(Brightening):
        def run(self, frames):
            raise ModelError("out of memory")

    camera = {"source": "scene:dry?size=64x48", "outputs": [zeromq(address)]}
    with Running(config({"c": camera}), Broken()) as service:
        until(lambda: service.stats("c").count.bypassed.get("failed", 0) > 5)
    assert "out of memory; the frames pass as they came" in caplog.text


def test_a_recording_that_fails_does_not_touch_the_publishing(tmp_path, address, caplog):
    folder = tmp_path / "records"
    cameras = {
        "c": {"source": "scene:dry?size=64x48",
              "outputs": [zeromq(address), {"type": "record", "folder": str(folder)}]},
    }  # fmt: skip
    with Running(config(cameras)) as service:
        folder.rmdir()
        count = until(lambda: (c := service.stats("c").count).outlets["record"].dropped and c)
        assert set(count.outlets["record"].dropped) == {"writer-error"}
        assert count.outlets["publish"].dropped == {}
        until(lambda: "records" in caplog.text)


def test_one_camera_that_is_missing_is_not_the_others_fault(tmp_path, address):
    cameras = {
        "gone": {"source": str(tmp_path / "none.mp4"), "outputs": [zeromq(address)]},
        "here": {"source": "scene:dry?size=64x48", "outputs": [zeromq(address)]},
    }
    with Running(config(cameras)) as service, Subscriber(address) as frames:
        until(lambda: service.stats("here").count.outlets["publish"].written > 10)
        assert service.stats("gone").state == "failed"
        assert "does not exist" in service.stats("gone").message
        until(lambda: "gone" in frames.cameras)
        assert frames.cameras["gone"].state == "failed"


def started(tmp_path, text, *more):
    path = tmp_path / "cameras.yaml"
    path.write_text(text)
    return subprocess.Popen(
        [sys.executable, "-m", "streamderain", "run", str(path), *more],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, "PW": "p@ss/w"},
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_closes_files_tells_the_totals_and_ends_with_0(tmp_path, number):
    text = """
model: "null"
stats: 200ms
cameras:
  c:
    source: scene:dry?size=96x64
    outputs: [{type: zeromq, address: 'ipc://frames.ipc'}, {type: record, folder: rec}]
"""
    with started(tmp_path, text) as process:
        next(line for line in process.stderr if re.search(r" [1-9]\d* publish", line))
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 0
    last = [line for line in rest.splitlines() if "decoded" in line][-1]
    assert "on their way" not in last
    decoded = int(last.split(" decoded")[0].rsplit(" ", 1)[1])
    (path,) = (tmp_path / "rec").iterdir()
    assert len(read_all(path)[0]) == decoded > 0


def test_a_second_signal_leaves_at_once(tmp_path):
    text = """
model: "null"
cameras:
  c:
    source: scene:dry?size=96x64
    outputs: [{type: record, folder: rec}]
"""
    with started(tmp_path, text) as process:
        next(line for line in process.stderr if "c: live" in line)
        process.send_signal(signal.SIGSTOP)  # both signals come before it can act on the first
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        process.stderr.read()
    assert process.returncode == 130


def test_files_that_end_end_the_run(tmp_path):
    clip = make_clip(tmp_path / "a.mp4")
    text = (
        f"cameras: {{c: {{source: {clip}, loop: false, outputs: [{{type: record, folder: r}}]}}}}"
    )
    with started(tmp_path, text, "--model", "null") as process:
        said = process.stderr.read()
    assert process.returncode == 0
    assert "all cameras have ended" in said
    (path,) = (tmp_path / "r").iterdir()
    assert len(read_all(path)[0]) == 12


def test_no_password_is_in_anything_that_is_said(tmp_path):
    text = """
cameras:
  a: {source: 'rtsp://admin:${PW}@127.0.0.1:1/live', backoff: 100ms, backoff_most: 100ms}
  b: {source: 'rtsp://127.0.0.1:1/live', user: admin, password: '${PW}'}
""".replace("cameras:", "stats: 100ms\ncameras:")
    lines = []
    with started(tmp_path, text, "--model", "null") as process:
        for line in process.stderr:
            lines.append(line)
            if sum("b: backoff," in line for line in lines) == 3:
                break
        process.send_signal(signal.SIGTERM)
        lines += process.stderr.readlines()
    assert process.returncode == 0
    said = "".join(lines)
    assert "127.0.0.1:1/live can't be reached: Connection refused" in said
    for secret in ("p@ss", "ss/w", "p%40ss", "%2Fw", "admin"):
        assert secret not in said


def test_check_says_what_is_wrong_or_what_will_be_done(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("cameras: {gate: {source: 'rtsp://u:hunter2@h/x', fps: 3}}")
    assert main(["check", str(path)]) == 2
    assert f"{path}:1: cameras.gate.fps: unknown key; did you mean max_fps?" in (
        capsys.readouterr().err
    )
    path.write_text("cameras: {gate: {source: 'rtsp://u:hunter2@h/x'}}")
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "rtsp://h/x" in said
    assert "hunter2" not in said
    assert main(["check", "--schema"]) == 0
    assert "cameras" in json.loads(capsys.readouterr().out)["properties"]
    assert main(["check"]) == 2


def test_check_finds_what_is_missing_on_this_machine(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("""
model: attention-xxl
cameras:
  a:
    source: none.mp4
    outputs: [{type: zeromq, curve: {secret_key: k/server.key_secret, clients: k/clients}}]
""")
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    for words in (
        "model: ", "attention-xxl", "cameras.a.source: ", "none.mp4 does not exist",
        "curve.secret_key: ", "curve.clients: ",
    ):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(
    ("address", "warned"),
    [("tcp://0.0.0.0:5555", True), ("tcp://*:5555", True), ("tcp://127.0.0.1:5555", False),
     ("tcp://[::1]:5555", False), ("ipc:///tmp/x", False)],
)  # fmt: skip
def test_check_warns_of_an_address_that_is_open_to_all(tmp_path, capsys, address, warned):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"cameras: {{a: {{source: scene, outputs: [{{type: zeromq, address: '{address}'}}]}}}}"
    )
    assert main(["check", str(path)]) == 0
    assert ("anyone who reaches" in capsys.readouterr().err) == warned


def test_an_address_in_use_is_told_before_anything_starts(tmp_path, address, capsys):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"cameras: {{c: {{source: scene, outputs: [{{type: zeromq, address: '{address}'}}]}}}}"
    )
    with ZeroMqPublisher(PublisherSettings(address)):
        assert main(["run", str(path), "--model", "null"]) == 1
    assert "another publisher is there" in capsys.readouterr().err
