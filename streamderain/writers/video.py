"""Frames into a video file that takes the place of its source: times, colours, sound and tags."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
from av.container import OutputContainer
from av.video.stream import VideoStream

from streamderain.colour import encoding_colour, tag
from streamderain.conversion import to_encode
from streamderain.errors import InputError, OutputError, UsageError
from streamderain.frame import Frame, Pixels, SourceFormat
from streamderain.writers.atomic import AtomicFile, explain_os_error
from streamderain.writers.encoders import Container, choose_container, finer_chroma_note
from streamderain.writers.opening import first_encoder, hush_svt, set_up
from streamderain.writers.sidecar import SidecarStreams, picture_tags

__all__ = ["VideoFileWriter"]

MAX_TIMESCALE = 10_000_000
"""Ticks a second in an MP4's header; finer ones would overflow players' 32 bits in minutes."""

STUCK_S = 2.0
"""How long :meth:`VideoFileWriter.abandon` waits for another thread's write, in seconds."""


class VideoFileWriter:
    """Write a video file (:class:`~streamderain.writers.base.Writer`).

    The target holds the frames given to :meth:`write` at their own times, in the colours of the
    source and tagged like it, upright, and a copy of everything else the source holds: sound,
    subtitles, data, attachments, cover, chapters, tags. What its container can't hold is in
    :attr:`notes`. It appears under its name only in :meth:`finish`, whole.

    Example::

        writer = VideoFileWriter(Path("clean.mp4"), reader.format, source=Path("rain.mp4"))
        try:
            for frame in reader:
                writer.write(frame)
            writer.finish()
        except BaseException:
            writer.abandon()
            raise

    Args:
        target: its ending chooses the container.
        format: of the frames to come.
        source: the file whose sound and other streams are copied; None for none.
        codec: ``h264``, ``hevc``, ``av1`` or ``ffv1`` (lossless).
        crf: constant quality on the codec's scale, lower is better; None for visually lossless.
        preset: the encoder's name for speed against size; None for its default.
        bitrate: bits a second, as cameras are set up, instead of constant quality.
        overwrite: replace a target that exists.
        sample_start, sample_end: seconds after the source's first frame between which other
            streams are copied; None for all.
        device: ``cuda`` encodes on the GPU where it has an encoder that works.

    Attributes:
        encoder: FFmpeg's name of the encoder in use.
        pixel_format: what it encodes.

    Raises:
        UsageError: the ending, the codec or the encoder's settings make no sense.
        OutputError: the target exists, is the source, or can't be written.
        InputError: the source can't be opened.
    """

    def __init__(
        self,
        target: Path,
        format: SourceFormat,
        *,
        source: Path | None = None,
        codec: str = "h264",
        crf: int | None = None,
        preset: str | None = None,
        bitrate: int | None = None,
        overwrite: bool = False,
        sample_start: float | None = None,
        sample_end: float | None = None,
        device: str = "cpu",
    ) -> None:
        self._target = Path(target)
        self._format = format
        self._codec = codec
        self._container = self._choose_container(codec)
        self._frames = 0
        self._notes: list[str] = []
        self._said: set[str] = set()
        self._last_pts: int | None = None
        self._first_pts: int | None = None
        self._durations: dict[int, int] = {}
        self._lock = threading.Lock()  # libav must not be closed under a writing thread
        chosen = first_encoder(format, codec, crf, preset, bitrate, cuda=device == "cuda")
        self.encoder, self.pixel_format = chosen.name, chosen.pixel_format
        self._options = chosen.options
        self._colour = encoding_colour(format.colour, self.pixel_format, format.height)
        finer = finer_chroma_note(
            self._container, codec, self.encoder, format.pixel_format, format.height, format.width,
            turned=format.rotation % 180 != 0,
        )  # fmt: skip
        if finer:
            self._say(finer)
        self._sidecar: SidecarStreams | None = None
        self._output: OutputContainer | None = None
        self._file = self._reserve(overwrite, [source] if source else [])
        try:
            if source is not None:
                self._sidecar = SidecarStreams(
                    source, self._container, start=sample_start, end=sample_end
                )
            self._output, self._video = self._open()
        except BaseException:
            self.abandon()
            raise

    @property
    def notes(self) -> list[str]:
        """What the target could not hold, one sentence each."""
        return self._notes + (self._sidecar.notes if self._sidecar else [])

    @property
    def frames(self) -> int:
        """How many frames were written."""
        return self._frames

    def write(self, frame: Frame) -> None:
        """Write one frame; in order of presentation.

        Raises:
            OutputError: the disk is full, or the like.
        """
        with self._lock, self._explained():
            output = self._opened()
            picture = self._coded(frame)
            picture.pts, picture.time_base = self._ticks(frame), self._time_base
            if frame.duration:
                ticks = frame.duration * frame.time_base / self._time_base
                self._durations[picture.pts] = max(1, round(ticks))
            self._mux(output, self._video.encode(picture))
            if self._sidecar:
                self._sidecar.copy(output, picture.pts * self._time_base - self._sidecar.shift)
            self._frames += 1

    def finish(self) -> None:
        """Flush the encoder, copy what is left of the source, sync, and put the target in place.

        Raises:
            OutputError: the disk is full, or the target has appeared meanwhile.
        """
        with self._lock, self._explained():
            output = self._opened()
            self._flush(output)
            if self._sidecar:
                self._sidecar.copy(output, None)
                self._sidecar.close()
            output.close()
            self._output = None
            self._note_delay()
            self._file.commit()

    def abandon(self) -> None:
        """Remove what was written; harmless twice, and after :meth:`finish`."""
        if self._lock.acquire(timeout=STUCK_S):
            try:
                self._discard()
            finally:
                self._lock.release()
        else:  # another thread is stuck inside libav: leave that alone, but not the file
            self._file.discard()

    def _choose_container(self, codec: str) -> Container:
        return choose_container(self._target, codec)

    def _reserve(self, overwrite: bool, sources: list[Path]) -> AtomicFile:
        return AtomicFile(self._target, overwrite=overwrite, sources=sources)

    def _flush(self, output: OutputContainer) -> None:
        rest = self._video.encode(None)
        if self.encoder == "libx265" and self._frames < 3:  # too few for it to know their dts
            for packet in rest:
                packet.dts = packet.pts
        self._mux(output, rest)

    @property
    def _time_base(self) -> Fraction:
        """Of the encoder: the source's, or the grid of a container that has one."""
        if self._container.variable_rate:
            return self._format.time_base
        return 1 / (self._format.frame_rate or Fraction(25))

    def _open(self) -> tuple[OutputContainer, VideoStream]:
        sidecar = self._sidecar
        with self._explained():
            output = av.open(
                f"file:{self._file.path}",
                "w",
                format=self._container.muxer,
                container_options=self._muxer_options(),
                metadata_errors="surrogateescape",
            )
            try:
                if sidecar:
                    sidecar.attach_tags(output)
                    sidecar.attach(output, sidecar.before)
                video = self._add_video(output)
                if sidecar:
                    video.metadata.update(picture_tags(sidecar.video))
                    video.disposition = sidecar.video.disposition
                    sidecar.attach(output, sidecar.after)
                    sidecar.start()
                hush_svt()
                output.start_encoding()
            except BaseException:
                with contextlib.suppress(av.FFmpegError):
                    output.close()
                raise
        return output, video

    def _add_video(self, output: OutputContainer) -> VideoStream:
        video = output.add_stream(
            self.encoder, rate=self._format.frame_rate or Fraction(25), options=self._options
        )
        assert isinstance(video, VideoStream)
        set_up(video.codec_context, self.pixel_format, self._time_base, self._format)
        video.time_base = self._time_base
        tag(video.codec_context, self._colour)
        if self._codec == "hevc" and self._container.muxer in ("mp4", "mov"):
            video.codec_context.codec_tag = "hvc1"  # what Apple's players ask for
        if not self._container.variable_rate:
            video.codec_context.max_b_frames = 0  # no room for times out of order
        return video

    def _muxer_options(self) -> dict[str, str]:
        if self._container.muxer in ("mp4", "mov"):
            ticks = self._time_base.denominator
            return {
                "movflags": "+faststart",
                "video_track_timescale": str(ticks),
                "movie_timescale": str(self._movie_timescale(ticks)),
            }
        if self._container.muxer == "mpegts":
            return {"mpegts_copyts": "1"}
        if self._container.muxer == "avi":
            return {"avoid_negative_ts": "disabled"}
        return {}

    def _movie_timescale(self, ticks: int) -> int:
        """Return a unit in which the start of every track is a whole number.

        MP4 keeps the time at which a track begins in units of the whole movie, 1 ms by default.
        """
        if self._sidecar:
            for stream in self._sidecar.before + self._sidecar.after:
                both = math.lcm(ticks, (stream.time_base or Fraction(1)).denominator)
                ticks = both if both <= MAX_TIMESCALE else ticks
        return ticks

    def _opened(self) -> OutputContainer:
        if self._output is None:
            raise OutputError(f"{self._target} is already finished or abandoned; open a new writer")
        return self._output

    def _mux(self, output: OutputContainer, packets: list[av.Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
            output.mux_one(packet)

    def _note_delay(self) -> None:
        """Say where the muxer moved everything, because its container can't begin before zero.

        It decides that by the first packets of all streams; what it did is read from the result.
        """
        if self._first_pts is None or not self._container.variable_rate:
            return
        with av.open(f"file:{self._file.path}") as written:
            packet = next(written.demux(video=0))
            if packet.pts is None:
                return
            delay = packet.pts * packet.time_base - self._first_pts * self._time_base
        if delay * 1000 >= 1:
            self._say(
                f"{self._container.title} can't begin before time zero; picture and sound are both "
                f"{round(delay * 1000)} ms later than in the source."
            )

    def _ticks(self, frame: Frame) -> int:
        """Return the frame's time in units of the encoder's time base, later than the last."""
        step = 1 / ((self._format.frame_rate or Fraction(25)) * self._time_base)
        if frame.pts is None:
            exact = Fraction(0 if self._last_pts is None else self._last_pts + step)
        else:
            seconds = frame.pts * frame.time_base + (self._sidecar.shift if self._sidecar else 0)
            exact = seconds / self._time_base
            self._note_rounding(seconds)
        ticks = round(exact)
        if self._last_pts is not None:
            ticks = max(ticks, self._last_pts + 1)
        else:
            self._first_pts = ticks
        self._last_pts = ticks
        return ticks

    def _note_rounding(self, seconds: Fraction) -> None:
        """Say once where the container can't hold a time exactly."""
        title = self._container.title
        if self._container.muxer in ("matroska", "webm") and (seconds * 1000).denominator != 1:
            self._say(f"{title} holds times in milliseconds; those of the frames are rounded.")
        if not self._container.variable_rate:
            off = seconds / self._time_base % 1
            if Fraction(1, 20) < off < Fraction(19, 20):
                self._say(f"{title} holds a constant frame rate only; frames are moved to fit it.")

    def _coded(self, frame: Frame) -> av.VideoFrame:
        """Return a frame for the encoder; planes are left as they are where that can be."""
        fits = frame.size == (self._format.height, self._format.width)
        picture = frame.picture if fits else self._sized(frame.pixels)
        return to_encode(picture, self._colour, self.pixel_format)

    def _sized(self, pixels: Pixels) -> Pixels:
        """Scale a frame of another size, as after a change of resolution, to the first one's."""
        height, width = self._format.height, self._format.width
        if pixels.shape[:2] == (height, width):
            return pixels
        self._say(f"The source changes its resolution; all frames are scaled to {width}×{height}.")
        method = cv2.INTER_AREA if pixels.shape[0] > height else cv2.INTER_LINEAR
        return cv2.resize(pixels, (width, height), interpolation=method).astype("uint8", copy=False)

    def _say(self, note: str) -> None:
        if note not in self._said:
            self._said.add(note)
            self._notes.append(note)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what libav and the system say into a sentence; nothing half-written stays."""
        try:
            yield
        except (OutputError, InputError, UsageError):
            self._discard()
            raise
        except (av.FFmpegError, OSError) as error:
            self._discard()
            plain = OSError(error.errno or 0, error.strerror or str(error))
            raise explain_os_error(plain, self._target) from error

    def _discard(self) -> None:
        self._file.discard()  # first: closing then has nothing to rewrite
        output, self._output = self._output, None
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                output.close()
        if self._sidecar is not None:
            self._sidecar.close()
