"""Which frames of which cameras go through the network together. Pure, with the time handed in.

A batch leaves when it is full, when no other camera is about to add to it, or when its oldest frame
has waited long enough; a partial batch is normal. Cameras take turns, so that a fast one doesn't
starve a slow one, and one that is silent delays nobody. Sizes are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from streamderain.inference.cost import CostModel

__all__ = ["CameraBatcher", "Candidate", "Choice"]

Size = tuple[int, int]

LATE = 1.5
"""Intervals of a camera after its last frame, from which on the next one isn't waited for."""

_LONG_AGO = float("-inf")

PROBE_S = 5.0
"""How often a size that takes too long is tried again: the machine may be less busy now."""


class Candidate(Protocol):
    """A frame that waits.

    Attributes:
        size: height and width.
        arrived: when, in seconds.
        deadline: when it is of no use any more, or None.
    """

    @property
    def size(self) -> Size:  # noqa: D102 - see above
        ...

    @property
    def arrived(self) -> float:  # noqa: D102
        ...

    @property
    def deadline(self) -> float | None:  # noqa: D102
        ...


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True)
class Choice(Generic[C]):
    """What to do now.

    Attributes:
        batch: frames of one size to run, maybe none.
        hopeless: frames that the network can't finish before their deadlines.
        wake: when to ask again at the latest, in seconds; None for when something comes.
    """

    batch: list[C] = field(default_factory=list)
    hopeless: list[C] = field(default_factory=list)
    wake: float | None = None


@dataclass(frozen=True)
class _Rhythm:
    """When a camera's frames come.

    Attributes:
        size: of the newest one.
        at: when that came.
        every: seconds between the last two, or None.
    """

    size: Size
    at: float
    every: float | None = None

    @classmethod
    def after(cls, before: _Rhythm | None, newest: Candidate) -> _Rhythm:
        """Return what is known now that a frame has come."""
        if before is None or newest.size != before.size:
            return cls(newest.size, newest.arrived)
        if newest.arrived == before.at:
            return before
        return cls(newest.size, newest.arrived, newest.arrived - before.at)

    @property
    def next(self) -> float:
        """When the next one should come; never, where nobody knows."""
        return float("inf") if self.every is None else self.at + self.every

    @property
    def latest(self) -> float:
        """Until when the next one may be late; then it rains there no more, or it has ended."""
        return _LONG_AGO if self.every is None else self.at + LATE * self.every


class CameraBatcher:
    """Chooses the next batch.

    Args:
        limit: gives the largest batch for a height and width.
        wait_s: how long a frame may wait for others to fill its batch.
        cost: what a run takes; the caller keeps it up to date.
    """

    def __init__(self, limit: Callable[[int, int], int], wait_s: float, cost: CostModel) -> None:
        self._limit, self._wait, self._cost = limit, wait_s, cost
        self._last_run: dict[Size, float] = {}
        self._turns: dict[str, int] = {}
        self._rhythms: dict[str, _Rhythm] = {}
        self._turn = 0

    def choose(self, queues: Mapping[str, Sequence[C]], now: float) -> Choice[C]:
        """Choose among what waits.

        Args:
            queues: for each camera its frames, the oldest first.
            now: seconds.
        """
        hopeless: list[C] = []
        groups: dict[Size, dict[str, list[C]]] = {}
        for camera, waiting in queues.items():
            useful = [candidate for candidate in waiting if not self._too_late(candidate, now)]
            if not useful and waiting and self._may_probe(waiting[-1].size, now):
                useful = [waiting[-1]]
            kept = {id(candidate) for candidate in useful}
            hopeless += [candidate for candidate in waiting if id(candidate) not in kept]
            if useful:
                size = useful[0].size
                same = useful[: _leading(useful, size)]
                groups.setdefault(size, {})[camera] = same
                self._rhythms[camera] = _Rhythm.after(self._rhythms.get(camera), waiting[-1])
        ready = {size: self._ready_at(size, group, now) for size, group in groups.items()}
        due = [size for size, at in ready.items() if at <= now]
        if not due:
            return Choice(hopeless=hopeless, wake=min(ready.values(), default=None))
        size = min(due, key=lambda size: min(_oldest(group) for group in groups[size].values()))
        batch = self._take_turns(groups[size], self._affordable(size, groups[size], now))
        self._last_run[size] = now
        return Choice(batch, hopeless)

    def choose_ahead(
        self, queues: Mapping[str, Sequence[C]], now: float, starts_at: float, count: int
    ) -> list[C]:
        """Choose a batch that begins while another one runs; empty where it had better not.

        Newer frames can't take its place any more, so it has to be worth it: as many frames as
        there are lanes that would stand idle at times, each done in half of the time that it has.

        Args:
            queues, now: as :meth:`choose` takes them.
            starts_at: when the one that runs will probably be done, in seconds.
            count: frames of the batch.
        """
        groups: dict[Size, dict[str, list[C]]] = {}
        for camera, waiting in queues.items():
            if not waiting or self._limit(*waiting[0].size) < count:
                continue
            size = waiting[0].size
            done_at = starts_at + self._cost.expected(size, count)
            if _half_of(waiting[0]) >= done_at:  # the others came later
                same = list(waiting[: _leading(waiting, size)])
                groups.setdefault(size, {})[camera] = same
        full = [size for size, group in groups.items() if sum(map(len, group.values())) >= count]
        if not full:
            return []
        size = min(full, key=lambda size: min(_oldest(group) for group in groups[size].values()))
        self._last_run[size] = now
        return self._take_turns(groups[size], count)

    def forget(self, camera: str) -> None:
        """Forget a camera that is no more."""
        self._turns.pop(camera, None)
        self._rhythms.pop(camera, None)

    def _too_late(self, candidate: C, now: float) -> bool:
        if candidate.deadline is None:
            return False
        return now + self._cost.expected(candidate.size, 1) > candidate.deadline

    def _may_probe(self, size: Size, now: float) -> bool:
        return now - self._last_run.get(size, -PROBE_S) >= PROBE_S

    def _ready_at(self, size: Size, group: Mapping[str, Sequence[C]], now: float) -> float:
        """Return until when it may be waited for the frames of cameras that have none now."""
        if sum(len(waiting) for waiting in group.values()) >= self._limit(*size):
            return float("-inf")
        until = min(_oldest(waiting) for waiting in group.values()) + self._wait
        others = (
            rhythm
            for camera, rhythm in self._rhythms.items()
            if camera not in group and rhythm.size == size and now <= rhythm.latest
        )
        return min(until, max((o.latest for o in others if o.next <= until), default=_LONG_AGO))

    def _affordable(self, size: Size, group: Mapping[str, Sequence[C]], now: float) -> int:
        """Return how many frames can be run without making the first deadline late; at least 1."""
        deadlines = [c.deadline for waiting in group.values() for c in waiting if c.deadline]
        count = self._limit(*size)
        if deadlines:
            while count > 1 and now + self._cost.expected(size, count) > min(deadlines):
                count -= 1
        return count

    def _take_turns(self, group: Mapping[str, Sequence[C]], count: int) -> list[C]:
        """Take one frame of each camera, the one whose turn is longest ago first, then again."""
        rest = {camera: list(waiting) for camera, waiting in group.items()}
        taken: dict[str, list[C]] = {}
        while count and rest:
            camera = min(rest, key=lambda camera: self._turns.get(camera, 0))
            self._turn += 1
            self._turns[camera] = self._turn
            taken.setdefault(camera, []).append(rest[camera].pop(0))
            count -= 1
            if not rest[camera]:
                del rest[camera]
        return [candidate for frames in taken.values() for candidate in frames]


def _leading(candidates: Sequence[Candidate], size: Size) -> int:
    """Return how many at the front have that size."""
    for index, candidate in enumerate(candidates):
        if candidate.size != size:
            return index
    return len(candidates)


def _half_of(candidate: Candidate) -> float:
    """Return when half of the time is over that a candidate has."""
    if candidate.deadline is None:
        return float("inf")
    return (candidate.arrived + candidate.deadline) / 2


def _oldest(candidates: Sequence[Candidate]) -> float:
    return min(candidate.arrived for candidate in candidates)
