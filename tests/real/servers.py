"""Real servers for the tests: GStreamer's RTSP server, installed where that may be."""

import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"
PACKAGES = [
    "gir1.2-gst-rtsp-server-1.0", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad", "gstreamer1.0-plugins-ugly", "python3-gi",
]  # fmt: skip
CHECK = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(n) for n in ("x264enc", "x265enc", "rtph264pay", "jpegenc"))
"""


def install(*packages):
    """Install Debian's packages where that is allowed; False where it isn't."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False, capture_output=True)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        env=environment, check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode == 0


def has_gstreamer():
    if not Path(PYTHON).exists():
        return False
    done = subprocess.run([PYTHON, "-c", CHECK], check=False, capture_output=True)
    return done.returncode == 0


@functools.cache
def gstreamer():
    """Have GStreamer's RTSP server installed, once; return why that can't be, or None."""
    if has_gstreamer() or (install(*PACKAGES) and has_gstreamer()):
        return None
    return f"these tests need Debian's packages {' '.join(PACKAGES)}"


def need_gstreamer():
    """Skip the test where the server can't be had."""
    if missing := gstreamer():
        pytest.skip(missing)


@functools.cache
def promtool():
    """Return the path of Prometheus' own checker, or None; Debian's package is only unpacked."""
    if found := shutil.which("promtool"):
        return found
    folder = Path(tempfile.gettempdir()) / f"promtool-{os.getuid()}"
    found = folder / "usr" / "bin" / "promtool"
    if not found.exists() and shutil.which("apt-get") and os.geteuid() == 0:
        folder.mkdir(exist_ok=True)
        run = functools.partial(subprocess.run, cwd=folder, check=False, capture_output=True)
        if run(["apt-get", "download", "prometheus"]).returncode:
            run(["apt-get", "update", "-qq"])
            run(["apt-get", "download", "prometheus"])
        for package in folder.glob("prometheus_*.deb"):
            run(["dpkg-deb", "--extract", package, folder])
    return str(found) if found.exists() else None


class RtspCameras:
    """Cameras that can be looked at over RTSP, each a server of its own.

    Args:
        cameras: by name, what ``rtsp_server.py`` takes; size and rate have defaults.
    """

    def __init__(self, **cameras) -> None:
        plain = {"codec": "h264", "width": 320, "height": 240, "fps": 25}
        self._setup = {name: {**plain, **camera} for name, camera in cameras.items()}
        self.ports = {}
        self._process = None
        self.start()

    def start(self):
        """Start the servers; at the ports they had before, if they ran before."""
        setup = {
            name: {**camera, "port": self.ports.get(name, 0)}
            for name, camera in self._setup.items()
        }
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [PYTHON, str(script), json.dumps(setup)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.ports = json.loads(self._process.stdout.readline())

    def kill(self):
        """End them as a power cut does."""
        self._process.kill()
        self._process.communicate()

    def freeze(self):
        """Let them fall silent, as an unplugged cable does: connected, but nothing comes."""
        self._process.send_signal(signal.SIGSTOP)

    def resize(self, name, width, height):
        """Let a camera go on in another size."""
        self._process.stdin.write(json.dumps({"camera": name, "size": [width, height]}) + "\n")
        self._process.stdin.flush()

    def url(self, name, port=None):
        return f"rtsp://127.0.0.1:{port or self.ports[name]}/{name}"

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.kill()


class RtspRecorder:
    """A server that takes streams at ``rtsp://127.0.0.1:PORT/CAMERA`` and shows each at ``/view``.

    Args:
        cameras: their names.
        access: user, password and method, as ``rtsp_record.py`` takes them.
    """

    def __init__(self, *cameras, **access) -> None:
        self._setup = {"cameras": cameras, **access}
        self.port = 0
        self._process = None
        self.start()

    def start(self):
        """Start the server; at the port it had before, if it ran before."""
        script = Path(__file__).with_name("rtsp_record.py")
        self._process = subprocess.Popen(
            [PYTHON, str(script), json.dumps({**self._setup, "port": self.port})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.port = json.loads(self._process.stdout.readline())["port"]

    def kill(self):
        """End it as a power cut does."""
        self._process.kill()
        self._process.communicate()

    def url(self, name, port=None):
        return f"rtsp://127.0.0.1:{port or self.port}/{name}"

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.kill()
