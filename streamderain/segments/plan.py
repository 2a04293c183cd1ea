"""Where a recording is cut, and how much around each segment is looked at. Pure."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

__all__ = ["AFTER", "PRIMER", "Span", "plan"]

PRIMER = 48
"""Frames before a segment that are read again: a prior is made of nine, of which the last may have
been thirteen dry frames ago, and some may be damaged."""

AFTER = 10
"""Frames after a segment: four to look ahead, one more to judge them, and as many again as wait
where some are damaged."""

LEAST = 2
"""Frames that a segment holds at least."""


class Span(BaseModel):
    """A segment of a recording, by the times of its frames in units of the stream's time base.

    None stands for the beginning or the end of the file.

    Attributes:
        number: from 0.
        seek: key frame to decode from: the one before the last that would do, for streams that are
            refreshed bit by bit instead of by whole pictures.
        prime: first frame to be read; those before ``start`` are what is remembered.
        start: first one that is the segment's own.
        end: first one that isn't any more.
        until: first one that isn't looked at any more.
        frames: that the segment should have; 0 where that can't be known before decoding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    number: int
    seek: int | None = None
    prime: int | None = None
    start: int | None = None
    end: int | None = None
    until: int | None = None
    frames: int = 0


def plan(times: Sequence[int], keys: Sequence[int], length: float) -> list[Span]:
    """Cut a recording at the first key frame after every ``length``.

    Frames that come after a key frame in the file but are shown before it, as in open groups of
    pictures, belong to the segment before.

    Args:
        times: of all frames, ascending; empty where they aren't known.
        keys: those of the key frames.
        length: of a segment in units of the time base; the last may be half as long again.

    Returns:
        At least one span; together they hold every frame once.
    """
    places = _cuts(times, keys, length)
    bounds = [0, *places, len(times)]
    spans = []
    for number, (first, end) in enumerate(itertools.pairwise(bounds)):
        prime = max(0, first - PRIMER)
        last = number == len(places)
        spans.append(
            Span(
                number=number,
                seek=_key_for(times[prime], keys) if prime else None,
                prime=times[prime] if prime else None,
                start=times[first] if first else None,
                end=None if last else times[end],
                until=None if last or end + AFTER >= len(times) else times[end + AFTER],
                frames=end - first,
            )
        )
    return spans


def _cuts(times: Sequence[int], keys: Sequence[int], length: float) -> list[int]:
    """Return the places in ``times`` of the frames that segments but the first begin with."""
    places: list[int] = []
    if not times:
        return places
    start, end = times[0], times[-1]
    while True:
        at = bisect_left(keys, start + length)
        if at == len(keys) or end - keys[at] < length / 2:
            return places
        place = bisect_left(times, keys[at])
        if min(place - (places[-1] if places else 0), len(times) - place) >= LEAST:
            places.append(place)
        start = keys[at]


def _key_for(time: int, keys: Sequence[int]) -> int | None:
    """Return the key frame to decode from, for a frame to be right; None for the beginning."""
    at = bisect_right(keys, time) - 2
    return keys[at] if at > 0 else None
