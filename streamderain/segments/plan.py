"""Where a recording is cut, and how much around each segment is looked at. Pure."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

__all__ = ["AFTER", "CONTEXT", "PRIMER", "Span", "plan"]

CONTEXT = 32
"""Frames before a segment that are judged and remembered as its own are. A prior is made of nine,
each of which is placed by the nine before it; how restless the scene is, which tells a cut from a
cloudburst, has forgotten what was 32 frames ago to one part in 90,000."""

PRIMER = 6
"""Frames before those that the rain gauge begins with: it looks at three, of which some may be
damaged."""

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
        prime: first frame to be given.
        context: first one that is judged and remembered; those before only prime the rain gauge.
        start: first one that is the segment's own.
        end: first one that isn't any more.
        until: first one that isn't looked at any more.
        handover: where the next segment's context begins, at which the rain gate's state is noted.
        frames: that the segment should have; 0 where that can't be known before decoding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    number: int
    seek: int | None = None
    prime: int | None = None
    context: int | None = None
    start: int | None = None
    end: int | None = None
    until: int | None = None
    handover: int | None = None
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
    contexts = [max(0, place - CONTEXT) for place in bounds]
    spans = []
    for number, (first, end) in enumerate(itertools.pairwise(bounds)):
        context = contexts[number]
        prime = max(0, context - PRIMER)
        last = number == len(places)
        spans.append(
            Span(
                number=number,
                seek=_key_for(times[prime], keys) if prime else None,
                prime=times[prime] if prime else None,
                context=times[context] if context else None,
                start=times[first] if first else None,
                end=None if last else times[end],
                until=None if last or end + AFTER >= len(times) else times[end + AFTER],
                handover=None if last or not contexts[number + 1] else times[contexts[number + 1]],
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
