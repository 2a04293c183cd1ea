"""Frames become H.264 without delay, and H.264 becomes RTP packets."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from streamderain.colour import encoding_colour, tag
from streamderain.conversion import to_encode
from streamderain.errors import OutputError
from streamderain.frame import Colour, Picture, pixels_of, size_of
from streamderain.writers.encoders import NVENC, encoder_names, encoder_options
from streamderain.writers.rtsp_policy import TICKS

__all__ = ["EncoderSettings", "LiveEncoder", "RtpPacker"]

TIME_BASE = Fraction(1, TICKS)

PACKET_BYTES = 1400
"""Of RTP, so that a packet over UDP fits an Ethernet frame, within a VPN too."""

PAYLOAD_TYPE = 96

PIXEL_FORMAT = "yuv420p"
"""What every recorder and browser decodes."""

SLICE_PIXELS = 1280 * 1024
"""A thread encodes so much; larger pictures are cut into slices, four at most."""

WITHOUT_DELAY = {
    "libx264": {"tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"},
    "h264_nvenc": {"tune": "ull", "zerolatency": "1", "delay": "0", "forced-idr": "1"},
}
"""No frame waits for others. Key frames come by the clock alone, since rates vary and every
further one costs as much as many others."""

NVIDIA_DRIVER = Path("/dev/nvidiactl")
"""Is there where an NVIDIA GPU can be used, in containers too."""

NO_LIMIT = 1 << 24
"""Frames between two key frames that the encoder chooses by itself."""


class EncoderSettings:
    """How a stream is encoded.

    Args:
        crf: constant quality, lower is better.
        bitrate: bits a second instead, or None.
        preset: x264's name for speed.
        gop_s: seconds between two key frames, after which viewers can begin.
        encoder: ``cpu``, ``nvenc`` of an NVIDIA GPU, or ``auto``: that one where it works, else the
            CPU.
    """

    def __init__(
        self,
        *,
        crf: int = 23,
        bitrate: int | None = None,
        preset: str = "veryfast",
        gop_s: float = 1.0,
        encoder: Literal["auto", "cpu", "nvenc"] = "auto",
    ) -> None:
        self.crf, self.bitrate, self.preset = crf, bitrate, preset
        self.gop_s, self.encoder = gop_s, encoder


class LiveEncoder:
    """Encodes the frames of one announcement, each at once.

    An odd width or height loses its last pixels: what subsamples colour can't have them, and
    decoders in recorders take nothing else.

    Args:
        height, width: of the frames.
        settings: how.
        fps: how fast frames are expected, for bit rates.
        colour: how the frames' are meant.

    Attributes:
        name: FFmpeg's, of the encoder in use.
        parameter_sets: SPS and PPS, without start codes.

    Raises:
        OutputError: no encoder here does it.
    """

    def __init__(
        self,
        height: int,
        width: int,
        settings: EncoderSettings,
        fps: float,
        colour: Colour | None = None,
    ) -> None:
        self._size = (height // 2 * 2, width // 2 * 2)
        self._colour = encoding_colour(colour or Colour(), PIXEL_FORMAT, height)
        self._gop_ticks = round(settings.gop_s * TICKS)
        self._key_at: int | None = None
        self._context = self._open(settings, fps)
        self.name = self._context.name
        self._headers = bytes(self._context.extradata or b"")
        self.parameter_sets = units_of(self._headers)

    def encode(self, picture: Picture, ticks: int) -> list[Packet[VideoStream]]:
        """Encode a frame, at a timestamp in units of 1/90000 s.

        Raises:
            OutputError: the encoder fails.
        """
        height, width = self._size
        if size_of(picture) != self._size:
            picture = pixels_of(picture)[:height, :width]
        frame = to_encode(picture, self._colour, PIXEL_FORMAT)
        frame.pts, frame.time_base = ticks, TIME_BASE
        if self._key_at is None or ticks - self._key_at >= self._gop_ticks:
            frame.pict_type, self._key_at = PictureType.I, ticks
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as error:
            raise OutputError(f"the encoder {self.name} failed: {error.strerror}") from error
        return [self._with_headers(packet) for packet in packets]

    def _with_headers(self, packet: Packet[VideoStream]) -> Packet[VideoStream]:
        """Put SPS and PPS before each key frame, for viewers that come later."""
        if not packet.is_keyframe:
            return packet
        whole = cast("Packet[VideoStream]", Packet(self._headers + bytes(packet)))
        whole.pts, whole.dts, whole.time_base = packet.pts, packet.dts, packet.time_base
        whole.is_keyframe = True
        return whole

    def _open(self, settings: EncoderSettings, fps: float) -> VideoCodecContext:
        said = ""
        for name in _encoders(settings.encoder):
            try:
                return self._opened(name, settings, fps)
            except (av.FFmpegError, ValueError) as error:
                said = getattr(error, "strerror", None) or str(error)
        height, width = self._size
        raise OutputError(f"no encoder here makes H.264 of {width}×{height} pixels: {said}")

    def _opened(self, name: str, settings: EncoderSettings, fps: float) -> VideoCodecContext:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.height, context.width = self._size
        context.pix_fmt, context.time_base = PIXEL_FORMAT, TIME_BASE
        context.framerate = Fraction(fps).limit_denominator(1000)
        context.gop_size, context.max_b_frames = NO_LIMIT, 0
        context.thread_count = min(4, 1 + context.height * context.width // SLICE_PIXELS)
        context.flags |= Flags.global_header
        tag(context, self._colour)
        context.options = encoder_options(name, "h264", settings.crf, settings.preset)
        if settings.bitrate is not None:
            rate = str(settings.bitrate)
            context.options = encoder_options(name, "h264", None, settings.preset, settings.bitrate)
            context.options |= {"maxrate": rate, "bufsize": rate, "g": str(NO_LIMIT)}
        context.options |= WITHOUT_DELAY[name]
        context.open()
        return context


class RtpPacker:
    """Cuts H.264 into RTP packets (RFC 6184), with the sender reports that tell the camera's time.

    Args:
        began_ns: capture time of timestamp 0, nanoseconds since 1970.
        ssrc: of the packets, 31 bits.

    Raises:
        OutputError: FFmpeg can't.
    """

    def __init__(self, began_ns: int, ssrc: int) -> None:
        self._ready: list[bytes] = []
        self._output = av.open(
            self, "w", format="rtp", buffer_size=PACKET_BYTES,
            container_options={
                "payload_type": str(PAYLOAD_TYPE), "ssrc": str(ssrc), "cname": "streamderain",
                "start_time_realtime": str(began_ns // 1000),
            },
        )  # fmt: skip
        stream = self._output.add_mux_stream("h264", width=16, height=16)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.time_base = TIME_BASE
        self._output.start_encoding()

    def write(self, data: bytes) -> int:
        """Take a packet from FFmpeg."""
        self._ready.append(bytes(data))
        return len(data)

    def pack(self, packets: Sequence[Packet[VideoStream]]) -> list[bytes]:
        """Return the RTP and RTCP packets of some encoded frames, in order.

        Raises:
            OutputError: FFmpeg can't.
        """
        try:
            for packet in packets:
                packet.stream = self._stream
                self._output.mux_one(packet)
        except av.FFmpegError as error:
            raise OutputError(f"H.264 can't be cut into packets: {error.strerror}") from error
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> list[bytes]:
        """Return the packets that say goodbye; harmless twice."""
        self._output.close()
        ready, self._ready = self._ready, []
        return ready


def _encoders(asked: Literal["auto", "cpu", "nvenc"]) -> tuple[str, ...]:
    if asked == "nvenc":
        return (NVENC["h264"],)
    return encoder_names("h264", cuda=asked == "auto" and NVIDIA_DRIVER.exists())


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet is a report, and not a piece of the picture (RFC 5761)."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def units_of(data: bytes) -> list[bytes]:
    """Cut what an encoder gives (Annex B of H.264) into its units, without start codes."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]
