"""Frames as pictures: one file each."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamderain.errors import OutputError, UsageError
from streamderain.frame import Frame, Pixels
from streamderain.writers.atomic import AtomicFile, explain_os_error

__all__ = ["PictureWriter", "write_picture"]

_JPEG_QUALITY = 95
_PARAMETERS: dict[str, list[int]] = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, _JPEG_QUALITY],
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
}
_ORIENTATION = 0x0112

Metadata = list[tuple[int, NDArray[np.uint8]]]
"""Kinds (OpenCV's ``IMAGE_METADATA_*``) and their bytes."""


def upright_exif(exif: bytes) -> bytes:
    """Return a TIFF-structured EXIF block whose orientation says upright (1); otherwise as it is.

    The pixels are turned when they are read; left as it is the tag would turn them again. (CIPA
    DC-008, Exif 3.0, 4.6.5.1.6)
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return exif
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            (tag,) = struct.unpack_from(f"{order}H", exif, entry)
            if tag == _ORIENTATION:
                patched = bytearray(exif)
                struct.pack_into(f"{order}H", patched, entry + 8, 1)
                return bytes(patched)
    except struct.error:
        pass
    return exif


def _metadata(source: Path) -> Metadata:
    """Read EXIF, XMP and ICC blocks of a picture; none where the format has none."""
    try:
        data = np.frombuffer(source.read_bytes(), np.uint8)
        _, kinds, blocks = cv2.imdecodeWithMetadata(data, flags=cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except (OSError, cv2.error):
        return []
    found: Metadata = []
    for kind, block in zip(kinds, blocks, strict=True):
        content = np.asarray(block, np.uint8).tobytes()
        if kind == cv2.IMAGE_METADATA_EXIF:
            content = upright_exif(content)
        found.append((int(kind), np.frombuffer(content, np.uint8)))
    return found


def encode_picture(suffix: str, pixels: Pixels, metadata: Metadata) -> bytes:
    """Return the file of a picture, from uint8 H×W×3 RGB.

    Raises:
        UsageError: no picture format has that ending.
        OutputError: the format can't hold the picture.
    """
    suffix = suffix.lower()
    to = cv2.COLOR_RGB2GRAY if suffix == ".pgm" else cv2.COLOR_RGB2BGR  # grey is all it can hold
    bgr = cv2.cvtColor(pixels, to)
    parameters = _PARAMETERS.get(suffix, [])
    try:
        if not cv2.haveImageWriter(f"x{suffix}"):
            raise UsageError(
                f"no picture can be written as {suffix or 'a file without an ending'}; "
                "use .png, .jpg, .webp, .bmp or .tif"
            )
        if metadata and suffix in {".jpg", ".jpeg", ".png", ".webp"}:
            kinds = [kind for kind, _ in metadata]
            blocks = [block for _, block in metadata]
            done, data = cv2.imencodeWithMetadata(suffix, bgr, kinds, blocks, parameters)
        else:
            done, data = cv2.imencode(suffix, bgr, parameters)
    except cv2.error as error:
        raise OutputError(f"a picture can't be written as {suffix}: {error.err}") from error
    if not done:
        raise OutputError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} can't be {suffix}")
    return bytes(data)


def write_picture(
    target: Path, pixels: Pixels, *, source: Path | None = None, overwrite: bool = False
) -> None:
    """Write uint8 H×W×3 RGB as a picture, whole or not at all; the ending says the format.

    Args:
        target: in a folder that exists.
        source: where EXIF, XMP and colour profile are copied from; never overwritten.

    Raises:
        OutputError, UsageError: as :class:`~streamderain.writers.atomic.AtomicFile` and
            :func:`encode_picture`.
    """
    metadata = _metadata(source) if source is not None else []
    data = encode_picture(target.suffix, pixels, metadata)
    inputs = [source] if source is not None else []
    file = AtomicFile(target, overwrite=overwrite, sources=inputs)
    try:
        file.path.write_bytes(data)
        file.commit()
    except OSError as error:
        raise explain_os_error(error, target) from error
    finally:
        file.discard()


class PictureWriter:
    """Writes frame ``index`` to ``targets[index]``.

    Each picture is whole as soon as it is written, so :meth:`abandon` leaves those that are done:
    none of them is half.

    Args:
        targets, sources: one of each for every frame.
        overwrite: replace what is there.

    Raises:
        OutputError: a target exists; said before any is written.
    """

    def __init__(
        self, targets: Sequence[Path], sources: Sequence[Path], *, overwrite: bool = False
    ) -> None:
        self._targets, self._sources, self._overwrite = targets, sources, overwrite
        self.notes: list[str] = []
        self.frames = 0
        there = [target for target in targets if target.exists()]
        if there and not overwrite:
            more = f" and {len(there) - 1} more already exist" if len(there) > 1 else ""
            raise OutputError(
                f"{there[0]}{more or ' already exists'}; name another target, or say --overwrite"
            )

    def write(self, frame: Frame) -> None:
        """Write one picture."""
        write_picture(
            self._targets[frame.index],
            frame.pixels,
            source=self._sources[frame.index],
            overwrite=self._overwrite,
        )
        self.frames += 1

    def finish(self) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Nothing is left to remove."""
