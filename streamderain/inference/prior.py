"""What the past frames of a camera say of the scene without rain. Pure, one object a camera.

Rain is there for one frame and gone in the next, and it only brightens; so of the last frames'
values of a place, one a little below the middle is most likely the scene (Garg & Nayar, "Vision and
rain", IJCV 2007, on what rain does to a pixel). Where something moves, where the camera turns away
or the light is switched, the past says nothing: the reliability tells so, and a network that is
given both decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels
from streamderain.inference.alignment import ALIGNED, aligned, coverage
from streamderain.inference.motion import (
    Luma,
    Movement,
    changed,
    measure,
    prepare,
    prepare_small,
)
from streamderain.inference.ordering import ranked

__all__ = [
    "SPAN", "Prior", "Remembered", "TemporalPrior", "estimate", "no_prior", "rain_density",
    "ranks_for",
]  # fmt: skip

SPAN = 9
"""Frames that are remembered."""

MOVING_SPAN = 5
"""Frames that are looked at while the picture as a whole moves: each has to be resampled."""

LARGE = 1_200_000
"""Pixels of a picture from which on one frame less has to do, for one core at 1080p."""

STILL = 0.06
"""Pixels of movement that are taken for none: what is measured of a camera that stands."""

CUT = 0.5
"""Share of the picture that has to be another one for a new scene."""
QUIET = 0.1
"""Share that changes from frame to frame until it is known better."""
CUT_ROOM = 0.4
"""Of what usually stays, a new scene leaves less than this share."""

JUMP = 0.2
"""Share of the picture's sides by which it moves on in one frame where a new scene begins."""

DENSITY_SAMPLES = 40
"""Samples along the picture's shorter side by which the density of the rain is told."""
FLASH = 12
"""Levels by which a place is brighter than in the frames before and after where a drop is there."""
NOISES = 3.0
"""Standard deviations of the noise by which it is brighter at least."""
FLASHES_A_RANK = 0.048
"""Share of places and frames that flash for each rank by which the scene is looked for lower."""
LOWEST = 2.5
"""Ranks, of nine values, by which it is looked for below the middle at most."""

BROAD = 1 / 45
"""Of the picture's width: what is broader is no streak."""

AROUND = 1 / 40
"""Of the picture's width: how far around a place its surroundings reach."""
NEAR = 5
"""Blocks of four pixels: no less than that, or a streak fills its surroundings."""

MOVING = 255 * 0.5
"""So much less reliable than elsewhere are the surroundings of what moves."""

CONFIDENCE = (0.0, 0.0, 0.25, 0.5, 0.65, 0.8, 0.88, 0.94, 0.97, 1.0)
"""Of so many remembered frames."""

FEW = 3
"""With fewer frames there is no better picture of the past than the last one itself."""


@dataclass(frozen=True)
class Prior:
    """What the past says of one frame.

    Attributes:
        pixels: the scene without rain as the past knows it, uint8 H×W×3 RGB; where that is
            certainly another one than the frame's, the frame itself.
        reliability: how far to trust it, uint8 H×W: 0 not at all, 255 fully.
        frames: how many were looked at.
        movement: of the whole picture since the frame before, or None at the start of a scene.
    """

    pixels: Pixels
    reliability: NDArray[np.uint8]
    frames: int = 0
    movement: Movement | None = None


def no_prior(frame: Pixels) -> Prior:
    """Return what is known of a frame that has no past: nothing."""
    return Prior(frame, np.zeros(frame.shape[:2], np.uint8))


Place = tuple[float, float]
"""Where a frame's contents are: down and right, in pixels, against its scene's first."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A frame, where its contents are (down and right, in pixels, against its scene's first), and
    how many were remembered before it.
    """

    pixels: Pixels
    down: float
    right: float
    number: int = 0


def ranks_for(count: int, density: float = 0.0) -> tuple[int, int, int]:
    """Return which of ``count`` sorted values estimate the scene, and which tells their spread.

    The denser the rain, the more of the upper values are rain: of nine frames with heavy rain the
    third value is 5 dB nearer to the scene than the fourth and the fifth, in drizzle it is 3 dB
    farther, since it is the sensor's noise that is sorted there.

    Args:
        count: values, 1 or more.
        density: of the rain, from :func:`rain_density`; of fewer than five values, it isn't known.

    Returns:
        Two ranks whose mean is the estimate; then a low one.
    """
    if count < FEW + 2:
        middle = (count - 1) // 2
        return middle, max(0, middle - 1), 0
    below = min(max(density / FLASHES_A_RANK, 0.5), LOWEST)
    twice = int((count - 1) * (1 - below / 4) + 0.5)  # the rank, in halves
    return (twice + 1) // 2, twice // 2, 1 if below < 1.25 else 0


class TemporalPrior:
    """Remembers a camera's last frames and estimates the scene behind the rain from them.

    Example::

        past = TemporalPrior()
        for frame in frames:
            prior = past.step(frame)  # from frames before this one alone

    A new size, a cut, a switch from day to night, a camera that is knocked aside: the past is
    forgotten, and the reliability is 0 until there is a new one.

    Args:
        span: frames to remember, 1 to 9.

    Attributes:
        scene: counts the scenes seen so far, from 0.
    """

    def __init__(self, span: int = SPAN) -> None:
        if not 1 <= span <= SPAN:
            raise ValueError(f"a prior looks at 1 to {SPAN} frames, not {span}")
        self._past: deque[Remembered] = deque(maxlen=span)
        self._unseen: deque[Pixels] = deque(maxlen=span)
        self._gap = False
        self._count = 0
        self._lumas: deque[tuple[Luma, Place]] = deque(maxlen=SPAN)
        self.scene = 0
        self._reference: Luma | None = None
        self._last: Luma | None = None
        self._place = (0.0, 0.0)
        self._movement = (0.0, 0.0)
        self._unrest = QUIET

    def reset(self) -> None:
        """Forget the past: another scene begins."""
        self._past.clear()
        self._unseen.clear()
        self._gap = False
        self.scene += 1
        self._lumas.clear()
        self._reference = self._last = None
        self._movement, self._unrest = (0.0, 0.0), QUIET

    def step(self, frame: Pixels) -> Prior:
        """Return the prior of the next frame, then remember it.

        Args:
            frame: uint8 H×W×3 RGB; must not be written to afterwards.
        """
        self._catch_up()
        movement = self._follow(frame)
        prior = estimate(frame, self._place, list(self._past))
        self._keep(frame)
        return Prior(prior.pixels, prior.reliability, prior.frames, movement)

    def remember(self, frame: Pixels) -> None:
        """Remember a frame whose prior nobody needs; nothing is done with it until one is.

        Args:
            frame: uint8 H×W×3 RGB; must not be written to afterwards.
        """
        self._gap |= len(self._unseen) == self._unseen.maxlen
        self._unseen.append(frame)

    def follow(self, frame: Pixels) -> Remembered:
        """Remember a frame at once, and return where its contents are.

        Args:
            frame: uint8 H×W×3 RGB; must not be written to afterwards.
        """
        self._catch_up()
        self._follow(frame)
        self._keep(frame)
        return self._past[-1]

    def _catch_up(self) -> None:
        """Look at the frames that nobody needed until now, as many as count."""
        unseen, gap = list(self._unseen), self._gap
        self._unseen.clear()
        if gap:  # in what has fallen out, the camera may have turned anywhere
            self.reset()
        for frame in unseen:
            self._follow(frame)
            self._keep(frame)

    def _follow(self, frame: Pixels) -> Movement | None:
        """Find out where the frame is, and whether it is of the same scene."""
        if self._past and self._past[-1].pixels.shape != frame.shape:
            self.reset()
        luma = prepare(frame)
        movement: Movement | None = None
        if self._reference is not None and self._last is not None:
            movement = measure(self._reference, luma, self._movement)
            if _is_jump(movement, frame) or self._is_cut(changed(self._last, luma, movement)):
                self.reset()
                movement = None
        if movement is not None:
            self._move(movement)
        self._last = luma
        self._lumas.append((luma, self._place))
        self._reference = self._without_rain()
        return movement

    def _keep(self, frame: Pixels) -> None:
        self._past.append(Remembered(frame, *self._place, self._count))
        self._count += 1

    def _without_rain(self) -> Luma:
        """Return the last frame's brightness as the last frames know it: better to align to."""
        last, place = self._lumas[-1]
        if len(self._lumas) < FEW:
            return last
        by = last.reduction
        others = [luma.small for luma, _ in self._lumas]
        moves = [((place[0] - down) / by, (place[1] - right) / by)
                 for _, (down, right) in self._lumas]  # fmt: skip
        if any(max(abs(down), abs(right)) > ALIGNED for down, right in moves):
            others, moves = others[-MOVING_SPAN:], moves[-MOVING_SPAN:]
        moved = [
            aligned(last.small, other, move) for other, move in zip(others, moves, strict=True)
        ]
        (middle,) = ranked(moved, [(len(moved) - 1) // 2])
        return prepare_small(middle, by)

    def _is_cut(self, share: float) -> bool:
        """Tell a new scene from what changes all the time, as a cloudburst does."""
        if share > max(CUT, 1 - CUT_ROOM * (1 - self._unrest)):
            return True
        self._unrest += 0.3 * (share - self._unrest)
        return False

    def _move(self, movement: Movement) -> None:
        self._movement = movement.down, movement.right
        if max(abs(movement.down), abs(movement.right)) >= STILL:
            self._place = self._place[0] + movement.down, self._place[1] + movement.right


def _is_jump(movement: Movement, frame: Pixels) -> bool:
    """Say whether a camera was knocked aside: nobody turns it as fast as that."""
    height, width = frame.shape[:2]
    return bool(max(abs(movement.down) / height, abs(movement.right) / width) > JUMP)


def estimate(frame: Pixels, place: Place, others: Sequence[Remembered]) -> Prior:
    """Estimate the scene of a frame from others of the same scene.

    Args:
        frame: uint8 H×W×3 RGB.
        place: where its contents are, down and right, in pixels, as those of the others.
        others: nearest in time last; fewer than two say nothing.
    """
    moves = [(place[0] - other.down, place[1] - other.right) for other in others]
    if any(max(abs(down), abs(right)) > ALIGNED for down, right in moves):
        span = MOVING_SPAN - (frame.shape[0] * frame.shape[1] > LARGE)
        others, moves = others[-span:], moves[-span:]
    if len(others) < 2:
        return no_prior(frame)
    moved = [aligned(frame, other.pixels, move) for other, move in zip(others, moves, strict=True)]
    in_time = [moved[at] for at in sorted(range(len(moved)), key=lambda at: others[at].number)]
    middle, below, low = ranks_for(len(moved), rain_density(in_time))
    found = ranked(moved, sorted({middle, below, low}))
    by_rank = dict(zip(sorted({middle, below, low}), found, strict=True))
    pixels = by_rank[middle]
    if below != middle:
        pixels = _mean(by_rank[middle], by_rank[below])
    spread = cv2.cvtColor(cv2.subtract(by_rank[middle], by_rank[low]), cv2.COLOR_RGB2GRAY)
    darker = cv2.cvtColor(cv2.subtract(pixels, frame), cv2.COLOR_RGB2GRAY)
    lasting = cv2.cvtColor(cv2.subtract(cv2.min(frame, moved[-1]), pixels), cv2.COLOR_RGB2GRAY)
    brighter = cv2.cvtColor(cv2.subtract(frame, pixels), cv2.COLOR_RGB2GRAY)
    side = max(9, round(frame.shape[1] * BROAD) | 1)
    broad = cv2.morphologyEx(brighter, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    # What can't be rain, against what the past is merely unsure of.
    same = cv2.min(cv2.LUT(darker, _DARKER), cv2.LUT(broad, _LASTING))
    reliability = cv2.multiply(cv2.LUT(spread, _SPREAD), same, scale=1 / 255)
    reliability = cv2.multiply(reliability, cv2.LUT(lasting, _LASTING), scale=1 / 255)
    covered = coverage(frame.shape[:2], moves)
    if covered is not None:
        reliability = cv2.multiply(reliability, covered, scale=1 / 255)
    around = _surroundings(np.asarray(reliability, np.uint8))
    confidence = CONFIDENCE[min(len(moved), len(CONFIDENCE) - 1)]
    reliability = cv2.multiply(reliability, around, scale=confidence / 255)
    # Where the scene is another one, the past isn't shown: a network takes any difference for rain.
    other = (cv2.min(same, around) == 0).view(np.uint8)
    cv2.copyTo(frame, other, pixels)
    return Prior(pixels, np.asarray(reliability, np.uint8), len(moved))


def rain_density(pictures: Sequence[Pixels]) -> float:
    """Return the share of places and frames that a drop flashes up in: 0.1 in heavy rain.

    What moves darkens places as often as it brightens them, and is taken off as far as dense rain,
    whose gaps are dark flashes, allows.

    Args:
        pictures: uint8 H×W×3 RGB of one scene and place, in the order of time; with fewer than
            five, nothing is known.
    """
    if len(pictures) < FEW + 2:
        return 0.0
    step = max(1, min(pictures[0].shape[:2]) // DENSITY_SAMPLES)
    greens = np.stack([picture[::step, ::step, 1] for picture in pictures])
    lowest = np.partition(greens, (0, 2), axis=0)
    # A quarter of the places that stand have their first and third of nine values within 0.55
    # standard deviations, rain or not.
    noise = float(np.percentile(lowest[2] - lowest[0], 25)) / 0.55
    flash = max(FLASH, NOISES * noise)
    before, now, after = greens[:-2], greens[1:-1], greens[2:]
    up = cv2.min(cv2.subtract(now, before), cv2.subtract(now, after)) > flash
    down = cv2.min(cv2.subtract(before, now), cv2.subtract(after, now)) > flash
    share = float(up.mean())
    return share - min(float(down.mean()), share / 2)


def _falling(from_level: float, to_level: float) -> NDArray[np.uint8]:
    levels = np.arange(256)
    share = np.clip((to_level - levels) / (to_level - from_level), 0, 1)
    return np.asarray(np.rint(255 * share), np.uint8)


_SPREAD = _falling(4, 28)
"""A place whose lower values lie this far apart has something moving in it."""
_DARKER = _falling(6, 26)
"""Rain only brightens: a frame that is darker than the past shows something else."""

_LASTING = _falling(8, 30)
"""Rain is gone in the next frame, and streaks are narrow: what stays brighter for two frames, or is
brighter in a broad patch, is something else."""


def _surroundings(reliability: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tell what moves by the many doubtful places in it; between them it only looks like the past.

    Many means more than elsewhere: in a cloudburst there are doubtful places all over the picture.
    """
    height, width = reliability.shape
    if min(height, width) < 4 * NEAR:
        return np.full(reliability.shape, 255, np.uint8)
    small = width // 4, height // 4
    coarse = cv2.resize(reliability, small, interpolation=cv2.INTER_AREA)
    side = max(NEAR, round(width * AROUND / 4) | 1)
    share = cv2.blur(coarse, (side, side), borderType=cv2.BORDER_REPLICATE)
    usual = float(np.median(share[::4, ::4]))
    share = cv2.LUT(share, 255 - _falling(usual - MOVING, usual - MOVING / 3))
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _mean(a: Pixels, b: Pixels) -> Pixels:
    return np.asarray(cv2.addWeighted(a, 0.5, b, 0.5, 0), np.uint8)
