"""``streamderain run`` with its web service as a process of its own, and clients that are rude."""

import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx2
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.waiting import until

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Running:
    """A process that serves cameras, ended at the end.

    Args:
        folder: where it runs.
        cameras: as in the configuration.
        service: of the section, beside address and token.
        defaults: for all cameras, beside the output.
    """

    def __init__(self, folder, cameras, *, service=None, defaults=None, arguments=(), **settings):
        self.folder, self.log = folder, folder / "log.txt"
        self.frames = f"ipc://{folder / 'frames.ipc'}"
        output = {"type": "zeromq", "address": self.frames, "heartbeat": "200ms"}
        self.config = folder / "config.yaml"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "model": "null",
                    "service": {"address": "127.0.0.1:0", "token": TOKEN, **(service or {})},
                    "defaults": {"outputs": [output], "backoff": "200ms", **(defaults or {})},
                    "cameras": cameras,
                    **settings,
                }
            )
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamderain", "run", str(self.config), *arguments],
                stderr=log, stdout=log, cwd=folder,
            )  # fmt: skip
        self.port = int(until(self._address, timeout=60)[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx2.Client(base_url=self.url, headers=BEARER, timeout=30)

    def _address(self):
        assert self.process.poll() is None, self.said
        return re.search(r"web service at http://[^:]+:(\d+)/", self.said)

    @property
    def said(self):
        """What was logged so far."""
        return self.log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        if reason[0] is not None:
            print(self.said[-5000:])

    def interrupt(self):
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def camera(self, name):
        return self.client.get(f"/api/v1/cameras/{name}").json()

    def live(self, *names):
        """Wait until cameras are live and gave a frame."""
        for name in names:
            until(lambda name=name: self.camera(name).get("age_s") is not None, 30, 0.1)

    def samples(self):
        """Scrape the metrics, by Prometheus' own parser."""
        text = self.client.get("/metrics").raise_for_status().text
        return [s for family in text_string_to_metric_families(text) for s in family.samples]

    def sample(self, name, **labels):
        found = [s.value for s in self.samples() if s.name == name and s.labels == labels]
        return found[0] if found else None

    @property
    def memory(self):
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    @property
    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connect(self, buffer=None):
        """Return a plain socket to it."""
        plain = socket.socket()
        if buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.settimeout(15)
        plain.connect(("127.0.0.1", self.port))
        return plain

    def raw(self, request):
        """Send bytes as they are; return all that is answered until the connection ends."""
        with self.connect() as plain:
            plain.sendall(request)
            answer = b""
            while part := plain.recv(65536):
                answer += part
        return answer

    def ask(self, method, target, host=None, **headers):
        """Ask with a target that nobody tidies up; return status, and the rest as bytes."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        answer = self.raw("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        return int(answer.split(b" ", 2)[1]), answer


class RudeSocket:
    """A WebSocket that asks for pictures and never reads one.

    Args:
        running: the service.
        watch: what it asks for.
        buffer: bytes that its system takes for it.
    """

    def __init__(self, running, watch, buffer=4096):
        self.plain = running.connect(buffer)
        key = base64.b64encode(os.urandom(16)).decode()
        self.plain.sendall(
            (
                f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        assert self.plain.recv(12) == b"HTTP/1.1 101"
        self.say(watch=watch)

    def say(self, **message):
        data = json.dumps(message).encode()
        head = struct.pack("!BBH", 0x81, 0x80 | 126, len(data)) + bytes(4)
        self.plain.sendall(head + data)

    def close(self):
        self.plain.close()
