"""Recorded frames with what the frames around them say of the scene: causal, or looking ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamderain.frame import Frame, Picture
from streamderain.inference.past import SPAN, TemporalPrior
from streamderain.inference.prior import Prior, Remembered, estimate

__all__ = ["MAX_LOOKAHEAD", "check_lookahead", "remembered"]

MAX_LOOKAHEAD = 4
"""Frames: as many on each side give the shortest way to every one of them."""


@dataclass(slots=True)
class _Seen:
    """A frame that is remembered: None where it is damaged; where it is, once that was needed."""

    picture: Picture | None
    place: Remembered | None = None
    scene: int = -1


def remembered(
    frames: Iterable[Frame], lookahead: int = 0, *, span: int = SPAN
) -> Iterator[tuple[Frame, Prior | None]]:
    """Give every frame in order with its prior.

    Damaged frames have none and are not remembered; those that bypass the network have none, but
    are remembered. As long as all of them do, nothing is done with them.

    Args:
        frames: of one source.
        lookahead: frames after each that are looked at as well, 0 to 4: a frame comes out so many
            later than it goes in, and its prior is of both sides.
        span: frames that a prior is made of, 1 to 9.

    Raises:
        ValueError: no such lookahead or span.
    """
    check_lookahead(lookahead)
    past = TemporalPrior(span)
    if lookahead:
        yield from _of_both_sides(frames, past, lookahead, span)
        return
    for frame in frames:
        prior = None
        if not frame.corrupt:
            if frame.bypass is None:
                prior = past.step(frame.picture)
            else:
                past.remember(frame.picture)
        yield frame, prior


def check_lookahead(lookahead: int) -> None:
    """Refuse what is no lookahead.

    Raises:
        ValueError: it isn't 0 to 4.
    """
    if not 0 <= lookahead <= MAX_LOOKAHEAD:
        raise ValueError(f"the lookahead is 0 to {MAX_LOOKAHEAD} frames, not {lookahead}")


def _of_both_sides(
    frames: Iterable[Frame], past: TemporalPrior, lookahead: int, span: int
) -> Iterator[tuple[Frame, Prior | None]]:
    seen: list[_Seen] = []  # the last ones; of those that wait, the frames are kept as well
    waiting: deque[Frame] = deque()
    for frame in frames:
        seen.append(_Seen(None if frame.corrupt else frame.picture))
        waiting.append(frame)
        if any(item.bypass is None for item in waiting):
            _follow(seen, past)
        while len(waiting) > lookahead:
            yield _given(seen, waiting, lookahead, span)
        fallen = seen[: -(SPAN + lookahead)]
        if any(item.picture is not None and item.place is None for item in fallen):
            past.reset()  # nobody looked at it: the camera may have turned anywhere
        del seen[: len(fallen)]
    while waiting:
        yield _given(seen, waiting, lookahead, span)


def _follow(seen: list[_Seen], past: TemporalPrior) -> None:
    """Find out where those frames are that nobody needed until now."""
    for item in seen:
        if item.picture is not None and item.place is None:
            item.place, item.scene = past.follow(item.picture), past.scene


def _given(
    seen: list[_Seen], waiting: deque[Frame], lookahead: int, span: int
) -> tuple[Frame, Prior | None]:
    index = len(seen) - len(waiting)
    frame, here = waiting.popleft(), seen[index]
    if here.place is None or frame.bypass is not None:
        return frame, None
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
    return frame, estimate(frame.picture, place, others[::-1])
