"""What the past frames of a camera say of the scene without rain. Pure.

Rain is there for one frame and gone in the next, and it only brightens; so of the last frames'
values of a place, one a little below the middle is most likely the scene (Garg & Nayar, "Vision and
rain", IJCV 2007, on what rain does to a pixel). Where something moves, where the camera turns away
or the light is switched, the past says nothing: the reliability tells so, and a network that is
given both decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Pixels, Planes, pixels_of, size_of
from streamderain.inference.alignment import ALIGNED, beside, coverage
from streamderain.inference.density import rain_density, ranks_for
from streamderain.inference.exposure import as_bright_as
from streamderain.inference.motion import Movement
from streamderain.inference.ordering import ranked
from streamderain.inference.pictures import (
    brighter,
    bytes_of,
    contrast_of,
    luma_part,
    median_of,
    picture_of,
    put,
)

__all__ = ["MOVING_SPAN", "Place", "Prior", "Remembered", "estimate", "no_prior"]

Bytes = NDArray[np.uint8]

MOVING_SPAN = 5
"""Frames that are looked at while the picture as a whole moves: each has to be resampled."""

LARGE = 1_200_000
"""Pixels of a picture from which on one frame less has to do, for one core at 1080p."""

BROAD = 1 / 45
NARROWEST = 13
"""Of the picture's width, and pixels at least: what is broader is no streak."""

AROUND = 1 / 40
"""Of the picture's width: how far around a place its surroundings reach."""
NEAR = 5
"""Blocks of four pixels: no less than that, or a streak fills its surroundings."""

MOVING = 255 * 0.5
"""So much less reliable than elsewhere are the surroundings of what moves."""

SPREAD = (4, 28)
"""Levels. A place whose lower values lie this far apart has something moving in it."""
DARKER = (6, 26)
"""Rain only brightens: a frame that is darker than the past shows something else."""
LASTING = (8, 30)
"""Rain is gone in the next frame, and streaks are narrow: what stays brighter for two frames, or is
brighter in a broad patch, is something else."""

CONFIDENCE = (0.0, 0.0, 0.25, 0.5, 0.65, 0.8, 0.88, 0.94, 0.97, 1.0)
"""Of so many remembered frames."""


@dataclass(frozen=True)
class Prior:
    """What the past says of one frame.

    Attributes:
        picture: the scene without rain as the past knows it, of the frame's kind; where that is
            certainly another one than the frame's, the frame itself.
        reliability: how far to trust it, uint8 H×W: 0 not at all, 255 fully.
        frames: how many were looked at.
        movement: of the whole picture since the frame before, or None at the start of a scene.
    """

    picture: Picture
    reliability: NDArray[np.uint8]
    frames: int = 0
    movement: Movement | None = None

    @property
    def pixels(self) -> Pixels:
        """The scene as RGB, uint8 H×W×3."""
        return pixels_of(self.picture)

    def in_rgb(self) -> Prior:
        """Return the same about a frame in RGB."""
        return replace(self, picture=self.pixels) if isinstance(self.picture, Planes) else self


def no_prior(frame: Picture) -> Prior:
    """Return what is known of a frame that has no past: nothing."""
    return Prior(frame, np.zeros(size_of(frame), np.uint8))


Place = tuple[float, float]
"""Where a frame's contents are: down and right, in pixels, against its scene's first."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A frame, where its contents are (down and right, in pixels, against its scene's first), how
    many were remembered before it, and what its exposure is told by, where that is known already.
    """

    picture: Picture
    down: float
    right: float
    number: int = 0
    samples: NDArray[np.int16] | None = None


def estimate(frame: Picture, place: Place, others: Sequence[Remembered]) -> Prior:
    """Estimate the scene of a frame from others of the same scene.

    Args:
        frame: RGB or planes.
        place: where its contents are, down and right, in pixels, as those of the others.
        others: nearest in time last, all of the frame's kind; fewer than two say nothing.
    """
    height, width = size_of(frame)
    moves = [(place[0] - other.down, place[1] - other.right) for other in others]
    if any(max(abs(down), abs(right)) > ALIGNED for down, right in moves):
        span = MOVING_SPAN - (height * width > LARGE)
        others, moves = others[-span:], moves[-span:]
    if len(others) < 2:
        return no_prior(frame)
    moved = [beside(frame, other.picture, move) for other, move in zip(others, moves, strict=True)]
    moved = as_bright_as(frame, moved, _known_samples(moved, others))
    samples = _known_samples(moved, others)
    in_time = sorted(range(len(moved)), key=lambda at: others[at].number)
    density = rain_density([moved[at] for at in in_time], [samples[at] for at in in_time])
    middle, below, low = ranks_for(len(moved), density)
    ranks = sorted({middle, below, low})
    by_rank = dict(zip(ranks, ranked(list(map(bytes_of, moved)), ranks), strict=True))
    scene = by_rank[middle]
    if below != middle:
        scene = np.asarray(cv2.addWeighted(scene, 0.5, by_rank[below], 0.5, 0), np.uint8)
    now, last, past = (luma_part(each) for each in (bytes_of(frame), bytes_of(moved[-1]), scene))
    contrast = contrast_of(frame)
    spread = brighter(luma_part(by_rank[middle]), luma_part(by_rank[low]))
    lasting = brighter(np.asarray(cv2.min(now, last), np.uint8), past)
    # What can't be rain, against what the past is merely unsure of.
    same = _trust(brighter(past, now), DARKER, contrast)
    reliability = cv2.multiply(_trust(spread, SPREAD, contrast), same, scale=1 / 255)
    reliability = cv2.multiply(reliability, _trust(lasting, LASTING, contrast), scale=1 / 255)
    covered = coverage((height, width), moves)
    if covered is not None:
        reliability = cv2.multiply(reliability, covered, scale=1 / 255)
    around = _around(np.asarray(reliability, np.uint8), brighter(now, past), contrast)
    confidence = CONFIDENCE[min(len(moved), len(CONFIDENCE) - 1)]
    reliability = cv2.multiply(reliability, around, scale=confidence / 255)
    # Where the scene is another one, the past isn't shown: a network takes any difference for rain.
    picture = picture_of(scene, frame)
    put(frame, (cv2.min(same, around) == 0).view(np.uint8), picture)
    return Prior(picture, np.asarray(reliability, np.uint8), len(moved))


def _known_samples(
    pictures: Sequence[Picture], others: Sequence[Remembered]
) -> list[NDArray[np.int16] | None]:
    """Return the samples of remembered frames, but None of those that were changed since."""
    return [
        other.samples if picture is other.picture else None
        for picture, other in zip(pictures, others, strict=True)
    ]


def _trust(levels: cv2.typing.MatLike, ends: tuple[float, float], contrast: float) -> Bytes:
    """Return 255 up to one level, 0 from another on, and what is between them: uint8 H×W.

    It takes a quarter of the time of a table.
    """
    full, none = (end * contrast for end in ends)
    slope = 255 / (none - full)
    return np.asarray(cv2.addWeighted(levels, -slope, levels, 0, slope * none), np.uint8)


def _falling(from_level: float, to_level: float) -> NDArray[np.uint8]:
    levels = np.arange(256)
    share = np.clip((to_level - levels) / (to_level - from_level), 0, 1)
    return np.asarray(np.rint(255 * share), np.uint8)


def _around(reliability: Bytes, above: Bytes, contrast: float) -> Bytes:
    """Return how far to trust the past for what is around each place: uint8 H×W, as a share of 255.

    In quarters of the picture's sides, which is as exact as anything broad needs.

    Args:
        reliability: of each place by itself.
        above: levels by which the frame is brighter than the past.
        contrast: of the frame.
    """
    height, width = reliability.shape
    same = _trust(_broad(_whole_blocks(above), width), LASTING, contrast)
    share = same
    if min(height, width) >= 4 * NEAR:
        # What moves is told by the many doubtful places in it; between them it only looks like the
        # past. Many means more than elsewhere: in a cloudburst they are all over the picture.
        side = max(NEAR, round(width * AROUND / 4) | 1)
        doubtful = cv2.multiply(_quarter(_whole_blocks(reliability)), same, scale=1 / 255)
        sure = cv2.blur(doubtful, (side, side), borderType=cv2.BORDER_REPLICATE)
        usual = median_of(np.asarray(sure, np.uint8)[::4, ::4])
        sure = cv2.LUT(sure, 255 - _falling(usual - MOVING, usual - MOVING / 3))
        share = np.asarray(cv2.min(sure, same), np.uint8)
    size = 4 * share.shape[1], 4 * share.shape[0]
    large = cv2.resize(share, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[:height, :width], np.uint8)


def _broad(above: Bytes, width: int) -> Bytes:
    """Return what is left without all that is narrow, of each 4×4 places the most: uint8 H/4×W/4.

    An opening, of the least of each 2×2 places, so that gaps between streaks stay gaps.

    Args:
        above: uint8 H×W, whole blocks.
        width: of the picture.
    """
    blocks = (max(NARROWEST, round(width * BROAD)) - 1) // 2  # that it holds wherever it lies
    least = cv2.erode(above, np.ones((2, 2), np.uint8), anchor=(0, 0))
    left = cv2.erode(np.ascontiguousarray(least[::2, ::2]), np.ones((blocks, blocks), np.uint8))
    # And a block more on each side, a part of which belongs to it.
    left = cv2.dilate(left, np.ones((blocks + 2, blocks + 2), np.uint8))
    most = cv2.dilate(left, np.ones((2, 2), np.uint8), anchor=(0, 0))
    return np.ascontiguousarray(most[::2, ::2])


def _quarter(levels: Bytes) -> Bytes:
    """Return the means of 4×4 places; in two steps, which take a seventh of the time of one."""
    height, width = levels.shape
    half = cv2.resize(levels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(quarter, np.uint8)


def _whole_blocks(levels: Bytes) -> Bytes:
    """Return a picture with as many rows and columns more as blocks of 4×4 need."""
    height, width = levels.shape
    if height % 4 == width % 4 == 0:
        return levels
    below, beside = -height % 4, -width % 4
    return np.asarray(
        cv2.copyMakeBorder(levels, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.uint8
    )
