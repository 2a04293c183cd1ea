"""The frame: what the three stages hand to each other, and the format it came in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colour", "Frame", "Pixels", "SourceFormat", "Step"]

Pixels = NDArray[np.uint8]
"""uint8 H×W×3, RGB, full range, C-contiguous."""


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
        pixels: what the frame shows now; inference replaces it with the derained picture.
        original: the pixels before deraining, kept only where a writer asked for them.
        corrupt: the decoder reported damage.
        derained: the network cleaned this frame.
        bypass: why not, where it didn't: ``corrupt``, ``null``, ...
        rain: rain score 0..1, or None where nobody measured it.
        model: name of the network.
        decoded: frames that a live camera has given since the start, over all sessions, this one
            included; 0 for recordings.
        dropped: live frames that were left out between the one before and this one, by reason.
    """

    camera: str
    session: int
    index: int
    pts: int | None
    time_base: Fraction
    pixels: Pixels
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

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True)
class Colour:
    """How YCbCr means RGB: names of ITU-T H.273, as FFmpeg spells them, lower case.

    Attributes:
        matrix: ``bt709``, ``smpte170m``, ``bt470bg``, ``bt2020nc``, ``rgb``, ...
        range: ``tv`` (limited, 16-235) or ``pc`` (full, 0-255).
        primaries, transfer: as tagged, or ``unknown``.
        assumed: what the source didn't say and we chose, e.g. ``("matrix", "range")``.
    """

    matrix: str = "bt709"
    range: Literal["tv", "pc"] = "tv"
    primaries: str = "unknown"
    transfer: str = "unknown"
    assumed: tuple[str, ...] = ()


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
