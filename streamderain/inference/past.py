"""What is remembered of a camera, and where each of its frames is. One object a camera.

Nothing is done with a frame until somebody needs its prior, or that of a later one: then all that
came since are looked at in order. So frames in which it doesn't rain, and frames that a busy
machine passes as they came, cost nothing here. Of the latter two at most are looked at then, the
newest and the one before the one before it: a machine that can't clean all frames cleans more so.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

from streamderain.frame import Picture, size_of
from streamderain.inference.alignment import ALIGNED, aligned
from streamderain.inference.exposure import sampled
from streamderain.inference.motion import (
    Luma,
    Movement,
    changed,
    measure,
    prepare,
)
from streamderain.inference.ordering import ranked
from streamderain.inference.prior import (
    MOVING_SPAN,
    Place,
    Prior,
    Remembered,
    estimate,
    no_prior,
)

__all__ = ["SPAN", "Recall", "TemporalPrior"]

SPAN = 9
"""Frames that are remembered."""

STILL = 0.06
"""Pixels of movement that are taken for none: what is measured of a camera that stands."""

CUT = 0.5
"""Share of the picture that has to be another one for a new scene."""
QUIET = 0.1
"""Share that changes from frame to frame until it is known better."""
CUT_ROOM = 0.4
"""Of what usually stays, a new scene leaves less than this share."""

JUMP = 0.2
"""Share of the picture's sides by which it moves on in one frame where a new scene begins."""

PASSED = 2
"""Frames that are looked at, at most, of those that passed as they came since the last look."""

FEW = 3
"""With fewer frames there is no better picture of the past than the last one itself."""


@dataclass(slots=True, eq=False)
class _Seen:
    """A frame that came; where it is, and what was remembered then, once it was looked at."""

    picture: Picture
    passed: bool = False
    kept: Remembered | None = None
    others: list[Remembered] | None = None
    movement: Movement | None = None


class Recall:
    """A frame of a camera, whose prior is made once, when it is needed; see :meth:`later`.

    For one thread at a time: whoever has it.

    Attributes:
        used: whether the network was given the prior.
    """

    def __init__(self, past: TemporalPrior, seen: _Seen) -> None:
        self._past, self._seen = past, seen
        self._prior: Prior | None = None
        self.used = False

    def make(self) -> Prior:
        """Return the prior."""
        if self._prior is None:
            self._past.look_at(self._seen)
            kept, seen = self._seen.kept, self._seen
            if kept is None:  # too many came after it
                self._prior = no_prior(seen.picture)
            else:
                made = estimate(seen.picture, (kept.down, kept.right), seen.others or [])
                self._prior = replace(made, movement=seen.movement)
            seen.others = None
        return self._prior

    def forgo(self) -> None:
        """Note that nobody will ask for the prior: the frame passes as it came."""
        self._seen.passed = True

    def use(self) -> Prior:
        """Return the prior, for the network."""
        made = self.make()
        self.used = True
        return made


class TemporalPrior:
    """Remembers a camera's last frames and estimates the scene behind the rain from them.

    Example::

        past = TemporalPrior()
        for frame in frames:
            prior = past.step(frame)  # from frames before this one alone

    A new size, a cut, a switch from day to night, a camera that is knocked aside: the past is
    forgotten, and the reliability is 0 until there is a new one.

    Args:
        span: frames to remember, 1 to 9.

    Attributes:
        scene: counts the scenes seen so far, from 0.
    """

    def __init__(self, span: int = SPAN) -> None:
        if not 1 <= span <= SPAN:
            raise ValueError(f"a prior looks at 1 to {SPAN} frames, not {span}")
        self._past: deque[Remembered] = deque(maxlen=span)
        self._unseen: deque[_Seen] = deque(maxlen=span)
        self._gap = False
        self._coming = threading.Lock()
        """For what came and wasn't looked at; held for a moment."""
        self._looking = threading.Lock()
        """For all else: one thread at a time looks."""
        self._count = 0
        self._lumas: deque[tuple[Luma, Place]] = deque(maxlen=SPAN)
        self.scene = 0
        self._place = (0.0, 0.0)
        self._movement = (0.0, 0.0)
        self._unrest = QUIET

    def reset(self) -> None:
        """Forget the past: another scene begins."""
        with self._coming:
            self._unseen.clear()
            self._gap = False
        with self._looking:
            self._forget()

    def step(self, frame: Picture) -> Prior:
        """Return the prior of the next frame, then remember it.

        Args:
            frame: RGB or planes; must not be written to afterwards.
        """
        return self.later(frame).make()

    def later(self, frame: Picture) -> Recall:
        """Remember the next frame, and return what makes its prior when it is needed.

        That may be in another thread, while this one remembers on. Whoever waits until nine more
        frames have come gets a prior that says nothing.

        Args:
            frame: RGB or planes; must not be written to afterwards.
        """
        return Recall(self, self._wait(frame))

    def remember(self, frame: Picture) -> None:
        """Remember a frame whose prior nobody needs.

        Args:
            frame: RGB or planes; must not be written to afterwards.
        """
        self._wait(frame)

    def follow(self, frame: Picture) -> Remembered:
        """Remember a frame at once, and return where its contents are.

        Args:
            frame: RGB or planes; must not be written to afterwards.
        """
        seen = self._wait(frame)
        self.look_at(seen)
        assert seen.kept is not None, "nothing came after it"
        return seen.kept

    def look_at(self, seen: _Seen) -> None:
        """Look at frames in the order in which they came, up to one of them; harmless twice."""
        with self._looking:
            self._leave_out(seen)
            while seen.kept is None:
                with self._coming:
                    if seen not in self._unseen:
                        return
                    coming, gap = self._unseen.popleft(), self._gap
                    self._gap = False
                if gap:  # in what has fallen out, the camera may have turned anywhere
                    self._forget()
                coming.movement = self._follow(coming.picture)
                coming.others = list(self._past)
                coming.kept = self._keep(coming.picture)

    def _leave_out(self, seen: _Seen) -> None:
        """Take from what is to be looked at frames that passed as they came: all but a few."""
        with self._coming:
            if seen not in self._unseen:
                return
            before = list(self._unseen)[: self._unseen.index(seen)]
            passed = [item for item in reversed(before) if item.passed]
            looked_at = passed if len(passed) <= PASSED else passed[::2][:PASSED]
            for item in passed:
                if item not in looked_at:
                    self._unseen.remove(item)

    def _wait(self, frame: Picture) -> _Seen:
        seen = _Seen(frame)
        with self._coming:
            self._gap |= len(self._unseen) == self._unseen.maxlen
            self._unseen.append(seen)
            lost = self._gap and bool(self._past)
        if lost and self._looking.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._looking.release()
        return seen

    def _let_go(self) -> None:
        """Give back the memory of a past that the next look will forget, however late it comes."""
        with self._coming:
            if self._gap:
                self._past.clear()

    def _forget(self) -> None:
        self._past.clear()
        self.scene += 1
        self._lumas.clear()
        self._movement, self._unrest = (0.0, 0.0), QUIET

    def _follow(self, frame: Picture) -> Movement | None:
        """Find out where the frame is, and whether it is of the same scene."""
        if self._past and _differ(self._past[-1].picture, frame):
            self._forget()
        luma = prepare(frame)
        movement: Movement | None = None
        if self._lumas:
            last, _ = self._lumas[-1]
            movement = measure(self._without_rain(), luma, self._movement)
            if _is_jump(movement, frame) or self._is_cut(changed(last, luma, movement)):
                self._forget()
                movement = None
        if movement is not None:
            self._move(movement)
        self._lumas.append((luma, self._place))
        return movement

    def _keep(self, frame: Picture) -> Remembered:
        kept = Remembered(frame, *self._place, self._count, sampled(frame))
        self._past.append(kept)
        self._count += 1
        return kept

    def _without_rain(self) -> Luma:
        """Return the last frame's brightness as the last frames know it: better to align to."""
        last, place = self._lumas[-1]
        if len(self._lumas) < FEW:
            return last
        by = last.reduction
        others = [luma.small for luma, _ in self._lumas]
        moves = [((place[0] - down) / by, (place[1] - right) / by)
                 for _, (down, right) in self._lumas]  # fmt: skip
        if any(max(abs(down), abs(right)) > ALIGNED for down, right in moves):
            others, moves = others[-MOVING_SPAN:], moves[-MOVING_SPAN:]
        moved = [
            aligned(last.small, other, move) for other, move in zip(others, moves, strict=True)
        ]
        (middle,) = ranked(moved, [(len(moved) - 1) // 2])
        return Luma(middle, by)

    def _is_cut(self, share: float) -> bool:
        """Tell a new scene from what changes all the time, as a cloudburst does."""
        if share > max(CUT, 1 - CUT_ROOM * (1 - self._unrest)):
            return True
        self._unrest += 0.3 * (share - self._unrest)
        return False

    def _move(self, movement: Movement) -> None:
        self._movement = movement.down, movement.right
        if max(abs(movement.down), abs(movement.right)) >= STILL:
            self._place = self._place[0] + movement.down, self._place[1] + movement.right


def _is_jump(movement: Movement, frame: Picture) -> bool:
    """Say whether a camera was knocked aside: nobody turns it as fast as that."""
    height, width = size_of(frame)
    return bool(max(abs(movement.down) / height, abs(movement.right) / width) > JUMP)


def _differ(one: Picture, other: Picture) -> bool:
    """Say whether pictures are of two sizes or kinds."""
    return type(one) is not type(other) or size_of(one) != size_of(other)
