"""Whether a file ends before its own structure says that it should.

The demuxers of FFmpeg end quietly where the bytes end; what the outermost boxes of the container
declare tells the difference between a short recording and a cut one.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

__all__ = ["has_index", "is_cut_short"]

EBML_HEADER = b"\x1a\x45\xdf\xa3"
EBML_SEGMENT = 0x18538067
TS_PACKET_SIZES = (188, 192, 204)


def is_cut_short(path: Path, container_format: str) -> bool:
    """Return whether bytes are missing at the end of ``path``.

    Args:
        path: the file.
        container_format: FFmpeg's name of the demuxer, e.g. ``mov,mp4,m4a,3gp,3g2,mj2``.

    Returns:
        True where the container declares more than is there; False also where it doesn't say,
        as in a live Matroska recording.
    """
    size = path.stat().st_size
    names = container_format.split(",")
    with path.open("rb") as file:
        if "mp4" in names:
            return any(end > size for _, end in _boxes(file, size))
        if "matroska" in names:
            return _segment_end(file) > size
        if "avi" in names:
            return _riff_end(file) > size
    if "mpegts" in names:
        return all(size % packet for packet in TS_PACKET_SIZES)
    return False


def has_index(path: Path) -> bool | None:
    """Return whether an MP4 has its ``moov`` box; None where the file is no MP4."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(12)[4:8] not in (b"ftyp", b"mdat", b"free", b"skip", b"wide"):
            return None
        return any(kind == b"moov" and end <= size for kind, end in _boxes(file, size))


def _boxes(file: BinaryIO, size: int) -> list[tuple[bytes, int]]:
    """List the outermost boxes of an MP4: their kind, and where they say that they end."""
    boxes = []
    start = 0
    while start + 8 <= size:
        file.seek(start)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - start
        if length < 8:
            break
        start += length
        boxes.append((kind, start))
    return boxes


def _segment_end(file: BinaryIO) -> int:
    """Return where the Segment of a Matroska file says that it ends, or 0."""
    if file.read(4) != EBML_HEADER:
        return 0
    length = _ebml_size(file)
    if length is None:
        return 0
    file.seek(length, 1)
    if int.from_bytes(file.read(4), "big") != EBML_SEGMENT:
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """Read a size of variable width; None where it is declared unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << (7 * width)) - 1)
    return None if value == (1 << (7 * width)) - 1 else value


def _riff_end(file: BinaryIO) -> int:
    header = file.read(8)
    length = int.from_bytes(header[4:8], "little")
    unfinished = length in (0, 0xFFFFFFFF)
    return 0 if header[:4] != b"RIFF" or unfinished else length + 8
