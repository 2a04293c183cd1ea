"""What recorded frames remember of one another, put down at one frame and taken up at it again.

It is what :func:`~streamderain.inference.remembering.remembered` does. Where a camera turns, each
frame's place is measured against those before it, so the memory has no end either; but all that
there is to it are the last frames, which can be read again, and a few numbers about them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from streamderain.frame import Frame, Picture
from streamderain.inference.motion import prepare
from streamderain.inference.past import SPAN, TemporalPrior
from streamderain.inference.past import _Seen as _Coming
from streamderain.inference.prior import Prior, Remembered, estimate

__all__ = ["Memory", "MemoryState"]

Place = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Known(_Part):
    """A frame whose place is known.

    Attributes:
        pts: of the frame.
        place: where its contents are, down and right.
        number: counts such frames.
    """

    pts: int
    place: Place
    number: int


class SeenState(_Part):
    """A frame that is looked at from both sides.

    Attributes:
        pts: of the frame.
        damaged: it isn't remembered.
        known: its place, or None where nobody has needed it.
        scene: of which it is.
    """

    pts: int
    damaged: bool
    known: Known | None
    scene: int


class MemoryState(_Part):
    """What is remembered between two frames.

    Attributes:
        past: the last frames whose places are known, of this scene.
        coming: frames after these that nobody has needed.
        gap: some of those fell out.
        count, scene: how many were followed, and scenes there were.
        place, movement, unrest: of the last frame.
        seen: frames that are looked at from both sides.
        waiting: of the last ones, which wait, whether they go to the network.
    """

    past: tuple[Known, ...] = ()
    coming: tuple[int, ...] = ()
    gap: bool = False
    count: int = 0
    scene: int = 0
    place: Place = (0.0, 0.0)
    movement: Place = (0.0, 0.0)
    unrest: float = 0.0
    seen: tuple[SeenState, ...] = ()
    waiting: tuple[bool, ...] = ()

    def frames(self) -> set[int]:
        """Return the times of the frames that are needed to take this up."""
        seen = {item.pts for item in self.seen if not item.damaged}
        return {item.pts for item in self.past} | set(self.coming) | seen


@dataclass(slots=True)
class _Seen:
    pts: int
    picture: Picture | None
    known: Remembered | None = None
    scene: int = -1


class _Past(TemporalPrior):
    """A past whose numbers can be read and set."""

    def numbers(self, times: Mapping[int, int]) -> MemoryState:
        return MemoryState(
            past=tuple(_known(item, times) for item in self._past),
            coming=tuple(times[id(item.picture)] for item in self._unseen), gap=self._gap,
            count=self._count, scene=self.scene, place=self._place, movement=self._movement,
            unrest=self._unrest,
        )  # fmt: skip

    def take_up(self, state: MemoryState, found: Mapping[int, Remembered]) -> None:
        past = [found[item.pts] for item in state.past if item.pts in found]
        self._past.extend(past)
        self._lumas.extend((prepare(item.picture), (item.down, item.right)) for item in past)
        self._gap, self._count, self.scene = state.gap, state.count, state.scene
        self._place, self._movement = state.place, state.movement
        self._unrest = state.unrest

    def bring(self, picture: Picture) -> None:
        self._unseen.append(_Coming(picture))


class Memory:
    """Gives frames with what is remembered of those around them.

    Args:
        lookahead: frames after each that are looked at as well, 0 to 4.
        priors: make them; False only follows the camera.
    """

    def __init__(self, lookahead: int, *, priors: bool = True) -> None:
        self._lookahead, self._makes = lookahead, priors
        self._past = _Past()
        self._seen: list[_Seen] = []
        self._waiting: deque[Frame | bool] = deque()
        """Frames; of those before the state that was taken up, whether they were wanted."""
        self._times: deque[tuple[int, int]] = deque(maxlen=256)
        """Of the last frames, by the identity of their pictures."""

    @property
    def state(self) -> MemoryState:
        """What is remembered after all frames so far."""
        times = dict(self._times)
        seen = tuple(
            SeenState(
                pts=item.pts, damaged=item.picture is None, scene=item.scene,
                known=None if item.known is None else _known(item.known, times),
            )
            for item in self._seen
        )  # fmt: skip
        waiting = tuple(map(_wanted, self._waiting))
        return self._past.numbers(times).model_copy(update={"seen": seen, "waiting": waiting})

    def take_up(self, state: MemoryState, frames: Iterable[Frame]) -> None:
        """Remember what was remembered.

        Args:
            state: of another memory.
            frames: those of :meth:`MemoryState.frames`, and others; what isn't there is forgotten.
        """
        pictures = {frame.pts: frame.picture for frame in frames if frame.pts is not None}
        self._times.extend((id(picture), pts) for pts, picture in pictures.items())
        known = [*state.past, *(item.known for item in state.seen if item.known is not None)]
        found = {
            item.pts: Remembered(pictures[item.pts], *item.place, item.number)
            for item in known
            if item.pts in pictures
        }
        self._past.take_up(state, found)
        for pts in state.coming:
            if pts in pictures:
                self._past.bring(pictures[pts])
        for item in state.seen:
            picture = None if item.damaged else pictures.get(item.pts)
            self._seen.append(_Seen(item.pts, picture, found.get(item.pts), item.scene))
        self._waiting.extend(state.waiting)

    def step(self, frame: Frame) -> list[tuple[Frame, Prior | None]]:
        """Take one more frame; return those that are looked at with it, with their priors."""
        pts = frame.pts or 0
        self._times.append((id(frame.picture), pts))
        if not self._lookahead:
            return [(frame, self._of_before(frame))]
        self._seen.append(_Seen(pts, None if frame.corrupt else frame.picture))
        self._waiting.append(frame)
        if any(map(_wanted, self._waiting)):
            self._follow()
        given = []
        while len(self._waiting) > self._lookahead:
            given += self._given()
        fallen = self._seen[: -(SPAN + self._lookahead)]
        if any(item.picture is not None and item.known is None for item in fallen):
            self._past.reset()  # nobody looked at it: the camera may have turned anywhere
        del self._seen[: len(fallen)]
        return given

    def rest(self) -> list[tuple[Frame, Prior | None]]:
        """Return the frames that wait: none comes after them."""
        given = []
        while self._waiting:
            given += self._given()
        return given

    def _of_before(self, frame: Frame) -> Prior | None:
        if frame.corrupt:
            return None
        if frame.bypass is not None:
            self._past.remember(frame.picture)
        elif self._makes:
            return self._past.step(frame.picture)
        else:
            self._past.follow(frame.picture)
        return None

    def _follow(self) -> None:
        for item in self._seen:
            if item.picture is not None and item.known is None:
                item.known, item.scene = self._past.follow(item.picture), self._past.scene

    def _given(self) -> list[tuple[Frame, Prior | None]]:
        index = len(self._seen) - len(self._waiting)
        frame, here = self._waiting.popleft(), self._seen[index]
        if isinstance(frame, bool):
            return []
        if here.known is None or frame.bypass is not None or not self._makes:
            return [(frame, None)]
        around = sorted(
            (position for position in range(len(self._seen)) if position != index),
            key=lambda position: (abs(position - index), position),
        )
        others = [
            other.known
            for other in (self._seen[at] for at in around if at <= index + self._lookahead)
            if other.known is not None and other.scene == here.scene
        ][:SPAN]
        place = here.known.down, here.known.right
        return [(frame, estimate(frame.picture, place, others[::-1]))]


def _known(item: Remembered, times: Mapping[int, int]) -> Known:
    return Known(
        pts=times[id(item.picture)], place=(item.down, item.right), number=item.number
    )  # fmt: skip


def _wanted(item: Frame | bool) -> bool:
    return item if isinstance(item, bool) else item.bypass is None
