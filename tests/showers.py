"""Clips in which showers come and go before a camera that turns: what segments must not change."""

from fractions import Fraction

import av
import cv2
import numpy as np

from streamderain.rain.simulate import PRESETS, RainSimulator

SHOWERS = ((60, 150), (270, 330))
"""First frame and the one after the last of each shower."""


def street(height, width, seed=3):
    """A picture with edges of all sizes, uint8 H×W×3."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(
        rng.integers(40, 200, (height // 16, width // 16, 3), np.uint8), (width, height),
        interpolation=cv2.INTER_CUBIC,
    )  # fmt: skip
    for _ in range(60):
        top, left = int(rng.integers(0, height - 20)), int(rng.integers(0, width - 20))
        colour = [int(level) for level in rng.integers(30, 180, 3)]
        size = [int(length) for length in rng.integers(6, 20, 2)]
        cv2.rectangle(picture, (left, top), (left + size[0], top + size[1]), colour, -1)
    return picture


def make_shower(
    path, *, frames=360, height=96, width=160, encoder="libx264", options=None, pan=0.4,
    showers=SHOWERS, times=None, time_base=Fraction(1, 12800), audio=False,
):  # fmt: skip
    """Write a clip of 25 frames a second.

    Args:
        pan: pixels that the camera turns each frame.
        times: of the frames in units of ``time_base``, or None for even ones.
        audio: with a silent track.
    """
    wide = street(height + 8, width + round(pan * frames) + 8)
    rain = RainSimulator(height, width, PRESETS["heavy"], fps=25, seed=1)
    dry = np.random.default_rng(2)
    with av.open(str(path), "w") as output:
        video = output.add_stream(encoder, rate=25, options={"g": "20", **(options or {})})
        context = video.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = video.time_base = time_base
        sound = output.add_stream("aac", rate=48000) if audio else None
        step = int(1 / (25 * time_base))
        for index in range(frames):
            move = np.float32([[1, 0, -pan * index], [0, 1, 0]])
            pixels = cv2.warpAffine(wide, move, (width, height), flags=cv2.INTER_LINEAR)
            if any(first <= index < end for first, end in showers):
                pixels = rain.rain_on(pixels)
            else:
                noise = dry.normal(0, 1, pixels.shape)
                pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = times[index] if times else index * step, time_base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None:
            for block in range(int(frames / 25 * 48000 / 1024)):
                silence = av.AudioFrame.from_ndarray(
                    np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
                )
                silence.sample_rate, silence.pts = 48000, block * 1024
                silence.time_base = Fraction(1, 48000)
                output.mux(sound.encode(silence))
            output.mux(sound.encode(None))
    return path
