"""The test scene as a source: a drawn street, dry or in simulated rain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from streamderain.closing import ClosesAtExit
from streamderain.errors import UsageError
from streamderain.frame import Colour, Frame, Pixels, SourceFormat
from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.scene.street import Street
from streamderain.scene.view import FACADE_Z

__all__ = ["SceneReader"]

TICKS = 512
"""Units of time that a frame lasts."""


class SceneReader(ClosesAtExit):
    """A street with cars and people (:class:`~streamderain.readers.base.Reader`).

    No camera, file or network is needed, and what the rain hides is known: see
    :meth:`clean_frame`.

    Example::

        with SceneReader(seconds=2) as reader:
            for frame in reader:
                show(frame.pixels, reader.clean_frame(frame.index))

    Args:
        height, width: of the frames in pixels.
        fps: frames a second.
        seconds: length of the clip.
        seed: the same seed gives the same clip, byte for byte.
        rain: a name of :data:`~streamderain.rain.simulate.PRESETS`, or None for a dry day.

    Raises:
        UsageError: a size, the rate or the length is not above 0, or the rain is not known.
    """

    name = "scene"
    corrupt_frames = 0

    def __init__(
        self,
        *,
        height: int = 360,
        width: int = 640,
        fps: int = 25,
        seconds: float = 8.0,
        seed: int = 1,
        rain: str | None = "heavy",
    ) -> None:
        if min(height, width, fps) < 1 or seconds <= 0:
            raise UsageError(
                f"the test scene can't be {width}x{height} at {fps} frames/s for {seconds:g} s; "
                "all must be above 0"
            )
        if rain is not None and rain not in PRESETS:
            raise UsageError(
                f"the test scene knows no rain {rain!r}; there are {', '.join(PRESETS)}"
            )
        frames = max(1, round(seconds * fps))
        self._street = Street(height, width, fps, seed)
        self._rain = None
        if rain is not None:
            look = replace(PRESETS[rain], distance_m=FACADE_Z)
            self._rain = RainSimulator(height, width, look, fps=fps, seed=seed)
        self._frames, self._closed = frames, False
        self.problems: list[str] = []
        self.format = SourceFormat(
            height, width, frame_rate=Fraction(fps), time_base=Fraction(1, fps * TICKS),
            frames=frames, duration_s=frames / fps, colour=Colour("bt709", "tv", "bt709", "bt709"),
        )  # fmt: skip

    def clean_frame(self, index: int) -> Pixels:
        """Return a frame as it is without rain, uint8 H×W×3 RGB."""
        return self._street.frame(index)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            if self._closed:
                return
            pixels = self.clean_frame(index)
            if self._rain is not None:
                pixels = self._rain.rain_on(pixels)
            yield Frame(
                "scene", 0, index, index * TICKS, self.format.time_base, pixels, duration=TICKS
            )

    def close(self) -> None:
        """End the clip; harmless twice."""
        self._closed = True
