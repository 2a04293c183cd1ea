"""A connection to an RTSP server that takes a stream: waits have a limit, and can be ended.

All but one: how long the look-up of the server's name takes is the system's affair.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

from streamderain.errors import OutputError
from streamderain.writers.rtsp_encoder import is_rtcp
from streamderain.writers.rtsp_message import (
    Access,
    Answer,
    parse_answer,
    parse_transport,
    request,
)
from streamderain.writers.rtsp_policy import Fault

__all__ = ["PushError", "RtspSession"]

PORTS = {"rtsp": 554, "rtsps": 322}

SEND_BUFFER = 1 << 18
"""Bytes that the system may hold back; Linux doubles it. A server that takes nothing any more is
found out once it is full, and what it holds is late."""

ALIVE_S = 5.0
"""Between two questions whether the server is still there."""

FAREWELL_S = 1.0
"""How long a server may take to be said goodbye to."""

MOST_HELD = 1 << 20
"""Bytes of a server's answer; what sends more than that without an end speaks no RTSP."""


class PushError(OutputError):
    """The server doesn't take the stream, or no more.

    Attributes:
        fault: of which kind.
    """

    def __init__(self, message: str, fault: Fault = Fault.LOST) -> None:
        super().__init__(message)
        self.fault = fault


class RtspSession:
    """Announces a stream and sends its packets.

    Args:
        address: ``rtsp://`` or ``rtsps://``, with user and password where there are some.
        shown: what messages call it; without them.
        transport: how the packets go: within the connection (``tcp``), or beside it (``udp``).
        timeout: seconds for all of :meth:`open`, and for the server to take a frame. A look-up of
            the name that takes longer isn't cut short; then it is over.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        shown: str,
        transport: Literal["tcp", "udp"] = "tcp",
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._tls = parts.scheme == "rtsps"
        user = unquote(parts.username) if parts.username else None
        self._access = Access(user, unquote(parts.password or ""))
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._shown, self._transport = shown, transport
        self._timeout, self._clock = timeout, clock
        self._socket: socket.socket | None = None
        self._datagrams: list[socket.socket] = []
        self._aborted = False
        self._heard = bytearray()
        self._count = 0
        self._answers = False
        self._unanswered_since: float | None = None
        self._id: str | None = None
        self._channels = (0, 1)
        self._alive_s, self._asked_at = ALIVE_S, 0.0

    def open(self, description: bytes) -> None:
        """Connect, announce the stream, and begin.

        Raises:
            PushError: it can't be; with a sentence that says why.
        """
        until = self._clock() + self._timeout
        with self._explained(f"{self._shown} can't be reached"):
            self._connect(until)
            self._ask("OPTIONS", self._url, until)
            headers = {"Content-Type": "application/sdp"}
            self._ask("ANNOUNCE", self._url, until, headers, description)
            self._set_up(until)
            self._ask("RECORD", self._url, until, {"Range": "npt=0.000-"})
        self._asked_at = float("-inf")  # at once: does this one answer while it takes a stream?

    def send(self, packets: Sequence[bytes]) -> None:
        """Send the packets of a frame.

        Raises:
            PushError: the connection is no more, or the server takes nothing.
        """
        with self._explained(f"{self._shown} was lost"):
            self._keep_alive()
            if self._datagrams:
                for packet in packets:
                    with contextlib.suppress(BlockingIOError):  # full: lost, as on the way
                        self._datagrams[is_rtcp(packet)].send(packet)
                return
            framed = bytearray()
            for packet in packets:
                framed += struct.pack(">cBH", b"$", self._channels[is_rtcp(packet)], len(packet))
                framed += packet
            self._send(bytes(framed), self._timeout)

    def close(self, last: Sequence[bytes] = ()) -> None:
        """Say goodbye and hang up; harmless twice.

        Args:
            last: packets to send before.
        """
        if self._socket is not None and self._id is not None:
            self._timeout = min(self._timeout, FAREWELL_S)
            with contextlib.suppress(PushError, OSError, ValueError):
                self.send(last)
                self._send(self._written("TEARDOWN", self._url, {}), self._timeout)
        self.abort()

    def abort(self) -> None:
        """Hang up for good; another thread that connects, or waits for the server, gets an error.

        One that looks the name up gets it after that.
        """
        self._aborted = True
        for each in (self._socket, *self._datagrams):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._socket, self._datagrams, self._id = None, [], None

    def _connect(self, until: float) -> None:
        plain = self._reach(until)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if sys.platform == "linux":  # a server whose power went answers nothing at all
            milliseconds = round(self._timeout * 1000)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        if self._tls:
            plain.settimeout(self._left(until))
            context = ssl.create_default_context()
            self._socket = secured = context.wrap_socket(
                plain, server_hostname=self._host, do_handshake_on_connect=False
            )
            self._open_socket()
            secured.do_handshake()

    def _reach(self, until: float) -> socket.socket:
        """Connect to the first of the server's addresses that takes it, each with a fair share."""
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, place) in enumerate(found, start=1):
            share = self._left(until) / (len(found) - tried + 1)
            self._socket = plain = socket.socket(family, kind, protocol)
            try:
                plain.settimeout(share)
                self._open_socket()
                plain.connect(place)
            except OSError:
                plain.close()
                if tried == len(found) or self._aborted:
                    raise
            else:
                return plain
        raise OSError(0, "its name has no address")

    def _set_up(self, until: float) -> None:
        if self._transport == "udp":
            self._datagrams = _pair(self._open_socket().family)
            ports = [each.getsockname()[1] for each in self._datagrams]
            asked = f"RTP/AVP/UDP;unicast;client_port={ports[0]}-{ports[1]};mode=record"
        else:
            asked = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
        url = f"{self._url.rstrip('/')}/streamid=0"
        answer = self._ask("SETUP", url, until, {"Transport": asked})
        self._id = answer.session
        self._alive_s = min(ALIVE_S, answer.session_timeout_s / 2)
        given = parse_transport(answer.headers.get("transport", ""))
        if self._transport == "udp":
            peer = self._open_socket().getpeername()
            for each, port in zip(self._datagrams, _two(given.get("server_port")), strict=True):
                each.connect((given.get("source") or peer[0], port))
                each.setblocking(False)
        elif "interleaved" in given:
            self._channels = _two(given["interleaved"])

    def _ask(
        self,
        method: str,
        url: str,
        until: float,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Ask, with the password where the server wants it, and return the good answer."""
        for is_last in (False, True):
            self._send(self._written(method, url, headers or {}, body), self._left(until))
            answer = self._answer(until)
            if answer.status != 401:
                break
            if is_last or not self._access.challenged(answer):
                raise PushError(
                    f"{self._shown} refuses the user and password; check them in the configuration",
                    Fault.REFUSED,
                )
        if answer.status == 403:
            raise PushError(
                f"{self._shown} lets this user publish nothing; check what the server allows",
                Fault.REFUSED,
            )
        if answer.status == 461 and method == "SETUP":
            raise PushError(
                f"{self._shown} doesn't take packets over {self._transport}; choose the other "
                "transport"
            )
        if not 200 <= answer.status < 300 and method != "OPTIONS":
            raise PushError(
                f"{self._shown} doesn't take the stream ({answer.status} {answer.reason}); check "
                "its path, and that the server lets it be published"
            )
        return answer

    def _written(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> bytes:
        self._count += 1
        session = {"Session": self._id} if self._id else {}
        access = self._access.headers(method, url)
        return request(method, url, self._count, {**access, **session, **headers}, body)

    def _keep_alive(self) -> None:
        """Take what the server says, and ask it now and then whether it is there."""
        here = self._open_socket()
        here.settimeout(0)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                self._hear(here.recv(65536))
        while (answer := self._next_answer()) is not None:
            self._unanswered_since, self._answers = None, True
            if answer.status == 454:
                raise PushError(f"{self._shown} was lost: the server ended the session")
        now, since = self._clock(), self._unanswered_since
        # Some never answer while they take a stream; those that did and don't any more hang.
        if self._answers and since is not None and now - since > self._timeout:
            raise TimeoutError
        if now - self._asked_at >= self._alive_s:
            self._asked_at, self._unanswered_since = now, now if since is None else since
            self._send(self._written("OPTIONS", self._url, {}), self._timeout)

    def _answer(self, until: float) -> Answer:
        while (answer := self._next_answer()) is None:
            here = self._open_socket()
            here.settimeout(self._left(until))
            self._hear(here.recv(65536))
        return answer

    def _hear(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError(0, "the server hung up")
        self._heard += data
        if len(self._heard) > MOST_HELD:
            raise OSError(0, "it answers with something that is no RTSP")

    def _next_answer(self) -> Answer | None:
        """Take the next answer out of what was heard, past the server's reports and requests."""
        while self._heard:
            if self._heard[:1] == b"$":
                if len(self._heard) < 4:
                    return None
                end = 4 + int.from_bytes(self._heard[2:4], "big")
                if len(self._heard) < end:
                    return None
                del self._heard[:end]
                continue
            head = re.match(rb"(.*?)\r?\n\r?\n", self._heard, re.DOTALL)
            if head is None:
                return None
            answer = parse_answer(head[1])
            end = head.end() + (answer.length if answer else 0)
            if len(self._heard) < end:
                return None
            del self._heard[:end]
            if answer is not None and answer.status >= 200:
                return answer
        return None

    def _send(self, data: bytes, timeout: float) -> None:
        here = self._open_socket()
        here.settimeout(timeout)
        here.sendall(data)

    def _open_socket(self) -> socket.socket:
        if self._socket is None or self._aborted:
            raise ConnectionAbortedError(0, "it was hung up")
        return self._socket

    def _left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what sockets say into a sentence, and hang up."""
        try:
            yield
        except PushError:
            self.abort()
            raise
        except (OSError, ValueError, UnicodeError) as error:
            self.abort()
            raise PushError(f"{what}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it didn't answer in time"
    if isinstance(error, socket.gaierror):
        return "there is no host of that name"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate can't be trusted ({error.verify_message}); name the file with its "
            "issuer in SSL_CERT_FILE"
        )
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _pair(family: int) -> list[socket.socket]:
    """Open two neighbouring UDP ports, the first of them even."""
    for _ in range(100):
        first = socket.socket(family, socket.SOCK_DGRAM)
        first.bind(("", 0))
        port = first.getsockname()[1]
        second = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                second.bind(("", port + 1))
                return [first, second]
        except OSError:
            pass
        first.close()
        second.close()
    raise OSError(0, "no two neighbouring UDP ports are free")


def _two(text: str | None) -> tuple[int, int]:
    """Return the numbers of ``5000-5001``."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text or "")
    if match is None:
        raise ValueError("it doesn't say where the packets shall go")
    return int(match[1]), int(match[2] or int(match[1]) + 1)
