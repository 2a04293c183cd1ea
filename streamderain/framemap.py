"""Which frame of the source became which frame of the result, and what was done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, Field

from streamderain.frame import Frame
from streamderain.writers.base import Writer

__all__ = ["DERAINED", "FrameMap", "MappedWriter", "Run"]

DERAINED = "derained"
"""What became of a frame that the network cleaned; of the others it is the reason why not."""


class Run(BaseModel):
    """Frames that follow one another evenly and share their fate.

    Attributes:
        count: frames.
        pts: time of the first, in units of the source's time base.
        step: from one to the next; 0 for a single one.
        duration: of each, or None where the source doesn't say.
        fate: ``derained``, or why not: ``dry``, ``corrupt``, ``null``.
    """

    model_config = ConfigDict(extra="forbid")
    count: int = Field(gt=0)
    pts: int
    step: int = Field(ge=0)
    duration: int | None
    fate: str

    def times(self) -> range | list[int]:
        """Return the times of the frames."""
        end = self.pts + self.step * self.count
        return range(self.pts, end, self.step) if self.step else [self.pts]


class FrameMap:
    """Collects frames, in order of presentation, as :class:`Run` objects.

    Attributes:
        runs: so far.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.runs: list[Run] = []
        self.extend(runs)

    def add(self, pts: int, duration: int | None, fate: str) -> None:
        """Add a frame."""
        self._append(Run(count=1, pts=pts, step=0, duration=duration, fate=fate))

    def extend(self, runs: Iterable[Run]) -> None:
        """Add what another map holds."""
        for run in runs:
            self._append(run.model_copy())

    def times(self) -> Iterator[tuple[int, int | None]]:
        """Give time and duration of each frame."""
        for run in self.runs:
            for pts in run.times():
                yield pts, run.duration

    @property
    def frames(self) -> int:
        """How many there are."""
        return sum(run.count for run in self.runs)

    def _append(self, run: Run) -> None:
        last = self.runs[-1] if self.runs else None
        if last is None or (last.duration, last.fate) != (run.duration, run.fate):
            self.runs.append(run)
            return
        gap = run.pts - (last.pts + last.step * (last.count - 1))
        if gap > 0 and {last.step or gap, gap, run.step or gap} == {gap}:
            last.step, last.count = gap, last.count + run.count
        else:
            self.runs.append(run)


class MappedWriter:
    """Keeps a map of what another writer is given; a writer itself.

    Args:
        inner: does the writing.

    Attributes:
        map: of the frames so far.
        rain, judged: sum of the rain scores of the frames that have one, and how many do.
    """

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self.map = FrameMap()
        self.rain, self.judged = 0.0, 0

    @property
    def notes(self) -> list[str]:
        """The inner writer's."""
        return self._inner.notes

    @property
    def frames(self) -> int:
        """How many frames were written."""
        return self._inner.frames

    def write(self, frame: Frame) -> None:
        """Write one frame; in order of presentation."""
        self._inner.write(frame)
        fate = DERAINED if frame.derained else frame.bypass or "unknown"
        self.map.add(self.map.frames if frame.pts is None else frame.pts, frame.duration, fate)
        if frame.rain is not None:
            self.rain, self.judged = self.rain + frame.rain, self.judged + 1

    def finish(self) -> None:
        """Finish the inner writer."""
        self._inner.finish()

    def abandon(self) -> None:
        """Abandon the inner writer."""
        self._inner.abandon()
