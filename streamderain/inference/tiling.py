"""Large frames in overlapping tiles, so that memory stays bounded. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TilePlan", "choose_tile", "plan_tiles", "run_tiled"]

Frames = NDArray[np.uint8]

MAX_PIXELS = 2_300_000
"""Pixels that go through the network whole: a 1080p frame does, a 4K frame is tiled."""

OVERLAP = 64
"""Pixels that neighbours share: what a pixel sees at the coarsest level reaches about as far."""


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles of one size that cover a frame.

    Attributes:
        height, width: of a tile.
        tops, lefts: where the rows and columns of tiles begin.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.tops) * len(self.lefts)


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Spread tiles evenly; the last ends where the frame ends, so none needs padding."""
    if tile >= length:
        return (0,)
    count = math.ceil((length - overlap) / (tile - overlap))
    return tuple(round(i * (length - tile) / (count - 1)) for i in range(count))


def plan_tiles(height: int, width: int, tile: int, overlap: int = OVERLAP) -> TilePlan:
    """Cover a frame with tiles of at most ``tile`` pixels a side that overlap at least so much.

    Raises:
        ValueError: the overlap leaves nothing of a tile, or a size is below 1.
    """
    if min(height, width, tile) < 1 or not 0 <= overlap < tile:
        raise ValueError("tiles need sizes above 0 and an overlap smaller than a tile")
    tile_height, tile_width = min(tile, height), min(tile, width)
    return TilePlan(
        tile_height,
        tile_width,
        _starts(height, tile_height, min(overlap, tile_height - 1)),
        _starts(width, tile_width, min(overlap, tile_width - 1)),
    )


def choose_tile(height: int, width: int, max_pixels: int = MAX_PIXELS) -> TilePlan:
    """Return how to run a frame: whole, or in tiles of about half of ``max_pixels``.

    Half, because a tile's row of neighbours is in memory beside it as pictures.
    """
    if height * width <= max_pixels:
        return plan_tiles(height, width, max(height, width), overlap=0)
    side = max(2 * OVERLAP, math.isqrt(max_pixels // 2))
    return plan_tiles(height, width, side)


def seam_weights(length: int, tile: int, starts: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """Return the weights of each tile along one axis; at every pixel they sum to 1.

    Where two neighbours overlap, one fades out as the other fades in, linearly.
    """
    ramps = []
    for start in starts:
        x = np.arange(start, start + tile, dtype=np.float32)
        left = np.full(tile, np.inf, np.float32) if start == 0 else x - start + 1
        end = start + tile
        right = np.full(tile, np.inf, np.float32) if end == length else end - x
        ramp = np.minimum(left, right)
        ramps.append(np.where(np.isinf(ramp), np.float32(tile), ramp).astype(np.float32))
    total = np.zeros(length, np.float32)
    for start, ramp in zip(starts, ramps, strict=True):
        total[start : start + tile] += ramp
    return [
        ramp / total[start : start + tile] for start, ramp in zip(starts, ramps, strict=True)
    ]


def run_tiled(run: Callable[[Frames], Frames], frames: Frames, plan: TilePlan) -> Frames:
    """Run frames in tiles and blend the seams; uint8 N×H×W×3 in and out.

    A plan of one tile runs the frames as they are.
    """
    if plan.count == 1:
        return run(frames)
    count, height, width, channels = frames.shape
    rows = seam_weights(height, plan.height, plan.tops)
    columns = seam_weights(width, plan.width, plan.lefts)
    result = np.empty_like(frames)
    for n in range(count):  # one frame at a time: the sum in float is the price of blending
        total = np.zeros((height, width, channels), np.float32)
        for top, row in zip(plan.tops, rows, strict=True):
            for left, column in zip(plan.lefts, columns, strict=True):
                place = np.s_[top : top + plan.height, left : left + plan.width]
                tile = run(np.ascontiguousarray(frames[n : n + 1][(slice(None), *place)]))[0]
                total[place] += tile * (row[:, None] * column)[..., None]
        np.rint(total, out=total)
        np.clip(total, 0, 255, out=total)
        result[n] = total
    return result
