"""What every live source offers, and the faults it may have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from streamderain.closing import Closable
from streamderain.errors import InputError
from streamderain.frame import Picture, size_of
from streamderain.readers.capture import CaptureTime
from streamderain.resizing import resized

__all__ = [
    "Captured",
    "LiveSource",
    "Shape",
    "SourceLostError",
    "SourceRefusedError",
    "SourceWrongError",
]


class SourceLostError(InputError):
    """The connection broke or could not be made; it may come back by itself."""


class SourceRefusedError(InputError):
    """The camera refuses user and password."""


class SourceWrongError(InputError):
    """There is no such stream, or none that can be decoded."""


@dataclass(slots=True)
class Captured:
    """A picture that a source has decoded, not yet converted.

    Attributes:
        part: counts the stretches of one format within a connection, from 0.
        pts: in units of ``time_base``, or None.
        time_base: seconds per unit.
        taken: when.
        corrupt: the decoder reported damage.
        picture: gives it, as its codec holds it where it can; called at most once.
        lag_s: how far behind the camera the reader is.
    """

    part: int
    pts: int | None
    time_base: Fraction
    taken: CaptureTime
    corrupt: bool
    picture: Callable[[], Picture]
    lag_s: float = 0.0


class LiveSource(Closable, Protocol):
    """A connection to a camera, opened at once and read once.

    Opening and iterating raise one of the faults above.

    Attributes:
        damaged: packets so far that could not be decoded at all.
        notes: what there is to say of the source, one sentence each, complete after a few frames.
    """

    @property
    def damaged(self) -> int:  # noqa: D102 - see above
        ...

    @property
    def notes(self) -> list[str]:  # noqa: D102
        ...

    def __iter__(self) -> Iterator[Captured]:
        """Give the pictures as they come, to the end of the source."""
        ...


class Shape:
    """Cuts and scales pictures.

    Args:
        region: left, top, width and height in pixels, or None for all.
        resize: width and height, or None to leave it.
    """

    def __init__(
        self,
        region: tuple[int, int, int, int] | None = None,
        resize: tuple[int, int] | None = None,
    ) -> None:
        self._region, self._resize = region, resize

    def apply(self, picture: Picture) -> Picture:
        """Return the picture cut and scaled, the same where nothing is to be done.

        Planes stay planes, unless the region or the size is odd.

        Raises:
            SourceWrongError: the region reaches beyond the picture.
        """
        height, width = size_of(picture)
        left, top, across, down = region = self._region or (0, 0, width, height)
        if left + across > width or top + down > height:
            raise SourceWrongError(
                f"the region {list(region)} reaches beyond the picture of {width}x{height}; "
                "make it smaller"
            )
        across_to, down_to = self._resize or (across, down)
        return resized(picture, down_to, across_to, region)
