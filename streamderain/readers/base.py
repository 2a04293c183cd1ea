"""What every reader offers to the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from streamderain.closing import Closable
from streamderain.frame import Frame, SourceFormat

__all__ = ["Reader"]


class Reader(Closable, Protocol):
    """A source of frames, opened at once and read once.

    Opening (the constructor) raises :class:`~streamderain.errors.InputError` when the source is
    missing or not readable; so does iteration, but never for what is merely damaged.

    Attributes:
        name: what messages call the source: a path, or ``-``.
        format: known after opening.
        problems: sentences about damage, complete when iteration has ended. Where there is one,
            all that could be read has been given and the job counts as failed (exit code 1).
        corrupt_frames: how many frames the decoder reported as damaged so far.
    """

    @property
    def name(self) -> str:  # noqa: D102 - see above
        ...

    @property
    def format(self) -> SourceFormat:  # noqa: D102
        ...

    @property
    def problems(self) -> list[str]:  # noqa: D102
        ...

    @property
    def corrupt_frames(self) -> int:  # noqa: D102
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Give every frame in order of presentation."""
        ...

    def close(self) -> None:
        """Let go of the source; harmless twice, and while another thread iterates."""
        ...
