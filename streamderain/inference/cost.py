"""How long the network takes, learnt while it runs. Pure."""

from __future__ import annotations

__all__ = ["CostModel"]

MEMORY = 0.2
"""Weight of the newest run: a change of load shows within some five runs."""


class CostModel:
    """Expected seconds of a run by frame size, from the runs so far.

    A batch is taken to cost in proportion to its frames. What was never run costs what its pixels
    would at the rate of the size last seen, and nothing before the first run: it is tried then.

    Example::

        cost = CostModel()
        cost.observe((720, 1280), frames=2, seconds=0.1)
        cost.expected((720, 1280), frames=4)  # 0.2
    """

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, int], float] = {}
        self._begun: set[tuple[int, int]] = set()
        self._per_pixel = 0.0

    def observe(self, size: tuple[int, int], frames: int, seconds: float) -> None:
        """Learn from a run of so many frames of a height and width.

        The first run of a size is left out: runtimes compile and reserve memory in it.

        Raises:
            ValueError: no frames, or a negative time.
        """
        if frames < 1 or seconds < 0:
            raise ValueError(f"a run of {frames} frames in {seconds} s can't be")
        if size not in self._begun:
            self._begun.add(size)
            return
        each = seconds / frames
        known = self._seconds.get(size, each)
        self._seconds[size] = known + MEMORY * (each - known)
        self._per_pixel = self._seconds[size] / (size[0] * size[1])

    def expected(self, size: tuple[int, int], frames: int) -> float:
        """Return the seconds that such a run will probably take."""
        each = self._seconds.get(size, self._per_pixel * size[0] * size[1])
        return each * frames
