"""Which encoder really opens here: one is tried after the other, without a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

import av

from streamderain.errors import UsageError
from streamderain.frame import SourceFormat
from streamderain.hardware import codec_threads
from streamderain.writers.encoders import choose_pixel_format, encoder_names, encoder_options

__all__ = ["Encoder", "first_encoder", "hush_svt", "set_up"]


@dataclass(frozen=True)
class Encoder:
    """An encoder that opens.

    Attributes:
        name: FFmpeg's.
        pixel_format: what it is given.
        options: its own.
    """

    name: str
    pixel_format: str
    options: dict[str, str]


def first_encoder(
    source: SourceFormat, codec: str, crf: int | None, preset: str | None, bitrate: int | None,
    *, cuda: bool,
) -> Encoder:  # fmt: skip
    """Return the first encoder of a codec that really opens for a source's frames.

    Args:
        source: whose frames are written.
        codec: of :data:`~streamderain.writers.encoders.CODECS`.
        crf, preset, bitrate: as for :func:`~streamderain.writers.encoders.encoder_options`.
        cuda: try the GPU's first.

    Raises:
        UsageError: none does.
    """
    size, turned = (source.height, source.width), source.rotation % 180 != 0
    for name in encoder_names(codec, cuda=cuda):
        pixel_format = choose_pixel_format(name, source.pixel_format, *size, turned=turned)
        options = encoder_options(name, codec, crf, preset, bitrate, source.frame_rate)
        try:
            _try_encoder(name, pixel_format, options, source)
        except (av.FFmpegError, ValueError):
            continue
        return Encoder(name, pixel_format, options)
    asked = f" with preset {preset!r}" if preset else ""
    raise UsageError(
        f"no encoder here writes {codec}{asked} at {size[1]}×{size[0]}; check the preset "
        "and the quality, or choose another codec"
    )


def set_up(
    context: av.VideoCodecContext, pixel_format: str, time_base: Fraction, source: SourceFormat
) -> None:
    """Let an encoder write frames of a source's size, rate and shape of pixels."""
    context.width, context.height = source.width, source.height
    context.pix_fmt = pixel_format
    context.time_base = time_base
    context.framerate = source.frame_rate or Fraction(25)
    context.sample_aspect_ratio = source.sample_aspect_ratio
    context.thread_type = "AUTO"  # PyAV's default, slices alone, costs quality with libx264
    if context.name == "libx264":
        context.thread_count = codec_threads()


def _try_encoder(
    name: str, pixel_format: str, options: dict[str, str], source: SourceFormat
) -> None:
    """Open an encoder for nothing: whether NVENC works, only NVENC knows."""
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    set_up(context, pixel_format, source.time_base, source)
    context.options = options
    hush_svt()
    context.open()


def hush_svt() -> None:
    """SVT-AV1 prints its settings on the terminal; an environment variable is its only switch.

    It stays as it is: several threads may open encoders, and none may take it from the others.
    """
    os.environ.setdefault("SVT_LOG", "1")
