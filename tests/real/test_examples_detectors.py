"""The examples for detectors, each run: those that subscribe, and those that read a source."""

import functools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import read_all
from tests.live_frames import live_frame
from tests.real.servers import install
from tests.real.test_examples import Publishing, first_lines
from tests.waiting import until
from tests.yolo_graph import yolo

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCREEN = (480, 640)


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_they_have_less_than_sixty_lines(path):
    assert path.read_text(encoding="utf-8").count("\n") < 60


class Showing(Publishing):
    """A camera that shows one picture all the time."""

    def __init__(self, pixels):
        super().__init__()
        self.pixels = pixels

    def run(self):
        index = 0
        while not self.stop.wait(0.02):
            frame = live_frame(index, "gate")
            frame.pixels, frame.decoded = self.pixels.copy(), index + 1
            self.camera.write(frame)
            index += 1


@pytest.mark.parametrize("ending", ["anchors", "boxes"])
def test_the_one_for_onnx_runtime_finds_things_where_they_are(tmp_path, ending):
    pytest.importorskip("onnxruntime", reason="this test needs: pip install onnxruntime")
    # 96×48 goes into 64×64 at two thirds: cells of 8 pixels are 12 here.
    pixels = np.full((48, 96, 3), 90, np.uint8)
    pixels[12:24, 24:36] = 230, 20, 20
    pixels[24:36, 60:72] = 20, 20, 230
    model = yolo(tmp_path / "yolo.onnx", ending)
    with Showing(pixels) as address:
        command = [sys.executable, EXAMPLES / "yolo_onnx.py", model, address, "gate"]
        lines = first_lines(command, 20)
    found = {}
    for line in lines[:-2]:
        number, what = re.fullmatch(r"gate (\d+) (class .*)", line).groups()
        found.setdefault(number, []).append(re.sub(r"0\.\d\d", "s", what))
    # Each frame has two things, each once, and the first and the last of them may be cut off.
    for things in list(found.values())[1:-1]:
        assert sorted(things) == ["class 0, s, 12x12 at 24,12", "class 1, s, 12x12 at 60,24"]
    assert len(found) > 5


def test_the_one_for_ultralytics_runs():
    pytest.importorskip("ultralytics", reason="this test needs: pip install ultralytics")
    # A network of that shape without training: nothing is loaded from anywhere.
    environment = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    with Showing(np.full((48, 96, 3), 90, np.uint8)) as address:
        command = [sys.executable, EXAMPLES / "yolo_ultralytics.py", "yolo11n.yaml", address]
        lines = first_lines(command, 3, env=environment)
    assert all(re.search(r"gate \d+ .*", line) for line in lines)


@pytest.fixture(scope="module")
def rainy(tmp_path_factory):
    return heavy_rain(tmp_path_factory.mktemp("clips") / "rainy.mp4", 2)


def heavy_rain(path, seconds):
    with SceneReader(height=180, width=320, seconds=seconds, rain="heavy") as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    return path


def output_of(*command, **settings):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, **settings
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A street on which nothing moves but the rain."""
    path = tmp_path_factory.mktemp("clips") / "still.mp4"
    with SceneReader(height=180, width=320, seconds=3.2, rain=None) as reader:
        street = reader.clean_frame(0)
        weather = RainSimulator(180, 320, PRESETS["moderate"], fps=25, seed=3)
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            frame.pixels = weather.rain_on(street)
            writer.write(frame)
        writer.finish()
    return path


def test_the_motion_detector_stays_quiet_in_rain(still):
    moving, boxes = [], []
    for arguments in ((), ("--rainy",)):
        printed = output_of(sys.executable, EXAMPLES / "motion.py", still, *arguments)
        rows = [
            re.fullmatch(r"(\d+) ([\d.]+) % (\d+) boxes derained", line)
            for line in printed.splitlines()
        ]
        assert [int(row[1]) for row in rows] == list(range(50, 80))
        moving.append(sum(float(row[2]) for row in rows))
        boxes.append(sum(int(row[3]) for row in rows))
    assert moving[0] < 0.2 * moving[1]
    assert boxes[0] < 0.2 * boxes[1]


def packages(*names):
    """Install packages beside the others, once; return their folder, or None."""
    folder = Path(tempfile.gettempdir()) / f"examples-{os.getuid()}" / "-".join(names)
    if not (folder / "complete").exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
             "--disable-pip-version-check", "--target", str(folder), *names],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
        (folder / "complete").touch()
    return folder


def test_the_supervision_pipeline_follows_what_moves(rainy, tmp_path):
    wanted = "supervision", "trackers", "scipy", "defusedxml", "pydeprecate", "tqdm"
    folder = packages(*wanted)
    if folder is None:
        pytest.skip(f"this test needs packages that pip can install: {', '.join(wanted)}")
    pytest.importorskip("matplotlib", reason="this test needs: pip install matplotlib")
    target = tmp_path / "out.mp4"
    printed = output_of(
        sys.executable, EXAMPLES / "supervision_pipeline.py", rainy, target,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert re.search(r"^\d+ in, \d+ out$", printed, re.M)
    frames, _ = read_all(target)
    assert len(frames) == 50
    with SceneReader(height=180, width=320, seconds=2, rain=None) as scene:
        truth = scene.clean_frame(45)
    drawn = np.abs(frames[45].pixels.astype(int) - truth).max(axis=2) > 100
    assert drawn.mean() > 0.001  # boxes were drawn


class Display:
    """A screen in memory, which can be looked at.

    Args:
        folder: for its picture.
    """

    def __init__(self, folder):
        self._file = folder / "Xvfb_screen0"
        read, write = os.pipe()
        height, width = SCREEN
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24",
             "-fbdir", str(folder), "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write)
        with os.fdopen(read) as told:
            self.name = f":{told.readline().strip()}"

    def picture(self):
        """Return what is to be seen, uint8 H×W×3 RGB, out of an X window dump."""
        data = self._file.read_bytes()
        fields = struct.unpack(">25I", data[:100])
        header, line, colours = fields[0], fields[12], fields[19]
        begin = header + 12 * colours
        rows = np.frombuffer(data, np.uint8, SCREEN[0] * line, begin).reshape(SCREEN[0], line)
        return rows.reshape(SCREEN[0], -1, 4)[:, : SCREEN[1], 2::-1]

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self._process.terminate()
        self._process.wait(10)


@functools.cache
def windows():
    """Return what the viewer needs of an environment, or why it can't be had."""
    if not shutil.which("Xvfb"):
        install("xvfb")
    if not shutil.which("Xvfb"):
        return "this test needs Debian's package xvfb"
    folder = packages(f"opencv-python=={version('opencv-python-headless')}")
    return folder or "this test needs opencv-python, which pip can't install"


def test_the_viewer_shows_both_halves_and_ends_with_its_source(tmp_path):
    found = windows()
    if isinstance(found, str):
        pytest.skip(found)
    rainy = heavy_rain(tmp_path / "rainy.mp4", 8)  # long enough to be looked at before it ends
    with Display(tmp_path) as display:
        environment = {
            **os.environ, "PYTHONPATH": str(found), "DISPLAY": display.name,
            "QT_QPA_PLATFORM": "xcb",
        }  # fmt: skip
        environment.pop("WAYLAND_DISPLAY", None)
        with subprocess.Popen(
            [sys.executable, EXAMPLES / "viewer.py", rainy],
            env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        ) as process:  # fmt: skip
            try:
                with SceneReader(height=180, width=320, seconds=2, rain=None) as scene:
                    truth = scene.clean_frame(0)

                def is_seen():
                    if process.poll() is not None:
                        return True
                    return len(np.unique(display.picture().reshape(-1, 3), axis=0)) > 2000

                until(is_seen, timeout=120, step=0.1)
                assert process.poll() is None, process.stderr.read()
                seen = display.picture()
                # Somewhere on the screen, in some size, is the street.
                mean = seen[seen.max(axis=2) > 0].mean(axis=0)
                assert np.abs(mean - truth.mean(axis=(0, 1))).max() < 60
                assert process.wait(240) == 0, process.stderr.read()
            finally:
                process.kill()
