"""Receive clean frames in Python: always the newest of each camera, with what was lost counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from streamderain.closing import ClosesAtExit
from streamderain.cluster.book import Follower
from streamderain.errors import InputError, UsageError, WireError
from streamderain.frame import Pixels
from streamderain.keys import read_public_key, read_secret_key
from streamderain.wire import (
    AddressHeader,
    EventHeader,
    FrameHeader,
    address_topic,
    decode_message,
    decode_pixels,
    event_topic,
    frame_topic,
)

__all__ = ["CameraView", "ReceivedFrame", "Subscriber"]

QUEUE = 64
"""Messages that may wait for the receiving thread, which only has to look at their headers."""

KERNEL_BYTES = 4 * 2**20
AGES = 500
"""Frames over which the ages are remembered."""


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame as a subscriber sees it.

    Attributes:
        header: what the publisher says of it; see :class:`~streamderain.wire.FrameHeader`.
        pixels: uint8 H×W×3, RGB.
        age_s: seconds from its capture to its arrival here, by both clocks.
    """

    header: FrameHeader
    pixels: Pixels
    age_s: float

    @property
    def camera(self) -> str:
        """Id of the camera."""
        return self.header.camera


@dataclass
class CameraView:
    """What a subscriber knows of one camera.

    Attributes:
        received: frames that arrived.
        lost: frames that the publisher sent and that never arrived, by the gaps in ``seq``; not
            counted with ``pull``, where the gaps are what other workers took.
        replaced: frames that arrived and were replaced by a newer one before anyone took them.
        restarts: how often the publisher began anew.
        bypassed: frames that came as they were, by reason.
        derained: frames that the network cleaned.
        damaged: payloads that could not be decoded.
        state, message: as the camera's last event said, or None; where an address book is read and
            the camera is published nowhere, as the book says.
        node: where the camera runs, as the address book says, or None.
        ages_s: of the last frames, seconds.
        last: header of the last frame, or None.
        last_at: when that came, monotonic seconds.
        first_at: when the first came.
    """

    received: int = 0
    lost: int = 0
    replaced: int = 0
    restarts: int = 0
    derained: int = 0
    damaged: int = 0
    bypassed: dict[str, int] = field(default_factory=dict)
    state: str | None = None
    message: str | None = None
    node: str | None = None
    ages_s: deque[float] = field(default_factory=lambda: deque(maxlen=AGES))
    last: FrameHeader | None = None
    last_at: float = 0.0
    first_at: float = 0.0

    def note(self, header: FrameHeader, age_s: float, now: float, *, shared: bool = False) -> None:
        """Count a frame; ``shared`` where other workers take some of them."""
        if self.last is None:
            self.first_at = now
        elif header.run != self.last.run:
            self.restarts += 1
        elif not shared:
            self.lost += max(0, header.seq - self.last.seq - 1)
        self.received += 1
        if header.derained:
            self.derained += 1
        else:
            reason = header.bypass or "unknown"
            self.bypassed[reason] = self.bypassed.get(reason, 0) + 1
        self.ages_s.append(age_s)
        self.last, self.last_at = header, now


class Subscriber(ClosesAtExit):
    """Receives the frames of one or several publishers.

    A thread takes every message as it comes, so that nothing piles up on the way, and keeps the
    newest frame of each camera: a slow consumer sees fewer frames, never old ones. Only frames
    that are taken are decoded. Publishers may come and go; it reconnects by itself.

    Example::

        with Subscriber("tcp://127.0.0.1:5555", cameras=["gate"]) as frames:
            for frame in frames:
                detect(frame.pixels)          # uint8 H×W×3, RGB
                print(frame.camera, frame.header.derained, frame.age_s)

    Of cameras in a cluster only the address book's place is known: ``Subscriber(book=...)`` follows
    each camera to wherever it is published, and again when it moves.

    Args:
        addresses: one or several, ``tcp://HOST:PORT`` or ``ipc:///PATH``; none with a book.
        book: address of the book of ``streamderain run --ray``; its keys are those of the frames.
        cameras: ids, or None for all.
        pattern: ``sub`` for publishers of the pattern ``pub``, ``pull`` for ``push``.
        server_key: file with the publisher's public key (``server.key``), where it encrypts.
        client_key: file with one's own secret key (``NAME.key_secret``); with ``server_key`` and
            without this, a new one is made up.
        timeout: seconds without any frame after which iterating ends; None for never.

    Raises:
        UsageError: an address or the pattern can't be, or there is neither address nor book.
        InputError: a key can't be read.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] = (),
        *,
        book: str | None = None,
        cameras: Sequence[str] | None = None,
        pattern: str = "sub",
        server_key: Path | None = None,
        client_key: Path | None = None,
        timeout: float | None = None,
    ) -> None:
        if pattern not in ("sub", "pull"):
            raise UsageError(f"the pattern is sub or pull, not {pattern!r}")
        if not addresses and book is None:
            raise UsageError("name an address to subscribe to, or that of an address book")
        self._cameras = None if cameras is None else frozenset(cameras)
        self._timeout, self._shared = timeout, pattern == "pull"
        self._newest: dict[str, tuple[FrameHeader, Any, float]] = {}
        self._views: dict[str, CameraView] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.refused: str | None = None
        """Why the publisher doesn't let us in, where it doesn't."""
        self.foreign = 0
        """Messages that were not understood."""
        self.stale = 0
        """Messages from where a camera was before, which the book has moved; they are left out."""
        self._follower = Follower(self._shared, self._cameras)
        self._leaving: list[str] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB if pattern == "sub" else zmq.PULL)
        self._book = None if book is None else self._context.socket(zmq.SUB)
        try:
            self._set_up(pattern, server_key, client_key)
            if book is not None and self._book is not None:
                self._set_up_book(self._book, server_key, client_key)
                self._connect(self._book, book)
            self._wake = self._context.socket(zmq.PAIR)
            self._wake.bind("inproc://wake")
            monitor = self._socket.get_monitor_socket()
            for address in [addresses] if isinstance(addresses, str) else addresses:
                self._connect(self._socket, address)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._thread = threading.Thread(
            target=self._receive, args=(monitor,), name="subscriber", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[ReceivedFrame]:
        """Give frames as they come, of each camera the newest; ends when closed or timed out."""
        while (frame := self.next(self._timeout)) is not None:
            yield frame

    def next(self, timeout: float | None = None) -> ReceivedFrame | None:
        """Wait for a frame that was not given yet, of any camera; None after ``timeout`` seconds.

        Of several cameras, the one whose frame waits longest is first.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                left = None if until is None else max(0.0, until - time.monotonic())
                self._changed.wait_for(lambda: self._closed or bool(self._newest), left)
                if self._closed or not self._newest:
                    return None
                camera = next(iter(self._newest))
                header, payload, age_s = self._newest.pop(camera)
            try:
                return ReceivedFrame(header, decode_pixels(header, payload), age_s)
            except WireError:
                with self._changed:
                    self._views[camera].damaged += 1

    @property
    def cameras(self) -> dict[str, CameraView]:
        """What is known of each camera that was heard of; a copy."""
        with self._changed:
            return {
                name: CameraView(
                    **{**vars(view), "bypassed": dict(view.bypassed), "ages_s": view.ages_s.copy()}
                )
                for name, view in self._views.items()
            }

    def close(self) -> None:
        """Hang up; harmless twice. A thread that iterates ends."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        # The thread may have noticed by itself and be gone, with nobody left to take this.
        with contextlib.suppress(zmq.Again):
            self._wake.send(b"", zmq.NOBLOCK)
        self._thread.join()
        self._wake.close(0)
        self._context.term()

    def _set_up(self, pattern: str, server_key: Path | None, client_key: Path | None) -> None:
        options = self._socket
        options.rcvhwm = QUEUE
        options.setsockopt(zmq.RCVBUF, KERNEL_BYTES)
        if pattern == "sub":
            for camera in [""] if self._cameras is None else sorted(self._cameras):
                options.setsockopt(zmq.SUBSCRIBE, frame_topic(camera))
                options.setsockopt(zmq.SUBSCRIBE, event_topic(camera))
        _set_up_connection(options, server_key, client_key)

    def _set_up_book(
        self, options: zmq.Socket[bytes], server_key: Path | None, client_key: Path | None
    ) -> None:
        for camera in [""] if self._cameras is None else sorted(self._cameras):
            options.setsockopt(zmq.SUBSCRIBE, address_topic(camera))
        _set_up_connection(options, server_key, client_key)

    def _connect(self, options: zmq.Socket[bytes], address: str) -> None:
        try:
            options.setsockopt(zmq.IPV6, int("[" in address))
            options.connect(address)
        except zmq.ZMQError as error:
            reason = zmq.strerror(error.errno or 0)
            raise UsageError(
                f"{address!r} is no address to subscribe to ({reason}); it is written "
                "tcp://HOST:PORT or ipc:///PATH"
            ) from None

    def _receive(self, monitor: zmq.Socket[bytes]) -> None:
        end = self._context.socket(zmq.PAIR)
        end.connect("inproc://wake")
        poller = zmq.Poller()
        for source in (self._socket, monitor, end, self._book):
            if source is not None:
                poller.register(source, zmq.POLLIN)
        try:
            while not self._closed:
                ready = dict(poller.poll())
                if monitor in ready:
                    self._note_connection(parse_monitor_message(monitor.recv_multipart()))
                if self._book is not None and self._book in ready:
                    self._drain(self._book)
                if self._socket in ready or self._leaving:
                    self._drain(self._socket)
                    self._leave()
        finally:
            self._socket.disable_monitor()
            for source in (monitor, end, self._socket, self._book):
                if source is not None:
                    source.close(0)

    def _drain(self, source: zmq.Socket[bytes]) -> None:
        """Take all that is there."""
        while True:
            try:
                parts = source.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                header, payload = decode_message([part.buffer for part in parts])
            except WireError:
                self.foreign += 1
                continue
            if self._cameras is not None and header.camera not in self._cameras:
                continue
            with self._changed:
                if isinstance(header, AddressHeader):
                    self._follow(header)
                elif not self._follower.is_current(header.camera, header.run):
                    self.stale += 1
                elif isinstance(header, FrameHeader):
                    self._take(header, payload)
                else:
                    self._hear(header)

    def _leave(self) -> None:
        """Hang up where nothing that is wanted is published any more.

        Only after all has been taken: when a SUB socket is polled, libzmq 4.3.5 takes the first
        part of the next message already, and aborts the process where the rest of it goes with
        its connection (``!_more`` in fq.cpp).
        """
        for address in self._leaving:
            with contextlib.suppress(zmq.ZMQError):  # it was none to connect to
                self._socket.disconnect(address)
        self._leaving.clear()

    def _follow(self, entry: AddressHeader) -> None:
        """Go where the book says a camera is."""
        moves = self._follower.note(entry)
        for address in moves.connect:
            try:
                self._connect(self._socket, address)
            except UsageError:
                self.foreign += 1
        self._leaving += moves.disconnect
        view = self._views.setdefault(entry.camera, CameraView())
        view.node = entry.node
        if entry.run is None:
            view.state, view.message = entry.state, entry.message

    def _take(self, header: FrameHeader, payload: Any) -> None:
        age_s = (time.time_ns() - header.t_capture_ns) / 1e9
        view = self._views.setdefault(header.camera, CameraView())
        view.note(header, age_s, time.monotonic(), shared=self._shared)
        if header.camera in self._newest:
            view.replaced += 1
        # One that is replaced keeps its place in the queue: it has waited long enough.
        self._newest[header.camera] = (header, payload, age_s)
        self._changed.notify_all()

    def _hear(self, header: EventHeader) -> None:
        view = self._views.setdefault(header.camera, CameraView())
        view.state, view.message = header.state, header.message

    def _note_connection(self, event: Any) -> None:
        kind = zmq.Event(event["event"])
        if kind is zmq.Event.HANDSHAKE_SUCCEEDED:
            self.refused = None
        elif kind in (
            zmq.Event.HANDSHAKE_FAILED_AUTH,
            zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
            zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
        ):
            self.refused = "the publisher refuses our key, or we expect another key of it"


def _set_up_connection(
    options: zmq.Socket[bytes], server_key: Path | None, client_key: Path | None
) -> None:
    """Let a socket notice a peer that is gone, come back to it, and show its keys."""
    options.linger = 0
    options.setsockopt(zmq.TCP_KEEPALIVE, 1)
    options.setsockopt(zmq.HEARTBEAT_IVL, 5000)
    options.setsockopt(zmq.RECONNECT_IVL, 100)
    options.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    if server_key is not None:
        public, secret = read_secret_key(client_key) if client_key else zmq.curve_keypair()
        options.curve_publickey, options.curve_secretkey = public, secret
        options.curve_serverkey = read_public_key(server_key)
    elif client_key is not None:
        raise InputError("a client's key needs the publisher's public key beside it")
