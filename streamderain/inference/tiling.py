"""Large frames in overlapping tiles, so that memory stays bounded. Pure.

What was measured (``attention-m``, ONNX Runtime 1.31 on a CPU, tiles of 500 to 1400 pixels a side):
the rain and light around a tile reach the network's channel attention through means over the whole
picture, so a tile differs a little from the same place in the whole frame, wherever it is cut. In
2×2 tiles the mean difference was 0.06 to 0.4 of 255 levels, with overlaps of 16, 32, 64 and 128
pixels alike; in tiles of 160 pixels it was 1 to 2 levels. So tiles are as few and as large as
memory allows, and the overlap is no wider than a smooth seam needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BUDGET_BYTES",
    "LANES_BYTES",
    "TilePlan",
    "choose_tile",
    "lanes_for",
    "plan_tiles",
    "run_tiled",
]

Frames = NDArray[np.uint8]

BUDGET_BYTES = 800 * 2**20
"""Activations that a run may take: with our own networks (385 bytes a pixel at most) a 1080p frame
goes through whole, a 4K frame in tiles."""

LANES_BYTES = 1200 * 2**20
"""Activations that all frames which are computed side by side may take."""

SMALL = 120_000
"""Pixels of a frame below which a batch is run as a whole."""

OVERLAP = 32
"""Pixels that neighbours share at least."""

ALIGNMENT = 16
"""Sides of tiles are multiples of it where the frame allows: networks need no padding then."""


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles of one size that cover a frame, none of them beyond its edges.

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

    @property
    def pixels(self) -> int:
        """How many pixels go through the network, those that tiles share counted for each."""
        return self.count * self.height * self.width


def plan_tiles(
    height: int, width: int, rows: int, columns: int, overlap: int = OVERLAP
) -> TilePlan:
    """Cover a frame with so many rows and columns of tiles, spread evenly.

    Neighbours share ``overlap`` pixels or a few more.

    Raises:
        ValueError: a count or a size is below 1, or so many tiles don't fit.
    """
    if min(height, width, rows, columns) < 1 or overlap < 0:
        raise ValueError("sizes and counts of tiles are 1 or more, the overlap 0 or more")
    tile_height, tops = _cut(height, rows, overlap)
    tile_width, lefts = _cut(width, columns, overlap)
    return TilePlan(tile_height, tile_width, tops, lefts)


def _cut(length: int, count: int, overlap: int) -> tuple[int, tuple[int, ...]]:
    if count == 1:
        return length, (0,)
    tile = math.ceil((length + (count - 1) * overlap) / count)
    tile = min(length, math.ceil(tile / ALIGNMENT) * ALIGNMENT)
    if tile <= 2 * overlap or tile == length:
        raise ValueError(f"{count} tiles that share {overlap} pixels don't fit into {length}")
    return tile, tuple(round(i * (length - tile) / (count - 1)) for i in range(count))


def lanes_for(lanes: int, height: int, width: int, bytes_per_pixel: int) -> int:
    """Return how many frames of a size to compute side by side, as memory allows.

    Args:
        lanes: as many as there are cores for; 1 or more.
        height, width: of the frames.
        bytes_per_pixel: activations of the network for each pixel of a run.
    """
    activations = max(1, height * width * bytes_per_pixel)
    if activations > BUDGET_BYTES:  # they are cut into tiles, one after the other
        return 1
    if height * width < SMALL:  # these are faster as one batch
        return 1
    return max(1, min(lanes, LANES_BYTES // activations))


def choose_tile(
    height: int, width: int, bytes_per_pixel: int, budget: int = BUDGET_BYTES
) -> TilePlan:
    """Return how to run a frame: whole where its activations fit, else in tiles that do.

    Of all plans that fit, the one that computes the fewest pixels, and of those the one with the
    fewest tiles. Where the frame can't be cut that small, the plan with the smallest tiles.

    Args:
        height, width: of the frame.
        bytes_per_pixel: activations of the network for each pixel of a run.
        budget: bytes that the activations of one run may take.
    """
    limit = max(1, budget // bytes_per_pixel)
    plans = [plan_tiles(height, width, 1, 1)]
    if height * width > limit:
        counts = [range(1, length // OVERLAP + 2) for length in (height, width)]
        for rows in counts[0]:
            for columns in counts[1]:
                try:
                    plan = plan_tiles(height, width, rows, columns)
                except ValueError:
                    continue
                plans.append(plan)
                if plan.height * plan.width <= limit:
                    break  # more columns would only share more pixels
    fitting = [plan for plan in plans if plan.height * plan.width <= limit]
    if not fitting:
        return min(plans, key=lambda plan: plan.height * plan.width)
    return min(fitting, key=lambda plan: (plan.pixels, plan.count))


def seam_weights(length: int, tile: int, starts: tuple[int, ...]) -> list[NDArray[np.float32]]:
    """Return the weights of each tile along one axis, float32; at every pixel they sum to 1.

    Where two neighbours overlap, one fades out as the other fades in, linearly.
    """
    ramps: list[NDArray[np.float32]] = []
    for start in starts:
        inside = np.arange(1, tile + 1, dtype=np.float32)
        from_start = np.full_like(inside, tile) if start == 0 else inside
        to_end = np.full_like(inside, tile) if start + tile == length else inside[::-1]
        ramps.append(np.minimum(from_start, to_end))
    total: NDArray[np.float32] = np.zeros(length, np.float32)
    for start, ramp in zip(starts, ramps, strict=True):
        total[start : start + tile] += ramp
    for start, ramp in zip(starts, ramps, strict=True):
        ramp /= total[start : start + tile]
    return ramps


def run_tiled(run: Callable[[Frames], Frames], frames: Frames, plan: TilePlan) -> Frames:
    """Run frames in tiles and blend the seams; uint8 N×H×W×C in, N×H×W×3 out.

    A plan of one tile runs the frames as they are. Otherwise one tile of one frame is run at a
    time, and the sum of one frame in float32 is all that is held beside the result.
    """
    if plan.count == 1:
        return run(frames)
    result = np.empty((*frames.shape[:3], 3), np.uint8)
    rows = seam_weights(frames.shape[1], plan.height, plan.tops)
    columns = seam_weights(frames.shape[2], plan.width, plan.lefts)
    total = np.empty(result.shape[1:], np.float32)
    for index in range(len(frames)):
        total.fill(0)
        for top, row in zip(plan.tops, rows, strict=True):
            for left, column in zip(plan.lefts, columns, strict=True):
                place = np.s_[top : top + plan.height, left : left + plan.width]
                tile = run(np.ascontiguousarray(frames[index][place])[None])[0]
                total[place] += tile * (row[:, None] * column)[..., None]
        result[index] = np.rint(total, out=total)
    return result
