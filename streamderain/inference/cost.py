"""How long the network takes, learnt while it runs. Pure."""

from __future__ import annotations

from collections import Counter

__all__ = ["CostModel"]

Size = tuple[int, int]

MEMORY = 0.2
"""Weight of the newest run: a change of load shows within some five runs."""

LEFT_OUT = 2
"""First runs of a size and a number of frames: runtimes compile and reserve memory in them."""


class CostModel:
    """Expected seconds of a run by frame size and number of frames, from the runs so far.

    A number of frames that was never run costs what lies between its neighbours, or in proportion
    to the nearest one. A size that was never run costs what its pixels would at the rate of the
    size last seen, and nothing before the first run: it is tried then.

    Example::

        cost = CostModel()
        for _ in range(3):
            cost.observe((720, 1280), frames=2, seconds=0.1)
        cost.expected((720, 1280), frames=4)  # 0.2
    """

    def __init__(self) -> None:
        self._seconds: dict[Size, dict[int, float]] = {}
        self._runs = Counter[tuple[Size, int]]()
        self._per_pixel = 0.0

    def observe(self, size: Size, frames: int, seconds: float) -> None:
        """Learn from a run of so many frames of a height and width.

        Raises:
            ValueError: no frames, or a negative time.
        """
        if frames < 1 or seconds < 0:
            raise ValueError(f"a run of {frames} frames in {seconds} s can't be")
        self._runs[size, frames] += 1
        if self._runs[size, frames] <= LEFT_OUT:
            return
        known = self._seconds.setdefault(size, {})
        before = known.get(frames, seconds)
        known[frames] = before + MEMORY * (seconds - before)
        self._per_pixel = known[frames] / frames / (size[0] * size[1])

    def expected(self, size: Size, frames: int) -> float:
        """Return the seconds that such a run will probably take."""
        known = self._seconds.get(size, {})
        if frames in known:
            return known[frames]
        fewer = max((count for count in known if count < frames), default=None)
        more = min((count for count in known if count > frames), default=None)
        if fewer is not None and more is not None:
            share = (frames - fewer) / (more - fewer)
            return known[fewer] + share * (known[more] - known[fewer])
        nearest = fewer or more
        if nearest is not None:
            return known[nearest] * frames / nearest
        return self._per_pixel * size[0] * size[1] * frames
