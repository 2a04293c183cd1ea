"""The pipes of the examples, with the real programs at both ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import read_all
from tests.real.servers import install

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GSTREAMER = (
    "gstreamer1.0-tools", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly",
)  # fmt: skip
SIZE, FRAMES = (90, 160), 15


def need(program, *debian):
    """Skip the test where a program can't be had."""
    if not shutil.which(program):
        install(*debian)
    if not shutil.which(program):
        pytest.skip(f"this test needs Debian's packages {' '.join(debian)}")


def scene(rain):
    return SceneReader(height=SIZE[0], width=SIZE[1], seconds=FRAMES / 25, rain=rain)


@pytest.fixture(scope="module")
def rainy(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "rainy.mp4"
    with scene("heavy") as reader:
        writer = VideoFileWriter(path, reader.format, source=None, crf=8, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    return path


def run(*command):
    """Run an example with this checkout's streamderain."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env={**os.environ, "PATH": path, "MODEL": "video-xs"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def error_of(path):
    """Return the mean squared error of a file's frames against the scene without rain."""
    frames, _ = read_all(path)
    assert abs(len(frames) - FRAMES) <= 1
    with scene(None) as reader:
        return np.mean(
            [
                np.square(frame.pixels.astype(float) - reader.clean_frame(at)).mean()
                for at, frame in enumerate(frames[:FRAMES])
            ]
        )


def test_the_pipe_of_ffmpeg_takes_the_rain_out(rainy, tmp_path):
    need("ffmpeg", "ffmpeg")
    target = tmp_path / "clean.mkv"
    run(EXAMPLES / "ffmpeg_pipe.sh", rainy, "-c:v", "libx264", "-crf", "8", target)
    assert len(read_all(target)[0]) == FRAMES
    assert error_of(target) < 0.5 * error_of(rainy)


def test_the_pipe_of_gstreamer_takes_the_rain_out(rainy, tmp_path):
    need("gst-launch-1.0", *GSTREAMER)
    # What decodes H.264 is in a package of its own; MJPEG is in one that is here already.
    source = tmp_path / "rainy.avi"
    with scene("heavy") as reader:
        import cv2

        writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"MJPG"), 25, SIZE[::-1])
        for frame in reader:
            writer.write(np.ascontiguousarray(frame.pixels[..., ::-1]))
        writer.release()
    target = tmp_path / "clean.mkv"
    run(
        EXAMPLES / "gstreamer_pipe.sh", f"{SIZE[1]}x{SIZE[0]}", "25",
        f"filesrc location={source} ! avidemux ! jpegdec",
        f"x264enc quantizer=8 pass=quant ! matroskamux ! filesink location={target}",
    )  # fmt: skip
    assert error_of(target) < 0.5 * error_of(source)


def test_the_pipes_are_shell_scripts_without_mistakes():
    need("shellcheck", "shellcheck")
    for path in sorted(EXAMPLES.glob("*.sh")):
        assert os.access(path, os.X_OK)
        done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
        assert not done.stdout, done.stdout
