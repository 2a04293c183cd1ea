"""Decoding that damage can't stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streamderain.hardware import codec_threads
from streamderain.readers.timeline import PacketLedger

__all__ = ["Decoded", "TolerantDecoder"]

MAX_READ_ERRORS = 1000
"""After so many errors in a row the rest of the file is given up."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder made of a packet.

    Attributes:
        pts: in units of the stream's time base, or None where the container has no times.
        frame: None where the packet couldn't be decoded at all.
    """

    pts: int | None
    frame: av.VideoFrame | None


class TolerantDecoder:
    """Decode every frame of a stream, in order of presentation, to the end of the file.

    A frame that the decoder could save with visible damage comes as it is. A packet that it had to
    give up is reported as a :class:`Decoded` without a frame, in its place where that is known
    from its time, so that the count of frames stays what it was.

    Args:
        container: opened; stays the caller's.
        stream: of that container.

    Attributes:
        packets: video packets read so far.
        read_errors: how often the demuxer complained so far.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._ledger = PacketLedger()
        self.packets = 0
        self.read_errors = 0
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = codec_threads()

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self._packets():
            if packet.size:
                self.packets += 1
                if packet.pts is not None and not packet.is_discard:
                    self._ledger.sent(packet.pts)
                yield from self._decode(packet)
        yield from self._decode(None)
        for pts in self._ledger.rest():
            yield Decoded(pts, None)

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        in_a_row = 0
        while in_a_row < MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    in_a_row = 0
                    yield packet
                return
            except av.FFmpegError:  # the demuxer stands behind the damage now: ask it again
                self.read_errors += 1
                in_a_row += 1

    def _decode(self, packet: av.Packet[VideoStream] | None) -> Iterator[Decoded]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            self._ledger.damaged(refused=True)
            if packet is not None and packet.pts is None:
                yield Decoded(None, None)
            return
        for frame in frames:
            if frame.is_corrupt:
                self._ledger.damaged(refused=False)
            pts = frame.dts if frame.pts is None else frame.pts
            if frame.pts is not None:
                for lost in self._ledger.given(frame.pts):
                    yield Decoded(lost, None)
            yield Decoded(pts, frame)
