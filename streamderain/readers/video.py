"""Frames of a recorded video file: every one, at its time, in its colours, upright."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streamderain.closing import ClosesAtExit
from streamderain.colour import HDR_TRANSFERS, TRANSFERS, bit_depth, colour_of, has_alpha
from streamderain.conversion import planes_of, to_rgb
from streamderain.errors import InputError
from streamderain.frame import Frame, Picture, SourceFormat, copy_of, size_of
from streamderain.media.opening import choose_video, open_media
from streamderain.media.truncation import is_cut_short
from streamderain.readers.decoding import Decoded, TolerantDecoder
from streamderain.readers.orientation import Orientation, orientation_of
from streamderain.readers.timeline import Timeline

__all__ = ["VideoFileReader", "damage"]

INTERLACED_FIELD_ORDERS = (2, 3, 4, 5)
"""AVFieldOrder: top or bottom field first, coded and shown in either order."""


class VideoFileReader(ClosesAtExit):
    """Read a video file (:class:`~streamderain.readers.base.Reader`).

    Every frame that can be decoded is given, with the presentation time that the container holds.
    Frames before the first one that is decodable (a recording that starts between two key frames)
    are not, as in every player. Damage doesn't end the reading: a damaged frame is given as the
    decoder saved it; one that was lost altogether is replaced by a repeat of the one before, at
    the lost one's time; both are marked ``corrupt``. Where the picture size changes, the following
    frames belong to a new session.

    Example::

        with VideoFileReader(Path("rain.mp4")) as reader:
            for frame in reader:
                show(frame.pixels)

    Args:
        path: the file.
        camera: id given to the frames; None makes one of the file's name.
        start: seconds after the first frame at which to begin, or None for the beginning.
        duration: seconds to read, or None for all.
        planes: give pictures as they are coded (:class:`~streamderain.picture.Planes`) where that
            is 4:2:0 in 8 bits, of an even size and upright: nothing is converted for those who
            don't ask for RGB.

    Raises:
        InputError: the file is missing, not readable, no video, or without a single frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        camera: str | None = None,
        start: float | None = None,
        duration: float | None = None,
        planes: bool = False,
    ) -> None:
        self._path = Path(path)
        self._planes = planes
        self._camera = camera or _camera_id(self._path)
        self._start = start or 0.0
        self._duration = None if duration is None else _exactly(duration)
        self._corrupt = 0
        self._problems: list[str] = []
        self._closed = False
        self._lock = threading.Lock()  # libav must not be closed under a decoding thread
        self._container = open_media(self._path)
        try:
            self._stream = choose_video(self._container, self._path)
            self._time_base = self._stream.time_base or Fraction(1, 90000)
            self._decoder = TolerantDecoder(self._container, self._stream)
            self._pictures = self._from(self._start)
            first = next((picture for picture in self._pictures if picture.frame), None)
            if first is None or first.frame is None:
                raise InputError(self._nothing_found())
            self._orientation = orientation_of(first.frame)
            self._format = _describe(self._container, self._stream, first.frame, self._orientation)
        except BaseException:
            self._container.close()
            raise
        self._pictures = itertools.chain([first], self._pictures)
        if self._duration is not None and self._format.frames and self._format.frame_rate:
            # What is left out is not waited for: of progress and time left this is the whole.
            piece = max(1, round(self._duration * self._format.frame_rate))
            self._format = replace(self._format, frames=min(piece, self._format.frames))

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def format(self) -> SourceFormat:
        """What is known before reading; of a piece, its notes are complete at the end."""
        return self._format

    @property
    def problems(self) -> list[str]:
        """Sentences about damage to the file, complete at the end."""
        return self._problems

    @property
    def corrupt_frames(self) -> int:
        """How many frames so far were damaged or lost."""
        return self._corrupt

    def __iter__(self) -> Iterator[Frame]:
        step = _nominal_step(self._format)
        timeline = Timeline(step, self._time_base)
        last: Picture | None = None
        session = index = given = 0
        first_pts = None
        ended, complete = True, False
        for decoded in self._locked():
            fresh = self._picture(decoded)
            if fresh is None and last is None:
                continue
            if fresh is not None and last is not None and size_of(fresh) != size_of(last):
                session, index = session + 1, 0
            last = fresh if fresh is not None else last
            assert last is not None
            pts = timeline.place(decoded.pts)
            first_pts = pts if first_pts is None else first_pts
            if self._duration is not None and (
                (pts - first_pts) * self._time_base >= self._duration
            ):
                ended, complete = False, True
                break
            corrupt = decoded.frame is None or decoded.frame.is_corrupt
            self._corrupt += corrupt
            yield Frame(
                camera=self._camera,
                session=session,
                index=index,
                pts=pts,
                time_base=self._time_base,
                duration=(decoded.frame.duration or None) if decoded.frame else None,
                picture=last if fresh is not None else copy_of(last),
                corrupt=corrupt,
            )
            index += 1
            given += 1
            if self._duration is not None:
                complete = (pts + step - first_pts) * self._time_base >= self._duration
        if self._closed:
            return
        cut_short = (ended or self._duration is not None) and self._is_cut_short()
        if ended and not (cut_short and complete):
            self._note_missing(given, cut_short=cut_short)
        if self._duration is not None and not self._problems:
            self._note_piece(cut_short=cut_short, ended=ended)

    def close(self) -> None:
        """Let go of the file; harmless twice, and while another thread iterates."""
        self._closed = True
        with self._lock:
            self._container.close()

    def _from(self, start: float) -> Iterator[Decoded]:
        """Give the pictures from ``start`` seconds after the first one."""
        origin = self._stream.start_time or 0
        wanted = origin + round(_exactly(start) / self._time_base)
        if start > 0:
            with contextlib.suppress(av.FFmpegError):  # not seekable: read and skip
                self._container.seek(wanted, stream=self._stream)
        for picture in self._decoder:
            if start <= 0 or picture.pts is None or picture.pts >= wanted:
                yield picture

    def _locked(self) -> Iterator[Decoded]:
        """Give the pictures; libav works only while the lock is held."""
        while True:
            with self._lock:
                if self._closed:
                    return
                picture = next(self._pictures, None)
            if picture is None:
                return
            yield picture

    def _picture(self, decoded: Decoded) -> Picture | None:
        if decoded.frame is None:
            return None
        if self._planes and self._orientation.is_upright:
            planes = planes_of(decoded.frame, self._format.colour)
            if planes is not None:
                return planes
        return self._orientation.upright(to_rgb(decoded.frame, self._format.colour))

    def _nothing_found(self) -> str:
        if self._start:
            return f"{self._path} has no frame after {self._start:g} s; begin earlier"
        return (
            f"{self._path} has a video stream, but not one frame of it can be decoded; the file "
            "is damaged, or holds no pictures yet"
        )

    def _is_cut_short(self) -> bool:
        return is_cut_short(self._path, self._container.format.name)

    def _note_missing(self, given: int, *, cut_short: bool) -> None:
        if cut_short or self._decoder.read_errors or self._packets_missing():
            expected = self._format.frames
            self._problems.append(damage(self._path, given, expected, cut_short=cut_short))

    def _note_piece(self, *, cut_short: bool, ended: bool) -> None:
        """Say of a piece without problems what its length doesn't tell."""
        if cut_short:
            self._note(
                "The source is truncated, though only after the sample; copy the file again if "
                "there is a whole one."
            )
        elif ended:
            self._note("The source is not longer than the sample; all of it is in the result.")

    def _note(self, note: str) -> None:
        self._format = replace(self._format, notes=(*self._format.notes, note))

    def _packets_missing(self) -> bool:
        """Only MP4 counts its packets; elsewhere the number is an estimate."""
        counted = "mp4" in self._container.format.name and not self._start
        return counted and self._decoder.packets < self._stream.frames


def damage(path: Path, given: int, expected: int | None, *, cut_short: bool) -> str:
    """Return what is to be said of a damaged file.

    Args:
        path: of the file.
        given: frames that could be read.
        expected: about how many there should be, or None.
        cut_short: bytes are missing at the end.
    """
    about = f" of about {expected}" if (expected or 0) > given else ""
    return (
        f"{path} is {'truncated' if cut_short else 'damaged'}: {given}{about} frames could be "
        "read; copy the file again if there is a whole one"
    )


def _camera_id(path: Path) -> str:
    """Make a camera id, ``[A-Za-z0-9._-]{1,64}``, of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.stem)[:64] or "video"


def _exactly(seconds: float) -> Fraction:
    """Return 1/5 for 0.2, which as a float is a little more."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _nominal_step(source: SourceFormat) -> int:
    """Duration of a frame in units of the time base."""
    rate = source.frame_rate or Fraction(25)
    return max(1, round(1 / (rate * source.time_base)))


def _describe(
    container: InputContainer, stream: VideoStream, frame: av.VideoFrame, orientation: Orientation
) -> SourceFormat:
    time_base = stream.time_base or Fraction(1, 90000)
    rate = stream.average_rate or stream.guessed_rate or None
    duration = _duration(container, stream)
    expected = round(duration * rate) if duration and rate else None
    aspect = stream.sample_aspect_ratio or Fraction(1)
    height, width = frame.height, frame.width
    if orientation.transpose:
        height, width, aspect = width, height, 1 / aspect
    return SourceFormat(
        height=height,
        width=width,
        frame_rate=rate,
        time_base=time_base,
        frames=stream.frames or expected,
        duration_s=float(duration) if duration else None,
        sample_aspect_ratio=aspect,
        rotation=orientation.rotation,
        pixel_format=frame.format.name,
        colour=colour_of(frame, frame.format.name, frame.height),
        notes=tuple(_notes(container, stream, frame, orientation)),
    )


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return seconds: the stream's, else the whole file's."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


def _notes(
    container: InputContainer, stream: VideoStream, frame: av.VideoFrame, orientation: Orientation
) -> Iterator[str]:
    pixel_format = frame.format.name
    depth = bit_depth(pixel_format)
    if depth > 8:
        yield f"The source has {depth} bits a sample; it is cleaned and written with 8."
    hdr = HDR_TRANSFERS.get(TRANSFERS.get(frame.color_trc, ""))
    if hdr:
        yield f"The source is HDR ({hdr}); it is cleaned as it is coded, without tone mapping."
    if has_alpha(pixel_format):
        yield "The source has transparency, which is dropped."
    if frame.interlaced_frame or stream.codec_context.field_order in INTERLACED_FIELD_ORDERS:
        yield "The source is interlaced; it is cleaned and written as progressive."
    if not orientation.exact:
        yield "The source asks to be shown at an odd angle, which is ignored."
    others = [other for other in container.streams.video if other.index != stream.index]
    if any(not other.disposition & Disposition.attached_pic for other in others):
        yield "The source has several video streams; only the first is cleaned."
