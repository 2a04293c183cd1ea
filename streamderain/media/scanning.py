"""When the frames of a video file are shown and which of them are key frames, without decoding."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from streamderain.media.opening import choose_video, open_media
from streamderain.media.truncation import is_cut_short

__all__ = ["Scan", "displacement", "scan"]

MAX_READ_ERRORS = 1000
"""After so many errors in a row the rest of the file is given up."""

MAX_REORDER = 64
"""Frames by which a codec may send one early; more is a clock that started again."""


@dataclass(frozen=True)
class Scan:
    """What a video file holds.

    Attributes:
        time_base: seconds per unit of the times.
        times: of the packets that are shown, ascending; empty where some have no time, two have
            the same, or the clock started again: such a file can't be cut by time.
        keys: of those that decoding can begin with, ascending.
        packets: of the video, shown or not.
        declared: packets that the container says there are; 0 where it doesn't.
        read_errors: how often the demuxer complained.
        cut_short: the file ends before its structure says.
        format_name: FFmpeg's name of the demuxer.
    """

    time_base: Fraction
    times: tuple[int, ...]
    keys: tuple[int, ...]
    packets: int
    declared: int
    read_errors: int
    cut_short: bool
    format_name: str


def scan(path: Path) -> Scan:
    """Read all of a file, and return what it holds.

    Raises:
        InputError: it is no video that can be read.
    """
    times: list[int] = []
    keys: list[int] = []
    packets = errors = in_a_row = 0
    timed = True
    with open_media(path) as container:
        stream = choose_video(container, path)
        while in_a_row < MAX_READ_ERRORS:
            try:
                for packet in container.demux(stream):
                    in_a_row = 0
                    if not packet.size:
                        continue
                    packets += 1
                    if packet.pts is None:
                        timed = False
                    elif not packet.is_discard:
                        times.append(packet.pts)
                        if packet.is_keyframe:
                            keys.append(packet.pts)
                break
            except av.FFmpegError:  # the demuxer stands behind the damage now: ask it again
                errors += 1
                in_a_row += 1
        in_order = sorted(times)
        exact = timed and all(a < b for a, b in itertools.pairwise(in_order))
        if not exact or displacement(times) > MAX_REORDER:
            in_order, keys = [], []
        return Scan(
            time_base=stream.time_base or Fraction(1, 90000),
            times=tuple(in_order),
            keys=tuple(sorted(keys)),
            packets=packets,
            declared=stream.frames if "mp4" in container.format.name else 0,
            read_errors=errors,
            cut_short=is_cut_short(path, container.format.name),
            format_name=container.format.name,
        )


def displacement(times: Sequence[int]) -> int:
    """Return by how many places the most displaced packet comes later than its frame is shown.

    Args:
        times: of presentation, in the order of decoding, each once.
    """
    rank = {time: place for place, time in enumerate(sorted(times))}
    return max((place - rank[time] for place, time in enumerate(times)), default=0)
