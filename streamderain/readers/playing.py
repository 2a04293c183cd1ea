"""Recordings and the test scene, played as if they were cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError, UsageError
from streamderain.frame import Frame, Picture
from streamderain.readers.base import Reader
from streamderain.readers.capture import CaptureTime
from streamderain.readers.live import Captured, SourceWrongError
from streamderain.readers.scene import SceneReader
from streamderain.readers.video import VideoFileReader

__all__ = ["PlayedSource", "play_file", "play_scene"]

LATE_NS = 100_000_000
"""A frame that comes so much after its time moves the time of those to come."""

SCENE_S = 24 * 3600.0
"""Length of the test scene, after which it is connected to anew like any camera."""


class PlayedSource(ClosesAtExit):
    """Plays a reader (:class:`~streamderain.readers.live.LiveSource`).

    Args:
        reader: opened; closed with this.
        pace: give each frame when its time has come; else as fast as they are taken.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self, reader: Reader, *, pace: bool, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._reader, self._pace, self._clock = reader, pace, clock
        self._closing = threading.Event()

    @property
    def damaged(self) -> int:
        """Nothing is counted here: a recording's damaged frames come marked as such."""
        return 0

    @property
    def notes(self) -> list[str]:
        """What the reader has to say."""
        return [*self._reader.format.notes, *self._reader.problems]

    def __iter__(self) -> Iterator[Captured]:
        origin: Fraction | None = None
        began = self._clock()
        for frame in self._reader:
            seconds = (frame.pts or 0) * frame.time_base
            origin = seconds if origin is None else origin
            due = began + int((seconds - origin) * 1_000_000_000)
            if self._pace and self._closing.wait(max(0, due - self._clock()) / 1e9):
                return
            late = self._clock() - due
            if late > LATE_NS:  # it can't be played so fast here: go on from now
                began, due = began + late, due + late
            taken = CaptureTime(due, "pts")
            yield Captured(
                frame.session, frame.pts, frame.time_base, taken, frame.corrupt, _picture_of(frame)
            )

    def close(self) -> None:
        """End the play; harmless twice, and while another thread iterates."""
        self._closing.set()
        self._reader.close()


def play_file(path: Path, *, pace: bool) -> PlayedSource:
    """Play a recording.

    Raises:
        SourceWrongError: it is missing, or no video.
    """
    try:
        return PlayedSource(VideoFileReader(path, planes=True), pace=pace)
    except InputError as error:
        raise SourceWrongError(str(error)) from error


def play_scene(
    *, rain: str | None, size: tuple[int, int], fps: Fraction, pace: bool = True
) -> PlayedSource:
    """Play the test scene, for a day.

    Raises:
        SourceWrongError: such a scene can't be drawn.
    """
    height, width = size
    try:
        reader = SceneReader(
            height=height, width=width, fps=max(1, round(fps)), seconds=SCENE_S, rain=rain
        )
    except UsageError as error:
        raise SourceWrongError(str(error)) from error
    return PlayedSource(reader, pace=pace)


def _picture_of(frame: Frame) -> Callable[[], Picture]:
    return lambda: frame.picture
