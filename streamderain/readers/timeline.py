"""When each frame is shown, and which frames the decoder owes: pure bookkeeping."""

from __future__ import annotations

import heapq
from fractions import Fraction

__all__ = ["PacketLedger", "Timeline"]

DISCONTINUITY_S = 10
"""A step back by more than this is a new stretch of recording, not a slip."""


class Timeline:
    """Give every frame a presentation time, each later than the one before.

    Times that increase stay as they are. A missing one is a nominal frame after the last; one that
    stands still or slips back comes one tick after the last; where the clock of the recording
    started again, what follows is moved behind what was.

    Args:
        step: nominal duration of a frame in units of ``time_base``, at least 1.
        time_base: seconds per unit.
    """

    def __init__(self, step: int, time_base: Fraction) -> None:
        self._step = max(1, step)
        self._far = Fraction(DISCONTINUITY_S) / time_base
        self._offset = 0
        self._last: int | None = None

    def place(self, pts: int | None) -> int:
        """Return the time of the next frame in units of ``time_base``.

        Args:
            pts: what the decoder says, or None.
        """
        if self._last is None:
            self._last = pts or 0
        elif pts is None:
            self._last += self._step
        else:
            self._last = self._after(self._last, pts)
        return self._last

    def _after(self, last: int, pts: int) -> int:
        if pts + self._offset > last:
            return pts + self._offset
        if last - (pts + self._offset) > self._far:
            self._offset = last + self._step - pts
            return last + self._step
        return last + 1


class PacketLedger:
    """Which packets went into the decoder and never came out as a frame.

    Not every packet makes a frame: the second field of an interlaced picture and invisible
    reference frames don't. So a gap counts as loss only when the decoder has complained about a
    packet, or when there has been damage and until then every packet had made its frame.
    """

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._complaints = 0
        self._damage = False
        self._one_to_one = True

    def sent(self, pts: int) -> None:
        """Note that the packet with this time went into the decoder."""
        heapq.heappush(self._waiting, pts)

    def damaged(self, *, refused: bool) -> None:
        """Note damage; ``refused`` where the decoder gave up on a packet."""
        self._damage = True
        self._complaints += refused

    def given(self, pts: int) -> list[int]:
        """Note that the frame with this time came out; return the times of those lost before it."""
        missing = []
        while self._waiting and self._waiting[0] <= pts:
            earlier = heapq.heappop(self._waiting)
            if earlier < pts:
                missing.append(earlier)
        return self._lost(missing)

    def rest(self) -> list[int]:
        """Return the times of the frames lost at the end; nothing comes out any more."""
        missing = sorted(self._waiting)
        self._waiting.clear()
        return self._lost(missing)

    def _lost(self, missing: list[int]) -> list[int]:
        if missing and not self._damage:
            self._one_to_one = False
        lost = missing if self._damage and self._one_to_one else missing[: self._complaints]
        self._complaints = max(0, self._complaints - len(lost))
        return lost
