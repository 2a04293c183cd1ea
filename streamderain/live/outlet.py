"""What waits for one writer of one camera: pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from streamderain.frame import Frame

__all__ = ["Outlet"]


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
        self._waiting: deque[Frame] = deque()
        self._carried: Counter[str] = Counter()
        self._writing = 0

    def __len__(self) -> int:
        """Frames that wait, and the one that is being written."""
        return len(self._waiting) + self._writing

    @property
    def has_waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def offer(self, frame: Frame) -> None:
        """Take a frame; the writer's own copy of what is written beside its pixels."""
        self.offered += 1
        if len(self._waiting) >= self._capacity:
            self._drop(self._waiting.popleft(), self.reason)
        self._waiting.append(replace(frame, dropped=dict(frame.dropped)))

    def take(self) -> Frame | None:
        """Hand the next frame to the writer, which says :meth:`settle` when it is done.

        The frame carries in ``dropped`` all that was left out since the one before.
        """
        if not self._waiting:
            return None
        frame = self._waiting.popleft()
        if self._carried:
            self._carried.update(frame.dropped)
            frame.dropped = dict(self._carried)
            self._carried.clear()
        self._writing += 1
        return frame

    def settle(self, frame: Frame, *, written: bool, reason: str = "writer-error") -> None:
        """Note what became of a frame that was taken; one that was not written is dropped."""
        self._writing -= 1
        if written:
            self.written += 1
        else:
            self._drop(frame, reason)

    def _drop(self, frame: Frame, reason: str) -> None:
        self.dropped[reason] += 1
        self._carried.update(frame.dropped)
        self._carried[reason] += 1
