"""The examples of subscribers, in their own languages, against a real publisher."""

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamderain.client import Subscriber
from streamderain.wire import frame_topic
from streamderain.writers.zeromq import CameraPublisher, PublisherSettings, ZeroMqPublisher
from tests.clips import picture
from tests.live_frames import live_frame
from tests.real.servers import install

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NODE_ZEROMQ = "zeromq@6.8.0"
CPP_PACKAGES = ["g++", "libzmq3-dev", "cppzmq-dev", "nlohmann-json3-dev"]


class Publishing:
    """A camera whose pictures differ from each other and can be known by their number."""

    def __init__(self, codec="raw"):
        self.socket = ZeroMqPublisher(PublisherSettings("tcp://127.0.0.1:0", high_water_mark=50))
        self.camera = CameraPublisher(self.socket, "gate", "run1", codec=codec)
        self.other = CameraPublisher(self.socket, "gate2", "run1", codec=codec)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        index = 0
        while not self.stop.wait(0.02):
            for camera in (self.camera, self.other):
                frame = live_frame(index, camera._camera)
                frame.pixels = picture(24, 32, index)
                frame.decoded, frame.derained = index + 1, index % 2 == 0
                frame.bypass = None if frame.derained else "overload"
                camera.write(frame)
            index += 1

    def __enter__(self):
        self.thread.start()
        return self.socket.address

    def __exit__(self, *reason):
        self.stop.set()
        self.thread.join()
        self.socket.close()


def first_lines(command, count, **settings):
    """Return the first lines that a program prints, and end it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **settings) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            lines = [process.stdout.readline().rstrip() for _ in range(count)]
        finally:
            watchdog.cancel()
            process.kill()
    assert all(lines), lines
    return lines


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
def test_the_one_for_python(codec):
    with Publishing(codec) as address:
        lines = first_lines([sys.executable, EXAMPLES / "subscriber.py", address, "gate"], 5)
    for line in lines:
        assert line.startswith("gate ")
        assert ": 32x24, " in line
        assert "derained" in line or "as it came (overload)" in line


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_the_plain_one_for_python(codec):
    with Publishing(codec) as address:
        lines = first_lines([sys.executable, EXAMPLES / "subscriber_plain.py", address, "gate"], 5)
    assert all(line.startswith("gate ") and "(24, 32, 3)" in line for line in lines)


@functools.cache
def node_modules():
    """Install ZeroMQ for Node.js, once; return the folder, or why that can't be."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    folder = ROOT / ".node"
    if not (folder / "node_modules" / "zeromq").exists():
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", str(folder), "--no-save", "--no-audit", NODE_ZEROMQ],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
    return folder / "node_modules"


@pytest.fixture
def node():
    modules = node_modules()
    if modules is None:
        pytest.skip(f"this test needs Node.js with npm, which can install {NODE_ZEROMQ}")
    return {**os.environ, "NODE_PATH": str(modules)}


def test_the_one_for_node(node):
    with Publishing() as address:
        lines = first_lines(["node", EXAMPLES / "subscriber.js", address, "gate"], 5, env=node)
    for line in lines:
        assert line.startswith("gate ")
        assert ": 32x24, " in line
        assert line.endswith("2304 bytes")


HASHES = """
const { createHash } = require("crypto");
const { frames } = require(process.argv[1]);
(async () => {
  for await (const { header, payload } of frames(process.argv[2], "gate"))
    console.log(JSON.stringify([header.seq, createHash("sha256").update(payload).digest("hex")]));
})();
"""


def test_node_gets_the_same_bytes_as_python(node):
    import hashlib

    seen = {}
    with Publishing() as address, Subscriber(address, cameras=["gate"]) as frames:
        taken = frames._take

        def take(header, payload):
            seen[header.seq] = hashlib.sha256(payload).hexdigest()
            taken(header, payload)

        frames._take = take
        script = str(EXAMPLES / "subscriber.js")
        lines = first_lines(["node", "-e", HASHES, script, address], 30, env=node)
        assert frames.next(5) is not None
    found = dict(json.loads(line) for line in lines)
    both = found.keys() & seen.keys()
    assert len(both) >= 25
    assert all(found[seq] == seen[seq] for seq in both)
    assert len(set(found.values())) > 10


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    target = tmp_path_factory.mktemp("cpp") / "subscriber"
    command = [
        "g++", "-std=c++17", "-O1", "-Wall", "-Wextra", str(EXAMPLES / "subscriber.cpp"),
        "-o", str(target), "-lzmq",
    ]  # fmt: skip

    def compile():
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = compile() if shutil.which("g++") else None
    if (done is None or done.returncode) and install(*CPP_PACKAGES):
        done = compile()
    if done is None or "No such file" in done.stderr:
        pytest.skip(f"this test needs Debian's packages {' '.join(CPP_PACKAGES)}")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return target


def test_the_one_for_cpp(compiled):
    with Publishing() as address:
        lines = first_lines([compiled, address, "gate"], 5)
    for line in lines:
        assert line.startswith("gate ")
        assert "32x24" in line
        assert line.endswith("2304 bytes")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("subscriber*")), ids=lambda path: path.name)
def test_they_are_short(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 26
    assert (
        frame_topic().decode() in path.read_text(encoding="utf-8") or path.name == "subscriber.py"
    )
