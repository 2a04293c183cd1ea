"""``streamderain run`` with its web service, as a process of its own, for the tests of the page."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import yaml

from tests.waiting import until

TOKEN = "a-token-of-the-tests"


def free_port():
    """Return a port that nobody listens at right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A running service.

    Args:
        folder: for its configuration and its sockets.
        cameras: by name, as in the configuration.
        model: the network.
        token: of the service, or None for reading alone.
    """

    def __init__(self, folder, cameras, model="null", token=TOKEN):
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self._token = token
        self._log = folder / "service.log"
        self._file = folder / "cameras.yaml"
        output = {"type": "zeromq", "address": f"ipc://{folder / 'frames.ipc'}"}
        self._file.write_text(
            yaml.safe_dump(
                {
                    "model": model,
                    "service": {"address": f"127.0.0.1:{self.port}", "token": token},
                    "defaults": {"backoff": "300ms", "backoff_most": "1s", "outputs": [output]},
                    "cameras": cameras,
                }
            )
        )
        self.start()

    def start(self):
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamderain", "run", str(self._file)],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._answers, timeout=60, step=0.1)

    def _answers(self):
        assert self.process.poll() is None, self._log.read_text()
        try:
            return self.ask("GET", "session") is not None
        except urllib.error.URLError:
            return False

    def ask(self, method, path, body=None):
        """Ask over REST, with the token; return what is answered."""
        request = urllib.request.Request(
            f"{self.address}api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def state(self, name):
        return self.ask("GET", f"cameras/{name}")["state"]

    def kill(self):
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.kill()
