"""An RTSP server in the test's own process, which takes one stream after another and keeps it all.

It is there for what a real one won't do on request: answer with any status, ask for a password in
any way, or fall silent. What it takes is looked at packet by packet.
"""

import base64
import hashlib
import re
import socket
import struct
import threading


class FakeServer:
    """Listens on a port of its own.

    Args:
        answers: status by method instead of 200.
        user, password, method: asks for them, by ``basic``, ``digest``, ``sha256`` or ``qop``.
        silent_after: method after which it says and takes nothing any more.
        options: how many of these questions it answers; None for all.

    Attributes:
        requests: all, ``(method, headers, body)``.
        handled: how many of them were answered, or left without an answer.
        packets: of the last announcement, ``(channel, bytes)``.
    """

    def __init__(self, *, answers=None, user=None, password=None, method="digest",
                 silent_after=None, options=None, wrap=None) -> None:  # fmt: skip
        self.answers, self.silent_after, self.options = answers or {}, silent_after, options
        self._user, self._password, self._method = user, password, method
        self._wrap = wrap
        self.requests, self.packets = [], []
        self.connections = self.handled = 0
        self._open = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.datagrams = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="gate"):
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    @property
    def methods(self):
        return [method for method, _, _ in self.requests]

    def rtp(self):
        return [packet for channel, packet in self.packets if channel == 0]

    def reports(self):
        """The sender reports: wall clock in seconds since 1970, and the RTP time it stands for."""
        found = []
        for channel, packet in list(self.packets):
            if channel == 1 and packet[1] == 200:
                seconds, fraction, ticks = struct.unpack(">III", packet[8:20])
                found.append((seconds - 2208988800 + fraction / 2**32, ticks))
        return found

    def cut(self):
        for each in self._open:
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self._listening.close()
        for each in [*self._open, *self.datagrams]:
            each.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._wrap:
                connection = self._wrap(connection)
            self._open.append(connection)
            stream = connection.makefile("rb")
            while True:
                first = stream.read(1)
                if not first:
                    return
                if first == b"$":
                    channel, length = struct.unpack(">BH", stream.read(3))
                    self.packets.append((channel, stream.read(length)))
                    continue
                head = first
                while not head.endswith(b"\r\n\r\n"):
                    byte = stream.read(1)
                    if not byte:
                        return
                    head += byte
                lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = stream.read(int(headers.get("Content-Length", 0)))
                method, address, _ = lines[0].split(" ")
                self.requests.append((method, headers, body))
                if method == "OPTIONS" and self.options is not None:
                    self.options -= 1
                    if self.options < 0:
                        self.handled += 1
                        continue
                connection.sendall(self._answer(method, address, headers).encode())
                self.handled += 1
                if method == "ANNOUNCE":
                    self.packets.clear()
                if method == self.silent_after:
                    threading.Event().wait()
        except (OSError, ValueError):
            return
        finally:
            connection.close()

    def _answer(self, method, address, headers):
        lines = [f"CSeq: {headers['CSeq']}"]
        status = self.answers.get(method, 200)
        if self._user and method != "OPTIONS" and not self._admits(method, headers):
            status = 401
            lines.append(f"WWW-Authenticate: {self._challenge()}")
        if method == "SETUP" and status == 200:
            transport = headers["Transport"]
            if "client_port" in transport:
                transport += f";server_port={self._udp()}"
            lines += [f"Transport: {transport}", "Session: 4711;timeout=4"]
        return "\r\n".join([f"RTSP/1.0 {status} Said", *lines]) + "\r\n\r\n"

    def _udp(self):
        while True:
            pair = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
            try:
                pair[0].bind(("127.0.0.1", 0))
                port = pair[0].getsockname()[1]
                pair[1].bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            self.datagrams += pair
            for channel, each in enumerate(pair):
                threading.Thread(target=self._take, args=(channel, each), daemon=True).start()
            return f"{port}-{port + 1}"

    def _take(self, channel, datagrams):
        try:
            while True:
                self.packets.append((channel, datagrams.recv(65536)))
        except OSError:
            return

    def _challenge(self):
        return {
            "basic": 'Basic realm="cameras"',
            "digest": 'Digest realm="cameras", nonce="n0nce"',
            "sha256": 'Digest realm="cameras", nonce="n0nce", algorithm=SHA-256',
            "qop": 'Digest realm="cameras", nonce="n0nce", qop="auth,auth-int", opaque="op"',
        }[self._method]

    def _admits(self, method, headers):
        given = headers.get("Authorization", "")
        if self._method == "basic":
            pair = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            return given == f"Basic {pair}"
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        hashed = hashlib.sha256 if self._method == "sha256" else hashlib.md5

        def digest(*parts):
            return hashed(":".join(parts).encode()).hexdigest()

        parts = [digest(self._user, "cameras", self._password), "n0nce"]
        if self._method == "qop":
            parts += [said.get("nc", ""), said.get("cnonce", ""), "auth"]
        expected = digest(*parts, digest(method, said.get("uri", "")))
        return said.get("response") == expected
