"""Pictures as a source: one file, or many in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError
from streamderain.frame import Colour, Frame, Pixels, SourceFormat

__all__ = ["PictureReader", "read_picture"]


_DEEP = "has 16 bits a channel or more and is reduced to 8"
_ALPHA = "has a transparency channel, which is dropped"


def read_picture(path: Path) -> tuple[Pixels, list[str]]:
    """Read a picture upright (EXIF orientation applied) as uint8 H×W×3 RGB.

    Returns:
        The pixels, and what was reduced, as the ends of sentences about the file.

    Raises:
        InputError: missing, not permitted, or no picture.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    picture = None
    if data.size:
        try:
            # Unchanged, to see what there is to reduce; orientation is applied all the same.
            picture = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_UNCHANGED)
        except cv2.error:
            picture = None
    if picture is None:
        raise InputError(f"{path} is not a picture that can be read; is it damaged?")
    notes = []
    if picture.dtype != np.uint8:
        notes.append(_DEEP)
    if picture.ndim == 3 and picture.shape[2] == 4:
        notes.append(_ALPHA)
    upright = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if upright is None:
        raise InputError(f"{path} is a picture of a kind that can't be read as colour")
    return np.asarray(cv2.cvtColor(upright, cv2.COLOR_BGR2RGB), np.uint8), notes


class PictureReader(ClosesAtExit):
    """Gives pictures as frames; ``Frame.index`` is the position in ``paths``.

    One unreadable picture among several doesn't end the rest: it is named in ``problems``. A new
    size is a new session.

    Args:
        paths: at least one.

    Raises:
        InputError: none of the pictures can be read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ValueError("a picture reader needs at least one path")
        self._paths = list(paths)
        self.name = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
        self.problems: list[str] = []
        self.corrupt_frames = 0
        self._notes: dict[str, list[Path]] = {}
        first, self._first = self._find_first()
        self._start = first
        height, width = self._first.shape[:2]
        self._format = SourceFormat(
            height, width, time_base=Fraction(1, 25), frames=len(paths),
            colour=Colour(matrix="rgb", range="pc", primaries="bt709", transfer="iec61966-2-1"),
        )  # fmt: skip

    def _find_first(self) -> tuple[int, Pixels]:
        last: InputError | None = None
        for index, path in enumerate(self._paths):
            try:
                return index, self._read(path)
            except InputError as error:
                last = error
                self.problems.append(str(error))
        assert last is not None
        if len(self._paths) == 1:
            raise last
        raise InputError(f"none of the {len(self._paths)} pictures in {self.name} can be read")

    def _read(self, path: Path) -> Pixels:
        pixels, notes = read_picture(path)
        for note in notes:
            self._notes.setdefault(note, []).append(path)
        return pixels

    def __iter__(self) -> Iterator[Frame]:
        session, size = 0, self._first.shape[:2]
        for index in range(self._start, len(self._paths)):
            try:
                pixels = self._first if index == self._start else self._read(self._paths[index])
            except InputError as error:
                self.problems.append(str(error))
                continue
            if pixels.shape[:2] != size:
                session, size = session + 1, pixels.shape[:2]
            yield Frame("pictures", session, index, index, self.format.time_base, pixels)

    @property
    def format(self) -> SourceFormat:
        """Of the first picture; its notes are complete when iteration has ended."""
        notes = tuple(
            f"{paths[0].name} {note}"
            if len(paths) == 1
            else f"{paths[0].name} and {len(paths) - 1} more: each {note}"
            for note, paths in self._notes.items()
        )
        return replace(self._format, notes=notes)

    def close(self) -> None:
        """Do nothing: no file stays open."""
