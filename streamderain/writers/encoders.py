"""Which container, encoder and pixel format a target gets: decisions only, nothing is opened."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av import VideoFormat

from streamderain.colour import is_grey, is_rgb
from streamderain.errors import UsageError

__all__ = [
    "CODECS",
    "Container",
    "choose_container",
    "choose_pixel_format",
    "encoder_names",
    "encoder_options",
    "finer_chroma_note",
]

CODECS = ("h264", "hevc", "av1", "ffv1")
"""What videos can be written in; ``ffv1`` is lossless."""

TITLES = {"h264": "H.264", "hevc": "H.265"}
"""Of codecs that take an odd size with full chroma alone."""

SOFTWARE = {
    "h264": ("libx264",),
    "hevc": ("libx265",),
    "av1": ("libsvtav1", "libaom-av1"),
    "ffv1": ("ffv1",),
}
"""Encoders on the CPU, the better one first."""

NVENC = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
"""Encoders on an NVIDIA GPU; those that a GPU lacks, and old ones lack AV1, don't open."""

DEFAULT_CRF = {"h264": 18, "hevc": 20, "av1": 25, "ffv1": 0}
"""Visually lossless, by each codec's own scale of constant quality."""

CRF_LIMIT = {"h264": 51, "hevc": 51, "av1": 63}
"""The worst quality on each codec's scale; the best is 0."""

X264_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
PRESETS = {
    "libx264": X264_PRESETS,
    "libx265": X264_PRESETS,
    "libsvtav1": tuple(str(number) for number in range(-1, 14)),
    "libaom-av1": tuple(str(number) for number in range(9)),
}
"""What each encoder calls its speeds; the others have none to choose from."""

ANY_SIZE = ("libsvtav1", "libaom-av1", "ffv1")
"""Encoders that take odd sizes with subsampled chroma; the others need 4:4:4 for them."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a file name ending stands for.

    Attributes:
        muxer: FFmpeg's name.
        title: what people call it.
        codecs: of :data:`CODECS`, what it holds and players expect in it.
        chapters: whether it holds chapter marks.
        variable_rate: whether each frame has its own time; else frames stand on a grid.
    """

    muxer: str
    title: str
    codecs: tuple[str, ...]
    chapters: bool = False
    variable_rate: bool = True


MP4 = Container("mp4", "MP4", ("h264", "hevc", "av1"), chapters=True)
MPEG_TS = Container("mpegts", "MPEG-TS", ("h264", "hevc"))
CONTAINERS = {
    ".mp4": MP4,
    ".m4v": MP4,
    ".mov": Container("mov", "QuickTime", ("h264", "hevc"), chapters=True),
    ".mkv": Container("matroska", "Matroska", CODECS, chapters=True),
    ".avi": Container("avi", "AVI", ("h264", "ffv1"), variable_rate=False),
    ".webm": Container("webm", "WebM", ("av1",), chapters=True),
    ".ts": MPEG_TS,
    ".mts": MPEG_TS,
    ".m2ts": MPEG_TS,
}
"""Containers by file name ending, lower case."""


def choose_container(target: Path, codec: str) -> Container:
    """Return the container that the name of ``target`` asks for.

    Raises:
        UsageError: the ending is not known, or its container doesn't hold the codec.
    """
    if codec not in CODECS:
        raise UsageError(f"there is no codec {codec!r} to write; choose one of {', '.join(CODECS)}")
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise UsageError(
            f"{target} does not end like a video that can be written; name it "
            f"{', '.join(CONTAINERS)}"
        )
    if codec not in container.codecs:
        holds = " or ".join(container.codecs)
        raise UsageError(
            f"{container.title} holds {holds}, not {codec}; choose the codec "
            f"{container.codecs[0]}, or name {target.with_suffix('.mkv').name}"
        )
    return container


DEFAULT_X264 = {"preset": "superfast", "x264-params": "mbtree=1:rc-lookahead=10"}
"""Of H.264 unless told: that preset with the macroblock tree of the next one, by which what stays
is coded well once. At CRF 18 it takes half of the CPU time of ``veryfast``, which on two cores was
more than a small network's, for files of 1.01 (a real road) to 1.3 times the size (a few seconds of
the drawn street, small) with 0.5 dB of 49 less to 0.2 more; without the tree, files are 1.4 to 2.1
times the size."""


def encoder_names(codec: str, *, cuda: bool) -> tuple[str, ...]:
    """Return the encoders to try, in this order."""
    hardware = (NVENC[codec],) if cuda and codec in NVENC else ()
    return hardware + tuple(name for name in SOFTWARE[codec] if name in av.codecs_available)


def encoder_options(
    encoder: str,
    codec: str,
    crf: int | None,
    preset: str | None,
    bitrate: int | None = None,
    rate: Fraction | None = None,
) -> dict[str, str]:
    """Return FFmpeg's options for an encoder.

    Args:
        encoder: one of :func:`encoder_names`.
        codec: that it makes.
        crf: constant quality on the codec's scale, lower is better; None for the default.
        preset: the encoder's own name for speed against size; None for :data:`DEFAULT_X264` or the
            encoder's default. NVENC, which
            takes the place of another encoder, doesn't know that one's names and keeps its own.
        bitrate: bits a second instead of constant quality, held as a camera holds it: within
            two seconds, which is also how far apart key frames are.
        rate: frames a second, for that; None for 25.

    Raises:
        UsageError: the encoder has no such quality or preset.
    """
    _check_choice(encoder, codec, crf, preset)
    options = _quality_options(encoder, codec, crf, preset)
    if bitrate is not None:
        options = {key: value for key, value in options.items() if key not in ("crf", "cq", "rc")}
        options |= {"b": str(bitrate), "maxrate": str(bitrate), "bufsize": str(2 * bitrate)}
        options["g"] = str(max(1, round(2 * (rate or 25))))
    return options


def _check_choice(encoder: str, codec: str, crf: int | None, preset: str | None) -> None:
    if crf is not None and codec in CRF_LIMIT and not 0 <= crf <= CRF_LIMIT[codec]:
        raise UsageError(
            f"--crf is 0 (best) to {CRF_LIMIT[codec]} (worst) for {codec}, not {crf}; the default "
            f"is {DEFAULT_CRF[codec]}"
        )
    names = PRESETS.get(encoder)
    if preset is not None and names is not None and preset not in names:
        raise UsageError(f"{encoder} knows no preset {preset!r}; there are {', '.join(names)}")


def _quality_options(
    encoder: str, codec: str, crf: int | None, preset: str | None
) -> dict[str, str]:
    quality = str(DEFAULT_CRF[codec] if crf is None else crf)
    if encoder == "ffv1":
        return {"level": "3", "slicecrc": "1"}
    if encoder.endswith("_nvenc"):
        return {"rc": "vbr", "cq": quality, "b": "0", "preset": "p5"}
    if encoder == "libaom-av1":
        return {"crf": quality, "b": "0", "cpu-used": preset or "6"}
    options = {"crf": quality}
    if encoder == "libsvtav1":
        options["preset"] = preset or "8"
    elif encoder == "libx264":
        options |= {"preset": preset} if preset else DEFAULT_X264
    elif preset:
        options["preset"] = preset
    if encoder == "libx265":
        # It writes to the terminal by itself; and what it says of itself in the header differs from
        # machine to machine, so that segments of several could not be joined.
        options["x265-params"] = "log-level=error:info=0"
    return options


def choose_pixel_format(
    encoder: str, source: str, height: int, width: int, *, turned: bool = False
) -> str:
    """Return the 8-bit pixel format that keeps most of the source and that the encoder takes.

    Chroma sampling is kept where the encoder can; H.264 and H.265 encoders take an odd width or
    height only where chroma is not halved in that direction, so such sizes go up to 4:4:4, which
    is the only way to keep them exactly. Grey stays grey, and lossless RGB stays RGB.

    Args:
        encoder: FFmpeg's name.
        source: pixel format of the source.
        height, width: of the target.
        turned: the picture was turned by 90 degrees, so that 4:2:2 has become 4:4:0.
    """
    supported = {form.name for form in av.Codec(encoder, "w").video_formats or ()}
    if is_grey(source) and "gray" in supported:
        return "gray"
    if is_rgb(source) and encoder == "ffv1":
        return "bgr0"
    wanted = _sampling(source)
    if turned and wanted == "yuv422p":
        wanted = "yuv444p"
    ladder = ("yuv420p", "yuv422p", "yuv444p")
    start = ladder.index(wanted)
    for pixel_format in ladder[start:] + ladder[:start][::-1]:
        if pixel_format in supported and _fits(encoder, pixel_format, height, width):
            return pixel_format
    return "yuv420p"


def finer_chroma_note(
    container: Container, codec: str, encoder: str, source: str, height: int, width: int,
    *, turned: bool = False,
) -> str | None:  # fmt: skip
    """Return the sentence to say where an odd size alone makes chroma finer, or None.

    Args:
        container: of the target.
        codec: of :data:`CODECS`.
        encoder, source, height, width, turned: as for :func:`choose_pixel_format`.
    """
    chosen = choose_pixel_format(encoder, source, height, width, turned=turned)
    if encoder in ANY_SIZE or chosen == choose_pixel_format(encoder, source, 2, 2, turned=turned):
        return None
    sampling = "4:4:4" if chosen == "yuv444p" else "4:2:2"
    other = "--codec av1 writes it as 4:2:0" if "av1" in container.codecs else "an even size plays"
    return (
        f"{TITLES[codec]} holds the odd size {width}×{height} as {sampling} at least, which "
        f"browsers and many players don't show; {other}."
    )


def _sampling(source: str) -> str:
    """Return the 8-bit planar format that has at least the chroma of ``source``."""
    if is_grey(source):
        return "yuv420p"
    if is_rgb(source):
        return "yuv444p"
    full_width, full_height = _chroma_full(source)
    if not full_height:
        return "yuv444p" if full_width else "yuv420p"  # 4:4:0 has no encoder
    return "yuv444p" if full_width else "yuv422p"


def _chroma_full(pixel_format: str) -> tuple[bool, bool]:
    form = VideoFormat(pixel_format, 16, 16)
    return form.chroma_width(16) == 16, form.chroma_height(16) == 16


def _fits(encoder: str, pixel_format: str, height: int, width: int) -> bool:
    full_width, full_height = _chroma_full(pixel_format)
    return encoder in ANY_SIZE or (
        (full_width or width % 2 == 0) and (full_height or height % 2 == 0)
    )
