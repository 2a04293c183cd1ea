"""Publish frames and events over ZeroMQ; ``docs/wire.md`` says how they look."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import parse_monitor_message

from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError, OutputError
from streamderain.frame import Frame
from streamderain.keys import read_secret_key
from streamderain.wire import EventHeader, FrameHeader, encode_message, encode_pixels

__all__ = ["CameraPublisher", "PublisherSettings", "ZeroMqPublisher", "new_run"]

log = logging.getLogger("streamderain")

LINGER_MS = 1000
"""How long the last messages may take to leave when the publisher closes."""

KERNEL_BYTES = 4 * 2**20
"""Of each connection's send buffer: a few frames, not the seconds that Linux would grow it to."""

SAY_EVERY_S = 10.0
"""Refused subscribers are logged at most so often."""

REFUSALS = {
    zmq.Event.HANDSHAKE_FAILED_AUTH: "its key is not among those of the clients",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: "it has no key, or another publisher's",
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: "it has no key, or another publisher's",
}


def new_run() -> str:
    """Return an id for a run of the publisher, different at every start."""
    return secrets.token_hex(8)


class PublisherSettings:
    """How to publish.

    Args:
        address: ``tcp://HOST:PORT`` (port 0 takes a free one) or ``ipc:///PATH``.
        pattern: ``pub`` or ``push``.
        high_water_mark: messages that may wait for one subscriber.
        secret_key: file with the publisher's secret key, or None for no encryption.
        clients: folder with the public keys of those who may read, or None for all who know the
            publisher's public key.
    """

    def __init__(
        self,
        address: str,
        *,
        pattern: Literal["pub", "push"] = "pub",
        high_water_mark: int = 4,
        secret_key: Path | None = None,
        clients: Path | None = None,
    ) -> None:
        self.address, self.pattern = address, pattern
        self.high_water_mark = high_water_mark
        self.secret_key, self.clients = secret_key, clients


class ZeroMqPublisher(ClosesAtExit):
    """One socket, shared by the cameras that publish at its address.

    Sending never waits: PUB leaves out subscribers whose queue is full, PUSH says so.

    Args:
        settings: where and how.

    Attributes:
        address: where it is really bound.

    Raises:
        OutputError: the address is in use or can't be bound.
        InputError: a key can't be read.
    """

    def __init__(self, settings: PublisherSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # a socket may change threads, but never be in two
        self._context = zmq.Context()
        self._authenticator: ThreadAuthenticator | None = None
        self._closed = False
        kind = zmq.PUB if settings.pattern == "pub" else zmq.PUSH
        self._socket = self._context.socket(kind)
        try:
            self._set_up()
            self.address = self._bind()
        except BaseException:
            self.close()
            raise
        self._monitor = threading.Thread(
            target=self._watch, args=(self._socket.get_monitor_socket(),), daemon=True,
            name=f"watch {self.address}",
        )  # fmt: skip
        self._monitor.start()

    def send(self, parts: list[Any]) -> bool:
        """Send a message; False where no worker takes it (PUSH).

        A payload must not be changed any more: it may be read after this returns.
        """
        with self._lock:
            if self._closed:
                return False
            try:
                self._socket.send_multipart(parts, flags=zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return False
            return True

    def close(self) -> None:
        """Send what is under way, for a second at most, and unbind; harmless twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._socket.disable_monitor()
            self._socket.close(LINGER_MS)
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()

    def _set_up(self) -> None:
        settings, options = self._settings, self._socket
        options.sndhwm = settings.high_water_mark
        options.linger = LINGER_MS
        options.setsockopt(zmq.SNDBUF, KERNEL_BYTES)
        options.setsockopt(zmq.TCP_KEEPALIVE, 1)
        options.setsockopt(zmq.HEARTBEAT_IVL, 5000)
        options.setsockopt(zmq.IPV6, int("[" in settings.address))
        if settings.pattern == "push":
            options.setsockopt(zmq.IMMEDIATE, 1)
        if settings.secret_key is None:
            return
        public, secret = read_secret_key(settings.secret_key)
        if settings.clients is not None:
            if not settings.clients.is_dir():
                raise InputError(
                    f"{settings.clients} is no folder with the clients' keys; "
                    "'streamderain keys' makes one"
                )
            self._authenticator = ThreadAuthenticator(self._context)
            self._authenticator.start()
            self._authenticator.configure_curve(domain="*", location=str(settings.clients))
        options.curve_publickey, options.curve_secretkey = public, secret
        options.curve_server = True

    def _bind(self) -> str:
        address = self._settings.address
        path = Path(address.removeprefix("ipc://")) if address.startswith("ipc://") else None
        if path is not None:
            _refuse_taken(path, address)
        before = os.umask(0o117)  # ipc sockets are 0660 from the first moment
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            reason = zmq.strerror(error.errno or 0)
            raise OutputError(
                f"can't publish at {address} ({reason}); choose another address, or stop what "
                "uses this one"
            ) from error
        finally:
            os.umask(before)
        bound = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        return bound.decode().rstrip("\0") if isinstance(bound, bytes) else address

    def _watch(self, monitor: zmq.Socket[bytes]) -> None:
        """Say who is refused."""
        said, unsaid = float("-inf"), 0
        try:
            while True:
                event = parse_monitor_message(monitor.recv_multipart())
                if event["event"] == zmq.Event.MONITOR_STOPPED:
                    return
                reason = REFUSALS.get(zmq.Event(event["event"]))
                if reason is None:
                    continue
                unsaid += 1
                if time.monotonic() - said >= SAY_EVERY_S:
                    times = f" ({unsaid} times)" if unsaid > 1 else ""
                    log.warning("a subscriber at %s was refused: %s%s", self.address, reason, times)
                    said, unsaid = time.monotonic(), 0
        except zmq.ZMQError:
            pass
        finally:
            monitor.close(0)


class CameraPublisher:
    """Publishes one camera: encodes its frames, counts them, says what was left out.

    Args:
        publisher: the socket.
        camera, run: ids.
        codec: ``raw``, ``jpeg`` or ``png``.
        pixfmt: of raw pictures.
        quality: of JPEG.
        clock: nanoseconds since 1970.

    Attributes:
        published: frames that were sent, or tried to be.
        unsent: those of them that no worker took (PUSH).
    """

    def __init__(
        self,
        publisher: ZeroMqPublisher,
        camera: str,
        run: str,
        *,
        codec: Literal["raw", "jpeg", "png"] = "raw",
        pixfmt: Literal["rgb24", "bgr24"] = "rgb24",
        quality: int = 90,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._publisher, self._camera, self._run = publisher, camera, run
        self._codec, self._pixfmt, self._quality = codec, pixfmt, quality
        self._clock = clock
        self._dropped: Counter[str] = Counter()
        self.published = self.unsent = 0

    def write(self, frame: Frame) -> None:
        """Encode and send a frame."""
        payload = encode_pixels(frame.pixels, self._codec, self._pixfmt, self._quality)
        self._dropped.update(frame.dropped)
        height, width = frame.size
        header = FrameHeader(
            camera=self._camera, run=self._run, session=frame.session, seq=self.published,
            shape=(height, width, 3), pixfmt=self._pixfmt, codec=self._codec, pts=frame.pts,
            time_base=(frame.time_base.numerator, frame.time_base.denominator),
            t_capture_ns=frame.t_capture_ns, t_source=frame.t_source,
            t_publish_ns=self._clock(), src_index=frame.index, decoded=frame.decoded,
            derained=frame.derained, bypass=frame.bypass, rain=frame.rain, model=frame.model,
            dropped=dict(self._dropped),
        )  # fmt: skip
        self.published += 1
        if not self._publisher.send(encode_message(header, payload)):
            self.unsent += 1

    def tell(
        self,
        event: Literal["heartbeat", "state"],
        state: str,
        message: str | None,
        decoded: int,
        dropped: Mapping[str, int],
    ) -> None:
        """Send an event."""
        header = EventHeader.model_validate(
            {
                "camera": self._camera, "run": self._run, "t_publish_ns": self._clock(),
                "event": event, "state": state, "message": message, "decoded": decoded,
                "dropped": dict(dropped), "seq": self.published - 1 if self.published else None,
            }
        )  # fmt: skip
        self._publisher.send(encode_message(header))


def _refuse_taken(path: Path, address: str) -> None:
    """Refuse an ipc address at which somebody listens; libzmq would silently take it over."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OutputError(f"can't publish at {address}: {path} is there and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # left over by a publisher that died
    raise OutputError(f"can't publish at {address}: another publisher is there; stop it first")
