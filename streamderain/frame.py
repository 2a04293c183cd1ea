"""The frame: what the three stages hand to each other, and the format it came in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from streamderain.picture import (
    Colour,
    Picture,
    Pixels,
    Planes,
    copy_of,
    size_of,
)

__all__ = [
    "Colour",
    "Frame",
    "Picture",
    "Pixels",
    "Planes",
    "SourceFormat",
    "Step",
    "copy_of",
    "pixels_of",
    "size_of",
]


def pixels_of(picture: Picture) -> Pixels:
    """Return a picture as RGB, uint8 H×W×3; the very same where it is."""
    if not isinstance(picture, Planes):
        return picture
    from streamderain.conversion import rgb_of  # where there are planes, there is PyAV

    return rgb_of(picture)


@dataclass(slots=True)
class Frame:
    """One picture of one source, with its identity and its times.

    Attributes:
        camera: id of the source, ``[A-Za-z0-9._-]{1,64}``.
        session: counts from 0; one more at every (re)connect or change of format.
        index: count of decoded frames in the session, from 0.
        pts: presentation time in units of ``time_base``, or None where the source has none.
        time_base: seconds per unit of ``pts``.
        duration: in units of ``time_base``, or None where the source doesn't say.
        t_capture_ns: wall clock (UTC) at which the picture was taken, nanoseconds; 0 where only
            ``pts`` is known (recordings).
        t_source: how ``t_capture_ns`` is known.
        picture: what the frame shows now; inference replaces it with the derained picture.
        original: the pixels before deraining, kept only where a writer asked for them.
        corrupt: the decoder reported damage.
        derained: the network cleaned this frame.
        bypass: why not, where it didn't: ``corrupt``, ``null``, ...
        rain: rain score 0..1, or None where nobody measured it.
        model: name of the network.
        coded: how its source coded it, of live frames, where that was YCbCr as planes hold it.
        decoded: frames that a live camera has given since the start, over all sessions, this one
            included; 0 for recordings.
        dropped: live frames that were left out between the one before and this one, by reason.
    """

    camera: str
    session: int
    index: int
    pts: int | None
    time_base: Fraction
    picture: Picture
    duration: int | None = None
    t_capture_ns: int = 0
    t_source: Literal["rtcp", "pts", "arrival"] = "pts"
    original: Pixels | None = None
    corrupt: bool = False
    derained: bool = False
    bypass: str | None = None
    rain: float | None = None
    model: str | None = None
    decoded: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    coded: Colour | None = None
    _converted: tuple[Planes, Pixels] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return size_of(self.picture)

    @property
    def pixels(self) -> Pixels:
        """The picture as RGB, uint8 H×W×3; planes are converted when they are first asked for."""
        picture = self.picture
        if not isinstance(picture, Planes):
            return picture
        if self._converted is None or self._converted[0] is not picture:
            self._converted = picture, pixels_of(picture)
        return self._converted[1]

    @pixels.setter
    def pixels(self, pixels: Pixels) -> None:
        self.picture, self._converted = pixels, None


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """What a reader knows of its source before the first frame, and a writer needs.

    Attributes:
        height, width: of the pixels that the reader gives, after rotation.
        frame_rate: nominal frames a second (average where it varies), or None for pictures.
        time_base: of the frames' ``pts``.
        frames: how many to expect, or None where unknown; an estimate, for progress only.
        duration_s: length in seconds, or None.
        sample_aspect_ratio: of the pixels that the reader gives, after rotation.
        rotation: degrees clockwise that the reader has turned the coded picture to stand upright.
        pixel_format: the decoder's, e.g. ``yuv420p10le``, or ``rgb24`` for pictures and pipes.
        colour: of the source.
        notes: what is reduced or assumed, one sentence each, said once to the user.
    """

    height: int
    width: int
    frame_rate: Fraction | None = None
    time_base: Fraction = Fraction(1, 1)
    frames: int | None = None
    duration_s: float | None = None
    sample_aspect_ratio: Fraction = Fraction(1, 1)
    rotation: int = 0
    pixel_format: str = "rgb24"
    colour: Colour = field(default_factory=Colour)
    notes: tuple[str, ...] = ()


Step = Callable[[Iterable[Frame]], Iterator[Frame]]
"""Takes frames and gives the same frames, in order."""
