"""Whether it rains, from a few patches of the last three frames. Pure, one object a camera.

A streak is there for one frame, brighter than what is behind it, narrow and nearly upright, and
there are others all over the picture. What is not rain lacks one of these: noise darkens as often
as it brightens, snow and insects are not upright, insects are few, leaves stay, lamps light whole
patches. A dozen sums tell these apart; a small network, trained by ``tools/train_gauge.py``, turns
them into a score.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Picture, Planes, size_of
from streamderain.inference.pictures import contrast_of, in_full

__all__ = ["FEATURES", "RainGauge", "Sums", "Weather", "features"]

USUAL = 640 * 360
"""Pixels of a picture that is measured as it is: streaks are one to four wide in it, as they grow
with the picture. In larger ones, squares of 2×2, 3×3 and so on count as a pixel."""
MOST_AVERAGED = 3
"""Pixels along each side of a square of which all count; larger ones are four pixels of theirs."""
PATCH = 64
"""Side of a patch in such pixels."""
MARGIN = 8
"""Around it, for a camera that moves."""
FOLLOWED = 5
"""Patches by which a camera's movement is told."""
SURE = 0.15
"""Of a phase correlation's peak: what is less says nothing."""
ROWS, COLUMNS = 4, 6

UNLIT = 0.015
"""Change of a patch's light that is none."""

WEAK, STRONG = 3, 8
"""Levels above its neighbours in time and to its sides."""
_STREAKS = np.minimum(np.arange(256), 60).astype(np.float32)
_STREAKS[:WEAK] = 0
"""What of a rise counts as a streak."""
LENGTH, SHORT = 4, 2
"""Pixels along which a streak looks like itself: a long one, and a short one of a bright day."""
SLANTS, SHORT_SLANTS = (-3, -1, 0, 1, 3), (-1, 0, 1)
EVERYWHERE = 1.5, 3.0
"""Patches that take part: so few are no rain, with so many it counts fully."""

SUMMED = 14
"""Sums over the whole picture; one for each patch comes after them."""
MEMORY = 0.15
"""Weight of the latest frame in the sums."""

DRY_BELOW, WET_ABOVE = 0.2, 0.8
"""Scores below and above which it is sure what they mean."""
SETTLED = 25
"""Frames in a row that are all dry or all wet, after which the next will hardly be otherwise."""
RESTING = 3
"""Then every third is measured: a sudden change is noticed two frames later at most; what fades
takes a few more, as the sums remember measurements."""

Patches = NDArray[np.uint8]
"""P×h×w, brightness, with margins."""
Weather = Literal["dry", "wet", ""]
"""What is sure; or nothing."""
Sums = NDArray[np.float64]
"""What is summed up of three frames; see :func:`measure_patches`."""

FEATURES = (
    "rising against falling", "strong rising against falling", "amount", "upright",
    "upright rather than level", "upright rather than both slants", "spread", "patches", "motion",
    "brightness", "everywhere", "noise", "strong noise", "upright, short",
    "upright rather than level, short",
)  # fmt: skip


def cut_patches(picture: Picture) -> Patches:
    """Return the brightness of patches on a grid, with a margin around each: uint8 P×h×w.

    Pictures smaller than the grid give fewer or smaller patches.
    """
    frame = picture.luma if isinstance(picture, Planes) else picture
    step = max(1, round(float(np.sqrt(frame.shape[0] * frame.shape[1] / USUAL))))
    if step > MOST_AVERAGED:  # half of its rows and columns are as good, and less to read
        frame, step = frame[:: step // 2, :: step // 2], 2
    (tall, wide), places = _grid(frame.shape[:2], step)
    cut = [frame[place] for place in places]
    grey = np.concatenate(cut)
    if grey.ndim == 3:
        grey = np.asarray(cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY), np.uint8)
    if step > 1:
        size = wide, tall * len(cut)
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    return in_full(grey, contrast_of(picture)).reshape(len(cut), tall, wide)


@lru_cache(maxsize=16)
def _grid(size: tuple[int, int], step: int) -> tuple[tuple[int, int], list[tuple[slice, slice]]]:
    """Return how tall and wide patches are, and where each is in a picture, ``step`` times that."""
    side = PATCH + 2 * MARGIN
    tall, wide = (min(side, max(1, length // step)) for length in size)
    rows, columns = (
        min(ROWS, max(1, size[0] // (tall * step))),
        min(COLUMNS, max(1, size[1] // (wide * step))),
    )
    down, right = min(size[0], tall * step), min(size[1], wide * step)
    tops, lefts = (
        np.linspace(0, rest, count).astype(int).tolist()
        for rest, count in ((size[0] - down, rows), (size[1] - right, columns))
    )
    places = [(slice(top, top + down), slice(left, left + right)) for top in tops for left in lefts]
    return (tall, wide), places


def shift_between(before: Patches, now: Patches) -> tuple[int, int]:
    """Return how far the contents have moved, down and right, in whole pixels within the margin.

    The middle of what some patches say, so that one with a car in it doesn't count.
    """
    height, width = now.shape[1:]
    if min(height, width) < PATCH:
        return 0, 0
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    found = []
    for index in np.linspace(0, len(now) - 1, min(FOLLOWED, len(now))).astype(int):
        a, b = before[index].astype(np.float32), now[index].astype(np.float32)
        (right, down), sure = cv2.phaseCorrelate(a, b, window)
        if sure > SURE:
            found.append((down, right))
    if len(found) < 2:
        return 0, 0
    down, right = np.median(found, axis=0)
    limit = MARGIN - 1
    return int(np.clip(round(down), -limit, limit)), int(np.clip(round(right), -limit, limit))


def measure_patches(
    before: Patches,
    now: Patches,
    after: Patches,
    came: tuple[int, int] = (0, 0),
    went: tuple[int, int] = (0, 0),
) -> Sums:
    """Return what three frames' patches show, as means over their pixels that can be averaged.

    Args:
        before, now, after: from :func:`cut_patches`; it is judged whether it rains in ``now``.
        came: how far the contents have moved from ``before`` to ``now``, down and right.
        went: and from ``now`` to ``after``.
    """
    new = _inside(now, (0, 0))
    old = _as_lit(_inside(before, (-came[0], -came[1])), new, len(now))
    next_one = _as_lit(_inside(after, went), new, len(now))
    # What is as bright a pixel away has only moved by less than a whole one.
    around = np.ones((3, 3), np.uint8)
    above = np.asarray(cv2.dilate(np.maximum(old, next_one), around), np.uint8)
    below = np.asarray(cv2.erode(np.minimum(old, next_one), around), np.uint8)
    rising, falling = _edges(new, above), _edges(below, new)
    strong, strong_falling = _above(rising, STRONG), _above(falling, STRONG)
    weak, weak_falling = _mean(_above(rising, WEAK)), _mean(_above(falling, WEAK))
    streaks = np.asarray(cv2.LUT(rising, _STREAKS), np.float32)
    power = _likeness(streaks, 0, 0)
    upright = [_likeness(streaks, LENGTH, slant) for slant in SLANTS]
    level = _likeness(streaks, 0, LENGTH)
    short = max(_likeness(streaks, SHORT, slant) for slant in SHORT_SLANTS)
    short_level = _likeness(streaks, 0, SHORT)
    slanted = (upright[0] + upright[-1]) / 2
    by_patch, falling_by_patch = (
        cv2.reduce(part.reshape(len(now), -1), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
        / (part.size / len(now))
        for part in (strong, strong_falling)
    )
    wet = float((by_patch > 2 * falling_by_patch + 0.02).mean())
    return np.array(
        [
            weak, weak_falling, _mean(strong), _mean(strong_falling), power,
            max(upright), level, slanted, float(np.median(by_patch)), wet,
            _mean(cv2.absdiff(old, next_one)), _mean(new), short, short_level, *by_patch,
        ]
    )  # fmt: skip


def _as_lit(patches: NDArray[np.uint8], now: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return patches as bright as they are now: a lamp that flickers is no rain.

    By their medians, which streaks don't move.
    """
    here, there = (_medians(part.reshape(count, -1)[:, ::17]) + 1.0 for part in (now, patches))
    gain = np.clip(here / there, 0.5, 2.0)
    if np.abs(gain - 1).max() < UNLIT:
        return patches
    scaled = patches.reshape(count, -1) * gain.astype(np.float32)[:, None]
    lit = np.minimum(scaled + 0.5, 255).astype(np.uint8)
    return np.asarray(lit.reshape(patches.shape), np.uint8)


def _inside(patches: Patches, move: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the patches without their margins, from where the contents have moved to: 2-D."""
    _, height, width = patches.shape
    down, right = MARGIN + move[0], MARGIN + move[1]
    if min(height, width) < 2 * MARGIN + LENGTH + 1:  # too small for margins
        return patches.reshape(-1, width)
    inner_height, inner_width = height - 2 * MARGIN, width - 2 * MARGIN
    inside = patches[:, down : down + inner_height, right : right + inner_width]
    return np.ascontiguousarray(inside).reshape(-1, inner_width)


def _edges(bright: NDArray[np.uint8], dark: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return by how much one is brighter, less what its sides are: not whole patches in a light."""
    difference = cv2.subtract(bright, dark)
    return np.asarray(cv2.subtract(difference, cv2.blur(difference, (15, 1))), np.uint8)


def _above(picture: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """Return what is above a level, and 0 elsewhere."""
    return np.asarray(cv2.subtract(picture, np.full_like(picture, level)), np.uint8)


def _mean(picture: cv2.typing.MatLike) -> float:
    """Return the mean of a picture of one channel: OpenCV takes a fifth of NumPy's time."""
    return float(cv2.sumElems(picture)[0]) / picture.size


def _medians(rows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the median of each row."""
    middle = rows.shape[1] // 2
    around = [middle] if rows.shape[1] % 2 else [middle - 1, middle]
    return np.asarray(np.partition(rows, around, axis=1)[:, around].mean(axis=1), np.float64)


def _likeness(picture: NDArray[np.float32], down: int, right: int) -> float:
    """Return the mean product of each pixel and the one so far away."""
    height, width = picture.shape
    if height <= down or width <= abs(right):
        return 0.0
    left, other = max(0, -right), max(0, right)
    a = picture[: height - down, left : width - other]
    b = picture[down:, other : width - left]
    return _mean(cv2.multiply(a, b))


def features(sums: Sums) -> NDArray[np.float64]:
    """Return what :data:`FEATURES` names, of averaged sums."""
    (
        weak, weak_falling, strong, strong_falling, power, upright, level, slanted, median, wet,
        motion, brightness, short, short_level,
    ) = sums[:SUMMED]  # fmt: skip
    by_patch = sums[SUMMED:] + 1e-4
    power = power + 0.05
    return np.array(
        [
            np.log((weak + 0.02) / (weak_falling + 0.02)),
            np.log((strong + 0.005) / (strong_falling + 0.005)),
            np.log(strong + 0.003),
            upright / power,
            (upright - level) / power,
            (upright - slanted) / power,
            median / (strong + 0.01),
            wet,
            np.log(motion + 0.3),
            brightness / 255,
            # How many patches take part, as a share (the inverse of Simpson's index).
            by_patch.sum() ** 2 / (by_patch**2).sum() / len(by_patch),
            # What darkens for one frame is no rain; so much of what brightens isn't either.
            np.log(weak_falling + 0.02),
            np.log(strong_falling + 0.003),
            short / power,
            (short - short_level) / power,
        ]
    )


@cache
def _network() -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    stored = json.loads(Path(__file__).with_name("gauge.json").read_text(encoding="utf-8"))
    return [(np.array(layer["weight"]), np.array(layer["bias"])) for layer in stored["layers"]]


def score_of(sums: Sums) -> float:
    """Return the score 0 to 1 of averaged sums.

    Nothing rains in one place alone: what one or two patches show doesn't count.
    """
    found = features(sums)
    patches = len(sums) - SUMMED
    few, many = (min(count, 0.8 * patches) for count in EVERYWHERE)
    taking_part = float(found[FEATURES.index("everywhere")]) * patches
    everywhere = 1.0 if many <= few else min(1.0, max(0.0, (taking_part - few) / (many - few)))
    *hidden, (weight, bias) = _network()
    for w, b in hidden:
        found = np.tanh(w @ found + b)
    return everywhere * float(1 / (1 + np.exp(-(weight @ found + bias)[0])))


class RainGauge:
    """Tells how surely it rains before a camera.

    Example::

        gauge = RainGauge()
        for frame in frames:
            if gauge.step(frame) > 0.5:
                ...

    The first two frames of a scene say nothing; they score 1, so that rain is not let through.

    Args:
        rests: look at every third frame alone where nothing has changed for long.
    """

    def __init__(self, *, rests: bool = True) -> None:
        self._rests = rests
        self._patches: list[Patches] = []
        self._last_shift: tuple[int, int] | None = None
        self._sums: Sums | None = None
        self._size: tuple[int, ...] = ()
        self._weather: Weather = ""
        self._settled = 0

    def reset(self) -> None:
        """Forget what was seen: another scene begins."""
        self._patches.clear()
        self._last_shift = self._sums = None
        self._weather, self._settled = "", 0

    def step(self, frame: Picture) -> float:
        """Return the score 0 to 1 after one more frame, RGB or planes."""
        sums = self.measure(frame)
        return 1.0 if sums is None else score_of(sums)

    def measure(self, frame: Picture) -> Sums | None:
        """Take one more frame; return the averaged sums, None before the third.

        Where nothing has changed for a second (:data:`SETTLED`), they are those of up to two frames
        before, until something does.
        """
        if size_of(frame) != self._size:
            self.reset()
            self._size = size_of(frame)
        self._patches = [*self._patches[-2:], cut_patches(frame)]
        if len(self._patches) < 3:
            return None
        if self._settled > SETTLED and (self._settled - SETTLED) % RESTING:
            self._settled, self._last_shift = self._settled + 1, None
            return self._sums
        before, now, after = self._patches
        came = self._last_shift or shift_between(before, now)
        self._last_shift = shift_between(now, after)
        fresh = measure_patches(before, now, after, came, self._last_shift)
        if self._sums is None:
            self._sums = fresh
        else:
            self._sums = self._sums + MEMORY * (fresh - self._sums)
        if self._rests:
            self._settle(_weather(score_of(fresh), score_of(self._sums)))
        return self._sums

    def _settle(self, weather: Weather) -> None:
        """Count measurements that say the same."""
        unchanged = weather and weather == self._weather
        self._weather, self._settled = weather, self._settled + 1 if unchanged else 0


def _weather(*scores: float) -> Weather:
    """Return what scores agree on: ``dry``, ``wet``, or nothing."""
    if max(scores) < DRY_BELOW:
        return "dry"
    return "wet" if min(scores) > WET_ABOVE else ""
