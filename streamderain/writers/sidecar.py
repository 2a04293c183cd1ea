"""What stands beside the picture in a file, copied as it is: sound, subtitles, data, tags.

Packets are copied, never decoded: their payload and their times stay as they were. The source is
opened a second time and read only as far as the picture has come, so that nothing piles up.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.stream import Discard, Stream

from streamderain.media.opening import choose_video, open_media
from streamderain.writers.encoders import Container

__all__ = ["SidecarStreams", "picture_tags"]

INTERLEAVED_S = 30
"""Seconds by which packets of one time may lie apart in a file."""
MAX_READ_ERRORS = 1000
"""After so many errors in a row the rest of the source is given up."""

STALE_FILE_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that describe the source's container rather than what is in it."""

STALE_STREAM_TAGS = (
    "encoder", "rotate", "BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_",
)  # fmt: skip
"""Beginnings of tags that describe the source's coding of the picture."""


def picture_tags(stream: Stream) -> dict[str, str]:
    """Return the tags of a video stream that stay true when it is coded anew."""
    return {
        key: value
        for key, value in stream.metadata.items()
        if not key.startswith(STALE_STREAM_TAGS)
    }


class SidecarStreams:
    """Copy all of a source but its picture into an output that somebody else owns.

    Args:
        source: the file.
        container: what the target is.
        start, end: seconds after the first picture between which to copy; None for all.

    Attributes:
        notes: what the target can't hold and what was damaged, one sentence each.
        shift: seconds added to every time, for targets whose clock starts at zero.

    Raises:
        InputError: the source can't be opened.
    """

    def __init__(
        self, source: Path, container: Container, *, start: float | None, end: float | None
    ) -> None:
        self.notes: list[str] = []
        self._target = container
        self._input = open_media(source)
        self._name = str(source)
        self.video = choose_video(self._input, source)
        self.video.discard = Discard.all
        origin = (self.video.start_time or 0) * (self.video.time_base or Fraction(1))
        self._start = None if not start else origin + Fraction(start)
        self._end = None if end is None else origin + Fraction(end)
        self._outputs: dict[int, Stream] = {}
        self._refused: dict[int, int] = {}
        self._packets: Iterator[av.Packet[Stream]] = iter(())
        self._waiting: av.Packet[Stream] | None = None
        self.shift = Fraction(0)
        if not container.variable_rate:  # its clock starts at zero
            self.shift = -origin

    @property
    def before(self) -> list[Stream]:
        """Streams that stand before the picture."""
        return [stream for stream in self._input.streams if stream.index < self.video.index]

    @property
    def after(self) -> list[Stream]:
        """Streams that stand after the picture."""
        return [stream for stream in self._input.streams if stream.index > self.video.index]

    def attach_tags(self, output: OutputContainer) -> None:
        """Copy the tags of the file and its chapters."""
        for key, value in self._input.metadata.items():
            if key.lower() not in STALE_FILE_TAGS:
                output.metadata[key] = value
        chapters = self._input.chapters()
        if not chapters:
            return
        if self._target.chapters:
            output.set_chapters(chapters)
        else:
            self.notes.append(f"{self._target.title} holds no chapters; they are left out.")

    def attach(self, output: OutputContainer, streams: Iterable[Stream]) -> None:
        """Make an output stream for each of ``streams`` that the target holds; note the others."""
        for stream in streams:
            if self._is_left_out_quietly(stream):
                stream.discard = Discard.all
                continue
            if not _holds(self._target, stream):
                self.notes.append(
                    f"{self._target.title} can't hold the {_describe(stream)} of the source; it "
                    "is left out."
                )
                stream.discard = Discard.all
                continue
            self._outputs[stream.index] = _add(output, stream)

    def start(self) -> None:
        """Begin to read; after all streams are attached."""
        wanted = [s for s in self._input.streams if s.index in self._outputs]
        wanted = [stream for stream in wanted if stream.type != "attachment"]
        self._packets = self._read(wanted) if wanted else iter(())
        self._waiting = next(self._packets, None)

    def copy(self, output: OutputContainer, until: Fraction | None) -> None:
        """Copy the packets up to the time ``until``, in seconds; None for all that is left.

        Raises:
            av.FFmpegError: the target can't be written.
        """
        while self._waiting is not None:
            time = _time_of(self._waiting)
            if until is not None and time is not None and time > until:
                return
            if self._end is not None and time is not None and time > self._end + INTERLEAVED_S:
                self._waiting = None  # the rest of a long recording has nothing for a piece of it
                return
            self._copy_one(output, self._waiting, time)
            self._waiting = next(self._packets, None)

    def close(self) -> None:
        """Let go of the source, and note what was damaged."""
        for index, count in self._refused.items():
            what = _describe(self._input.streams[index])
            self.notes.append(f"{count} damaged packets of the {what} could not be copied.")
        self._refused.clear()
        self._waiting = None
        self._input.close()

    def _copy_one(
        self, output: OutputContainer, packet: av.Packet[Stream], time: Fraction | None
    ) -> None:
        if time is not None and (
            (self._start is not None and time < self._start)
            or (self._end is not None and time >= self._end)
        ):
            return
        index = packet.stream.index
        _trim(packet)
        packet.stream = self._outputs[index]
        if self.shift:
            _shift(packet, self.shift)
        try:
            output.mux_one(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError, ValueError):
            self._refused[index] = self._refused.get(index, 0) + 1

    def _read(self, streams: list[Stream]) -> Iterator[av.Packet[Stream]]:
        errors = in_a_row = 0
        while in_a_row < MAX_READ_ERRORS:
            try:
                for packet in self._input.demux(*streams):
                    in_a_row = 0
                    if packet.size:
                        yield packet
                break
            except av.FFmpegError:
                errors += 1
                in_a_row += 1
        if errors:
            self.notes.append(
                f"{self._name} is damaged; of its sound and other streams, all that could be read "
                "was copied."
            )

    def _is_left_out_quietly(self, stream: Stream) -> bool:
        """Further videos are the reader's note; MP4 keeps chapter titles as a track of its own."""
        if stream.type == "video":
            return not stream.disposition & av.stream.Disposition.attached_pic
        return stream.type == "data" and stream.name == "bin_data" and bool(self._input.chapters())


def _add(output: OutputContainer, stream: Stream) -> Stream:
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _holds(container: Container, stream: Stream) -> bool:
    """Try it out on a header written to nowhere: only the muxer knows what it takes."""
    try:
        with av.open(io.BytesIO(), "w", format=container.muxer) as trial:
            picture = "vp8" if container.muxer == "webm" else "mpeg4"
            trial.add_mux_stream(picture, rate=25, width=16, height=16, time_base=Fraction(1, 25))
            _add(trial, stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _describe(stream: Stream) -> str:
    """Return e.g. ``subtitle stream 3 (subrip)``."""
    context = stream.codec_context
    codec = context.codec.canonical_name if context else stream.name
    kind = "cover picture" if stream.type == "video" else f"{stream.type} stream"
    return f"{kind} {stream.index}" + (f" ({codec})" if codec else "")


def _time_of(packet: av.Packet[Stream]) -> Fraction | None:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def _trim(packet: av.Packet[Stream]) -> None:
    """Let the last packet of a track end where the track does: parsers round it up to a block."""
    stream = packet.stream
    if stream.duration and packet.pts is not None and packet.duration:
        left = (stream.start_time or 0) + stream.duration - packet.pts
        if 0 < left < packet.duration:
            packet.duration = left


def _shift(packet: av.Packet[Stream], seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base)
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
