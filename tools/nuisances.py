"""What a camera sees that is not rain but changes from frame to frame: on clips, seeded.

Each takes the frames of a clip, uint8 H×W×3 RGB, and gives new ones; the input is not changed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from streamderain.frame import Pixels

__all__ = [
    "NUISANCES",
    "compressed",
    "dimmed",
    "flickering",
    "insects",
    "leaves",
    "noisy",
    "posts",
    "snow",
]

Frames = Sequence[Pixels]
Rng = np.random.Generator


def noisy(frames: Frames, rng: Rng) -> list[Pixels]:
    """Add a sensor's noise: of each pixel by itself, or in grains, stronger in the dark."""
    sigma = float(np.exp(rng.uniform(np.log(0.5), np.log(9.0))))
    grain = float(rng.uniform(0.5, 1.2)) if rng.random() < 0.4 else 0.0
    result = []
    for frame in frames:
        shape = (*frame.shape[:2], 1 if rng.random() < 0.3 else 3)
        noise = rng.normal(0, sigma, shape).astype(np.float32)
        if grain:
            soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), grain), np.float32)
            noise = soft.reshape(shape) * np.float32(1 + 2 * grain)
        gain = 1.3 - 0.6 * frame.astype(np.float32) / 255
        result.append(_whole(frame + gain * noise))
    return result


def dimmed(frames: Frames, rng: Rng) -> list[Pixels]:
    """Make evening of it, or an infrared picture of the night."""
    gain, infrared = float(rng.uniform(0.2, 0.6)), rng.random() < 0.5
    result = []
    for frame in frames:
        dark = frame.astype(np.float32) * gain
        if infrared:
            dark = dark.mean(axis=2, keepdims=True).repeat(3, axis=2) * 1.3
        result.append(_whole(dark))
    return result


def flickering(frames: Frames, rng: Rng) -> list[Pixels]:
    """Light the scene, or a part of it, by a lamp that flickers."""
    height, width = frames[0].shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    reach = float(rng.uniform(0.1, 1.5)) * width
    centre = rng.uniform(0, height), rng.uniform(0, width)
    light = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * reach**2))[..., None]
    depth, phase = float(rng.uniform(0.03, 0.4)), rng.uniform(0, 7)
    speed = rng.uniform(0.3, 3.0)
    wild = rng.random() < 0.5
    result = []
    for index, frame in enumerate(frames):
        swing = rng.uniform(-1, 1) if wild else np.sin(speed * index + phase)
        result.append(_whole(frame * (1 + depth * float(swing) * light)))
    return result


def snow(frames: Frames, rng: Rng) -> list[Pixels]:
    """Let flakes fall: soft, round, slow, swaying."""
    height, width = frames[0].shape[:2]
    count = int(np.exp(rng.uniform(np.log(15), np.log(700))))
    place = rng.uniform(0, 1, (count, 2)) * (height, width)
    size = np.exp(rng.uniform(np.log(0.7), np.log(4.0), count))
    speed = rng.uniform(0.8, 2.6, count) * size + 0.5
    wind = rng.normal(0, 1.0)
    value = rng.uniform(60, 220)
    result = []
    for index, frame in enumerate(frames):
        canvas = np.zeros((height, width), np.uint8)
        for (y, x), radius in zip(place, size, strict=True):
            centre = round(float(x) * 16), round(float(y) * 16)
            cv2.circle(canvas, centre, round(float(radius) * 16), value, -1, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), 0.8)
        result.append(_whole(frame.astype(np.float32) + soft[..., None]))
        place[:, 0] += speed
        place[:, 1] += wind * size + np.sin(index / 3 + size * 9)
        place %= (height, width)
    return result


def insects(frames: Frames, rng: Rng) -> list[Pixels]:
    """Send insects past a lamp: few, bright, fast, in all directions."""
    height, width = frames[0].shape[:2]
    count = int(rng.integers(1, 9))
    place = rng.uniform(0, 1, (count, 2)) * (height, width)
    velocity = rng.normal(0, 14, (count, 2))
    thickness = rng.integers(1, 7, count)
    result = []
    for frame in frames:
        canvas = np.zeros((height, width), np.uint8)
        for here, way, width_px in zip(place, velocity, thickness, strict=True):
            start = np.rint(here[::-1] * 16).astype(int)
            end = np.rint((here + 0.7 * way)[::-1] * 16).astype(int)
            cv2.line(canvas, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 230,
                     int(width_px), cv2.LINE_AA, 4)  # fmt: skip
        soft = cv2.GaussianBlur(canvas, (0, 0), 0.8)
        result.append(_whole(frame.astype(np.float32) + soft[..., None]))
        place = (place + velocity) % (height, width)
        velocity = 0.8 * velocity + rng.normal(0, 8, velocity.shape)
    return result


def posts(frames: Frames, rng: Rng) -> list[Pixels]:
    """Move a few upright bars past, as legs, spokes, prams and a fence behind a car are."""
    height, width = frames[0].shape[:2]
    count = int(rng.integers(2, 14))
    reach = float(rng.uniform(0.05, 0.4)) * width
    middle = rng.uniform(0.1, 0.9) * height, rng.uniform(0, 1) * width
    place = middle + rng.normal(0, 1, (count, 2)) * (0.12 * height, reach / 2)
    lean = rng.normal(0, 0.2, count) + rng.normal(0, 0.1)
    length = np.exp(rng.uniform(np.log(5), np.log(90), count))
    thickness = rng.integers(1, 6, count)
    value = rng.uniform(0, 255, (count, 3)) if rng.random() < 0.5 else rng.uniform(90, 255, 3)
    value = np.broadcast_to(value, (count, 3))
    velocity = np.array([rng.normal(0, 0.5), rng.choice([-1, 1]) * np.exp(rng.uniform(0, 2.8))])
    stride, speed = float(rng.uniform(0, 4)), rng.uniform(0.3, 1.6)
    result = []
    for index, frame in enumerate(frames):
        drawn = frame.copy()
        for number, (y, x) in enumerate(place):
            swing = lean[number] + 0.1 * stride * np.sin(speed * index + number)
            half = length[number] / 2
            first = round((x - half * swing) * 16), round((y - half) * 16)
            last = round((x + half * swing) * 16), round((y + half) * 16)
            colour = [float(part) for part in value[number]]
            cv2.line(drawn, first, last, colour, int(thickness[number]), cv2.LINE_AA, 4)
        result.append(drawn)
        place = (place + velocity) % (height, width)
    return result


def leaves(frames: Frames, rng: Rng) -> list[Pixels]:
    """Let the wind move a part of the picture to and fro, each place in its own rhythm."""
    height, width = frames[0].shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    small = rng.uniform(0, 2 * np.pi, (max(2, height // 24), max(2, width // 24)))
    phase = cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    middle, reach = rng.uniform(0, width), rng.uniform(0.15, 0.6) * width
    weight = np.exp(-((x - middle) ** 2) / (2 * reach**2))
    swing, speed = rng.uniform(0.4, 3.5), rng.uniform(0.2, 1.6)
    result = []
    for index, frame in enumerate(frames):
        move = (weight * swing * np.sin(speed * index + 3 * phase)).astype(np.float32)
        lift = (weight * 0.5 * swing * np.cos(speed * index + 2 * phase)).astype(np.float32)
        moved = cv2.remap(
            frame, x + move, y + lift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        result.append(np.asarray(moved, np.uint8))
    return result


def compressed(frames: Frames, rng: Rng) -> list[Pixels]:
    """Send the clip through H.264 at a camera's rates, 0.03 to 0.3 bits a pixel, and back."""
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    rate = float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))) * height * width * 25
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        stream = target.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.options = {
            "preset": "ultrafast", "tune": "zerolatency", "b": str(int(rate)), "g": "25",
            "maxrate": str(int(rate)), "bufsize": str(int(rate)), "threads": "1",
        }  # fmt: skip
        for frame in frames:
            cut = np.ascontiguousarray(frame[:height, :width])
            target.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        target.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        back = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    result = []
    for frame, coded in zip(frames, back, strict=True):
        whole = frame.copy()
        whole[:height, :width] = coded
        result.append(whole)
    return result


def _whole(picture: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Pixels:
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


NUISANCES: dict[str, Callable[[Frames, Rng], list[Pixels]]] = {
    "dimmed": dimmed, "leaves": leaves, "flickering": flickering, "snow": snow,
    "insects": insects, "posts": posts, "noisy": noisy, "compressed": compressed,
}  # fmt: skip
"""In the order in which they happen to light before it is a file."""
