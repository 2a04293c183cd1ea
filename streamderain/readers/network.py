"""Cameras on the network and webcams, through FFmpeg."""

from __future__ import annotations

import gc
import struct
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from streamderain.closing import ClosesAtExit
from streamderain.colour import colour_of
from streamderain.conversion import planes_of, to_rgb
from streamderain.errors import InputError
from streamderain.frame import Picture
from streamderain.readers.capture import CaptureClock
from streamderain.readers.live import (
    Captured,
    SourceLostError,
    SourceRefusedError,
    SourceWrongError,
)
from streamderain.readers.orientation import Orientation, orientation_of

__all__ = ["NetworkSource"]

REMEMBERED = 64
"""Packets whose capture times wait for the decoder to give their frames."""

REFUSALS = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
WRONGS = (
    av.error.HTTPNotFoundError, av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError,
    av.error.ProtocolNotFoundError, av.error.HTTPBadRequestError,
)  # fmt: skip


class NetworkSource(ClosesAtExit):
    """A camera on the network, or a webcam (:class:`~streamderain.readers.live.LiveSource`).

    Decoding adds no delay of its own: no frame threads, no buffer in front. Every wait has a limit:
    FFmpeg's own for sockets, and PyAV's for each call, which it checks while it waits.

    Args:
        address: for FFmpeg; with user and password where there are some.
        shown: what messages call it; without them.
        webcam: it is a device, ``/dev/video0``.
        transport: of RTSP, ``tcp`` or ``udp``.
        timeout: seconds for connecting.
        stall: seconds without data after which the camera is taken for lost.
        hwaccel: FFmpeg's name of a device that decodes, or None for the CPU.
        clock: nanoseconds since 1970.

    Raises:
        SourceLostError, SourceRefusedError, SourceWrongError: it can't be opened.
    """

    def __init__(
        self,
        address: str,
        *,
        shown: str,
        webcam: bool = False,
        transport: Literal["tcp", "udp"] = "tcp",
        timeout: float = 10.0,
        stall: float = 5.0,
        hwaccel: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._shown, self._clock = shown, clock
        self.damaged = 0
        self.notes: list[str] = []
        self._times: dict[int, int] = {}
        self._oriented = False
        with _explained(shown, connecting=True):
            self._container: InputContainer = av.open(
                address,
                "r",
                format="v4l2" if webcam else None,
                options=_options(address, transport, timeout),
                timeout=(timeout, stall),
                hwaccel=self._device(hwaccel),
                metadata_errors="replace",
            )
        try:
            self._stream = _video_of(self._container, shown)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Captured]:
        clock, part, format_before, told = CaptureClock(), 0, None, False
        orientation = Orientation()
        time_base = self._stream.time_base or Fraction(1, 90000)
        for frame in self._frames():
            arrival = self._clock()
            shape = (frame.width, frame.height, frame.format.name)
            if shape != format_before:
                part += format_before is not None
                format_before = shape
                orientation, self._oriented = orientation_of(frame), True
                clock = CaptureClock()
            pts_s = None if frame.pts is None else frame.pts * time_base
            camera_ns = self._times.pop(frame.pts, None) if frame.pts is not None else None
            taken = clock.stamp(pts_s, arrival, camera_ns)
            if clock.clock_off_s is not None and not told:
                told = True
                self.notes.append(
                    f"The camera's clock is {_span(clock.clock_off_s)} off, so its times are not "
                    "used; set it by NTP."
                )
            yield Captured(
                part, frame.pts, time_base, taken, frame.is_corrupt,
                _giver(frame, orientation), clock.lag_s,
            )  # fmt: skip

    def close(self) -> None:
        """Hang up; harmless twice. Not while another thread iterates."""
        self._container.close()
        if self._oriented:
            self._oriented = False
            gc.collect()  # PyAV's side data and their frame, with its pool, hold each other

    def _device(self, name: str | None) -> HWAccel | None:
        """Return a device that really works, or None for the CPU."""
        if name is None:
            return None
        try:
            HWAccel(device_type=name).create(av.Codec("h264", "r"))
            return HWAccel(device_type=name)
        except (av.FFmpegError, NotImplementedError, ValueError):
            self.notes.append(f"The device {name} can't decode here; the CPU does it.")
            return None

    def _frames(self) -> Iterator[av.VideoFrame]:
        with _explained(self._shown, connecting=False):
            for packet in self._container.demux(self._stream):
                if packet.pts is not None and packet.has_sidedata("prft"):
                    self._remember(packet)
                try:
                    frames = self._stream.codec_context.decode(packet if packet.size else None)
                except (av.error.InvalidDataError, av.error.EOFError):
                    self.damaged += 1
                    continue
                yield from frames

    def _remember(self, packet: av.Packet[VideoStream]) -> None:
        """Keep the time at which the camera says it took the picture, until that is decoded."""
        # FFmpeg's AVProducerReferenceTime, from the last RTCP sender report: int64 µs, int flags.
        (wallclock_us,) = struct.unpack_from("<q", bytes(packet.get_sidedata("prft")))
        assert packet.pts is not None
        self._times[packet.pts] = wallclock_us * 1000
        while len(self._times) > REMEMBERED:
            del self._times[next(iter(self._times))]


class _explained:  # noqa: N801 - reads as a sentence
    """Turns what FFmpeg says into one of the faults, without the address's secrets."""

    def __init__(self, shown: str, *, connecting: bool) -> None:
        self._shown, self._connecting = shown, connecting

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, InputError | GeneratorExit):
            return
        if not isinstance(error, av.FFmpegError | OSError | ValueError):
            return
        what = f"{self._shown} " + ("can't be reached" if self._connecting else "was lost")
        if isinstance(error, REFUSALS):
            raise SourceRefusedError(
                f"{self._shown} refuses the user and password; check them in the configuration"
            ) from None
        if isinstance(error, av.error.ExitError | TimeoutError):
            raise SourceLostError(f"{what}: it didn't answer in time") from None
        if isinstance(error, av.error.InvalidDataError) and self._connecting:
            raise SourceLostError(
                f"{self._shown} doesn't answer, or with nothing that is a video"
            ) from None
        said = getattr(error, "strerror", None) or type(error).__name__
        if isinstance(error, WRONGS) and self._connecting:
            raise SourceWrongError(
                f"{self._shown} has no stream that can be played ({said}); check the address's path"
            ) from None
        if isinstance(error, FileNotFoundError):
            raise SourceLostError(
                f"{self._shown} is not there; check that it is plugged in"
            ) from None
        raise SourceLostError(f"{what}: {said}") from None


def _options(address: str, transport: str, timeout: float) -> dict[str, str]:
    scheme = address.partition("://")[0].lower()
    common = {"flags": "low_delay"}
    if scheme in ("rtsp", "rtsps"):
        return {
            **common,
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            "timeout": str(round(timeout * 1e6)),
            "max_delay": "200000",
            "fpsprobesize": "0",
            "analyzeduration": "1000000",
        }
    if scheme in ("http", "https"):
        return {**common, "rw_timeout": str(round(timeout * 1e6))}
    return common


def _video_of(container: InputContainer, shown: str) -> VideoStream:
    if not container.streams.video or container.streams.video[0].codec_context is None:
        raise SourceWrongError(
            f"{shown} has no video that can be decoded; check the address's path"
        )
    stream = container.streams.video[0]
    stream.thread_type = "SLICE"  # frame threads would hold a few frames back
    return stream


def _giver(frame: av.VideoFrame, orientation: Orientation) -> Callable[[], Picture]:
    def give() -> Picture:
        colour = colour_of(frame, frame.format.name, frame.height)
        planes = planes_of(frame, colour) if orientation.is_upright else None
        return orientation.upright(to_rgb(frame, colour)) if planes is None else planes

    return give


def _span(seconds: float) -> str:
    seconds = abs(seconds)
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
