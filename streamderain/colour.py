"""What the colours of coded pictures mean, where they say so and where they don't. Pure.

Which numbers of ITU-T H.273 stand for which names, what a source means that doesn't say, and what
is said of a target. libswscale converts anything that nobody has labelled as BT.601; how it is told
is in ``streamderain/conversion.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Protocol

from av import VideoFormat

from streamderain.picture import Colour

__all__ = [
    "HDR_TRANSFERS",
    "TRANSFERS",
    "Tagged",
    "bit_depth",
    "colour_of",
    "encoding_colour",
    "has_alpha",
    "is_grey",
    "is_rgb",
    "known_tags",
    "tag",
    "usual_matrix",
]

MATRICES = {
    0: "rgb", 1: "bt709", 2: "unknown", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "ycgco", 9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc",
    13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
"""MatrixCoefficients of ITU-T H.273 by FFmpeg's names."""

PRIMARIES = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film",
    9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
"""ColourPrimaries of ITU-T H.273 by FFmpeg's names."""

TRANSFERS = {
    1: "bt709", 2: "unknown", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "linear", 9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428",
    18: "arib-std-b67",
}  # fmt: skip
"""TransferCharacteristics of ITU-T H.273 by FFmpeg's names."""

RANGES: dict[int, Literal["tv", "pc"]] = {1: "tv", 2: "pc"}
"""AVColorRange by FFmpeg's names; 0 is unknown."""

HDR_TRANSFERS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
"""Transfers of high dynamic range, and what people call them."""

HD_LINES = 720
"""From this many lines up, an untagged picture is taken for BT.709, below for BT.601."""


class Tagged(Protocol):
    """What carries colour tags: a frame or a codec context of PyAV."""

    colorspace: int
    color_range: int
    color_primaries: int
    color_trc: int


def is_grey(pixel_format: str) -> bool:
    """Whether there is luma only."""
    return pixel_format.startswith(("gray", "mono", "ya"))


def is_rgb(pixel_format: str) -> bool:
    """Whether the samples are RGB, planar, packed or by palette."""
    return pixel_format == "pal8" or VideoFormat(pixel_format).is_rgb


def has_alpha(pixel_format: str) -> bool:
    """Whether there is an alpha channel; a palette's is not counted, hardly any video uses it."""
    return any(component.is_alpha for component in VideoFormat(pixel_format).components)


def bit_depth(pixel_format: str) -> int:
    """Bits of the widest component."""
    if pixel_format == "pal8":
        return 8
    return max((component.bits for component in VideoFormat(pixel_format).components), default=8)


def colour_of(tagged: Tagged, pixel_format: str, height: int) -> Colour:
    """Read the colour tags and settle what they leave open.

    Untagged YCbCr is BT.709 from 720 lines up and BT.601 below, in limited range; the ``yuvj``
    formats say full range by their name. RGB is what it is.

    Args:
        tagged: frame or codec context.
        pixel_format: of the decoder.
        height: of the coded picture in lines.
    """
    primaries = PRIMARIES.get(tagged.color_primaries, "unknown")
    transfer = TRANSFERS.get(tagged.color_trc, "unknown")
    if is_rgb(pixel_format):
        return Colour("rgb", "pc", primaries, transfer)
    assumed = []
    matrix = MATRICES.get(tagged.colorspace, "unknown")
    if matrix in ("unknown", "rgb"):  # YCbCr can't be "rgb": a wrong tag, seen in the wild
        matrix = usual_matrix(height)
        assumed.append("matrix")
    known = "pc" if pixel_format.startswith("yuvj") else RANGES.get(tagged.color_range)
    if known is None:
        assumed.append("range")
    return Colour(matrix, known or "tv", primaries, transfer, tuple(assumed))


def encoding_colour(colour: Colour, pixel_format: str, height: int) -> Colour:
    """Return the colour to encode with.

    RGB sources need a matrix where the target is YCbCr. An assumed matrix is said after all where
    the target, turned upright, has lines by which another one would be guessed.

    Args:
        colour: of the source.
        pixel_format: of the encoder.
        height: of the target in lines.
    """
    if is_rgb(pixel_format):
        return replace(colour, matrix="rgb", range="pc", assumed=())
    if colour.matrix == "rgb":
        return replace(colour, matrix=usual_matrix(height), range="tv", assumed=())
    if "matrix" in colour.assumed and colour.matrix != usual_matrix(height):
        return replace(colour, assumed=tuple(what for what in colour.assumed if what != "matrix"))
    return colour


def known_tags(colour: Colour) -> dict[str, int]:
    """Return H.273 numbers of what the source said; what we assumed stays unsaid.

    A player then guesses about the target just as it did about the source, and shows the same.
    """
    return {
        "colorspace": 2 if "matrix" in colour.assumed else _number(MATRICES, colour.matrix),
        "color_range": 0 if "range" in colour.assumed else _number(RANGES, colour.range),
        "color_primaries": _number(PRIMARIES, colour.primaries),
        "color_trc": _number(TRANSFERS, colour.transfer),
    }


def tag(target: Tagged, colour: Colour) -> None:
    """Write onto a frame or an encoder what the source said of its colours."""
    for name, number in known_tags(colour).items():
        setattr(target, name, number)


def usual_matrix(height: int) -> str:
    """Return the matrix that an untagged picture of so many lines is taken for."""
    return "bt709" if height >= HD_LINES else "smpte170m"


def _number(table: dict[int, str] | dict[int, Literal["tv", "pc"]], name: str) -> int:
    unknown = 0 if table is RANGES else 2
    return next((number for number, known in table.items() if known == name), unknown)
