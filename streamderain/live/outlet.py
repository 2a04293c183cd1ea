"""What waits for one writer of one camera: pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace

from streamderain.frame import Frame

__all__ = ["WRITER_ERROR", "Outlet", "Way"]

WRITER_ERROR = "writer-error"
"""What the drop of a frame is called that its writer failed to write."""


@dataclass(frozen=True, slots=True)
class Way:
    """When a frame arrived, and when it left for the writers; seconds."""

    arrived: float = 0.0
    left: float = 0.0


class Outlet:
    """A bounded queue in front of a writer; when it is full, the oldest frame is dropped.

    Every frame that came in is written, dropped by a reason, or still here:
    ``offered == written + sum(dropped.values()) + len(outlet)``.

    Args:
        reason: what a drop is called, the writer's kind: ``publish`` or ``record``.
        capacity: frames that may wait.

    Attributes:
        offered: frames that came in.
        written: frames that the writer took.
        dropped: frames left out, by reason.

    Raises:
        ValueError: the capacity is below 1.
    """

    def __init__(self, reason: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a writer's queue holds at least one frame")
        self.reason, self._capacity = reason, capacity
        self.offered = self.written = 0
        self.dropped: Counter[str] = Counter()
        self._waiting: deque[tuple[Frame, Way]] = deque()
        self._writing: list[tuple[Frame, Way]] = []
        self._carried: Counter[str] = Counter()

    def __len__(self) -> int:
        """Frames that wait, and the one that is being written."""
        return len(self._waiting) + len(self._writing)

    @property
    def has_waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def offer(self, frame: Frame, way: Way | None = None) -> None:
        """Take a frame; the writer's own copy of what is written beside its pixels."""
        self.offered += 1
        if len(self._waiting) >= self._capacity:
            self._drop(self._waiting.popleft()[0], self.reason)
        self._waiting.append((replace(frame, dropped=dict(frame.dropped)), way or Way()))

    def take(self) -> Frame | None:
        """Hand the next frame to the writer, which says :meth:`settle` when it is done.

        The frame carries in ``dropped`` all that was left out since the one before.
        """
        if not self._waiting:
            return None
        frame, way = self._waiting.popleft()
        if self._carried:
            self._carried.update(frame.dropped)
            frame.dropped = dict(self._carried)
            self._carried.clear()
        self._writing.append((frame, way))
        return frame

    def settle(self, frame: Frame, *, written: bool, reason: str = WRITER_ERROR) -> Way:
        """Note what became of a frame that was taken; one that was not written is dropped.

        Returns:
            When it came.

        Raises:
            ValueError: no such frame was taken.
        """
        taken = next((taken for taken in self._writing if taken[0] is frame), None)
        if taken is None:
            raise ValueError("this frame was not taken from here")
        self._writing = [other for other in self._writing if other is not taken]
        if written:
            self.written += 1
        else:
            self._drop(frame, reason)
        return taken[1]

    def abandon(self, reason: str) -> None:
        """Drop all that is here, also what a writer is busy with."""
        for frame, _ in (*self._writing, *self._waiting):
            self._drop(frame, reason)
        self._writing.clear()
        self._waiting.clear()

    def _drop(self, frame: Frame, reason: str) -> None:
        self.dropped[reason] += 1
        self._carried.update(frame.dropped)
        self._carried[reason] += 1
