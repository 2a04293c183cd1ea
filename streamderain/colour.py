"""How coded pictures become RGB and back without a shift in colour.

Three decisions are made here, all pure: what a source means where it doesn't say, which numbers
of ITU-T H.273 stand for which names, and how swscale is told. libswscale converts anything that
nobody has labelled as BT.601; every conversion below is therefore labelled on both sides.

Chroma is replicated on the way to RGB and averaged on the way back. The two are each other's
inverse, so that a frame that nobody touched comes back with the planes it had, which smoother
filters don't give (they blur chroma by more than one level at each pass).

Example::

    colour = colour_of(frame, frame.format.name, frame.height)
    pixels = to_rgb(frame, colour)  # uint8 H×W×3, full range
    frame = from_rgb(pixels, colour, "yuv420p")
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
from av import VideoFormat, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from streamderain.picture import Colour, Picture, Pixels, Planes

if TYPE_CHECKING:
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

__all__ = [
    "HDR_TRANSFERS",
    "TRANSFERS",
    "Tagged",
    "bit_depth",
    "colour_of",
    "encoding_colour",
    "from_planes",
    "from_rgb",
    "has_alpha",
    "is_grey",
    "is_rgb",
    "known_tags",
    "planes_from_rgb",
    "planes_of",
    "rgb_of",
    "tag",
    "to_encode",
    "to_rgb",
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

SWSCALE_MATRICES = {
    "bt709": Colorspace.ITU709,
    "fcc": Colorspace.FCC,
    "bt470bg": Colorspace.ITU601,
    "smpte170m": Colorspace.ITU601,
    "smpte240m": Colorspace.SMPTE240M,
    "bt2020nc": Colorspace.BT2020,
}
"""The matrices that libswscale can apply."""

LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""Kr and Kb; all others are BT.601."""

HD_LINES = 720
"""From this many lines up, an untagged picture is taken for BT.709, below for BT.601."""

UPSAMPLE = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
DOWNSAMPLE = Interpolation.AREA | Interpolation.ACCURATE_RND

PLANAR = ("yuv420p", "yuvj420p")
"""Formats whose samples are those of :class:`~streamderain.picture.Planes`; the second one says
full range by its name."""

THREADS = 1
"""Of libswscale: reading and writing have a thread each, and its own would wait for one another
where the network has the cores. By itself, one takes a tenth less CPU time than two."""


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
        matrix = _usual_matrix(height)
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
        return replace(colour, matrix=_usual_matrix(height), range="tv", assumed=())
    if "matrix" in colour.assumed and colour.matrix != _usual_matrix(height):
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


def to_rgb(frame: VideoFrame, colour: Colour) -> Pixels:
    """Convert a decoded frame to RGB.

    Args:
        frame: of any pixel format.
        colour: how its YCbCr is meant; see :func:`colour_of`.

    Returns:
        uint8 H×W×3, full range, C-contiguous.
    """
    if is_grey(frame.format.name):
        return _grey_to_rgb(frame, colour)
    return _plain_to_rgb(_without_siting(frame), colour)


def planes_of(frame: VideoFrame, colour: Colour) -> Planes | None:
    """Return the samples of a decoded frame as they are, where they are 4:2:0 in 8 bits.

    Args:
        frame: of any pixel format.
        colour: how its YCbCr is meant; see :func:`colour_of`.

    Returns:
        A copy, or None where the frame is of another format or range, or of an odd size.
    """
    if frame.format.name == "nv12":  # of a GPU: the same samples, Cb and Cr by turns
        frame = frame.reformat(format="yuv420p", threads=THREADS)
    name = frame.format.name
    if name not in PLANAR or frame.width % 2 or frame.height % 2:
        return None
    if name.startswith("yuvj") and colour.range != "pc":  # another range than the first frame's
        return None
    return Planes(np.ascontiguousarray(frame.to_ndarray(), dtype=np.uint8), colour)


def planes_from_rgb(pixels: Pixels, colour: Colour) -> Planes:
    """Convert RGB to planes, as a camera codes what it sees.

    Args:
        pixels: uint8 H×W×3, of an even height and width.
        colour: how the YCbCr shall be meant; not ``rgb``.

    Raises:
        ValueError: the size is odd.
    """
    planes = planes_of(from_rgb(pixels, colour, "yuv420p"), colour)
    if planes is None:
        raise ValueError(f"{pixels.shape[1]}x{pixels.shape[0]} has no samples in 4:2:0")
    return planes


def rgb_of(planes: Planes) -> Pixels:
    """Convert planes to RGB, uint8 H×W×3, as :func:`to_rgb` does."""
    return _plain_to_rgb(_frame_of(planes), planes.colour)


def from_planes(planes: Planes, colour: Colour, pixel_format: str) -> VideoFrame | None:
    """Return planes as a frame for the encoder, where they are what it encodes.

    Args:
        planes: not to be written to afterwards.
        colour: how the YCbCr shall be meant; see :func:`encoding_colour`.
        pixel_format: of the encoder.

    Returns:
        Of the same memory, tagged; None where samples would have to be converted.
    """
    meant = planes.colour.matrix, planes.colour.range
    if pixel_format not in PLANAR or meant != (colour.matrix, colour.range):
        return None
    frame = _frame_of(planes)
    tag(frame, colour)
    return frame


def to_encode(picture: Picture, colour: Colour, pixel_format: str) -> VideoFrame:
    """Return a picture as a frame for the encoder: planes as they are where that can be.

    Args:
        picture: RGB or planes; not to be written to afterwards.
        colour, pixel_format: as :func:`from_rgb` takes them.
    """
    if not isinstance(picture, Planes):
        return from_rgb(picture, colour, pixel_format)
    coded = from_planes(picture, colour, pixel_format)
    return from_rgb(rgb_of(picture), colour, pixel_format) if coded is None else coded


def from_rgb(pixels: Pixels, colour: Colour, pixel_format: str) -> VideoFrame:
    """Convert RGB to a frame for the encoder, tagged with what the source said of its colours.

    Args:
        pixels: uint8 H×W×3, full range.
        colour: how the YCbCr shall be meant; see :func:`encoding_colour`.
        pixel_format: 8-bit, e.g. ``yuv420p``, ``yuv444p``, ``gray``, ``bgr0``.
    """
    pixels = np.ascontiguousarray(pixels)
    if is_grey(pixel_format):
        frame = _grey_from_rgb(pixels, colour)
    else:
        # It is only read, so nothing needs a copy; but swscale reads rows to their sixteenth pixel.
        whole = pixels.shape[1] % 16 == 0
        given = VideoFrame.from_numpy_buffer if whole else VideoFrame.from_ndarray
        frame = given(pixels, format="rgb24").reformat(
            format=pixel_format,
            src_colorspace=_swscale_matrix(colour, pixels.shape[0]),
            dst_colorspace=_swscale_matrix(colour, pixels.shape[0]),
            src_color_range=ColorRange.JPEG,
            dst_color_range=_swscale_range(colour),
            interpolation=DOWNSAMPLE,
            threads=THREADS,
        )
    tag(frame, colour)
    return frame


def _without_siting(frame: VideoFrame) -> VideoFrame:
    """Return the planes in a frame that doesn't say where between the luma its chroma lies.

    swscale would shift chroma by that siting on the way to RGB, but PyAV has no way to ask for the
    same shift on the way back: each pass would move the colours by a quarter of a pixel.
    """
    form = frame.format
    if is_rgb(form.name) or (form.chroma_width(16), form.chroma_height(16)) == (16, 16):
        return frame
    plain = VideoFrame(frame.width, frame.height, form.name)
    for source, target in zip(frame.planes, plain.planes, strict=True):
        used = min(source.line_size, target.line_size)
        _rows(target)[:, :used] = _rows(source)[:, :used]
    return plain


def _frame_of(planes: Planes) -> VideoFrame:
    """Return a frame of the same memory; of a copy where PyAV would drop the last two lines."""
    height, width = planes.size
    if height % 4 == 0:
        return VideoFrame.from_numpy_buffer(planes.samples, format="yuv420p")
    frame = VideoFrame(width, height, "yuv420p")
    for part, plane in zip((planes.luma, *planes.chroma), frame.planes, strict=True):
        _rows(plane)[:, : part.shape[1]] = part
    return frame


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return a plane's memory, uint8 H×L, of which the first of L bytes are the samples."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)


def _plain_to_rgb(frame: VideoFrame, colour: Colour) -> Pixels:
    """Convert a frame that says nothing of where its chroma lies."""
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=_swscale_matrix(colour, frame.height),
        dst_colorspace=_swscale_matrix(colour, frame.height),
        src_color_range=_swscale_range(colour),
        dst_color_range=ColorRange.JPEG,
        interpolation=UPSAMPLE,
        threads=THREADS,
    )
    return np.ascontiguousarray(rgb.to_ndarray(), dtype=np.uint8)


def _usual_matrix(height: int) -> str:
    return "bt709" if height >= HD_LINES else "smpte170m"


def _number(table: dict[int, str] | dict[int, Literal["tv", "pc"]], name: str) -> int:
    unknown = 0 if table is RANGES else 2
    return next((number for number, known in table.items() if known == name), unknown)


def _swscale_matrix(colour: Colour, height: int) -> Colorspace:
    """Return what swscale shall apply.

    The few matrices that it can't apply (YCgCo, ICtCp, ...) are replaced by the usual one, both on
    the way in and on the way out, so that the planes still come back as they were.
    """
    return SWSCALE_MATRICES.get(colour.matrix, SWSCALE_MATRICES[_usual_matrix(height)])


def _swscale_range(colour: Colour) -> ColorRange:
    return ColorRange.JPEG if colour.range == "pc" else ColorRange.MPEG


def _grey_to_rgb(frame: VideoFrame, colour: Colour) -> Pixels:
    """Do what swscale won't: it takes grey for full range whatever it is told."""
    if frame.format.name != "gray":
        frame = frame.reformat(format="gray")
    luma = cast("NDArray[np.uint8]", frame.to_ndarray())
    if colour.range == "tv":
        levels = (np.arange(256) - 16.0) * (255 / 219)
        luma = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[luma]
    return np.repeat(luma[:, :, None], 3, axis=2)


def _grey_from_rgb(pixels: Pixels, colour: Colour) -> VideoFrame:
    kr, kb = LUMA_WEIGHTS.get(colour.matrix, (0.299, 0.114))
    weights = np.array([kr, 1 - kr - kb, kb], np.float32)
    luma = pixels.astype(np.float32) @ weights
    if colour.range == "tv":
        luma = luma * np.float32(219 / 255) + np.float32(16)
    grey = np.rint(luma).clip(0, 255).astype(np.uint8)
    return VideoFrame.from_ndarray(grey, format="gray")
