"""What every writer offers to the pipeline."""

from __future__ import annotations

from typing import Protocol

from streamderain.errors import OutputError
from streamderain.frame import Frame

__all__ = ["LeftOutError", "Writer"]


class LeftOutError(OutputError):
    """A live writer left a frame out, as it has told already: nothing to log, only to count.

    Attributes:
        reason: what the drop is called.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Writer(Protocol):
    """A target of frames: written one by one, then either finished or abandoned.

    All three raise :class:`~streamderain.errors.OutputError` with a sentence that says what, where
    and what to do.

    Attributes:
        notes: what the target could not hold, one sentence each, said once to the user.
        frames: how many frames were written.
    """

    @property
    def notes(self) -> list[str]:  # noqa: D102 - see above
        ...

    @property
    def frames(self) -> int:  # noqa: D102
        ...

    def write(self, frame: Frame) -> None:
        """Write one frame; in order of presentation."""
        ...

    def finish(self) -> None:
        """Flush, sync and put the target in place: from here on it is whole and there."""
        ...

    def abandon(self) -> None:
        """Remove everything half-written; harmless twice, and after :meth:`finish`."""
        ...
