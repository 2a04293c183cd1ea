"""Which consecutive frames go through the network together. Pure: no clock, no thread."""

from __future__ import annotations

from streamderain.frame import Frame

__all__ = ["FrameBatcher", "choose_batch"]

CPU_BATCH_PIXELS = 400_000
CUDA_BATCH_PIXELS = 16_000_000
MAX_BATCH = 16


def choose_batch(device: str, height: int, width: int) -> int:
    """Return how many frames of a size to run at once, 1 to 16.

    On a CPU a batch helps only while one frame is too small to keep the cores busy; beyond that
    it grows the activations past the caches. A GPU wants as many pixels as hide its launches.
    """
    budget = CUDA_BATCH_PIXELS if device == "cuda" else CPU_BATCH_PIXELS
    return max(1, min(MAX_BATCH, budget // (height * width)))


class FrameBatcher:
    """Collects consecutive frames of one size, up to ``size`` of them.

    Usage::

        for frame in frames:
            for group in batcher.add(frame):
                run(group)
        run(batcher.flush())

    No frame is lost, repeated or reordered; sizes are never mixed.

    Raises:
        ValueError: ``size`` is below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("a batch holds at least one frame")
        self._size = size
        self._frames: list[Frame] = []

    def add(self, frame: Frame) -> list[list[Frame]]:
        """Take a frame; return the groups that are complete by it, in order."""
        groups = []
        if self._frames and self._frames[0].size != frame.size:
            groups.append(self.flush())
        self._frames.append(frame)
        if len(self._frames) >= self._size:
            groups.append(self.flush())
        return groups

    def flush(self) -> list[Frame]:
        """Return what waits, possibly nothing."""
        frames, self._frames = self._frames, []
        return frames
