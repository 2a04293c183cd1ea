"""Which consecutive frames go through the network together. Pure: no clock, no thread.

What was measured (``attention-m``, ONNX Runtime 1.31, one x86 core): a frame in a batch of 4 takes
0.96 of its time alone at 160×90, 1.0 at 320×180 and 1.06 at 640×360. One frame keeps a core as
busy as many do; beyond a few hundred lines a batch only pushes the activations out of the caches.
"""

from __future__ import annotations

from streamderain.frame import Frame

__all__ = ["FrameBatcher", "choose_batch"]

CPU_BATCH_PIXELS = 120_000
"""Two frames of 320×180. More cores than were measured would split a small frame less well."""

CUDA_BATCH_PIXELS = 4_000_000
"""Two frames of 1080p, about 1 GB of activations. Not measured: GPUs want enough pixels to hide
the launch of each layer, and small ones must have the memory."""

MAX_BATCH = 16
"""So that the first frames of a slow job do not wait for many others."""


def choose_batch(device: str, height: int, width: int, lanes: int = 1) -> int:
    """Return how many frames of a size to run at once, 1 to 16.

    Args:
        device: ``cpu`` or ``cuda``.
        height, width: of the frames.
        lanes: frames that the backend computes side by side.
    """
    budget = CUDA_BATCH_PIXELS if device == "cuda" else CPU_BATCH_PIXELS
    return max(1, min(MAX_BATCH, max(lanes, budget // (height * width))))


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
