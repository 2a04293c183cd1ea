"""Record a live camera in segments that can be played whatever happens."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from streamderain.colour import encoding_colour, tag
from streamderain.conversion import to_encode
from streamderain.errors import OutputError
from streamderain.frame import Colour, Frame
from streamderain.writers.atomic import explain_os_error
from streamderain.writers.base import LeftOutError

__all__ = ["FAILED", "Retries", "SegmentRecorder"]

log = logging.getLogger("streamderain")

FAILED = "writer-error"
"""Why frames are left out until a new segment is tried."""

TIME_BASE = Fraction(1, 90000)

KEY_FRAMES = 50
"""Frames between two key frames, to which players can jump."""

FRAGMENT_MS = 500
"""So much goes into the file at once; what came after it is lost where the program dies."""

LOOKAHEAD = 5
"""Frames that the encoder looks ahead, whatever its preset, and holds back: they are in no file."""

MUXER_OPTIONS = {
    "mp4": {
        "movflags": "+frag_keyframe+empty_moov+default_base_moof",
        "frag_duration": str(FRAGMENT_MS * 1000),
        "flush_packets": "1",
    },
    "mkv": {"cluster_time_limit": str(FRAGMENT_MS), "flush_packets": "1"},
}

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 60.0
"""Between a failure and the next try, doubled each time."""

STEADY_S = 10.0
"""Recording that has gone well for so long goes on: the next failure is a new one."""


class Retries:
    """When to try a new segment after a failure, and what of it is worth a word: pure."""

    def __init__(self) -> None:
        self._failing: object = None
        self._tries = 0
        self._retry_at = float("-inf")
        self._well_since: float | None = None

    def may_open(self, now: float) -> bool:
        """Whether a segment may be begun, at ``now`` in monotonic seconds."""
        return now >= self._retry_at

    def failed(self, what: object, now: float) -> bool:
        """Note a failure; True where it was not said yet.

        Args:
            what: tells failures of one kind from others; not None.
            now: monotonic seconds.
        """
        self._retry_at = now + min(MOST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._tries, 60))
        self._tries += 1
        self._well_since = None
        news, self._failing = what != self._failing, what
        return news

    def worked(self, now: float) -> bool:
        """Note a frame that was taken; True where it goes on after a failure, once it is steady."""
        if self._failing is None:
            return False
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since < STEADY_S:
            return False
        self._failing, self._tries = None, 0
        return True


class _File:
    """The file of a segment; without a buffer of its own, so that what is there is known.

    libav's own isn't closed where not even the header could be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("xb", buffering=0)
        self._header = self._whole = 0
        self._torn = False

    def write(self, data: bytes) -> int:
        """Write all of it; after a failure, nothing more."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._raw.write(rest) :]
        except OSError:
            self._torn = True
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def began(self) -> None:
        """Note that the header is there, and no frame."""
        self._header = self._whole = self.tell()

    def passed(self) -> None:
        """Note that a packet was taken: fragments go to the file at once, so it is whole here."""
        self._whole = self.tell()

    def close(self, *, empty: bool = False) -> None:
        """Close it; a fragment that failed is cut off, a file without frames is removed."""
        with contextlib.suppress(OSError), self._raw:
            if self._torn:
                self._raw.truncate(self._whole)
        if empty or (self._torn and self._whole <= self._header):
            with contextlib.suppress(OSError):
                self._path.unlink()


class SegmentRecorder:
    """Writes frames into ``FOLDER/CAMERA-20261121T043603Z.mp4`` and the like.

    A segment is named by the time of its first frame (UTC), is written in fragments of half a
    second, and can be played up to the last one even when the program dies: what is lost then are
    that half second and some six frames that the encoder holds. A change of picture size, a
    new session, or a step of the clock begins a new segment.

    After a failure (a full disk) the segment is cut after its last whole fragment, or removed where
    it has none; frames are left out until a new one is tried, after 1 s, and twice as long each
    time up to 60 s. The failure is raised once, and that it goes on is logged.

    Args:
        folder: made where it isn't there; ``{camera}`` in it is the camera's id.
        camera: id.
        segment_s: length of a segment in seconds.
        container: ``mp4`` or ``mkv``.
        codec: ``h264`` or ``hevc``.
        crf: quality, lower is better.
        preset: the encoder's name for speed.
        clock: nanoseconds since 1970, for frames without a time.
        monotonic: seconds, for the waits after a failure.

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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = Path(str(folder).replace("{camera}", camera))
        self._camera, self._segment_ns = camera, round(segment_s * 1e9)
        self._container, self._encoder = container, {"h264": "libx264", "hevc": "libx265"}[codec]
        self._crf, self._preset, self._clock = crf, preset, clock
        self._monotonic, self._retries = monotonic, Retries()
        self._output: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._path: Path | None = None
        self._began = self._last = 0
        self._file: _File | None = None
        self._holds_frames = False
        self._key: tuple[object, ...] = ()
        self.segments = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self._folder) from error

    def write(self, frame: Frame) -> None:
        """Record one frame.

        Raises:
            OutputError: the disk is full or the like; said once, though it may fail again.
            LeftOutError: it still fails, or it is not yet time for the next try.
        """
        try:
            self._record(frame)
        except LeftOutError:  # it is not yet time for the next try
            raise
        except (av.FFmpegError, OSError, OutputError) as error:
            self._drop()
            told = self._explained(error)
            what = getattr(error.__cause__ or error, "errno", None) or str(error)
            if self._retries.failed(what, self._monotonic()):
                raise told from error
            raise LeftOutError(str(told), FAILED) from None
        if self._retries.worked(self._monotonic()):
            log.info("%s: it is recorded again, now to %s", self._camera, self._path)

    def close(self) -> None:
        """End the segment; harmless twice.

        Raises:
            OutputError: its end can't be written.
        """
        try:
            self._end()
        except (av.FFmpegError, OSError) as error:
            raise self._explained(error) from error

    def _record(self, frame: Frame) -> None:
        now = frame.t_capture_ns or self._clock()
        key = (frame.size, frame.session)
        due = not self._began <= now < self._began + self._segment_ns
        if self._output is None or key != self._key or due:
            self._end()
            self._begin(frame, now)
            self._key = key
        assert self._video is not None
        picture = to_encode(frame.picture, self._colour, self._pixel_format)
        ticks = max(round((now - self._began) * TIME_BASE.denominator / 1e9), self._last + 1)
        picture.pts, picture.time_base, self._last = ticks, TIME_BASE, ticks
        self._mux(self._video.encode(picture))

    def _mux(self, packets: list[av.Packet[VideoStream]]) -> None:
        assert self._output is not None and self._file is not None
        for packet in packets:
            self._output.mux_one(packet)
            self._file.passed()
            self._holds_frames = True

    def _end(self) -> None:
        if self._output is None or self._video is None:
            return
        try:
            self._mux(self._video.encode(None))
            self._output.close()
        finally:
            self._drop()

    def _explained(self, error: Exception) -> OutputError:
        if isinstance(error, OutputError):
            return error
        assert isinstance(error, OSError | av.FFmpegError)
        plain = OSError(error.errno or 0, error.strerror or str(error))
        return explain_os_error(plain, self._path or self._folder)

    def _begin(self, frame: Frame, now: int) -> None:
        if not self._retries.may_open(self._monotonic()):
            raise LeftOutError(f"{self._folder} couldn't be written to just now", FAILED)
        height, width = frame.size
        self._path = self._free_name(now)
        self._holds_frames = False
        self._began, self._last = now, -1
        self._file = _File(self._path)
        self._output = av.open(
            self._file, "w", format={"mp4": "mp4", "mkv": "matroska"}[self._container],
            container_options=MUXER_OPTIONS[self._container],
        )  # fmt: skip
        self._pixel_format = "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"
        self._colour = encoding_colour(frame.coded or Colour(), self._pixel_format, height)
        options = {"crf": str(self._crf), "preset": self._preset}
        if self._encoder == "libx265":
            options["x265-params"] = f"log-level=none:rc-lookahead={LOOKAHEAD}:frame-threads=1"
        else:
            options["rc-lookahead"] = str(LOOKAHEAD)
        video = self._output.add_stream(self._encoder, rate=25, options=options)
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.width, context.height = width, height
        context.pix_fmt, context.time_base = self._pixel_format, TIME_BASE
        context.gop_size, context.max_b_frames = KEY_FRAMES, 0
        video.time_base = TIME_BASE
        tag(context, self._colour)
        if self._encoder == "libx265" and self._container == "mp4":
            context.codec_tag = "hvc1"
        self._video = video
        self._output.start_encoding()
        self._file.began()
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
        """Let go of the file without a word; what can be played of it stays."""
        output, file = self._output, self._file
        self._output = self._video = self._file = None
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                output.close()
        if file is not None:
            file.close(empty=not self._holds_frames)
