"""Pieces of a video, coded one by one, and the video that they become without being coded again.

A piece is a NUT file of the picture alone: that container takes every codec here, keeps exact
times, and any player shows it. It moves times below zero to zero and keeps none of decoding; both
come back from the map of the frames (:mod:`streamderain.framemap`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.format import ContainerFormat
from av.video.stream import VideoStream

from streamderain.errors import OutputError
from streamderain.frame import SourceFormat
from streamderain.media.scanning import displacement
from streamderain.writers.atomic import AtomicFile
from streamderain.writers.encoders import Container, choose_container
from streamderain.writers.video import VideoFileWriter

__all__ = ["JoiningWriter", "Piece", "PieceWriter", "read_piece"]


GLOBAL_HEADER = 0x40
"""AVFMT_GLOBALHEADER: a container that keeps what a decoder must know apart from the packets."""


class PieceWriter(VideoFileWriter):
    """Write a piece of a video (:class:`~streamderain.writers.base.Writer`).

    Args:
        target: the piece.
        format: of the source as a whole.
        whole: the video that it will be a piece of; its ending chooses what is coded how.
        codec, crf, preset, overwrite, device: as
            :class:`~streamderain.writers.video.VideoFileWriter` takes them.

    Raises:
        UsageError, OutputError: as there.
    """

    def __init__(
        self, target: Path, format: SourceFormat, *, whole: Path, codec: str, crf: int | None,
        preset: str | None, overwrite: bool, device: str,
    ) -> None:  # fmt: skip
        self._whole = whole
        super().__init__(
            target, format, codec=codec, crf=crf, preset=preset, overwrite=overwrite, device=device
        )

    @property
    def parameters(self) -> bytes:
        """What a decoder must know before the first packet: all pieces of a video have the same.

        Empty where the container wants it said again in every key frame, as MPEG-TS does.
        """
        return bytes(self._video.codec_context.extradata or b"")

    def _choose_container(self, codec: str) -> Container:
        return replace(choose_container(self._whole, codec), muxer="nut", title="NUT")

    def _add_video(self, output: OutputContainer) -> VideoStream:
        video = super()._add_video(output)
        whole = choose_container(self._whole, self._codec)
        if not ContainerFormat(whole.muxer, "w").flags & GLOBAL_HEADER:
            video.codec_context.flags &= ~Flags.global_header
        return video

    def _note_delay(self) -> None:
        pass


@dataclass(frozen=True)
class Piece:
    """What a piece holds.

    Attributes:
        path: of the file.
        parameters: as :attr:`PieceWriter.parameters`.
        times: of its packets in the order of decoding, in units of the source's time base.
        delay: packets by which decoding must run ahead of showing.
    """

    path: Path
    parameters: bytes
    times: tuple[int, ...]
    delay: int


def read_piece(path: Path, shown: Sequence[int], time_base: Fraction) -> Piece:
    """Read what a piece holds, and check that these are its frames.

    Args:
        path: of the file.
        shown: times of its frames, ascending, in units of ``time_base``.
        time_base: of the source.

    Raises:
        OutputError: it can't be read, or holds other frames.
    """
    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams.video[0]
            parameters = bytes(stream.codec_context.extradata or b"")
            exact = [
                packet.pts * packet.time_base / time_base
                for packet in container.demux(stream)
                if packet.size and packet.pts is not None
            ]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise OutputError(f"the segment {path} can't be read ({error})") from error
    moved = min(exact, default=Fraction(0)) - (shown[0] if shown else 0)
    times = [time - moved for time in exact]
    if sorted(times) != list(shown):
        raise OutputError(
            f"the segment {path} holds {len(times)} frames, not the {len(shown)} that it should, "
            "or at other times"
        )
    whole = tuple(map(int, times))
    return Piece(path, parameters, whole, displacement(whole))


class JoiningWriter(VideoFileWriter):
    """Join pieces into the video that :class:`VideoFileWriter` would have written at once.

    It is opened in the same way, with an encoder that encodes nothing: so header, tags, sound and
    all else come out alike.

    Example::

        writer = JoiningWriter(Path("clean.mp4"), format, folder, source=Path("rain.mp4"))
        writer.join(pieces, durations)
        writer.finish()

    Args:
        target, format, settings: as :class:`VideoFileWriter` takes them.
        folder: where its temporary file is, on the file system of the target.
    """

    def __init__(self, target: Path, format: SourceFormat, folder: Path, **settings: Any) -> None:
        self._part_folder = folder
        super().__init__(target, format, **settings)

    @property
    def inode(self) -> int:
        """Number of the file, which it keeps when it gets its final name."""
        return self._file.path.stat().st_ino

    def _reserve(self, overwrite: bool, sources: list[Path]) -> AtomicFile:
        return AtomicFile(
            self._target, overwrite=overwrite, sources=sources, folder=self._part_folder
        )

    def join(self, pieces: Sequence[Piece], durations: dict[int, int]) -> None:
        """Write all packets of the pieces.

        Args:
            pieces: in order.
            durations: of frames by their times, both in units of the source's time base; those
                that aren't in it have none.

        Raises:
            OutputError: a piece can't be read or was coded in another way, the disk is full, or the
                like.
        """
        wanted = bytes(self._video.codec_context.extradata or b"")
        for piece in pieces:
            if wanted and piece.parameters != wanted:
                raise OutputError(
                    f"the segment {piece.path} was coded in another way than it is coded here, by "
                    "another version of the encoder perhaps; clean it again with --overwrite"
                )
        shift = self._sidecar.shift if self._sidecar else Fraction(0)
        base, tick = self._format.time_base, self._time_base
        decoding = iter(_decoding_times(pieces))
        with self._lock, self._explained():
            output = self._opened()
            for piece in pieces:
                for packet, time in zip(_packets(piece), piece.times, strict=True):
                    seconds = time * base + shift
                    self._note_rounding(seconds)
                    packet.pts = round(seconds / tick)
                    packet.dts = round((next(decoding) * base + shift) / tick)
                    packet.time_base = tick
                    packet.duration = max(1, round(durations[time] * base / tick)) if (
                        durations.get(time)
                    ) else 0  # fmt: skip
                    packet.stream = self._video
                    if self._first_pts is None:
                        self._first_pts = packet.pts
                    if self._sidecar:
                        self._sidecar.copy(output, time * base)
                    output.mux_one(packet)
                    self._frames += 1

    def _flush(self, output: OutputContainer) -> None:
        pass


def _packets(piece: Piece) -> Iterator[av.Packet[VideoStream]]:
    with av.open(f"file:{piece.path}") as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size and packet.pts is not None:
                yield packet


def _decoding_times(pieces: Sequence[Piece]) -> Iterator[int]:
    """Give each packet's time of decoding: those of showing in order, so many packets late."""
    delay = max((piece.delay for piece in pieces), default=0)
    times = sorted(time for piece in pieces for time in piece.times)
    if not times:
        return
    ahead = times[min(delay, len(times) - 1)] - times[0]
    for place in range(len(times)):
        yield times[place - delay] if place >= delay else times[place] - ahead
