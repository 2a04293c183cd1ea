"""Stills made into clips: a camera that stands, trembles or pans, with things that move before it.

For training and judging what looks at more than one frame. All of it is seeded; the truth is known:
each frame without rain, and where something moves in front of the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.frame import Pixels

__all__ = [
    "MOTIONS", "Clip", "Mover", "camera_path", "draw_clip", "random_movers", "random_vehicles",
]  # fmt: skip

MOTIONS = ("fixed", "tremble", "pan")
"""A bracket on a wall; a pole in the wind; a camera that is turned."""

Path = NDArray[np.float64]
"""Where the view's corner is in the still: frames×2, down and right, in pixels."""

MARGIN = 2
"""Pixels that resampling needs around the view."""


@dataclass(frozen=True)
class Mover:
    """Something that moves in front of the background.

    Attributes:
        texture: uint8 h×w×3 RGB.
        mask: float32 h×w in [0, 1]: how much of it hides what is behind.
        start: of its corner in the view, down and right, in pixels.
        velocity: pixels a frame, against the background.
        growth: factor of its size from frame to frame: above 1, it comes nearer.
    """

    texture: Pixels
    mask: NDArray[np.float32]
    start: tuple[float, float]
    velocity: tuple[float, float]
    growth: float = 1.0


@dataclass(frozen=True)
class Clip:
    """A clip without rain.

    Attributes:
        frames: uint8 H×W×3 RGB each.
        moving: bool H×W each: where a mover hides the background by more than half.
    """

    frames: list[Pixels]
    moving: list[NDArray[np.bool_]]


def camera_path(
    motion: str, frames: int, rng: np.random.Generator, *, reach: tuple[int, int]
) -> Path:
    """Draw how a camera moves over a still.

    Args:
        motion: of :data:`MOTIONS`. A trembling camera swings by up to three pixels; a panning one
            moves on by 0.2 to 6 pixels a frame, and trembles a little.
        frames: how many.
        rng: its state decides everything.
        reach: how far the view's corner may go, down and right, in pixels.

    Returns:
        The corner's places, within the reach.

    Raises:
        ValueError: no such motion.
    """
    if motion not in MOTIONS:
        raise ValueError(f"a camera is one of {', '.join(MOTIONS)}, not {motion!r}")
    path = np.zeros((frames, 2))
    if motion != "fixed":
        swing = rng.uniform(0.2, 1.5) if motion == "tremble" else rng.uniform(0.0, 0.15)
        shake = np.zeros(2)
        for index in range(frames):
            shake = 0.8 * shake + rng.normal(0.0, swing * 0.6, 2)
            path[index] = np.clip(shake, -3, 3)
    if motion == "pan":
        angle = rng.uniform(0, 2 * np.pi)
        speed = float(np.exp(rng.uniform(np.log(0.2), np.log(6.0))))
        way = speed * np.array([0.35 * np.sin(angle), np.cos(angle)])
        path += np.arange(frames)[:, None] * way
    extent = path.max(axis=0) - path.min(axis=0)
    room = np.asarray(reach, float)
    shrink = float(np.min(np.where(extent > 0, room / np.maximum(extent, 1e-9), 1.0)))
    if shrink < 1:
        path *= shrink
        extent *= shrink
    corner = rng.uniform(0, 1, 2) * np.maximum(room - extent, 0)
    if motion == "fixed":
        corner = np.floor(corner)  # what stands still is not resampled
    return np.asarray(np.clip(path - path.min(axis=0) + corner, 0, room), np.float64)


def random_movers(
    pictures: Sequence[Pixels], count: int, size: tuple[int, int], frames: int,
    rng: np.random.Generator,
) -> list[Mover]:  # fmt: skip
    """Cut things out of pictures and send them through the view.

    Args:
        pictures: uint8 H×W×3 RGB, what they are cut from.
        count: how many things.
        size: height and width of the view.
        frames: length of the clip; each thing is in the view for a part of it.
        rng: its state decides everything.
    """
    movers: list[Mover] = []
    for _ in range(count):
        picture = pictures[int(rng.integers(len(pictures)))]
        sides = [
            int(np.clip(rng.uniform(0.12, 0.5) * side, 8, min(limit, 400)))
            for side, limit in zip(size, picture.shape[:2], strict=True)
        ]
        top, left = (
            int(rng.integers(limit - side + 1))
            for side, limit in zip(sides, picture.shape[:2], strict=True)
        )
        texture = picture[top : top + sides[0], left : left + sides[1]]
        speed = float(np.exp(rng.uniform(np.log(0.4), np.log(9.0))))
        angle = rng.uniform(0, 2 * np.pi)
        velocity = (0.4 * speed * np.sin(angle), speed * np.cos(angle))
        start = _start(sides, velocity, size, frames, rng)
        movers.append(Mover(texture, _outline(sides[0], sides[1], rng), start, velocity))
    return movers


def _start(
    sides: Sequence[int], velocity: tuple[float, float], size: tuple[int, int], frames: int,
    rng: np.random.Generator,
) -> tuple[float, float]:  # fmt: skip
    """Return where a thing begins whose middle is at some place of the view at some moment."""
    when = rng.uniform(0, frames)
    middle = [rng.uniform(0, side) for side in size]
    down, right = (
        m - side / 2 - when * v for m, side, v in zip(middle, sides, velocity, strict=True)
    )
    return down, right


def random_vehicles(
    count: int, size: tuple[int, int], frames: int, rng: np.random.Generator
) -> list[Mover]:
    """Draw what is large, smooth and has straight edges, as lorries seen from a bridge.

    Of such things, a sorted past shows rain and edges of what was there before, in places where
    nothing else shows that they move. They go any way, also upright as streaks do, and may come
    nearer.

    Args:
        count: how many things.
        size: height and width of the view.
        frames: length of the clip; each thing is in the view for a part of it.
        rng: its state decides everything.
    """
    movers: list[Mover] = []
    for _ in range(count):
        height, width = (int(max(12, rng.uniform(0.2, 1.1) * side)) for side in size)
        speed = float(np.exp(rng.uniform(np.log(0.7), np.log(14.0))))
        angle = rng.uniform(0, 2 * np.pi)
        velocity = (speed * np.sin(angle), speed * np.cos(angle))
        start = _start((height, width), velocity, size, frames, rng)
        growth = float(rng.uniform(0.985, 1.02)) if rng.random() < 0.5 else 1.0
        mask = np.zeros((height, width), np.float32)
        mask[1:-1, 1:-1] = 1
        soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 1.2)))
        texture = _bodywork(height, width, rng)
        movers.append(Mover(texture, np.asarray(soft, np.float32), start, velocity, growth))
    return movers


def _bodywork(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Return a smooth panel with a few smaller ones on it: a roof, its vents, windows, a load."""

    def colour() -> NDArray[np.float64]:
        grey = rng.uniform(10, 245)
        return np.clip(grey + rng.normal(0, 25 if rng.random() < 0.5 else 5, 3), 0, 255)

    across = np.linspace(0, 1, width)[None, :, None]
    along = np.linspace(0, 1, height)[:, None, None]
    picture = colour() + along * rng.normal(0, 20) + across * rng.normal(0, 20)
    for _ in range(int(rng.integers(1, 6))):
        h, w = (int(max(3, rng.uniform(0.05, 0.5) * side)) for side in (height, width))
        top, left = (int(rng.integers(0, max(1, side - part)))
                     for side, part in ((height, h), (width, w)))  # fmt: skip
        picture[top : top + h, left : left + w] = colour()
    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.0)))
    return np.asarray(np.rint(np.clip(soft, 0, 255)), np.uint8)


def _outline(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the mask of a lumpy thing that fills its box, with an edge as soft as a lens's."""
    corners = int(rng.integers(7, 16))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.65, 1.0, corners)
    points = np.stack(
        [width / 2 * (1 + radii * np.cos(angles)), height / 2 * (1 + radii * np.sin(angles))],
        axis=1,
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 1.5)))
    return np.asarray(soft / np.float32(255), np.float32)


def draw_clip(still: Pixels, path: Path, movers: Sequence[Mover], size: tuple[int, int]) -> Clip:
    """Move a view over a still, with things in front.

    Args:
        still: uint8 H×W×3 RGB, not smaller than the view.
        path: from :func:`camera_path`.
        movers: the last is nearest to the camera.
        size: height and width of the view.

    Raises:
        ValueError: the view leaves the still.
    """
    height, width = size
    if path.min() < 0 or (path.max(axis=0) + size > np.array(still.shape[:2]) + 1e-6).any():
        raise ValueError("the path leads out of the still")
    frames: list[Pixels] = []
    moving: list[NDArray[np.bool_]] = []
    for index, (top, left) in enumerate(path):
        frame = _view(still, top, left, height, width)
        hidden: NDArray[np.float32] = np.zeros(size, np.float32)
        drift = path[index] - path[0]
        for mover in movers:
            place = np.asarray(mover.start) + index * np.asarray(mover.velocity) - drift
            frame = _paste(frame, mover, (float(place[0]), float(place[1])), index, hidden)
        frames.append(frame)
        moving.append(hidden > 0.5)
    return Clip(frames, moving)


def _view(still: Pixels, top: float, left: float, height: int, width: int) -> Pixels:
    if top == int(top) and left == int(left):
        return still[int(top) : int(top) + height, int(left) : int(left) + width].copy()
    move = np.array([[1, 0, -left], [0, 1, -top]])
    flags = cv2.INTER_CUBIC
    view = cv2.warpAffine(still, move, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(view, np.uint8)


def _paste(
    frame: Pixels, mover: Mover, corner: tuple[float, float], index: int,
    hidden: NDArray[np.float32],
) -> Pixels:  # fmt: skip
    """Lay a mover over a frame; ``hidden`` grows where it hides what is behind."""
    height, width = frame.shape[:2]
    scale = mover.growth**index
    h, w = (int(np.ceil(scale * side)) for side in mover.mask.shape)
    # It grows around its middle.
    top, left = (
        at - (scale - 1) * side / 2 for at, side in zip(corner, mover.mask.shape, strict=True)
    )
    y, x = int(np.floor(top)), int(np.floor(left))
    y0, y1, x0, x1 = max(y, 0), min(y + h + 1, height), max(x, 0), min(x + w + 1, width)
    if y0 >= y1 or x0 >= x1:
        return frame
    move = np.array([[scale, 0, left - x], [0, scale, top - y]])
    box = (w + 1, h + 1)
    texture = cv2.warpAffine(
        mover.texture, move, box, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.warpAffine(mover.mask, move, box, flags=cv2.INTER_LINEAR)
    cut = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    share = mask[cut][..., None]
    under = frame[y0:y1, x0:x1]
    frame[y0:y1, x0:x1] = np.rint(under + share * (texture[cut].astype(np.float32) - under))
    region = hidden[y0:y1, x0:x1]
    np.maximum(region, share[..., 0], out=region)
    return frame
