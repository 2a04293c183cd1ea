"""Clips made on the spot, and what is in a file: helpers of all media tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamderain.frame import Frame
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter

RATE = 25
FAST = {"libx264": {"preset": "ultrafast"}}


def picture(height: int, width: int, index: int = 0) -> np.ndarray:
    """A smooth coloured picture that moves with ``index``, uint8 H×W×3, well inside the gamut."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = 0.35 * index
    red = 125 + 50 * np.sin(x / 9 + phase)
    green = 120 + 45 * np.sin(y / 7 - phase)
    blue = 130 + 40 * np.cos((x + y) / 11 + phase)
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


def make_clip(
    path: Path,
    *,
    frames: int = 12,
    height: int = 48,
    width: int = 64,
    encoder: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 12800),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
    sar: Fraction | None = None,
    rotation: int | None = None,
    audio_tracks: int = 0,
    container: str | None = None,
) -> Path:
    """Write a clip; frames of ``picture`` unless the pixel format is filled by hand.

    Args:
        tags: attributes of the encoder, as numbers of H.273, e.g. ``{"colorspace": 1}``.
        rotation: degrees counterclockwise of the display matrix.
        audio_tracks: of AAC, a quarter second of tone longer than the picture.
    """
    with av.open(str(path), "w", format=container, container_options=container_options) as output:
        video = output.add_stream(
            encoder, rate=RATE, options={**FAST.get(encoder, {}), **(options or {})}
        )
        context = video.codec_context
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.time_base = time_base
        video.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(context, name, value)
        if sar:
            context.sample_aspect_ratio = sar
        if rotation is not None:
            video.set_display_rotation(rotation)
        tracks = [output.add_stream("aac", rate=48000) for _ in range(audio_tracks)]
        for number, track in enumerate(tracks):
            track.metadata["language"] = ("eng", "deu")[number % 2]
        output.start_encoding()
        for track in tracks:
            _add_tone(output, track, seconds=frames / RATE + 0.25)
        step = int(1 / (RATE * time_base))
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(height, width, index), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts = pts[index] if pts else index * step
            frame.time_base = time_base
            for name, value in (tags or {}).items():
                setattr(frame, name, value)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


def _add_tone(output, track, *, seconds: float) -> None:
    size = 1024
    for block in range(int(seconds * 48000 / size)):
        time = (np.arange(size) + block * size) / 48000
        wave = (0.2 * np.sin(2 * np.pi * 440 * (1 + track.index) * time)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        frame.pts, frame.time_base = block * size, Fraction(1, 48000)
        output.mux(track.encode(frame))
    output.mux(track.encode(None))


@dataclass(frozen=True)
class Copied:
    """What a null round trip reported."""

    frames: int
    notes: list[str]
    problems: list[str]
    corrupt: int
    encoder: str


def null_copy(source: Path, target: Path, **settings) -> Copied:
    """Read and write without touching a pixel, as when it doesn't rain."""
    settings.setdefault("preset", "ultrafast" if settings.get("codec", "h264") == "h264" else None)
    with VideoFileReader(source) as reader:
        writer = VideoFileWriter(target, reader.format, source=source, **settings)
        try:
            for frame in reader:
                writer.write(frame)
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
        return Copied(
            writer.frames, writer.notes, reader.problems, reader.corrupt_frames, writer.encoder
        )


def read_all(path: Path, **settings) -> tuple[list[Frame], VideoFileReader]:
    """All frames of a file, and the reader when it was through."""
    with VideoFileReader(path, **settings) as reader:
        return list(reader), reader


def frame_times(path: Path) -> list[Fraction]:
    """Presentation times in seconds, as PyAV's plain decoding gives them."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        return [frame.pts * base for frame in container.decode(video=0)]


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction, Fraction, bytes]]:
    """Times (pts, dts) in seconds and payload of every packet of one stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[number]
        return [
            (packet.pts * packet.time_base, packet.dts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def planes(path: Path) -> list[list[np.ndarray]]:
    """The decoded planes of every frame, as int16 so that they can be subtracted."""
    with av.open(str(path)) as container:
        return [_planes(frame) for frame in container.decode(video=0)]


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(plane, np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width]
        .astype(np.int16)
        for plane in frame.planes
    ]
