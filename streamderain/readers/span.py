"""A span of a video file: the same frames as of the whole file, decoded from a key frame on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av

from streamderain.media.opening import choose_video, open_media
from streamderain.readers.decoding import Decoded, TolerantDecoder
from streamderain.readers.video import VideoFileReader

__all__ = ["SpanReader"]


class SpanReader(VideoFileReader):
    """Read the frames of a file that are shown in a span of time.

    What the file says as a whole (:attr:`format`) is the same for all its spans. Damage at the end
    of the file isn't reported: that is for whoever knows all spans.

    Args:
        path: the file.
        seek: time of a key frame to decode from, or None for the beginning; what the frames of the
            span are made of must come after it.
        first: time of the first frame to give, or None for the file's first.
        until: time of the first frame not to give, or None for all.
        planes: as for a whole file.

    All times are in units of the stream's time base.

    Raises:
        InputError: the file is missing, not readable, no video, or without a single frame.
    """

    def __init__(
        self,
        path: Path,
        *,
        seek: int | None,
        first: int | None,
        until: int | None,
        planes: bool = False,
    ) -> None:
        super().__init__(path, planes=planes)
        try:
            if seek is not None:
                self._open_again()
                self._seek(seek)
                self._decoder = TolerantDecoder(self._container, self._stream)
                self._pictures = iter(self._decoder)
            self._pictures = _within(self._pictures, first, until)
        except BaseException:
            self.close()
            raise

    def _seek(self, key: int) -> None:
        """Stand at or before a key frame: an index may lead too far, so what comes is looked at."""
        before = 0
        while True:
            try:
                self._container.seek(key - before, stream=self._stream)
                found = self._next_key()
                if found is not None and found <= key:
                    self._container.seek(key - before, stream=self._stream)
                    return
            except av.FFmpegError:
                break
            if before > key - (self._stream.start_time or 0):
                break
            before = 2 * before or round(1 / self._time_base)
        self._open_again()  # not seekable: all of it is read

    def _open_again(self) -> None:
        """The decoder has seen the beginning of the file, and keeps its settings once it has."""
        self._container.close()
        self._container = open_media(self._path)
        self._stream = choose_video(self._container, self._path)

    def _next_key(self) -> int | None:
        for packet in self._container.demux(self._stream):
            if packet.is_keyframe and packet.pts is not None:
                return packet.pts
        return None

    def _is_cut_short(self) -> bool:
        return False

    def _note_missing(self, given: int, *, cut_short: bool) -> None:
        pass


def _within(pictures: Iterable[Decoded], first: int | None, until: int | None) -> Iterator[Decoded]:
    for picture in pictures:
        if picture.pts is not None:
            if until is not None and picture.pts >= until:
                return
            if first is not None and picture.pts < first:
                continue
        yield picture
