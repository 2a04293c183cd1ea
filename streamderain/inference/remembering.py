"""Recorded frames with what the frames around them say of the scene: causal, or looking ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamderain.frame import Frame
from streamderain.inference.prior import SPAN, Prior, Remembered, TemporalPrior, estimate

__all__ = ["MAX_LOOKAHEAD", "remembered"]

MAX_LOOKAHEAD = 4
"""Frames: as many on each side give the shortest way to every one of them."""


@dataclass(frozen=True, slots=True)
class _Seen:
    frame: Frame
    prior: Prior | None
    place: Remembered | None
    scene: int


def remembered(
    frames: Iterable[Frame], lookahead: int = 0, *, span: int = SPAN
) -> Iterator[tuple[Frame, Prior | None]]:
    """Give every frame in order with its prior; damaged frames have none and are not remembered.

    Args:
        frames: of one source.
        lookahead: frames after each that are looked at as well, 0 to 4: a frame comes out so many
            later than it goes in, and its prior is of both sides.
        span: frames that a prior is made of, 1 to 9.

    Raises:
        ValueError: no such lookahead.
    """
    if not 0 <= lookahead <= MAX_LOOKAHEAD:
        raise ValueError(f"the lookahead is 0 to {MAX_LOOKAHEAD} frames, not {lookahead}")
    past = TemporalPrior(span)
    seen: list[_Seen] = []  # what is looked at; the `waiting` last are not given yet
    waiting = 0
    for frame in frames:
        if frame.corrupt:
            seen.append(_Seen(frame, None, None, past.scene))
        else:
            prior = past.step(frame.pixels)
            seen.append(_Seen(frame, prior, past.latest, past.scene))
        waiting += 1
        while waiting > lookahead:
            yield _given(seen, len(seen) - waiting, lookahead, span)
            waiting -= 1
        del seen[: -(SPAN + lookahead)]
    while waiting:
        yield _given(seen, len(seen) - waiting, lookahead, span)
        waiting -= 1


def _given(seen: list[_Seen], index: int, lookahead: int, span: int) -> tuple[Frame, Prior | None]:
    here = seen[index]
    if not lookahead or here.place is None:
        return here.frame, here.prior
    around = sorted(
        (position for position in range(len(seen)) if position != index),
        key=lambda position: (abs(position - index), position),
    )
    others = [
        other.place
        for other in (seen[position] for position in around if position <= index + lookahead)
        if other.place is not None and other.scene == here.scene
    ][:span]
    place = here.place.down, here.place.right
    return here.frame, estimate(here.frame.pixels, place, others[::-1])
