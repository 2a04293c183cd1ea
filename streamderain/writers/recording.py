"""Record a live camera in segments that can be played whatever happens."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from streamderain.colour import encoding_colour, from_rgb, tag
from streamderain.errors import OutputError
from streamderain.frame import Colour, Frame
from streamderain.writers.atomic import explain_os_error

__all__ = ["SegmentRecorder"]

TIME_BASE = Fraction(1, 90000)

FRAGMENT_S = 2
"""Between two key frames; after a crash at most so much is missing at the end."""

MUXER_OPTIONS = {
    "mp4": {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
    "mkv": {"cluster_time_limit": "2000", "flush_packets": "1"},
}


class SegmentRecorder:
    """Writes frames into ``FOLDER/CAMERA-20261121T043603Z.mp4`` and the like.

    A segment is named by the time of its first frame (UTC), is written in fragments, and can be
    played up to the last one even when the program or the machine dies. A change of picture size,
    a new session, or a step of the clock begins a new segment.

    Args:
        folder: made where it isn't there; ``{camera}`` in it is the camera's id.
        camera: id.
        segment_s: length of a segment in seconds.
        container: ``mp4`` or ``mkv``.
        codec: ``h264`` or ``hevc``.
        crf: quality, lower is better.
        preset: the encoder's name for speed.
        clock: nanoseconds since 1970, for frames without a time.

    Attributes:
        segments: files begun so far.

    Raises:
        OutputError: the folder can't be made.
    """

    def __init__(
        self,
        folder: Path,
        camera: str,
        *,
        segment_s: float = 600.0,
        container: Literal["mp4", "mkv"] = "mp4",
        codec: Literal["h264", "hevc"] = "h264",
        crf: int = 23,
        preset: str = "veryfast",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = Path(str(folder).replace("{camera}", camera))
        self._camera, self._segment_ns = camera, round(segment_s * 1e9)
        self._container, self._encoder = container, {"h264": "libx264", "hevc": "libx265"}[codec]
        self._crf, self._preset, self._clock = crf, preset, clock
        self._output: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._path: Path | None = None
        self._began = self._last = 0
        self._key: tuple[object, ...] = ()
        self.segments = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self._folder) from error

    def write(self, frame: Frame) -> None:
        """Record one frame.

        Raises:
            OutputError: the disk is full or the like; the segment is closed, the next frame tries
                a new one.
        """
        now = frame.t_capture_ns or self._clock()
        key = (frame.size, frame.session)
        due = not self._began <= now < self._began + self._segment_ns
        try:
            if self._output is None or key != self._key or due:
                self.close()
                self._begin(frame, now)
                self._key = key
            assert self._output is not None and self._video is not None
            picture = from_rgb(frame.pixels, self._colour, self._pixel_format)
            ticks = max(round((now - self._began) * TIME_BASE.denominator / 1e9), self._last + 1)
            picture.pts, picture.time_base, self._last = ticks, TIME_BASE, ticks
            for packet in self._video.encode(picture):
                self._output.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            self._drop()
            plain = OSError(error.errno or 0, error.strerror or str(error))
            raise explain_os_error(plain, self._path or self._folder) from error

    def close(self) -> None:
        """End the segment; harmless twice.

        Raises:
            OutputError: its end can't be written.
        """
        if self._output is None or self._video is None:
            return
        try:
            for packet in self._video.encode(None):
                self._output.mux_one(packet)
            self._output.close()
        except (av.FFmpegError, OSError) as error:
            plain = OSError(error.errno or 0, error.strerror or str(error))
            raise explain_os_error(plain, self._path or self._folder) from error
        finally:
            self._drop()

    def _begin(self, frame: Frame, now: int) -> None:
        height, width = frame.size
        self._path = self._free_name(now)
        self._began, self._last = now, -1
        self._output = av.open(
            f"file:{self._path}", "w", format={"mp4": "mp4", "mkv": "matroska"}[self._container],
            container_options=MUXER_OPTIONS[self._container],
        )  # fmt: skip
        self._pixel_format = "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"
        self._colour = encoding_colour(Colour(), self._pixel_format, height)
        options = {"crf": str(self._crf), "preset": self._preset}
        if self._encoder == "libx265":
            options["x265-params"] = "log-level=none"
        video = self._output.add_stream(self._encoder, rate=25, options=options)
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.width, context.height = width, height
        context.pix_fmt, context.time_base = self._pixel_format, TIME_BASE
        context.gop_size, context.max_b_frames = 25 * FRAGMENT_S, 0
        video.time_base = TIME_BASE
        tag(context, self._colour)
        if self._encoder == "libx265" and self._container == "mp4":
            context.codec_tag = "hvc1"
        self._video = video
        self.segments += 1

    def _free_name(self, now: int) -> Path:
        begun = datetime.datetime.fromtimestamp(now / 1e9, datetime.UTC)
        stem = f"{self._camera}-{begun:%Y%m%dT%H%M%SZ}"
        for number in range(1000):
            suffix = f"-{number}" if number else ""
            path = self._folder / f"{stem}{suffix}.{self._container}"
            if not path.exists():
                return path
        raise OutputError(f"{self._folder} holds a thousand segments of {stem}; clear it up")

    def _drop(self) -> None:
        """Let go of the file without a word; what is on the disk stays."""
        output, self._output, self._video = self._output, None, None
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                output.close()
