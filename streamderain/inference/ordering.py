"""Order statistics over a few pictures, pixel by pixel, by sorting networks. Pure.

A sort of ``n`` values as a fixed list of compare-exchanges (Batcher, "Sorting networks and their
applications", AFIPS 1968) needs no branches: each exchange is a minimum and a maximum over whole
rows of bytes, which the processor does 32 or 64 at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["comparators", "ranked"]

Bytes = NDArray[np.uint8]

BLOCK_BYTES = 128 * 1024
"""Of each picture at a time: all of them stay in the second-level cache, and NumPy is called
seldom."""

LINE = 64
"""Bytes of a cache line, where the arrays in between begin."""


NINE = (
    (0, 3), (1, 7), (2, 5), (4, 8), (0, 7), (2, 4), (3, 8), (5, 6), (0, 2), (1, 3), (4, 5), (7, 8),
    (1, 4), (3, 6), (5, 7), (0, 1), (2, 4), (3, 5), (6, 8), (2, 3), (4, 5), (6, 7), (1, 2), (3, 4),
    (5, 6),
)  # fmt: skip
"""Of nine values, which a prior usually has: as few exchanges as there can be, 25 (Codish et al.,
"Twenty-Five Comparators Is Optimal When Sorting Nine Inputs", ICTAI 2014)."""


@lru_cache(maxsize=64)
def comparators(count: int, ranks: tuple[int, ...]) -> tuple[tuple[int, int, bool, bool], ...]:
    """Return the compare-exchanges that put the asked ranks of ``count`` values into their places.

    Args:
        count: values, 1 or more.
        ranks: the places that matter, 0 for the smallest.

    Returns:
        ``(low, high, needs_low, needs_high)`` in order: afterwards the smaller value is at ``low``
        and the larger at ``high``; only the outputs that something later needs are to be computed.

    Raises:
        ValueError: a rank is not among the places.
    """
    if not ranks or min(ranks) < 0 or max(ranks) >= count:
        raise ValueError(f"ranks {ranks} of {count} values")
    exchanges = list(NINE) if count == 9 else _merge_sort(count)
    needed = set(ranks)
    kept: list[tuple[int, int, bool, bool]] = []
    for low, high in reversed(exchanges):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))


def _merge_sort(count: int) -> list[tuple[int, int]]:
    """Return Batcher's odd-even merge sort; what is beyond the values is infinite."""
    size = 1 << (count - 1).bit_length()
    exchanges: list[tuple[int, int]] = []
    width = 1
    while width < size:
        step = width
        while step >= 1:
            for start in range(step % width, size - step, 2 * step):
                for index in range(start, start + step):
                    other = index + step
                    same = index // (2 * width) == other // (2 * width)
                    if same and other < count:
                        exchanges.append((index, other))
            step //= 2
        width *= 2
    return exchanges


def ranked(
    pictures: Sequence[Bytes], ranks: Sequence[int], out: Sequence[Bytes] | None = None
) -> list[Bytes]:
    """Return the pictures' values of some ranks, for each place apart.

    Args:
        pictures: uint8 arrays of one shape, rows first; they may be views and are not changed.
        ranks: which, 0 for the smallest value.
        out: arrays of that shape to write into, one a rank; made if missing.

    Raises:
        ValueError: there are no pictures, or a rank is not among them.
    """
    plan = comparators(len(pictures), tuple(ranks))
    shape = pictures[0].shape
    result = list(out) if out is not None else [np.empty(shape, np.uint8) for _ in ranks]
    rows = max(1, BLOCK_BYTES // max(1, math.prod(shape[1:])))
    work = _lanes(len(pictures) + 1, (rows, *shape[1:]))
    for top in range(0, shape[0], rows):
        part = slice(top, min(top + rows, shape[0]))
        lanes = [picture[part] for picture in pictures]  # only read: they are not ours
        spare = [lane[: part.stop - top] for lane in work]
        ours = [False] * len(lanes)
        for low, high, needs_low, needs_high in plan:
            a, b = lanes[low], lanes[high]
            free = [lane for lane, own in ((a, ours[low]), (b, ours[high])) if own]
            if needs_low and needs_high:
                lesser = spare.pop()
                greater = free.pop() if free else spare.pop()
                np.minimum(a, b, out=lesser)
                np.maximum(a, b, out=greater)
                lanes[low], lanes[high] = lesser, greater
                ours[low] = ours[high] = True
            else:
                kept = free.pop() if free else spare.pop()
                (np.minimum if needs_low else np.maximum)(a, b, out=kept)
                stays, goes = (low, high) if needs_low else (high, low)
                lanes[stays], ours[stays], ours[goes] = kept, True, False
            spare += free
        for rank, target in zip(ranks, result, strict=True):
            target[part] = lanes[rank]
    return result


def _lanes(count: int, shape: tuple[int, ...]) -> list[Bytes]:
    """Return arrays that begin with a cache line each."""
    used = math.prod(shape)
    size = -(-used // LINE) * LINE
    memory = np.empty(count * size + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE
    each = memory[begin : begin + count * size].reshape(count, size)
    return [lane[:used].reshape(shape) for lane in each]
