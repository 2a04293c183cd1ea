"""Several targets for one source, each with its own view of the frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamderain.frame import Frame
from streamderain.writers.base import Writer

__all__ = ["FanOutWriter", "View"]

View = Callable[[Frame], Frame]
"""Chooses what a writer shows of a frame; see :mod:`streamderain.views`."""


class FanOutWriter:
    """Writes each frame to every target; a :class:`~streamderain.writers.base.Writer` itself.

    Where finishing one fails, those not yet finished are abandoned.

    Args:
        targets: writers with their views.
    """

    def __init__(self, targets: Sequence[tuple[Writer, View]]) -> None:
        self._targets = list(targets)
        self.frames = 0

    @property
    def notes(self) -> list[str]:
        """What the targets could not hold, each sentence once."""
        return list(dict.fromkeys(note for writer, _ in self._targets for note in writer.notes))

    def write(self, frame: Frame) -> None:
        """Write the frame to every target, as its view shows it."""
        for writer, view in self._targets:
            writer.write(view(frame))
        self.frames += 1

    def finish(self) -> None:
        """Finish every target."""
        for writer, _ in self._targets:
            writer.finish()

    def abandon(self) -> None:
        """Abandon every target; those already finished stay."""
        for writer, _ in self._targets:
            writer.abandon()
