"""Push a clean camera to an RTSP server, where recorders and viewers take it like any camera."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Literal

from streamderain.frame import Frame
from streamderain.source import parse_source
from streamderain.writers.base import LeftOutError
from streamderain.writers.rtsp_encoder import EncoderSettings, LiveEncoder, RtpPacker
from streamderain.writers.rtsp_message import Stream, sdp
from streamderain.writers.rtsp_policy import (
    Fault,
    Publishing,
    RateWatch,
    Timeline,
    Waits,
    announcement_of,
)
from streamderain.writers.rtsp_session import PushError, RtspSession

__all__ = ["DOWN", "RtspWriter"]

log = logging.getLogger("streamderain")

DOWN = "rtsp-down"
"""Why frames are left out while the server doesn't take them."""

PATIENCE_S = 1.0
"""How long :meth:`RtspWriter.close` waits for a frame that is being sent, in seconds."""


class RtspWriter:
    """Sends frames as H.264 to MediaMTX, go2rtc, GStreamer's server and others (ANNOUNCE, RECORD).

    Timestamps are those at which the camera took the pictures, and RTCP says what they mean in wall
    clock. A new session of the camera, another size, or a clock that was set is announced anew.
    While the server is away, frames are left out, and it is tried again with growing waits; what
    happens is logged once, not at every try. Nothing here waits longer than ``timeout``, but for
    the look-up of the server's name: only the system sets a limit to that.

    Args:
        address: ``rtsp://`` or ``rtsps://``; ``{camera}`` in it is the camera's id.
        camera: id.
        waits: between tries.
        user, password: as they are; they go before those in the address.
        transport: of the packets.
        settings: of the encoder.
        timeout: seconds for connecting, and for the server to take a frame.
        clock: monotonic seconds.
        wall_clock: nanoseconds since 1970, for frames without a time.

    Attributes:
        announcements: streams that a server took so far.
        secrets: texts that must not be seen anywhere.

    Raises:
        UsageError: the address can't be understood.
    """

    def __init__(
        self,
        address: str,
        camera: str,
        waits: Waits,
        *,
        user: str | None = None,
        password: str | None = None,
        transport: Literal["tcp", "udp"] = "tcp",
        settings: EncoderSettings | None = None,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._server = parse_source(address.replace("{camera}", camera), user, password)
        self.secrets = self._server.secrets
        self._camera, self._transport, self._timeout = camera, transport, timeout
        self._settings = settings or EncoderSettings()
        self._clock, self._wall_clock = clock, wall_clock
        self._policy = Publishing(waits)
        self._rate = RateWatch()
        self._lock = threading.Lock()
        self._session: RtspSession | None = None
        self._push: _Push | None = None
        self._closed = False
        self.announcements = 0

    def write(self, frame: Frame) -> None:
        """Send one frame.

        Raises:
            LeftOutError: the server doesn't take it; that was logged, once.
            OutputError: it can't be encoded.
        """
        with self._lock:
            taken, now = frame.t_capture_ns or self._wall_clock(), self._clock()
            try:
                if self._push is not None and not self._push.fits(frame, taken, now):
                    self._hang_up()
                if self._push is None:
                    self._begin(frame, taken, now)
                assert self._push is not None
                self._push.send(frame, taken, now)
            except LeftOutError:  # it is not yet time for the next try
                raise
            except PushError as error:
                self._lost(error)
            except Exception as error:  # the encoder's fault, or ours: nothing may stay open
                self._hang_up()
                # The server would be gone to at each frame otherwise.
                self._policy.down(Fault.LOST, str(error), self._clock())
                raise

    def close(self) -> None:
        """Say goodbye to the server; harmless twice. A frame that is stuck is given up."""
        self._closed = True
        if self._lock.acquire(timeout=PATIENCE_S):
            try:
                self._hang_up()
            finally:
                self._lock.release()
        elif (session := self._session) is not None:
            session.abort()

    def _begin(self, frame: Frame, taken: int, now: float) -> None:
        if self._closed or not self._policy.may_connect(now):
            raise LeftOutError(f"{self._server.shown} doesn't take the stream", DOWN)
        self._session = RtspSession(
            self._server.address, shown=self._server.shown, transport=self._transport,
            timeout=self._timeout, clock=self._clock,
        )  # fmt: skip
        self._push = _Push(self._session, frame, taken, now, self._settings, self._rate)
        self.announcements += 1
        if self._policy.up(self._clock()):
            log.info(
                "%s: %s takes the stream (%s)",
                self._camera, self._server.shown, self._push.encoder_name,
            )  # fmt: skip

    def _lost(self, error: PushError) -> None:
        self._hang_up()
        if self._policy.down(error.fault, str(error), self._clock()) and not self._closed:
            log.warning("%s: %s", self._camera, error)
        raise LeftOutError(str(error), DOWN) from None

    def _hang_up(self) -> None:
        push, session, self._push, self._session = self._push, self._session, None, None
        if push is not None:
            push.close()
        elif session is not None:
            session.abort()


class _Push:
    """One announcement."""

    def __init__(
        self,
        session: RtspSession,
        frame: Frame,
        taken: int,
        now: float,
        settings: EncoderSettings,
        rate: RateWatch,
    ) -> None:
        self._session, self._settings, self._rate = session, settings, rate
        self._key = announcement_of(frame)
        self._timeline = Timeline(taken, now)
        self._colour = frame.coded
        self._encoder = self._open_encoder(frame)
        self._packer = RtpPacker(self._timeline.began_ns, secrets.randbits(31))
        stream = Stream(frame.camera, secrets.randbits(31), self._encoder.parameter_sets)
        try:
            session.open(sdp(stream))
        except BaseException:
            self._packer.close()
            raise

    def _open_encoder(self, frame: Frame) -> LiveEncoder:
        return LiveEncoder(*frame.size, self._settings, self._rate.fps, self._colour)

    @property
    def encoder_name(self) -> str:
        return self._encoder.name

    def fits(self, frame: Frame, taken: int, now: float) -> bool:
        return announcement_of(frame) == self._key and not self._timeline.stepped(taken, now)

    def send(self, frame: Frame, taken: int, now: float) -> None:
        ticks = self._timeline.stamp(taken, now)
        if self._rate.observe(ticks) and self._settings.bitrate is not None:
            self._encoder = self._open_encoder(frame)
        self._session.send(self._packer.pack(self._encoder.encode(frame.picture, ticks)))

    def close(self) -> None:
        self._session.close(self._packer.close())
