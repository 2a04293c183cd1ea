"""Decoded frames become pictures, and pictures frames for encoders, without a shift in colour.

Every conversion is labelled on both sides (``streamderain/colour.py`` says with what). Chroma is
replicated on the way to RGB and averaged on the way back. The two are each other's inverse, so that
a frame that nobody touched comes back with the planes it had, which smoother filters don't give
(they blur chroma by more than one level at each pass).

Example::

    colour = colour_of(frame, frame.format.name, frame.height)
    pixels = to_rgb(frame, colour)  # uint8 H×W×3, full range
    frame = from_rgb(pixels, colour, "yuv420p")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from streamderain.colour import is_grey, is_rgb, tag, usual_matrix
from streamderain.picture import Colour, Picture, Pixels, Planes

if TYPE_CHECKING:
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

__all__ = [
    "from_planes",
    "from_rgb",
    "planes_from_rgb",
    "planes_of",
    "rgb_of",
    "to_encode",
    "to_rgb",
]

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

UPSAMPLE = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
DOWNSAMPLE = Interpolation.AREA | Interpolation.ACCURATE_RND

PLANAR = ("yuv420p", "yuvj420p")
"""Formats whose samples are those of :class:`~streamderain.picture.Planes`; the second one says
full range by its name."""

THREADS = 1
"""Of libswscale: reading and writing have a thread each, and its own would wait for one another
where the network has the cores. By itself, one takes a tenth less CPU time than two."""


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


def _swscale_matrix(colour: Colour, height: int) -> Colorspace:
    """Return what swscale shall apply.

    The few matrices that it can't apply (YCgCo, ICtCp, ...) are replaced by the usual one, both on
    the way in and on the way out, so that the planes still come back as they were.
    """
    return SWSCALE_MATRICES.get(colour.matrix, SWSCALE_MATRICES[usual_matrix(height)])


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
