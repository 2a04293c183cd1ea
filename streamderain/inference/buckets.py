"""Batches of few sizes, so that what a GPU prepares for each shape pays. Pure.

For each shape of frames, a GPU's libraries look for the fastest kernels, and a graph of all of them
is recorded; a live system that runs 1 to 16 frames, as they come, would do that sixteen times over.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamderain.inference.backend import Frames

__all__ = ["LARGEST", "Bucket", "ShapeBook", "fill", "split_into_buckets"]

LARGEST = 16
"""Frames of a run at most; a power of two, as all buckets are."""

MOST_WASTE = 0.25
"""Share of a run that may be padding: three frames run as four, five as four and one."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A run of a fixed size.

    Attributes:
        start: of its frames, the first one's index in the batch.
        used: how many frames of the batch it holds.
        size: how many frames it runs; the rest is padding.
    """

    start: int
    used: int
    size: int


def split_into_buckets(count: int, largest: int = LARGEST) -> list[Bucket]:
    """Split a batch into runs of 1, 2, 4, 8 … frames, padded where that wastes a quarter at most.

    Args:
        count: frames of the batch.
        largest: the largest size; a power of two.

    Returns:
        Runs that cover all frames, in order and once each; none for no frames.

    Raises:
        ValueError: a negative count, or the largest size is no power of two.
    """
    if count < 0 or largest < 1 or largest & (largest - 1):
        raise ValueError(f"{count} frames can't be split into buckets of up to {largest}")
    buckets: list[Bucket] = []
    start = 0
    while start < count:
        left = count - start
        above = 1 << (left - 1).bit_length()
        if above <= largest and above - left <= MOST_WASTE * above:
            buckets.append(Bucket(start, left, above))
            break
        size = min(largest, 1 << (left.bit_length() - 1))
        buckets.append(Bucket(start, size, size))
        start += size
    return buckets


def fill(frames: Frames, bucket: Bucket, into: Frames) -> None:
    """Copy a run's frames; the padding repeats the last one, so that it is like the others.

    Args:
        frames: uint8 N×H×W×C, the batch.
        bucket: of that batch.
        into: uint8 size×H×W×C, written to.
    """
    into[: bucket.used] = frames[bucket.start : bucket.start + bucket.used]
    into[bucket.used :] = frames[bucket.start + bucket.used - 1]


class ShapeBook:
    """Which shapes are recorded as graphs, and when; a shape that never comes again isn't.

    A recorded graph keeps its memory, and some runtimes can't let it go, so there are only so many.

    Args:
        most: graphs at most.
        plain_runs: runs of a shape before it is recorded: in them the libraries choose their
            kernels and reserve memory, which can't be done while a graph is recorded.

    Example::

        book = ShapeBook()
        book.graph_of((1, 1080, 1920, 3))  # None: run it as it is
        book.graph_of((1, 1080, 1920, 3))  # None
        book.graph_of((1, 1080, 1920, 3))  # 1: record it as number 1, or replay that
    """

    def __init__(self, most: int = 12, plain_runs: int = 2) -> None:
        self._most, self._plain_runs = most, plain_runs
        self._runs: dict[tuple[int, ...], int] = {}
        self._graphs: dict[tuple[int, ...], int] = {}

    def graph_of(self, shape: tuple[int, ...]) -> int | None:
        """Return the number of the graph to run a shape with, from 1; None for a plain run."""
        if shape in self._graphs:
            return self._graphs[shape]
        if len(self._graphs) >= self._most:
            return None
        if len(self._runs) >= 8 * self._most:  # of frames of ever other sizes
            self._runs.clear()
        self._runs[shape] = self._runs.get(shape, 0) + 1
        if self._runs[shape] <= self._plain_runs:
            return None
        del self._runs[shape]
        self._graphs[shape] = len(self._graphs) + 1
        return self._graphs[shape]
